"""Plans whose right answer is known by construction.  Repeated rows, three values and one candidate that fits under a
cap are in `test_plan`; head and trunk together in `test_joint`."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from models import low_rank_model, save, ternary_trunk_model
from test_advice import compare, trial
from test_plan import planned
from tied_tokens import TOKEN_BYTES, odds, write

from golfbudget import example
from golfbudget.evidence import Evidence
from golfbudget.plan.results import Answer, Plan, Winner
from golfbudget.plan.trials import TOLERANCE, Side, Trials
from golfbudget.plan.verdict import decide


def test_a_head_of_low_rank_is_won_by_factors_and_not_by_vq(tmp_path: Path) -> None:
    """Rank 16 of 128 under noise below int8's step: 16-bit factors take a third of the bytes at no more error."""
    plan = planned(save(tmp_path, low_rank_model()), schemes=("scalar", "factorised", "vq-logits", "repack"))
    assert (plan.verdict.winner, plan.verdict.best_head) == (Winner.HEAD, "head-factorised-r16-b16-shared")
    assert plan.verdict.evidence is Evidence.EQUAL_ERROR
    assert plan.vq.answer is Answer.NO
    best = plan.trial(plan.verdict.best_head)
    assert best is not None
    assert 60_000 < best.saved_bytes < 100_000


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    checkpoint, text = write(tmp_path_factory.mktemp("tied"))
    return planned(
        checkpoint,
        recipe=example.RECIPE,
        model="builtin:baseline",
        tokens=text,
        schemes=("scalar", "vq-logits", "vq-logits-bias", "ternary-packed"),
    )


def test_where_ties_hurt_a_bias_repairs_them(tied: Plan) -> None:
    """One code for each of 32 groups: uniform odds within a group without a bias, the text's own with one."""
    plain, mended = tied.trial("head-vq32"), tied.trial("head-vq-bias-k32-b8-bias8")
    assert plain is not None
    assert mended is not None
    entropy = -float((odds() * odds().log()).sum())
    worth = (math.log(len(odds())) - entropy) / math.log(2) / TOKEN_BYTES
    # What the ties cost is known from their floor alone, so the plain codebook is not even run.
    assert plain.loser == "tie-floor:head-vq32"
    assert (plain.quality.evidence, plain.quality.delta) == (Evidence.CERTIFIED, None)
    assert plain.quality.low == pytest.approx(worth, abs=0.02)
    assert mended.quality.high is not None
    assert mended.quality.high <= TOLERANCE
    # The floors say the same of both, before either is run: ln 16, and the odds' entropy on this text.
    assert plain.floor is not None
    assert mended.floor is not None
    assert plain.floor.value == pytest.approx(math.log(16), rel=1e-9)
    assert mended.floor.value == pytest.approx(entropy, abs=0.03)
    assert (tied.vq.answer, tied.vq.best) == (Answer.YES, "head-vq-bias-k32-b8-bias8")
    assert (tied.verdict.winner, tied.verdict.evidence) == (Winner.HEAD, Evidence.MEASURED)


def test_over_the_cap_the_only_one_that_fits_is_the_trunks(tmp_path: Path) -> None:
    path = save(tmp_path, ternary_trunk_model())
    schemes = ("scalar", "vq-logits", "ternary-packed")
    roomy = planned(path, schemes=schemes)
    free = roomy.trial("trunk-ternary-packed")
    assert free is not None
    plan = planned(path, cap=free.counted_bytes, schemes=schemes)
    assert (plan.verdict.winner, plan.verdict.best_trunk) == (Winner.TRUNK, "trunk-ternary-packed")
    assert plan.vq.answer is Answer.NO
    assert plan.verdict.margin_bytes == 0


def on_the_example(**more: object) -> Plan:
    return planned(
        example.CHECKPOINT, recipe=example.RECIPE, model=example.MODEL, tokens=example.EVALUATION, **more
    )  # fmt: skip


@pytest.mark.slow
def test_what_fits_already_and_gains_nothing_is_left_alone() -> None:
    """On the example a trunk of three values saves two thirds of the bytes, at a loss that is measured."""
    plan = on_the_example(schemes=("ternary",), token_limit=5_000)
    assert any(t.saved_bytes > 0 for t in plan.trials)
    assert (plan.verdict.winner, plan.verdict.best_head, plan.verdict.best_trunk) == (Winner.NONE, None, None)
    assert plan.joint is None


@pytest.mark.slow
def test_where_lossless_bytes_suffice_neither_side_is_needed() -> None:
    """The example over a cap by 12,340 bytes, of which brotli alone saves 14,730."""
    plan = on_the_example(schemes=("ternary", "repack"), cap=950_000, token_limit=5_000)
    assert plan.baseline.budget.headroom < 0
    assert plan.verdict.winner is Winner.NONE
    assert any("lossless bytes alone suffice: lossless-brotli-11" in reason for reason in plan.verdict.reasons)


def test_nothing_fits(tmp_path: Path) -> None:
    plan = planned(save(tmp_path, ternary_trunk_model()), cap=2_000, schemes=("vq-logits", "ternary-packed"))
    assert plan.verdict.winner is Winner.NONE
    assert plan.vq.answer is Answer.NO
    assert not any(t.fits for t in plan.trials)
    assert any(note.startswith("no joint choice") for note in plan.notes)


def test_what_is_too_close_to_call_is_undecided() -> None:
    close = [trial("head-int4", Side.HEAD, 70_000, 0.0100), trial("trunk-int5", Side.TRUNK, 70_000, 0.0105)]
    assert decide(Trials(tuple(close), compare), must_save=60_000)[0].winner is Winner.UNDECIDED
    apart = [close[0], trial("trunk-int5", Side.TRUNK, 70_000, 0.0125)]
    assert decide(Trials(tuple(apart), compare), must_save=60_000)[0].winner is Winner.HEAD
