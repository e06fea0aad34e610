"""Repack one artifact: search, choose, prove.  Nothing is written here but the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from golfbudget import filters, formats
from golfbudget.artifact import Artifact, open_artifact
from golfbudget.artifact.peel import Allowance, innermost, peel
from golfbudget.codecs import DECODED_LIMIT, Buffer, Stream, registered
from golfbudget.entropy import floor_bytes, symbol_bytes
from golfbudget.errors import CorruptError, UsageError
from golfbudget.hashing import file_hash
from golfbudget.progress import Progress, unwatched
from golfbudget.repacking import cache
from golfbudget.repacking.compressors import Compressor, tools
from golfbudget.repacking.decoders import chain_source, pack_source
from golfbudget.repacking.proof import prove_rebuilt, prove_same_container
from golfbudget.repacking.result import REBUILT, Lever, LeverStep, Repacked
from golfbudget.repacking.saved_object import NotCarriedError, SavedObject, saved_object
from golfbudget.repacking.search import LeverFile, Rebuild, allowed, same_container
from golfbudget.roles import assign, load_roles

_HEAD = 32
SAME, PACK = "same", "golfbudget-pack"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Input:
    """The artifact, its innermost container, and what is around that from the outside in."""

    artifact: Artifact
    container: Buffer
    chain: tuple[str, ...]
    known: bool
    held: SavedObject | None
    not_rebuilt: str | None


def repack(
    path: Path,
    *,
    levers: Sequence[Lever] = tuple(Lever),
    jobs: int = 2,
    cached: Path | None = None,
    limit: int = DECODED_LIMIT,
    progress: Progress = unwatched,
) -> Repacked:
    """The smallest file that decodes to the same tensors and values; `data` is None where there is nothing to gain.

    `cached` is the folder of earlier results.  A container is chosen by stored bytes plus what its decoder takes more
    than the input's.  Raises the errors of `artifact.open_artifact`, and `UsageError` for what is no artifact.
    """
    given = _read(path, frozenset(levers), limit)
    sha256 = file_hash(Path(given.artifact.path))
    name = cache.key(sha256, {"levers": sorted(levers), "tools": dict(tools())})
    kept = None if cached is None else cache.read(cached, name)
    if kept is not None and (cached_result := _from_cache(given, sha256, *kept)) is not None:
        return cached_result
    made = _searched(given, sha256, frozenset(levers), Compressor(jobs=jobs, progress=progress))
    if cached is not None:
        cache.write(cached, name, _facts(made), made.data or b"")
    return made


def _read(path: Path, levers: frozenset[Lever], limit: int) -> _Input:
    artifact = open_artifact(path, limit=limit)
    if len(artifact.files) != 1:
        raise UsageError(f"{path}: a checkpoint in {len(artifact.files) - 1} shards; repack takes one file")
    if artifact.format == "python-source":
        raise UsageError(f"{path}: a program, not an artifact; golfbudget pack-code packs programs")
    raw = Path(artifact.path).read_bytes()
    steps, _ = peel(raw, where=str(path), allowance=Allowance(limit))
    container = innermost(raw, steps)
    head = bytes(container[:_HEAD])
    if any(isinstance(step, Stream) and len(step.trailing) for step in steps):
        raise UsageError(f"{path}: bytes follow its compressed stream and would be lost; cut them off first")
    held, reason = None, None
    if levers.isdisjoint(REBUILT):
        reason = "not asked for"
    else:
        try:
            held = saved_object(artifact, container)
        except NotCarriedError as error:
            reason = f"it holds {error}"
    return _Input(
        artifact=artifact,
        container=container,
        chain=tuple(step.codec.name if isinstance(step, Stream) else step.name for step in steps),
        known=formats.begins(head) or any(known.begins(head) for known in filters.registered().values()),
        held=held,
        not_rebuilt=reason,
    )


def _searched(given: _Input, sha256: str, levers: frozenset[Lever], compressor: Compressor) -> Repacked:
    current = next((name for name in reversed(given.chain) if name in registered()), "none")
    codecs = allowed(levers, current)
    same = same_container(given.container, compressor, levers, codecs=codecs, known=given.known)
    rebuilt: list[LeverFile] = []
    if given.held is not None:
        ledger = assign(given.artifact, load_roles()).ledger
        roles = {entry.tensor: str(entry.role) for entry in ledger.entries if entry.tensor is not None}
        best = same[0].codecs[0] if len(codecs) > 1 else None
        if given.artifact.bundle or best == "none":
            best = None  # Its members are compressed already, so that its codec says nothing about tensors.
        search = Rebuild(
            held=given.held, compressor=compressor, codecs=codecs, roles=roles, levers=levers, long_codec=best
        )
        rebuilt = search.run()
    size = given.artifact.size
    keep = _smaller(same, size)
    chosen, source = None, ""
    best_cost = size
    base = len(chain_source(given.chain).encode())
    # Each lever may be the last: one that saves less than its decoder takes is not worth it.
    for file in (*keep, *rebuilt):
        text = _source(file, given.held)
        cost = len(file.data) + len(text.encode()) - base
        if cost < best_cost and len(file.data) < size:
            chosen, source, best_cost = file, text, cost
    _prove(given, chosen)
    floor, symbols = _floor(given)
    return Repacked(
        path=given.artifact.path,
        original_bytes=size,
        sha256=sha256,
        data=None if chosen is None else chosen.data,
        container=SAME if chosen is None or chosen.arrangement is None else PACK,
        steps=_steps(size, keep, rebuilt, chosen),
        decoder_source=source,
        decoder_extra=len(source.encode()) - base if chosen is not None else 0,
        not_rebuilt=given.not_rebuilt,
        floor=floor,
        symbols=symbols,
        notes=tuple(_notes(given, chosen)),
        tools=tuple(tools()),
    )


def _smaller(found: Sequence[LeverFile], size: int) -> list[LeverFile]:
    """The levers that each made the file smaller than all before."""
    kept: list[LeverFile] = []
    for one in found:
        if len(one.data) < (len(kept[-1].data) if kept else size):
            kept.append(one)
    return kept


def _source(found: LeverFile, held: SavedObject | None) -> str:
    if found.arrangement is None or held is None:
        return chain_source((*found.codecs, *(["byte-shuffle"] if found.shuffled else [])))
    stored = dict(found.arrangement.stored)
    forms = {str((stored[n].piece if n in stored else item.piece).form()[0]) for n, item in enumerate(held.items)}
    forms |= {f"{form}~" for n, form in ((n, "") for n, s in stored.items() if s.rows is not None)}
    return pack_source(held, found.codecs, shuffled=found.shuffled, forms=sorted(forms))


def _steps(
    size: int, same: Sequence[LeverFile], rebuilt: Sequence[LeverFile], chosen: LeverFile | None
) -> tuple[LeverStep, ...]:
    """Each lever's own gain.  The gains of the levers that are taken sum to what the file saves."""
    steps: list[LeverStep] = []
    before = size
    taken = chosen is not None
    for found in (*same, *rebuilt):
        length = len(found.data)
        steps.append(
            LeverStep(lever=found.lever, choice=found.choice, bytes=length, saved=before - length, taken=taken)
        )
        before = length
        taken = taken and found is not chosen
    return tuple(steps)


def _prove(given: _Input, chosen: LeverFile | None) -> None:
    if chosen is None:
        return
    where = given.artifact.path
    if chosen.arrangement is None:
        prove_same_container(chosen.data, given.container, where=where)
    elif given.held is not None:
        prove_rebuilt(chosen.data, given.artifact, given.held, where=where)


def _notes(given: _Input, chosen: LeverFile | None) -> list[str]:
    if chosen is None:
        return []
    made = [f"reading it takes the {name} package" for name in ("brotli", "zstandard") if name[:4] in
            {codec[:4] for codec in chosen.codecs}]  # fmt: skip
    if chosen.arrangement is not None and given.artifact.format == "torch-zip":
        made.append("torch's own records (zip headers, alignment, devices, serialization id) are not carried over")
    return made


def _floor(given: _Input) -> tuple[int | None, int | None]:
    """Order-0 floor and raw bytes of all tensors, each by itself."""
    if not given.artifact.tensors:
        return None, None
    floor = symbols = 0
    for leaf, tensor in given.artifact.placed():
        if tensor.offset is not None and tensor.contiguous:
            data = memoryview(leaf.data)[tensor.offset : tensor.offset + tensor.stored_bytes]
            floor += floor_bytes([data], symbol_bytes(tensor.dtype))
            symbols += len(data)
    for value in given.artifact.values.values():
        if isinstance(value, bytes):
            floor += floor_bytes([value], 1)
            symbols += len(value)
    return floor, symbols


# The cache


class _CachedFacts(msgspec.Struct, frozen=True):
    """What the cache says beside the file itself."""

    empty: bool
    container: str
    steps: list[tuple[str, str, int, int, bool]]
    decoder_source: str
    decoder_extra: int
    not_rebuilt: str | None
    floor: int | None
    symbols: int | None
    notes: tuple[str, ...]


def _facts(made: Repacked) -> dict[str, object]:
    return {
        "empty": made.data is None,
        "container": made.container,
        "steps": [[s.lever, s.choice, s.bytes, s.saved, s.taken] for s in made.steps],
        "decoder_source": made.decoder_source,
        "decoder_extra": made.decoder_extra,
        "not_rebuilt": made.not_rebuilt,
        "floor": made.floor,
        "symbols": made.symbols,
        "notes": made.notes,
    }


def _from_cache(given: _Input, sha256: str, facts: dict[str, object], data: bytes) -> Repacked | None:
    """A cached result, proved again; None where it does not hold for this artifact."""
    try:
        kept = msgspec.convert(facts, type=_CachedFacts)
        if kept.empty != (not data) or len(data) >= given.artifact.size:
            return None
        if data and kept.container == SAME:
            prove_same_container(data, given.container, where=given.artifact.path)
        elif data and given.held is not None:
            prove_rebuilt(data, given.artifact, given.held, where=given.artifact.path)
        elif data:
            return None
        steps = [LeverStep(lever=Lever(v), choice=c, bytes=b, saved=s, taken=t) for v, c, b, s, t in kept.steps]
    except (msgspec.ValidationError, CorruptError, ValueError):
        return None
    return Repacked(
        path=given.artifact.path,
        original_bytes=given.artifact.size,
        sha256=sha256,
        data=None if kept.empty else data,
        container=kept.container,
        steps=tuple(steps),
        decoder_source=kept.decoder_source,
        decoder_extra=kept.decoder_extra,
        not_rebuilt=kept.not_rebuilt,
        floor=kept.floor,
        symbols=kept.symbols,
        notes=kept.notes,
        tools=tuple(tools()),
        cached=True,
    )
