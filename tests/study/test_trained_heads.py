"""Heads in training: losses and gradients against autograd's, what files keep of a structure, and the pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget.example.heads.arms import ARMS, BY_NAME, Arm, Kind
from golfbudget.example.heads.loss import shared_rows_loss
from golfbudget.example.heads.model import Sizes, StudyModel
from golfbudget.example.heads.muon import Muon
from golfbudget.example.heads.runs import SMOKE, StudyRun, checkpoint_path, runs
from golfbudget.example.heads.structures import SharedRows, TwoLevel
from golfbudget.example.heads.training import batches, initial, rounded
from golfbudget.quality.baseline_model import LOGIT_CAP
from golfbudget.study.__main__ import main
from golfbudget.study.results import load
from golfbudget.study.structure import structure_source

SIZES = Sizes(vocabulary=96, width=48, blocks=2, head_width=16)
EVERY = pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)


def settled(arm: Arm, seed: int = 0) -> StudyModel:
    """A model of random numbers whose codes are chosen."""
    torch.manual_seed(seed)
    model = StudyModel(arm, SIZES.of(arm), torch.randn(96))
    model.head.settle(torch.arange(96) + 1, torch.randn(64, SIZES.of(arm).width), seed)
    return model


def capped(products: Tensor) -> Tensor:
    return LOGIT_CAP * torch.tanh(products / LOGIT_CAP)


def test_the_loss_of_shared_rows_and_its_gradients_are_those_of_the_whole_softmax() -> None:
    torch.manual_seed(0)
    hidden, rows, bias = (torch.randn(*shape, requires_grad=True) for shape in ((300, 5), (7, 5), (20,)))
    codes, targets, latent = torch.randint(0, 7, (20,)), torch.randint(0, 20, (300,)), torch.randn(20, 5)
    latent.requires_grad_()
    own = rows[codes].detach().requires_grad_()
    found = shared_rows_loss(hidden, rows, targets, latent=latent, bias=bias, codes=codes)
    wanted = F.cross_entropy(capped(hidden @ rows[codes].T) + bias, targets)
    apart = F.cross_entropy(capped(hidden @ own.T) + bias, targets)
    torch.testing.assert_close(found, wanted)
    grads = torch.autograd.grad(found, (hidden, rows, bias, latent))
    expected = (*torch.autograd.grad(wanted, (hidden, rows, bias)), *torch.autograd.grad(apart, own))
    for one, other in zip(grads, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_the_loss_of_a_dense_head_is_the_softmax() -> None:
    torch.manual_seed(0)
    hidden, rows = torch.randn(200, 5, requires_grad=True), torch.randn(9, 5, requires_grad=True)
    targets = torch.randint(0, 9, (200,))
    found, wanted = shared_rows_loss(hidden, rows, targets), F.cross_entropy(capped(hidden @ rows.T), targets)
    torch.testing.assert_close(found, wanted)
    for one, other in zip(
        torch.autograd.grad(found, (hidden, rows)), torch.autograd.grad(wanted, (hidden, rows)), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_muon_moves_matrices_as_torch_does() -> None:
    torch.manual_seed(0)
    shapes = ((32, 32), (16, 32), (64, 32))
    ours = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    theirs = [torch.nn.Parameter(matrix.detach().clone()) for matrix in ours]
    optimizers: list[torch.optim.Optimizer] = [
        Muon(ours, lr=0.02, momentum=0.95), torch.optim.Muon(theirs, lr=0.02, weight_decay=0.0, momentum=0.95)
    ]  # fmt: skip
    for _ in range(3):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for one, other in zip(ours, theirs, strict=True):
        # Torch's multiplies in bfloat16.
        torch.testing.assert_close(one, other, atol=2e-3, rtol=0)


@EVERY
def test_the_training_loss_is_that_of_the_scores(arm: Arm) -> None:
    model = settled(arm)
    windows = torch.randint(0, 96, (3, 9))
    with torch.no_grad():
        scores = model.head.scores(model.hidden_states(windows[:, :-1]))
        assert scores.shape == (3, 8, 96)
        torch.testing.assert_close(model.loss(windows), F.cross_entropy(scores.flatten(0, 1), windows[:, 1:].flatten()))


def test_a_two_level_head_gives_chances_that_add_up_and_member_chances_that_depend_on_the_class() -> None:
    head = settled(BY_NAME["two-level"]).head
    assert isinstance(head, TwoLevel)
    with torch.no_grad():
        head.scale.normal_()
        scores = head.scores(torch.randn(4, 48))
    torch.testing.assert_close(scores.exp().sum(-1), torch.ones(4))
    assert len({(int(g), int(m)) for g, m in zip(head.class_of, head.member_of, strict=True)}) == 96


@EVERY
def test_what_a_file_keeps_gives_the_same_model(arm: Arm) -> None:
    model, ids = settled(arm), torch.randint(0, 96, (2, 7))
    again = StudyModel.of(arm, SIZES.of(arm), model.stored())
    with torch.no_grad():
        hidden = model.hidden_states(ids)
        torch.testing.assert_close(again.hidden_states(ids), hidden, atol=0, rtol=0)
        torch.testing.assert_close(again.head.scores(hidden), model.head.scores(hidden), atol=0, rtol=0)
    assert not any("latent" in name for name in model.stored())


@EVERY
def test_the_code_that_is_counted_puts_the_head_together(arm: Arm) -> None:
    model, source = settled(arm), structure_source(arm)
    if arm.kind is Kind.DENSE:
        assert not source
        return
    namespace: dict[str, object] = {}
    exec(compile(source, "<structure>", "exec"), namespace)  # noqa: S102  (the study's own)
    make = namespace["head"]
    assert callable(make)
    found = make(model.stored(), 96, 48)
    if isinstance(model.head, TwoLevel):
        wanted: tuple[Tensor, ...] = (model.head.class_of, model.head.member_of)
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
    else:
        np.testing.assert_allclose(np.asarray(found), model.head.rows().detach(), rtol=1e-6)


def test_a_token_moves_to_the_code_that_its_latent_row_is_nearest_to_and_no_code_is_empty() -> None:
    head = settled(BY_NAME["vq-explicit"]).head
    assert isinstance(head, SharedRows)
    own = head.codes < head.explicit
    assert sorted(head.codes[own].tolist()) == list(range(12))
    token = int(torch.nonzero(~own)[0])
    with torch.no_grad():
        head.latent.copy_(head.codebook[head.codes])
        assert head.reassign() == 0
        other = int(head.codes[torch.nonzero(~own)[-1]])
        head.latent[token] = head.codebook[other]
    assert head.reassign() >= 1
    assert int(head.codes[token]) == other
    assert head.codes.bincount(minlength=24).min() > 0


def test_rounding_is_seen_inside_and_leaves_weights_as_they_were() -> None:
    model = settled(BY_NAME["vq-2"])
    assert isinstance(model.head, SharedRows)
    before = model.head.codebook.detach().clone()
    with rounded(model):
        levels = model.head.codebook.detach()[0] / before[0].std().half()
        assert len(levels.unique()) < 16
        model.loss(torch.randint(0, 96, (2, 9))).backward()
    torch.testing.assert_close(model.head.codebook.detach(), before, atol=0, rtol=0)
    assert model.head.codebook.grad is not None


def test_data_order_depends_on_the_seed_alone() -> None:
    schedule, tokens = SMOKE["512"].schedule, torch.arange(5000)
    first, second, other = (
        torch.stack(list(batches(tokens, schedule, seed))) for seed in (1, 1, 2)
    )  # fmt: skip
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_the_trunk_starts_alike_under_every_head() -> None:
    every = [initial(arm, SIZES, torch.ones(96), 3).trunk for arm in ARMS if arm.width == (1, 1)]
    weights = [trunk.get_parameter("blocks.0.attn.c_q.weight") for trunk in every]
    assert all(torch.equal(weights[0], weight) for weight in weights)


def test_the_study_has_each_arm_at_both_vocabularies_and_seeds_of_those_that_matter() -> None:
    every = runs()
    assert len(every) == len({run.name for run in every})
    for scale in ("1024", "8192"):
        assert {run.arm.name for run in every if run.scale == scale and run.seed == 1} == set(BY_NAME)
        assert len([run for run in every if run.scale == scale and run.seed == 2]) == 3
    assert every[-1].scale == "reference"


@pytest.mark.slow
def test_the_whole_pipeline_runs_on_tiny_models_and_goes_on_where_it_was(tmp_path: Path) -> None:
    arguments = ["--out", str(tmp_path), "--smoke"]
    main([*arguments, "--only", "dense-tied"])
    first = StudyRun(scale="512", arm=BY_NAME["dense-tied"], seed=1, smoke=True)
    stamp = checkpoint_path(tmp_path, first).stat().st_mtime_ns
    main(arguments)
    assert checkpoint_path(tmp_path, first).stat().st_mtime_ns == stamp
    results = load(tmp_path / "results")
    assert {result.arm for result in results} == {run.arm.name for run in runs(smoke=True)}
    for result in results:
        (file,) = result.files
        assert file.counted_bytes <= file.budget
        assert sum(file.nats) > 0
        assert (result.ties is None) == (result.kind != "vq")
        if result.ties is not None:
            assert result.ties.information is not None
            assert result.nats_per_token >= result.ties.floor
