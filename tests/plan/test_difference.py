"""What the difference of two best files decides: loss alone, surely, by more than seeds move, along the curve."""

from __future__ import annotations

import pytest
from support.points import point

from golfbudget.evidence import Evidence
from golfbudget.plan.difference import by_difference, worth, worth_line
from golfbudget.plan.results import Answer, BudgetPoint, Verdict, VqAnswer, Winner
from golfbudget.plan.trials import Candidate, Quality, Side, Trial, Trials

TOKENS = 100_000
VERDICT = Verdict(
    winner=Winner.HEAD, evidence=Evidence.MEASURED, margin_bytes=452, reasons=("lossless first: xz", "head: …"),
    best_head="head-int6", best_trunk="attention-int7",
)  # fmt: skip
VQ = VqAnswer(answer=Answer.YES, best="head-vq64-shared", control="head-int6", margin_bytes=9, reason="it saves")


def trial(name: str, saved: int, delta: float, *, steps: int = 0) -> Trial:
    side = Side.HEAD if name.startswith("head") else Side.TRUNK
    scheme = "vq-logits" if "vq" in name else "scalar"
    return Trial(
        candidate=Candidate(name=name, side=side, scheme=scheme, options={}, owners=("m",), steps=steps),
        tables=(), decoder_bytes=0, artifact_bytes=1_000_000 - saved, sha256="", saved_bytes=saved, fits=True,
        quality=Quality(
            metric="bits-per-byte", delta=delta, low=delta, high=delta, evidence=Evidence.MEASURED, blocks=200
        ),
    )  # fmt: skip


TRIALS = Trials((trial("head-vq64-shared", 50_000, 0.3), trial("attention-int7", 33_000, 0.00004)))


def decided(*points: BudgetPoint, trials: Trials = TRIALS) -> tuple[Verdict, VqAnswer]:
    return by_difference(VERDICT, VQ, trials, points, price=4.0, tokens=TOKENS)


def test_loss_decides_and_not_the_bytes_that_a_candidate_saves() -> None:
    verdict, vq = decided(point(940_000, 0.02, 0.005))
    assert (verdict.winner, vq.answer) == (Winner.TRUNK, Answer.NO)
    assert verdict.margin_bytes is None
    assert verdict.settle is None
    assert verdict.reasons[0] == ("at 940,000 bytes restructuring costs 0.0200 bits/byte (0.0150 to 0.0250)")
    assert "costs 0.0200 bits/byte [+0.0150, +0.0250]" in vq.reason


def test_a_restructured_head_that_loses_less_wins() -> None:
    verdict, vq = decided(point(940_000, -0.02, 0.005))
    assert (verdict.winner, vq.answer, vq.best) == (Winner.HEAD, Answer.YES, "head-vq64-shared")
    assert verdict.reasons[0] == "at 940,000 bytes restructuring gains 0.0200 bits/byte (0.0150 to 0.0250)"


@pytest.mark.parametrize(
    ("open_", "told"),
    [
        (point(900, 0.001, 0.002), "measure on about 5 times as much text"),
        (point(900, 0.001, 0.0001, moves=0.002), "another seed's checkpoint"),
        (point(900, 0.02, 0.001, blocks=16), "measure on about 400,000 tokens (--tokens): 100,000 are too few"),
    ],
)
def test_what_is_not_known_is_too_close_to_call_and_says_what_would_settle_it(open_: BudgetPoint, told: str) -> None:
    verdict, vq = decided(open_)
    assert (verdict.winner, vq.answer) == (Winner.UNDECIDED, Answer.UNDECIDED)
    assert verdict.settle is not None
    assert verdict.settle.startswith(told)


def test_the_most_bytes_at_which_it_is_known_decide() -> None:
    """At the baseline's own bytes neither side loses anything; what fewer bytes show is the answer."""
    verdict, vq = decided(point(900_000, 0.00005, 0.0002), point(450_000, 0.03, 0.005), point(200_000, -0.03, 0.005))
    assert (verdict.winner, vq.answer) == (Winner.TRUNK, Answer.NO)
    assert "at 450,000 bytes" in vq.reason
    assert sum("too close to call" in line for line in verdict.reasons) == 1


def test_where_only_one_kind_fits_it_wins() -> None:
    verdict, vq = decided(point(900, 0.5, 0.1, without=False))
    assert (verdict.winner, vq.answer) == (Winner.HEAD, Answer.YES)
    assert "only a file with a restructured head fits" in verdict.reasons[0]


def test_trained_candidates_and_no_fits_leave_single_candidates_to_decide() -> None:
    assert decided() == (VERDICT, VQ)
    trained = Trials((*TRIALS, trial("head-vq64-shared+recovered-9", 50_000, 0.1, steps=9)))
    assert decided(point(900, 0.5, 0.1), trials=trained) == (VERDICT, VQ)


def test_lossless_bytes_stay_said_and_sides_by_bytes_do_not() -> None:
    verdict, _ = decided(point(900, 0.5, 0.1))
    assert "lossless first: xz" in verdict.reasons
    assert not any(line.startswith("head:") for line in verdict.reasons)


def test_worth_is_saved_bytes_at_the_price_less_the_loss() -> None:
    """attention-int6's 67,222 bytes are worth 269 µbpb at 4 µbpb per kilobyte, and cost 1,345."""
    costly = trial("attention-int6", 67_222, 0.001345)
    assert worth(costly, 4.0) == pytest.approx(269e-6 - 1345e-6, abs=1e-6)
    told = worth_line(Trials((costly,)), 4.0)
    assert told.startswith("no candidate alone is worth its loss at 4 µbpb per kB; closest: attention-int6")
    assert told.endswith("(saves 67,222 bytes, costs 1,345 µbpb)")
    cheap = trial("attention-int7", 33_000, 0.00004)
    assert worth_line(Trials((costly, cheap)), 4.0).startswith("best alone at 4 µbpb per kB: attention-int7 (saves")
