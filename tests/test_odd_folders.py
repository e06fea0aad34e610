"""Submission folders as people leave them: links, what is no file, hidden folders, logs without end."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from command_line import Run
from standins import log_text, submission

from golfbudget.errors import LimitError, UsageError
from golfbudget.rules import load_rules
from golfbudget.submission import Checked, check_submission
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
    ],
)
def test_a_module_counts_however_it_is_asked_for(tmp_path: Path, program: str) -> None:
    checked = check(tmp_path, program, **{"helper.py": HELPER})
    assert counted(checked) == {"helper.py": len(HELPER)}
    (one,) = checked.code.helpers or checked.code.behind
    assert one.place is not None
    assert one.place.line == program.count("\n")


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
