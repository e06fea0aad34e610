"""Which literals of a program are its model: data that it does not run, in one piece or in many."""

from __future__ import annotations

import ast
import lzma
from base64 import b85encode
from pathlib import Path
from random import Random

import pytest

from golfbudget.submission.sources import read_sources
from golfbudget.submission.weights_in_code import holds_weights

RANDOM = Random(16)
DATA = b85encode(RANDOM.randbytes(40_000)).decode()
PLAIN = Path(ast.__file__).read_text(encoding="utf-8")
ROWS = [DATA[at : at + 76] for at in range(0, len(DATA), 76)]


def packed(text: str, run: str = 'exec(lzma.decompress(base64.b85decode("{}")))\n') -> str:
    """A program that runs what it packs."""
    return "import lzma,base64\n" + run.format(b85encode(lzma.compress(text.encode())).decode())


LITERAL = f"W = {DATA!r}\n"
WEIGHTS = {
    "one literal": LITERAL,
    "rows of a list": f"W = {ROWS!r}\n",
    "rows of one literal": "W = '''" + "\n".join(ROWS) + "'''\n",
    "many names": "".join(f"w{number} = {row!r}\n" for number, row in enumerate(ROWS)),
    "numbers": f"W = {[RANDOM.randrange(-128, 128) for _ in range(9000)]}\n",
    "bytes": f"W = {RANDOM.randbytes(9000)!r}\n",
    "beside a packed program": packed(PLAIN) + LITERAL,
    "beside another file": f'exec(open("helper.py").read())\n{LITERAL}',
    "inside what is packed": packed(LITERAL),
}
NONE = {
    "a program": PLAIN,
    "a packed program": packed(PLAIN),
    "a packed program with a name": packed(PLAIN, 'd = "{}"\nexec(lzma.decompress(base64.b85decode(d)))\n'),
    "one behind a function": packed(PLAIN, 'def f():\n return lzma.decompress(base64.b85decode("{}"))\nexec(f())\n'),
    "one that nobody can unpack": f"import base64,marshal\nexec(marshal.loads(base64.b85decode({DATA!r})))\n",
    "a table in a program": f"{PLAIN}T = {DATA[:9000]!r}\n",
    "prose": f"TEXT = {'It was the best of times. ' * 900!r}\n",
}


@pytest.mark.parametrize(
    ("source", "held"),
    [*((source, True) for source in WEIGHTS.values()), *((source, False) for source in NONE.values())],
    ids=[*WEIGHTS, *NONE],
)
def test_data_that_is_not_run_is_the_model(tmp_path: Path, source: str, *, held: bool) -> None:
    path = tmp_path / "train_gpt.py"
    path.write_text(source, encoding="utf-8")
    assert holds_weights(read_sources(path, path.name).programs) is held
