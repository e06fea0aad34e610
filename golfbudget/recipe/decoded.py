"""Everything that an export or a file decodes to: tensors, and the biases of matrices that carry one."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from golfbudget import schemes
from golfbudget.artifact import open_bytes
from golfbudget.codecs import DECODED_LIMIT
from golfbudget.errors import CorruptError, LimitError, UsageError
from golfbudget.recipe.artifacts import read_export
from golfbudget.recipe.export import Export, decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """`state` has every tensor in its original dtype; `biases` float32 [rows] of the matrices that carry one."""

    state: Mapping[str, Tensor]
    biases: Mapping[str, Tensor]

    def bias_of(self, *owners: str) -> Tensor | None:
        return next((self.biases[owner] for owner in owners if owner in self.biases), None)

    def tensors(self) -> dict[str, Tensor]:
        """State and biases together, a bias under its matrix's name with `bias` in place of `weight`."""
        found = dict(self.state)
        for owner, bias in self.biases.items():
            name = f"{owner.removesuffix('.weight')}.bias"
            found[name if name not in found else f"{owner}.bias"] = bias
        return found


def decoded(export: Export, where: str, limit: int = DECODED_LIMIT) -> Decoded:
    """Everything an export decodes to.

    `CorruptError` when tables do not fit the shape that is said of them, `LimitError` when that shape, which a file can
    put as high as it likes, takes more than `limit` bytes.
    """
    for name, encoded in export.schemes.items():
        if 4 * math.prod(encoded.shape) > limit:
            raise LimitError(
                f"{where}: {name!r} is said to be {list(encoded.shape)}, more than {limit:,} bytes decoded"
            )
    try:
        found = {name: schemes.get(encoded.scheme).bias(encoded) for name, encoded in export.schemes.items()}
        state = decode(export)
    except (ArithmeticError, AttributeError, IndexError, RuntimeError, TypeError, UsageError, ValueError) as error:
        if not export.schemes:
            raise
        # Tables are arithmetic to a scheme; what goes wrong in it is the file's doing.
        raise CorruptError(
            f"{where}: its encoded matrices ({', '.join(export.schemes)}) do not decode: {error}"
        ) from None
    return Decoded(state=state, biases={name: bias for name, bias in found.items() if bias is not None})


def read_back(data: bytes, name: str) -> Decoded:
    """What a file's bytes decode to, through the reader that inspects foreign files."""
    return decoded(read_export(open_bytes(data, name=name, priced=False)), name, limit=sys.maxsize)
