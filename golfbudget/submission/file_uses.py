"""Every file of a submission, counted as what, or not counted and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from golfbudget.submission.findings import Checked
from golfbudget.submission.folder import FileKind, SubmissionFile
from golfbudget.submission.reach import Counted

#: Why files of a kind are not counted, where nothing else says more.
_REASONS: Mapping[FileKind, str] = {
    FileKind.CLAIMS: "claims, which are compared with what is counted",
    FileKind.CODE: "code that the program neither imports nor names",
    FileKind.DATA: "training or validation data, which every submission is given",
    FileKind.MODEL: "named like a model, but another file is the model",
    FileKind.CHECKPOINT: "weights before export, by its name",
    FileKind.LOG: "a log",
    FileKind.SIDE: "the rules leave it out",
    FileKind.OTHER: "of no known kind, and no program names it",
}
#: Uncounted files of these kinds are no surprise, however large.
_EXPECTED = (FileKind.CLAIMS, FileKind.LOG, FileKind.SIDE, FileKind.DATA, FileKind.TOKENIZER)
#: An uncounted file is large from this part of the cap on.
_PART = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUse:
    """One file: what it counts as under `shipped` (None: not counted), and why."""

    file: SubmissionFile
    counted_as: str | None
    why: str
    large: bool = False

    @property
    def unknown(self) -> bool:
        """Whether nobody can say what the file is for."""
        return self.counted_as is None and self.why == _REASONS[FileKind.OTHER]

    @property
    def notable(self) -> bool:
        """Whether a short list should name it: counted beside program and model, or large or unknown and not."""
        return self.counted_as in ("helper", "data") or self.large or self.unknown


def file_uses(checked: Checked) -> tuple[FileUse, ...]:
    """All files of the folder, by path, and those outside of it that options name."""
    counted = {one.file.path: one for one in checked.code.counted}
    models = {file.path: file for model in checked.models for file in model.files}
    outside = [one.file for one in checked.code.counted] + list(models.values())
    files = {file.path: file for file in (*checked.folder.files, *outside)}
    large = max(1, checked.rules.cap // _PART)
    made = []
    for path in sorted(files):
        file = files[path]
        counted_as, why = _use(checked, file, counted.get(path), is_model=path in models)
        surprising = file.kind not in _EXPECTED and counted_as is None and file.size >= large
        made.append(FileUse(file=file, counted_as=counted_as, why=why, large=surprising))
    return tuple(made)


def _use(  # noqa: PLR0911  (one way out per reason)
    checked: Checked, file: SubmissionFile, counted: Counted | None, *, is_model: bool
) -> tuple[str | None, str]:
    if is_model:
        return "model", "the model"
    if counted is not None and counted.how == "entry":
        return "program", "the program"
    if counted is not None:
        what = "helper" if file.kind is FileKind.CODE or counted.program else "data"
        return what, f"{counted.how} by {counted.place}" if counted.by else "the rules count all code"
    if file.kind is FileKind.TOKENIZER:
        if checked.rules.count.tokenizer:
            return "tokenizer", "the rules count the tokenizer"
        return None, "the tokenizer, which counts as folder only"
    if checked.code.undecided and file.kind is FileKind.CODE:
        return None, "which file is the program is not known"
    written = checked.code.written.get(file.path)
    if written is not None:
        return None, f"written by {written}"
    if file.side and file.kind is FileKind.OTHER:
        return None, _REASONS[FileKind.SIDE]
    return None, _REASONS[file.kind]
