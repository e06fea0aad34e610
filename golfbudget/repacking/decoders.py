"""The Python that a program carries to undo a packing: as short as plain source gets, and counted beside the saving.

Every source takes the file's bytes as `d`.  Of a same container it leaves the container's bytes in `d`, for whatever
loader there was; of a `golfbudget-pack` the tree in `o`, with torch tensors or numpy arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from golfbudget.codecs.rans.decoders import source as rans_source
from golfbudget.dtypes import element_bytes
from golfbudget.formats.pack import CODECS
from golfbudget.repacking.saved_object import NUMPY, SavedObject


@dataclass(frozen=True, slots=True)
class Undone:
    """How a codec is undone in source: a module to import, and what to call with the encoded bytes."""

    module: str
    call: str

    def source(self, name: str) -> str:
        """Lines that decode the bytes of that name in place."""
        return f"import {self.module}\n{name}={self.call}({name})\n"


#: Every codec that plain Python, or one package, undoes.
UNDONE = {
    "zlib": Undone("zlib", "zlib.decompress"),
    "gzip": Undone("gzip", "gzip.decompress"),
    "bz2": Undone("bz2", "bz2.decompress"),
    "xz": Undone("lzma", "lzma.decompress"),
    "lzma": Undone("lzma", "lzma.decompress"),
    "zstd": Undone("zstandard", "zstandard.ZstdDecompressor().decompress"),
    "brotli": Undone("brotli", "brotli.decompress"),
}
#: What a pack's own source has for the others.
_OWN = {"none": "bytes", "rans": "r"}
_NUMBERS = {name: number for number, name in CODECS.items()}
_NONE: Mapping[str, str] = {}
_UNSHUFFLE = "s=d[4];y=bytearray(len(d)-5);k=5\nfor j in range(s):m=len(y[j::s]);y[j::s]=d[k:k+m];k+=m\nd=y\n"


_ORDERED = (" import collections", " r=collections.OrderedDict(g(t[1]))")
#: Lines for each kind of special value.
_SPECIAL = {
    "t": [" if t[0]=='t':return(*g(t[1]),)"],
    "s": [" if t[0]=='s':return n.Size(t[1])"],
    "d": [" if t[0]=='d':return dict(g(t[1]))"],
    "o": [*_ORDERED, " if t[2:]:r._metadata=collections.OrderedDict(t[2])", " return r"],
}
#: numpy has no Size.
_TUPLE_OF_SIZES = [" if t[0]=='s':return(*g(t[1]),)"]


def chain_source(steps: Iterable[str]) -> str:
    """Undo codecs and filters from the outside in; a step that has no plain call counts for nothing."""
    made = ""
    for name in steps:
        if name == "byte-shuffle":
            made += _UNSHUFFLE
        elif name in UNDONE:
            made += UNDONE[name].source("d")
    return made


def pack_source(
    held: SavedObject,
    codecs: Sequence[str],
    *,
    shuffled: bool,
    forms: Iterable[str],
    widened: Mapping[str, str] = _NONE,
    trellis: bool = False,
) -> str:
    """Decode a `golfbudget-pack` that uses these codecs and forms of pieces; what it does not use is left out.

    `widened` are the dtypes that numpy lacks, by the letter that a function `B` of bytes and a letter takes for each.
    `trellis` says whether some stream under rANS has a trellis-coded matrix.
    """
    used = sorted(set(codecs))
    modules = sorted({"json", *(UNDONE[name].module for name in used if name in UNDONE)})
    calls = ",".join(f"{_NUMBERS[name]}:{UNDONE[name].call if name in UNDONE else _OWN[name]}" for name in used)
    spelled = list(forms)
    numpy = held.framework == NUMPY
    lines = [f"import {','.join(modules)},{'numpy as n' if numpy else 'torch as n'}", f"U={{{calls}}}", "P=[];S=[]"]
    if "rans" in used:
        lines[1:1] = rans_source(numpy=numpy, trellis=trellis).splitlines()
    lines += ["q=5+5*d[4]", "for i in range(5,q,5):", " m=int.from_bytes(d[i+1:i+5],'little')"]
    lines += [" x=U[d[i]&15](d[q:q+m]);q+=m"]
    if shuffled:
        lines += [" if d[i]>15:", "  s=x[4];y=bytearray(len(x)-5);k=5"]
        lines += ["  for j in range(s):m=len(y[j::s]);y[j::s]=x[k:k+m];k+=m", "  x=y"]
    lines += [" S+=x,", "x=S[0];m=4+int.from_bytes(x[:4],'little')", "t,p,c=json.loads(x[4:m]);S[0]=x[m:]", "p=iter(p)"]
    lines += ["for x,c in zip(S,c):", " q=0", " for _ in range(c):"]
    lines += _piece_lines(spelled, widened, numpy=numpy)
    if any("~" in form for form in spelled):
        index = "P[i][n.argsort(P[int(r)])]" if numpy else "P[i][P[int(r)].int().argsort()]"
        lines += ["for i,r in R:P[i]=" + index]
        lines[lines.index("P=[];S=[]")] += ";R=[]"
    lines += ["def g(t):", " if type(t)is list:return[*map(g,t)]", " if type(t)is not dict:return t"]
    lines += [' if""not in t:return{k:g(v)for k,v in t.items()}', ' t=t[""]', " if type(t)is int:return P[t]"]
    kinds = _kinds(held.tree)
    specials = _SPECIAL | {"s": _TUPLE_OF_SIZES} if numpy else _SPECIAL
    lines += [line for kind, special in specials.items() if kind in kinds for line in special]
    return "\n".join([*lines, "o=g(t)"]) + "\n"


def _piece_lines(forms: Sequence[str], widened: Mapping[str, str], *, numpy: bool) -> list[str]:
    """One piece: its form and shape to bytes, to an array."""
    lines = ["  f,*s=next(p)"]
    if any("~" in form for form in forms):
        lines += ["  f,_,r=f.partition('~')", "  if r:R+=(len(P),r),"]
    if any("/" in form for form in forms):
        lines += ["  w,_,f=f.rpartition('/')"]
    lines += ["  k=1", "  for j in s:k*=j"]
    wide = any("/" in form for form in forms)
    if numpy and widened:
        letters = ",".join(f"{dtype!r}:{letter!r}" for dtype, letter in widened.items())
        sizes = ",".join(f"{letter!r}:{element_bytes(dtype)}" for dtype, letter in widened.items())
        lines += [f"  T={{{letters}}}.get(f,f or'B');k*={{{sizes}}}.get(T)or n.dtype(T).itemsize"]
        lines += ["  v=B(x[q:q+k],T).reshape(s)"]
    elif numpy:
        lines += ["  T=n.dtype(f or'B');k*=T.itemsize", "  v=n.frombuffer(x[q:q+k],T).reshape(s)"]
    else:
        lines += ["  T=getattr(n,f or'uint8');k*=T.itemsize"]
        lines += ["  v=(n.frombuffer(bytearray(x[q:q+k]),dtype=T)if k else n.empty(0,dtype=T)).view(s)"]
    if wide:
        lines += ["  if w:v=v.astype(w)" if numpy else "  if w:v=v.to(getattr(n,w))"]
    if "" in forms:
        lines += ["  if''==f:v=bytes(x[q:q+k])"]
    return [*lines, "  q+=k;P+=v,"]


def _kinds(tree: object) -> set[str]:
    if isinstance(tree, list):
        return set().union(*map(_kinds, tree))
    special = tree.get("") if isinstance(tree, dict) else None
    if isinstance(special, list):
        return {special[0]} | _kinds(special[1])
    return set().union(*map(_kinds, tree.values())) if isinstance(tree, dict) else set()
