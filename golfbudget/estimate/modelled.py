"""The entropy formula: bytes an order-0 coder needs, tensor by tensor, from shapes and rules alone.

bytes = Σ elements · H / 8, H the bits per value of the quantised distribution for integers and of each byte plane for
floats, under the kind of code the recipe's codec uses, plus what a container costs once coded.  No torch and no numpy,
so that it answers at once.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Literal

from golfbudget.dtypes import element_bytes
from golfbudget.errors import ConfigError
from golfbudget.estimate.bins import Coder, Family, float_bits, level_bits, typical_maximum
from golfbudget.models import TensorSpec
from golfbudget.recipe.config import ByScheme, Correction, Integer, Keep, Recipe, matching, rule_for

#: Coded bytes of container per stored tensor (zip records, pickle and padding after the codec), and once per file.
#: Measured on containers of 51 to 291 tensors full of zeros, each codec at its strongest; zlib's short window cannot
#: refer from one record to the next.
_CONTAINER = {"brotli": 45, "zstd": 55, "xz": 60, "lzma": 60, "bz2": 60, "zlib": 110, "gzip": 110, "deflate": 110}
_CONTAINER_RAW, _CONTAINER_ONCE = 300, 1_000
#: What codecs do with independent values; others are taken to reach the entropy.
_CODERS: dict[str, Coder] = {
    "brotli": "prefix", "zlib": "zlib", "gzip": "zlib", "deflate": "zlib", "zstd": "zstd", "xz": "xz", "lzma": "xz",
    "bz2": "bz2",
}  # fmt: skip
_FLOATS = ("float16", "bfloat16", "float32", "float8_e4m3fn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Modelled:
    """Modelled bytes, part by part: integer levels, scales, floats kept, corrections, container.

    `coder` is the kind of code assumed; `none` where the recipe has no codec.
    """

    coder: Coder | Literal["none"]
    levels: float
    scales: float
    kept: float
    corrections: float
    container: float

    @property
    def value(self) -> int:
        return round(self.levels + self.scales + self.kept + self.corrections + self.container)


class Formula:
    """The formula under one recipe; the tensors named are as `synthetic.draw` makes them, the others Gaussian.

    So their scale floors act on Laplace weights and on no Gaussian ones.
    """

    def __init__(self, recipe: Recipe, family: Family, named: Container[str] = ()) -> None:
        self.recipe, self.family, self.named = recipe, family, named
        self.stored = recipe.codec == "none"
        self.coder: Coder = "arithmetic" if recipe.coder is not None else _CODERS.get(recipe.codec, "arithmetic")

    def of(self, tensors: Iterable[TensorSpec]) -> Modelled:
        """The modelled bytes of a model.

        `ConfigError` for a rule that stores a matrix by a scheme: schemes have no formula for their coded size.
        """
        specs = {spec.name: spec for spec in tensors}
        levels = scales = kept = 0.0
        entries = 0
        integers: list[str] = []
        for spec in specs.values():
            rule = rule_for(self.recipe, spec.name, spec.shape) if spec.floating else None
            if isinstance(rule, Integer):
                own = self._integer(spec, rule)
                levels, scales = levels + own[0], scales + own[1]
                entries += 2
                integers.append(spec.name)
                continue
            if isinstance(rule, ByScheme):
                raise ConfigError(
                    f"recipe {self.recipe.name}: rule {rule.name}: scheme {rule.scheme} has no formula for its coded "
                    "bytes; leave out --fast to measure it"
                )
            dtype = rule.dtype if isinstance(rule, Keep) and rule.dtype != "original" else spec.dtype
            kept += self._floats(spec.elements, dtype, spec.mean, spec.deviation if spec.floating else 0.0)
            entries += 1
        corrections = 0.0
        for correction in self.recipe.corrections:
            matrices = [specs[n] for n in matching(correction.match, integers) if len(specs[n].shape) == 2]
            # The residual is about uniform within a level, so the largest matrices of the widest levels lose most.
            chosen = sorted(matrices, key=lambda spec: (-self._lost(spec), spec.name))[: correction.most]
            corrections += sum(self._correction(spec, correction) for spec in chosen)
            entries += 4 * len(chosen)
        each = _CONTAINER_RAW if self.stored else _CONTAINER.get(self.recipe.codec, max(_CONTAINER.values()))
        return Modelled(
            coder="none" if self.stored else self.coder,
            levels=levels,
            scales=scales,
            kept=kept,
            corrections=corrections,
            container=_CONTAINER_ONCE + each * entries,
        )

    def _floats(self, count: int, dtype: str, mean: float, deviation: float) -> float:
        """Bytes of `count` floats; of a dtype that is no float here, of as many zeros."""
        if self.stored:
            return count * float(element_bytes(dtype) if dtype in _FLOATS else 1)
        if dtype not in _FLOATS:
            return 0.0
        return count * float_bits(dtype, _rounded(mean), _rounded(deviation), coder=self.coder) / 8

    def _clip(self, count: int, rule: Integer, family: Family) -> float:
        if rule.clip_deviations is not None:
            return rule.clip_deviations
        if rule.clip_quantile is not None and rule.clip_quantile * (count - 1) < count - 2:
            count = max(1, round(math.log(0.5) / math.log(rule.clip_quantile)))
        return typical_maximum(count, family)

    def _integer(self, spec: TensorSpec, rule: Integer) -> tuple[float, float]:
        matrix = len(spec.shape) == 2
        rows, columns = spec.shape if matrix else (1, spec.elements)
        family = self.family if spec.name in self.named else "gaussian"
        clip = self._clip(columns, rule, family)
        scale = clip / rule.top
        at_floor = matrix and family == "laplace" and spec.deviation > 0 and rule.floor / spec.deviation > scale
        if at_floor:
            scale = rule.floor / spec.deviation
        width, low, high = round(scale * rule.step, 9), -(-rule.bottom // rule.step), rule.top // rule.step
        bits = 8.0 if self.stored else level_bits(width, low, high, family, self.coder)
        if not matrix:
            return spec.elements * bits / 8, element_bytes(rule.scalar_scale_dtype)
        # A standard deviation of n draws varies by 1 in √(2n); a maximum by about 1.3 in the square of itself.
        varies = 1 / math.sqrt(2 * max(1, columns - 1)) if rule.clip_deviations is not None else 1.3 / clip**2
        center = scale * (spec.deviation or 1.0)
        spread = 0.0 if at_floor else center * varies
        return spec.elements * bits / 8, self._floats(rows, rule.scale_dtype, center, spread)

    def _lost(self, spec: TensorSpec) -> float:
        """A matrix's squared rounding error, but for a factor."""
        rule = rule_for(self.recipe, spec.name, spec.shape)
        if not isinstance(rule, Integer):
            return 0.0
        return spec.elements * (self._clip(spec.shape[-1], rule, "gaussian") * spec.deviation / rule.top) ** 2

    def _correction(self, spec: TensorSpec, rule: Correction) -> float:
        """Bytes of a correction's tables: Gaussian factors by absolute maximum, asymmetric levels."""
        rows, columns = spec.shape
        rank = min(rule.rank, rows, columns)

        def factor(count: int, group: int, bits: int) -> float:
            if self.stored:
                return float(count)
            top = 2 ** (bits - 1) - 1
            width = typical_maximum(group) / (top + 0.5)
            return count * level_bits(round(width, 9), -top - 1, top, "gaussian", self.coder) / 8

        scales = 2 * (1 + rank * -(-columns // rule.group))
        left = factor(rows * rank, rows * rank, rule.left_bits)
        return left + factor(rank * columns, rule.group, rule.right_bits) + scales


def _rounded(value: float) -> float:
    """Three digits, so that tensors alike share one sum over all floats."""
    return float(f"{value:.3g}")
