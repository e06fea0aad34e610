"""Plans measured on texts of every form, and with a user's own model; and what is refused before any work."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from golfbudget import example
from golfbudget.cache import default_folder
from golfbudget.certificates import tie_floor_nats, tied_rows
from golfbudget.errors import GolfbudgetError
from golfbudget.evidence import Evidence
from golfbudget.plan.plan_json import plan_json
from golfbudget.plan.request import PlanRequest
from golfbudget.plan.results import Plan
from golfbudget.plan.rewrite import write_candidate
from golfbudget.plan.run import make_plan
from golfbudget.recipe.decoded import read_back

TOKENIZER = example.FOLDER / "tokenizer.model"
LIMIT = 6_000
OWN = """
from golfbudget.quality.baseline_model import BaselineModel, logits

class Split(BaselineModel):
    def hidden(self, ids):
        return self.hidden_states(ids)

    def logits(self, hidden):
        return logits(hidden, self.head)

def make(state):
    return Split.from_state(state)

def other():
    import torch
    return torch.nn.Linear(3, 4)
"""


def planned(**more: object) -> Plan:
    choices: dict[str, object] = {
        "path": example.CHECKPOINT,
        "recipe": example.RECIPE,
        "model": "builtin:baseline",
        "cap": 16_000_000,
        "schemes": ("vq-logits", "tiers"),
        "token_limit": LIMIT,
        "cache": default_folder(),
        "fits": False,
    }
    return make_plan(PlanRequest(**choices | more))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def ids() -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    found: np.ndarray[tuple[int], np.dtype[np.uint16]] = (
        load_file(example.EVALUATION)["tokens"].numpy().astype(np.uint16)
    )
    return found


@pytest.fixture(scope="module")
def array(tmp_path_factory: pytest.TempPathFactory, ids: np.ndarray[tuple[int], np.dtype[np.uint16]]) -> Path:
    path = tmp_path_factory.mktemp("texts") / "tokens.npy"
    np.save(path, ids)
    return path


@pytest.fixture(scope="module")
def plan(array: Path) -> Plan:
    return planned(tokens=array, tokenizer=TOKENIZER)


@pytest.mark.slow
def test_an_array_and_a_shard_give_the_same_figures(
    plan: Plan, tmp_path: Path, ids: np.ndarray[tuple[int], np.dtype[np.uint16]]
) -> None:
    shard = tmp_path / "tokens.bin"
    header = np.zeros(256, dtype="<i4")
    header[:3] = 20240520, 1, len(ids)
    shard.write_bytes(header.tobytes() + ids.astype("<u2").tobytes())
    other = planned(tokens=shard, tokenizer=TOKENIZER)
    assert plan.evaluation is not None
    assert plan.evaluation.tokens == 5 * 1024
    texts = [json.loads(json.dumps(plan_json(made))) for made in (plan, other)]
    for text in texts:
        del text["inputs"]
    assert texts[0] == texts[1]


@pytest.mark.slow
def test_no_measured_head_is_below_its_floor_and_a_ruled_out_one_is_not_measured(plan: Plan) -> None:
    evaluation = plan.evaluation
    assert evaluation is not None
    nats = np.log(2) * evaluation.text_bytes / evaluation.tokens
    tied = [trial for trial in plan.trials if trial.floor is not None]
    assert len(tied) >= 5
    ruled_out = [trial for trial in tied if trial.loser is not None and trial.loser.startswith("tie-floor")]
    assert ruled_out
    for trial in tied:
        assert trial.floor is not None
        if trial.quality.evidence is Evidence.MEASURED:
            assert trial.quality.delta is not None
            measured = (evaluation.baseline_bits_per_byte + trial.quality.delta) * nats
            assert measured > trial.floor.value
            assert trial.quality.divergence is not None
            assert trial.quality.divergence.value > 0
        elif trial in ruled_out:
            assert trial.quality.evidence is Evidence.CERTIFIED
            assert trial.floor.value > evaluation.baseline_bits_per_byte * nats
            assert trial.quality.low is not None
            assert trial.quality.low > 0


@pytest.mark.slow
def test_the_bands_of_a_text_share_its_whole_change(plan: Plan) -> None:
    evaluation = plan.evaluation
    assert evaluation is not None
    for trial in plan.trials:
        bands = trial.quality.bands
        if not bands:
            continue
        assert sum(band.occurrences for band in bands) == evaluation.tokens
        change = sum(band.delta * band.occurrences for band in bands) / np.log(2) / evaluation.text_bytes
        assert change == pytest.approx(trial.quality.delta, abs=1e-5)


@pytest.mark.slow
def test_a_packed_file_has_the_floor_of_its_rows(plan: Plan, array: Path, tmp_path: Path) -> None:
    saved = tmp_path / "plan.json"
    saved.write_text(json.dumps(plan_json(plan)), encoding="utf-8")
    trial = plan.trial("head-vq256-shared")
    assert trial is not None
    assert trial.floor is not None
    head = read_back(write_candidate(saved, "head-vq256-shared"), "x").state["tok_emb.weight"]
    counts = np.bincount(np.load(array)[1 : 5 * 1024 + 1], minlength=1024)
    assert tie_floor_nats(counts, tied_rows(head.float().numpy())) == pytest.approx(trial.floor.value, rel=1e-12)


@pytest.mark.slow
def test_a_users_own_model_measures_what_the_built_in_one_does(plan: Plan, array: Path, tmp_path: Path) -> None:
    own = tmp_path / "model.py"
    own.write_text(OWN, encoding="utf-8")
    other = planned(tokens=array, tokenizer=TOKENIZER, model=f"{own}:make")
    assert other.evaluation is not None
    assert plan.evaluation is not None
    assert other.evaluation.baseline_bits_per_byte == pytest.approx(plan.evaluation.baseline_bits_per_byte, abs=2e-5)
    for trial in plan.trials:
        same = other.trial(trial.candidate.name)
        assert same is not None
        # What a program does beside the head is not known, so no floor rules anything out.
        assert same.loser in (None, "tying")
        if trial.quality.delta is not None:
            assert same.quality.delta == pytest.approx(trial.quality.delta, abs=2e-5)


def refused(**more: object) -> str:
    with pytest.raises(GolfbudgetError) as caught:
        planned(**more)
    return str(caught.value)


def test_bad_texts_models_and_counts_are_refused_at_once(array: Path, tmp_path: Path) -> None:
    own = tmp_path / "model.py"
    own.write_text(OWN, encoding="utf-8")
    outside = tmp_path / "outside.npy"
    np.save(outside, np.full(5_000, 1024))
    message = refused(tokens=outside, tokenizer=TOKENIZER)
    assert "token 1024 at position 0 is outside the vocabulary: expected 0 to 1,023" in message
    assert "give the SentencePiece .model" in refused(tokens=array)
    message = refused(tokens=array, tokenizer=TOKENIZER, model=f"{own}:other")
    assert "weight: missing, expected [4, 3]" in message
    assert "bias: missing, expected [4]" in message
    assert "blocks.0.attn.c_k.weight: unexpected, [80, 160]" in message
    assert "the file has no nothing" in refused(tokens=array, tokenizer=TOKENIZER, model=f"{own}:nothing")
    short = tmp_path / "short.npy"
    np.save(short, np.ones(1023, dtype=np.int64))
    assert "expected integer token counts [1024]" in refused(tokens=array, tokenizer=TOKENIZER, counts=short)
