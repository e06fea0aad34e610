"""The study's figure: for each kind of head the least loss at each budget, one panel a vocabulary; drawn by Vega."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.util import find_spec

from golfbudget.errors import MissingExtraError
from golfbudget.example.heads.arms import BY_NAME, OWN, Arm, Kind
from golfbudget.study.comparing import SCALES, Study
from golfbudget.study.measuring import LADDERS

#: Okabe and Ito's colours, which readers of every kind of sight tell apart.
_COLOURS: Mapping[str, str] = {
    "dense tied": "#000000",
    "dense tied, narrower": "#999999",
    "dense untied": "#56B4E9",
    "VQ": "#D55E00",
    "VQ, explicit rows": "#E69F00",
    "low-rank": "#0072B2",
    "product codes": "#009E73",
    "two-level": "#CC79A7",
}
_KINDS = {Kind.LOW_RANK: "low-rank", Kind.PRODUCT: "product codes", Kind.TWO_LEVEL: "two-level"}


def kind_of(arm: Arm) -> str:
    """What an arm counts as in the figure; input sides are not told apart, but for dense heads."""
    if arm.kind is Kind.DENSE:
        if arm.input_side == OWN:
            return "dense untied"
        return "dense tied" if arm.width == (1, 1) else "dense tied, narrower"
    if arm.kind is Kind.VQ:
        return "VQ, explicit rows" if arm.explicit[0] else "VQ"
    return _KINDS[arm.kind]


def points(study: Study) -> list[dict[str, int | float | str]]:
    """The least loss of each kind at each budget, of the first seed's runs."""
    found: list[dict[str, int | float | str]] = []
    for scale in SCALES:
        for budget in LADDERS[scale]:
            best: dict[str, tuple[float, int, str]] = {}
            for result in study.first_seed(scale):
                file, kind = result.at(budget), kind_of(BY_NAME[result.arm])
                if file is not None:
                    own = (file.bits_per_byte, file.counted_bytes, result.arm)
                    best[kind] = min(best.get(kind, own), own)
            found += [
                {"vocabulary": f"vocabulary {int(scale):,}", "head": kind, "kilobytes": size / 1000, "loss": loss}
                for kind, (loss, size, _) in best.items()
            ]
    return found


def specification(study: Study) -> dict[str, object]:
    """The figure in Vega-Lite."""
    scale = {"domain": list(_COLOURS), "range": list(_COLOURS.values())}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": "white",
        "data": {"values": points(study)},
        "facet": {"field": "vocabulary", "type": "nominal", "title": None, "header": {"labelFontSize": 13}},
        "columns": 2,
        "spec": {
            "width": 330,
            "height": 300,
            "mark": {"type": "line", "point": True},
            "encoding": {
                "x": {
                    "field": "kilobytes",
                    "type": "quantitative",
                    "scale": {"type": "log", "nice": False, "padding": 12},
                    "title": "counted bytes, thousands",
                    "axis": {"grid": False},
                },
                "y": {
                    "field": "loss",
                    "type": "quantitative",
                    "scale": {"zero": False},
                    "title": "bits per byte, held-out text",
                },
                "color": {"field": "head", "type": "nominal", "scale": scale, "title": None},
            },
        },
        "resolve": {"scale": {"x": "independent", "y": "independent"}},
    }


def drawn(study: Study) -> str:
    """The figure as SVG; `MissingExtraError` without the library that draws."""
    if find_spec("vl_convert") is None:
        raise MissingExtraError("drawing the figure needs vl-convert: pip install 'golfbudget[html]'")
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(json.dumps(specification(study)))
    return f"{svg}\n<!-- points {digest_of(points(study))} -->\n"


def digest_of(drawn_points: list[dict[str, int | float | str]]) -> str:
    """SHA-256 of what is drawn: the library's versions draw it differently."""
    return hashlib.sha256(json.dumps(drawn_points, sort_keys=True).encode()).hexdigest()
