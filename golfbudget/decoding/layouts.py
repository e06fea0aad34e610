"""The object that a container holds, as a state dict: one function for each layout, in the reader's own arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from golfbudget.codecs.rans.decoders import source as rans_source
from golfbudget.codecs.rans.decoding import has_columns
from golfbudget.decoding.loader import Held, Loader
from golfbudget.decoding.numbers import cast
from golfbudget.decoding.tables import matrices
from golfbudget.errors import UnsupportedError
from golfbudget.recipe.export import Export
from golfbudget.recipe.layouts.base import APART

#: How the names of a coder's streams end, in layout `packed`.
_CODED = "/rans"
#: Values of these dtypes times float32 scales are float32, in numpy and in torch.
_EXACT = {"int8", "uint8", "int16", "float16"}


def lay_out(loader: Loader, held: Held) -> None:
    """Add what makes `s` of `o`; the object itself where the layout is none that is known.

    `UnsupportedError` for a layout that is known and of which no decoder is written.
    """
    if held.export is None or held.layout is None:
        loader.result = "o"
    elif held.layout not in _LAYOUTS:
        raise UnsupportedError(f"{held.artifact.path}: no decoder is written here for layout {held.layout}")
    else:
        _LAYOUTS[held.layout](loader, held, held.export)


def _dequantised(held: Held, export: Export, scales: str) -> str:
    """The values `v` times scales in float32, as `recipe.export.dequantise` has it."""
    to_float = _to_float(held)
    dtypes = {str(tensor.dtype).removeprefix("torch.") for tensor in export.quantized.values()}
    wide = "v" if dtypes <= _EXACT else f"v{to_float}"
    if all(t.ndim == 2 and export.scales[name].ndim == 1 for name, t in export.quantized.items()):
        return f"{wide}*{scales}{to_float}[:,None]"
    view = "reshape" if held.numpy else "view"
    return f"{wide}*{scales}{to_float}.{view}(-1,*[1]*(v.ndim-1))"


def _int8_clean(loader: Loader, held: Held, export: Export) -> None:
    loader.add("s=o['passthrough']" if export.passthrough else "s={}")
    if export.kept_dtypes:
        wanted = set(export.kept_dtypes.values())
        value = "s[k]" if wanted != {"float32"} else f"s[k]{_to_float(held)}"
        # A public writer may give dtypes of tensors that it does not keep.
        guard = "" if export.kept_dtypes.keys() <= export.passthrough.keys() else "if k in s:"
        value = cast(loader, held, wanted, value, "t")
        loop = f"for k,t in o['passthrough_orig_dtypes'].items():{chr(10) + ' ' if guard else ''}"
        loader.add(f"{loop}{guard}s[k]={value}")
    if export.quantized:
        wanted = {export.dtypes[name] for name in export.quantized}
        product = cast(loader, held, wanted, _dequantised(held, export, "o['scales'][k]"), "o['dtypes'][k]")
        loader.add(f"for k,v in o['quantized'].items():s[k]={product}")
    _apart(loader, held, export, dtype="o['dtypes'][k]")


def _to_float(held: Held) -> str:
    return ".astype('f')" if held.numpy else ".float()"


def _apart(loader: Loader, held: Held, export: Export, *, dtype: str = "", tables: str = "e") -> None:
    """Encoded matrices under the key `schemes`, each a dict of its tables and its label."""
    if export.schemes:
        made = matrices(loader, held, export.schemes, tables=tables, dtype=dtype)
        loader.add(f"for k,e in o['schemes'].items():{made}")


def _flat(loader: Loader, held: Held, export: Export) -> None:
    """Tensors under names with suffixes; what is no tensor stays out."""
    prefix = "w/" if held.layout == "w-m" else ""
    source = "o['w']" if prefix else "o"
    plain = any(name.startswith(prefix) and not name.startswith("[") for name in held.artifact.values)
    loader.add(f"s={{k:v for k,v in {source}.items()if hasattr(v,'shape')}}" if plain else f"s={source}")
    pairs = sorted(set(export.suffixes.values()))
    if pairs:
        _pairs(loader, held, export, pairs)
    if held.layout == "safetensors" and export.schemes:
        loader.add(
            "for k,e in json.loads(M['schemes']).items():\n"
            f" p='{APART}'+k+'/';t={{a[len(p):]:s.pop(a)for a in[*s]if a.startswith(p)}}\n"
            f" {matrices(loader, held, export.schemes, tables='t')}\n"
        )
    else:
        _apart(loader, held, export)


def _pairs(loader: Loader, held: Held, export: Export, pairs: list[tuple[str, str]]) -> None:
    if len(pairs) == 1:
        (values, scales), margin = pairs[0], " "
        lines = ["for k in[*s]:"]
        first, second = repr(values), repr(scales)
    else:
        lines, margin = [f"for a,b in{pairs!r}:", " for k in[*s]:"], "  "
        first, second = "a", "b"
    product = _dequantised(held, export, f"s.pop(p+{second})")
    lines += [f"{margin}p=k.removesuffix({first})", f"{margin}if p!=k and p+{second} in s:v=s.pop(k);s[p]={product}"]
    loader.add("\n".join(lines))
    if export.corrections:
        to_float, repeat = (".astype('f')", "repeat") if held.numpy else (".float()", "repeat_interleave")
        loader.define(
            "L",
            "def L(a,e,b,g):\n"
            f" r,c=b.shape;g=g{to_float}.reshape(r,-1);a=a{to_float}*e{to_float}\n"
            f" b=b*g.{repeat}(-(-c//g.shape[1]),1)[:,:c];return sum(a[:,i,None]*b[i]for i in range(r))\n",
        )
        loader.add(
            "for k in[*s]:\n"
            " p=k.removesuffix('.lqA_a')\n"
            " if p!=k:s[p]=s[p]+L(*(s.pop(p+'.lq'+x)for x in('A_a','As_a','B_a','Bs_a')))\n"
        )


_SHAPED = "def X(e):\n q=e['shape']\n"
_CODED_VALUES = " if'rans'in e:return n.frombuffer(r(bytes(n.asarray(e['rans']))),'b').reshape(q).astype('f')\n"
_UNPACKED = (
    " b=e['bits'];x=n.frombuffer(e['packed'],'B')\n"
    " x=n.unpackbits(x,bitorder='little')[:len(x)*8//b*b].reshape(-1,b)@(1<<n.arange(b))-(1<<b-1)\n"
    " return x[:int(n.prod(q))].reshape(q).astype('f')\n"
)
_TABLES = "def Y(e):\n t={}\n for a,b in e.items():\n"
_BYTES = (
    "  if type(b)is bytes:\n"
    "   a=e['table']if a=='packed'else a;b=n.frombuffer(b,'B')\n"
    "   if a+'_rows'in e:b=b.reshape(e[a+'_rows'],-1)\n"
)
_CODED_TABLE = "  if type(b)is dict:b=n.frombuffer(r(bytes(n.asarray(b['rans']))),b['dtype']).reshape(b['shape'])\n"
_TABLES_END = "  t[a]=b\n return t\n"


def _packed(loader: Loader, held: Held, export: Export) -> None:
    coded = _coded(held)
    if coded:
        trellis = any(map(has_columns, coded.values()))
        loader.define("r", rans_source(numpy=held.numpy, trellis=trellis))
    loader.add("s={}")
    if export.schemes:
        tables = _CODED_TABLE if any(name.startswith(APART) for name in coded) else ""
        loader.define("Y", _in_numpy(held, _TABLES + _BYTES + tables + _TABLES_END))
        _apart(loader, held, export, tables="Y(e)")
        loader.add("del o['schemes']")
    if not export.quantized:
        loader.add("for k,e in o.items():s[k]=e['data']" if export.passthrough else "")
        return
    loader.define(
        "X", _in_numpy(held, _SHAPED + (_CODED_VALUES if coded.keys() & set(export.quantized) else "") + _UNPACKED)
    )
    values = "X(e)" if held.numpy else "n.from_numpy(X(e))"
    rows = all(t.ndim == 2 and export.scales[name].ndim == 1 for name, t in export.quantized.items())
    view = "reshape" if held.numpy else "view"
    scales = f"e['scale']{_to_float(held)}" + ("[:,None]" if rows else f".{view}(-1,*[1]*(len(e['shape'])-1))")
    product = f"{values}*{scales}"
    kept = "e['data']if'data'in e else " if export.passthrough else ""
    loader.add(f"for k,e in o.items():s[k]={kept}{product}")


def _coded(held: Held) -> dict[str, bytes]:
    """The streams that a coder made, by what they hold: a tensor's values, or TENSOR/TABLE of an encoding."""
    return {
        tensor.name.removesuffix(_CODED): bytes(leaf.data[tensor.offset : tensor.offset + tensor.stored_bytes])
        for leaf, tensor in held.artifact.placed()
        if tensor.name.endswith(_CODED) and tensor.offset is not None
    }


def _in_numpy(held: Held, source: str) -> str:
    """A function whose own `n` is numpy, whatever the framework."""
    head, _, body = source.partition("\n")
    return source if held.numpy else f"{head}\n import numpy as n\n{body}"


_LAYOUTS: Mapping[str, Callable[[Loader, Held, Export], None]] = {
    "int8_clean_per_row_v1": _int8_clean,
    "w-m": _flat,
    "safetensors": _flat,
    "state-dict": _flat,
    "packed": _packed,
}
