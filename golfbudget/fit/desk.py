"""What every process of a fit works with: the matrices, what encoders may use, and the model on the text that chooses.

Losses here are divergences from the source, KL(source || changed) in bits per byte.  A rounding error moves the loss
to first order too, up or down by chance, as another text would not; divergence has no such term.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from golfbudget import codecs, schemes
from golfbudget.codecs.rans.encoding import likely, run_bits
from golfbudget.fit.menu import MatrixChoice
from golfbudget.plan.building import EncoderInputs
from golfbudget.plan.source import PlanSource
from golfbudget.plan.trials import Side
from golfbudget.quality.evaluate import Evaluator, Losses
from golfbudget.recipe.export import decode
from golfbudget.schemes import Encoded
from golfbudget.schemes.threads import one_thread

#: Tokens on which one divergence is taken: what it is asked for is a slope, to some ten per cent.
_TOKENS = 4_096
#: Of a matrix of more weights than this, so many weights' rows say what its bytes and its error come to.
_WHOLE, _SAMPLED = 1 << 19, 1 << 17
#: … and at least so many rows.
_FEWEST_ROWS = 64
#: What finds repeats quickly, where a coder of symbols sees none.
_QUICK = ("brotli", 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """One way to store one matrix; of a large one, what some of its rows come to, in proportion.

    `bytes` are those of its tables by the coder or a quick codec, whichever is less; `error` is the squared error,
    weighted by the second moment of the matrix's inputs where that is known.
    """

    choice: MatrixChoice
    bytes: int
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """`chooser` and `reporter` run the model on the two texts, None where none is run.

    `own` are the recipe's matrices, decoded.
    """

    source: PlanSource
    inputs: EncoderInputs
    chooser: Evaluator | None
    reporter: Evaluator | None
    own: Mapping[str, Tensor]

    @classmethod
    def of(
        cls, source: PlanSource, inputs: EncoderInputs, chooser: Evaluator | None, reporter: Evaluator | None
    ) -> Desk:
        return cls(source=source, inputs=inputs, chooser=chooser, reporter=reporter, own=decode(source.export))

    def matrix(self, owner: str) -> Tensor:
        """The source's own matrix, float32 [rows, columns]."""
        return self.source.reference[owner].float()

    def side(self, owner: str) -> Side:
        return Side.HEAD if owner == self.source.head else Side.TRUNK

    def encoded(self, owner: str, choice: MatrixChoice, rows: Tensor | None = None) -> Encoded | None:
        """The matrix so encoded, or those `rows` [some] of it alone; None as the recipe has it, or kept."""
        if choice.scheme is None:
            return None
        matrix, context = self.matrix(owner), self.inputs.context(owner, self.side(owner))
        if rows is not None:
            counts = None if context.counts is None else context.counts[rows]
            matrix, context = matrix[rows].contiguous(), replace(context, counts=counts)
        with one_thread():
            return schemes.get(choice.scheme).encode(matrix, dict(choice.options), context)

    def sample(self, owner: str, choice: MatrixChoice) -> Tensor | None:
        """Evenly spaced rows that tell the cost of a choice, [some]; None where all of them are to be encoded."""
        rows, columns = self.source.reference[owner].shape
        some = max(_FEWEST_ROWS, _SAMPLED // columns)
        if rows * columns <= _WHOLE or some >= rows or not choice.row_by_row:
            return None
        return torch.linspace(0, rows - 1, some).round().long()

    def decoded(self, owner: str, choice: MatrixChoice, encoded: Encoded | None) -> Tensor:
        """What a loader makes of it, [rows, columns] of the rows encoded, in the tensor's own dtype."""
        dtype = getattr(torch, self.source.dtype(owner))
        if encoded is not None:
            return encoded.decoded().to(dtype)
        if choice.kept is not None:
            return self.kept(owner, choice.kept).to(dtype)
        return self.own[owner]

    def kept(self, owner: str, dtype: str) -> Tensor:
        """The matrix [rows, columns] in a dtype."""
        return self.source.reference[owner].to(getattr(torch, dtype)).contiguous()

    def error(self, owner: str, decoded: Tensor, rows: Tensor | None = None) -> float:
        """tr(E C Eᵀ) where the second moment C of the inputs is known, else the squared error; perhaps of some rows.

        `decoded` is [rows, columns], or [some, columns] for `rows` [some].
        """
        matrix = self.matrix(owner)
        error = decoded.double() - (matrix if rows is None else matrix[rows]).double()
        covariance = self.inputs.covariances.get(owner)
        if covariance is None:
            return float(error.square().sum())
        return float(torch.sum((error @ covariance.double()) * error))

    def energy(self, owner: str) -> float:
        """The same of the whole matrix."""
        return self.error(owner, torch.zeros_like(self.matrix(owner)))

    def divergence(self, changed: Mapping[str, Tensor], bias: Tensor | None = None) -> float:
        """KL(source || source with these tensors) on the text that chooses, bits per byte; `bias` is [vocabulary].

        `RuntimeError` without a model.
        """
        if self.chooser is None:
            raise RuntimeError("there is no model to run here")
        text, before = self.chooser.text, self.source.reference
        windows = min(len(text.windows), max(1, _TOKENS // text.window))
        with one_thread():
            nats = self.chooser.divergences(before, {**before, **changed}, bias=bias, windows=windows)
        return float(nats.sum()) / math.log(2) / float(text.bytes_per_window[:windows].sum())


#: Matrices by name, and a bias of the head.
State = tuple[Mapping[str, Tensor], Tensor | None]


def diverging(desk: Desk, state: State) -> float:
    """The divergence, bits per byte, of a model with these matrices and this bias [vocabulary]."""
    changed, bias = state
    return desk.divergence(changed, bias)


def reported(desk: Desk, state: State) -> Losses:
    """Nats lost in each window of the text that reports, float64 [windows], by a whole state and a bias [vocabulary].

    `RuntimeError` without a model.
    """
    if desk.reporter is None:
        raise RuntimeError("there is no model to run here")
    tensors, bias = state
    return desk.reporter.losses(tensors, bias=bias)


def price(desk: Desk, task: tuple[str, MatrixChoice]) -> Priced:
    """Store one matrix one way, and take its bytes and its error."""
    owner, choice = task
    rows = desk.sample(owner, choice)
    encoded = desk.encoded(owner, choice, rows)
    error = desk.error(owner, desk.decoded(owner, choice, encoded), rows)
    stored = sum(map(_table_bytes, _tables(desk, owner, choice, encoded)))
    share = 1.0 if rows is None else len(desk.source.reference[owner]) / len(rows)
    return Priced(choice=choice, bytes=round(share * stored), error=share * error)


def _tables(desk: Desk, owner: str, choice: MatrixChoice, encoded: Encoded | None) -> Iterator[Tensor]:
    """What a file has of the matrix."""
    export = desk.source.export
    if encoded is None and choice.kept is None:
        encoded = export.schemes.get(owner)
    if encoded is not None:
        yield from (table.tensor for table in encoded.tables)
    elif choice.kept is not None:
        yield desk.kept(owner, choice.kept)
    elif owner in export.quantized:
        yield from (export.quantized[owner], export.scales[owner])
        yield from export.corrections.get(owner, {}).values()
    else:
        yield export.passthrough[owner]


def _table_bytes(tensor: Tensor) -> int:
    name, level = _QUICK
    data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    quick = len(codecs.get(name).encode(data, level))
    if tensor.dtype not in (torch.int8, torch.uint8):
        return quick
    rows = tensor.shape[0] if tensor.ndim > 1 else 1
    return min(quick, math.ceil(run_bits(likely(data, rows)) / 8))


def perturbed(desk: Desk, task: tuple[str, MatrixChoice]) -> float:
    """The divergence, bits per byte, of a model of which one matrix alone is stored so."""
    owner, choice = task
    encoded = desk.encoded(owner, choice)
    bias = None if encoded is None else encoded.bias()
    return desk.divergence({owner: desk.decoded(owner, choice, encoded)}, bias)
