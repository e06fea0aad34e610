"""Head schemes at one vocabulary: which are tried, and the bytes of a synthetic head through the recipe's own codec.

Codebook heads are as if trained in that form, codebook rows drawn like the head's, codes drawn evenly.  Fitting
thousands of codes to weights without structure takes minutes and says nothing about bytes: the codebook's values are
of the same kind, and a map in full use is as good as random.  So the fit is left out, and all else (rounding, tables,
packing, bias, explicit rows, residual) is the scheme's own encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from golfbudget import schemes
from golfbudget.errors import UsageError
from golfbudget.estimate.bins import Family
from golfbudget.estimate.measured import draw
from golfbudget.ledger import Account
from golfbudget.models import TensorSpec
from golfbudget.plan.candidates import ALL, DEFAULT, REPACK
from golfbudget.plan.grids import HEAD, grid, label, made_by
from golfbudget.plan.vocabulary.model import alone
from golfbudget.recipe.artifacts import artifact_bytes
from golfbudget.recipe.config import Recipe
from golfbudget.recipe.export import dtype_name, quantise
from golfbudget.schemes.base import Context, Encoded, Options, Scheme
from golfbudget.schemes.grouped_codes import Product
from golfbudget.schemes.values import HALF_BITS, check_bits, map_tables, matrix_tables
from golfbudget.schemes.vq_family import VqBias, VqExplicit, VqFamily, VqInteger, VqResidual
from golfbudget.schemes.vq_logits import to_used

#: A width of codebooks whose step by absolute maximum is no coarser than int8's at k = 20.
_CODEBOOK_BITS = 6


class _Unfitted(VqFamily):
    """The first K rows as codebook, and codes drawn evenly."""

    def _fit(self, matrix: Tensor, options: Options, context: Context) -> tuple[Tensor, Tensor]:
        codes = min(len(matrix), int(options["codes"]))
        drawn = _codes((len(matrix),), codes, context.seed)
        # Every code names a token: in a trained codebook none lies idle.
        drawn[:codes] = torch.randperm(codes, generator=torch.Generator().manual_seed(context.seed))
        return to_used(matrix[:codes], drawn)


class _Plain(_Unfitted, VqInteger):
    """`vq-logits` is `vq-logits-int` with an fp16 codebook, table for table."""

    def encode(self, matrix: Tensor, options: Options, context: Context) -> Encoded:
        return replace(super().encode(matrix, {**options, "bits": HALF_BITS}, context), scheme="vq-logits")


class _Product(Product):
    """The first K rows as all groups' codebooks."""

    def encode(self, matrix: Tensor, options: Options, context: Context) -> Encoded:
        options = self.options(options)
        (rows, columns), bits = matrix.shape, check_bits(self.name, "bits", options)
        groups, codes = self._sizes((rows, columns), options)
        tables = matrix_tables("codebook", matrix[:codes], bits, str(options["store"]), Account.CODEBOOK)
        mapping = map_tables("map", _codes((groups, rows), codes, context.seed), codes)
        return Encoded(scheme=self.name, shape=(rows, columns), tables=(*tables, mapping))


def _codes(shape: tuple[int, ...], codes: int, seed: int) -> Tensor:
    return torch.randint(codes, shape, generator=torch.Generator().manual_seed(seed))


#: Schemes of the family whose encoders need nothing but their fit left out.
_FITTED = (VqInteger, VqBias, VqExplicit, VqResidual)
_DRAWN: dict[str, Callable[[], Scheme]] = {
    "vq-logits": _Plain,
    **{kind.name: type(f"_{kind.__name__}", (_Unfitted, kind), {}) for kind in _FITTED},
    "product": _Product,
}


def encode_drawn(scheme: Scheme, matrix: Tensor, options: Options, context: Context) -> Encoded:
    """The encoding of a synthetic matrix [vocabulary, width], its codebooks drawn where the scheme is known here."""
    made = _DRAWN.get(scheme.name)
    return (scheme if made is None else made()).encode(matrix, options, context)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A scheme with its options; `name` is as in a plan."""

    name: str
    scheme: str
    options: Options


def choices(chosen: Sequence[str] | None, rows: int, columns: int) -> list[Choice]:
    """What is tried at a vocabulary of `rows`: the default, or the grids of the schemes named.

    `UsageError` for what is no head scheme, or needs text run through a model.
    """
    found: dict[str, Choice] = {}
    for name in [DEFAULT] if chosen is None else chosen:
        for scheme, options in _named(name, rows, columns):
            made = Choice(name=label(schemes.get(scheme), options), scheme=scheme, options=options)
            found.setdefault(made.name, made)
    return list(found.values())


def _named(name: str, rows: int, columns: int) -> list[tuple[str, Options]]:
    if name == DEFAULT:
        return _default(rows, columns)
    if name == ALL:
        usable = [known for known in HEAD if "moment" not in schemes.get(known).needs]
        return [(known, options) for known in usable for options in _grid(known, rows, columns)]
    if name == REPACK:
        raise UsageError(f"--schemes {REPACK}: repacking changes no head; leave it out with --vocab")
    scheme = schemes.get(name)
    tried = _grid(name, rows, columns)
    if "moment" in scheme.needs:
        raise UsageError(f"--schemes {name}: needs text run through a model, and --vocab runs none")
    if not tried:
        raise UsageError(f"--schemes {name}: is for the trunk; head schemes: {', '.join(HEAD)}")
    return [(name, options) for options in tried]


def _grid(name: str, rows: int, columns: int) -> list[Options]:
    """A scheme's grid, less what needs states of a head: there are none."""
    return [options for options in grid(HEAD, schemes.get(name), rows, columns) if not made_by(options)]


def _default(rows: int, columns: int) -> list[tuple[str, Options]]:
    """Public int6, VQ-Logits at V/2, V/4 and V/8, with bias and with explicit rows, and the best known of the rest."""
    bits = _CODEBOOK_BITS
    sizes = [codes for over in (2, 4, 8) if (codes := rows // over) >= 2]
    found: list[tuple[str, Options]] = [("clipped", {"bits": 6, "clip": 12.85})]
    found += [("vq-logits-int", {"codes": codes, "bits": bits}) for codes in sizes]
    few = max(2, rows // 4)
    found.append(("vq-logits-bias", {"codes": few, "bits": bits, "bias_bits": 8}))
    own = {"codes": max(2, rows // 8), "explicit": max(1, rows // 8), "bits": bits}
    found.append(("vq-logits-explicit", own))
    for name, number in (("product", 1), ("lqer", 1), ("factorised", 1)):
        found.append((name, grid(HEAD, schemes.get(name), rows, columns)[number]))
    return found


def floor_codes(choice: Choice, rows: int) -> tuple[int, bool] | None:
    """How many codes a floor is taken over, and whether a bias splits them; None where rows are told apart.

    An explicit row is a code of its own, so K shared codes and S such rows tie no less than the best K + S codes.
    """
    if choice.scheme not in ("vq-logits", "vq-logits-int", "vq-logits-bias", "vq-logits-explicit"):
        return None
    codes = int(choice.options["codes"]) + int(choice.options.get("explicit", 0))
    return min(codes, rows), choice.scheme == "vq-logits-bias"


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Writes files of vocabulary tensors under a recipe; bytes are those beyond an empty container's.

    `ranged` tensors are drawn at the end of the range that `family` stands for (see `estimate.synthetic.draw`).
    """

    recipe: Recipe
    container: int
    seed: int
    ranged: frozenset[str]

    def tables(self, specs: Sequence[TensorSpec], family: Family = "gaussian") -> int:
        if not specs:
            return 0
        state = dict(draw(specs, self.seed, family, self.ranged))
        recipe = alone(self.recipe, state)
        return len(artifact_bytes(quantise(state, recipe, self.seed), recipe)) - self.container

    def encoded(self, head: TensorSpec, choice: Choice, counts: Tensor) -> int:
        """Bytes of the head as the choice encodes it for token counts [vocabulary]."""
        ((name, matrix),) = draw([head], self.seed, "gaussian", self.ranged)
        recipe = alone(self.recipe, {name: matrix})
        context = Context(seed=self.seed, counts=counts)
        encoded = encode_drawn(schemes.get(choice.scheme), matrix.float(), choice.options, context)
        export = quantise({name: matrix}, recipe, self.seed).with_encoded(name, encoded, dtype_name(matrix))
        return len(artifact_bytes(export, recipe)) - self.container
