"""What is estimated: a model's tensors under a recipe, and what shapes and rules alone say of its bytes."""

from __future__ import annotations

from dataclasses import dataclass

from golfbudget.dtypes import element_bytes
from golfbudget.models import Model, TensorSpec
from golfbudget.recipe.config import ByScheme, Integer, Keep, Recipe, Rule, check_patterns, matching, rule_for


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateRequest:
    """A model and the recipe it is exported by.  `ConfigError` for a rule that fits no tensor of the model."""

    model: Model
    recipe: Recipe

    def __post_init__(self) -> None:
        check_patterns(self.recipe, [spec.name for spec in self.model.tensors], f"recipe {self.recipe.name}")


def tensor_payload(spec: TensorSpec, rule: Rule | None, recipe: Recipe) -> int:
    """Stored bytes of one tensor without corrections; at a byte an element for schemes, which may store less."""
    if isinstance(rule, Integer):
        bits = rule.bits if recipe.layout == "packed" else 8
        matrix = len(spec.shape) == 2
        scales = spec.shape[0] * element_bytes(rule.scale_dtype) if matrix else element_bytes(rule.scalar_scale_dtype)
        return -(-spec.elements * bits // 8) + scales
    if isinstance(rule, Keep) and rule.dtype != "original":
        return spec.elements * element_bytes(rule.dtype)
    return spec.elements * (1 if isinstance(rule, ByScheme) else spec.bytes_per_element)


def payload_bytes(request: EstimateRequest) -> int | None:
    """Exact bytes of all stored tensors; None where values decide what is stored: schemes, coders, some corrections."""
    recipe = request.recipe
    if recipe.coder is not None:
        return None
    total = 0
    integers: dict[str, TensorSpec] = {}
    for spec in request.model.tensors:
        rule = rule_for(recipe, spec.name, spec.shape) if spec.floating else None
        if isinstance(rule, ByScheme):
            return None
        if isinstance(rule, Integer):
            integers[spec.name] = spec
        total += tensor_payload(spec, rule, recipe)
    for correction in recipe.corrections:
        sizes = []
        for name in matching(correction.match, integers):
            if len(integers[name].shape) == 2:
                rows, columns = integers[name].shape
                rank = min(correction.rank, rows, columns)
                sizes.append(rank * (rows + columns) + 2 + 2 * rank * -(-columns // correction.group))
        if len(sizes) > correction.most and len(set(sizes)) > 1:
            return None
        total += sum(sizes[: correction.most])
    return total


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


def dependence(request: EstimateRequest) -> Dependence:
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
