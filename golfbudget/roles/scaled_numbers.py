"""How many values the numbers of a matrix hold, by the scales that stand beside it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from golfbudget.dtypes import DTYPE_BITS
from golfbudget.formats import StoredTensor
from golfbudget.roles.unpacking import Pack, Unpacked, whole_bits

_BYTES = ("uint8", "int8")
_WORDS = ("int16", "uint16", "int32", "uint32", "int64", "uint64")
#: Wide enough for one weight each, where a scale serves a row or all.
_ONE_EACH = ("int16", "uint16")
#: Values that share a scale of a type that its standard ties to one size: exponents to 32 (MX), NVFP4's to 16.
_BLOCKS: Mapping[str, int] = {"float8_e8m0fnu": 32, "float8_e4m3fn": 16}
#: The same where the exponents are stored as plain bytes.
_BYTE_BLOCKS = (16, 32)
#: Words in the names of scales that are none of the weights.
_OTHERS = frozenset({"input", "output", "act", "activation", "pre", "smooth", "k", "v", "q", "kv", "in"})
_SCALES = re.compile("scale|absmax|_sf")
_TOLD = "matrices of bytes with scales are counted one parameter a byte; where a byte holds several, there are more"


def scaled(pack: Pack) -> Unpacked | None:  # noqa: PLR0911  (one way out per layout)
    """A weight with scales beside it: one value an element, unless the scales say that an element holds several.

    NVFP4 and MXFP4 have a scale for every 16 or 32 inputs; BitNet has one scale and stores [O/4, I]; others pack along
    the outputs, and have a row of scales for each.
    """
    rows = _rows(pack.data)
    scale = _scale(pack)
    if rows is None or scale is None or pack.data.dtype not in (*_BYTES, *_WORDS):
        return plain(pack)
    *lead, columns = pack.data.shape
    if pack.data.dtype == "uint8" and scale.elements == 1 and len(lead) == 1:
        return Unpacked(shape=(4 * lead[0], columns), bits=math.log2(3), family="bitnet")
    blocks = scale.shape[-1] if scale.shape[:-1] == tuple(lead) else 0
    if pack.data.dtype in _BYTES and blocks > 1 and _two_a_byte(pack, scale, columns, blocks):
        return pack.checked((*lead, 2 * columns), 4, "nvfp4" if 2 * columns == 16 * blocks else "mxfp4")
    held = _along_outputs(pack.data, scale, rows)
    if held is not None:
        return pack.checked((*lead[:-1], held[0], columns), held[1])
    if pack.data.dtype in _WORDS:
        single = pack.data.dtype in _ONE_EACH and scale.elements in (1, rows)
        return plain(pack) if single else Unpacked(shape=None)
    bits = pack.config.bits(pack.module)
    if pack.data.dtype == "uint8" and bits in (2, 4):
        return Unpacked(shape=(*lead, columns * 8 // bits), bits=bits)
    return Unpacked(shape=pack.data.shape, bits=8, notes=(_TOLD,) if pack.data.dtype == "uint8" and bits != 8 else ())


def plain(pack: Pack) -> Unpacked | None:
    """One value an element."""
    return Unpacked(shape=pack.data.shape, bits=DTYPE_BITS.get(pack.data.dtype))


def _rows(data: StoredTensor) -> int | None:
    return data.shape[-2] if len(data.shape) > 1 and data.elements else None


def _scale(pack: Pack) -> StoredTensor | None:
    """The scale of the weights, of several the finest."""
    scales = [
        tensor
        for ending, tensor in pack.parts.items()
        if _SCALES.search(ending) and _OTHERS.isdisjoint(re.split("[._]", ending))
    ]
    return max(scales, key=lambda tensor: tensor.elements, default=None)


def _two_a_byte(pack: Pack, scale: StoredTensor, columns: int, blocks: int) -> bool:
    block = _BLOCKS.get(scale.dtype)
    if block is not None:
        return 2 * columns == block * blocks
    bare = pack.data.dtype == "uint8" and 2 * columns in (size * blocks for size in _BYTE_BLOCKS)
    return bare and (scale.dtype == "uint8" or pack.config.bits(pack.module) in (None, 4))


def _along_outputs(data: StoredTensor, scale: StoredTensor, rows: int) -> tuple[int, int] | None:
    """Outputs and bits where the scales have a row for each of several outputs that an element holds."""
    outputs, groups = scale.shape[-2:] if len(scale.shape) > 1 else (scale.elements, 1)
    transposed = len(scale.shape) == 1 and outputs == data.shape[-1]
    if outputs <= rows or transposed or data.shape[-1] % max(1, groups):
        return None
    bits = whole_bits(rows * DTYPE_BITS[data.dtype], outputs)
    return None if bits is None or (data.dtype in _BYTES and bits not in (2, 4)) else (outputs, bits)
