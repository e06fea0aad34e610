"""Changes to a model's variables and a recipe's fields, by name: what `--set` and `--sweep` ask for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from golfbudget import codecs
from golfbudget.errors import UsageError
from golfbudget.estimate.request import EstimateRequest
from golfbudget.models import Model, load_model
from golfbudget.recipe.config import Integer, Recipe, load_recipe, recipe_from

Value = int | float | str
Settings = Mapping[str, Value]

#: Fields of the recipe itself that may be set.
_RECIPE = ("codec", "level")
_CLIPS = ("clip_deviations", "clip_quantile")
#: Estimates in one table.
MOST_POINTS = 200


def make_request(config: str | Path, recipe: str | None = None, settings: Settings | None = None) -> EstimateRequest:
    """A model file and a recipe, with changes; `UsageError` for a name that neither has, listing those they have."""
    settings = settings or {}
    model = load_model(config)
    variables = {key: value for key, value in settings.items() if key in model.variables}
    if variables:
        model = load_model(config, variables=variables)
    rest = {key: value for key, value in settings.items() if key not in variables}
    return EstimateRequest(model=model, recipe=_changed(_recipe_of(model, recipe), rest, model))


def _recipe_of(model: Model, recipe: str | None) -> Recipe:
    if recipe is not None:
        return load_recipe(recipe)
    if isinstance(model.recipe, str):
        beside = model.path.parent / model.recipe
        return load_recipe(beside if model.recipe.endswith(".toml") else model.recipe)
    if model.recipe is not None:
        return recipe_from(model.recipe, f"{model.path}: recipe")
    raise UsageError(f'{model.path}: names no recipe; add recipe = "int8-zlib" to it, or give --recipe')


def _changed(recipe: Recipe, settings: Settings, model: Model) -> Recipe:
    if not settings:
        return recipe
    plain: dict[str, Any] = msgspec.to_builtins(recipe)
    for key, value in settings.items():
        if key in _RECIPE:
            plain[key] = value
        elif not _set_rule(plain["tensors"], key, value):
            raise UsageError(f"nothing is called {key!r}; {_known(recipe, model)}")
    if "codec" in settings and "level" not in settings and settings["codec"] in codecs.registered():
        plain["level"] = codecs.get(str(settings["codec"])).default_level
    said = ", ".join(f"{key}={value}" for key, value in settings.items())
    return recipe_from(plain, f"recipe {recipe.name} with {said}")


def _set_rule(rules: list[dict[str, Any]], key: str, value: Value) -> bool:
    """Set RULE.FIELD, or *.FIELD in all integer rules; whether there was such a rule."""
    name, dot, field = key.partition(".")
    chosen = [rule for rule in rules if rule["name"] == name or (name == "*" and rule["quantizer"] == "integer")]
    known = [rule for rule in chosen if dot and field in _fields(rule)]
    for rule in known:
        rule[field] = value
        if field in _CLIPS:
            # A row has one clip: the other way to say it goes.
            for other in _CLIPS:
                if other != field:
                    rule.pop(other, None)
    return bool(known)


def _fields(rule: Mapping[str, Any]) -> list[str]:
    if rule["quantizer"] == "integer":
        return [field for field in Integer.__struct_fields__ if field not in ("name", "match", "meta", "suffixes")]
    return ["dtype", "more_elements_than"] if rule["quantizer"] == "keep" else ["scheme", "more_elements_than"]


def _known(recipe: Recipe, model: Model) -> str:
    rules = ", ".join(f"{rule.name}.FIELD" for rule in recipe.tensors)
    fields = ", ".join(_fields({"quantizer": "integer"}))
    variables = ", ".join(model.variables) or "none"
    return (
        f"the model's variables: {variables}; the recipe's: {', '.join(_RECIPE)}, {rules} and *.FIELD for all integer "
        f"rules, with FIELD one of {fields}, dtype"
    )


def parse_setting(text: str, option: str) -> tuple[str, list[Value]]:
    """`NAME=a,b,c` as a name and its values; `UsageError` says how it is written."""
    name, equals, values = text.partition("=")
    parts = [part.strip() for part in values.split(",")]
    if not equals or not name.strip() or not all(parts):
        raise UsageError(f"{option} {text!r}: write NAME=VALUE, or NAME=A,B,C where several are meant")
    return name.strip(), [_value(part) for part in parts]


def _value(text: str) -> Value:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def points(sweeps: Mapping[str, Sequence[Value]]) -> Iterator[dict[str, Value]]:
    """Every combination of the swept values, the last name fastest; `UsageError` for too many, and for none."""
    combinations = math.prod(map(len, sweeps.values()))
    if not combinations:
        raise UsageError("a sweep without values estimates nothing; give one or more")
    if combinations > MOST_POINTS:
        raise UsageError(f"the sweeps make {combinations:,} combinations; at most {MOST_POINTS} are estimated at once")
    for chosen in itertools.product(*sweeps.values()):
        yield dict(zip(sweeps, chosen, strict=True))


def parse_settings(texts: Iterable[str]) -> dict[str, Value]:
    """What `--set` gives, the last of a name; `UsageError` where one names several values."""
    found: dict[str, Value] = {}
    for name, values in (parse_setting(text, "--set") for text in texts):
        if len(values) != 1:
            raise UsageError(f"--set {name} takes one value; several are for --sweep")
        found[name] = values[0]
    return found


def parse_sweep(texts: Iterable[str]) -> dict[str, list[Value]]:
    """What `--sweep` gives; `UsageError` for a name that is given twice."""
    pairs = [parse_setting(text, "--sweep") for text in texts]
    names = [name for name, _ in pairs]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UsageError(f"--sweep {min(twice)} is given twice; write its values in one, as {min(twice)}=A,B")
    return dict(pairs)
