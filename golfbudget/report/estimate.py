"""What `estimate` says: exact container, estimated artifact, who gets which bytes, and the chance to fit.

As JSON, schema `golfbudget/estimate/1`, bytes are integers, and null stands for what was not counted:
`artifact_bytes.value` where size depends on training (`low` and `high` are then a range).  `roles` are those of the
first seed's artifact.  A sweep has `points` instead, one estimate each.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from golfbudget.estimate.modelled import Modelled
from golfbudget.estimate.results import SCHEMA, Bytes, Estimate
from golfbudget.estimate.run import Point
from golfbudget.inspection.report import role_reports
from golfbudget.report import document as doc
from golfbudget.report.inspect import code_counted, code_text
from golfbudget.report.numbers import count, human, left_text, signed
from golfbudget.report.views import grid
from golfbudget.version import __version__

_CODERS = {
    "none": "stored as it is",
    "prefix": "coded in whole bits",
    "arithmetic": "at the entropy",
    "zlib": "as deflate codes a sample",
    "zstd": "as zstd codes a sample",
    "xz": "as xz codes a sample",
    "bz2": "as bz2 codes a sample",
}
_DRAWN = {"gaussian": ", Gaussian weights beyond any scale floor", "laplace": ", Laplace weights as initialised"}

_Rows = list[tuple[str, str]]


def document(estimate: Estimate) -> doc.Document:
    """One estimate; the roles are those of the first seed's artifact."""
    parts: list[doc.Part] = [doc.Facts(rows=(*_heading(estimate), *_sizes(estimate)), order=-1)]
    if estimate.inspection is not None:
        which = "first seed's artifact" if estimate.artifact.value is not None else "artifact of the upper end"
        parts.append(grid(estimate.inspection, "role", last=which))
    parts.append(doc.Facts(rows=tuple(_fit(estimate)), order=-1))

    def data() -> object:
        return {"schema": SCHEMA, "golfbudget": __version__, **_data(estimate)}

    return doc.Document(parts=tuple(parts), data=data, csv=lambda: _points([Point(settings={}, estimate=estimate)]))


def sweep_document(points: Sequence[Point]) -> doc.Document:
    """A sweep, one line per combination."""
    first = points[0].estimate
    code = code_counted(first.code_bytes)
    rows = (
        ("model", first.request.model.name),
        ("recipe", first.request.recipe.name),
        ("artifact", f"bytes, {first.artifact.evidence.value}; cap {count(first.cap)}, {code}"),
        *(("depends", line) for line in first.depends),
    )
    found = _points(points)

    def data() -> object:
        listed = [{"settings": dict(point.settings), **_data(point.estimate)} for point in points]
        return {"schema": SCHEMA, "golfbudget": __version__, "points": listed}

    return doc.Document(parts=(doc.Facts(rows=rows, only=doc.Medium.SCREEN), found), data=data, csv=lambda: found)


def _heading(estimate: Estimate) -> _Rows:
    model, recipe = estimate.request.model, estimate.request.recipe
    codec = recipe.codec if recipe.codec == "none" else f"{recipe.codec} {recipe.level}"
    steps = [recipe.layout, *([] if recipe.filter is None else [recipe.filter.name]), codec]
    rows = [
        (
            "model",
            f"{model.name}: {count(estimate.request.model.parameters)} parameters in {len(model.tensors)} tensors",
        ),
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


def _sizes(estimate: Estimate) -> _Rows:
    """The artifact's bytes and how they are known, and the two ways of knowing them against each other."""
    rows = [("artifact", _bytes(estimate.artifact))]
    for sample in estimate.samples if len(estimate.samples) > 1 else ():
        drawn = _DRAWN[sample.family] if estimate.depends else ""
        rows.append(("", f"{count(sample.artifact_bytes)} bytes, seed {sample.seed}{drawn}"))
    rows += [("depends", line) for line in estimate.depends]
    if estimate.samples and estimate.modelled is not None:
        rows.append(("modelled", f"{_bytes(estimate.modelled)}{_difference(estimate)}"))
    elif estimate.samples:
        rows.append(("modelled", "nothing: a scheme's coded bytes have no formula"))
    terms = estimate.terms
    if terms is not None:
        text = ", ".join(f"{name} {count(round(value))}" for name, value in _parts(terms).items() if value)
        rows.append(("", f"{text}; order 0, {_CODERS[terms.coder]}"))
    return rows + [("note", note) for note in estimate.notes]


def _bytes(amount: Bytes) -> str:
    if amount.value is None:
        return f"{count(amount.low)} to {count(amount.high)} bytes, depending on training ({amount.evidence.value})"
    return f"{count(amount.value)} bytes ({human(amount.value)}), {amount.evidence.value}"


def _difference(estimate: Estimate) -> str:
    """Modelled against measured: equal ends are compared where there is a range."""
    if estimate.modelled is None:
        return ""
    measured = estimate.expected
    modelled = estimate.modelled.high if estimate.modelled.value is None else estimate.modelled.value
    share = 100 * (modelled - measured) / measured
    which = " at the upper end" if estimate.artifact.value is None else ""
    return f"; {signed(modelled - measured)} bytes ({share:+.2f} %) against measured{which}"


def _fit(estimate: Estimate) -> _Rows:
    """What counts against the cap, what is left and the chance that a trained model fits."""
    code = code_text(estimate.code_bytes)
    headroom = estimate.headroom
    left = left_text(headroom)
    if estimate.artifact.value is None:
        low = estimate.cap - estimate.artifact.low - (estimate.code_bytes or 0)
        left = f"{count(headroom)} to {count(low)} bytes" if low != headroom else left
    chance = "not told: the artifact's size depends on training"
    if estimate.rough and estimate.artifact.value is not None:
        chance = "not told: the formula is rough for floats, which most or much of this is; leave out --fast"
    if estimate.chance is not None:
        spread = f"±{count(estimate.spread)} bytes between seeds, ±0.1 % of error"
        chance = f"{percentage(estimate.chance)} (modelled: {spread})"
    return [("code", code), ("cap", f"{count(estimate.cap)} bytes"), ("headroom", left), ("fits", chance)]


def percentage(chance: float) -> str:
    """A probability, never a false 0 or 100.

    >>> percentage(0.5), percentage(0.9999), percentage(0.0)
    ('50 %', '>99 %', '<1 %')
    """
    if chance > 0.99:
        return ">99 %"
    return "<1 %" if chance < 0.01 else f"{100 * chance:.0f} %"


def _points(points: Sequence[Point]) -> doc.Grid:
    """Swept settings, then amounts; where any depends on training, the artifact has two ends."""
    ranged = any(point.estimate.artifact.value is None for point in points)
    ends = (("artifact, low", "artifact_low"), ("artifact, high", "artifact_high"))
    artifact = ends if ranged else (("artifact", "artifact_bytes"),)
    amounts = (("parameters", "parameters"), ("payload", "payload_bytes"), *artifact, ("headroom", "headroom"))
    names = (doc.name(setting, setting) for setting in points[0].settings)
    columns = (*names, *(doc.number(*amount) for amount in (*amounts, ("fits", "chance_to_fit"))))
    return doc.grid(columns, (_point(point, ranged=ranged) for point in points))


def _point(point: Point, *, ranged: bool) -> doc.GridRow:
    estimate, chance = point.estimate, point.estimate.chance
    ends = (estimate.artifact.low, estimate.artifact.high) if ranged else (estimate.expected,)
    amounts = map(doc.amount, (estimate.request.model.parameters, estimate.payload_bytes, *ends))
    fits = doc.Cell(text=doc.DASH, value=None)
    if chance is not None:
        fits = doc.Cell(text=percentage(chance), value=round(chance, 4))
    return doc.line(*map(str, point.settings.values()), *amounts, doc.change(estimate.headroom), fits)


def _data(estimate: Estimate) -> dict[str, object]:
    request, terms, inspection = estimate.request, estimate.terms, estimate.inspection
    recipe = request.recipe
    shuffle = None if recipe.filter is None else recipe.filter.name
    written = {"name": recipe.name, "layout": recipe.layout, "filter": shuffle}
    modelled: dict[str, object] | None = None
    if estimate.modelled is not None:
        parts = None if terms is None else {name: round(value) for name, value in _parts(terms).items()}
        modelled = _bytes_data(estimate.modelled)
        modelled["terms"] = None if terms is None or parts is None else {"coder": terms.coder, **parts}
    tied = request.model.tied
    if tied is None and inspection is not None:
        tied = inspection.assignment.tied
    return {
        "model": {"name": request.model.name, "tensors": len(request.model.tensors), "tied": tied},
        "recipe": {**written, "codec": recipe.codec, "level": recipe.level},
        "parameters": request.model.parameters,
        "payload_bytes": estimate.payload_bytes,
        "container_bytes": estimate.container_bytes,
        "container_exact": estimate.container_bytes is not None and estimate.container_fixed,
        "artifact_bytes": _bytes_data(estimate.artifact),
        "modelled": modelled,
        "samples": [
            {"seed": s.seed, "distribution": s.family, "artifact_bytes": s.artifact_bytes} for s in estimate.samples
        ],
        "depends_on_training": list(estimate.depends),
        "notes": list(estimate.notes),
        "cap": {
            "bytes": estimate.cap,
            "code_bytes": estimate.code_bytes,
            "used": estimate.expected + (estimate.code_bytes or 0),
            "headroom": estimate.headroom,
            "fits": None if estimate.artifact.value is None else estimate.headroom >= 0,
        },
        "chance_to_fit": {
            "value": None if estimate.chance is None else round(estimate.chance, 4),
            "seed_spread_bytes": estimate.spread,
            "evidence": "modelled",
        },
        "tied": None if inspection is None else inspection.assignment.tied,
        "roles": None if inspection is None else msgspec.to_builtins(role_reports(inspection.assignment.ledger)),
    }


def _parts(terms: Modelled) -> dict[str, float]:
    parts = {"levels": terms.levels, "scales": terms.scales, "floats": terms.kept, "corrections": terms.corrections}
    return {**parts, "container": terms.container}


def _bytes_data(amount: Bytes) -> dict[str, object]:
    return {"value": amount.value, "low": amount.low, "high": amount.high, "evidence": amount.evidence.value}
