"""What a program needs and its folder does not hold: modules further up, forgotten files, pointers for others."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.standins import log_text, submission

from golfbudget.rules import load_rules
from golfbudget.submission import Checked, check_submission

RULES = load_rules()


def check(folder: Path, files: dict[str, str]) -> Checked:
    return check_submission(submission(folder, {"train.log": log_text(code=100, model=1_000_000), **files}), RULES)


def counted(found: Checked) -> set[str]:
    return {one.file.path for one in found.code.counted}


def codes(found: Checked) -> set[str]:
    return {finding.code for finding in found.findings}


ABOVE = "from pathlib import Path\nimport sys\nROOT = Path(__file__).resolve().parent.parents[2]\n"
LACKING = {
    "a module above": (f"{ABOVE}sys.path.insert(0, str(ROOT))\nfrom walk import main\nimport torch, json\n", "walk"),
    "a package above": ("import sys\nsys.path.append('../..')\nfrom common.model import GPT\n", "common"),
    "a program above": (f"{ABOVE}import runpy\nrunpy.run_path(str(ROOT / 'base.py'))\n", "../../../base.py"),
    "a program of the same name above": (
        f"{ABOVE}import os, sys\nos.execv(sys.executable, ['python', str(ROOT / 'train_gpt.py')])\n",
        "../../../train_gpt.py",
    ),
    "a program run": ("import subprocess, sys\nsubprocess.run([sys.executable, 'inner.py'])\n", "inner.py"),
    "a module beside": ("from .helper import y\n", ".helper"),
    "a source": ("load(name='k', sources=['fused.cpp'])\n", "fused.cpp"),
    "a library": ("import ctypes\nctypes.CDLL('./libfast.so')\n", "libfast.so"),
    "a table": ("import numpy as np\nnp.fromfile('table.bin')\n", "table.bin"),
}  # fmt: skip
NOT_LACKING = {
    "given data": "import os, numpy as np\nnp.fromfile('data/x.bin')\nopen('./data/tokenizers/a.model')\n"
                  "os.system('python data/fetch.py')\n",
    "its own output": "open('t.npy', 'wb')\nopen('t.npy', 'rb')\nopen('k.cu', 'w')\nload(sources=['k.cu'])\n",
    "installed": "import sys\nsys.path.insert(0, '/opt/flash-attention')\nimport flash_attn_interface, torch, os\n",
    "of the machine": "import ctypes\nctypes.CDLL('libcudart.so')\nctypes.CDLL('libc.so.6')\nopen('/proc/cpuinfo')\n",
    "names": "AutoTokenizer.from_pretrained('some/model-3.2')\nimport subprocess\nsubprocess.run(['nvidia-smi'])\n",
    "weights to go on with": "import torch\ntorch.load('ckpt.pt')\nopen('final_model.int8.ptz', 'rb')\n",
    "a name of its package": "import sys\nsys.path.insert(0, '..')\nimport pack.part\nfrom pack import part, other\n",
}  # fmt: skip


@pytest.mark.parametrize(("source", "name"), LACKING.values(), ids=LACKING)
def test_what_is_needed_and_not_there_is_said(tmp_path: Path, source: str, name: str) -> None:
    found = check(tmp_path, {"train_gpt.py": source})
    (told,) = [one.message for one in found.findings if one.code == "GB211"]
    line = source.splitlines().index(next(one for one in source.splitlines() if Path(name.strip(".")).name in one)) + 1
    assert f"not known: {name} (train_gpt.py, line {line}) (--code" in told


@pytest.mark.parametrize("source", NOT_LACKING.values(), ids=NOT_LACKING)
def test_what_is_given_written_or_installed_is_not_missed(tmp_path: Path, source: str) -> None:
    found = check(tmp_path, {"train_gpt.py": source, "pack/part.py": "from . import name\n"})
    assert "GB211" not in codes(found)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("from util import get\nget('table.txt')\n", "table.txt"),
        ("import builtins\ngetattr(builtins, 'op' + 'en')('table.csv')\n", "table.csv"),
        ("from pathlib import Path\nget(Path(__file__).parent / 'lib' / 'table.json')\n", "lib/table.json"),
    ],
)
def test_a_text_that_is_named_and_not_counted_is_said(tmp_path: Path, source: str, name: str) -> None:
    found = check(tmp_path, {"train_gpt.py": source, name: "y" * 99})
    (told,) = [one.message for one in found.findings if one.code == "GB212"]
    assert (
        told == f"train_gpt.py, line {source.count(chr(10))}: named here, and not counted, as whether it is read is "
        f"not known: {name} (99 bytes)"
    )


@pytest.mark.parametrize(
    "source",
    [
        "log = 'train.log'\nwith open('run.txt', 'a') as f: print(1, file=f)\nget('run.txt')\n",
        "import matplotlib.pyplot as plt\nplt.savefig('run.txt')\nprint('README.md', 'requirements.txt')\n",
        "print('see run.txt')\n'run.txt'\nopen('submission.json')\n",
        "import json\njson.dump({}, open('run.txt', 'w'))\nx = 'run.txt'\n",
        "T = open('run.txt').read()\nx = 'run.txt'\n",
    ],
)
def test_texts_that_are_written_read_or_for_people_are_no_doubt(tmp_path: Path, source: str) -> None:
    files = dict.fromkeys(("run.txt", "README.md", "requirements.txt"), "y" * 99)
    assert "GB212" not in codes(check(tmp_path, {"train_gpt.py": source, **files}))


def test_what_an_option_names_is_not_missed(tmp_path: Path) -> None:
    source = "import sys\nsys.path.append('../..')\nfrom walk import main\nfrom common.model import GPT\n"
    above = submission(tmp_path, {"walk.py": "y = 1\n", "common/model.py": "GPT = 1\n"})
    folder = submission(tmp_path / "a" / "b", {"train_gpt.py": source, "train.log": log_text(model=1_000_000)})
    code = [folder / "train_gpt.py", above / "walk.py", above / "common" / "model.py"]
    assert "GB211" in codes(check_submission(folder, RULES))
    assert "GB211" not in codes(check_submission(folder, RULES, code=code))


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import urllib.request\nurllib.request.urlretrieve('https://x.y/w.bin', 'w.bin')\n", True),
        ("import subprocess\nsubprocess.run(['curl', '-L', '-o', 'w.bin', url])\n", True),
        ("import os\nos.system(f'cd /tmp && git clone {repository}')\n", True),
        ("import requests\nopen('w.bin', 'wb').write(requests.get(url).content)\n", True),
        ("from huggingface_hub import hf_hub_download\nhf_hub_download('me/w', 'w.bin')\n", True),
        ("from huggingface_hub import snapshot_download\nsnapshot_download('me/d', repo_type='dataset')\n", False),
        ("import os, subprocess\nos.environ.get('CURL')\nsubprocess.run(['pip', 'install', 'brotli'])\n", False),
        ("'wget x'\nprint('curl it')\nrequests = {}\nrequests.get2('x')\n", False),
    ],
)
def test_what_is_fetched_from_the_net_is_said(tmp_path: Path, source: str, *, told: bool) -> None:
    assert ("GB213" in codes(check(tmp_path, {"train_gpt.py": source}))) == told


def test_a_folder_further_up_is_not_the_submission(tmp_path: Path) -> None:
    source = "from pathlib import Path\nexec((Path(__file__).parents[2] / 'lib' / 'helper.py').read_text())\n"
    found = check(tmp_path, {"train_gpt.py": source, "lib/helper.py": "y = 1\n"})
    assert counted(found) == {"train_gpt.py"}
    assert {"GB208", "GB211"} <= codes(found)


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("open('table.bin', 'rb')\n", "table.bin"),
        ("import helper\n", "helper.py"),
        ("ctypes.CDLL('./a.so')\n", "a.so"),
    ],
)
def test_a_pointer_is_not_the_file_that_the_program_needs(tmp_path: Path, source: str, path: str) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 3000000\n"
    found = check(tmp_path, {"train_gpt.py": source, path: pointer})
    (told,) = [one.message for one in found.findings if one.code == "GB208"]
    assert told.startswith(f"what the program needs is not known: {path}: a Git LFS pointer of 132 bytes, not the file")
    assert "3,000,000 bytes" in told
    assert not found.passed()
