"""Which rule of a recipe has which tensor.  No torch: the modelled estimate needs this too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from golfbudget.errors import ConfigError
from golfbudget.recipe.config import Recipe, Rule

#: How many tensor names a message lists.
_NAMED = 6


def rule_for(recipe: Recipe, name: str, shape: Sequence[int]) -> Rule:
    """The first rule that fits a float tensor; `ConfigError` when none does."""
    elements = 1
    for size in shape:
        elements *= size
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
