"""Findings about code and model files, and about the codec labels that logs and JSON give."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from golfbudget import formats
from golfbudget.artifact.files import read_file, refuse_pointer
from golfbudget.artifact.peel import Allowance, innermost, peel
from golfbudget.codecs import DECODED_LIMIT, Buffer, Stream
from golfbudget.errors import GolfbudgetError, UnsupportedError
from golfbudget.rules import Convention
from golfbudget.submission.claims import About
from golfbudget.submission.file_uses import file_uses
from golfbudget.submission.findings import Checked, Finding
from golfbudget.submission.folder import FileKind, SubmissionFile
from golfbudget.submission.megabytes import MEBI, MEGA, binary_caps
from golfbudget.submission.places import Place, listed

_CODEC = re.compile(r"zlib|gzip|zstd|lzma|xz|brotli|bz2", re.IGNORECASE)
#: A program with nothing but white space in this many bytes is empty.
_BLANK = 1 << 16
#: What git checks out instead of a large file has about 130 bytes.
_LONGEST_POINTER = 1024
#: Words for one codec.
_SAME = {"lzma": "xz"}


def examine_files(checked: Checked) -> Iterator[Finding]:
    """GB203 to GB213, GB4xx, and caps written in MiB."""
    yield from _helpers(checked)
    yield from _stub(checked)
    yield from _uncounted(checked)
    yield from _unreadable(checked)
    yield from _pointers(checked)
    yield from _unknown(checked)
    yield from _missing(checked)
    yield from _named(checked)
    yield from _caps(checked)
    yield from _models(checked)
    yield from _beside(checked)
    yield from _labels(checked)


def lengths(files: list[SubmissionFile]) -> str:
    """Names with lengths, the first few."""
    more = f" and {len(files) - 6} more" if len(files) > 6 else ""
    return ", ".join(f"{file.path} ({file.size:,} bytes)" for file in files[:6]) + more


def _helpers(checked: Checked) -> Iterator[Finding]:
    code = checked.code
    if not code.helpers or checked.convention is Convention.FOLDER:
        return
    claimed = {matched.claim.number for matched in checked.matched if matched.claim.about is About.CODE}
    if code.length in claimed:
        return
    for helper in code.helpers:
        message = (
            f"{helper.file.path} ({helper.file.size:,} bytes) is {helper.how} by {helper.place}: counted here as "
            f"shipped, and in no claim; the claimed code bytes should be {code.length:,}"
        )
        yield Finding(code="GB203", message=message, place=helper.place)


def _stub(checked: Checked) -> Iterator[Finding]:
    stub = checked.code.stub
    if stub is None:
        return
    behind = checked.code.behind
    place = behind[0].place or Place(file=stub.path)
    message = (
        f"{stub.path} ({stub.size:,} bytes) is a stub that runs {lengths([one.file for one in behind])} ({place}); "
        f"shipped code is {checked.code.length:,} bytes"
    )
    yield Finding(code="GB204", message=message, place=place)


def _uncounted(checked: Checked) -> Iterator[Finding]:
    files = list(checked.code.uncounted)
    if files and not checked.code.undecided:
        message = (
            f"not counted as shipped, for the program neither imports nor names it: {lengths(files)} (--code FILE "
            "names the program)"
        )
        yield Finding(code="GB205", message=message, place=Place(file=files[0].path))
    files += [use.file for use in file_uses(checked) if use.unknown]
    if files and checked.code.unfollowed and not checked.code.undecided:
        place = checked.code.unfollowed[0]
        message = (
            f"{listed(checked.code.unfollowed)}: what is run or imported here only running it would tell; it may be "
            f"{lengths(files)}, which is not counted (--code FILE for each that is)"
        )
        yield Finding(code="GB210", message=message, place=place)


def _unreadable(checked: Checked) -> Iterator[Finding]:
    code = checked.code
    for entry in code.entries:
        if not checked.folder.place(entry).read_bytes()[:_BLANK].strip():
            message = f"{entry.path}: the program is empty ({entry.size} bytes), so that there is nothing to count"
            yield Finding(code="GB207", message=message, place=Place(file=entry.path))
    entries = {entry.path for entry in code.entries}
    for path, problem in code.problems.items():
        if path in entries:
            message = f"{problem.place}: what the program needs is not known: {problem.what}"
            yield Finding(code="GB208", message=message, place=problem.place)
        else:
            message = f"{problem.place}: what it imports is not known: {problem.what}"
            yield Finding(code="GB206", message=message, place=problem.place)


def _pointers(checked: Checked) -> Iterator[Finding]:
    """Counted files that stand in for others: nobody knows what those take, or need."""
    for file in (file for file in checked.code.files if file.size <= _LONGEST_POINTER):
        try:
            refuse_pointer(checked.folder.place(file).read_bytes(), file.path)
        except UnsupportedError as error:
            message = f"what the program needs is not known: {error}"
            yield Finding(code="GB208", message=message, place=Place(file=file.path))


def _unknown(checked: Checked) -> Iterator[Finding]:
    unknown = [use.file for use in file_uses(checked) if use.unknown]
    if unknown:
        message = f"of no known kind, not counted as shipped, and named by no program: {lengths(unknown)}"
        yield Finding(code="GB209", message=message, place=Place(file=unknown[0].path))


def _missing(checked: Checked) -> Iterator[Finding]:
    # `--code` may have named what lies elsewhere.
    named = [Path(file.path) for file in checked.code.files if file.path.startswith("../")]
    there = {part for path in named for part in (*path.parts, path.stem)}
    missing = [(name, at) for name, at in checked.code.missing.items() if Path(name).name.lstrip(".") not in there]
    if missing:
        told = ", ".join(f"{name} ({place})" for name, place in missing[:6])
        more = f" and {len(missing) - 6} more" if len(missing) > 6 else ""
        message = (
            f"needed by the program and not in the folder, so that what it takes is not known: {told}{more} (--code "
            "FILE names code that lies elsewhere, beside the program)"
        )
        yield Finding(code="GB211", message=message, place=missing[0][1])


def _named(checked: Checked) -> Iterator[Finding]:
    """Texts that may be read, and downloads: what nobody counts."""
    found = [(checked.folder.get(path), place) for path, place in checked.code.named.items()]
    texts = [(file, place) for file, place in found if file is not None and not _is_log(checked, file)]
    if texts:
        message = (
            f"{listed(place for _, place in texts)}: named here, and not counted, as whether it is read is not known: "
            f"{lengths([file for file, _ in texts])}"
        )
        yield Finding(code="GB212", message=message, place=texts[0][1])
    fetching = checked.code.fetching
    if fetching:
        message = f"{listed(fetching)}: files are fetched from the net here, and what they take is not counted"
        yield Finding(code="GB213", message=message, place=fetching[0])


def _is_log(checked: Checked, file: SubmissionFile) -> bool:
    """Whether what a text says makes it a log."""
    return any(log.name == file.path and (log.is_log or log.understood) for log in checked.logs)


def _caps(checked: Checked) -> Iterator[Finding]:
    cap = checked.rules.cap
    for program in checked.code.programs:
        for line, limit in binary_caps(program.nodes, cap)[:1]:
            place = program.place(line)
            message = (
                f"{place}: the code has a limit of {limit:,} bytes: that is {_mebi(limit)} MiB, and the cap is "
                f"{cap // MEGA} MB, {cap:,} bytes"
            )
            yield Finding(code="GB305", message=message, place=place)
    for matched in checked.matched:
        claim = matched.claim
        if cap % MEGA == 0 and cap and claim.number == cap // MEGA * MEBI:
            message = (
                f"{claim.place}: {claim.key} is {claim.number:,}, which is {cap // MEGA} MiB; the cap is "
                f"{cap // MEGA} MB, {cap:,} bytes"
            )
            yield Finding(code="GB305", message=message, place=claim.place)


def _mebi(limit: int) -> str:
    """Bytes in MiB, with as many digits as it takes.

    >>> _mebi(16 << 20), _mebi(33345765)
    ('16', '31.8010')
    """
    return str(limit // MEBI) if limit % MEBI == 0 else f"{limit / MEBI:.4f}"


def _models(checked: Checked) -> Iterator[Finding]:
    labels = _logged_labels(checked)
    for file in (file for model in checked.models for file in model.files):
        seen, place = look_at(checked.folder.place(file), file.size), Place(file=file.path)
        if seen.no_model:
            yield Finding(code="GB402", message=f"{file.path} {seen.no_model}", place=place)
        if seen.doubtful:
            message = f"{file.path} {_without_path(seen.doubtful, checked, file)}"
            yield Finding(code="GB403", message=message, place=place)
            continue
        for label, places in labels.items():
            codec = codec_of(label)
            if file.kind is FileKind.MODEL and not seen.no_model and codec and codec != (seen.codec or "none"):
                message = (
                    f"{listed(places.values())} calls the model {label!r}, but the bytes of {file.path} are "
                    f"{seen.codec or 'in no codec'}"
                )
                yield Finding(code="GB401", message=message, place=next(iter(places.values())))


def _beside(checked: Checked) -> Iterator[Finding]:
    """Files that may be parts of a model of which one counts."""
    if checked.left:
        counted = ", ".join(file.path for model in checked.models for file in model.files)
        message = (
            f"not counted, as logs or claims have the length of {counted}: {lengths(list(checked.left))}; if the model "
            "is in all of them, name each with --model FILE"
        )
        yield Finding(code="GB404", message=message, place=Place(file=checked.left[0].path))
    files = [file for model in checked.models if len(model.files) == 1 for file in model.files]
    yield from _parts(checked, files)
    inside = {file.path for model in checked.models for file in model.files}
    largest = max((model.size for model in checked.models), default=0)
    # Weights before export are written and read again as well, and are longer than what counts.
    kept = [one for one in checked.code.again if one.file.path not in inside and one.file.size <= largest]
    if kept:
        place = kept[0].place
        message = (
            f"written by the program and read again ({place}), and not counted: "
            f"{lengths([one.file for one in kept])}; where it is of the model, name all files with --model FILE"
        )
        yield Finding(code="GB404", message=message, place=place)


def _parts(checked: Checked, files: list[SubmissionFile]) -> Iterator[Finding]:
    """Models of several seeds, one file each, that may be one model together."""
    seeds = sorted(file.seed for file in files if file.seed is not None)
    if len(seeds) < 2 or len(seeds) < len(files):
        return
    # Parts are numbered from 0 or 1, and so are few seeds; `seed` in a name tells.
    numbered = seeds == list(range(seeds[0], seeds[0] + len(seeds))) and seeds[0] in (0, 1)
    named = [file for file in files if file.path in checked.code.whole]
    if len(named) > 1 or (numbered and not any("seed" in file.path.lower() for file in files)):
        why = "all of them are read by the program" if len(named) > 1 else "their numbers may be those of parts"
        message = (
            f"taken for one model of each seed, of which the largest counts, but {why}: {lengths(named or files)}; if "
            'they are parts of one, name each with --model FILE and count them as the sum (rules: models = "sum")'
        )
        yield Finding(code="GB404", message=message, place=Place(file=files[0].path))


def _without_path(message: str, checked: Checked, file: SubmissionFile) -> str:
    return message.replace(f"{checked.folder.place(file)}: ", "").replace(str(checked.folder.place(file)), file.path)


def codec_of(label: str) -> str | None:
    """The codec that a label names.

    >>> codec_of("int6+zstd-22"), codec_of("mixed_int5_int6+brotli"), codec_of("quantized+pergroup")
    ('zstd', 'brotli', None)
    """
    match = _CODEC.search(label)
    return None if match is None else _SAME.get(match[0].lower(), match[0].lower())


def _logged_labels(checked: Checked) -> dict[str, dict[str, Place]]:
    """Labels that logs give to models, and what JSON says of its codec, each with who says so, and where."""
    labels: dict[str, dict[str, Place]] = {}
    for run in checked.runs:
        for figure in run.figures:
            if figure.what in ("model", "total") and figure.label:
                # The lines are those of the first log that says the same.
                first = Place(file=run.source, line=figure.line)
                said = labels.setdefault(figure.label, {})
                said.setdefault(run.source, first)
                said |= {source: Place(file=source) for source in run.sources if source not in said}
    for stated in checked.stated.codecs:
        labels.setdefault(stated.text, {})[str(stated)] = stated.place
    return labels


def _labels(checked: Checked) -> Iterator[Finding]:
    """Labels that contradict one another: at most one of them can be right."""
    by_codec: dict[str, list[str]] = {}
    first: Place | None = None
    for label, places in _logged_labels(checked).items():
        codec = codec_of(label)
        if codec:
            place, *more = places.values()
            said = f"{label!r} in {place}" + (f" and {len(more)} more" if more else "")
            by_codec.setdefault(codec, []).append(said)
            first = first or place
    if len(by_codec) > 1:
        labels = "; ".join(", ".join(places) for places in by_codec.values())
        message = f"the model is given {len(by_codec)} different codecs: {labels}"
        yield Finding(code="GB401", message=message, place=first)


#: No language model of the contest is smaller; the smallest public smoke test has 20 kB.
_SMALLEST = 1024
#: Signs of a text that are not printed.
_BREAKS = dict.fromkeys(map(ord, "\t\n\r"))
_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a model file shows: its outermost codec (None: none), and why it is `no_model` or `doubtful`."""

    codec: str | None = None
    no_model: str = ""
    doubtful: str = ""


def look_at(path: Path, size: int) -> Seen:
    """Read a model file of `size` bytes as far as its codecs go.  Raises `UsageError` where it cannot be read."""
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
        return head.decode().translate(_BREAKS).isprintable()
    except UnicodeDecodeError:
        return False
