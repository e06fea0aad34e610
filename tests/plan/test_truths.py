"""Plans whose right answer is known by construction.  Repeated rows, three values and one candidate that fits under a
cap are in `test_plan`; head and trunk together in `test_joint`."""

from __future__ import annotations

import io
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.command_line import Run
from support.models import (
    HIDDEN,
    WIDTH,
    low_rank_model,
    random_head,
    random_matrix,
    repeated_head,
    save,
    state,
    ternary_trunk_model,
)
from support.small_model import files
from support.tied_tokens import TOKEN_BYTES, odds, write
from test_advice import compare, trial
from test_plan import planned

from golfbudget import configs, example
from golfbudget.evidence import Evidence
from golfbudget.plan.results import Answer, Plan, Winner
from golfbudget.plan.rewrite import write_candidate
from golfbudget.plan.trials import TOLERANCE, Side, Trials
from golfbudget.plan.verdict import decide
from golfbudget.recipe.artifacts import artifact_bytes
from golfbudget.recipe.config import load_recipe
from golfbudget.recipe.export import quantise
from golfbudget.recipe.sharing import shared
from golfbudget.rollup import roll_up


@pytest.mark.slow
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
        # The tenth of so short a text that chooses does not have all of its odds.
        counts=text,
        schemes=("scalar", "vq-logits", "vq-logits-bias", "ternary-packed"),
    )


@pytest.mark.slow
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


@pytest.mark.slow
def test_two_tokens_give_no_answer(tmp_path: Path) -> None:
    """On them a head that is fitted to their own counts wins; and those of no text so short are taken by themselves."""
    named = files(tmp_path, tied=False)
    tensors = load_file(named["tokens"])
    short = {**tensors, "tokens": tensors["tokens"][:3].clone()}
    save_file(short, tmp_path / "two.safetensors", metadata={"window": "1"})
    counts = np.bincount(short["tokens"].numpy().astype(np.int64), minlength=len(tensors["token_bytes"]))
    np.save(tmp_path / "counts.npy", counts)
    plan = planned(
        named["path"],
        recipe=str(named["recipe"]),
        model="builtin:baseline",
        tokens=tmp_path / "two.safetensors",
        counts=tmp_path / "counts.npy",
        schemes=("vq-logits", "ternary-packed"),
    )
    assert any(t.saved_bytes > 0 and t.quality.high is not None and t.quality.high < 0 for t in plan.trials.vq)
    assert (plan.verdict.winner, plan.vq.answer) == (Winner.UNDECIDED, Answer.UNDECIDED)
    assert plan.verdict.settle == "measure on about 128 tokens (--tokens): 2 are too few to decide"


@pytest.mark.slow
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
    plan = on_the_example(schemes=("ternary",), token_limit=12_800)
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


def loaded(data: bytes) -> dict[str, torch.Tensor]:
    """What a public decoder makes of an artifact: torch's reader, and integers times scales."""
    stored = torch.load(io.BytesIO(zlib.decompress(data)), weights_only=True)
    scales = stored["scales"]
    matrices = {name: values.float() * scales[name].float()[:, None] for name, values in stored["quantized"].items()}
    return matrices | {name: tensor.float() for name, tensor in stored["passthrough"].items()}


def few_levels(generator: torch.Generator, side: int = 256) -> torch.Tensor:
    """Whole numbers from -7 to 7 times a step a row, which fp16 holds exactly; no larger than int8-zlib keeps."""
    levels = torch.randint(-7, 8, (side, side), generator=generator).float()
    levels[:, 0] = 7
    return levels * (1 + torch.randint(0, 8, (side, 1), generator=generator) / 8) / 8


@pytest.mark.slow
def test_a_trunk_that_the_recipe_keeps_has_candidates_and_wins(tmp_path: Path) -> None:
    """Repeated rows in the head tempt VQ, but the trunk as int4 saves more, at no error at all."""
    generator = torch.Generator().manual_seed(0)
    tensors = state(repeated_head(generator), [few_levels(generator) for _ in range(4)])
    tensors["blocks.0.resid_mix"] = torch.randn(2, 256, generator=generator)
    tensors["blocks.0.mlp.mask"] = torch.full((64, 64), -math.inf).triu(1)
    path = save(tmp_path, tensors)
    plan = planned(path, schemes=("scalar", "vq-logits"))
    assert (plan.verdict.winner, plan.verdict.best_trunk) == (Winner.TRUNK, "trunk-int4")
    assert plan.vq.answer is Answer.NO
    best = plan.trial("trunk-int4")
    assert best is not None
    assert best.quality.relative_error == 0
    # Control tensors and masks are no candidates.
    assert best.candidate.owners == tuple(f"blocks.{i}.mlp.fc.weight" for i in range(4))
    assert any(note.startswith("the recipe keeps 4 trunk matrices in float16 (524,288 bytes)") for note in plan.notes)
    # Without them VQ cannot be said to win.
    alone = planned(path, schemes=("vq-logits", "factorised"))
    assert alone.vq.answer is Answer.UNDECIDED
    assert "no trunk candidate was tried" in alone.vq.reason


@pytest.mark.slow
def test_what_is_kept_does_not_spoil_what_is_free_on_the_rest(tmp_path: Path) -> None:
    """Three values in large matrices, noise in a small one: rounding that one is not free by the equal-error rule."""
    tensors = ternary_trunk_model()
    tensors["blocks.2.mlp.fc.weight"] = random_matrix(torch.Generator().manual_seed(1), 64, 64)
    plan = planned(save(tmp_path, tensors), schemes=("scalar", "ternary-packed"))
    whole, rest, kept = (plan.trial(f"{part}-ternary-packed") for part in ("trunk", "quantised", "kept"))
    assert whole is not None
    assert rest is not None
    assert kept is not None
    assert (whole.quality.evidence, rest.quality.evidence) == (Evidence.MODELLED, Evidence.EQUAL_ERROR)
    assert kept.candidate.owners == ("blocks.2.mlp.fc.weight",)
    assert {*rest.candidate.owners, *kept.candidate.owners} == set(whole.candidate.owners)
    assert (plan.verdict.winner, plan.verdict.best_trunk) == (Winner.TRUNK, rest.name)


def stored(plan: Plan, owner: str) -> int:
    """Bytes of one of the baseline's matrices."""
    return roll_up(plan.baseline.assignment.ledger, lambda entry: entry.owner)[owner].stored_bytes


@pytest.mark.slow
def test_layers_that_are_equal_are_stored_once_by_the_trunk(tmp_path: Path) -> None:
    """Four layers of which two repeat the others: half the trunk's bytes are free, and the verdict is the trunk's."""
    generator = torch.Generator().manual_seed(0)
    first, second = (random_matrix(generator, HIDDEN, 2 * WIDTH) for _ in range(2))
    tensors = state(random_head(generator), [first, second, first.clone(), second.clone()])
    plan = planned(save(tmp_path, tensors), schemes=("scalar", "vq-logits", "repack"))
    assert (plan.verdict.winner, plan.verdict.best_trunk) == (Winner.TRUNK, "trunk-shared")
    assert plan.vq.answer is Answer.NO
    once = plan.trial("trunk-shared")
    assert once is not None
    own = stored(plan, "blocks.2.mlp.fc.weight")
    assert once.saved_bytes == pytest.approx(2 * own, rel=0.01)
    said = f"sharing them saves {once.saved_bytes:,} bytes at no loss: candidate trunk-shared stores each once"
    (note,) = [note for note in plan.notes if "more than once" in note]
    assert note.startswith("layers blocks.0 and blocks.2 are equal in 1 matrices; layers blocks.1 and blocks.3")
    assert said in note
    baseline, written = loaded(write_candidate(plan, "baseline")), loaded(write_candidate(plan, "trunk-shared"))
    assert baseline.keys() == written.keys()
    assert all(torch.equal(baseline[name], written[name]) for name in baseline)


def test_a_file_that_stores_layers_once_is_unpacked_whole(tmp_path: Path, golfbudget: Run) -> None:
    """Every name has its tensor, and a plan from that file keeps the layers apart; a table's further name is tied."""
    first = random_matrix(torch.Generator().manual_seed(0), 72, 64)
    tensors = state(random_matrix(torch.Generator().manual_seed(1), 80, 64), [first, first.clone()])
    tensors["lm_head.weight"] = tensors["tok_emb.weight"].clone()
    recipe = load_recipe("int8-zlib-small")
    path, out = tmp_path / "shared.ptz", tmp_path / "out.safetensors"
    path.write_bytes(artifact_bytes(shared(quantise(tensors, recipe), tensors), recipe))
    assert golfbudget("unpack", path, "-o", out).returncode == 0
    written = load_file(out)
    assert written.keys() == tensors.keys()
    assert torch.equal(written["blocks.0.mlp.fc.weight"], written["blocks.1.mlp.fc.weight"])
    plan = planned(path, schemes=("ternary",))
    assert plan.tied is True
    assert plan.baseline.artifact.size == pytest.approx(path.stat().st_size, abs=200)
    (trial, *_) = plan.trials.trunk
    assert set(trial.candidate.owners) == {"blocks.0.mlp.fc.weight", "blocks.1.mlp.fc.weight"}


def untied_copy() -> dict[str, torch.Tensor]:
    """An untied model whose head repeats its token table."""
    tensors = tied_model()
    return tensors | {"lm_head.weight": tensors["tok_emb.weight"].clone()}


def tied_model() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return state(random_head(generator), [random_matrix(generator, HIDDEN, 2 * WIDTH)])


def test_a_copy_of_the_token_table_is_stored_once_at_no_loss(tmp_path: Path) -> None:
    plan = planned(save(tmp_path, untied_copy()), schemes=("scalar", "repack"))
    assert plan.tied is False
    once = plan.trial("lossless-shared")
    assert once is not None
    assert (once.candidate.side, once.quality.evidence) == (Side.LOSSLESS, Evidence.CERTIFIED)
    own = stored(plan, "lm_head.weight")
    assert once.saved_bytes == pytest.approx(own, rel=0.02)
    (note,) = [note for note in plan.notes if "more than once" in note]
    assert note.startswith("lm_head.weight and tok_emb.weight are equal: the file holds these tables more than once")
    baseline, written = loaded(write_candidate(plan, "baseline")), loaded(write_candidate(plan, "lossless-shared"))
    assert all(torch.equal(baseline[name], written[name]) for name in baseline.keys() | written.keys())
    # The codec that packs the baseline best is another one's word.
    assert not any("lossless-shared" in reason for reason in plan.verdict.reasons)


@pytest.mark.slow
def test_where_a_layout_stores_each_tensor_by_itself_the_note_says_what_to_change(tmp_path: Path) -> None:
    plan = planned(save(tmp_path, untied_copy()), recipe=own_recipe(tmp_path), schemes=("scalar", "repack"))
    assert plan.trial("lossless-shared") is None
    (note,) = [note for note in plan.notes if "more than once" in note]
    assert "tie them in the model's code (tok_emb.weight = lm_head.weight)" in note
    saved = int(note.partition("saves ")[2].partition(" bytes")[0].replace(",", ""))
    tied = planned(save(tmp_path, tied_model()), recipe=own_recipe(tmp_path), schemes=("ternary",))
    assert saved == pytest.approx(plan.baseline.artifact.size - tied.baseline.artifact.size, abs=200)


def own_recipe(folder: Path) -> str:
    """The public baseline's rules in a container of safetensors."""
    text = configs.find("recipes", "int8-zlib").read_text(encoding="utf-8")
    path = folder / "own.toml"
    path.write_text(text.replace("int8_clean_per_row_v1", "safetensors"), encoding="utf-8")
    return str(path)
