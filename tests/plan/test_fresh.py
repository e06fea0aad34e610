"""`plan --fresh`: finalists on another text, held against what was claimed of them on the first."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.small_model import VOCABULARY, files
from test_verdict import trial

from golfbudget.errors import UsageError
from golfbudget.plan.fresh import judged
from golfbudget.plan.plan_json import load_plan, plan_json
from golfbudget.plan.request import PlanRequest
from golfbudget.plan.results import Plan
from golfbudget.plan.run import make_plan
from golfbudget.quality.intervals import ENOUGH_BLOCKS
from golfbudget.report import ReportFormat
from golfbudget.report.plan import document
from golfbudget.report.render import rendered

#: Of few tokens, so that a short text has many windows.
WINDOW = 4


def write(path: Path, seed: int, count: int = 100 * WINDOW + 1) -> Path:
    """A text of rare and frequent tokens."""
    chances = 1 / (torch.arange(VOCABULARY) + 2.0)
    drawn = chances.multinomial(count, replacement=True, generator=torch.Generator().manual_seed(seed)).int()
    tensors = {"tokens": drawn, "token_bytes": torch.full((VOCABULARY,), 3, dtype=torch.uint8)}
    save_file(tensors, path, metadata={"window": str(WINDOW)})
    return path


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("fresh")
    found = files(folder, tied=False)
    return {
        **found,
        "cache": folder / "cache",
        "tokens": write(folder / "chosen.safetensors", 1),
        "fresh": write(folder / "fresh.safetensors", 2),
    }


def planned(named: dict[str, Path], **more: object) -> Plan:
    choices = {
        "path": named["path"],
        "recipe": str(named["recipe"]),
        "model": "builtin:baseline",
        "tokens": named["tokens"],
        "cache": named["cache"],
        "cap": 16_000_000,
        "schemes": ("scalar",),
    }
    return make_plan(PlanRequest(**choices | more))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def plan(named: dict[str, Path]) -> Plan:
    return planned(named, fresh=named["fresh"])


@pytest.mark.slow
def test_the_finalists_have_the_figures_of_a_plan_on_that_text(plan: Plan, named: dict[str, Path]) -> None:
    other = planned(named, tokens=named["fresh"], counts=named["tokens"])
    verdict, vq = plan.verdict, plan.vq
    wanted = {verdict.best_head, verdict.best_trunk, vq.best, vq.control, plan.joint and plan.joint.candidate}
    measured = {found.name for found in plan.trials.measured}
    assert {found.candidate for found in plan.fresh} == wanted & measured
    assert len(plan.fresh) >= 3
    for found in plan.fresh:
        same, chosen = other.trial(found.candidate), plan.trial(found.candidate)
        assert same is not None
        assert chosen is not None
        if chosen.candidate.parts:
            continue
        assert found.quality == same.quality
        assert found.quality.delta != chosen.quality.delta
    assert plan.fresh_evaluation == other.evaluation


@pytest.mark.slow
def test_nothing_else_of_a_plan_depends_on_the_fresh_text(plan: Plan, named: dict[str, Path]) -> None:
    alone = planned(named)
    assert (alone.fresh, alone.fresh_evaluation) == ((), None)
    lines = [line for line in plan.verdict.reasons if not line.startswith("on fresh text")]
    assert len(plan.verdict.reasons) - len(lines) == 1
    verdict = replace(plan.verdict, reasons=tuple(lines))
    with_it = plan_json(replace(plan, verdict=verdict, fresh=(), fresh_evaluation=None))
    assert json.dumps(with_it) == json.dumps(plan_json(alone))


@pytest.mark.slow
def test_reports_have_both_changes_side_by_side(plan: Plan, tmp_path: Path) -> None:
    text = rendered(document(plan, details=True), ReportFormat.TABLE)
    for found in plan.fresh:
        again, chosen = found.quality, plan.trial(found.candidate)
        assert chosen is not None
        (line,) = [
            line for line in text.splitlines() if line.startswith(f"{found.candidate} ") and line.count("[") == 2
        ]
        for quality in (chosen.quality, again):
            assert f"{quality.delta:+.4f} [{quality.low:+.4f}, {quality.high:+.4f}]" in line
        assert line.endswith(f" {again.blocks}")
    assert "fresh text: 400 tokens (1,200 bytes)" in text
    saved = tmp_path / "plan.json"
    saved.write_text(json.dumps(plan_json(plan)), encoding="utf-8")
    assert load_plan(saved).fresh == plan.fresh


def said(claimed: tuple[float, float], again: tuple[float, float], blocks: int = ENOUGH_BLOCKS) -> str:
    """What is said of a change and half its interval, here and on fresh text."""
    chosen = trial("head", 10, delta=claimed[0], width=claimed[1])
    fresh = trial("head", 10, delta=again[0], width=again[1], blocks=blocks)
    (line,) = judged([chosen], {"head": fresh.quality})
    start, _, word = line.partition(": ")
    assert start.startswith(f"on fresh text head changes by {again[0]:+.4f} bits per byte [")
    return word


def test_a_winner_is_held_to_what_was_claimed() -> None:
    assert said((0.001, 0.001), (0.0015, 0.001)) == "no worse than the +0.0010 that was claimed"
    assert said((0.001, 0.001), (-0.05, 0.001)) == "no worse than the +0.0010 that was claimed"
    # Of two texts each known to 0.001, the difference is known to 0.0014.
    assert said((0.001, 0.001), (0.0023, 0.001)) == "no worse than the +0.0010 that was claimed"
    assert said((0.001, 0.001), (0.0025, 0.001)) == "clearly worse than the +0.0010 that was claimed"
    assert said((-0.001, 0.0005), (0.001, 0.0005)) == "the opposite of the -0.0010 that was claimed"
    assert said((0.001, 0.001), (0.5, 0.001), blocks=9) == "too little text to say (worth 9 blocks)"


def test_what_is_not_another_text_is_refused(named: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--fresh .*chosen\.safetensors: holds the text of --tokens .*give another"):
        planned(named, fresh=named["tokens"])
    longer = load_file(named["tokens"])
    longer["tokens"] = torch.cat((longer["tokens"], load_file(write(tmp_path / "more.safetensors", 3, 2000))["tokens"]))
    save_file(longer, tmp_path / "longer.safetensors", metadata={"window": str(WINDOW)})
    with pytest.raises(UsageError, match="holds the text of --tokens"):
        planned(named, fresh=tmp_path / "longer.safetensors")
    with pytest.raises(UsageError, match=r"--fresh .* needs --model and --tokens"):
        planned(named, model=None, tokens=None, fresh=named["fresh"])
