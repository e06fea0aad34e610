"""Where a change of the head hurts: divergence, and loss by token frequency, of the candidates the answers name."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from golfbudget.plan.results import BandLoss, Divergence, Plan, Trial
from golfbudget.report.numbers import count
from golfbudget.report.tables import printable, table


def quality_parts(plan: Plan) -> list[RenderableType]:
    """A table of the answers' candidates and its legend; nothing where nothing was measured."""
    shown = [trial for trial in _named(plan) if trial.quality.bands]
    if not shown:
        return []
    labels = dict.fromkeys(band.label for trial in shown for band in trial.quality.bands)
    made = table(["change in nats\nby token frequency", "KL", *(label.replace(" ", "\n", 1) for label in labels)])
    for trial in shown:
        bands = {band.label: band for band in trial.quality.bands}
        kl = trial.quality.divergence
        cells = [_band(bands.get(label)) for label in labels]
        made.add_row(printable(trial.candidate.name), "–" if kl is None else f"{kl.value:.4f}", *cells)
    return [made, _legend(shown)]


def _named(plan: Plan) -> list[Trial]:
    """Trials that the verdict or the VQ answer names, each once."""
    verdict = plan.verdict
    names = (verdict.best_head, verdict.best_trunk, plan.vq.best, plan.joint.candidate if plan.joint else None)
    found = [trial for name in dict.fromkeys(names) if (trial := plan.trial(name)) is not None]
    return [trial for trial in found if trial.loser is None]


def _band(band: BandLoss | None) -> str:
    """A change, marked where its interval excludes zero."""
    if band is None:
        return "–"
    certain = band.low > 0 or band.high < 0
    return f"{band.delta:+.4f}{'!' if certain else ''}"


def _legend(shown: list[Trial]) -> Text:
    bands = shown[0].quality.bands
    kl = shown[0].quality.divergence
    parts = [f"{band.label}: {count(band.tokens)} tokens, {count(band.occurrences)} times" for band in bands]
    lines = [
        "bands are cut where the running share of the text's tokens passes a mark; !: the 95 % interval excludes zero",
        "; ".join(parts),
    ]
    if kl is not None:
        lines.append(_kl(kl))
    return Text("\n".join(lines))


def _kl(kl: Divergence) -> str:
    return (
        f"KL: of the baseline's predictions from the candidate's, nats a token, on the first {count(kl.tokens)} tokens"
    )
