"""What people ask of models from the Hub, besides bits per byte: perplexity, and how often the first choice stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from golfbudget.plan.results import Plan
from golfbudget.plan.trials import Trial

_HUB = ("hf", "hf:")


def hub_lines(plan: Plan, shown: Sequence[Trial]) -> Iterator[str]:
    """Perplexity of the baseline, and of each candidate the share of equal top tokens; nothing of other models."""
    evaluation = plan.evaluation
    if evaluation is None or not (evaluation.model == _HUB[0] or evaluation.model.startswith(_HUB[1])):
        return
    if evaluation.baseline_perplexity is not None:
        yield f"perplexity of the baseline: {evaluation.baseline_perplexity:,.4g} a token"
    told = [(trial.name, trial.quality.agreement) for trial in shown if trial.quality.agreement is not None]
    if told:
        shares = ", ".join(f"{name} {100 * share:.2f} %" for name, share in told)
        yield f"same top token as the baseline where KL is taken: {shares}"
