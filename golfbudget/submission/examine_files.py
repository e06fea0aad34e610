"""Findings about code and model files, and about the codec labels that logs and JSON give."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from golfbudget import formats
from golfbudget.artifact.files import read_file
from golfbudget.artifact.peel import Allowance, innermost, peel
from golfbudget.codecs import DECODED_LIMIT, Buffer, Stream
from golfbudget.errors import GolfbudgetError
from golfbudget.rules import Convention
from golfbudget.submission.claims import About
from golfbudget.submission.file_uses import file_uses
from golfbudget.submission.findings import Checked
from golfbudget.submission.folder import FileKind, SubmissionFile
from golfbudget.submission.megabytes import MEBI, MEGA, binary_caps

_CODEC = re.compile(r"zlib|gzip|zstd|lzma|xz|brotli|bz2", re.IGNORECASE)
#: A program with nothing but white space in this many bytes is empty.
_BLANK = 1 << 16
#: Words for one codec.
_SAME = {"lzma": "xz"}


def examine_files(checked: Checked) -> Iterator[str]:
    """GB203 to GB209, GB4xx, and caps written in MiB.  A finding is its code, then its message."""
    yield from _helpers(checked)
    yield from _stub(checked)
    yield from _uncounted(checked)
    yield from _unreadable(checked)
    yield from _unknown(checked)
    yield from _caps(checked)
    yield from _models(checked)
    yield from _labels(checked)


def lengths(files: list[SubmissionFile]) -> str:
    """Names with lengths, the first few."""
    more = f" and {len(files) - 6} more" if len(files) > 6 else ""
    return ", ".join(f"{file.path} ({file.size:,} bytes)" for file in files[:6]) + more


def _helpers(checked: Checked) -> Iterator[str]:
    code = checked.code
    if not code.helpers or checked.convention is Convention.FOLDER:
        return
    claimed = {matched.claim.number for matched in checked.matched if matched.claim.about is About.CODE}
    if code.length in claimed:
        return
    for helper in code.helpers:
        yield (
            f"GB203 {helper.file.path} ({helper.file.size:,} bytes) is {helper.how} by {helper.place}: counted here as "
            f"shipped, and in no claim; the claimed code bytes should be {code.length:,}"
        )


def _stub(checked: Checked) -> Iterator[str]:
    stub = checked.code.stub
    if stub is None:
        return
    behind = [counted.file for counted in checked.code.behind]
    yield (
        f"GB204 {stub.path} ({stub.size:,} bytes) is a stub that runs {lengths(behind)}; shipped code is "
        f"{checked.code.length:,} bytes"
    )


def _uncounted(checked: Checked) -> Iterator[str]:
    if checked.code.uncounted and not checked.code.undecided:
        yield (
            f"GB205 not counted as shipped, for the program neither imports nor names it: "
            f"{lengths(list(checked.code.uncounted))} (--code FILE names the program)"
        )


def _unreadable(checked: Checked) -> Iterator[str]:
    code = checked.code
    for entry in code.entries:
        if not checked.folder.place(entry).read_bytes()[:_BLANK].strip():
            yield f"GB207 {entry.path}: the program is empty ({entry.size} bytes), so that there is nothing to count"
    entries = {entry.path for entry in code.entries}
    for path, problem in code.problems.items():
        if path in entries:
            yield f"GB208 {path}: what the program needs is not known: {problem}"
        else:
            yield f"GB206 {path}: what it imports is not known: {problem}"


def _unknown(checked: Checked) -> Iterator[str]:
    unknown = [use.file for use in file_uses(checked) if use.unknown]
    if unknown:
        yield f"GB209 of no known kind, not counted as shipped, and named by no program: {lengths(unknown)}"


def _caps(checked: Checked) -> Iterator[str]:
    cap = checked.rules.cap
    for program in checked.code.programs:
        for line, limit in binary_caps(program.nodes, cap)[:1]:
            yield (
                f"GB305 {program.place(line)}: the code has a limit of {limit:,} bytes: that is {_mebi(limit)} MiB, "
                f"and the cap is {cap // MEGA} MB, {cap:,} bytes"
            )
    for matched in checked.matched:
        if cap % MEGA == 0 and cap and matched.claim.number == cap // MEGA * MEBI:
            yield (
                f"GB305 {matched.claim.source}: {matched.claim.key} is {matched.claim.number:,}, which is "
                f"{cap // MEGA} MiB; the cap is {cap // MEGA} MB, {cap:,} bytes"
            )


def _mebi(limit: int) -> str:
    """Bytes in MiB, with as many digits as it takes.

    >>> _mebi(16 << 20), _mebi(33345765)
    ('16', '31.8010')
    """
    return str(limit // MEBI) if limit % MEBI == 0 else f"{limit / MEBI:.4f}"


def _models(checked: Checked) -> Iterator[str]:
    labels = _logged_labels(checked)
    for file in (file for model in checked.models for file in model.files):
        seen = look_at(checked.folder.place(file), file.size)
        if seen.no_model:
            yield f"GB402 {file.path} {seen.no_model}"
        if seen.doubtful:
            yield f"GB403 {file.path} {_without_path(seen.doubtful, checked, file)}"
            continue
        for label, sources in labels.items():
            codec = codec_of(label)
            if file.kind is FileKind.MODEL and not seen.no_model and codec and codec != (seen.codec or "none"):
                yield (
                    f"GB401 {', '.join(sources)} calls the model {label!r}, but the bytes of {file.path} are "
                    f"{seen.codec or 'in no codec'}"
                )


def _without_path(message: str, checked: Checked, file: SubmissionFile) -> str:
    return message.replace(f"{checked.folder.place(file)}: ", "").replace(str(checked.folder.place(file)), file.path)


def codec_of(label: str) -> str | None:
    """The codec that a label names.

    >>> codec_of("int6+zstd-22"), codec_of("mixed_int5_int6+brotli"), codec_of("quantized+pergroup")
    ('zstd', 'brotli', None)
    """
    match = _CODEC.search(label)
    return None if match is None else _SAME.get(match[0].lower(), match[0].lower())


def _logged_labels(checked: Checked) -> dict[str, dict[str, None]]:
    """Labels that logs give to models, and what JSON says of its codec, each with who says so."""
    labels: dict[str, dict[str, None]] = {}
    for run in checked.runs:
        for figure in run.figures:
            if figure.what in ("model", "total") and figure.label:
                labels.setdefault(figure.label, {}).update(dict.fromkeys(run.sources))
    for stated in checked.stated.codecs:
        labels.setdefault(stated.text, {})[f"{stated.source} ({stated.key})"] = None
    return labels


def _labels(checked: Checked) -> Iterator[str]:
    """Labels that contradict one another: at most one of them can be right."""
    by_codec: dict[str, list[str]] = {}
    for label, sources in _logged_labels(checked).items():
        codec = codec_of(label)
        if codec:
            first, *more = sources
            said = f"{label!r} in {first}" + (f" and {len(more)} more" if more else "")
            by_codec.setdefault(codec, []).append(said)
    if len(by_codec) > 1:
        labels = "; ".join(", ".join(places) for places in by_codec.values())
        yield f"GB401 the model is given {len(by_codec)} different codecs: {labels}"


#: No language model of the contest is smaller; the smallest public smoke test has 20 kB.
_SMALLEST = 1024
_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a model file shows: its outermost codec (None: none), and why it is `no_model` or `doubtful`."""

    codec: str | None = None
    no_model: str = ""
    doubtful: str = ""


def look_at(path: Path, size: int) -> Seen:
    """Read a model file as far as its codecs go.  Raises `UsageError` where it cannot be read."""
    if not size:
        return Seen(no_model="is empty")
    data = read_file(path)
    if bytes(data[: len(_POINTER)]) == _POINTER:
        return Seen(no_model="is a Git LFS pointer, not the file it points to")
    if size < _SMALLEST:
        return Seen(no_model=f"has {size} bytes: a placeholder")
    if _constant(bytes(data[:: max(1, size >> 16)])):
        return Seen(doubtful="holds one byte value over and over: a placeholder")
    return _inside(data, str(path))


def _inside(data: Buffer, where: str) -> Seen:
    try:
        steps, _ = peel(data, where=where, allowance=Allowance(DECODED_LIMIT))
    except GolfbudgetError as error:
        return Seen(doubtful=f"cannot be decoded: {error}")
    codec = next((step.codec.name for step in steps if isinstance(step, Stream)), None)
    rest = innermost(data, steps)
    if len(rest) < _SMALLEST or _constant(bytes(rest[: 1 << 16])):
        return Seen(codec=codec, doubtful=f"decodes to {len(rest)} bytes without content: a placeholder")
    if not steps and not formats.candidates(data) and _text(bytes(data[:_SMALLEST])):
        return Seen(doubtful="is plain text")
    return Seen(codec=codec)


def _constant(data: bytes) -> bool:
    return data.count(data[:1]) == len(data)


def _text(head: bytes) -> bool:
    try:
        return head.decode().isprintable()
    except UnicodeDecodeError:
        return False
