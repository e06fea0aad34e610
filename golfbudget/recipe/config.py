"""Recipe files: quantisation, layout and codec of an artifact, validated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from golfbudget import codecs, configs
from golfbudget.errors import ConfigError

DEFAULT = "int8-zlib"


class Quantize(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When and how a float tensor becomes int8."""

    more_elements_than: Annotated[int, msgspec.Meta(ge=0)]
    clip_quantile: Annotated[float, msgspec.Meta(gt=0, le=1)]
    scale_floor_denominator: Annotated[int, msgspec.Meta(ge=1)]


class Keep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What happens to the float tensors that are not quantised."""

    dtype: Literal["float16", "bfloat16", "float32"]
    control: tuple[str, ...]
    control_dtype: Literal["float16", "bfloat16", "float32"]


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A recipe file."""

    name: str
    layout: Literal["int8_clean_per_row_v1"]
    codec: str
    level: int
    quantize: Quantize
    keep: Keep


def load_recipe(name: str | Path = DEFAULT) -> Recipe:
    """A recipe by shipped name or path; `ConfigError` names file and key."""
    path = configs.find("recipes", name)
    recipe = configs.load(path, Recipe)
    known = codecs.registered()
    if recipe.codec not in known:
        raise ConfigError(f"{path}: codec: found {recipe.codec!r}, known: {', '.join(sorted(known))}")
    levels = known[recipe.codec].levels
    if recipe.level not in levels:
        raise ConfigError(
            f"{path}: level: found {recipe.level}, {recipe.codec} takes {levels.start} to {levels.stop - 1}"
        )
    return recipe
