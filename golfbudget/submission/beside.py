"""The code that lies beside a model in a submission folder, for commands that are given the folder as an artifact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from golfbudget.hashing import file_hashes
from golfbudget.rules import Rules
from golfbudget.submission.code import find_code
from golfbudget.submission.folder import FileKind, matches, open_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeBeside:
    """Bytes of the code as shipped, and the SHA-256 of its files one after another."""

    length: int
    sha256: str


def code_beside(path: Path, rules: Rules) -> CodeBeside | None:
    """The code of a submission folder; None for a file, and for a folder with no program by the rules' names.

    Raises `UsageError` where several files could be the program.
    """
    if not path.is_dir():
        return None
    folder = open_folder(path, rules.files)
    top = [file.path for file in folder.of(FileKind.CODE) if "/" not in file.path]
    if not any(matches(name, rules.files.entry) for name in top):
        return None
    code = find_code(folder, rules)
    return CodeBeside(length=code.length, sha256=file_hashes([folder.place(file) for file in code.files])[0])
