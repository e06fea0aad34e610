"""Blocks of ggml, as GGUF files hold them: a matrix as rows of blocks of 32 to 256 numbers with their own scales.

Quantised and dequantised by the `gguf` package (`golfbudget[hf]`), whose quantisers are the reference ones that round
to the nearest; nothing here weighs errors by what inputs say.  The name of the only table is the type.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from golfbudget.errors import UnsupportedError
from golfbudget.formats.ggml_types import GGML_TYPES, WRITTEN
from golfbudget.ledger import Account
from golfbudget.schemes.base import Context, Encoded, Options, Parameter, Table, TableScheme, register_bound

_TYPES = {kind.name: kind for kind in GGML_TYPES.values()}
#: What holds rows that do not divide into blocks: the fallback of the format's own tools.
_PLAIN = "f16"


def table_of(kind: str, blocks: Tensor, columns: int) -> Table:
    """The table of a type's blocks, uint8 [rows, bytes of a row], of rows that long."""
    rows, width = blocks.shape
    bits = max(1, 8 * width // max(1, columns))
    return Table(name=kind, account=Account.WEIGHTS, tensor=blocks, bits=bits, shape=(rows, columns))


def dequantised(kind: str, blocks: Tensor) -> Tensor:
    """Numbers of blocks uint8 [rows, bytes], float32 [rows, columns]; `UnsupportedError` for a type it cannot read."""
    import gguf

    try:
        with np.errstate(invalid="ignore", over="ignore"):  # Scales that are no numbers show in what comes out.
            found = gguf.quants.dequantize(blocks.numpy(), _type(kind))
    except NotImplementedError:
        raise UnsupportedError(
            f"tensors of ggml type {kind} are read by no dequantiser of the gguf package; give a file of other types"
        ) from None
    return torch.from_numpy(np.array(found, dtype=np.float32))


def _type(kind: str) -> Any:  # noqa: ANN401  (the package states no types)
    import gguf

    known = gguf.GGMLQuantizationType.__members__
    if kind.upper() not in known:
        raise UnsupportedError(f"the gguf package here knows no type {kind}; give a file of other types")
    return known[kind.upper()]


@register_bound
class GgmlBlocks(TableScheme):
    """Rows of blocks of one type; rows that do not divide into its blocks are kept in fp16."""

    name = "ggml"
    layouts = ("gguf",)
    summary = "blocks of 32 or 256 numbers with their own scales, as GGUF files hold them"
    formula = "V·⌈d/32⌉·18 (q4_0), ·20 (q4_1), ·22 (q5_0), ·24 (q5_1), ·34 (q8_0); V·⌈d/256⌉·54 (tq1_0), ·66 (tq2_0)"
    parameters = (Parameter("type", str, "the type of its blocks", words=WRITTEN, default="q4_0"),)
    needs = ("gguf",)
    tried = ({"type": "q8_0"}, {"type": "q5_1"}, {"type": "q5_0"}, {"type": "q4_1"}, {"type": "q4_0"})

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        import gguf

        columns, kind = matrix.shape[1], str(options["type"])
        if columns % _TYPES[kind].elements:
            halves = matrix.clamp(-65504, 65504).half().contiguous()
            return (table_of(_PLAIN, halves.view(torch.uint8), columns),)
        blocks = gguf.quants.quantize(matrix.contiguous().numpy(), _type(kind))
        return (table_of(kind, torch.from_numpy(np.ascontiguousarray(blocks)), columns),)

    def decode(self, encoded: Encoded) -> Tensor:
        (table,) = encoded.tables
        if table.name == _PLAIN:
            return table.tensor.contiguous().view(torch.float16).float()
        return dequantised(table.name, table.tensor)

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        (rows, columns), kind = shape, _TYPES[str(options["type"])]
        return 2 * rows * columns if columns % kind.elements else rows * columns // kind.elements * kind.bytes
