"""Shapes of matrices stored in the order in which a kernel reads them: Marlin, AWQ's GEMV, tinygemm, VPTQ, QuIP.

As `unpacking`: what stands under one stem gives the matrix's own shape, None in place of what nothing tells.
"""

from __future__ import annotations

import math

from golfbudget.dtypes import DTYPE_BITS
from golfbudget.roles.unpacking import Pack, Unpacked, whole_bits

#: Marlin packs tiles of so many inputs; half of them where two of four are zeros.
_TILE, _SPARSE_TILE = 16, 32
#: AWQ's fast GEMV packs four outputs of four bits side by side, and knows no other width.
_FAST_ROWS, _FAST_BITS = 4, 4
#: Tinygemm's tiles have 8 outputs and 32 lanes, and hold 4-bit values, eight in a word.
_LANES, _IN_WORD = 32, 8


def gemv(pack: Pack) -> Unpacked | None:
    """AWQ for GEMV: words [O, I·b/32] along the inputs, zeros [O, z] and scales [O, z·32/b], both padded.

    The fast one has [O/4, I] of 16 bits, and zeros like its scales, [I/g, O].  None where it is neither.
    """
    scales, zeros = pack.parts.get(".scales"), pack.parts.get(".qzeros")
    if scales is None or zeros is None or not len(pack.data.shape) == len(scales.shape) == len(zeros.shape) == 2:
        return None
    rows, columns = pack.data.shape
    word, outputs = DTYPE_BITS.get(pack.data.dtype, 0), scales.shape[1]
    if pack.data.dtype == "int16" and zeros.shape == scales.shape and rows * _FAST_ROWS == outputs:
        return pack.checked((outputs, columns), _FAST_BITS, "awq gemv-fast")
    if not rows == scales.shape[0] == zeros.shape[0] or zeros.dtype != pack.data.dtype:
        return None
    bits = whole_bits(zeros.shape[1] * word, outputs)
    return None if bits is None else pack.checked((rows, columns * word // bits), bits, "awq gemv")


def marlin(pack: Pack) -> Unpacked | None:
    """Tiles of 16 inputs, [I/16, O·b/2]; with half of the values, two of four, [I/32, O·b/2]; scales are [I/g, O]."""
    scales = next((pack.shape(end) for end in (".s", ".s_channel", ".scale_packed") if pack.shape(end)), None)
    if len(pack.data.shape) != 2 or not scales or not scales[-1]:
        return None
    rows, columns = pack.data.shape
    sparse = ".B_meta" in pack.parts or ".meta" in pack.parts
    bits = whole_bits(columns * DTYPE_BITS.get(pack.data.dtype, 0), _TILE * scales[-1])
    if bits is None:
        return Unpacked(shape=None)
    return pack.checked((scales[-1], rows * (_SPARSE_TILE if sparse else _TILE)), bits)


def tinygemm(pack: Pack) -> Unpacked | None:
    """Words [O/8, I/(16·k), 32, k/2] of eight values, with scales and zeros [I/g, O, 2]."""
    scales = pack.shape(".scales_and_zeros")
    if pack.data.dtype != "int32" or len(pack.data.shape) != 4 or pack.data.shape[2] != _LANES:
        return None
    if scales is None or len(scales) != 3 or not scales[1] or pack.data.elements * _IN_WORD % scales[1]:
        return None
    return pack.checked((scales[1], pack.data.elements * _IN_WORD // scales[1]), 4)


def incoherent(pack: Pack) -> Unpacked | None:
    """QuIP# and QTIP: codes of any shape, and the signs of the inputs (SU) and of the outputs (SV)."""
    return _by_vectors(pack, ".SV", ".SU")


def exl3(pack: Pack) -> Unpacked | None:
    """A trellis, with a sign and a scale for every input (suh) and output (svh)."""
    return _by_vectors(pack, ".svh", ".suh")


def _by_vectors(pack: Pack, outputs: str, inputs: str) -> Unpacked | None:
    rows, columns = pack.parts.get(outputs), pack.parts.get(inputs)
    if rows is None or columns is None:
        return None
    elements = rows.elements * columns.elements
    return Unpacked(shape=(rows.elements, columns.elements), bits=8 * pack.data.stored_bytes / max(1, elements))


def spqr(pack: Pack) -> Unpacked | None:
    """Tiles of dense values, and outliers in rows [O + 1] of columns; a permutation of the inputs may be there."""
    rows, order = pack.parts.get(".row_offsets"), pack.parts.get(".in_perm")
    if rows is None or order is None or rows.elements < 2:
        return Unpacked(shape=None)
    return Unpacked(shape=(rows.elements - 1, order.elements))


def vptq(pack: Pack) -> Unpacked | None:
    """Indices of centroids, packed; only the configuration says the matrix's sizes, module by module."""
    sizes = pack.config.shape_of(pack.module)
    if sizes is None:
        return Unpacked(shape=None)
    return Unpacked(shape=sizes, bits=8 * pack.data.stored_bytes / max(1, math.prod(sizes)))
