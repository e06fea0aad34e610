"""The verdict as a pure function of finished trials: each way it can come out, and that it never guesses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golfbudget.evidence import Evidence
from golfbudget.plan.results import Answer, Verdict, VqAnswer, Winner
from golfbudget.plan.trials import TOLERANCE, Candidate, Quality, Side, Trial, Trials
from golfbudget.plan.verdict import decide
from golfbudget.quality.intervals import ENOUGH_BLOCKS, Interval

BASELINE = 1_000_000


def trial(
    name: str,
    saved: int,
    *,
    delta: float | None = None,
    width: float = 0.0001,
    evidence: Evidence | None = None,
    blocks: int = ENOUGH_BLOCKS,
    cap: int = 16_000_000,
) -> Trial:
    """A trial by its name's first word: head, trunk or vq; measured when a delta is given."""
    side = Side.TRUNK if name.startswith("trunk") else Side.HEAD
    kind = evidence or (Evidence.MODELLED if delta is None else Evidence.MEASURED)
    low, high = (None, None) if delta is None else (delta - width, delta + width)
    return Trial(
        candidate=Candidate(
            name=name, side=side, scheme="vq-logits" if name.startswith("vq") else "scalar", options={}, owners=("w",)
        ),
        tables=(),
        decoder_bytes=0,
        artifact_bytes=BASELINE - saved,
        sha256="",
        saved_bytes=saved,
        fits=BASELINE - saved <= cap,
        quality=Quality(
            metric="bits-per-byte", delta=delta, low=low, high=high, evidence=kind, error_ratio=2.0, blocks=blocks
        ),
    )


def verdict(*trials: Trial, cap: int = 16_000_000, gap: tuple[float, float] = (0.0, 0.0)) -> tuple[Verdict, VqAnswer]:
    return decide(Trials(trials, lambda a, b: change(a, b, gap)), must_save=max(0, BASELINE - cap))


def change(one: Trial, other: Trial, gap: tuple[float, float]) -> Interval:
    """An interval on as much text as the shorter of two has."""
    low, high = gap
    blocks = min(one.quality.blocks or 0, other.quality.blocks or 0)
    return Interval(delta=(low + high) / 2, low=low, high=high, blocks=blocks)


FREE = Evidence.EQUAL_ERROR


def test_under_the_cap_the_most_bytes_at_no_loss_win() -> None:
    found, vq = verdict(trial("head", 10, delta=0.0), trial("trunk", 30, delta=0.001), trial("vq", 20, delta=0.0))
    assert (found.winner, found.margin_bytes, found.best_head, found.best_trunk) == (Winner.TRUNK, 10, "vq", "trunk")
    assert (vq.answer, vq.margin_bytes, vq.control) == (Answer.NO, -10, "head")


def test_a_measured_loss_above_the_tolerance_is_no_saving() -> None:
    lossy = trial("trunk", 500, delta=TOLERANCE, width=0.0001)
    assert not lossy.costless
    found, _ = verdict(trial("head", 10, delta=0.0), lossy)
    assert found.winner is Winner.HEAD


def test_vq_must_beat_its_control_and_the_trunk() -> None:
    assert verdict(trial("vq", 30, evidence=FREE), trial("trunk", 20, evidence=FREE))[1].answer is Answer.YES
    assert verdict(trial("vq", 30, evidence=FREE), trial("head", 40, evidence=FREE))[1].answer is Answer.NO
    assert verdict(trial("vq", 30, evidence=FREE), trial("trunk", 40, evidence=FREE))[1].answer is Answer.NO
    _, tie = verdict(trial("vq", 30, evidence=FREE), trial("head", 30, evidence=FREE))
    assert tie.answer is Answer.NO


def test_an_untrained_loser_is_said_to_lose_as_untrained() -> None:
    _, vq = verdict(trial("vq", 50, delta=1.0), trial("head", 10, delta=0.0))
    assert vq.answer is Answer.NO
    assert "as untrained" in vq.reason


def test_unknown_quality_decides_nothing_by_itself() -> None:
    found, vq = verdict(trial("head", 10), trial("trunk", 20), trial("vq", 30))
    assert found.winner is Winner.UNDECIDED
    assert vq.answer is Answer.UNDECIDED
    assert "loss not known" in vq.reason


def test_unknown_savings_are_mentioned_beside_a_winner() -> None:
    found, _ = verdict(trial("head", 10, evidence=FREE), trial("trunk", 500))
    assert found.winner is Winner.HEAD
    assert any("no known loss" in reason for reason in found.reasons)


def test_nothing_worth_doing_is_none_not_undecided() -> None:
    found, vq = verdict(trial("head", 10, delta=0.5), trial("trunk", 10, delta=0.5), trial("vq", 10, delta=0.9))
    assert found.winner is Winner.NONE
    assert vq.answer is Answer.NO


def test_equal_savings_are_too_close_to_call() -> None:
    found, _ = verdict(trial("head", 10, evidence=FREE), trial("trunk", 10, evidence=FREE))
    assert (found.winner, found.margin_bytes) == (Winner.UNDECIDED, 0)


FEW = ENOUGH_BLOCKS - 1


def test_too_little_text_decides_nothing() -> None:
    made = trial("head", 10, delta=0.0, blocks=2), trial("trunk", 20, delta=0.0, blocks=2)
    found, vq = verdict(*made, trial("vq", 90, delta=-0.1, blocks=2))
    assert (found.winner, found.best_head, found.best_trunk) == (Winner.UNDECIDED, None, None)
    assert vq.answer is Answer.UNDECIDED
    assert "on too little text to decide (worth 2 blocks)" in vq.reason
    # Of eight blocks or more, an interval all above the tolerance is believed, as what loses is.
    lossy = [trial(name, 10, delta=0.5, blocks=blocks) for name, blocks in (("head", 8), ("trunk", FEW), ("vq", FEW))]
    assert verdict(*lossy)[0].winner is Winner.NONE
    assert verdict(*lossy)[1].answer is Answer.NO
    assert verdict(*lossy[:2], trial("vq", 10, delta=0.5, blocks=7))[1].answer is Answer.UNDECIDED


def test_what_more_text_may_show_keeps_the_other_side_from_winning() -> None:
    free, open_ = trial("trunk", 20, delta=0.0), trial("head", 30, delta=0.0, blocks=FEW)
    found, _ = verdict(free, open_)
    assert (found.winner, found.best_trunk) == (Winner.UNDECIDED, "trunk")
    assert any(reason.startswith("more text may show at no loss what saves more: head") for reason in found.reasons)
    # It takes nothing from its own side, nor where it saves less.
    assert verdict(free, trial("trunk-more", 30, delta=0.0, blocks=FEW))[0].winner is Winner.TRUNK
    assert verdict(free, trial("head", 19, delta=0.0, blocks=FEW))[0].winner is Winner.TRUNK
    assert verdict(free, trial("vq", 30, delta=0.0, blocks=FEW))[1].answer is Answer.UNDECIDED
    assert verdict(trial("vq", 20, delta=0.0), trial("trunk", 30, delta=0.0, blocks=FEW))[1].answer is Answer.UNDECIDED
    assert verdict(trial("vq", 20, delta=0.0), trial("trunk", 19, delta=0.0, blocks=FEW))[1].answer is Answer.YES


CAP = BASELINE - 100


def over(*trials: Trial, gap: tuple[float, float] = (0.0, 0.0)) -> tuple[Verdict, VqAnswer]:
    return verdict(*trials, cap=CAP, gap=gap)


def at(name: str, saved: int, **changes: object) -> Trial:
    return trial(name, saved, cap=CAP, **changes)  # type: ignore[arg-type]


def test_over_the_cap_only_what_fits_counts() -> None:
    found, _ = over(at("head", 99, delta=0.0), at("trunk", 100, delta=0.3))
    assert (found.winner, found.best_head) == (Winner.TRUNK, None)


def test_over_the_cap_nothing_fits() -> None:
    found, vq = over(at("head", 99, delta=0.0), at("trunk", 1, delta=0.3), at("vq", 5, delta=0.1))
    assert found.winner is Winner.NONE
    assert vq.answer is Answer.NO
    assert over(at("trunk", 1))[0].winner is Winner.NONE


def test_over_the_cap_what_fits_by_both_sides_together_is_told() -> None:
    lossy = at("joint", 120, delta=0.9)
    joint = replace(lossy, candidate=replace(lossy.candidate, side=Side.JOINT))
    found, _ = over(at("head", 60, delta=0.1), at("trunk", 60, delta=0.3), joint)
    assert found.winner is Winner.NONE
    assert found.reasons[-1].startswith(
        "both sides together fit: joint saves 120 bytes, measured +0.9000 bits per byte"
    )
    assert not any("together" in reason for reason in over(at("head", 100, delta=0.1), joint)[0].reasons)


def test_over_the_cap_the_lower_loss_wins_when_the_difference_is_certain() -> None:
    pair = at("head", 100, delta=0.01), at("trunk", 150, delta=0.05)
    # The interval is of the change from the trunk's loss to the head's reversed: from head to trunk it rises.
    assert over(*pair, gap=(-0.05, -0.03))[0].winner is Winner.TRUNK
    assert over(*pair, gap=(0.03, 0.05))[0].winner is Winner.HEAD
    found, _ = over(*pair, gap=(-0.01, 0.01))
    assert found.winner is Winner.UNDECIDED
    assert "too close to call" in found.reasons


def test_over_the_cap_a_difference_on_too_little_text_is_none() -> None:
    pair = at("head", 100, delta=0.01, blocks=FEW), at("trunk", 150, delta=0.05, blocks=FEW)
    found, _ = over(*pair, gap=(0.03, 0.05))
    assert found.winner is Winner.UNDECIDED
    assert f"too little text to call (worth {FEW} blocks)" in found.reasons
    # One surely free does not win from one that may be.
    pair = at("head", 100, delta=0.0), at("trunk", 150, delta=0.0, blocks=FEW)
    assert over(*pair, gap=(-0.001, 0.001))[0].winner is Winner.UNDECIDED
    for rival in (at("head", 100, delta=0.05, blocks=FEW), at("head", 99, delta=0.0)):
        assert over(at("vq", 100, delta=0.01, blocks=FEW), rival, gap=(0.02, 0.04))[1].answer is Answer.UNDECIDED


def test_over_the_cap_unknown_losses_leave_it_open() -> None:
    assert over(at("head", 100), at("trunk", 100))[0].winner is Winner.UNDECIDED
    assert over(at("head", 100, delta=0.01), at("trunk", 100))[0].winner is Winner.UNDECIDED
    assert over(at("head", 100, evidence=FREE), at("trunk", 100))[0].winner is Winner.HEAD
    assert over(at("head", 99), at("trunk", 100))[0].winner is Winner.TRUNK


def test_over_the_cap_vq_answers() -> None:
    assert over(at("vq", 99, delta=0.0), at("head", 100, delta=0.1))[1].answer is Answer.NO
    assert over(at("vq", 100), at("head", 100, delta=0.1))[1].answer is Answer.UNDECIDED
    assert over(at("vq", 100), at("head", 100, evidence=FREE))[1].answer is Answer.NO
    assert over(at("vq", 100, delta=0.01), at("head", 99, delta=0.0))[1].answer is Answer.YES
    pair = at("vq", 100, delta=0.01), at("head", 100, delta=0.05)
    assert over(*pair, gap=(0.02, 0.04))[1].answer is Answer.YES
    assert over(*pair, gap=(-0.04, -0.02))[1].answer is Answer.NO
    assert over(*pair, gap=(-0.01, 0.02))[1].answer is Answer.UNDECIDED
    assert over(at("vq", 100, evidence=FREE), at("trunk", 100))[1].answer is Answer.YES


@st.composite
def trials(draw: st.DrawFn) -> list[Trial]:
    names = draw(st.lists(st.sampled_from(["head-a", "head-b", "trunk-a", "trunk-b", "vq-a", "vq-b"]), unique=True))
    made = []
    for name in names:
        known = draw(st.booleans())
        delta = draw(st.floats(-0.01, 0.5)) if known else None
        free = FREE if not known and draw(st.booleans()) else None
        made.append(trial(name, draw(st.integers(-100, 200)), delta=delta, evidence=free, cap=CAP))
    return made


@given(trials(), st.sampled_from([0, 100]))
def test_every_outcome_is_consistent(made: Sequence[Trial], must_save: int) -> None:
    found, vq = decide(Trials(tuple(made), lambda a, b: change(a, b, (-0.1, -0.01))), must_save=must_save)
    by_name = {t.candidate.name: t for t in made}
    best = {Winner.HEAD: found.best_head, Winner.TRUNK: found.best_trunk}.get(found.winner)
    if best is not None:
        assert by_name[best].candidate.side.value == found.winner.value
        assert by_name[best].saved_bytes > 0
        assert must_save == 0 or by_name[best].fits
    if vq.answer is Answer.YES:
        assert vq.best is not None
        assert by_name[vq.best].candidate.is_vq
    assert all(by_name[name].quality.evidence is not Evidence.MODELLED for name in Trials(tuple(made)).frontier())


@pytest.mark.parametrize("order", [1, -1])
def test_the_frontier_holds_what_nothing_beats_in_both(order: int) -> None:
    made = [
        trial("head-a", 30, delta=0.3),
        trial("head-b", 20, delta=0.1),
        trial("trunk-a", 10, delta=0.2),
        trial("trunk-b", 40),
    ][::order]
    assert Trials(tuple(made)).frontier() == {"head-a", "head-b"}
