"""What a scheme is: a way to represent a matrix as tables, and to get a matrix back from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from inspect import isabstract
from typing import ClassVar

import torch
from torch import Tensor

from golfbudget.errors import UsageError
from golfbudget.ledger import Account
from golfbudget.registry import Registry
from golfbudget.schemes.head_states import HeadStates

#: Candidate parameters: numbers and words, fit for JSON and for a candidate's name.
Options = Mapping[str, int | float | str]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One option of a scheme: `kind` says what it takes; numbers are from `lowest` to `highest`, words in `words`."""

    name: str
    kind: type[int | float | str]
    summary: str
    _: KW_ONLY
    default: float | int | str | None = None
    lowest: float | None = None
    highest: float | None = None
    words: tuple[str, ...] = ()

    def read(self, options: Options, scheme: str) -> int | float | str:
        """The option's value, its default where none is given; `UsageError` for another kind or range."""
        value = options.get(self.name, self.default)
        if value is None:
            raise UsageError(f"scheme {scheme} needs the option {self.name!r}: {self.summary}")
        fits = isinstance(value, (int, float) if self.kind is float else self.kind) and not isinstance(value, bool)
        if fits and not isinstance(value, str):
            fits = (self.lowest is None or value >= self.lowest) and (self.highest is None or value <= self.highest)
        if not fits or (self.words and value not in self.words):
            raise UsageError(f"scheme {scheme}: option {self.name} is {value!r}, expected {self.expected}")
        return self.kind(value)

    @property
    def expected(self) -> str:
        """What the option takes, in words."""
        if self.words:
            return " or ".join(self.words)
        low = "" if self.lowest is None else f" from {self.lowest:g}"
        high = "" if self.highest is None else f" up to {self.highest:g}"
        return f"{ {int: 'a whole number', float: 'a number', str: 'a word'}[self.kind] }{low}{high}"


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
        """A table's tensor by name, in its own shape as stored; `UsageError` where there is none."""
        for table in self.tables:
            if table.name == name:
                return table.tensor
        raise UsageError(f"scheme {self.scheme} has no table {name!r}")

    def with_tables(self, *tables: Table) -> Encoded:
        """The same encoding with these tables in place of those of their names."""
        new = {table.name: table for table in tables}
        return replace(self, tables=tuple(new.get(table.name, table) for table in self.tables))

    @property
    def raw_bytes(self) -> int:
        """Bytes of all tables in the container, before any codec."""
        return sum(table.raw_bytes for table in self.tables)

    def decoded(self) -> Tensor:
        """The matrix that the tables stand for, float32 [rows, columns]."""
        return get(self.scheme).decode(self)

    def bias(self) -> Tensor | None:
        """What the head adds to its logits, float32 [rows]; None where the scheme adds nothing."""
        return get(self.scheme).bias(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What an encoder may use besides the matrix, and the seed of anything random.

    `counts` are token counts [rows]; `covariance` is E[x xᵀ] of the matrix's inputs x [columns, columns] and
    `mean` their mean [columns], and `states` some of them where the matrix is an output head, from calibration text.
    Each is None where it is not known.
    """

    seed: int = 0
    counts: Tensor | None = None
    covariance: Tensor | None = None
    mean: Tensor | None = None
    states: HeadStates | None = None


class Scheme(ABC):
    """A registered scheme.  Encoding is deterministic for a given matrix, options and context.

    `formula` is the raw size as the field writes it (V rows, d columns, b bits, idx(n) = ceil(log2 n) bits).
    `decoder_source` is minimal Python that rebuilds the matrix `w` from a dict of tables, empty when the layout's own
    decoder does; it may use numpy as `n`, the tables as `t` and the shape as `R` and `C`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    formula: ClassVar[str]
    parameters: ClassVar[tuple[Parameter, ...]] = ()
    decoder_source: ClassVar[str] = ""
    #: What an encoder cannot do without, in the words of reports: `counts`, or `moment` for what calibration text says
    #: of inputs: their covariance, and states of a head.
    needs: ClassVar[tuple[str, ...]] = ()
    #: The only layouts that have a place for it, whose own readers decode it; none where any layout has.
    layouts: ClassVar[tuple[str, ...]] = ()
    #: What a plan tries of it, where no grid says so.
    tried: ClassVar[tuple[Options, ...]] = ()
    #: The raw size depends on the matrix: `raw_bytes` is then only an upper bound.
    sized_by_values: ClassVar[bool] = False

    @property
    def decoder_bytes(self) -> int:
        """What the decoder adds to a submission, as shipped (uncompressed)."""
        return len(self.decoder_source.encode())

    @abstractmethod
    def encode(self, matrix: Tensor, options: Options, context: Context) -> Encoded:
        """Encode a float32 matrix [rows, columns]."""

    @abstractmethod
    def decode(self, encoded: Encoded) -> Tensor:
        """The float32 matrix [rows, columns] that the tables stand for."""

    @abstractmethod
    def raw_bytes(self, shape: tuple[int, int], options: Options) -> int:
        """What `formula` gives: an upper bound of the tables' raw bytes, reached unless the matrix is degenerate."""

    def needs_for(self, options: Options) -> tuple[str, ...]:
        """What an encoder cannot do without for these options: `needs`, and more perhaps."""
        del options
        return self.needs

    def bias(self, encoded: Encoded) -> Tensor | None:
        """What the head adds to its logits, float32 [rows]; None for schemes without."""
        return None

    def refit(self, encoded: Encoded, matrix: Tensor, bias: Tensor | None = None) -> Encoded | None:
        """The same tables moved to another float32 matrix [rows, columns], and bias [rows]; None where a scheme cannot.

        What is discrete besides rounding stays: maps, tiers, scales.  Training does this at every step, so it is quick,
        and to move tables to what they decode to changes nothing.
        """
        return None

    def smooth(self, encoded: Encoded, matrix: Tensor) -> Tensor:
        """What `refit`'s tables would decode to if nothing were rounded; differentiable; both [rows, columns]."""
        return matrix

    def rank_bound(self, shape: tuple[int, int], options: Options) -> int:
        """The highest rank a decoded matrix can have."""
        return min(shape)

    def options(self, options: Options) -> dict[str, int | float | str]:
        """The options complete and checked; `UsageError` names one that is missing, unknown or out of range."""
        known = [parameter.name for parameter in self.parameters]
        for name in options:
            if name not in known:
                takes = ", ".join(known) or "none"
                raise UsageError(f"scheme {self.name} has no option {name!r}; it takes {takes}")
        return {parameter.name: parameter.read(options, self.name) for parameter in self.parameters}


class TableScheme(Scheme):
    """A scheme of ours: matrix and options arrive checked and complete, and it gives its tables and their bytes.

    `native` says that the tables are what a layout's own slots hold.
    """

    native: ClassVar[bool] = False

    def encode(self, matrix: Tensor, options: Options, context: Context) -> Encoded:
        matrix = check_matrix(matrix)
        tables = self.tables(matrix, self.options(options), context)
        shape = (matrix.shape[0], matrix.shape[1])
        return Encoded(scheme=self.name, shape=shape, tables=tables, native=self.native)

    @abstractmethod
    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        """The tables of a finite float32 matrix [rows, columns]."""

    def raw_bytes(self, shape: tuple[int, int], options: Options) -> int:
        return self.table_bytes(shape, self.options(options))

    @abstractmethod
    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        """What `raw_bytes` gives."""


def _scheme(announced: object) -> Scheme | None:
    """The scheme that another package's object is, or the subclass makes; None when it is something else."""
    if isinstance(announced, type) and issubclass(announced, Scheme) and not isabstract(announced):
        announced = announced()
    complete = all(hasattr(announced, part) for part in ("name", "summary", "formula"))
    return announced if isinstance(announced, Scheme) and complete else None


#: Other packages announce theirs as entry points: subclasses or instances of `Scheme`.
_SCHEMES: Registry[Scheme] = Registry("scheme", group="golfbudget.schemes", made=_scheme)
register, registered, load_others = _SCHEMES.register, _SCHEMES.registered, _SCHEMES.load_others
#: Schemes of one layout each, which are no candidates for files of another.
_BOUND: Registry[Scheme] = Registry("scheme")
register_bound, bound = _BOUND.register, _BOUND.registered


def get(name: str) -> Scheme:
    """The scheme of that name, be it one layout's own; `UsageError` lists the known ones."""
    own = bound()
    return own[name] if name in own else _SCHEMES.get(name)


def check_matrix(matrix: Tensor) -> Tensor:
    """The matrix as float32 of that shape; `UsageError` unless it is a non-empty [rows, columns] of finite numbers."""
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise UsageError(f"a scheme needs a matrix with at least one row and column, found shape {list(matrix.shape)}")
    matrix = matrix.float()
    if not bool(torch.isfinite(matrix).all()):
        row, column = (int(i) for i in torch.nonzero(~torch.isfinite(matrix))[0])
        raise UsageError(f"the matrix holds {matrix[row, column].item()} at row {row}, column {column}")
    return matrix
