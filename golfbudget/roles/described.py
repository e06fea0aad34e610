"""Scales by what they are called and what they stand beside, for layouts that no family names.

A tensor is a scale where its name is that of a matrix of narrow numbers, or of its module, with words such as `scale`
or `zeros` after it: `w1.weight` and `w1.scale`, `gate_up_proj` and `gate_up_proj_scale_inv`.  Beside wide numbers
nothing is taken for a scale: models have trained ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from golfbudget.formats import StoredTensor

#: Dtypes that weights are quantised to; what they hold is scaled.
_NARROW = frozenset({"int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"})
_WIDE = frozenset({"float16", "bfloat16", "float32", "float64"})
#: Scales themselves may be narrow floats, or exponents as bytes.
_SCALE_TYPES = _WIDE | {"float8_e8m0fnu", "float8_e4m3fn", "uint8"}
_WORDS = frozenset(
    {"scale", "scales", "scaler", "scalers", "zero", "zeros", "zp", "absmax", "qzeros", "qbiases", "sf", "dequant"}
)
#: A module's own matrix, and what is called so beside other names for it.
_OWN = "weight"
#: Scales of what attention keeps, which stand beside its matrices.
_KEPT = re.compile(r"^(?P<what>q|k|v|kv|qk|prob|prob_output|softmax|attn_output)_(?:scale|zero_point)$")
_SEPARATORS = re.compile(r"[._]")


def scales_beside(tensors: Mapping[str, StoredTensor], known: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    """Pairs of a scale and the matrix that it serves, by stored name.

    `known` says of a stored name that it is already a packed matrix's values: what stands beside those serves them.
    """
    packed = {name for name, tensor in tensors.items() if known(name) or _narrow(tensor)}
    if not packed:
        return
    modules = {name.rpartition(".")[0].rpartition(".")[0]: name for name in packed if known(name)}
    for name, tensor in tensors.items():
        if tensor.dtype not in _SCALE_TYPES or known(name):
            continue
        matrix = next((at for at in _matrices(name) if at in packed), None)
        if matrix is None and (kept := _KEPT.match(name.rpartition(".")[2])) is not None:
            matrix = _attention(name, kept["what"], packed, modules)
        if matrix is not None and matrix != name and tensor.elements <= max(1, tensors[matrix].elements):
            yield name, matrix


def _narrow(tensor: StoredTensor) -> bool:
    floats = tensor.dtype.startswith(("float8", "float4", "float6"))
    return (
        (tensor.dtype in _NARROW or floats or tensor.block is not None)
        and len(tensor.shape) > 1
        and tensor.elements > 0
    )


def _matrices(name: str) -> Iterator[str]:
    """Names of matrices that a scale of this name could serve, the nearest first."""
    module, _, last = name.rpartition(".")
    cuts = [match.start() for match in re.finditer("_", last)]
    for cut in reversed(cuts):
        if _scales(last[cut + 1 :]):
            yield f"{module}.{last[:cut]}" if module else last[:cut]
    if module and _scales(last):
        yield f"{module}.{_OWN}"
        yield module


def _scales(words: str) -> bool:
    return not _WORDS.isdisjoint(_SEPARATORS.split(words.lower()))


def _attention(name: str, what: str, packed: set[str], modules: Mapping[str, str]) -> str | None:
    """The projection that gives what a scale is of, or else any packed matrix of the same attention."""
    module = name.rpartition(".")[0]
    own = f"{module}.{what}_proj.{_OWN}"
    if own in packed:
        return own
    return modules.get(module) or modules.get(module.rpartition(".")[0])
