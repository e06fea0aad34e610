"""What the table and the markdown of an estimate have in common: the same lines and cells, in plain text."""

from __future__ import annotations

from collections.abc import Sequence

from golfbudget.estimate.results import Bytes, Estimate
from golfbudget.estimate.sweep import Point
from golfbudget.report.numbers import count, human, signed

Facts = list[tuple[str, str]]


def heading(estimate: Estimate) -> Facts:
    """Model, recipe, and the exact figures."""
    model, recipe = estimate.request.model, estimate.request.recipe
    codec = recipe.codec if recipe.codec == "none" else f"{recipe.codec} {recipe.level}"
    steps = [recipe.layout, *([] if recipe.filter is None else [recipe.filter.name]), codec]
    rows = [
        ("model", f"{model.name}: {count(estimate.request.parameters)} parameters in {len(model.tensors)} tensors"),
        ("recipe", f"{recipe.name}: {' > '.join(steps)}"),
        ("payload", _exact(estimate.payload_bytes, "sum of the stored tensors")),
    ]
    built = "serialised, before filter and codec"
    if not estimate.container_fixed:
        built += "; packed strings make its length depend on the values"
    how = "exact" if estimate.container_fixed else "of the first seed"
    rows.append(("container", _exact(estimate.container_bytes, built, how)))
    return rows


def _exact(amount: int | None, what: str, how: str = "exact") -> str:
    return f"not counted ({what})" if amount is None else f"{count(amount)} bytes, {how}: {what}"


def sizes(estimate: Estimate) -> Facts:
    """The artifact's bytes and how they are known, and the two ways of knowing them against each other."""
    rows = [("artifact", _bytes(estimate.artifact))]
    if len(estimate.samples) > 1:
        rows += [
            ("", f"{count(s.artifact_bytes)} bytes, seed {s.seed}{_drawn(estimate, s.family)}")
            for s in estimate.samples
        ]
    rows += [("depends", line) for line in estimate.depends]
    if estimate.samples and estimate.modelled is not None:
        rows.append(("modelled", f"{_bytes(estimate.modelled)}{_difference(estimate)}"))
    elif estimate.samples:
        rows.append(("modelled", "nothing: a scheme's coded bytes have no formula"))
    terms = estimate.terms
    if terms is not None:
        parts = {"levels": terms.levels, "scales": terms.scales, "floats": terms.kept, "corrections": terms.corrections}
        parts["container"] = terms.container
        text = ", ".join(f"{name} {count(round(value))}" for name, value in parts.items() if value)
        coder = {
            "none": "stored as it is",
            "prefix": "coded in whole bits",
            "arithmetic": "at the entropy",
            "zlib": "as deflate codes a sample",
            "zstd": "as zstd codes a sample",
            "xz": "as xz codes a sample",
            "bz2": "as bz2 codes a sample",
        }[terms.coder]
        rows.append(("", f"{text}; order 0, {coder}"))
    return rows + [("note", note) for note in estimate.notes]


def _drawn(estimate: Estimate, family: str) -> str:
    if not estimate.depends:
        return ""
    return ", Gaussian weights beyond any scale floor" if family == "gaussian" else ", Laplace weights as initialised"


def _bytes(amount: Bytes) -> str:
    if amount.value is None:
        return f"{count(amount.low)} to {count(amount.high)} bytes, depending on training ({amount.evidence.value})"
    return f"{count(amount.value)} bytes ({human(amount.value)}), {amount.evidence.value}"


def _difference(estimate: Estimate) -> str:
    """Modelled against measured: equal ends are compared where there is a range."""
    if estimate.modelled is None:
        return ""
    measured = estimate.artifact.high if estimate.artifact.value is None else estimate.artifact.value
    modelled = estimate.modelled.high if estimate.modelled.value is None else estimate.modelled.value
    share = 100 * (modelled - measured) / measured
    which = " at the upper end" if estimate.artifact.value is None else ""
    return f"; {signed(modelled - measured)} bytes ({share:+.2f} %) against measured{which}"


def fit(estimate: Estimate) -> Facts:
    """What counts against the cap, what is left and the chance that a trained model fits."""
    code = (
        "not counted (give --code FILE or SIZE)"
        if estimate.code_bytes is None
        else f"{count(estimate.code_bytes)} bytes"
    )
    headroom = estimate.headroom
    left = f"{count(headroom)} bytes left" if headroom >= 0 else f"over by {count(-headroom)} bytes"
    if estimate.artifact.value is None:
        low = estimate.cap - estimate.artifact.low - (estimate.code_bytes or 0)
        left = f"{count(headroom)} to {count(low)} bytes" if low != headroom else left
    chance = (
        "not told: the artifact's size depends on training"
        if estimate.chance is None
        else f"{percentage(estimate.chance)} (modelled: ±{count(estimate.spread)} bytes between seeds, ±0.1 % of error)"
    )
    return [("code", code), ("cap", f"{count(estimate.cap)} bytes"), ("headroom", left), ("fits", chance)]


def percentage(chance: float) -> str:
    """A probability, never a false 0 or 100.

    >>> percentage(0.5), percentage(0.9999), percentage(0.0)
    ('50 %', '>99 %', '<1 %')
    """
    if chance > 0.99:
        return ">99 %"
    return "<1 %" if chance < 0.01 else f"{100 * chance:.0f} %"


def sweep_headings(points: Sequence[Point]) -> list[str]:
    """Swept names, then amounts."""
    ranged = any(point.estimate.artifact.value is None for point in points)
    artifact = ["artifact, low", "artifact, high"] if ranged else ["artifact"]
    return [*points[0].settings, "parameters", "payload", *artifact, "headroom", "fits"]


def sweep_cells(point: Point, *, ranged: bool) -> list[str]:
    """One line of a sweep."""
    estimate = point.estimate
    ends = (estimate.artifact.low, estimate.artifact.high) if ranged else (estimate.expected,)
    return [
        *map(str, point.settings.values()),
        count(estimate.request.parameters),
        "–" if estimate.payload_bytes is None else count(estimate.payload_bytes),
        *map(count, ends),
        signed(estimate.headroom),
        "–" if estimate.chance is None else percentage(estimate.chance),
    ]
