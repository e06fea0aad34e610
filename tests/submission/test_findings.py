"""Every finding, raised by a folder made for it: the file and line that it is about, in its message and in JSON."""

from __future__ import annotations

import json
import lzma
import zlib
from base64 import b85encode
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest
from support.standins import log_text, submission

import golfbudget as gb
from golfbudget.code_packing import pack_code
from golfbudget.rules import load_rules
from golfbudget.submission import TABLE, check_submission

PROGRAM = "# what it is\n" + "x = 1\n" * 400
CODE = len(PROGRAM)
WEIGHTS = lzma.compress(Random(16).randbytes(4000))
PACKED = pack_code(PROGRAM.encode(), name="train_gpt.py").length
EXPORTS = log_text(code=CODE, model=14_000_000) + (
    f"Serialized model int4+zlib: 9000000 bytes\nTotal submission size int4+zlib: {9_000_000 + CODE} bytes\n"
)
Files = Mapping[str, str | bytes]


def stated(**claims: object) -> Files:
    """A folder with a log and claims, each on its own line."""
    return {"train.log": log_text(code=CODE, model=15_000_000), "submission.json": json.dumps(claims, indent=1)}


def seeds(*models: int, seed: int | None = None) -> Files:
    """Logs named after seeds 1, 2, …, which print those seeds or all the same one."""
    return {
        f"train_seed{number}.log": log_text(code=CODE, model=model, seed=seed or number)
        for number, model in enumerate(models, 1)
    }


#: Files beside the program (or in its place), and where the finding must be: file and line.
CASES: dict[str, tuple[Files, tuple[str | None, int | None]]] = {
    "GB101": ({"train.log": log_text(code=CODE, model=16_000_000)}, ("train.log", 7)),
    "GB102": ({"train.log": log_text(code=9, model=16_000_000 - CODE + 1)}, ("train.log", 7)),
    "GB103": (seeds(15_990_000, 15_980_000), ("train_seed1.log", 7)),
    "GB104": ({}, (None, None)),
    "GB201": ({"train.log": log_text(code=CODE + 9, model=15_000_000)}, ("train.log", 4)),
    "GB202": (stated(bytes_code=PACKED), ("submission.json", 2)),
    "GB203": (
        {"train_gpt.py": "\nimport helper\n", "helper.py": "y = 2\n", "train.log": log_text()},
        ("train_gpt.py", 2),
    ),
    "GB204": (
        {"train_gpt.py": '\nexec(open("inner.py").read())\n', "inner.py": PROGRAM, "train.log": log_text()},
        ("train_gpt.py", 2),
    ),
    "GB205": ({"other.py": "y = 2\n", "train.log": log_text()}, ("other.py", None)),
    "GB206": (
        {"train_gpt.py": "import helper\n", "helper.py": "x = 1\ndef broken(:\n", "train.log": log_text()},
        ("helper.py", 2),
    ),
    "GB207": ({"train_gpt.py": "\n", "train.log": log_text()}, ("train_gpt.py", None)),
    "GB208": ({"train_gpt.py": "import os\nexec(open(os.environ['X']).read())\n"}, ("train_gpt.py", 2)),
    "GB209": ({"table.xyz": b"\0\1" * 99, "train.log": log_text()}, ("table.xyz", None)),
    "GB210": (
        {"train_gpt.py": "\nexec(input())\n", "helper.py": "y = 2\n", "train.log": log_text()},
        ("train_gpt.py", 2),
    ),
    "GB211": (
        {"train_gpt.py": "\nfrom .helper import y\n", "train.log": log_text()},
        ("train_gpt.py", 2),
    ),
    "GB212": (
        {"train_gpt.py": "\nT = get('table.txt')\n", "table.txt": "y" * 99, "train.log": log_text()},
        ("train_gpt.py", 2),
    ),
    "GB213": (
        {"train_gpt.py": "\nimport os\nos.system('wget -q x.y/w.bin')\n", "train.log": log_text()},
        ("train_gpt.py", 3),
    ),
    "GB301": ({**seeds(15_000_000, 15_000_200), "submission.json": f'{{"n": 1,\n"bytes_total": {15_000_100 + CODE}}}'},
              ("submission.json", 2)),
    "GB302": (stated(bytes_total=15_000_000), ("submission.json", 2)),
    "GB303": ({**seeds(15_000_000, 15_000_200), "submission.json": f'{{"n": 1,\n"bytes_total": {15_000_000 + CODE}}}'},
              ("submission.json", 2)),
    "GB304": (stated(name="x", bytes_total=5), ("submission.json", 3)),
    "GB305": (
        {**stated(), "README.md": f"# Mine\n\nArtifact: {(15_000_000 + CODE) / 2**20:.3f} MB\n"},
        ("README.md", 3),
    ),
    "GB306": (
        {"train.log": log_text(code=CODE, model=15_000_000).replace(f"{15_000_000 + CODE}", f"{15_000_009 + CODE}")},
        ("train.log", 7),
    ),
    "GB401": (
        {"final_model.int8.ptz": WEIGHTS, "train.log": log_text(code=CODE, model=len(WEIGHTS))},
        ("train.log", 6),
    ),
    "GB402": ({"final_model.int8.ptz": b""}, ("final_model.int8.ptz", None)),
    "GB403": ({"final_model.int8.ptz": b"\0" * 5000}, ("final_model.int8.ptz", None)),
    "GB404": (
        {"model_a.ptz": WEIGHTS, "model_b.ptz": WEIGHTS[::-1] + b"x",
         "train.log": log_text(code=CODE, model=len(WEIGHTS), label="int8+lzma")},
        ("model_b.ptz", None),
    ),
    "GB501": ({"train.log": log_text()}, ("train.log", 7)),
    "GB502": ({"a.log": log_text(), "b.log": log_text(model=15_815_000)}, ("a.log", 7)),
    "GB503": ({"train.log": "step 1\nthe exported thing weighs 15,000,000 bytes as artifact\n"}, ("train.log", 2)),
    "GB504": (seeds(15_000_000, 15_000_200, seed=9), ("train_seed1.log", 1)),
    "GB505": ({"submission.json": f'{{"bytes_code": {CODE},\n"bytes_total": 15000000}}'}, ("submission.json", 2)),
    "GB506": ({"train.log": EXPORTS}, ("train.log", 10)),
    "GB507": ({"train_gpt.py": f"W = {b85encode(WEIGHTS * 2).decode()!r}\n"}, ("train_gpt.py", None)),
    "GB508": (
        {"train.log": EXPORTS.replace("14000000", "16000000").replace(f"{14_000_000 + CODE}", f"{16_000_000 + CODE}")},
        ("train.log", 7),
    ),
    "GB509": (
        {"train.log": log_text(code=CODE, model=15_000_000) + "with adapters the artifact is 16,200,000 bytes\n"},
        ("train.log", 9),
    ),
}  # fmt: skip


def test_every_finding_has_a_case() -> None:
    assert list(CASES) == list(TABLE)


@pytest.mark.parametrize("code", CASES)
def test_a_finding_names_its_file_and_line(tmp_path: Path, code: str) -> None:
    files, (file, line) = CASES[code]
    folder = submission(tmp_path / "s", {"train_gpt.py": PROGRAM, **files})
    found = gb.check(folder, convention="logged" if code == "GB102" else None)
    (first, *_) = [one for one in json.loads(found.to_json())["submissions"][0]["findings"] if one["code"] == code]
    assert (first["file"], first["line"]) == (file, line)
    assert file is None or file in first["message"]
    assert line is None or f"line {line}" in first["message"]


def test_what_stands_inside_of_a_packed_program_is_no_line_of_the_file(tmp_path: Path) -> None:
    inner = b85encode(zlib.compress(b"\n\nimport helper\n")).decode()
    stub = f'import zlib,base64\nexec(zlib.decompress(base64.b85decode("{inner}")))\n'
    folder = submission(tmp_path, {"train_gpt.py": stub, "helper.py": "y = 2\n", "train.log": log_text()})
    (found,) = [one for one in check_submission(folder, load_rules()).findings if one.code == "GB203"]
    assert "train_gpt.py, line 3 of what it unpacks to" in found.message
    assert (found.file, found.line) == ("train_gpt.py", None)


def test_annotations_stand_at_file_and_line(tmp_path: Path) -> None:
    files, _ = CASES["GB304"]
    folder = submission(tmp_path / "s", {"train_gpt.py": PROGRAM, **files})
    text = gb.check(folder, folder).github_commands()
    assert f"::warning file={folder}/submission.json,line=3,title=golfbudget check GB304::" in text


def test_a_file_outside_of_the_folder_is_named_without_detours(tmp_path: Path) -> None:
    folder = submission(tmp_path / "s", {"train.log": log_text()})
    program = submission(tmp_path, {"train_gpt.py": "x = 1\ndef broken(:\n"}) / "train_gpt.py"
    found = gb.check(folder, code=program)
    assert f"::error file={program},line=2,title=golfbudget check GB208::" in found.github_commands()


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("requirements.txt", "torch\nnumpy\n", False),
        ("README.txt", "Total submission size int8+zlib: 16,900,000 bytes\n", False),
        ("prompts.txt", "Once upon a time\n" * 50, False),
        ("train_data.txt", "step 1\n" * 2, False),
        ("train_data.txt", b"\0\1\2\3" * 500, False),
        ("notes.txt", "the first step 1 is to mix\n", False),
        ("train_v2.txt", "nothing here\n", True),
        ("out/whatever.txt", "step:1 loss:3\nstep:2 loss:2\nstep:3 loss:1\n", True),
        ("whatever.log", "", True),
        ("summary.txt", "the artifact came to: 15,900,000 bytes written\n", True),
    ],
)  # fmt: skip
def test_only_what_looks_like_a_log_is_missed_as_one(
    tmp_path: Path, name: str, text: str | bytes, *, told: bool
) -> None:
    log = log_text(code=CODE, model=15_000_000)
    checked = check_submission(submission(tmp_path, {"train_gpt.py": PROGRAM, "a.log": log, name: text}), load_rules())
    assert [one.file for one in checked.findings if one.code == "GB503"] == ([name] if told else [])
    assert checked.chosen.largest is not None
    assert checked.chosen.largest.total == 15_000_000 + CODE


@pytest.mark.parametrize(("claim", "words"), [(None, "comes last"), (9_000_000 + CODE, "the claim chooses")])
def test_a_pass_by_one_export_says_so_where_another_is_over(tmp_path: Path, claim: int | None, words: str) -> None:
    files, _ = CASES["GB508"]
    claims = {} if claim is None else {"submission.json": json.dumps({"bytes_total": claim})}
    folder = submission(tmp_path, {"train_gpt.py": PROGRAM, **files, **claims})
    found = gb.check(folder)
    assert found.passed
    assert not gb.check(folder, strict=True).passed
    assert (
        f"by the export that {words}; another in train.log is over the cap with {16_000_000 + CODE:,}"
        in found.to_markdown()
    )
    # A model file of that length settles it.
    (folder / "final_model.int8.ptz").write_bytes(WEIGHTS.ljust(9_000_000, b"\1"))
    assert "GB508" not in {one.code for one in gb.check(folder).submissions[0].findings}
