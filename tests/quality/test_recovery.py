"""`plan --recover`: short training of the best candidates, the fair control, ties kept, and the same bytes again."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.command_line import Run
from support.models import save
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget import schemes
from golfbudget.artifact import open_bytes
from golfbudget.certificates import tie_floor_nats
from golfbudget.errors import GolfbudgetError, ModelError
from golfbudget.plan.building import build
from golfbudget.plan.candidates import again, candidates
from golfbudget.plan.grids import HEAD, grid
from golfbudget.plan.plan_json import plan_json
from golfbudget.plan.prepare import prepare
from golfbudget.plan.request import PlanRequest
from golfbudget.plan.results import Answer, Plan, VqAnswer
from golfbudget.plan.rewrite import write_candidate
from golfbudget.plan.run import make_plan
from golfbudget.plan.trials import Side
from golfbudget.plan.verdict import told, unrecovered
from golfbudget.quality.baseline_model import BaselineModel, Shape
from golfbudget.quality.rates import PEAKS, Rates, best_rates, share_of_peak
from golfbudget.quality.recovery import Training, recover
from golfbudget.quality.remap import codes_of
from golfbudget.quality.text import Text, load_text, predicted_counts
from golfbudget.recipe.artifacts import artifact_bytes, read_export
from golfbudget.recipe.config import load_recipe
from golfbudget.recipe.export import Export, decode, quantise
from golfbudget.schemes import Context, values
from golfbudget.schemes.threads import one_thread

VOCABULARY, WINDOW, STEPS, TOKENS_A_STEP = 64, 32, 12, 1024
HEAD_NAME = "tok_emb.weight"
SHAPE = Shape(vocab=VOCABULARY, width=32, blocks=2, heads=2, kv_heads=1, hidden=136)


def chain(seed: int, length: int = 6000) -> Tensor:
    """A text in which each token has three followers, one of them likely: the same table for every seed."""
    followers = torch.randint(0, VOCABULARY, (VOCABULARY, 3), generator=torch.Generator().manual_seed(1)).tolist()
    picks = torch.multinomial(
        torch.tensor([0.7, 0.2, 0.1]), length, replacement=True, generator=torch.Generator().manual_seed(seed)
    ).tolist()
    found = [0]
    for pick in picks:
        found.append(followers[found[-1]][pick] if len(found) % 7 else (found[-1] * 5 + pick) % VOCABULARY)
    return torch.tensor(found, dtype=torch.int32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small trained model, and two texts of one language."""
    folder = tmp_path_factory.mktemp("recovery")
    for name, seed, length in (("train", 2, 6000), ("test", 3, 2000)):
        tensors = {"tokens": chain(seed, length), "token_bytes": torch.full((VOCABULARY,), 3, dtype=torch.uint8)}
        save_file(tensors, folder / f"{name}.safetensors", {"window": str(WINDOW)})
    windows = load_text(folder / "train.safetensors").windows
    torch.manual_seed(0)
    model = BaselineModel(SHAPE)
    torch.nn.init.normal_(model.tok_emb.weight, std=0.2)
    adam = torch.optim.Adam(model.parameters(), lr=5e-3)
    generator = torch.Generator().manual_seed(4)
    for _ in range(80):
        drawn = windows[torch.randint(0, len(windows), (32,), generator=generator)]
        loss = F.cross_entropy(model(drawn[:, :-1]).flatten(0, 1), drawn[:, 1:].flatten())
        adam.zero_grad()
        loss.backward()
        adam.step()
    save(folder, {name: tensor.detach() for name, tensor in model.state_dict().items()})
    return folder


@pytest.fixture(scope="module", autouse=True)
def _small_steps() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("golfbudget.quality.recovery.TOKENS_A_STEP", TOKENS_A_STEP)
        yield


@pytest.fixture(scope="module")
def state(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def training(folder: Path) -> Training:
    return Training(text=load_text(folder / "train.safetensors"))


@pytest.fixture(scope="module")
def text(folder: Path) -> Text:
    return load_text(folder / "test.safetensors")


def exported(state: Mapping[str, Tensor], scheme: str | None = None, **options: float | str) -> Export:
    export = quantise(state, load_recipe("int8-zlib-small"))
    if scheme is None:
        return export
    context = Context(counts=torch.arange(VOCABULARY) ** 2)
    encoded = schemes.get(scheme).encode(state[HEAD_NAME], options, context)
    return export.with_encoded(HEAD_NAME, encoded, "float32")


def nats(export: Export, text: Text) -> float:
    bias = next((schemes.get(e.scheme).bias(e) for e in export.schemes.values()), None)
    module = BaselineModel.from_state(decode(export))
    with one_thread(), torch.inference_mode():
        logits = module(text.windows[:, :-1])
        logits = logits if bias is None else logits + bias
        return float(F.cross_entropy(logits.flatten(0, 1), text.windows[:, 1:].flatten()))


def table(export: Export, name: str) -> Tensor:
    return export.schemes[HEAD_NAME].tensor(name)


# The training itself


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheme", "options"),
    [
        ("vq-logits", {"codes": 16}),
        ("vq-logits-int", {"codes": 16, "bits": 6}),
        ("vq-logits-bias", {"codes": 16, "bits": 8, "bias_bits": 16}),
        ("vq-logits-explicit", {"codes": 8, "explicit": 8}),
        ("vq-logits-residual", {"codes": 8, "rank": 4}),
    ],
)
def test_recovery_lowers_the_loss_of_a_vq_head_and_keeps_its_codes(
    state: dict[str, Tensor], training: Training, text: Text, scheme: str, options: dict[str, int]
) -> None:
    before = exported(state, scheme, **options)
    after = recover(before, state, training, STEPS)
    assert nats(after, text) < nats(before, text) - 0.01
    assert table(after, "codebook").shape == table(before, "codebook").shape
    assert not torch.equal(table(after, "codebook"), table(before, "codebook"))
    if scheme in ("vq-logits-explicit", "vq-logits-residual"):
        assert torch.equal(table(after, "map"), table(before, "map"))
    else:
        assert codes_of(after.schemes[HEAD_NAME]).unique().tolist() == list(range(options["codes"]))
    if scheme == "vq-logits-bias":
        assert not torch.equal(table(after, "bias"), table(before, "bias"))


@pytest.mark.slow
def test_a_model_that_loses_no_finite_number_is_refused(state: dict[str, Tensor], training: Training) -> None:
    broken = {**state, "blocks.0.attn.q_gain": state["blocks.0.attn.q_gain"] * torch.nan}
    with pytest.raises(ModelError, match="not finite before the first step"):
        recover(exported(broken), broken, training, 1)


@pytest.mark.slow
def test_tied_rows_stay_tied_and_the_floor_holds(state: dict[str, Tensor], training: Training, text: Text) -> None:
    before = exported(state, "vq-logits", codes=16)
    after = recover(before, state, training, STEPS)
    codes = codes_of(after.schemes[HEAD_NAME])
    head = decode(after)[HEAD_NAME]
    for code in range(16):
        rows = head[codes == code]
        assert torch.equal(rows, rows[:1].expand_as(rows))
    floor = tie_floor_nats(predicted_counts(text, VOCABULARY), codes.numpy())
    assert 0 < floor <= nats(after, text)


def test_a_codebook_moves_as_adam_on_the_codebook_itself_would(
    monkeypatch: pytest.MonkeyPatch, state: dict[str, Tensor], training: Training
) -> None:
    """An oracle: the published form, in which the codebook is the parameter and rows are looked up in it."""
    peak = 0.05
    monkeypatch.setattr("golfbudget.quality.recovery.best_rates", lambda *_, **__: Rates(own=peak, rest=0.0))
    monkeypatch.setattr("golfbudget.quality.recovery.DISTILLED", 0.0)
    # The first look is before the step, the next after it: what the step does counts here, not whether it is kept.
    looks = iter((1.0, 0.0))
    monkeypatch.setattr("golfbudget.quality.recovery._Learner.lost", lambda *_: next(looks))
    export = exported(state, "vq-logits", codes=16)
    scheme, encoded = schemes.get("vq-logits"), export.schemes[HEAD_NAME]
    module = BaselineModel.from_state(decode(export))
    codes = scheme.decode(encoded).unique(dim=0, return_inverse=True)[1]
    codebook = torch.stack([scheme.decode(encoded)[codes == code][0] for code in range(16)]).requires_grad_()
    (windows,) = training.batches(1)
    logits = torch.func.functional_call(module, {HEAD_NAME: codebook[codes]}, (windows[:, :-1],))
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten()), codebook)
    expected = codebook.detach() - peak * gradient.sign()
    found = decode(recover(export, state, training, 1, {HEAD_NAME}))[HEAD_NAME]
    # Adam's first step is the rate in the gradient's direction, wherever that is not next to nothing.
    clear = gradient.abs() > 1e-5
    assert int(clear.sum()) > 400
    for code in range(16):
        gap = (found[codes == code][0] - expected[code]).abs()[clear[code]]
        # The step of fp16 under 1 is 2^-11, and rounding happens before and after.
        assert float(gap.max()) < 0.05 * peak + 2**-11 * max(1.0, float(expected[code].abs().max()))


@pytest.mark.parametrize("scheme", [None, "scalar", "ternary-packed", "gptq", "tiers", "vq-logits", "product"])
def test_no_step_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, state: dict[str, Tensor], training: Training, scheme: str | None
) -> None:
    """At a rate of zero the file stays as it is: latent values begin where it is."""
    monkeypatch.setattr("golfbudget.quality.recovery.best_rates", lambda *_, **__: Rates(own=0.0, rest=0.0))
    own: dict[str, dict[str, int | float | str]] = {
        "scalar": {"bits": 4},
        "gptq": {"bits": 4, "clip": 3.0},
        "tiers": {"tiers": "8x8,4"},
        "vq-logits": {"codes": 8},
        "product": {"groups": 4, "codes": 16, "bits": 8},
    }
    if scheme == "gptq":
        moment = torch.randn(64, 32, generator=torch.Generator().manual_seed(5)).double()
        encoded = schemes.get(scheme).encode(state[HEAD_NAME], own[scheme], Context(covariance=moment.T @ moment))
        before = exported(state).with_encoded(HEAD_NAME, encoded, "float32")
    else:
        before = exported(state, scheme, **own.get(scheme or "", {}))
    after = recover(before, state, training, 1)
    recipe = load_recipe("int8-zlib-small")
    assert artifact_bytes(after, recipe) == artifact_bytes(before, recipe)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(state: dict[str, Tensor], training: Training) -> None:
    recipe, before = load_recipe("int8-zlib-small"), exported(state, "vq-logits", codes=16)
    files = [
        artifact_bytes(recover(before, state, dataclasses.replace(training, seed=seed), 4), recipe)
        for seed in (0, 0, 1)
    ]
    assert files[0] == files[1] != files[2]


def test_integers_stay_in_the_range_they_show(state: dict[str, Tensor], training: Training) -> None:
    before = exported(state, "scalar", bits=3)
    after = recover(before, state, training, STEPS)
    values = after.quantized[HEAD_NAME]
    assert not torch.equal(values, before.quantized[HEAD_NAME])
    assert set(values.unique().tolist()) <= set(range(-3, 4))
    assert all(torch.equal(scales, before.scales[name]) for name, scales in after.scales.items())


def test_tables_that_cannot_move_stay(state: dict[str, Tensor], training: Training) -> None:
    before = exported(state, "product", groups=4, codes=16, bits=8)
    after = recover(before, state, training, 2)
    assert after.schemes == before.schemes
    assert not torch.equal(decode(after)["blocks.0.mlp.fc.weight"], decode(before)["blocks.0.mlp.fc.weight"])


def test_refit_to_what_tables_decode_to_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(6)
    matrix = torch.randn(96, 24, generator=generator)
    context = Context(counts=torch.arange(96), covariance=torch.eye(24).double())
    moving = set()
    for name, scheme in schemes.registered().items():
        for options in grid(HEAD, scheme, 96, 24)[:2]:
            encoded = scheme.encode(matrix, options, context)
            moved = scheme.refit(encoded, scheme.decode(encoded), scheme.bias(encoded))
            if moved is not None:
                moving.add(name)
                for table, same in zip(encoded.tables, moved.tables, strict=True):
                    assert (table.name, table.bits, table.shape) == (same.name, same.bits, same.shape)
                    assert torch.equal(table.tensor, same.tensor), (name, options, table.name)
    assert {"vq-logits", "vq-logits-explicit", "tiers", "scalar", "grouped-scalar", "ternary-packed"} <= moving


def test_batches_take_all_that_is_learnt_before_any_of_it_again(training: Training) -> None:
    windows = training.learnt
    drawn = torch.cat(list(training.batches(6)))
    assert len(drawn) == 6 * (TOKENS_A_STEP // WINDOW)
    order = [next(i for i, w in enumerate(windows) if torch.equal(w, d)) for d in drawn]
    assert sorted(order[: len(windows)]) == list(range(len(windows)))


@pytest.mark.parametrize("windows", [2, 3, 9, 40, 187])
def test_what_is_held_out_is_spread_over_the_text_and_never_learnt(training: Training, windows: int) -> None:
    part = Training(text=training.text.first(windows))
    learnt, held = ({tuple(window.tolist()) for window in part} for part in (part.learnt, part.held))
    assert len(part.learnt) + len(part.held) == windows
    assert not learnt & held
    assert len(part.held) == max(1, windows // 5)
    at = [i for i, window in enumerate(part.text.windows) if tuple(window.tolist()) in held]
    runs = sum(i - 1 not in at for i in at)
    assert runs == min(8, len(at))
    assert at[-1] >= windows * (runs - 1) // runs


def held_nats(export: Export, training: Training) -> float:
    return nats(export, dataclasses.replace(training.text, windows=training.held))


@pytest.mark.parametrize("scheme", [None, "vq-logits-bias"])
def test_a_training_that_only_harms_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, state: dict[str, Tensor], training: Training, scheme: str | None
) -> None:
    monkeypatch.setattr("golfbudget.quality.recovery.best_rates", lambda *_, **__: Rates(own=3.0, rest=3.0))
    before = exported(state) if scheme is None else exported(state, scheme, codes=16)
    recipe = load_recipe("int8-zlib-small")
    after = recover(before, state, training, 8, {HEAD_NAME})
    assert artifact_bytes(after, recipe) == artifact_bytes(before, recipe)


def test_what_is_kept_is_the_best_on_the_held_out_text(state: dict[str, Tensor], training: Training) -> None:
    for before in (exported(state), exported(state, "vq-logits-bias", codes=16)):
        after = recover(before, state, training, 2, {HEAD_NAME})
        assert held_nats(after, training) <= held_nats(before, training)


@pytest.mark.slow
def test_a_spoiled_map_is_mended_on_the_way(
    monkeypatch: pytest.MonkeyPatch, state: dict[str, Tensor], training: Training, text: Text
) -> None:
    good = exported(state, "vq-logits-bias", codes=32)
    encoded = good.schemes[HEAD_NAME]
    codes = codes_of(encoded)
    spoiled = codes.clone()
    spoiled[:8] = codes[:8].roll(1)
    spoiled = torch.where(spoiled.bincount(minlength=32)[codes] == 0, codes, spoiled)
    wrong = spoiled != codes
    assert int(wrong.sum()) >= 4
    table = values.map_table("map", spoiled, 32)
    before = good.with_encoded(HEAD_NAME, encoded.with_tables(table), "float32")
    after = recover(before, state, training, STEPS, {HEAD_NAME})
    mended = codes_of(after.schemes[HEAD_NAME])
    assert mended.unique().tolist() == list(range(32))
    assert bool((mended != spoiled)[wrong].any())
    monkeypatch.setattr("golfbudget.quality.recovery._Learner.remapped", lambda _, weights, __: weights)
    as_it_is = recover(before, state, training, STEPS, {HEAD_NAME})
    assert torch.equal(codes_of(as_it_is.schemes[HEAD_NAME]), spoiled)
    assert nats(after, text) < nats(as_it_is, text)


@pytest.mark.slow
def test_care_is_better_than_one_rate_on_the_text_alone(
    monkeypatch: pytest.MonkeyPatch, state: dict[str, Tensor], training: Training, text: Text
) -> None:
    """What a training was before: a peak of 3e-4 for everything, the text's surprise only, the map as it is."""
    with_care = {}
    for scheme in ("scalar", "vq-logits-bias"):
        own: dict[str, int] = {"bits": 3} if scheme == "scalar" else {"codes": 16}
        with_care[scheme] = nats(recover(exported(state, scheme, **own), state, training, 16, {HEAD_NAME}), text)
    monkeypatch.setattr("golfbudget.quality.recovery.best_rates", lambda *_, **__: Rates(own=3e-4, rest=3e-4))
    monkeypatch.setattr("golfbudget.quality.recovery.DISTILLED", 0.0)
    monkeypatch.setattr("golfbudget.quality.recovery._Learner.remapped", lambda _, weights, __: weights)
    for scheme, least in (("scalar", 0.005), ("vq-logits-bias", 0.05)):
        own = {"bits": 3} if scheme == "scalar" else {"codes": 16}
        plain = nats(recover(exported(state, scheme, **own), state, training, 16, {HEAD_NAME}), text)
        assert with_care[scheme] < plain - least


def test_the_rate_rises_and_falls() -> None:
    rates = [share_of_peak(step, 100) for step in range(100)]
    assert rates.index(max(rates)) == 9
    assert max(rates) == pytest.approx(1)
    assert rates[:10] == sorted(rates[:10])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert 0 < rates[-1] < 0.02
    assert share_of_peak(0, 1) == 1


@pytest.mark.parametrize("own", PEAKS)
@pytest.mark.parametrize("rest", [PEAKS[0], PEAKS[3], PEAKS[-1]])
def test_the_walk_finds_the_best_rates_of_a_bowl(own: float, rest: float) -> None:
    tried = []

    def lost(rates: Rates) -> float:
        tried.append(rates)
        return abs(math.log(rates.own / own)) + abs(math.log(rates.rest / rest))

    assert best_rates(lost, own=True, coded=True) == Rates(own=own, rest=rest)
    assert len(tried) == len(set(tried))
    assert best_rates(lost, own=False, coded=False).rest == rest


# In a plan


def choices(folder: Path, **more: object) -> PlanRequest:
    given = {
        "path": folder / "model.safetensors",
        "recipe": "int8-zlib-small",
        "model": "builtin:baseline",
        "tokens": folder / "test.safetensors",
        "calibration": folder / "train.safetensors",
        "schemes": ("scalar", "vq-logits"),
        "cap": 16_000_000,
        "recover": STEPS,
    }
    return PlanRequest(**(given | more))  # type: ignore[arg-type]


def planned(folder: Path, **more: object) -> Plan:
    return make_plan(choices(folder, **more))


@pytest.fixture(scope="module")
def plan(folder: Path) -> Plan:
    return planned(folder)


@pytest.mark.slow
def test_every_side_gets_the_same_steps_and_so_does_the_baseline(plan: Plan) -> None:
    recovered = [trial.candidate for trial in plan.trials if trial.candidate.steps]
    assert {candidate.steps for candidate in recovered} == {STEPS}
    assert all(candidate.name.endswith(f"+recovered-{STEPS}") for candidate in recovered)
    kinds = {(candidate.side, candidate.is_vq) for candidate in recovered}
    assert kinds == {(Side.HEAD, True), (Side.HEAD, False), (Side.TRUNK, False), (Side.JOINT, False)}
    (control,) = [candidate for candidate in recovered if candidate.side is Side.JOINT]
    assert control.name == f"baseline+recovered-{STEPS}"
    saved = {entry["name"]: entry["steps"] for entry in plan_json(plan)["candidates"]}  # type: ignore[attr-defined]
    assert saved == {trial.candidate.name: trial.candidate.steps for trial in plan.trials}
    lines = [reason for reason in plan.verdict.reasons if reason.startswith("recovered: ")]
    assert len(lines) == len(recovered)
    assert "no merit of any scheme" in lines[0]


@pytest.mark.slow
def test_prices_are_of_schemes_without_training(plan: Plan) -> None:
    assert plan.verdict.prices
    for exchange in plan.verdict.prices.values():
        trial = plan.trial(exchange.candidate)
        assert trial is not None
        assert trial.candidate.steps == 0


@pytest.mark.slow
def test_recovered_trials_are_judged_as_others_are(plan: Plan) -> None:
    vq = [trial for trial in plan.trials if trial.candidate.is_vq and trial.candidate.steps]
    assert vq
    for trial in vq:
        before = plan.trial(trial.candidate.name.removesuffix(f"+recovered-{STEPS}"))
        assert before is not None
        assert before.quality.delta is not None
        assert trial.quality.delta is not None
        assert trial.quality.delta < before.quality.delta
        assert trial.saved_bytes == plan.baseline.artifact.size - trial.counted_bytes


@pytest.mark.slow
def test_pack_trains_again_and_writes_the_counted_bytes(tmp_path: Path, plan: Plan) -> None:
    saved = tmp_path / "plan.json"
    saved.write_text(json.dumps(plan_json(plan)), encoding="utf-8")
    recovered = [trial for trial in plan.trials if trial.candidate.steps]
    for trial in (recovered[0], next(t for t in recovered if t.candidate.is_vq)):
        data = write_candidate(saved, trial.candidate.name)
        assert len(data) == trial.artifact_bytes
        read_export(open_bytes(data, name="again"))


@pytest.mark.slow
def test_what_is_trained_is_fitted_to_the_counts_that_are_given(tmp_path: Path, folder: Path) -> None:
    """They are of all of a training text, of which the calibration text is a part."""
    np.save(tmp_path / "counts.npy", np.arange(VOCABULARY) ** 2)
    asked = prepare(choices(folder, counts=tmp_path / "counts.npy"))
    found = candidates(asked.source, ("vq-logits",)).candidates
    trained = again(next(one for one in found if one.side is Side.HEAD), 1)
    own = prepare(choices(folder)).encoders
    given, ours, theirs = (
        build(asked.source, trained, encoders).data
        for encoders in (asked.encoders, dataclasses.replace(asked.encoders, counts_given=False), own)
    )
    assert given != ours == theirs


@pytest.mark.slow
def test_the_cache_knows_the_text_and_the_steps(tmp_path: Path, folder: Path, plan: Plan) -> None:
    cache = tmp_path / "cache"
    first = plan_json(planned(folder, cache=cache))
    assert first == plan_json(plan)
    assert plan_json(planned(folder, cache=cache)) == first
    tensors = {"tokens": chain(9), "token_bytes": torch.full((VOCABULARY,), 3, dtype=torch.uint8)}
    save_file(tensors, tmp_path / "other.safetensors", {"window": str(WINDOW)})
    other = planned(folder, cache=cache, calibration=tmp_path / "other.safetensors")
    for trial in other.trials:
        before = plan.trial(trial.candidate.name)
        # Heads are fitted to that text's counts and rounding by rate to its inputs, trained or not.
        same = trial.candidate.side is Side.TRUNK and "rd" not in trial.candidate.options
        if before is not None and (trial.candidate.steps or same):
            assert (trial.sha256 == before.sha256) is not bool(trial.candidate.steps)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"calibration": None}, "needs --calibration FILE: a text to train on"),
        ({"model": None, "calibration": None}, "needs --model builtin:baseline or builtin:example"),
        ({"calibration": "test.safetensors"}, "training on the text that losses are measured on measures nothing"),
        ({"recover": 0}, "expected steps of training, one or more"),
    ],
)
def test_refusals(folder: Path, more: dict[str, object], message: str) -> None:
    if more.get("calibration"):
        more = {"calibration": folder / str(more["calibration"])}
    with pytest.raises(GolfbudgetError, match=message):
        prepare(choices(folder, **more))


def test_the_same_text_in_another_file_is_refused_too(tmp_path: Path, folder: Path) -> None:
    tensors = {"tokens": chain(3)[:1600], "token_bytes": torch.full((VOCABULARY,), 2, dtype=torch.uint8)}
    save_file(tensors, tmp_path / "part.safetensors", {"window": str(WINDOW)})
    with pytest.raises(GolfbudgetError, match="measures nothing"):
        prepare(choices(folder, calibration=tmp_path / "part.safetensors"))


def test_the_command_refuses_with_two(folder: Path, golfbudget: Run) -> None:
    done = golfbudget("plan", str(folder / "model.safetensors"), "--recover", "5")
    assert done.returncode == 2
    assert "--recover 5 needs --model" in done.stderr


@pytest.mark.slow
def test_a_recovered_vq_head_wins_over_recovered_rivals_only(plan: Plan) -> None:
    vq = next(trial for trial in plan.trials if trial.candidate.is_vq and trial.candidate.steps)
    answer = VqAnswer(
        answer=Answer.YES, best=vq.candidate.name, control=None, margin_bytes=1, reason="so (as untrained: it is)"
    )
    assert unrecovered(plan.trials, answer) == []
    alone = plan.trials.where(lambda trial: not trial.candidate.steps or trial is vq)
    assert unrecovered(alone, answer) == ["recovered control", "recovered trunk candidate"]
    assert unrecovered(alone, dataclasses.replace(answer, best="head-vq16-shared")) == []
    untouched = dataclasses.replace(answer, best="head-vq16-shared")
    assert told(untouched, plan.trials) is untouched
