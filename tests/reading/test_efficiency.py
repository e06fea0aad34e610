"""What is left by coder, quantiser and container, against counts of our own and theory, and what is not known."""

from __future__ import annotations

import io
import json
import lzma
import math
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from numpy.typing import NDArray
from safetensors.torch import save_file
from support.models import random_matrix, save
from torch import Tensor

import golfbudget as gb
from golfbudget import example, schemes
from golfbudget.api.inspect import InspectResult
from golfbudget.efficiency.limits import conditional_bytes, row_limits
from golfbudget.efficiency.results import Efficiency, LeftIn, TensorEfficiency, left_in
from golfbudget.entropy import floor_bytes
from golfbudget.errors import UsageError
from golfbudget.evidence import Evidence
from golfbudget.inspection.report import InspectReport
from golfbudget.ledger import Account
from golfbudget.plan.building import build
from golfbudget.plan.left import left_of
from golfbudget.plan.plan_json import load_plan, plan_json
from golfbudget.plan.prepare import prepare
from golfbudget.plan.request import PlanRequest
from golfbudget.plan.run import make_plan
from golfbudget.plan.trials import Candidate, Side
from golfbudget.recipe.artifacts import artifact_bytes
from golfbudget.recipe.config import LayoutName, load_recipe
from golfbudget.recipe.decoded import read_back
from golfbudget.recipe.export import decode, quantise
from golfbudget.report import ReportFormat
from golfbudget.report.plan import document
from golfbudget.report.render import rendered
from golfbudget.report.render.terminal import show
from golfbudget.schemes import Context, Options

NAME = "blocks.0.mlp.fc.weight"
#: Of a uniform scalar at fine resolution over the limit, bits: ½·log2(2πe/12).
SCALAR_GAP = 0.5 * math.log2(2 * math.pi * math.e / 12)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def saved(folder: Path, contents: object, name: str = "model.int8.ptz") -> Path:
    out = io.BytesIO()
    torch.save(contents, out)
    path = folder / name
    path.write_bytes(zlib.compress(out.getvalue(), 9) if name.endswith("z") else out.getvalue())
    return path


def checkpoint(folder: Path, state: Mapping[str, Tensor]) -> Path:
    path = folder / "original.safetensors"
    save_file(dict(state), path)
    return path


def by_rows(matrix: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """Scalars at a multiple of each row's deviation, as public records store them."""
    scales = (step * matrix.std(dim=1)).half()
    return (matrix / scales.float()[:, None]).round().clamp(-127, 127).to(torch.int8), scales


def flat(folder: Path, values: Tensor, scales: Tensor) -> Path:
    return saved(folder, {"w": {f"{NAME}.q": values, f"{NAME}.scale": scales}, "m": {NAME: "int6"}})


def found(result: InspectResult) -> Efficiency:
    assert result.inspection.efficiency is not None
    return result.inspection.efficiency


def of(result: InspectResult, owner: str = NAME) -> TensorEfficiency:
    (one,) = [one for one in found(result).tensors if one.owner == owner]
    return one


def quantiser_bits(one: TensorEfficiency) -> float:
    """Bits a weight between the floor and the limit."""
    assert one.quantiser_bytes is not None
    return 8 * one.quantiser_bytes / one.weights


def entropy_bytes(symbols: Sequence[object]) -> int:
    """Shannon's, by counting."""
    counts = Counter(symbols)
    return round(sum(-n * math.log2(n / len(symbols)) for n in counts.values()) / 8)


def test_floor_coder_and_container_are_counted_and_sum_to_the_tensor(tmp_path: Path) -> None:
    values, scales = by_rows(normal(64, 128), 0.4)
    result = gb.inspect(flat(tmp_path, values, scales), entropy=True)
    one = of(result)
    assert one.floor_bytes == entropy_bytes(values.flatten().tolist())
    assert one.coder_bytes == one.stored_bytes - one.floor_bytes
    own = dict.fromkeys(Account, 0)
    for entry, stored in zip(result.ledger.entries, result.ledger.stored_bytes(), strict=True):
        if entry.owner == NAME:
            own[entry.account] += stored
    assert (one.stored_bytes, one.scales_bytes, one.container_bytes) == (
        own[Account.WEIGHTS],
        own[Account.SCALES],
        own[Account.CONTAINER],
    )
    assert one.weights == values.numel()
    assert (one.limit_bits, one.quantiser_bytes, one.evidence) == (None, None, Evidence.UNKNOWN)
    assert "--original" in str(one.reason)


@pytest.mark.parametrize("step", [0.4145, 0.2, 0.1])
def test_a_fine_scalar_is_a_quarter_bit_over_the_limit(tmp_path: Path, step: float) -> None:
    matrix = normal(256, 1024)
    result = gb.inspect(
        flat(tmp_path, *by_rows(matrix, step)), entropy=True, original=checkpoint(tmp_path, {NAME: matrix})
    )
    one = of(result)
    assert one.evidence is Evidence.MODELLED
    # Rounding adds half the Fisher information times its variance to the entropy of a number.
    assert quantiser_bits(one) == pytest.approx(SCALAR_GAP + step**2 / 24 / math.log(2), abs=0.003)
    assert step > 0.25 or quantiser_bits(one) == pytest.approx(SCALAR_GAP, abs=0.01)
    assert one.limit_bits == pytest.approx(0.5 * math.log2(12 / step**2), abs=0.03)
    assert one.relative_error == pytest.approx(step**2 / 12, rel=0.02)


@pytest.mark.parametrize("layout", ["w-m", "safetensors", "int8_clean_per_row_v1"])
@pytest.mark.parametrize("states", [4, 8])
def test_a_trellis_is_nearer_to_it_and_its_state_is_worth_something(
    tmp_path: Path, layout: LayoutName, states: int
) -> None:
    matrix = normal(128, 512)
    encoded = schemes.get("trellis").encode(matrix, {"step": 0.23, "states": states}, Context())
    base = quantise({NAME: matrix, "tok_emb.weight": normal(32, 16)}, load_recipe("int8-zlib"))
    recipe = structs.replace(load_recipe("int8-zlib"), layout=layout)
    export = base.with_encoded(NAME, encoded, "float32")
    path = tmp_path / "model.ptz"
    path.write_bytes(artifact_bytes(export, recipe))
    one = of(gb.inspect(path, entropy=True, original=checkpoint(tmp_path, {NAME: matrix})))
    assert 0.05 < quantiser_bits(one) < 0.11
    stored = encoded.tensor("values").numpy()
    state, pairs = np.zeros(len(stored), dtype=int), list[tuple[int, int]]()
    taps = {4: (3, 1), 8: (5, 2)}[states]
    for column in stored.T.astype(int):
        parity = [int(s & taps[1]).bit_count() % 2 for s in state]
        pairs += zip(parity, column.tolist(), strict=True)
        flips = np.array([int(s & taps[0]).bit_count() % 2 for s in state])
        state = (2 * state + ((column & 1) ^ flips)) % states
    floors = [entropy_bytes([c for p, c in pairs if p == parity]) for parity in (0, 1)]
    assert one.state_floor_bytes == pytest.approx(sum(floors), abs=1)
    assert one.floor_bytes == entropy_bytes(stored.ravel().tolist())
    assert one.state_floor_bytes is not None
    assert one.state_floor_bytes < one.floor_bytes
    assert one.coder_bytes == one.stored_bytes - one.state_floor_bytes
    error = float((decode(export)[NAME] - matrix).double().square().mean() / matrix.double().var(dim=1).mean())
    assert one.relative_error == pytest.approx(error, rel=0.01)


def gap_by_hand(original: NDArray[np.float64], decoded: NDArray[np.float64]) -> float:
    """The mean limit of rows with an error, by the formula alone."""
    total = 0.0
    for row, other in zip(original.tolist(), decoded.tolist(), strict=True):
        mean = sum(row) / len(row)
        variance = sum((x - mean) ** 2 for x in row) / len(row)
        error = sum((x - y) ** 2 for x, y in zip(row, other, strict=True)) / len(row)
        total += len(row) * max(0.0, 0.5 * math.log2(variance / error)) if error and variance else 0.0
    return total


@given(st.integers(0, 2**31), st.sampled_from([0.0, 1e-3, 0.5, 4.0]))
def test_the_limit_is_the_formula_row_by_row(seed: int, noise: float) -> None:
    random = np.random.default_rng(seed)
    original = random.normal(3, 1, (5, 17)) * np.array([[0.0], [1.0], [1e-6], [50.0], [1.0]])
    decoded = original + noise * random.normal(size=original.shape)
    decoded[4] = original[4]
    limits = row_limits(original, decoded)
    assert limits.bits == pytest.approx(gap_by_hand(original, decoded), abs=1e-6)
    assert limits.exact == (17 if noise else 4 * 17)
    assert limits.numbers == 85
    halves = row_limits(original[:2], decoded[:2]) + row_limits(original[2:], decoded[2:])
    assert halves.bits == pytest.approx(limits.bits, abs=1e-6)
    assert (halves.exact, halves.numbers) == (limits.exact, limits.numbers)


def test_rows_without_variance_have_no_limit_and_no_row_is_divided_by_zero(tmp_path: Path) -> None:
    matrix = normal(8, 64)
    matrix[2] = 0
    matrix[5] = 0.25
    values, scales = by_rows(torch.where(matrix.std(dim=1, keepdim=True) > 0, matrix, normal(8, 64, seed=2)), 0.3)
    values[2] = 0
    one = of(gb.inspect(flat(tmp_path, values, scales), entropy=True, original=checkpoint(tmp_path, {NAME: matrix})))
    decoded = values.double().numpy() * scales.double().numpy()[:, None]
    assert one.limit_bits == pytest.approx(gap_by_hand(matrix.double().numpy(), decoded) / 512, abs=1e-5)


@pytest.mark.parametrize(("times", "sure"), [(31, False), (32, True)])
def test_too_few_numbers_for_their_symbols_say_nothing_of_the_coder(tmp_path: Path, times: int, *, sure: bool) -> None:
    weights = torch.arange(64, dtype=torch.int16).repeat(times)[torch.randperm(64 * times)].view(torch.float16)
    result = gb.inspect(saved(tmp_path, {NAME: weights.view(8, -1)}), entropy=True)
    one, left = of(result), found(result).left
    assert one.coder_sure is sure
    assert one.coder_bytes == one.stored_bytes - one.floor_bytes > 0
    assert left.coder_bytes == (one.coder_bytes if sure else None)
    assert one.left_bytes == max(one.container_bytes, one.coder_bytes if sure else 0)
    assert ("of 1 tensor not known: too few numbers" in str(result)) is not sure


def test_bits_given_a_state_are_those_of_its_own_counts() -> None:
    left, right = [1, 1, 2, 3] * 100, [2] * 37 + [0] * 400
    counts = np.array([[Counter(side)[symbol] for symbol in range(4)] for side in (left, right)])
    both = sum(-n * math.log2(n / len(side)) for side in (left, right) for n in Counter(side).values())
    assert conditional_bytes(counts) == round(both / 8)
    assert conditional_bytes(counts * 0) == 0
    assert conditional_bytes(counts[:1]) == floor_bytes([bytes(left)], 1)


NOT_KNOWN = {
    "other-name": ({"other.weight": normal(8, 16), "tok_emb.weight": normal(4, 4)}, "no tensor of that name"),
    "nan": ({NAME: torch.full((8, 16), torch.nan)}, "128 numbers of it or of its original are not finite"),
    "too-large": ({NAME: torch.full((8, 16), 1e300, dtype=torch.float64)}, "not finite, or their squares"),
    "unrelated": ({NAME: normal(8, 16, seed=9) * 1e-3}, "nothing like the original"),
}


@pytest.mark.parametrize("case", NOT_KNOWN)
def test_what_is_not_known_is_said_to_be(tmp_path: Path, case: str) -> None:
    original, reason = NOT_KNOWN[case]
    values, scales = by_rows(normal(8, 16), 0.3)
    weights = {f"{NAME}.q": values, f"{NAME}.scale": scales, "tok_emb.weight": normal(4, 4)}
    path = saved(tmp_path, {"w": weights, "m": {NAME: "int6"}})
    if case == "too-large":
        original = {NAME: original[NAME] * torch.tensor([1, -1] * 8)}
    result = gb.inspect(path, entropy=True, original=checkpoint(tmp_path, original | {"tok_emb.weight": normal(4, 4)}))
    one = of(result)
    assert reason in str(one.reason)
    assert (one.limit_bits, one.quantiser_bytes, one.evidence) == (None, None, Evidence.UNKNOWN)
    assert reason in str(result)
    assert "kept as float32" in str(of(result, "tok_emb.weight").reason)


def test_integers_that_have_no_error_have_no_limit(tmp_path: Path) -> None:
    values, scales = by_rows(normal(8, 16), 0.3)
    exact = values.float() * scales.float()[:, None]
    one = of(gb.inspect(flat(tmp_path, values, scales), entropy=True, original=checkpoint(tmp_path, {NAME: exact})))
    assert (one.quantiser_bytes, one.relative_error) == (None, 0.0)
    assert "no error" in str(one.reason)


UNREAD: dict[str, tuple[dict[str, object], str]] = {
    "no-scale": ({NAME: torch.zeros(8, 16, dtype=torch.int8)}, "int8 without a scale"),
    "groups": (
        {"w": {f"{NAME}.q": torch.ones(8, 16, dtype=torch.int8), f"{NAME}.scale": torch.ones(8, 2).half()}, "m": {}},
        "neither one scale a row nor one for all",
    ),
    "packed": (
        {NAME: {"type": "int6", "packed": bytes(range(96)), "scale": torch.ones(8).half(), "shape": [8, 16],
                "n_vals": 128, "bits": 6}},
        "packed byte strings are not decoded here",
    ),
    "scheme": (
        {"w": {"norm": torch.ones(3)}, "m": {},
         "schemes": {NAME: {"scheme": "product", "shape": [8, 16], "maps": torch.zeros(9, dtype=torch.uint8)}}},
        "scheme product is not decoded here",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNREAD)
def test_layouts_that_are_not_known_are_not_guessed(tmp_path: Path, case: str) -> None:
    contents, reason = UNREAD[case]
    original = checkpoint(tmp_path, {NAME: normal(8, 16)})
    one = of(gb.inspect(saved(tmp_path, contents), entropy=True, original=original))
    assert reason in str(one.reason)
    assert one.quantiser_bytes is None


def test_shapes_that_differ_and_other_models_are_errors(tmp_path: Path) -> None:
    path = flat(tmp_path, *by_rows(normal(8, 16), 0.3))
    with pytest.raises(UsageError, match=r"original.*'blocks.0.mlp.fc.weight' is \[16, 8\], in .*it is \[8, 16\]"):
        gb.inspect(path, entropy=True, original=checkpoint(tmp_path, {NAME: normal(16, 8)}))
    with pytest.raises(UsageError, match=r"none of its tensors \(lm_head.weight"):
        gb.inspect(path, entropy=True, original=checkpoint(tmp_path, {"lm_head.weight": normal(8, 16)}))
    with pytest.raises(UsageError, match="give --entropy, too"):
        gb.inspect(path, original=path)


def test_bfloat16_and_strided_originals_are_read(tmp_path: Path) -> None:
    matrix = normal(64, 96)
    path = flat(tmp_path, *by_rows(matrix, 0.3))
    plain = of(gb.inspect(path, entropy=True, original=checkpoint(tmp_path, {NAME: matrix})))
    turned = saved(tmp_path, {NAME: matrix.T.contiguous().T}, "turned.pt")
    assert of(gb.inspect(path, entropy=True, original=turned)) == plain
    brief = of(gb.inspect(path, entropy=True, original=checkpoint(tmp_path, {NAME: matrix.bfloat16()})))
    values, scales = by_rows(matrix, 0.3)
    decoded = values.double().numpy() * scales.double().numpy()[:, None]
    expected = gap_by_hand(matrix.bfloat16().double().numpy(), decoded) / matrix.numel()
    assert brief.limit_bits == pytest.approx(expected, abs=1e-5)


def test_slack_is_summed_by_codec(tmp_path: Path) -> None:
    arrays = {name: np.frombuffer(np.random.default_rng(0).bytes(3000), dtype=np.int8) for name in ("a", "b")}
    for name, text, codec in (("plain.npz", np.savez, "raw"), ("coded.npz", np.savez_compressed, "deflate")):
        text(tmp_path / name, allow_pickle=False, **arrays)
        result = gb.inspect(tmp_path / name, entropy=True)
        (one,) = found(result).coders
        assert (one.codec, one.tensors) == (codec, 2)
        assert result.inspection.entropy is not None
        measures = [measure for measure in result.inspection.entropy.entries if measure is not None]
        assert one.slack_bytes == sum(measure.slack for measure in measures) == one.stored_bytes - one.floor_bytes
        assert f"slack by codec  {codec} " in str(result)


def test_the_example_says_first_where_most_is_left() -> None:
    result = gb.inspect(example.ARTIFACT, entropy=True, original=example.CHECKPOINT)
    left = found(result).left
    assert left.most_in is LeftIn.QUANTISER
    assert f"left    most in the quantiser: {left.quantiser_bytes:,} bytes (modelled); coder" in str(result)
    ledger = result.ledger
    container = [
        stored
        for entry, stored in zip(ledger.entries, ledger.stored_bytes(), strict=True)
        if entry.account is Account.CONTAINER
    ]
    assert left.container_bytes == sum(container)
    known = [one for one in found(result).tensors if one.quantiser_bytes is not None]
    assert left.known == len(known) == 31
    # The recipe's int8: an entropy-coded scalar at fine steps.
    assert all(0.2 < quantiser_bits(one) < 0.36 for one in known)


def test_all_owners_are_listed_by_owner_and_the_rest_is_summed_otherwise() -> None:
    result = gb.inspect(example.ARTIFACT, entropy=True)
    assert "42 others" in str(result)
    assert "others" not in str(result.document("owner").parts)
    owners = [one.owner for one in found(result).tensors]
    assert all(owner in str(result.document("owner").parts) for owner in owners)


def test_json_has_it_and_loads_back(tmp_path: Path) -> None:
    matrix = normal(64, 96)
    original = checkpoint(tmp_path, {NAME: matrix})
    result = gb.inspect(flat(tmp_path, *by_rows(matrix, 0.3)), entropy=True, original=original)
    value = json.loads(result.to_json())
    block = value["entropy"]
    assert set(block) == {"alone", "coders", "original", "left", "tensors"}
    assert block["original"]["path"] == str(original)
    left = {word: block["left"][f"{word}_bytes"] for word in ("coder", "quantiser", "container")}
    assert left[block["left"]["most_in"]] == max(left.values())
    (one,) = block["tensors"]
    assert (one["owner"], one["evidence"], one["reason"]) == (NAME, "modelled", None)
    report = InspectReport.read(value, where="saved")
    assert json.loads(json.dumps(report.plain())) == value
    for name in ("coders", "original", "left", "tensors"):
        del block[name]
    again = InspectReport.read(value, where="saved")
    assert json.loads(json.dumps(again.plain())) == value


def test_the_command_says_it_on_a_narrow_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    matrix = normal(64, 96)
    original = checkpoint(tmp_path, {NAME: matrix})
    result = gb.inspect(flat(tmp_path, *by_rows(matrix, 0.3)), entropy=True, original=original)
    monkeypatch.setenv("COLUMNS", "80")
    show(result.document())
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    (row,) = [line for line in lines if line.startswith(NAME)]
    assert row.split()[-2:] == [str(of(result).most_in), f"{of(result).left_bytes:,}"]


def test_the_largest_is_named_and_nothing_is_none() -> None:
    assert left_in(coder=5, quantiser=9, container=3) is LeftIn.QUANTISER
    assert left_in(coder=5, quantiser=None, container=3) is LeftIn.CODER
    assert left_in(coder=-5, quantiser=-9, container=3) is LeftIn.CONTAINER
    assert left_in(coder=0, quantiser=0, container=0) is LeftIn.NONE


def test_another_codec_moves_the_coder_and_nothing_else(tmp_path: Path) -> None:
    matrix = normal(64, 96)
    path, original = flat(tmp_path, *by_rows(matrix, 0.3)), checkpoint(tmp_path, {NAME: matrix})
    first = of(gb.inspect(path, entropy=True, original=original))
    path.write_bytes(lzma.compress(zlib.decompress(path.read_bytes())))
    second = of(gb.inspect(path, entropy=True, original=original))
    assert first.coder_bytes != second.coder_bytes
    assert (first.floor_bytes, first.limit_bits, first.quantiser_bytes) == (
        second.floor_bytes,
        second.limit_bits,
        second.quantiser_bytes,
    )


@pytest.fixture
def planned(tmp_path: Path) -> tuple[dict[str, Tensor], PlanRequest]:
    generator = torch.Generator().manual_seed(0)
    matrices = {"tok_emb.weight": random_matrix(generator, 512, 160), NAME: random_matrix(generator, 256, 320)}
    return matrices, PlanRequest(path=save(tmp_path, matrices), cap=16_000_000, schemes=("scalar",))


@pytest.mark.parametrize(
    ("scheme", "options", "low", "high"),
    [
        ("scalar", {"bits": 7}, 0.2, 0.28),
        ("trellis", {"step": 0.23}, 0.04, 0.16),
        ("product", {"groups": 80, "codes": 64}, 0.2, 4.0),
    ],
)
def test_a_candidate_is_held_against_the_matrix_that_it_was_made_from(
    planned: tuple[dict[str, Tensor], PlanRequest], scheme: str, options: Options, low: float, high: float
) -> None:
    matrices, request = planned
    prepared = prepare(request)
    candidate = Candidate(name="tried", side=Side.TRUNK, scheme=scheme, options=options, owners=(NAME,))
    data = build(prepared.source, candidate, prepared.encoders).data
    left = left_of(prepared, candidate, data)
    assert left is not None
    (one,) = left.tensors
    assert (one.owner, one.weights, one.evidence) == (NAME, matrices[NAME].numel(), Evidence.MODELLED)
    assert (one.state_floor_bytes is not None) == (scheme == "trellis")
    assert left.left.container_bytes == one.container_bytes > 0
    assert low < quantiser_bits(one) < high
    decoded = read_back(data, "tried").state[NAME].double().numpy()
    expected = gap_by_hand(matrices[NAME].double().numpy(), decoded) / one.weights
    assert one.limit_bits == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_a_plan_says_it_of_the_candidates_that_matter(
    planned: tuple[dict[str, Tensor], PlanRequest], tmp_path: Path
) -> None:
    plan = make_plan(replace(planned[1], schemes=("ternary", "repack")))
    shown = {trial.name: trial for trial in plan.trials if trial.efficiency is not None}
    assert {plan.verdict.best_head, plan.verdict.best_trunk, *plan.on_frontier} - {None} <= shown.keys()
    assert {trial.candidate.side for trial in shown.values()} >= {Side.HEAD, Side.TRUNK}
    assert Side.LOSSLESS not in {trial.candidate.side for trial in shown.values()}
    for trial in shown.values():
        assert trial.efficiency is not None
        assert {tensor.owner for tensor in trial.efficiency.tensors} == set(trial.candidate.owners)
    text = rendered(document(plan, details=True), ReportFormat.TABLE)
    table = text[text.index("what is left") : text.index("bits are per weight")]
    assert all(f"\n{name} " in table for name in shown)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan_json(plan)), encoding="utf-8")
    assert {trial.name for trial in load_plan(path).candidates if trial.efficiency is not None} == shown.keys()
    older = json.loads(path.read_text(encoding="utf-8"))
    for candidate in older["candidates"]:
        del candidate["efficiency"]
    path.write_text(json.dumps(older), encoding="utf-8")
    assert {trial.efficiency for trial in load_plan(path).candidates} == {None}
