"""Shapes of matrices behind packed tensors: how many values the integers hold, read from the tensors beside them.

Each function takes what stands together under one stem and gives the matrix's own shape and the bits of a value, None
in place of what nothing tells, or None for all of it where the shapes are not those of its family.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Mapping

from msgspec import Struct

from golfbudget.artifact import Leaf
from golfbudget.dtypes import DTYPE_BITS
from golfbudget.formats import StoredTensor
from golfbudget.roles.config_json import ConfigJson

_WHOLE = {"int8": "b", "uint8": "B", "int16": "h", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q"}
_SUBBYTE = ("uint8", "int8")
_WORDS = ("int32", "uint32", "int16", "uint16", "int64")
#: A shape or a state is this long at most; what is longer is no description.
_MOST_NUMBERS = 1 << 16
_MOST_BITS = 8
#: Where HQQ's shape stands below its module.
_SHAPES = (".shape", "/meta/shape", "/shape")
#: Group sizes of MLX, the default first, and the bits that it packs.
_MLX_GROUPS, _MLX_BITS = (64, 32, 128, 16), (2, 3, 4, 5, 6, 8)


class Unpacked(Struct, frozen=True, kw_only=True):
    """A matrix's own shape and the bits of one value; `family` where shapes tell which of several it is."""

    shape: tuple[int, ...] | None
    bits: float | None = None
    family: str | None = None
    notes: tuple[str, ...] = ()


class Pack(Struct, frozen=True, kw_only=True):
    """What stands under one stem: the tensor of the values, those beside it by the ending of their name.

    `numbers` reads a small tensor of whole numbers by its stored name; `plain` are all tensors of the artifact.
    """

    stem: str
    data: StoredTensor
    parts: Mapping[str, StoredTensor]
    numbers: Callable[[str], tuple[int, ...] | None]
    config: ConfigJson
    values: Mapping[str, object]
    plain: Mapping[str, StoredTensor]

    @property
    def module(self) -> str:
        """The module's path as configurations write it."""
        return self.stem.rpartition("/")[2]

    def shape(self, ending: str) -> tuple[int, ...] | None:
        tensor = self.parts.get(ending)
        return None if tensor is None else tensor.shape

    def checked(self, shape: tuple[int, ...], bits: float, family: str | None = None) -> Unpacked:
        """What the shapes say; where the configuration says other bits, it is noted."""
        said = self.config.bits(self.module)
        notes: tuple[str, ...] = ()
        if said is not None and bits and said != bits:
            # One line for all matrices: the caller keeps each text once.
            notes = (f"config.json says {said} bits a weight, the shapes of packed tensors {bits:g}; the shapes hold",)
        return Unpacked(shape=shape, bits=bits, family=family, notes=notes)


def whole_numbers(leaf: Leaf, tensor: StoredTensor) -> tuple[int, ...] | None:
    """The values of a small tensor of whole numbers; None for another, and for values that are not at hand."""
    code = _WHOLE.get(tensor.dtype) if leaf.at_hand else None
    if code is None or tensor.offset is None or not tensor.contiguous or tensor.elements > _MOST_NUMBERS:
        return None
    return tuple(array(code, bytes(leaf.data[tensor.offset : tensor.offset + tensor.stored_bytes])))


def qweight(pack: Pack) -> Unpacked | None:  # noqa: PLR0911  (one way out per layout)
    """GPTQ packs along the inputs ([I·b/w, O]), AWQ along the outputs ([I, O·b/w]); scales are [I/g, O]."""
    scales = pack.shape(".scales")
    word = DTYPE_BITS.get(pack.data.dtype, 0)
    if pack.data.dtype not in (*_WORDS, "uint8", "int8") or len(pack.data.shape) < 2 or not scales:
        return None
    *lead, rows, columns = pack.data.shape
    outputs = scales[-1]
    if not outputs or not rows or not columns:
        return None
    if pack.data.dtype == "uint8" and scales[:-1] == (*lead, rows):
        # FP-Quant: floats of four bits along the inputs, a scale for every 16 or 32.
        held = 2 * columns
        return (
            Unpacked(shape=(*lead, rows, held), bits=4, family="fp-quant")
            if held in (16 * outputs, 32 * outputs)
            else None
        )
    if columns != outputs:
        bits = whole_bits(columns * word, outputs)
        if len(scales) > 1 and (not scales[-2] or rows % scales[-2]):
            return Unpacked(shape=None, family="awq")
        return None if bits is None else pack.checked((*lead, outputs, rows), bits, "awq")
    order, zeros = pack.parts.get(".g_idx"), pack.shape(".qzeros")
    inputs = order.elements // math.prod(lead) if order is not None and order.elements else None
    bits = whole_bits(rows * word, inputs) if inputs else None
    if bits is None and zeros:
        wide = DTYPE_BITS.get(pack.parts[".qzeros"].dtype, 0)
        bits = whole_bits(zeros[-1] * wide, outputs)
    if bits is None:
        bits = pack.config.bits(pack.module)
    if bits is None and (group := pack.config.group(pack.module)) is not None and len(scales) > 1:
        bits = whole_bits(rows * word, scales[-2] * group)
    if bits is None or rows * word % bits:
        return Unpacked(shape=None, family="gptq")
    return pack.checked((*lead, outputs, rows * word // bits), bits, "gptq")


def whole_bits(held: int, values: int) -> int | None:
    """Bits of one of so many values in so many bits, where that is a whole number of at most eight."""
    bits, rest = divmod(held, values) if values else (0, 1)
    return bits if not rest and 0 < bits <= _MOST_BITS else None


def exl2(pack: Pack) -> Unpacked | None:
    """Rows of as many bits as each group has, and a permutation of the inputs."""
    if len(pack.data.shape) != 2:
        return None
    order = pack.parts.get(".q_perm") or pack.parts.get(".q_invperm")
    if order is None:
        return Unpacked(shape=None)
    outputs = pack.data.shape[1]
    elements = outputs * order.elements
    return Unpacked(shape=(outputs, order.elements), bits=round(8 * pack.data.stored_bytes / max(1, elements), 2))


def aqlm(pack: Pack) -> Unpacked | None:
    """Codes [O/o, I/i, n] of codebooks [n, size, o, i]."""
    books = pack.shape(".codebooks")
    if books is None or len(books) != 4 or len(pack.data.shape) != 3:
        return None
    outputs, inputs = pack.data.shape[0] * books[2], pack.data.shape[1] * books[3]
    bits = 8 * pack.data.stored_bytes / max(1, outputs * inputs)
    return Unpacked(shape=(outputs, inputs), bits=bits)


def bitsandbytes(pack: Pack) -> Unpacked | None:
    """Two values a byte, as a column of bytes; the state beside it holds the shape as JSON."""
    if pack.data.dtype not in DTYPE_BITS or pack.data.elements == 0:
        return None
    kind = next((kind for kind in ("nf4", "fp4") if f".quant_state.bitsandbytes__{kind}" in pack.parts), None)
    family = None if kind is None else f"bitsandbytes {kind}"
    held = 2 * pack.data.stored_bytes
    raw = pack.numbers(f"{pack.stem}.quant_state.bitsandbytes__{kind}")
    try:
        state = json.loads(bytes(n & 0xFF for n in raw)) if raw else None
        shape = tuple(state["shape"]) if isinstance(state, dict) else ()
    except (ValueError, KeyError, TypeError, RecursionError):
        shape = ()
    if shape and all(type(n) is int and n > 0 for n in shape) and 0 <= held - math.prod(shape) <= 1:
        return Unpacked(shape=shape, bits=4, family=family)
    return Unpacked(shape=(held,), bits=4, family=family)


def compressed(pack: Pack) -> Unpacked | None:
    """Words of several values along the inputs ([O, I·b/32]) with the shape beside them, or two 4-bit floats a byte."""
    if len(pack.data.shape) < 2:
        return None
    *lead, columns = pack.data.shape
    if pack.data.dtype in _SUBBYTE:
        return pack.checked((*lead, 2 * columns), 4, "compressed-tensors 4-bit float")
    word = DTYPE_BITS.get(pack.data.dtype, 0)
    shape = pack.numbers(f"{pack.stem}.weight_shape")
    outputs = pack.data.shape[0]
    if shape and len(shape) > 1 and all(n > 0 for n in shape):
        bits = _fitting_bits(columns, word, shape[-1])
        if bits is not None and math.prod(shape[:-1]) == math.prod(lead):
            return pack.checked(shape, bits)
    bits = pack.config.bits(pack.module)
    group, scales = pack.config.group(pack.module), pack.shape(".weight_scale")
    if group is not None and scales is not None and scales[-1] > 1:
        bits = _fitting_bits(columns, word, group * scales[-1]) or bits
    if bits is None or pack.parts.get(".scale_packed") is not None:
        return Unpacked(shape=None)
    return Unpacked(shape=(outputs, *lead[1:], columns * word // bits), bits=bits)


def _fitting_bits(columns: int, word: int, inputs: int) -> int | None:
    """The bits at which so many words hold so many values; the last word of a row may be partly empty."""
    widths = range(1, min(_MOST_BITS, word) + 1)
    fitting = [b for b in widths if columns in (-(-inputs // (word // b)), -(-inputs * b // word))]
    exact = [bits for bits in fitting if inputs * bits == columns * word]
    return next(iter(exact or fitting), None)


def sparse(pack: Pack) -> Unpacked | None:
    """The values that are not zero, and a bit for every place."""
    shape = pack.numbers(f"{pack.stem}.weight.shape")
    if not shape or any(n <= 0 for n in shape):
        return Unpacked(shape=None)
    return Unpacked(shape=shape)


def mxfp4(pack: Pack) -> Unpacked | None:
    """Blocks [..., O, I/32, 16] of two values a byte, each with an exponent."""
    scales = pack.shape("_scales") or pack.shape(".scales")
    if pack.data.dtype not in _SUBBYTE or scales is None or pack.data.shape[:-1] != scales or len(scales) < 1:
        return None
    *lead, blocks, width = pack.data.shape
    return Unpacked(shape=(*lead, 2 * blocks * width), bits=4)


def hqq(pack: Pack) -> Unpacked | None:
    """8/b values a byte; the shape stands beside them."""
    shape = pack.numbers(f"{pack.stem}.shape")
    stated = pack.numbers(f"{pack.stem}.nbits")
    bits = stated[0] if stated else pack.config.bits(pack.module)
    held = 8 * pack.data.stored_bytes
    if not shape:
        number = _stated_shape(pack)
        shape = number or None
    if shape and all(n > 0 for n in shape):
        fitting = whole_bits(held, math.prod(shape))
        return Unpacked(shape=tuple(shape), bits=bits or fitting)
    if bits is None or not 0 < bits <= _MOST_BITS:
        return Unpacked(shape=None)
    # Three bits stand ten to a word of 32.
    values = held // 32 * 10 if bits == 3 else held // bits
    return Unpacked(shape=(values,), bits=bits)


def _stated_shape(pack: Pack) -> tuple[int, ...]:
    """A shape among the plain values of a pickle."""
    for place in _SHAPES:
        sizes: list[int] = []
        at = f"{pack.stem}{place}"
        while isinstance(size := pack.values.get(f"{at}/{len(sizes)}"), int) and size > 0 and len(sizes) < 8:
            sizes.append(size)
        if sizes:
            return tuple(sizes)
    return ()


def mlx(pack: Pack) -> Unpacked | None:  # noqa: PLR0911  (one way out per kind)
    """Words of 32 bits along the inputs, with scales and biases for every group of inputs."""
    scales, biases = pack.shape(".scales"), pack.shape(".biases") or pack.shape(".qbiases")
    if pack.data.dtype not in ("uint32", "int32") or len(pack.data.shape) < 2 or scales is None:
        return None
    if len(scales) != len(pack.data.shape) or scales[:-1] != pack.data.shape[:-1] or biases not in (None, scales):
        return None
    *lead, words = pack.data.shape
    groups = scales[-1]
    if not words or not groups:
        return None
    if biases is None and pack.parts[".scales"].dtype == "uint8":
        # Floats of a fixed size of group, each with its own number of bits to a scale.
        held = {64: ("nvfp4", 4), 128: ("mxfp4", 4), 256: ("mxfp8", 8)}.get(32 * words // groups)
        return None if held is None else pack.checked((*lead, 32 * words // held[1]), held[1], f"mlx {held[0]}")
    fitting = [(g, b) for g in _MLX_GROUPS for b in _MLX_BITS if g * groups * b == 32 * words]
    group, bits = pack.config.group(pack.module), pack.config.bits(pack.module)
    said = [pair for pair in fitting if pair == (group, bits)]
    if said:
        return Unpacked(shape=(*lead, said[0][0] * groups), bits=said[0][1])
    # What one matrix takes in, a norm spans or another matrix gives out.
    widths = {tensor.shape[0] for tensor in pack.plain.values() if tensor.shape}
    by_group = [pair for pair in fitting if pair[0] == group]
    by_width = [pair for pair in fitting if pair[0] * groups in widths]
    chosen = next((pairs for pairs in (by_group, by_width, fitting) if len(pairs) == 1), None)
    if chosen is not None:
        return pack.checked((*lead, chosen[0][0] * groups), chosen[0][1])
    note = "no config.json says MLX's bits and group size, and the shapes fit several; parameters are not known"
    return Unpacked(shape=None, notes=(note,)) if fitting else None


def qdata(pack: Pack) -> Unpacked | None:
    """Torchao's values as a plain tensor: 4-bit ones stand two a byte, and their scales share no dimension of it."""
    if pack.data.dtype != "uint8" or len(pack.data.shape) < 2:
        return Unpacked(shape=pack.data.shape, bits=DTYPE_BITS.get(pack.data.dtype))
    *lead, columns = pack.data.shape
    return Unpacked(shape=(*lead, 2 * columns), bits=4)


def quanto(pack: Pack) -> Unpacked | None:
    """Bytes of two or four values [O·I/g / n, g] with a scale for every group: rows of scales times the group."""
    scales = pack.shape(".weight._scale")
    if scales is None or len(pack.data.shape) != 2 or not scales or not pack.data.elements:
        return None
    values = scales[0] * pack.data.shape[1]
    bits = whole_bits(8 * pack.data.stored_bytes, values)
    return Unpacked(shape=None) if bits is None else Unpacked(shape=(scales[0], pack.data.shape[1]), bits=bits)
