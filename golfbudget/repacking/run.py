"""Repack one artifact: search, choose, prove.  Nothing is written here but the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from golfbudget import cache
from golfbudget.artifact import PROGRAMS, Artifact, open_artifact
from golfbudget.artifact.peel import Allowance, innermost, known, peel, step_name
from golfbudget.codecs import DECODED_LIMIT, Buffer, Stream, registered
from golfbudget.entropy import floor_bytes, symbol_bytes
from golfbudget.errors import CorruptError, UsageError
from golfbudget.formats.pack import stream_table
from golfbudget.hashing import file_hash
from golfbudget.progress import Progress, unwatched
from golfbudget.repacking.compressors import Compressor, tools
from golfbudget.repacking.decoders import chain_source, pack_source
from golfbudget.repacking.proof import prove_rebuilt, prove_same_container
from golfbudget.repacking.result import REBUILT, Lever, LeverStep, PackedStream, Repacked
from golfbudget.repacking.saved_object import SavedObject, saved_object
from golfbudget.repacking.search import LeverFile, Rebuild, allowed, same_container
from golfbudget.repacking.unpickle import NotCarriedError
from golfbudget.roles import assign, load_roles

_HEAD = 32
SAME, PACK = "same", "golfbudget-pack"
#: Raised with every change of the search that can change its result.
SEARCH_VERSION = 3
CACHE_PREFIX = "repack-"


@dataclass(frozen=True, slots=True)
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
    options = {"search": SEARCH_VERSION, "sha256": sha256, "levers": sorted(levers), "tools": dict(tools())}
    name = CACHE_PREFIX + cache.key(options)[:32]
    kept = None if cached is None else cache.read(cached, name)
    if kept is not None and (cached_result := _from_cache(given, sha256, *kept)) is not None:
        return cached_result
    made = _searched(given, sha256, frozenset(levers), Compressor(jobs=jobs, progress=progress))
    if cached is not None:
        cache.write(cached, name, _facts(made), made.data or b"")
        cache.prune(cached, CACHE_PREFIX)
    return made


def _read(path: Path, levers: frozenset[Lever], limit: int) -> _Input:
    artifact = open_artifact(path, limit=limit)
    if len(artifact.files) != 1:
        raise UsageError(f"{path}: a checkpoint in {len(artifact.files) - 1} shards; repack takes one file")
    if artifact.format in PROGRAMS:
        raise UsageError(f"{path}: a program, not an artifact; golfbudget pack-code packs programs")
    raw = Path(artifact.path).read_bytes()
    steps, _ = peel(raw, where=str(path), allowance=Allowance(limit))
    container = innermost(raw, steps)
    head = bytes(container[:_HEAD])
    if any(isinstance(step, Stream) and len(step.trailing) for step in steps):
        raise UsageError(f"{path}: bytes follow its compressed stream and would be lost; cut them off first")
    held, reason = None, "not asked for" if levers.isdisjoint(REBUILT) else None
    try:
        held = None if reason else saved_object(artifact, container)
    except NotCarriedError as error:
        reason = f"it holds {error}"
    chain = tuple(map(step_name, steps))
    return _Input(artifact, container, chain, known=known(head), held=held, not_rebuilt=reason)


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
        search = Rebuild(given.held, compressor, codecs, roles, levers, long_codec=best)
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
    container = SAME if chosen is None or chosen.arrangement is None else PACK
    if chosen is not None:
        _prove(given, chosen.data, container)
    floor, symbols = _floor(given)
    return Repacked(
        path=given.artifact.path,
        original_bytes=size,
        sha256=sha256,
        data=None if chosen is None else chosen.data,
        container=container,
        steps=_steps(size, keep, rebuilt, chosen),
        decoder_source=source,
        decoder_extra=len(source.encode()) - base if chosen is not None else 0,
        not_rebuilt=given.not_rebuilt,
        floor=floor,
        symbols=symbols,
        notes=tuple(_notes(given, chosen)),
        tools=tuple(tools()),
        streams=_streams(chosen),
    )


def _streams(chosen: LeverFile | None) -> tuple[PackedStream, ...]:
    if chosen is None or chosen.arrangement is None:
        return ()
    table = stream_table(chosen.data, "repack")
    return tuple(
        PackedStream(coder=codec, shuffled=shuffled, tensors=len(items), bytes=len(span))
        for (codec, shuffled, span), items in zip(table, chosen.arrangement.streams, strict=True)
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
    trellis = any(form.states for _, run_forms in found.arrangement.coded for form in run_forms)
    return pack_source(held, found.codecs, shuffled=found.shuffled, forms=sorted(forms), trellis=trellis)


def _steps(
    size: int, same: Sequence[LeverFile], rebuilt: Sequence[LeverFile], chosen: LeverFile | None
) -> tuple[LeverStep, ...]:
    """Each lever's own gain.  The gains of the levers that are taken sum to what the file saves."""
    steps: list[LeverStep] = []
    before = size
    taken = chosen is not None
    for found in (*same, *rebuilt):
        length = len(found.data)
        saved = before - length
        steps.append(LeverStep(lever=found.lever, choice=found.choice, bytes=length, saved=saved, taken=taken))
        before = length
        taken = taken and found is not chosen
    return tuple(steps)


def _prove(given: _Input, data: bytes, container: str) -> bool:
    """Raises `CorruptError` where a file does not hold what the input holds; False where that cannot be told."""
    where = given.artifact.path
    if container == SAME:
        prove_same_container(data, given.container, where=where)
    elif given.held is not None:
        prove_rebuilt(data, given.artifact, given.held, where=where)
    return container == SAME or given.held is not None


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


# The cache: the same artifact under the same search and libraries is searched once.


class _CachedFacts(msgspec.Struct, frozen=True):
    """What the cache says beside the file itself: fields of `Repacked`, and whether there is a file."""

    empty: bool
    container: str
    steps: tuple[LeverStep, ...]
    decoder_source: str
    decoder_extra: int
    not_rebuilt: str | None
    floor: int | None
    symbols: int | None
    notes: tuple[str, ...]
    streams: tuple[PackedStream, ...]


_SAME_FIELDS = _CachedFacts.__struct_fields__[1:]


def _facts(made: Repacked) -> dict[str, object]:
    return {"empty": made.data is None} | {n: msgspec.to_builtins(getattr(made, n)) for n in _SAME_FIELDS}


def _from_cache(given: _Input, sha256: str, facts: dict[str, object], data: bytes) -> Repacked | None:
    """A cached result, proved like a fresh one; None where it does not hold for this artifact."""
    try:
        kept = msgspec.convert(facts, type=_CachedFacts)
        whole = kept.empty == (not data) and len(data) < given.artifact.size
        if not whole or (data and not _prove(given, data, kept.container)):
            return None
    except (msgspec.ValidationError, CorruptError, ValueError):
        return None
    return Repacked(
        path=given.artifact.path,
        original_bytes=given.artifact.size,
        sha256=sha256,
        data=None if kept.empty else data,
        tools=tuple(tools()),
        cached=True,
        **{name: getattr(kept, name) for name in _SAME_FIELDS},
    )
