"""What follows from a verdict, on trials made by hand: prices, margins, break-even and the experiment to settle it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golfbudget.evidence import Evidence
from golfbudget.plan.advice import PlanTerms, advised
from golfbudget.plan.frontier import Frontier
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
        headroom=headroom, spread=5_000, rows=1024, path="m.pt", tokens=TOKENS if measured else None,
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
    # At the trunk's 50,000 bytes the head is between int6 and int4: 9,800 µbpb for 50 kB; the trunk asks 400 for 50 kB.
    head, trunk = verdict.prices[HEAD], verdict.prices[TRUNK]
    assert (head.below, head.candidate, head.at) == ("head-int6", "head-int4", 50_000)
    assert head.price == pytest.approx(9_800 / 50, abs=1e-3)
    assert (trunk.below, trunk.candidate, trunk.price) == (None, "trunk-int7", 8.0)
    assert verdict.margin is not None
    assert (verdict.margin.candidate, verdict.margin.rival) == ("trunk-int7", "head-int4")
    assert verdict.margin.delta == pytest.approx(0.0002 + 0.6 * 0.0098 - 0.0004)
    # Both ends compare with the winner within 0.001 either way, and so does what lies between.
    assert verdict.margin.low == pytest.approx(verdict.margin.delta - 0.001)
    assert verdict.margin.high == pytest.approx(verdict.margin.delta + 0.001)


def test_a_price_is_a_slope_of_the_frontier_and_no_fallback() -> None:
    """A codebook far beyond the bytes that are needed says nothing of their price, nor does what others beat."""
    far = trial("head-vq32", HEAD, 90_000, 1.3)
    verdict, _ = advise([*USUAL[3:], trial("head-int7", HEAD, 40_000, 0.01), far])
    assert verdict.prices[HEAD].price == pytest.approx(1_290_000 / 50)
    beyond, _ = advise([*USUAL[3:], trial("head-int7", HEAD, 40_000, 0.01)])
    assert HEAD not in beyond.prices
    assert beyond.margin is None
    beaten, _ = advise([*USUAL, trial("head-int5", HEAD, 49_000, 0.009)])
    assert beaten.prices[HEAD].below == "head-int6"


def test_before_the_first_candidate_the_baseline_is_the_other_end() -> None:
    verdict, _ = advise([trial("head-int4", HEAD, 100_000, 0.01), USUAL[3]])
    assert verdict.margin is not None
    assert verdict.margin.below is None
    assert verdict.margin.delta == pytest.approx(0.005 - 0.0004)
    # Half of the way from nothing, whose change from the winner is its own interval turned round.
    assert verdict.margin.low == pytest.approx((-0.0005 + 0.0086) / 2)
    assert verdict.margin.high == pytest.approx((-0.0003 + 0.0106) / 2)


def test_break_even_is_what_the_trunk_loses_at_the_same_bytes() -> None:
    verdict, vq = advise(USUAL)
    assert vq.answer is Answer.NO
    even = verdict.break_even
    assert even is not None
    assert even.candidate == "head-vq"
    assert even.loss == pytest.approx(0.0004 + 0.0116 / 3, abs=1e-6)
    assert even.price == pytest.approx(even.loss * 1e6 / 100, abs=0.01)
    assert even.source.endswith("between trunk-int7 and trunk-int5, both measured")
    # The trunk was never measured at 0.2 bits per byte, so no vocabulary is named.
    assert even.vocabulary is None


def test_the_vocabulary_that_breaks_even_is_within_what_was_measured() -> None:
    # At 500,000 bytes the trunk loses what VQ does at 100,000.
    verdict, _ = advise([*USUAL, trial("trunk-int3", TRUNK, 500_000, 0.2)])
    assert verdict.break_even is not None
    assert verdict.break_even.vocabulary == 5 * 1024
    # Nine times as large is too far for a loss that is taken to stay.
    verdict, _ = advise([*USUAL, trial("trunk-int3", TRUNK, 900_000, 0.2)])
    assert verdict.break_even is not None
    assert verdict.break_even.vocabulary is None


def test_break_even_is_not_said_where_its_assumptions_do_not_hold() -> None:
    without_trunk, _ = advise([t for t in USUAL if t.candidate.side is HEAD])
    assert without_trunk.break_even is None
    adds, _ = advise([*USUAL[:2], trial("head-vq", HEAD, -5_000, 0.2), *USUAL[3:]])
    assert adds.break_even is None
    beyond, _ = advise([*USUAL[:2], trial("head-vq", HEAD, 250_000, 0.2), *USUAL[3:]])
    assert beyond.break_even is None


@given(st.lists(st.tuples(st.integers(-50, 500), st.floats(-0.1, 1.0)), max_size=8), st.integers(1, 600))
def test_a_frontier_is_convex_and_no_candidate_is_under_it(points: list[tuple[int, float]], at: int) -> None:
    trials = Trials(tuple(trial(f"head-{i}", HEAD, saved, loss) for i, (saved, loss) in enumerate(points)), compare)
    frontier = Frontier.of(trials)
    segment = frontier.around(at)
    assert (segment is None) == (at > max((saved for saved, _ in points), default=0))
    for saved, loss in points:
        own = frontier.around(saved) if saved > 0 else None
        if own is not None:
            assert own.loss(saved) <= loss + 1e-9
    slopes = [(b.loss - a.loss) / (b.saved_bytes - a.saved_bytes) for a, b in pairwise(frontier.points)]
    assert slopes == sorted(slopes)


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
    assert HEAD not in verdict.prices


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
