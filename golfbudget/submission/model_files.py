"""The model files of a submission: by the rules' patterns, and whatever else is a compressed model by its content."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from golfbudget.artifact.telling import compressed, distinct_files, named_like_model, named_otherwise
from golfbudget.submission.claims import About, Claim
from golfbudget.submission.code import Code
from golfbudget.submission.folder import FileKind, Folder, SubmissionFile
from golfbudget.submission.logs import Run

#: Training state is never the weights.
_STATE = re.compile(r"optim(?:izer)?(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """Files that are exported models, without copies; `left` are those that logs or claims decided against."""

    files: tuple[SubmissionFile, ...] = ()
    left: tuple[SubmissionFile, ...] = ()


def model_files(folder: Folder, code: Code, runs: Sequence[Run], claims: Sequence[Claim]) -> ModelFiles:
    """The model files of a folder; of several without seeds those that logs or claims agree with."""
    used, told = {file.path for file in code.files}, _told(runs, claims)
    # What the program reads, by a name that speaks of no model and at a length that nobody tells of, is an input.
    read = {one.file.path for one in code.candidates}
    patterned = folder.of(FileKind.MODEL)
    found = [file for file in patterned if _free(file, read) or file.size in told]
    found = found or (patterned if not told else [])
    found += [
        replace(file, kind=FileKind.MODEL)
        for file in folder.of(FileKind.OTHER)
        if _free(file, used) and not named_otherwise(file.path) and compressed(folder.place(file))
    ]
    if not found:
        exported = _exported(runs)
        found = [
            replace(file, kind=FileKind.MODEL)
            for file in folder.of(FileKind.CHECKPOINT)
            if file.path not in used
            and (file.size in exported or (named_like_model(file.path) and compressed(folder.place(file))))
        ]
    found = [file for file in found if not _STATE.search(file.path)] or found
    if len(found) < 2:
        return ModelFiles(files=tuple(found))
    places = {folder.place(file): file for file in found}
    found = [places[path] for path in distinct_files(list(places))]
    names = {file.path for file in patterned}
    found = [file for file in found if file.path in names or named_like_model(file.path)] or found
    agreed = _agreed(found, told) if len(found) > 1 else found
    # What the program reads beside its model counts as data.
    left = [file for file in found if file not in agreed and file.path not in used | read]
    return ModelFiles(files=tuple(agreed), left=tuple(left))


def _free(file: SubmissionFile, used: Collection[str]) -> bool:
    """Whether a file may be the model: a program opens its model by name, too."""
    return file.path not in used or named_like_model(file.path)


def _told(runs: Sequence[Run], claims: Sequence[Claim]) -> set[int]:
    return _exported(runs) | {claim.number for claim in claims if claim.about is About.MODEL}


def _exported(runs: Sequence[Run]) -> set[int]:
    """Lengths of the exports that logs tell of: a file of one of them is no weights before export."""
    return {export.model.number for run in runs for export in run.exports if export.model}


def _agreed(files: list[SubmissionFile], told: Collection[int]) -> list[SubmissionFile]:
    seeds = {file.seed for file in files}
    if None not in seeds and len(seeds) == len(files):
        return files
    return [file for file in files if file.size in told] or files
