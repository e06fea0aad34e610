"""Every scheme in whole files: counted bytes are the file's, what comes back is what was judged, biases included."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.command_line import Run
from support.small_model import VOCABULARY, files, state
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget import schemes
from golfbudget.artifact import open_bytes
from golfbudget.errors import CorruptError, LimitError, UsageError
from golfbudget.evidence import Evidence
from golfbudget.ledger import Role
from golfbudget.plan.building import baseline_file, build, scheme_of
from golfbudget.plan.candidates import ALL, INPUT_SCHEMES, REPACK, candidates
from golfbudget.plan.grids import HEAD, TRUNK
from golfbudget.plan.plan_json import plan_json
from golfbudget.plan.prepare import Prepared, prepare
from golfbudget.plan.request import PlanRequest
from golfbudget.plan.results import Plan
from golfbudget.plan.rewrite import write_candidate
from golfbudget.plan.run import plan_of
from golfbudget.plan.source import PlanSource
from golfbudget.plan.trials import Side
from golfbudget.quality.baseline_model import BaselineModel
from golfbudget.quality.evaluate import input_covariances
from golfbudget.quality.text import load_text
from golfbudget.recipe.artifacts import read_export
from golfbudget.recipe.decoded import decoded, read_back, read_file
from golfbudget.roles import assign, load_roles


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A small model of the baseline's architecture, planned with every scheme."""

    folder: Path
    prepared: Prepared
    plan: Plan

    @property
    def source(self) -> PlanSource:
        return self.prepared.source


def prepared(folder: Path, *, tied: bool = True, **more: object) -> Prepared:
    named = files(folder, tied=tied)
    choices = {
        "path": named["path"],
        "recipe": str(named["recipe"]),
        "model": "builtin:baseline",
        "tokens": named["tokens"],
        "calibration": named["calibration"],
        "cap": 16_000_000,
        "schemes": (ALL,),
        "fits": False,
    }
    return prepare(PlanRequest(**choices | more))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Planned:
    folder = tmp_path_factory.mktemp("planned")
    opened = prepared(folder)
    # The text gives token counts and moments; running it for every candidate takes longer than all the rest.
    opened = replace(opened, evaluator=None, request=replace(opened.request, model=None))
    plan = plan_of(opened)
    (folder / "plan.json").write_text(json.dumps(plan_json(plan)), encoding="utf-8")
    return Planned(folder=folder, prepared=opened, plan=plan)


@pytest.mark.slow
def test_every_scheme_has_candidates_on_the_sides_it_is_for(planned: Planned) -> None:
    tried = Counter((t.candidate.scheme, t.candidate.side) for t in planned.plan.trials)
    ours = set(schemes.registered())
    assert {scheme for scheme, _ in tried} == ours | {REPACK}
    assert set(HEAD) | set(TRUNK) == ours
    assert {scheme for scheme, side in tried if side is Side.HEAD} == set(HEAD)
    assert {scheme for scheme, side in tried if side is Side.TRUNK} == set(TRUNK)
    names = [t.candidate.name for t in planned.plan.trials]
    assert len(set(names)) == len(names)
    assert not planned.plan.notes or not any("left out" in note for note in planned.plan.notes)


@pytest.mark.slow
def test_a_tied_model_says_what_becomes_of_its_input_table(planned: Planned) -> None:
    heads = [t.candidate for t in planned.plan.trials if t.candidate.side is Side.HEAD]
    assert {c.input_side for c in heads} == {"shared", "dense", *INPUT_SCHEMES}
    assert {c.scheme for c in heads if c.input_side == "dense"} == set(HEAD) - {"scalar"}
    for candidate in heads:
        if candidate.input_side in INPUT_SCHEMES:
            assert candidate.owners == ("lm_head.weight", "tok_emb.weight")
            assert candidate.input_options or candidate.input_side == "binary-codes"
        else:
            assert candidate.owners == (
                ("tok_emb.weight",) if candidate.input_side == "shared" else ("lm_head.weight",)
            )


@pytest.mark.slow
def test_parts_of_the_trunk_are_tried_by_themselves(planned: Planned) -> None:
    by_name = {t.candidate.name: t.candidate for t in planned.plan.trials}
    attention, mlp, trunk = (by_name[f"{part}-int5"].owners for part in ("attention", "mlp", "trunk"))
    assert set(attention) | set(mlp) == set(trunk)
    assert not set(attention) & set(mlp)
    assert all(".attn." in name for name in attention)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", sorted({*HEAD, *TRUNK}))
def test_what_comes_out_of_the_file_is_what_the_scheme_decodes(planned: Planned, scheme: str) -> None:
    """Every candidate of the scheme: counted length, digest, matrices, biases, and who owns the bytes."""
    source, known = planned.source, planned.prepared.encoders
    trials = [t for t in planned.plan.trials if t.candidate.scheme == scheme]
    assert trials
    base = read_file(baseline_file(source), "baseline")
    for trial in trials:
        candidate = trial.candidate
        data = build(source, candidate, known).data
        assert len(data) == trial.artifact_bytes
        assert hashlib.sha256(data).hexdigest() == trial.sha256
        back = read_back(data, candidate.name)
        # With the baseline at hand only what is stored otherwise is decoded, and nothing else comes out.
        like = read_back(data, candidate.name, base)
        assert like.tensors().keys() == back.tensors().keys()
        assert all(torch.equal(tensor, like.tensors()[name]) for name, tensor in back.tensors().items())
        left = source.reference.keys() - {source.head, *candidate.owners}
        assert all(like.state[name] is base.decoded.state[name] for name in left)
        for owner in candidate.owners:
            name, options = scheme_of(source, candidate, owner)
            used = schemes.get(name)
            encoded = used.encode(source.matrix(owner), options, known.context(owner, candidate.side))
            assert torch.equal(back.state[owner], used.decode(encoded)), (candidate.name, owner)
            bias = used.bias(encoded)
            assert (bias is None) == (owner not in back.biases)
            assert bias is None or torch.equal(back.biases[owner], bias)
            tables = {table.name: table.raw_bytes for table in trial.tables if table.owner == owner}
            assert tables == {table.name: table.raw_bytes for table in encoded.tables}
        artifact = open_bytes(data, name=candidate.name)
        ledger = assign(artifact, load_roles()).ledger
        owned = {entry.owner for entry in ledger.entries if entry.role in (Role.HEAD, Role.TRUNK, Role.EMBEDDING)}
        assert set(candidate.owners) <= owned
        # A codebook stays one, whatever scales stand beside it.
        accounts = {entry.tensor: str(entry.account) for entry in ledger.entries if entry.tensor is not None}
        for table in trial.tables:
            name = f"schemes/{table.owner}/{table.name}"
            assert accounts.get(name, table.account) == table.account, name
        assert not [entry for entry in ledger.entries if entry.role is Role.UNASSIGNED]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", sorted({*HEAD, *TRUNK, REPACK}))
def test_pack_writes_the_counted_file_and_unpack_reads_it(planned: Planned, scheme: str) -> None:
    trial = next(t for t in planned.plan.trials if t.candidate.scheme == scheme)
    data = write_candidate(planned.folder / "plan.json", trial.candidate.name)
    assert len(data) == trial.artifact_bytes
    assert hashlib.sha256(data).hexdigest() == trial.sha256
    assert read_back(data, "packed").tensors().keys() >= planned.source.reference.keys()


@pytest.mark.slow
def test_replaced_input_tables_are_packed_too(planned: Planned) -> None:
    for side in INPUT_SCHEMES:
        trial = next(t for t in planned.plan.trials if t.candidate.input_side == side)
        data = write_candidate(planned.folder / "plan.json", trial.candidate.name)
        assert hashlib.sha256(data).hexdigest() == trial.sha256


@pytest.mark.slow
def test_a_bias_is_part_of_what_is_measured(tmp_path: Path) -> None:
    """Against a forward pass and cross-entropy of torch's own, with the bias added to the logits."""
    opened = prepared(tmp_path, schemes=("vq-logits-bias",))
    source, plan = opened.source, plan_of(opened)
    heads = [trial for trial in plan.trials if trial.candidate.side is Side.HEAD]
    assert {trial.candidate.input_side for trial in heads} == {"shared", "dense"}
    measured = [trial for trial in heads if trial.quality.evidence is Evidence.MEASURED]
    assert measured
    text = load_text(tmp_path / "tokens.safetensors")
    windows = text.windows

    def nats(found: dict[str, Tensor], bias: Tensor | float) -> Tensor:
        head = found.pop("lm_head.weight", found["tok_emb.weight"])
        model = BaselineModel.from_state(found)
        hidden = model.hidden_states(windows[:, :-1])
        logits = 30 * torch.tanh(hidden @ head.T / 30) + bias
        return F.cross_entropy(logits.double().flatten(0, 1), windows[:, 1:].flatten(), reduction="sum")

    # The counts are those of the text itself, which flatters a bias: that is said.
    # Counts are those of the calibration text, which measures nothing.
    assert not any("counts are those of the evaluation text" in note for note in plan.notes)
    assert plan.evaluation is not None
    base = plan.evaluation.baseline_bits_per_byte
    with torch.inference_mode():
        for trial in measured:
            back = read_back(build(source, trial.candidate, opened.encoders).data, "x")
            (bias,) = back.biases.values()
            bits = [float(nats(dict(back.state), b)) / 0.6931471805599453 / text.bytes for b in (bias, 0.0)]
            assert trial.quality.delta is not None
            assert trial.quality.delta == pytest.approx(bits[0] - base, abs=2e-5)
            # Tokens are drawn by a law of their own here, which the weights do not know, nor what is fitted to them.
            assert trial.candidate.options.get("codebook") == "fitted" or bits[0] < bits[1]


def test_a_bias_is_not_passed_by_a_rule_about_matrices(tmp_path: Path) -> None:
    """K = V keeps every row: only the bias differs, and without a model nobody knows what that costs."""
    plan = plan_of(prepared(tmp_path, model=None, calibration=None, schemes=("vq-logits-bias",)))
    assert plan.trials
    assert all(t.quality.evidence is Evidence.MODELLED for t in plan.trials)


@pytest.mark.slow
def test_unpack_gives_the_bias_beside_its_matrix(planned: Planned, golfbudget: Run) -> None:
    trial = next(t for t in planned.plan.trials if t.candidate.scheme == "vq-logits-bias")
    packed, out = planned.folder / "bias.ptz", planned.folder / "bias.safetensors"
    packed.write_bytes(build(planned.source, trial.candidate, planned.prepared.encoders).data)
    done = golfbudget("unpack", packed, "-o", out, "-q")
    assert (done.returncode, done.stderr) == (0, "")
    loaded = load_file(out)
    (owner,) = trial.candidate.owners
    assert loaded.keys() == {*planned.source.reference, owner, f"{owner.removesuffix('.weight')}.bias"}
    assert loaded[f"{owner.removesuffix('.weight')}.bias"].shape == (VOCABULARY,)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["vq-logits-bias", "hashed", "product", "lqer", "ternary-bitmask", "tiers", "bands"])
def test_tables_that_lie_are_refused_in_words(planned: Planned, scheme: str) -> None:
    """Any table cut short, of another type or gone, and a shape beyond reason."""
    trial = next(t for t in planned.plan.trials if t.candidate.scheme == scheme)
    data = build(planned.source, trial.candidate, planned.prepared.encoders).data
    export = read_export(open_bytes(data, name="lying"))
    ((owner, encoded), *_) = export.schemes.items()
    messages: list[str] = []
    for number, table in enumerate(encoded.tables):
        rest = [other for other in encoded.tables if other is not table]
        lies = [rest, [*rest, replace(table, tensor=table.tensor.flatten()[:1])]]
        lies += [[*rest, replace(table, tensor=table.tensor.to(torch.int64) * 10**6)]]
        for tables in lies:
            lying = replace(export, schemes={owner: replace(encoded, tables=tuple(tables))})
            try:
                found = decoded(lying, "lying")
            except CorruptError as error:
                messages.append(str(error))
            else:
                assert found.state[owner].shape == encoded.shape, number
    assert messages
    assert all(message.startswith("lying: its encoded matrices") for message in messages)
    huge = replace(export, schemes={owner: replace(encoded, shape=(1 << 40, 1 << 40))})
    with pytest.raises(LimitError, match="more than 1,073,741,824 bytes decoded"):
        decoded(huge, "lying")


def test_what_a_scheme_needs_and_has_not_is_noted(tmp_path: Path) -> None:
    opened = prepared(tmp_path, model=None, tokens=None, calibration=None)
    tried = candidates(opened.source, opened.request.schemes, opened.encoders.needs_met)
    notes = [note for note in tried.notes if note.startswith("left out")]
    assert len(notes) == 2
    assert any("token counts" in note and note.endswith(": class-steps, vq-logits-bias") for note in notes)
    ways = ("information-fitted", "fitted")
    told = ", ".join(f"vq-logits-{kind} {way}" for kind in ("int", "explicit") for way in ways)
    assert any("calibration" in note and note.endswith(f": gptq, trellis-gptq, {told}") for note in notes)
    assert not {c.scheme for c in tried.candidates} & {"class-steps", "vq-logits-bias", "gptq"}
    opened = replace(opened, request=replace(opened.request, schemes=("class-steps", "ternary")))
    (note,) = [n for n in plan_of(opened).notes if n.startswith("left out")]
    assert note.endswith(": class-steps")


def test_an_untied_head_is_replaced_by_every_scheme(tmp_path: Path) -> None:
    source = prepared(tmp_path, tied=False).source
    heads = [c for c in candidates(source, (ALL,), ("counts", "moment")).candidates if c.side is Side.HEAD]
    assert {c.scheme for c in heads} == set(HEAD)
    assert {(c.owners, c.input_side) for c in heads} == {(("lm_head.weight",), None)}


@pytest.mark.slow
def test_the_default_is_few_and_named_lists_add_up(planned: Planned) -> None:
    source = planned.source
    default = candidates(source, None, ("counts",)).candidates
    assert len(default) < 40
    assert candidates(source, ("default",), ("counts",)).candidates == default
    more = candidates(source, ("default", "lqer"), ("counts",)).candidates
    assert more[: len(default)] == default
    assert {c.scheme for c in more[len(default) :]} == {"lqer"}


@pytest.mark.slow
def test_where_losses_are_measured_scalars_are_rounded_in_more_ways(planned: Planned) -> None:
    """By error alone the fitted scale always wins, so without a model no other is tried."""
    source = planned.source
    plain, more = candidates(source, ("scalar",)).candidates, candidates(source, ("scalar",), measured=True).candidates
    assert more[: len(plain)] == plain
    added = {candidate.name for candidate in more[len(plain) :]}
    kinds = ("int6-maximum", "int5-rd0.1")
    assert added == {f"{side}-{kind}" for side in ("head", "trunk") for kind in kinds}
    assert candidates(source, ("vq-logits",), measured=True) == candidates(source, ("vq-logits",))


@pytest.mark.slow
def test_calibration_needs_a_model_and_gives_true_moments(planned: Planned, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--calibration .* needs --model"):
        prepared(tmp_path, model=None)
    text = load_text(planned.folder / "calibration.safetensors")
    moments = input_covariances(state(), text)
    model = BaselineModel.from_state(state())
    with torch.inference_mode():
        hidden = model.hidden_states(text.windows[:, :-1]).flatten(0, 1).double()
    expected = sum(torch.outer(row, row) for row in hidden) / len(hidden)
    assert isinstance(expected, Tensor)
    assert torch.allclose(moments["tok_emb.weight"], expected, rtol=1e-5, atol=1e-7)
    linear = {name for name, tensor in state().items() if tensor.ndim == 2 and (".attn." in name or ".mlp." in name)}
    assert set(moments) == linear | {"tok_emb.weight", "lm_head.weight"}
    assert moments["blocks.0.mlp.proj.weight"].shape == (64, 64)
