"""What follows from a verdict, on trials made by hand: prices, margins, break-even and the experiment to settle it."""

from __future__ import annotations

import pytest

from golfbudget.evidence import Evidence
from golfbudget.plan.advice import PlanTerms, advised
from golfbudget.plan.results import Answer, Situation, Verdict, VqAnswer, Winner
from golfbudget.plan.trials import Candidate, Quality, Side, Trial, Trials
from golfbudget.plan.verdict import decide
from golfbudget.quality.intervals import ENOUGH_BLOCKS, Interval

TOKENS = 100_000


def trial(
    name: str,
    side: Side,
    saved: int,
    delta: float | None,
    *,
    half: float = 0.0001,
    fits: bool = True,
    blocks: int = ENOUGH_BLOCKS,
) -> Trial:
    measured = delta is not None
    quality = Quality(
        metric="bits-per-byte",
        delta=delta,
        low=None if delta is None else delta - half,
        high=None if delta is None else delta + half,
        evidence=Evidence.MEASURED if measured else Evidence.MODELLED,
        blocks=blocks if measured else None,
    )
    scheme = "vq-logits" if "vq" in name else "scalar"
    candidate = Candidate(name=name, side=side, scheme=scheme, options={}, owners=("x",))
    return Trial(
        candidate=candidate,
        tables=(),
        decoder_bytes=0,
        artifact_bytes=1_000_000 - saved,
        sha256="",
        saved_bytes=saved,
        fits=fits,
        quality=quality,
    )


def compare(one: Trial, other: Trial) -> Interval:
    middle = (other.quality.delta or 0.0) - (one.quality.delta or 0.0)
    blocks = min(one.quality.blocks or 0, other.quality.blocks or 0)
    return Interval(delta=middle, low=middle - 0.001, high=middle + 0.001, blocks=blocks)


def terms(headroom: int = 1_000_000, *, measured: bool = True) -> PlanTerms:
    return PlanTerms(
        headroom=headroom, spread=5_000, price=4.0, price_source="here", rows=1024, path="m.pt",
        tokens=TOKENS if measured else None,
    )  # fmt: skip


def advise(trials: list[Trial], headroom: int = 1_000_000, *, measured: bool = True) -> tuple[Verdict, VqAnswer]:
    tried = Trials(tuple(trials), compare)
    verdict, vq = decide(tried, must_save=max(0, -headroom))
    return advised(verdict, vq, tried, terms(headroom, measured=measured)), vq


HEAD, TRUNK = Side.HEAD, Side.TRUNK
USUAL = [
    trial("head-int6", HEAD, 20_000, 0.0002),
    trial("head-int4", HEAD, 70_000, 0.01),
    trial("head-vq", HEAD, 100_000, 0.2),
    trial("trunk-int7", TRUNK, 50_000, 0.0004),
    trial("trunk-int5", TRUNK, 200_000, 0.012),
]


def test_prices_and_margin_are_taken_at_equal_bytes() -> None:
    verdict, _ = advise(USUAL)
    assert (verdict.winner, verdict.situation) == (Winner.TRUNK, Situation.UNDER)
    # To save the trunk's 50,000 bytes the head needs int4: 10,000 µbpb for 70 kB; the trunk asks 400 for 50 kB.
    assert verdict.prices[HEAD].candidate == "head-int4"
    assert verdict.prices[HEAD].price == pytest.approx(10_000 / 70, abs=1e-3)
    assert verdict.prices[TRUNK].price == pytest.approx(8.0)
    assert verdict.margin is not None
    assert (verdict.margin.candidate, verdict.margin.rival) == ("trunk-int7", "head-int4")
    assert verdict.margin.delta == pytest.approx(0.0096)
    assert verdict.margin.low < verdict.margin.delta < verdict.margin.high


def test_break_even_is_what_the_bytes_are_worth_at_the_trunks_price() -> None:
    verdict, vq = advise(USUAL)
    assert vq.answer is Answer.NO
    even = verdict.break_even
    assert even is not None
    assert (even.candidate, even.price) == ("head-vq", 8.0)
    assert even.loss == pytest.approx(100 * 8e-6)
    # 0.2 bits per byte are 250 times that, at bytes in proportion to the vocabulary.
    assert even.vocabulary == 250 * 1024
    without_trunk, _ = advise([t for t in USUAL if t.candidate.side is HEAD])
    assert without_trunk.break_even is not None
    assert (without_trunk.break_even.price, without_trunk.break_even.source) == (4.0, "here")


def test_a_vq_candidate_that_adds_bytes_breaks_even_at_no_vocabulary() -> None:
    verdict, _ = advise([*USUAL[:2], trial("head-vq", HEAD, -5_000, 0.2), *USUAL[3:]])
    assert verdict.break_even is not None
    assert verdict.break_even.vocabulary is None
    assert verdict.break_even.loss < 0


@pytest.mark.parametrize(
    ("headroom", "situation"),
    [(-1, Situation.OVER), (0, Situation.AT), (5_000, Situation.AT), (5_001, Situation.UNDER)],
)
def test_where_the_baseline_stands(headroom: int, situation: Situation) -> None:
    assert advise(USUAL, headroom)[0].situation is situation


def test_a_margin_needs_a_rival_that_saves_as_much() -> None:
    verdict, _ = advise([USUAL[0], USUAL[3]])
    assert verdict.winner is Winner.TRUNK
    assert verdict.margin is None
    assert verdict.prices[HEAD].candidate == "head-int6"


def test_too_close_to_call_says_how_much_more_text_it_takes() -> None:
    close = [trial("head-int4", HEAD, 70_000, 0.0100), trial("trunk-int5", TRUNK, 70_000, 0.0105)]
    verdict, _ = advise(close, -60_000)
    assert verdict.winner is Winner.UNDECIDED
    assert verdict.settle is not None
    assert verdict.settle == (
        "measure on about 200,000 tokens (--tokens), 2 times as much text: "
        "it would tell head-int4 from trunk-int5 apart"
    )


def test_too_little_text_says_how_much_is_enough() -> None:
    short = [trial("head-vq", HEAD, 90_000, 0.0, blocks=2), trial("trunk-int7", TRUNK, 50_000, 0.0, blocks=16)]
    verdict, vq = advise(short)
    assert (verdict.winner, vq.answer) == (Winner.UNDECIDED, Answer.UNDECIDED)
    # 100,000 tokens are worth 2 of 64 blocks.
    assert verdict.settle == "measure on about 3,200,000 tokens (--tokens): 100,000 are too few to decide"
    lossy = [
        trial("head-int4", HEAD, 70_000, 0.0100, blocks=32), trial("trunk-int5", TRUNK, 70_000, 0.0205, blocks=63)
    ]  # fmt: skip
    assert advise(lossy, -60_000)[0].settle == (
        "measure on about 200,000 tokens (--tokens): 100,000 are too few to tell head-int4 from trunk-int5"
    )
    alone, answer = advise([trial("head-vq", HEAD, 70_000, 0.0100, blocks=32)], -60_000)
    assert (alone.winner, answer.answer) == (Winner.HEAD, Answer.UNDECIDED)
    assert alone.settle == "measure on about 200,000 tokens (--tokens): 100,000 are too few to decide"


def test_without_a_model_the_experiment_is_to_measure_the_two_that_save_most() -> None:
    blind = [trial("head-vq", HEAD, 90_000, None), trial("trunk-int4", TRUNK, 80_000, None)]
    verdict, vq = advise(blind, measured=False)
    assert (verdict.winner, vq.answer) == (Winner.UNDECIDED, Answer.UNDECIDED)
    assert verdict.settle == "measure head-vq and trunk-int4 on text: golfbudget plan m.pt --model … --tokens …"


def test_what_is_decided_needs_no_experiment() -> None:
    assert advise(USUAL)[0].settle is None
