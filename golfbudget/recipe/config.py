"""Recipe files: how a state dict becomes an artifact, as ordered rules over tensor names, validated.

And which rule a tensor has.  No torch here: the modelled estimate needs this too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from golfbudget import codecs, configs
from golfbudget.errors import ConfigError

DEFAULT = "int8-zlib"

#: How many tensor names a message lists.
_NAMED = 6

Pattern = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
FloatType = Literal["float16", "bfloat16", "float32"]
LayoutName = Literal[
    "int8_clean_per_row_v1", "w-m", "safetensors", "state-dict", "packed", "gguf", "compressed-tensors"
]
#: The layout that has a place for a coder's streams.
CODED_LAYOUT = "packed"
#: What a decoder is told of a stored tensor, in layouts that keep such labels.
Label = str | dict[str, str | int | float]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="quantizer"):
    """What all rules have: which float tensors they are for.  The first rule that fits a tensor has it.

    `match` are patterns of whole names (`*` and `?` stand for any characters).  A rule none of whose patterns
    matches any tensor is a mistake unless it is `optional`.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=80)]
    match: Annotated[tuple[Pattern, ...], msgspec.Meta(min_length=1)]
    more_elements_than: Annotated[int, msgspec.Meta(ge=0)] = 0
    dimensions: Annotated[int, msgspec.Meta(ge=0, le=8)] | None = None
    optional: bool = False
    meta: Label | None = None


class Integer(Rule, frozen=True, kw_only=True, tag="integer"):
    """One integer a byte, with one scale a row (matrices) or one for the tensor.

    scale = clip / highest, where clip is `clip_deviations` standard deviations of the row, the `clip_quantile` of its
    absolute values, or their maximum when neither is given; a row's scale is at least `scale_floor`.  Values are
    rounded to multiples of `step` and kept within `lowest` and `highest` (by default ±(2^(bits-1) - 1)).
    """

    bits: Annotated[int, msgspec.Meta(ge=2, le=8)]
    lowest: Annotated[int, msgspec.Meta(ge=-128, lt=0)] | None = None
    highest: Annotated[int, msgspec.Meta(gt=0, le=127)] | None = None
    step: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    clip_deviations: Annotated[float, msgspec.Meta(gt=0)] | None = None
    clip_quantile: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    scale_dtype: FloatType = "float16"
    scalar_scale_dtype: FloatType = "float16"
    scale_floor: Annotated[float, msgspec.Meta(ge=0)] | str = 0.0
    suffixes: tuple[str, str] = (".q", ".scale")

    @property
    def top(self) -> int:
        """The highest integer, by which the clip is divided."""
        return 2 ** (self.bits - 1) - 1 if self.highest is None else self.highest

    @property
    def bottom(self) -> int:
        return -(2 ** (self.bits - 1) - 1) if self.lowest is None else self.lowest

    @property
    def floor(self) -> float:
        """`scale_floor` as a number; fractions such as 1/127 are written as text."""
        return float(Fraction(self.scale_floor)) if isinstance(self.scale_floor, str) else self.scale_floor


class Keep(Rule, frozen=True, kw_only=True, tag="keep"):
    """Stored as it is, in `dtype`."""

    dtype: Literal["float16", "bfloat16", "float32", "float8_e4m3fn", "original"]


class ByScheme(Rule, frozen=True, kw_only=True, tag="scheme"):
    """A matrix stored as the tables of a registered scheme."""

    scheme: str
    options: dict[str, int | float | str] = {}


class Correction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A low-rank correction (LQER) stored beside the `most` matrices whose rounding loses most.

    residual ≈ left · right, left [rows, rank] of `left_bits` with one scale, right [rank, columns] of `right_bits`
    with one scale per `group` columns (fewer where these do not divide evenly), all scales fp16.
    """

    match: Annotated[tuple[Pattern, ...], msgspec.Meta(min_length=1)]
    rank: Annotated[int, msgspec.Meta(ge=1, le=1024)]
    most: Annotated[int, msgspec.Meta(ge=1)] = 1
    left_bits: Annotated[int, msgspec.Meta(ge=2, le=8)] = 2
    right_bits: Annotated[int, msgspec.Meta(ge=2, le=8)] = 4
    group: Annotated[int, msgspec.Meta(ge=1)] = 64


class Shuffle(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The byte shuffle before the codec; public writers use headers of 5 and of 6 bytes."""

    name: Literal["byte-shuffle"]
    stride: Annotated[int, msgspec.Meta(ge=2, le=64)] = 2
    header_bytes: Literal[5, 6] = 5


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A recipe file.

    A `coder` takes each table of integers that it makes smaller than the codec alone does; layout `packed` has a place
    for its streams.
    """

    name: str
    layout: LayoutName
    codec: str
    level: int
    tensors: Annotated[tuple[Integer | Keep | ByScheme, ...], msgspec.Meta(min_length=1)]
    summary: str = ""
    filter: Shuffle | None = None
    coder: Literal["rans"] | None = None
    corrections: tuple[Correction, ...] = ()


def load_recipe(name: str | Path = DEFAULT) -> Recipe:
    """A recipe by shipped name or path; `ConfigError` names file and key."""
    path = configs.find("recipes", name)
    return check(configs.load(path, Recipe), str(path))


def recipe_from(values: Mapping[str, Any], where: str) -> Recipe:
    """A recipe from plain values, as a model file may hold them; `where` names their place in messages."""
    return check(configs.convert(dict(values), Recipe, where), where)


def check(recipe: Recipe, where: str) -> Recipe:
    """The recipe itself, when its parts fit each other; `ConfigError` names the key."""
    known = codecs.registered()
    if recipe.codec not in known:
        raise ConfigError(f"{where}: codec: found {recipe.codec!r}, known: {', '.join(sorted(known))}")
    levels = known[recipe.codec].levels
    if recipe.level not in levels:
        raise ConfigError(
            f"{where}: level: found {recipe.level}, {recipe.codec} takes {levels.start} to {levels.stop - 1}"
        )
    if recipe.coder is not None and recipe.layout != CODED_LAYOUT:
        raise ConfigError(f"{where}: coder: layout {recipe.layout} has no place for its streams; use {CODED_LAYOUT}")
    names: set[str] = set()
    for number, rule in enumerate(recipe.tensors):
        at = f"{where}: tensors[{number}]"
        if rule.name in names:
            raise ConfigError(f"{at}.name: {rule.name!r} is taken by an earlier rule; names tell rules apart")
        names.add(rule.name)
        if isinstance(rule, Integer):
            _check_integer(rule, at)
        if recipe.layout == "int8_clean_per_row_v1" and rule.meta is not None:
            raise ConfigError(f"{at}.meta: layout {recipe.layout} keeps no labels; leave it out")
    if recipe.corrections and recipe.layout == "int8_clean_per_row_v1":
        raise ConfigError(f"{where}: corrections: layout {recipe.layout} has no place for them; use w-m")
    return recipe


def _check_integer(rule: Integer, at: str) -> None:
    if rule.clip_deviations is not None and rule.clip_quantile is not None:
        raise ConfigError(f"{at}.clip_quantile: clip_deviations is given too; a row has one clip, give one of them")
    try:
        floor = rule.floor
    except (ValueError, ZeroDivisionError):
        floor = -1.0
    if not 0 <= floor < float("inf"):
        raise ConfigError(f'{at}.scale_floor: found {rule.scale_floor!r}, expected a number or a fraction as "1/127"')
    if rule.step > rule.top:
        raise ConfigError(f"{at}.step: found {rule.step}, above the highest value {rule.top}")


def rule_for(recipe: Recipe, name: str, shape: Sequence[int]) -> Rule:
    """The first rule that fits a float tensor; `ConfigError` when none does."""
    elements = math.prod(shape)
    for rule in recipe.tensors:
        large = elements > rule.more_elements_than or not rule.more_elements_than
        if large and rule.dimensions in (None, len(shape)) and _matches(rule.match, name):
            return rule
    raise ConfigError(
        f"recipe {recipe.name}: tensors: no rule fits {name!r} of shape {list(shape)}; "
        'add one that matches ["*"] at the end'
    )


def check_patterns(recipe: Recipe, names: Iterable[str], where: str) -> None:
    """`ConfigError` for a rule or correction that is for no tensor at all: a misspelt pattern, most likely."""
    known = list(names)
    places = [(f"tensors[{i}].match", rule.match) for i, rule in enumerate(recipe.tensors) if not rule.optional]
    places += [(f"corrections[{i}].match", correction.match) for i, correction in enumerate(recipe.corrections)]
    for key, patterns in places:
        if not any(_matches(patterns, name) for name in known):
            near = get_close_matches(patterns[0], known, n=3, cutoff=0.4) or known[:_NAMED]
            raise ConfigError(
                f"{where}: {key}: {' and '.join(repr(p) for p in patterns)} match none of the model's {len(known)} "
                f"tensors; among them: {', '.join(near)}; correct it, or say optional = true"
            )


def matching(patterns: Sequence[str], names: Iterable[str]) -> list[str]:
    """The names that some pattern matches, in their order."""
    return [name for name in names if _matches(patterns, name)]


def _matches(patterns: Sequence[str], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
