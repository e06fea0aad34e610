"""What each matrix may become: schemes over grids of steps.  Which scheme is better is not asked here."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from golfbudget import schemes
from golfbudget.fit.request import HeadKind
from golfbudget.plan.grids import HEAD, TRUNK, grid, label
from golfbudget.schemes import Options

#: Ratio of neighbouring steps: a third of a bit a weight.
_RATIO = 2 ** (1 / 3)
_FINEST, _COARSEST = 0.025, 1.7
#: Bits of a Gaussian weight at a step of its deviation; and how far from the mean a matrix may want to be.
_BITS_AT_ONE, _SPREAD = 2.0, 2.5
#: Of what another scheme does better as a rule, every third step is taken.
_SPARSE = 3
#: λ of rate-distortion rounding of fine grids.
_RATE = 0.1
_TOP = 127
_SCALAR_BITS = (8, 6, 5, 4, 3)
_TRELLIS, _FED_TRELLIS, _ROUNDED = "trellis", "trellis-gptq", "clipped"
#: Which option of a scheme sets its step, in proportion.
STEPS: Mapping[str, str] = {_TRELLIS: "step", _FED_TRELLIS: "step", _ROUNDED: "clip", "gptq": "clip"}
#: Further schemes whose rows have nothing to do with each other.
_ROW_BY_ROW = ("scalar", "ternary")
#: Heads of another structure than a matrix of numbers, VQ-Logits first.
_VQ = ("vq-logits-int", "vq-logits-bias", "vq-logits-explicit")
_OTHERS = ("factorised", "product", "bands", "vq-logits-residual")


@dataclass(frozen=True, slots=True)
class MatrixChoice:
    """A scheme and its options for one matrix.

    No scheme leaves it as the recipe stores it, or keeps its numbers in a `dtype` where that is the option.
    """

    scheme: str | None
    options: tuple[tuple[str, int | float | str], ...] = ()

    @classmethod
    def of(cls, scheme: str, options: Options) -> MatrixChoice:
        return cls(scheme, tuple(sorted(options.items())))

    @property
    def name(self) -> str:
        """The scheme and its options in one word."""
        if self.scheme is None:
            return f"kept-{self.kept}" if self.kept else "recipe"
        return label(schemes.get(self.scheme), dict(self.options))

    @property
    def kept(self) -> str | None:
        """The dtype in which the matrix is kept; None where it is not."""
        return str(dict(self.options)["dtype"]) if self.scheme is None and self.options else None

    @property
    def row_by_row(self) -> bool:
        """Whether some rows of a matrix tell what all come to."""
        return self.scheme in (*STEPS, *_ROW_BY_ROW)

    @property
    def scalable(self) -> bool:
        """Whether its step can be made a little finer or coarser."""
        return self.scheme in STEPS

    def scaled(self, factor: float) -> MatrixChoice:
        """With a step of so many times this one's; `ValueError` where it has none."""
        if self.scheme is None or not self.scalable:
            raise ValueError(f"{self.name} has no step")
        options, name = dict(self.options), STEPS[self.scheme]
        return MatrixChoice.of(self.scheme, options | {name: float(f"{float(options[name]) * factor:.6g}")})

    def closest(self, menu: Collection[MatrixChoice]) -> MatrixChoice:
        """Itself in a menu, or, where its step was scaled, the one of its scheme whose step is next to it."""
        if self in menu or self.scheme is None:
            return self
        name = STEPS[self.scheme]
        own = float(dict(self.options)[name])
        alike = [other for other in menu if other.scheme == self.scheme]
        return min(alike, key=lambda other: (abs(math.log(float(dict(other.options)[name]) / own)), other.name))


AS_IS = MatrixChoice(None)
#: Kept as numbers: the least loss where there is room.
KEPT = (MatrixChoice(None, (("dtype", "float16"),)), MatrixChoice(None, (("dtype", "float32"),)))


def steps(bits: float | None = None) -> list[float]:
    """Steps over a row's deviation, finest first; of matrices of about so many bits a weight, if that is said."""
    found, step = [], _FINEST
    while step < _COARSEST:
        if bits is None or abs(_BITS_AT_ONE - math.log2(step) - bits) <= _SPREAD:
            found.append(float(f"{step:.4g}"))
        step *= _RATIO
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Menus:
    """What is open: at about `bits` a weight over all, to schemes whose needs are `known`, `more` schemes included.

    `coarse` menus have the trellis alone, at every other step of all, beside what the recipe does.
    """

    bits: float
    more: Sequence[str] = ()
    coarse: bool = False

    def trunk(self, shape: tuple[int, int], known: Collection[str]) -> tuple[MatrixChoice, ...]:
        """Ways to store a trunk matrix [rows, columns]."""
        return tuple(dict.fromkeys((AS_IS, *KEPT, *self._plain(known), *_of(TRUNK, self.more, shape, known))))

    def head(self, shape: tuple[int, int], known: Collection[str], kind: HeadKind) -> tuple[MatrixChoice, ...]:
        """Ways to store the head [rows, columns]."""
        others = [name for name in self.more if restructures(name)]
        plain = [name for name in self.more if not restructures(name)]
        vq = tuple(_of(HEAD, [*_VQ, *(name for name in others if name.startswith("vq-"))], shape, known))
        found = {
            HeadKind.PLAIN: (AS_IS, *KEPT, *self._plain(known), *_of(HEAD, plain, shape, known)),
            HeadKind.VQ: vq,
            HeadKind.RESTRUCTURED: (*vq, *_of(HEAD, [*_OTHERS, *others], shape, known)),
        }
        found[HeadKind.ANY] = (*found[HeadKind.PLAIN], *found[HeadKind.RESTRUCTURED])
        return tuple(dict.fromkeys(found[kind]))

    def _plain(self, known: Collection[str]) -> Iterator[MatrixChoice]:
        if self.coarse:
            yield from (MatrixChoice.of(_TRELLIS, {"step": step}) for step in steps()[::2])
            return
        every = steps(self.bits)
        fed = "moment" in known
        for scheme, tried in ((_FED_TRELLIS, every if fed else []), (_TRELLIS, every[::_SPARSE] if fed else every)):
            yield from (MatrixChoice.of(scheme, {"step": step}) for step in tried)
        yield from (
            MatrixChoice.of(_ROUNDED, {"bits": 8, "clip": _TOP * step, "rd": _RATE}) for step in every[::_SPARSE]
        )
        yield from (MatrixChoice.of("scalar", {"bits": bits}) for bits in _SCALAR_BITS)
        yield MatrixChoice.of("ternary", {})


def restructures(scheme: str | None) -> bool:
    """Whether a head so stored is no longer one number for each weight, each rounded."""
    return scheme is not None and (
        scheme.startswith("vq-") or scheme in (*_OTHERS, "residual", "grouped", "hashed", "binary-codes", "low-rank")
    )


def _of(
    table: Mapping[str, object], names: Sequence[str], shape: tuple[int, int], known: Collection[str]
) -> Iterator[MatrixChoice]:
    grids = HEAD if table is HEAD else TRUNK
    for name in names:
        scheme = schemes.get(name)
        for options in grid(grids, scheme, *shape):
            if all(need in known for need in scheme.needs_for(options)):
                yield MatrixChoice.of(name, options)
