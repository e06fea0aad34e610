"""`golfbudget inspect` as users run it: tables, JSON laws, exit codes, and what it does not import."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Run

from golfbudget import example
from golfbudget.errors import UsageError
from golfbudget.report.numbers import human
from golfbudget.rules import code_size, parse_size


def report(golfbudget: Run, *arguments: object) -> dict[str, Any]:
    done = golfbudget("inspect", *arguments, "--format", "json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("path", [example.CHECKPOINT, example.ARTIFACT], ids=["checkpoint", "artifact"])
def test_json_obeys_the_laws_a_reader_can_check(golfbudget: Run, path: Path) -> None:
    found = report(golfbudget, path)
    size = path.stat().st_size
    assert found["schema"] == "golfbudget/inspect/1"
    assert found["source"]["bytes"] == size
    assert sum(e["stored_bytes"] for e in found["entries"]) == size
    assert sum(e["stored_bits"] for e in found["entries"]) == 8 * size
    assert sum(r["stored_bytes"] for r in found["roles"]) == size
    assert sum(o["stored_bytes"] for o in found["owners"]) == size
    assert sum(o["parameters"] for o in found["owners"]) == found["parameters"]
    for row in found["roles"]:
        for amount in ("stored_bytes", "decoded_bytes"):
            assert sum(a[amount] for a in row["accounts"]) == row[amount]
    assert sum(e["decoded_bytes"] for e in found["entries"]) == found["layers"][-1]["decoded_bytes"]
    assert found["parameters"] == sum(r["parameters"] for r in found["roles"]) == 1_063_380
    assert found["cap"] == {
        "bytes": 16_000_000,
        "code_bytes": None,
        "used": size,
        "headroom": 16_000_000 - size,
        "fits": True,
    }


def test_json_is_the_same_when_rerun(golfbudget: Run, tmp_path: Path) -> None:
    for name in ("a", "b"):
        golfbudget("inspect", example.ARTIFACT, "--format", "json", "-o", tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_json_has_the_notes_where_there_are_some(golfbudget: Run, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[]")
    shutil.copy(example.CHECKPOINT, tmp_path / "model.safetensors")
    told = report(golfbudget, tmp_path)["notes"]
    assert told == ["config.json was not used: it holds no JSON object"]
    assert "notes" not in report(golfbudget, example.CHECKPOINT)


def test_code_counts_against_the_cap(golfbudget: Run, tmp_path: Path) -> None:
    code = tmp_path / "train_gpt.py"
    code.write_bytes(b"#" * 1234)
    by_file = report(golfbudget, example.ARTIFACT, "--code", code)["cap"]
    by_size = report(golfbudget, example.ARTIFACT, "--code", "1234")["cap"]
    assert by_file == by_size
    assert by_file["code_bytes"] == 1234
    assert by_file["used"] == example.ARTIFACT.stat().st_size + 1234


def test_exit_code_one_only_over_a_cap_that_was_asked_for(golfbudget: Run, tmp_path: Path) -> None:
    size = example.ARTIFACT.stat().st_size
    assert golfbudget("inspect", example.ARTIFACT, "--cap", size).returncode == 0
    over = golfbudget("inspect", example.ARTIFACT, "--cap", size - 1)
    assert over.returncode == 1
    assert "over by 1 bytes" in over.stdout
    assert golfbudget("inspect", example.ARTIFACT, "--cap", size, "--code", 1, "--format", "json").returncode == 1
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(16_000_001)
    assert golfbudget("inspect", large).returncode == 0


@pytest.mark.parametrize("by", ["role", "account", "owner", "block", "dtype"])
def test_tables_sum_to_the_file(golfbudget: Run, by: str) -> None:
    done = golfbudget("inspect", example.ARTIFACT, "--by", by)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("───")) + 1
    stop = next(i for i, line in enumerate(lines) if line.startswith("file  ") and i > start)
    rows = [line for line in lines[start:stop] if line.strip() and not line.startswith("  ")]
    # Counted from the right: of cap, of file, packed and nominal bits of an owner, bits/param, stored bytes.
    at = -6 if by == "owner" else -4
    stored = [int(line.replace(" %", "%").split()[at].replace(",", "")) for line in rows]
    assert sum(stored) == example.ARTIFACT.stat().st_size
    if by == "owner":
        assert stored == sorted(stored, reverse=True)


def test_bracketed_labels_are_printed_whole(golfbudget: Run) -> None:
    owners = golfbudget("inspect", example.ARTIFACT, "--by", "owner").stdout
    assert "[zlib framing]" in owners
    assert "[data.pkl]" in owners


def test_output_goes_to_the_file_whole(golfbudget: Run, tmp_path: Path) -> None:
    target = tmp_path / "report.txt"
    done = golfbudget("inspect", example.CHECKPOINT, "-o", target)
    assert (done.returncode, done.stdout) == (0, "")
    assert "head (tied)" in target.read_text(encoding="utf-8")
    missing = golfbudget("inspect", example.CHECKPOINT, "-o", tmp_path / "no" / "report.txt")
    assert missing.returncode == 2
    assert "cannot be written" in missing.stderr


def test_a_folder_with_one_artifact_is_that_artifact(golfbudget: Run, tmp_path: Path) -> None:
    (tmp_path / "final_model.int8.ptz").write_bytes(example.ARTIFACT.read_bytes())
    (tmp_path / "README.md").write_text("notes", encoding="utf-8")
    assert report(golfbudget, tmp_path)["source"]["bytes"] == example.ARTIFACT.stat().st_size


def test_a_pipe_gets_no_escapes_and_a_terminal_width_is_kept(golfbudget: Run) -> None:
    plain = golfbudget("inspect", example.CHECKPOINT)
    assert "\x1b" not in plain.stdout
    narrow = golfbudget("inspect", example.CHECKPOINT, environ={"COLUMNS": "100"})
    assert max(len(line.rstrip()) for line in narrow.stdout.splitlines()) <= 100


@pytest.mark.parametrize("output_format", ["table", "json"])
def test_inspecting_safetensors_imports_neither_torch_nor_numpy(output_format: str) -> None:
    program = (
        "import sys; from golfbudget.cli.app import run; "
        f"code = run(['inspect', {str(example.CHECKPOINT)!r}, '--format', {output_format!r}]); "
        "heavy = {'torch', 'numpy', 'scipy', 'sklearn', 'zstandard', 'brotli', 'safetensors'} & set(sys.modules); "
        "print(sorted(heavy), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_inspecting_a_compressed_artifact_imports_no_torch() -> None:
    program = (
        "import sys; from golfbudget.cli.app import run; "
        f"run(['inspect', {str(example.ARTIFACT)!r}]); print('torch' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "False"


def test_help_of_every_command_has_an_example(golfbudget: Run) -> None:
    listing = golfbudget("--help")
    assert listing.returncode == 0
    commands = (
        "inspect",
        "check",
        "compare",
        "estimate",
        "plan",
        "pack",
        "unpack",
        "repack",
        "pack-code",
        "schemes",
        "demo",
    )
    for command in commands:
        assert command in listing.stdout
        text = golfbudget(command, "--help").stdout
        assert f"golfbudget {command}" in text.split("Example", 1)[1]
        for line in text.partition("Arguments:")[2].partition("\n\n")[0].splitlines()[1:]:
            assert len(line.replace("[required]", "").split()) > 3, line


def test_version_and_no_arguments(golfbudget: Run) -> None:
    from golfbudget import __version__

    assert golfbudget("--version").stdout == f"golfbudget {__version__}\n"
    assert golfbudget().returncode == 2


@pytest.mark.parametrize("text", [
    "", "x", "-1", "16XB", "1.0001kB", "1e6", "16 M B", "1,5MB", "16,00,000", "1,", ",5", "16,000,00", "1__6", "1_",
])  # fmt: skip
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)


def test_thousands_may_be_set_apart() -> None:
    assert [parse_size(text) for text in ("16,000,000", "1,234.5 kB", "16_000_000")] == [
        16_000_000,
        1_234_500,
        16_000_000,
    ]


def test_code_that_is_neither_file_nor_size_is_refused() -> None:
    with pytest.raises(UsageError, match="--code nope: neither a file"):
        code_size("nope")


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (12_345, "12.3 kB"), (123_456, "123 kB")]
)
def test_human_sizes(n: int, text: str) -> None:
    assert human(n) == text
