"""Everything that an export or a file decodes to: tensors, and the biases of matrices that carry one."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

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
        """The bias, float32 [rows], of the first of these owners that has one."""
        return next((self.biases[owner] for owner in owners if owner in self.biases), None)

    def tensors(self) -> dict[str, Tensor]:
        """State and biases together, a bias under its matrix's name with `bias` in place of `weight`."""
        found = dict(self.state)
        for owner, bias in self.biases.items():
            name = f"{owner.removesuffix('.weight')}.bias"
            found[name if name not in found else f"{owner}.bias"] = bias
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFile:
    """What stands in a file, and what it decodes to."""

    export: Export
    decoded: Decoded

    def shared_with(self, export: Export) -> dict[str, Tensor]:
        """Decoded tensors of this file whose stored parts another export has, too: they are what comes out of both."""
        return {name: tensor for name, tensor in self.decoded.state.items() if self.export.alike(name, export)}


def decoded(export: Export, where: str, limit: int = DECODED_LIMIT, like: ReadFile | None = None) -> Decoded:
    """Everything an export decodes to; what another file stores in the same way is taken from that.

    `CorruptError` when tables do not fit the shape that is said of them, `LimitError` when that shape, which a file can
    put as high as it likes, takes more than `limit` bytes.
    """
    for name, encoded in export.schemes.items():
        if 4 * math.prod(encoded.shape) > limit:
            raise LimitError(
                f"{where}: {name!r} is said to be {list(encoded.shape)}, more than {limit:,} bytes decoded"
            )
    try:
        found = {name: encoded.bias() for name, encoded in export.schemes.items()}
        state = decode(export, None if like is None else like.shared_with(export))
    except (ArithmeticError, AttributeError, IndexError, RuntimeError, TypeError, UsageError, ValueError) as error:
        if not export.schemes:
            raise
        # Tables are arithmetic to a scheme; what goes wrong in it is the file's doing.
        raise CorruptError(
            f"{where}: its encoded matrices ({', '.join(export.schemes)}) do not decode: {error}"
        ) from None
    return Decoded(state=state, biases={name: bias for name, bias in found.items() if bias is not None})


def read_file(data: bytes, name: str, like: ReadFile | None = None) -> ReadFile:
    """A file's bytes through the reader that inspects foreign files; what `like` stores in the same way is shared."""
    export = read_export(open_bytes(data, name=name, priced=False))
    return ReadFile(export=export, decoded=decoded(export, name, limit=sys.maxsize, like=like))


def read_back(data: bytes, name: str, like: ReadFile | None = None) -> Decoded:
    """What a file's bytes decode to."""
    return read_file(data, name, like).decoded
