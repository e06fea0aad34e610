"""Small integers at their true width: any number of bits, and base three, as uint8 tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

#: 3 ** 5 = 243 fits a byte.
TRITS_PER_BYTE = 5


def bits_for(count: int) -> int:
    """Bits of an index into `count` things, at least one.

    >>> [bits_for(n) for n in (1, 2, 3, 256, 257)]
    [1, 1, 2, 8, 9]
    """
    return max(1, (count - 1).bit_length())


def pack_bits(values: Tensor, bits: int) -> Tensor:
    """Non-negative integers [n] below 2**bits, little-endian without gaps: uint8 [ceil(n * bits / 8)]."""
    planes = (values.numpy().astype(np.int64)[:, None] >> np.arange(bits)) & 1
    return torch.from_numpy(np.packbits(planes.astype(np.uint8).ravel(), bitorder="little"))


def unpack_bits(packed: Tensor, bits: int, count: int) -> Tensor:
    """The inverse of `pack_bits`: int64 [count] of uint8 [bytes]."""
    planes = np.unpackbits(packed.numpy(), count=count * bits, bitorder="little").reshape(count, bits)
    return torch.from_numpy(planes.astype(np.int64) @ (1 << np.arange(bits)))


def pack_trits(values: Tensor) -> Tensor:
    """Values in {-1, 0, 1} of any shape, five to a byte, the last byte filled with zeros: uint8 [ceil(n / 5)]."""
    flat = values.flatten().to(torch.int64) + 1
    padded = torch.ones(-(-len(flat) // TRITS_PER_BYTE) * TRITS_PER_BYTE, dtype=torch.int64)
    padded[: len(flat)] = flat
    return (padded.view(-1, TRITS_PER_BYTE) * 3 ** torch.arange(TRITS_PER_BYTE)).sum(1).to(torch.uint8)


def unpack_trits(packed: Tensor, count: int) -> Tensor:
    """The inverse of `pack_trits`: int8 [count] of uint8 [bytes]."""
    trits = packed.to(torch.int64)[:, None] // 3 ** torch.arange(TRITS_PER_BYTE) % 3 - 1
    return trits.flatten()[:count].to(torch.int8)
