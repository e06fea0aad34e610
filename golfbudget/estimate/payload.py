"""Payload bytes from shapes alone: the sum of the tensors that a recipe stores, before any container."""

from __future__ import annotations

from golfbudget.dtypes import element_bytes
from golfbudget.estimate.request import Request
from golfbudget.models import TensorSpec
from golfbudget.recipe.config import ByScheme, Integer, Keep, Recipe, Rule, matching, rule_for


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


def payload_bytes(request: Request) -> int | None:
    """Exact bytes of all stored tensors; None where values decide what is stored (schemes, corrections that differ)."""
    recipe = request.recipe
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
