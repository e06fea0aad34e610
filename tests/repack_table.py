"""What `repack` saves of each torch archive of a folder: the table of docs/repack.md.

    python tests/repack_table.py FOLDER

prints it as markdown, largest file first.  It takes some minutes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: The exit code where a file cannot be read; why is on stderr.
REFUSED = 2


def asked(command: str, path: Path) -> dict[str, Any] | None:
    """What a command says of a file, None where it refuses it."""
    arguments = [sys.executable, "-m", "golfbudget", command, str(path), "--format", "json", "--quiet"]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == REFUSED:
        return None
    done.check_returncode()
    return dict(json.loads(done.stdout))


def archives(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every torch archive below a folder, largest first, and the codecs around it."""
    for path in sorted(folder.rglob("*.pt*"), key=lambda path: (-path.stat().st_size, path)):
        report = asked("inspect", path)
        names = [layer["name"] for layer in report["layers"]] if report else []
        if names[-1:] == ["torch-zip"]:
            yield path, ", ".join(names[:-1]) or "uncompressed"


def row(path: Path, codecs: str) -> str:
    """A markdown row: bytes before and after, and the decoder's, which count against the saving."""
    report = asked("repack", path)
    if report is None:
        raise SystemExit(REFUSED)
    before, packed = report["source"]["bytes"], report["packed"] or report["source"]
    rebuilt = packed.get("container") == "golfbudget-pack"
    figures = [before, packed["bytes"], report["saved_bytes"]]
    decoder = f"{report['decoder_extra_bytes']:,}{'' if rebuilt else ' (same container)'}"
    name = f"{path.parent.name}/{path.name}"
    return f"| {name} ({codecs}) | {' | '.join(f'{figure:,}' for figure in figures)} | {decoder} |"


def main(folder: Path) -> None:
    print("| artifact | bytes | repacked | saved | decoder, extra |")
    print("|---|---:|---:|---:|---:|")
    for path, codecs in archives(folder):
        print(row(path, codecs), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
