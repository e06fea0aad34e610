"""Submission folders as people leave them: links, what is no file, hidden folders, logs without end."""

from __future__ import annotations

import errno
import lzma
import os
from pathlib import Path
from random import Random

import pytest
from support.command_line import Run
from support.standins import log_text, submission

from golfbudget.errors import LimitError, UsageError
from golfbudget.rules import load_rules
from golfbudget.submission import Checked, check_submission
from golfbudget.submission.findings import Severity
from golfbudget.submission.folder import open_folder
from golfbudget.submission.logs import read_log

RULES = load_rules()
HELPER = "y = 1\n" * 500


def check(folder: Path, program: str, **files: str | bytes) -> Checked:
    return check_submission(submission(folder, {"train_gpt.py": program, "train.log": log_text(), **files}), RULES)


def counted(checked: Checked) -> dict[str, int]:
    return {one.file.path: one.file.size for one in checked.code.counted if one.how != "entry"}


@pytest.mark.parametrize("link", ["lib", "zlib", "own"])
def test_what_lies_in_a_linked_folder_counts_once(tmp_path: Path, link: str) -> None:
    submission(tmp_path, {"common/helper.py": HELPER, "mine/src/helper.py": HELPER})
    for name, target in {"lib": "../common", "zlib": "../common", "up": "..", "own": "src"}.items():
        (tmp_path / "mine" / name).symlink_to(target)
    (tmp_path / "common" / "loop").symlink_to(".")
    checked = check(tmp_path / "mine", f"from {link} import helper\n")
    assert list(counted(checked).values()) == [len(HELPER)]
    listed = [file.path for file in checked.folder.files if file.path.endswith("helper.py")]
    assert listed == ["lib/helper.py", "src/helper.py"]


@pytest.mark.parametrize("name", ["helper.py", "submission.json", "other.log", "final_model.int8.ptz"])
@pytest.mark.parametrize("target", ["nowhere", "itself", os.devnull])
def test_a_link_to_nothing_is_no_file_to_pass_over(tmp_path: Path, name: str, target: str) -> None:
    (tmp_path / name).symlink_to(name if target == "itself" else target)
    with pytest.raises(UsageError, match="expected a file; put the file itself there, or remove it") as caught:
        check(tmp_path, "import helper\n")
    assert str(caught.value).startswith(str(tmp_path / name))


def test_a_link_to_nothing_of_no_kind_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to("/nowhere/at/all")
    assert check(tmp_path, "x = 1\n").passed()


@pytest.mark.parametrize("path", [".cache/table.bin", "node_modules/table.bin", "__pycache__/table.bin"])
def test_what_a_program_reads_counts_in_whatever_folder(tmp_path: Path, path: str) -> None:
    checked = check(tmp_path, f"import numpy as np\nT = np.fromfile({path!r})\n", **{path: b"\0\1" * 99})
    assert counted(checked) == {path: 198}
    assert not counted(check(tmp_path, "x = 1\n"))


def test_compiled_code_counts_where_there_is_no_source(tmp_path: Path) -> None:
    assert counted(check(tmp_path, "import helper\n", **{"helper.pyc": b"\0" * 99})) == {"helper.pyc": 99}
    assert counted(check(tmp_path, "import helper\n", **{"helper.py": HELPER})) == {"helper.py": len(HELPER)}


@pytest.mark.parametrize(
    "program",
    [
        "import importlib\nimportlib.import_module('hel' + 'per')\n",
        "import importlib\nNAME = 'helper'\nimportlib.import_module(NAME)\n",
        "exec('import helper')\n",
        "exec(compile(b'from helper import y', 'x', 'exec'))\n",
        "eval('__import__(\"helper\")')\n",
        "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'helper', '--fast'])\n",
        "import os\nos.system('python -m helper')\n",
        "exec('open(\"helper.py\")')\n",
        "open(b'helper.py')\n",
        "open(''.join(['helper', '.py']))\n",
        "import builtins\nbuiltins.exec('import helper')\n",
        "SOURCE = 'import helper'\nexec(compile(SOURCE, 'x', 'exec'))\n",
        "import importlib, os\nimportlib.import_module('hel' + os.environ['REST'])\n",
    ],
)
def test_a_module_counts_however_it_is_asked_for(tmp_path: Path, program: str) -> None:
    checked = check(tmp_path, program, **{"helper.py": HELPER})
    assert counted(checked) == {"helper.py": len(HELPER)}
    (one,) = checked.code.helpers or checked.code.behind
    assert one.place is not None
    assert one.place.line == program.count("\n")


@pytest.mark.parametrize(
    "command",
    [
        "[sys.executable, '-m', 'pip', 'install', './kernels']",
        "'pip install -e kernels/', shell=True",
    ],
)
def test_a_package_that_is_installed_from_the_folder_counts(tmp_path: Path, command: str) -> None:
    files = {"kernels/setup.py": "from setuptools import setup\n", "kernels/kernels/__init__.py": HELPER}
    checked = check(tmp_path, f"import subprocess, sys\nsubprocess.run({command})\nimport kernels\n", **files)
    assert set(counted(checked)) == set(files)
    assert "GB211" not in [found.code for found in checked.findings]


def test_a_text_that_is_run_and_is_no_program_says_nothing(tmp_path: Path) -> None:
    assert not counted(check(tmp_path, "eval('helper is (')\nexec('')\n", **{"helper.py": HELPER}))


def test_a_script_between_two_programs_is_no_stub(golfbudget: Run, tmp_path: Path) -> None:
    check(tmp_path, "import os\nos.system('sh go.sh')\n", **{"go.sh": "python inner.py\n", "inner.py": HELPER})
    done = golfbudget("check", tmp_path, "--format", "markdown")
    assert (done.returncode, done.stderr) == (0, "")
    assert "inner.py" in done.stdout


def test_a_log_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text("".join(f"Serialized model int8+zlib: {number} bytes\n" for number in range(20_000)))
    with pytest.raises(LimitError, match="more than 1000 figures") as caught:
        read_log(path, path.name)
    assert str(caught.value).startswith(str(path))


def test_no_model_and_no_program(tmp_path: Path) -> None:
    folder = submission(tmp_path, {"train.log": log_text()})
    checked = check_submission(folder, RULES, no_model=True)
    assert checked.chosen.fits is None


def test_a_file_that_may_not_be_looked_at_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = submission(tmp_path, {"train_gpt.py": "x = 1\n", "secret.txt": "x"})

    def is_file(path: Path) -> bool:
        if path.name == "secret.txt":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return path.exists()

    monkeypatch.setattr(Path, "is_file", is_file)
    with pytest.raises(UsageError, match=r"secret\.txt: cannot be read: Permission denied"):
        open_folder(folder, RULES.files)


@pytest.mark.parametrize(
    "program",
    [
        "import sys\nsys.path += ['lib']\nimport helper\n",
        "import sys\nsys.path[0:0] = ['lib']\nimport helper\n",
        "import sys\nsys.path = ['lib', *sys.path]\nimport helper\n",
        "import runpy\nrunpy.run_module('lib')\n",
        "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'lib'])\n",
        "import importlib, lib\nfor name in dir(lib):\n    importlib.import_module('lib.' + name)\n",
    ],
)
def test_a_folder_of_modules_counts_however_it_is_looked_in(tmp_path: Path, program: str) -> None:
    files = {"lib/helper.py": HELPER, "lib/__init__.py": "", "lib/__main__.py": "from lib import helper\n"}
    assert counted(check(tmp_path, program, **files))["lib/helper.py"] == len(HELPER)


@pytest.mark.parametrize(
    ("program", "path"),
    [
        ("import os\nos.system('python inner.txt')\n", "inner.txt"),
        ("import os\nos.system('papermill inner.ipynb out.ipynb')\n", "inner.ipynb"),
        ("import nbformat\nnbformat.read('inner.ipynb', 4)\n", "inner.ipynb"),
        ("import xml.etree.ElementTree as E\nE.parse('inner.svg')\n", "inner.svg"),
    ],
)
def test_what_is_run_or_read_counts_under_any_suffix(tmp_path: Path, program: str, path: str) -> None:
    assert counted(check(tmp_path, program, **{path: HELPER})) == {path: len(HELPER)}


@pytest.mark.parametrize(
    "command", ["cat a >> notes.txt", "python x 2> notes.txt", "x | tee notes.txt", "cat README.md"]
)
def test_what_a_command_writes_or_people_read_does_not_count(tmp_path: Path, command: str) -> None:
    files = {"notes.txt": "hi", "README.md": "hi"}
    assert not counted(check(tmp_path, f"import os\nos.system({command!r})\n", **files))


@pytest.mark.parametrize(
    ("program", "warned"),
    [
        ("exec('repleh tropmi'[::-1])\n", True),
        ("import codecs\nexec(codecs.decode('vzcbeg urycre', 'rot13'))\n", True),
        ("exec(bytes(b ^ 7 for b in b'nj'))\n", True),
        ("import importlib, sys\nimportlib.import_module(sys.argv[1])\n", True),
        ("import os\nexec(f'import {os.environ[\"X\"]}')\n", True),
        ("exec('x = 1' + chr(10))\n", False),
        ("class A:\n    def exec(self, x): self.exec(x)\n", False),
        ("exec('')\nmodel.eval()\n", False),
    ],
)
def test_what_only_running_tells_is_warned_of_where_files_are_not_counted(
    tmp_path: Path, program: str, *, warned: bool
) -> None:
    codes = [found.code for found in check(tmp_path, program, **{"helper.py": HELPER}).findings]
    assert ("GB210" in codes) == warned
    (tmp_path / "helper.py").unlink()
    assert "GB210" not in [found.code for found in check(tmp_path, program).findings]


@pytest.mark.parametrize("name", ["TRAIN.LOG", "Submission.json", "FINAL_MODEL.INT8.PTZ"])
def test_letter_case_of_names_does_not_count(tmp_path: Path, name: str) -> None:
    lower = tmp_path / "lower"
    content = {"TRAIN.LOG": log_text(), "Submission.json": '{"bytes_total": 5}'}.get(name, b"\0" * 2000)
    first, second = ({"train.log": log_text(), name.lower(): content}, {"train.log": log_text(), name: content})
    told = [
        check_submission(submission(folder, {"TRAIN_GPT.PY": "import helper\n", "helper.py": HELPER, **files}), RULES)
        for folder, files in ((lower, first), (tmp_path / "upper", second))
    ]
    assert told[0].codes(*Severity) == told[1].codes(*Severity)
    assert counted(told[1]) == {"helper.py": len(HELPER)}


def test_what_a_mac_puts_beside_files_is_passed_over(tmp_path: Path) -> None:
    junk = {f"._{name}": b"\0\5\x16\7" + b"\0" * 900 for name in ("train.log", "submission.json", "helper.py", "m.ptz")}
    assert check(tmp_path, "x = 1\n").codes(*Severity) == check(tmp_path, "x = 1\n", **junk).codes(*Severity)


@pytest.mark.parametrize(("names", "parts"), [(("m.s0.ptz", "m.s1.ptz"), True), (("m_seed0.ptz", "m_seed1.ptz"), False),
                                              (("m.s42.ptz", "m.s7.ptz"), False)])  # fmt: skip
def test_numbers_that_may_be_those_of_parts_are_told(tmp_path: Path, names: tuple[str, str], *, parts: bool) -> None:
    files = {name: lzma.compress(Random(at).randbytes(4000 + at)) for at, name in enumerate(names)}
    assert ("GB404" in check(tmp_path, "x = 1\n", **files).codes(Severity.WARNING)) == parts


@pytest.mark.parametrize(
    ("program", "parts"),
    [
        ("import torch\ntorch.load('m_seed7.ptz')\ntorch.load('m_seed42.ptz')\n", True),
        ("for seed in (7, 42): open(f'm_seed{seed}.ptz', 'rb')\n", True),
        ("import sys\nopen(f'm_seed{sys.argv[1]}.ptz', 'rb')\n", False),
        ("import os\nopen(f\"m_seed{os.environ.get('SEED', 7)}.ptz\", 'rb')\n", False),
    ],
)
def test_models_of_seeds_that_one_program_reads_may_be_one(tmp_path: Path, program: str, *, parts: bool) -> None:
    files = {f"m_seed{seed}.ptz": lzma.compress(Random(seed).randbytes(4000)) for seed in (7, 42)}
    assert ("GB404" in check(tmp_path, program, **files).codes(Severity.WARNING)) == parts


@pytest.mark.parametrize(("name", "length", "told"), [("grams.npy", 900, True), ("final_model.pt", 9000, False)])
def test_what_a_program_writes_and_reads_again_may_be_of_the_model(
    tmp_path: Path, name: str, length: int, *, told: bool
) -> None:
    program = f"open('m.ptz', 'wb')\nopen('m.ptz', 'rb')\nopen('{name}', 'wb')\nopen('{name}', 'rb')\n"
    files = {"m.ptz": lzma.compress(Random(1).randbytes(4000)), name: bytes(length)}
    messages = [found.message for found in check(tmp_path, program, **files).findings if found.code == "GB404"]
    assert [f"(train_gpt.py, line 4), and not counted: {name} ({length} bytes)" in text for text in messages] == (
        [True] if told else []
    )


def test_a_tree_of_submissions_is_called_one(tmp_path: Path) -> None:
    submission(tmp_path, {f"records/{name}/train_gpt.py": "x = 1\n" for name in "abc"})
    with pytest.raises(UsageError, match=r"found programs in 3 folders below \(records/a, records/b, records/c, …\)"):
        check_submission(tmp_path, RULES)


def test_training_state_is_never_the_model(tmp_path: Path) -> None:
    model, state = (lzma.compress(Random(at).randbytes(4000 + at)) for at in (1, 2))
    checked = check(tmp_path, "x = 1\n", **{"final_model.int8.ptz": model, "optimizer_state.ptz": state})
    assert [one.source for one in checked.models] == ["final_model.int8.ptz"]


def test_a_text_of_several_lines_is_no_model(tmp_path: Path) -> None:
    page = "<!DOCTYPE html>\n<html>\n" + "<p>Not found</p>\n" * 200
    assert "GB403" in check(tmp_path, "x = 1\n", **{"final_model.int8.ptz": page}).codes(Severity.WARNING)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="a superuser alone can become another user")
@pytest.mark.parametrize(
    "path", ["train_gpt.py", "train.log", "submission.json", "final_model.int8.ptz", "helper.py", "lib"]
)
def test_what_may_not_be_read_is_named(tmp_path: Path, path: str) -> None:
    files: dict[str, str | bytes] = {
        "submission.json": "{}",
        "final_model.int8.ptz": b"x" * 2000,
        "helper.py": HELPER,
        "lib/a.py": HELPER,
    }
    check(tmp_path, "import helper\n", **files)
    tmp_path.chmod(0o755)
    (tmp_path / path).chmod(0)
    for folder in tmp_path.parents[:3]:
        folder.chmod(0o755)
    user = os.geteuid()
    os.seteuid(65534)
    try:
        with pytest.raises(UsageError, match=r"cannot be (read|listed): Permission denied") as caught:
            check_submission(tmp_path, RULES)
    finally:
        os.seteuid(user)
    assert str(tmp_path / path) in str(caught.value)
