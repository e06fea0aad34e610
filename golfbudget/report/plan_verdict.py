"""The verdict and what follows from it, in words; certificates with their source."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from golfbudget.certificates import Certificate
from golfbudget.plan.results import Plan, Situation, Verdict
from golfbudget.report.numbers import count, signed
from golfbudget.report.tables import printable, table

_SITUATION = {
    Situation.OVER: "over the cap: what fits at the lower loss wins",
    Situation.AT: "at the cap, within what two seeds differ by: what saves most at no loss wins, at equal total bytes",
    Situation.UNDER: "under the cap, with bytes to spend: what saves most at no loss wins",
}
_WHOLE = ("bytes",)
#: Names of best floors, without a bias and with.
_FLOORS = ("best-tie-floor", "best-tie-floor-bias")


def answers(plan: Plan) -> list[RenderableType]:
    """The verdict, then the VQ answer, each with its reasons."""
    verdict = plan.verdict
    margin = "" if verdict.margin_bytes is None else f" by {count(verdict.margin_bytes)} bytes"
    evidence = "" if verdict.evidence is None else f" ({verdict.evidence})"
    made: list[RenderableType] = [Text(f"verdict: {verdict.winner}{margin}{evidence}", style="bold")]
    made += [_reason(line) for line in (*_situation(verdict), *verdict.reasons, *_follows(plan))]
    margin = "" if plan.vq.margin_bytes is None else f" (margin {signed(plan.vq.margin_bytes)} bytes)"
    made.append(Text(f"does a VQ-Logits head win? {plan.vq.answer}{margin}", style="bold"))
    made += [_reason(line) for line in (plan.vq.reason, *_break_even(verdict))]
    if verdict.settle is not None:
        made.append(Text(f"what would settle it: {printable(verdict.settle)}"))
    return made


def _reason(text: str) -> RenderableType:
    return Padding(Text(f"- {printable(text)}"), (0, 0, 0, 2), expand=False)


def _situation(verdict: Verdict) -> Iterator[str]:
    if verdict.situation is not None:
        yield _SITUATION[verdict.situation]


def _follows(plan: Plan) -> Iterator[str]:
    """Margin and prices."""
    verdict = plan.verdict
    if verdict.margin is not None:
        margin = verdict.margin
        yield (
            f"at those bytes the other side's {margin.rival} loses {margin.delta:+.4f} bits per byte more than "
            f"{margin.candidate} [{margin.low:+.4f}, {margin.high:+.4f}] (measured)"
        )
    if verdict.prices:
        prices = (
            f"{side} {exchange.price:.1f} ({exchange.candidate}, {count(exchange.saved_bytes)} bytes)"
            for side, exchange in verdict.prices.items()
        )
        yield f"prices in µbpb per kB, measured: {'; '.join(prices)}"
    else:
        yield f"price supposed: {plan.price:g} µbpb per kB ({plan.price_source})"


def _break_even(verdict: Verdict) -> Iterator[str]:
    even = verdict.break_even
    if even is None:
        return
    at = f"at {even.price:.1f} µbpb per kB ({even.source})"
    if even.loss <= 0:
        yield f"break-even: {even.candidate} saves no bytes, so it would have to lower the loss, {at}"
        return
    line = f"break-even: {even.candidate} would win {at} if it cost under {even.loss:.4f} bits per byte"
    if even.vocabulary is not None:
        line += (
            f", or at its loss if the vocabulary were over {count(even.vocabulary)} "
            "(modelled: bytes in proportion to the vocabulary, the same loss)"
        )
    yield line


def certificate_lines(plan: Plan) -> list[str]:
    """Certificates in words, but for best floors, which have a table."""
    return [certificate_line(c) for c in plan.certificates if not c.name.startswith(_FLOORS)]


def floor_table(plan: Plan) -> list[RenderableType]:
    """The least loss that any map onto so many codes leaves; nothing where no counts are known."""
    floors = {c.name: c.value for c in plan.certificates if c.name.startswith(_FLOORS)}
    codes = dict.fromkeys(int(name.rpartition(":")[2]) for name in floors)
    if not codes:
        return []
    made = table(["tied codes", "floor of any map,\nnats a token", "with a bias a token,\na bound"])
    for number in codes:
        values = (floors.get(f"{name}:{number}") for name in _FLOORS)
        made.add_row(count(number), *("–" if value is None else f"{value:.3f}" for value in values))
    return [
        made,
        Text("certified: no trunk and no training takes a head of tied rows below its floor on these tokens\n"),
    ]


def certificate_line(certificate: Certificate) -> str:
    """One certificate: statement, number and unit, and how it is known."""
    value = count(int(certificate.value)) if certificate.unit in _WHOLE else f"{certificate.value:.3f}"
    return f"{certificate.statement}: {value} {certificate.unit} ({certificate.evidence}: {certificate.source})"
