"""The joint choice against all choices there are, and as a file."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.models import HIDDEN, WIDTH, noisy, random_matrix, repeated_head, save, state, ternary_matrix
from test_advice import trial
from torch import Generator

from golfbudget.cache import default_folder
from golfbudget.evidence import Evidence
from golfbudget.plan.joint import best_choice, joint_candidate, make_joint
from golfbudget.plan.plan_json import plan_json
from golfbudget.plan.request import PlanRequest
from golfbudget.plan.results import Plan
from golfbudget.plan.rewrite import write_candidate
from golfbudget.plan.run import make_plan
from golfbudget.plan.trials import Candidate, Side, Trial, Trials
from golfbudget.recipe.decoded import read_back

ATTENTION, MLP = ("a", "b"), ("m",)
OWNERS = {"head": ("tok",), "trunk": ATTENTION + MLP, "attention": ATTENTION, "mlp": MLP}


def on(group: str, number: int, saved: int, loss: float) -> Trial:
    side = Side.HEAD if group == "head" else Side.TRUNK
    made = trial(f"{group}-{number}", side, saved, loss)
    candidate = Candidate(name=f"{group}-{number}", side=side, scheme="scalar", options={}, owners=OWNERS[group])
    return replace(made, candidate=candidate)


AMOUNTS = st.lists(st.tuples(st.integers(-50, 200), st.integers(-3, 40)), max_size=4)


@given(amounts=st.fixed_dictionaries(dict.fromkeys(OWNERS, AMOUNTS)), room=st.integers(-400, 60))
def test_the_choice_is_the_best_of_all_choices(amounts: dict[str, list[tuple[int, int]]], room: int) -> None:
    trials = [
        on(group, number, saved, loss / 1000)
        for group, pairs in amounts.items()
        for number, (saved, loss) in enumerate(pairs)
    ]
    as_is = [(0, 0)]
    options = {group: [*as_is, *pairs] for group, pairs in amounts.items()}
    # A half without any trial makes no whole with the other; alone it is the whole of what was tried.
    halves = ["attention", "mlp"] if amounts["attention"] and amounts["mlp"] else []
    alone = ["attention" if amounts["attention"] else "mlp"] if not amounts["trunk"] and not halves else []
    ways = [way for way in (["trunk"] if amounts["trunk"] else [], halves, alone) if way]
    cuts = [[options["head"], *(options[group] for group in way)] for way in ways]
    possible = [
        (sum(loss for _, loss in chosen), -sum(saved for saved, _ in chosen))
        for cut in cuts
        for chosen in product(*cut)
        if -sum(saved for saved, _ in chosen) <= room
    ]
    found = best_choice(Trials(tuple(trials)), room)
    if not possible:
        assert found is None
        return
    assert found is not None
    loss, bytes_ = min(possible)
    assert found.loss == pytest.approx(loss / 1000, abs=1e-9)
    assert found.bytes == bytes_


def test_what_comes_out_longer_than_its_sum_is_chosen_again_with_less_room() -> None:
    """Here every file is 10 bytes longer than its parts say."""
    trials = [on("head", 1, 100, 0.001), on("head", 2, 120, 0.003), on("trunk", 1, 100, 0.002)]
    tried: list[str] = []

    def judged(candidate: Candidate) -> Trial:
        tried.append("+".join(part.name for part in candidate.parts))
        saved = sum(t.saved_bytes for t in trials if t.candidate in candidate.parts) - 10
        return trial("joint", Side.JOINT, saved, 0.0)

    made = make_joint(Trials(tuple(trials)), 1_000_000, 1_000_000 - 100, judged)
    assert tried[:2] == ["head-1", "head-1+trunk-1"]
    assert made.joint is not None
    assert made.joint.rebuilt_bytes <= made.joint.target
    assert made.joint.difference == 10
    assert made.joint.chosen == {"head": "head-1", "trunk": "trunk-1"}
    impossible = make_joint(Trials(tuple(trials)), 1_000_000, 1_000_000 - 500, judged)
    assert impossible.joint is None
    assert impossible.reason == "no joint choice: no choice of candidates of known loss fits"
    nothing = make_joint(Trials(tuple(trials)), 1_000_000, 1_000_000, judged)
    assert nothing.reason == "no joint choice: the least loss leaves every group as it is"


def test_parts_share_no_tensor() -> None:
    trials = [on("head", 1, 10, 0.0), on("attention", 1, 10, 0.0), on("mlp", 1, 10, 0.0)]
    candidate = joint_candidate({"head": "head-1", "attention": "attention-1", "mlp": "mlp-1"}, Trials(tuple(trials)))
    assert candidate is not None
    assert len(candidate.owners) == len(set(candidate.owners)) == 4


def both_sides_model() -> dict[str, object]:
    """A head of repeated rows over a trunk of three values, each under noise that hides in int8's step."""
    generator = Generator().manual_seed(4)
    trunk = [ternary_matrix(generator, HIDDEN, 2 * WIDTH), noisy(random_matrix(generator, HIDDEN, WIDTH), generator)]
    return dict(state(repeated_head(generator), trunk))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("joint"), both_sides_model())  # type: ignore[arg-type]


def planned(path: Path, cap: int) -> Plan:
    schemes = ("scalar", "vq-logits", "ternary-packed")
    return make_plan(PlanRequest(path=path, cap=cap, schemes=schemes, cache=default_folder()))


@pytest.mark.slow
def test_head_and_trunk_together_fit_where_neither_does_alone(model: Path, tmp_path: Path) -> None:
    roomy = planned(model, 16_000_000)
    free = [
        t for t in roomy.trials if t.quality.evidence is Evidence.EQUAL_ERROR and t.candidate.side is not Side.JOINT
    ]
    least = min(t.counted_bytes for t in free)
    cap = least - 5_000
    plan = planned(model, cap)
    assert not any(
        t.fits for t in plan.trials if t.quality.evidence is Evidence.EQUAL_ERROR and t is not joint_of(plan)
    )
    joint = plan.joint
    assert joint is not None
    together = joint_of(plan)
    assert together.fits
    assert together.counted_bytes == joint.rebuilt_bytes <= cap
    assert together.quality.evidence is Evidence.EQUAL_ERROR
    assert {part.side for part in together.candidate.parts} == {Side.HEAD, Side.TRUNK}
    parts = [t for t in plan.trials if t.candidate in together.candidate.parts]
    size = plan.baseline.artifact.size
    assert joint.expected_bytes == size - sum(t.saved_bytes for t in parts)
    assert joint.difference == joint.rebuilt_bytes - joint.expected_bytes
    assert sum(t.loss for t in parts) == joint.expected_loss == 0
    saved = tmp_path / "plan.json"
    saved.write_text(json.dumps(plan_json(plan)), encoding="utf-8")
    data = write_candidate(saved, "joint")
    assert len(data) == together.artifact_bytes
    decoded = read_back(data, "joint").state
    for part in parts:
        alone = read_back(write_candidate(saved, part.candidate.name), "part").state
        assert all(bool((decoded[owner] == alone[owner]).all()) for owner in part.candidate.owners)


def joint_of(plan: Plan) -> Trial:
    (found,) = [t for t in plan.trials if t.candidate.side is Side.JOINT]
    return found
