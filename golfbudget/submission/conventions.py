"""The artifact of each run, counted by every convention; the largest run decides.

logged   what the run's log printed
shipped  code files on disk, and the model file or, where there is none, the model bytes of the log
packed   as shipped, the code packed
folder   every file that the rules do not leave out, with one model
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from golfbudget.errors import UsageError
from golfbudget.rules import Convention, Rules
from golfbudget.submission.claims import About, Claim
from golfbudget.submission.code import Code
from golfbudget.submission.folder import FileKind, Folder, SubmissionFile
from golfbudget.submission.logs import Run
from golfbudget.submission.places import Place

#: What the keys of models that ship say of them.
_SMALL = re.compile(r"(?<!un)compressed|(?<!un)quanti[sz]ed|zlib|zstd|lzma|brotli|int\d|export", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedModel:
    """The model of one run: bytes of `files`, or a number that `source` claims.

    `stated`: by the submission's own JSON, which a figure made of it does not confirm.  `absent`: there is
    none, and the code is the whole artifact.
    """

    size: int
    source: str
    place: Place | None = None
    seed: int | None = None
    number: int = 1
    files: tuple[SubmissionFile, ...] = ()
    stated: bool = False
    absent: bool = False

    @property
    def claimed(self) -> bool:
        return not self.files and not self.absent


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedRun:
    """One run under one convention; code and model are None where only their sum is known."""

    label: str
    source: str
    seed: int | None
    code: int | None
    model: int | None
    other: int
    total: int
    claimed: bool
    stated: bool = False
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """All runs under one convention; without rows `reason` says what is missing."""

    convention: Convention
    cap: int
    rows: tuple[CountedRun, ...] = ()
    reason: str = ""

    @property
    def largest(self) -> CountedRun | None:
        return max(self.rows, key=lambda row: row.total, default=None)

    @property
    def headroom(self) -> int | None:
        """Bytes left by the largest run, negative when over the cap."""
        return None if self.largest is None else self.cap - self.largest.total

    @property
    def fits(self) -> bool | None:
        """None where nothing is known."""
        return None if self.headroom is None else self.headroom >= 0

    @property
    def spread(self) -> int | None:
        """Largest total of a seed minus smallest; None where there are not two seeds."""
        totals: dict[int | None, int] = {}
        for row in self.rows:
            totals[row.seed] = max(row.total, totals.get(row.seed, 0))
        return max(totals.values()) - min(totals.values()) if len(totals) > 1 else None


def find_models(
    folder: Folder,
    rules: Rules,
    given: Sequence[SubmissionFile],
    files: list[SubmissionFile],
    runs: Sequence[Run],
    claims: Sequence[Claim],
    code: int,
) -> tuple[CountedModel, ...]:
    """The model of each run: `given` files, else `files` if there are any, else what logs say, else what the JSON says.

    Megabytes of a log are rounded, and the last resort.  `code` is what the code on disk takes, for logs that print a
    total alone.

    Raises `UsageError` for several files with nothing to choose by.
    """
    if given:
        seeds = {file.seed for file in given}
        return _of_files(folder, list(given), together=None in seeds or len(seeds) < len(given))
    together = rules.count.models == "sum"
    if files:
        return _of_files(folder, files, together=together)
    logged = _of_logs((run for run in runs if not run.rounded), code)
    if logged:
        return logged
    files = folder.of(FileKind.CHECKPOINT)
    if files:
        return _of_files(folder, files, together=together)
    return _of_claims(claims, code) or _of_logs(runs, code)


def _of_logs(runs: Iterable[Run], code: int) -> tuple[CountedModel, ...]:
    """What logs print: the model, or what the total leaves for it.  Where both are there, the larger one counts.

    A total without its code is that of the `code` on disk.
    """
    models = []
    for run in runs:
        sizes = [run.model.number] if run.model else []
        counted = run.code.number if run.code else code
        if run.total and run.total.number > counted and (run.code or not run.model):
            sizes.append(run.total.number - counted)
        if sizes:
            model = CountedModel(size=max(sizes), source=run.source, place=run.place, seed=run.seed, number=run.number)
            models.append(model)
    return tuple(models)


def _of_files(folder: Folder, files: list[SubmissionFile], *, together: bool) -> tuple[CountedModel, ...]:
    """One model of each seed where every name has its own, else all files together if that was asked for."""
    seeds = {file.seed for file in files}
    apart = None not in seeds and len(seeds) == len(files)
    if len(files) > 1 and together:
        first, size = files[0].path, sum(file.size for file in files)
        return (CountedModel(size=size, source=first, place=Place(file=first), files=tuple(files)),)
    if len(files) > 1 and not apart:
        names = ", ".join(file.path for file in files[:6])
        raise UsageError(
            f"{folder.root}: {len(files)} model files ({names}) and no seed in each name to tell them apart; say which "
            "counts with --model FILE (several: parts of one artifact)"
        )
    return tuple(
        CountedModel(size=file.size, source=file.path, place=Place(file=file.path), seed=file.seed, files=(file,))
        for file in files
    )


def _of_claims(claims: Sequence[Claim], shipped: int) -> tuple[CountedModel, ...]:
    """What a JSON says of its model, seed by seed: the figure itself, or total less code; the larger where both are.

    The code is the one it states; the `shipped` one serves only to hold a total against a model.
    """
    usable = [claim for claim in claims if not claim.mean]
    stated = [(claim, claim.number, claim.key) for claim in usable if claim.about is About.MODEL]
    if len({claim.seed for claim, _, _ in stated}) < len(stated):
        # Several figures of one model: what a total or the word says is the one that ships, else the first.
        stated = _shipping(stated, usable)
    code = next((claim.number for claim in usable if claim.about is About.CODE), shipped if stated else None)
    if code is not None:
        totals = (claim for claim in usable if claim.about is About.TOTAL and claim.number > code)
        stated += [(claim, claim.number - code, f"{claim.key} less code") for claim in totals]
    largest: dict[int | None, tuple[Claim, int, str]] = {}
    for one in stated:
        before = largest.get(one[0].seed)
        if before is None or one[1] > before[1]:
            largest[one[0].seed] = one
    return tuple(
        CountedModel(size=size, source=f"{claim.source}: {key}", place=claim.place, seed=claim.seed, stated=True)
        for claim, size, key in largest.values()
    )


_Stated = tuple[Claim, int, str]


def _shipping(models: Sequence[_Stated], claims: Sequence[Claim]) -> list[_Stated]:
    """Of several stated models of one seed the one that sums to a total with the code, or is called compressed."""
    totals = {claim.number for claim in claims if claim.about is About.TOTAL}
    codes = {claim.number for claim in claims if claim.about is About.CODE}
    kept: dict[int | None, _Stated] = {}
    for one in sorted(models, key=lambda one: (not any(one[1] + code in totals for code in codes), not _small(one[2]))):
        kept.setdefault(one[0].seed, one)
    return list(kept.values())


def _small(key: str) -> bool:
    return bool(_SMALL.search(key))


_NOT_PACKED = "the code was not packed, as nothing that was asked for hangs on it"


def tally_all(
    *, folder: Folder, rules: Rules, code: Code, packed: int | None, models: Sequence[CountedModel], runs: Sequence[Run]
) -> dict[Convention, Tally]:
    """Every convention, in a fixed order; with `packed` None that one has no rows."""
    tokenizers = sum(file.size for file in folder.of(FileKind.TOKENIZER))
    other = tokenizers if rules.count.tokenizer else 0
    inside = {file.path for model in models for file in model.files}
    rest = [file for file in folder.files if file.path not in inside and not _left_out(file)]
    whole = sum(file.size for file in rest if file.kind is FileKind.CODE)
    beside = sum(file.size for file in rest if file.kind is not FileKind.CODE)
    missing = "no model bytes are known: there is no model file, and neither log nor JSON gives them"
    # With several programs to choose from, only what needs no choice is counted.
    counted_models = () if code.undecided else models

    counted = {
        Convention.LOGGED: (
            _logged(runs, None if code.undecided else code.length, other),
            "no log prints the code and model bytes of a finished run",
        ),
        Convention.SHIPPED: (_rows(counted_models, code.length, other), code.undecided or missing),
        Convention.PACKED: (
            [] if packed is None else _rows(counted_models, packed, other),
            code.undecided or (_NOT_PACKED if packed is None and models else missing),
        ),
        Convention.FOLDER: (_rows(models, whole, beside), missing),
    }
    tallies = {}
    for convention, (found, reason) in counted.items():
        rows = tuple(found)
        tallies[convention] = Tally(convention=convention, cap=rules.cap, rows=rows, reason="" if rows else reason)
    return tallies


def _left_out(file: SubmissionFile) -> bool:
    return file.side and file.kind not in (FileKind.CODE, FileKind.MODEL, FileKind.CHECKPOINT, FileKind.TOKENIZER)


def _rows(models: Sequence[CountedModel], code: int, other: int) -> list[CountedRun]:
    labels = _labels([(model.seed, model.source, model.number) for model in models])
    made = []
    for label, model in zip(labels, models, strict=True):
        amounts: dict[str, Any] = {
            "code": code,
            "model": model.size,
            "other": other,
            "total": code + model.size + other,
        }
        told: dict[str, Any] = {
            "source": model.source,
            "seed": model.seed,
            "claimed": model.claimed,
            "stated": model.stated,
            "place": model.place,
        }
        made.append(CountedRun(label=label, **told, **amounts))
    return made


def _logged(runs: Sequence[Run], shipped: int | None, other: int) -> Iterator[CountedRun]:
    """Runs by their logs; where one prints neither code nor total, its code is that on disk, if that is known."""
    labels = _labels([(run.seed, run.source, run.number) for run in runs])
    for label, run in zip(labels, runs, strict=True):
        code = None if run.code is None else run.code.number
        model = None if run.model is None else run.model.number
        if run.total is None and model is None:
            continue
        if run.total is None and code is None:
            if shipped is None:
                continue
            code = shipped
        total = (code or 0) + (model or 0) if run.total is None else run.total.number
        if model is None and code is not None and total >= code:
            model = total - code
        if code is None and model is not None and total >= model:
            code = total - model
        amounts: dict[str, Any] = {"code": code, "model": model, "other": other, "total": total + other}
        yield CountedRun(label=label, source=run.source, place=run.place, seed=run.seed, claimed=True, **amounts)


def _labels(runs: Sequence[tuple[int | None, str, int]]) -> list[str]:
    """Short names that tell runs apart: the seed, else the file, else both with the number of the run in its log."""
    seeds = [seed for seed, _, _ in runs]
    places = [(seed, source) for seed, source, _ in runs]
    labels = []
    for seed, source, number in runs:
        label = source if seed is None else f"seed {seed}"
        if seed is not None and seeds.count(seed) > 1:
            label += f", {source}"
        if places.count((seed, source)) > 1:
            label += f", run {number}"
        labels.append(label)
    return labels
