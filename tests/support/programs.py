"""Programs that stop doing what they do where packing is careless; each prints what it does."""

from __future__ import annotations

import base64
import bz2
import lzma
import zlib
from collections.abc import Iterator, Sequence

import brotli

#: Functions alike enough to be compressed to less than a stub costs, so that every program below gets one.
PADDING = "".join(f"def pad_{n}(argument):\n    return [argument * {n} for _ in range({n})]\n" for n in range(60))

_TEXTS = '''
### future
"""Doc."""
from __future__ import annotations
def f(x: Later, y: 1 << 3 | A[2, "b"]) -> 1 + 1: pass
print(f.__annotations__)
### main
def main():
    print("main", __name__)
if __name__ == "__main__":
    main()
### its own file
from pathlib import Path
print(Path(__file__).name, Path(__file__).is_file())
### arguments and exit
import sys
print(sys.argv[1:])
sys.exit(3)
### dataclasses
import dataclasses
@dataclasses.dataclass
class A:
    "Doc."
    x: int
    y: str = "b"
print(A(1))
### typed dictionaries
from typing import *
class T(TypedDict):
    n: int
print(T.__annotations__)
### annotations that a decorator reads
import functools
@functools.singledispatch
def f(x): return "any"
@f.register
def _(x: int): return "int"
print(f(1), f(""))
### module annotations
limit: int
size: "float" = 1
print(__annotations__)
### docstrings that are read
"Usage: x"
def f():
    "Doc of f."
print(__doc__, f.__doc__)
### docstrings read by name
def f():
    "Doc of f."
print(getattr(f, "__" "doc__"))
### docstrings that cmd reads
import cmd
class C(cmd.Cmd):
    def do_x(self, arg):
        "Does x."
C().onecmd("help x")
### locals
def f(number):
    total = number + 1
    return sorted(locals())
print(f(1))
### frames
import sys
def show():
    print(sorted(sys._getframe(1).f_locals.items()))
def f(number):
    total = number + number
    total += total
    show()
f(1)
### names in queries
import sys
class Table:
    def query(self, text):
        return getattr(sys._getframe(1), "f_" + "locals")[text[1:]]
def f(limit):
    bound = limit + limit
    bound += bound
    return Table().query("@bound")
print(f(2))
### positional-only parameters
def f(self, /, **rest):
    return rest
print(f(0, self=1))
### a generator that yields nothing
def f():
    if False:
        yield 1
print(list(f()))
### a local that is never bound
x = 1
def f():
    if 0:
        x = 2
    return x
try:
    f()
except UnboundLocalError:
    print("unbound")
### f-strings
def f(value):
    value = value + value
    return f"{value=} {value!r:>{8 + value}} {{}}"
print(f(2))
### assertions
def f():
    try:
        assert 0, "why"
    except AssertionError as error:
        return str(error)
print(f())
### private names
class A:
    def __init__(self):
        self.__x = 1
print(vars(A()))
### names of functions
class A:
    def method(self): return lambda: 0
print(A.method.__qualname__, A.__name__, sorted(A.__dict__)[:3])
### names of inner functions
def f():
    def inner(): pass
    class Inner: pass
    return inner, Inner, inner, Inner, inner, Inner
print([x.__name__ for x in f()], f()[0].__qualname__)
### module names
import math, os.path as p
from os import sep as separator
value = 1
print(sorted(n for n in globals() if n in ("math", "p", "separator", "value")))
### pickles
import pickle
class A:
    pass
print(type(pickle.loads(pickle.dumps(A()))).__name__, pickle.dumps(A)[-20:])
### matches
def f(subject):
    match subject:
        case {"a": [first, *rest], **others}:
            return first, rest, others
        case str(text) | (text, _):
            return text
print(f({"a": [1, 2], "b": 3}), f("x"), f((1, 2)))
### nested scopes
def f(total):
    def g(step):
        nonlocal total
        total += step
        return [step for step in range(total)]
    return g(2), total
print(f(1))
### keywords
def f(first, *, second=2): return first - second
print(f(first=5, second=1))
### errors
class Bad(Exception):
    pass
def f(): raise Bad()
try:
    f()
except Bad as error:
    print(repr(error), error.__cause__)
### numbers
print(1_000_000_007 * 3, 0x_ff, 1e999, -0.0, 2 ** 70, 1.0 == 1, True + 1, 3 .real, 1j * 1j)
### the names that a stub brings
try:
    L, B, compress
except NameError as error:
    print(error, open.__module__)
### exec
def f(long_name):
    exec("print(long_name)")
f(7)
### text beyond ASCII
été = "漢🏌"
print(ascii(été), "\\ud800".isprintable(), "\\r\\0" == chr(13) + chr(0))
'''

_BLOCKS = (block.partition("\n") for block in _TEXTS.lstrip("\n# ").split("### "))

PROGRAMS: dict[str, bytes] = {
    **{name: text.encode() for name, _, text in _BLOCKS},
    "DOS line ends": b"text = '''a\r\nb'''\r\nprint([text])\r\nif text:\r\n    print(1)\r\n",
    "old Macintosh line ends": b"text = '''a\rb'''\rprint([text])\r",
    "a declared encoding": b"# -*- coding: latin-1 -*-\nprint(ascii('\xe9\xfc\xa0'))\n",
    "a declared encoding in line 2": b"#!/usr/bin/python3\n# vim: set fileencoding=cp1252 :\nprint(ascii('\x80'))\n",
    "a declared encoding that is not needed": b"# coding: latin-1\nprint('plain')\n",
    "UTF-8 that is declared to be latin-1": b"# coding: latin-1\nprint(ascii('\xc3\xa9'))\n",
    "a byte order mark": b"\xef\xbb\xbfprint(1)\n",
    "no newline at the end": b"x = 1\nprint(x)",
}


def by_minifier(source: bytes) -> bytes:
    """What python-minifier makes of a program by its defaults.

    These rename inner functions, whose `__name__` shows, drop annotations that a decorator could read, make
    positional-only parameters ordinary ones and add globals for literals that repeat.
    """
    import python_minifier

    return python_minifier.minify(source.decode()).encode()


def by_hand(source: bytes, *, with_brotli: bool = False) -> Iterator[bytes]:
    """The stubs that people write around a program, each with a library's own defaults or its highest level."""
    made = [
        ("lzma", lzma.compress(source)),
        ("lzma", lzma.compress(source, preset=9 | lzma.PRESET_EXTREME)),
        ("lzma", lzma.compress(source, format=lzma.FORMAT_ALONE, preset=9 | lzma.PRESET_EXTREME)),
        ("zlib", zlib.compress(source, 9)),
        ("bz2", bz2.compress(source)),
    ]
    if with_brotli:
        windows = (22, 24, 16)
        made += [("brotli", brotli.compress(source, lgwin=window)) for window in windows]
        made += [("brotli", brotli.compress(source, mode=brotli.MODE_TEXT, lgwin=window)) for window in windows]
    for module, data in made:
        text = base64.b85encode(data).decode()
        yield f'import {module} as L,base64 as B\nexec(L.decompress(B.b85decode("{text}")))'.encode()


def damaged(data: bytes, cut: float, flips: Sequence[tuple[float, int]]) -> tuple[bytes, bytes]:
    """The data with some bytes changed, and cut off at a share of its length."""
    changed = bytearray(data)
    for at, change in flips:
        changed[int(at * len(data))] ^= change
    return bytes(changed), data[: int(cut * len(data))] or b"#"
