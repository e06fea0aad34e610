"""Whether an artifact's size follows from its recipe, or depends on what training does to the weights."""

from __future__ import annotations

from dataclasses import dataclass

from golfbudget.estimate.payload import tensor_payload
from golfbudget.estimate.request import Request
from golfbudget.recipe.config import ByScheme, Integer, Rule, rule_for

#: A floor below this never decides.
_INACTIVE = 1e-6
#: Tensors whose bytes, compressed or not, are under this share of the payload cannot make an estimate a range.
NEGLIGIBLE = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependence:
    """Why an estimate is a range and no value.

    `reasons` are none where size follows from the recipe; `tensors` are those that make it a range, by name; `notes`
    are on rules that would, were their tensors not so small.
    """

    reasons: tuple[str, ...]
    tensors: frozenset[str]
    notes: tuple[str, ...]


def dependence(request: Request) -> Dependence:
    """Which tensors' sizes depend on training, and why."""
    recipe = request.recipe
    names: dict[str, list[str]] = {}
    bytes_of: dict[str, int] = {}
    total = 0
    for spec in request.model.tensors:
        rule = rule_for(recipe, spec.name, spec.shape) if spec.floating else None
        own = tensor_payload(spec, rule, recipe)
        total += own
        if rule is not None and _why(rule) is not None:
            names.setdefault(rule.name, []).append(spec.name)
            bytes_of[rule.name] = bytes_of.get(rule.name, 0) + own
    negligible = sum(bytes_of.values()) <= NEGLIGIBLE * total
    lines = []
    for rule in recipe.tensors:
        if rule.name in names:
            line = f"rule {rule.name}: {_why(rule)}"
            lines.append(f"{line}; these are {bytes_of[rule.name]:,} bytes at most" if negligible else line)
    if negligible:
        return Dependence(reasons=(), tensors=frozenset(), notes=tuple(lines))
    tensors = frozenset(name for own_names in names.values() for name in own_names)
    return Dependence(reasons=tuple(lines), tensors=tensors, notes=())


def _why(rule: Rule) -> str | None:
    """Why the size of what a rule stores depends on training; None where it follows from the rule.

    A scale taken from the row's standard deviation makes the levels in use a matter of the clip alone; one taken
    from a quantile or the maximum follows the row's tail, and a floor its magnitude.
    """
    if isinstance(rule, Integer):
        if rule.floor > _INACTIVE:
            return f"scales are floored at {rule.scale_floor}, so the levels in use depend on the weights' magnitude"
        if rule.clip_deviations is None:
            what = "the maximum" if rule.clip_quantile is None else f"the {rule.clip_quantile:g} quantile"
            return f"scales follow {what} of a row, so the levels in use depend on the tails of the weights"
    if isinstance(rule, ByScheme):
        return f"what scheme {rule.scheme} stores depends on the shape of the weights' distribution"
    return None
