"""Bytes as arrays of numpy's or tensors of torch's, in source; bfloat16 and float8 come out of numpy as float32.

float8_e4m3fn: a sign, four bits of exponent and three of fraction, NaN where all seven are set (arXiv:2209.05433);
put where float32 has its own, they are too small by 2^120.
"""

from __future__ import annotations

from collections.abc import Iterable

from golfbudget.decoding.loader import Held, Loader
from golfbudget.errors import UnsupportedError

#: numpy's letters.
_LETTERS = {
    "bool": "?", "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q",
    "uint64": "Q", "float16": "e", "float32": "f", "float64": "d", "complex64": "F", "complex128": "D",
}  # fmt: skip
_EIGHT_BITS = """ if k=='v':
  i=n.frombuffer(b,'B').astype('I');y=((i&127)<<20|(i&128)<<24).view('f')*2.**120;y[(i&127)>126]=n.nan;return y
"""
#: Letters of our own for what numpy lacks, and how `B` reads it from the bytes `b`.
_WIDENED = {
    "bfloat16": ("w", " if k=='w':return(n.frombuffer(b,'H').astype('I')<<16).view('f')\n"),
    "float8_e5m2": ("u", " if k=='u':return(n.frombuffer(b,'B').astype('H')<<8).view('e').astype('f')\n"),
    "float8_e4m3fn": ("v", _EIGHT_BITS),
}
#: Rounds float32 to bfloat16, to nearest even, and leaves it float32.
_TO_BFLOAT16 = "i=x.astype('f').view('I');return(i+(i>>16&1)+32767>>16<<16).view('f')\n"


def widened(dtypes: Iterable[str]) -> list[str]:
    """Those dtypes that numpy lacks, and that its arrays hold as float32."""
    return sorted(set(dtypes) & set(_WIDENED))


def letter(dtype: str, path: str) -> str:
    """The dtype as `reading`'s function takes it; `UnsupportedError` where numpy can hold none such."""
    known = _LETTERS.get(dtype) or _WIDENED.get(dtype, ("",))[0]
    if not known:
        raise UnsupportedError(f"{path}: it has tensors of {dtype}, which numpy lacks; try --with torch")
    return known


def reading(loader: Loader, held: Held) -> str:
    """The name of a function of bytes and a letter that gives a flat array."""
    special = widened(held.dtypes)
    if not special:
        return "n.frombuffer"
    cases = "".join(_WIDENED[dtype][1] for dtype in special)
    return loader.define("B", f"def B(b,k):\n{cases} return n.frombuffer(b,k)\n")


def cast(loader: Loader, held: Held, wanted: set[str], value: str, name: str) -> str:
    """`value`, a float32 array, in the dtype that the expression `name` gives, which is one of those wanted.

    `UnsupportedError` for a dtype that numpy lacks.
    """
    if wanted <= {"float32"}:
        return value
    single = next(iter(wanted)) if len(wanted) == 1 else None
    if not held.numpy:
        return f"({value}).to({f'n.{single}' if single else f'getattr(n,{name})'})"
    for dtype in wanted:
        if dtype != "bfloat16" and dtype not in _LETTERS:
            raise UnsupportedError(f"{held.artifact.path}: it decodes to {dtype}, which numpy lacks; try --with torch")
    if single == "bfloat16":
        return f"{loader.define('A', f'def A(x):{_TO_BFLOAT16}')}({value})"
    if single:
        return f"({value}).astype('{_LETTERS[single]}')"
    if "bfloat16" not in wanted:
        return f"({value}).astype({name})"
    source = f"def A(x,t):\n if t!='bfloat16':return x.astype(t)\n {_TO_BFLOAT16}"
    return f"{loader.define('A', source)}({value},{name})"
