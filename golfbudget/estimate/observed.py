"""What the values of a stored tensor show: their spread, the levels in use, the clip that Gaussian rows would need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from golfbudget.artifact import Leaf
from golfbudget.estimate.bins import level_bits
from golfbudget.formats import StoredTensor

if TYPE_CHECKING:
    import numpy as np

#: Clips that are looked for: below the first nearly all values are clipped, above the last nearly all are zero.
_NARROWEST, _WIDEST = 0.5, 4096.0
_HALVINGS = 40
_NUMPY = {"float64": "<f8", "float32": "<f4", "float16": "<f2", "int64": "<i8", "int32": "<i4", "int16": "<i2",
          "int8": "i1", "uint8": "u1", "bool": "u1"}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Of an integer tensor: the range in use, bits per value at order 0, and the standard deviation of its values."""

    lowest: int
    highest: int
    bits_per_value: float
    deviation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Mean and standard deviation of a tensor's elements."""

    mean: float
    deviation: float


def levels(leaf: Leaf, tensor: StoredTensor) -> Levels:
    """The levels of a tensor of int8."""
    import numpy as np

    values = _values(leaf, tensor)
    counts = np.bincount(values.astype(np.int64) + 128, minlength=256)
    shares = counts[counts > 0] / max(1, values.size)
    return Levels(
        lowest=int(values.min()) if values.size else 0,
        highest=int(values.max()) if values.size else 0,
        bits_per_value=float(-(shares * np.log2(shares)).sum()) if values.size else 0.0,
        deviation=float(values.std()) if values.size else 0.0,
    )


def moments(leaf: Leaf, tensor: StoredTensor) -> Moments | None:
    """Mean and deviation of a float tensor's elements, which need not be finite; None for types not read here."""
    import numpy as np

    values = _values(leaf, tensor)
    if not values.size:
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        values = values.astype("<f8")
        return Moments(mean=float(values.mean()), deviation=float(values.std()))


def deviation_of_blocks(leaf: Leaf, tensor: StoredTensor) -> float:
    """Standard deviation of a matrix in blocks of ggml, by the `gguf` package (extra `hf`); it need not be finite."""
    import gguf
    import numpy as np

    rows, start = tensor.shape[0], tensor.offset or 0
    data = np.frombuffer(leaf.data, dtype="u1", count=tensor.stored_bytes, offset=start).reshape(rows, -1)
    kind = gguf.GGMLQuantizationType[tensor.dtype.upper()]
    if not data.size:
        return 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.asarray(gguf.quants.dequantize(data, kind), dtype="<f4").std())


def _values(leaf: Leaf, tensor: StoredTensor) -> np.ndarray[Any, Any]:
    """Elements in storage order, bfloat16 as float32; types that numpy lacks as no elements at all."""
    import numpy as np

    if tensor.offset is None or (tensor.dtype not in _NUMPY and tensor.dtype != "bfloat16"):
        return np.empty(0, dtype="<f4")
    if tensor.dtype == "bfloat16":
        codes = np.frombuffer(leaf.data, dtype="<u2", count=tensor.elements, offset=tensor.offset)
        return (codes.astype("<u4") << 16).view("<f4")
    return np.frombuffer(leaf.data, dtype=_NUMPY[tensor.dtype], count=tensor.elements, offset=tensor.offset)


def equivalent_clip(bits_per_value: float, lowest: int, highest: int) -> float:
    """The clip in standard deviations under which Gaussian rows have that entropy.

    Entropy falls as the clip grows, once few values are clipped; found by bisection on its logarithm.
    """
    low, high = _NARROWEST, _WIDEST
    # Below some clip the ends take everything and entropy falls again: begin where it is highest.
    while low < high and level_bits(low / highest, lowest, highest) < level_bits(low * 1.1 / highest, lowest, highest):
        low *= 1.1
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        if level_bits(round(middle / highest, 12), lowest, highest) > bits_per_value:
            low = middle
        else:
            high = middle
    return float(f"{high:.4g}")
