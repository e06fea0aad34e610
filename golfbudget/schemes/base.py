"""What a scheme is: a way to represent a matrix as tables, and to get a matrix back from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from golfbudget.errors import UsageError
from golfbudget.ledger import Account

#: Candidate parameters: small integers and words, fit for JSON and for a candidate's name.
Options = Mapping[str, int | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One serialised table: `tensor` as stored, holding values of `bits` bits each and of logical shape `shape`."""

    name: str
    account: Account
    tensor: Tensor
    bits: int
    shape: tuple[int, ...]

    @property
    def raw_bytes(self) -> int:
        """Bytes in the container, before any codec."""
        return self.tensor.numel() * self.tensor.element_size()


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A matrix of `shape` [rows, columns] as tables.  `native`: values and row scales in the layout's own slots."""

    scheme: str
    shape: tuple[int, int]
    tables: tuple[Table, ...]
    native: bool = False

    def tensor(self, name: str) -> Tensor:
        """A table's tensor by name."""
        for table in self.tables:
            if table.name == name:
                return table.tensor
        raise UsageError(f"scheme {self.scheme} has no table {name!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What an encoder may use besides the matrix: token counts [rows] where known, and the seed of anything random."""

    seed: int = 0
    counts: Tensor | None = None


class Scheme(Protocol):
    """A registered scheme.  Encoding is deterministic for a given matrix, options and context."""

    @property
    def name(self) -> str: ...

    @property
    def decoder_source(self) -> str:
        """Minimal Python that rebuilds the matrix `w` from a dict of tables, empty when the layout's decoder does.

        It may use numpy as `n`, the tables as `t` and the shape as `R` and `C`.
        """

    def encode(self, matrix: Tensor, options: Options, context: Context) -> Encoded:
        """Encode a float32 matrix [rows, columns]."""

    def decode(self, encoded: Encoded) -> Tensor:
        """The float32 matrix that the tables stand for."""


_SCHEMES: dict[str, Scheme] = {}


def register(scheme_class: Callable[[], Scheme]) -> Callable[[], Scheme]:
    """Class decorator: add an instance to the registry; a name can be taken once."""
    scheme = scheme_class()
    if scheme.name in _SCHEMES:
        raise UsageError(f"scheme {scheme.name!r} is registered twice")
    _SCHEMES[scheme.name] = scheme
    return scheme_class


def registered() -> dict[str, Scheme]:
    """A copy of the registry."""
    return dict(_SCHEMES)


def get(name: str) -> Scheme:
    """The scheme of that name; `UsageError` lists the known ones."""
    try:
        return _SCHEMES[name]
    except KeyError:
        raise UsageError(f"no scheme is called {name!r}; known: {', '.join(sorted(_SCHEMES))}") from None


def check_matrix(matrix: Tensor) -> Tensor:
    """The matrix as float32; `UsageError` unless it is a non-empty [rows, columns] of finite numbers."""
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise UsageError(f"a scheme needs a matrix with at least one row and column, found shape {list(matrix.shape)}")
    matrix = matrix.float()
    if not bool(torch.isfinite(matrix).all()):
        row, column = (int(i) for i in torch.nonzero(~torch.isfinite(matrix))[0])
        raise UsageError(f"the matrix holds {matrix[row, column].item()} at row {row}, column {column}")
    return matrix
