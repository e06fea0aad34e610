"""Trellis-coded integers against every path there is, and what they and rate-distortion rounding save."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

import brotli
import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from golfbudget import schemes
from golfbudget.codecs.rans import encoding as rans
from golfbudget.errors import UsageError
from golfbudget.estimate.measured import draw
from golfbudget.estimate.settings import make_request
from golfbudget.recipe.artifacts import artifact_bytes
from golfbudget.recipe.config import Recipe, recipe_from
from golfbudget.recipe.export import Export, decode, quantise
from golfbudget.schemes import Context, Encoded, Options
from golfbudget.schemes.rate_distortion import cheapest, refitted, thresholds
from golfbudget.schemes.trellis_search import LOWEST, Machine, grid, search, search_with_feedback

#: The taps of the machines by their states: f and g.
TAPS = {4: (3, 1), 8: (5, 2)}


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def correlated(columns: int) -> Tensor:
    inputs = normal(400, 6, seed=1) @ normal(6, columns, seed=2) + normal(400, columns, seed=3)
    return inputs.T @ inputs / 400


def encode(name: str, matrix: Tensor, options: Options, covariance: Tensor | None = None) -> Encoded:
    return schemes.get(name).encode(matrix, options, Context(covariance=covariance))


def error(name: str, encoded: Encoded, matrix: Tensor) -> float:
    return float((schemes.get(name).decode(encoded) - matrix).double().square().mean())


def bits_a_weight(encoded: Encoded) -> float:
    values = encoded.tensor("values").numpy()
    return 8 * len(brotli.compress(values.tobytes(), quality=11)) / values.size


def walked(path: tuple[int, ...], states: int) -> list[int]:
    """The levels of a path, by the machine as published."""
    f, g = TAPS[states]
    state, found = 0, []
    for stored in path:
        found.append(2 * stored + (g & state).bit_count() % 2)
        state = (2 * state + ((stored & 1) ^ (f & state).bit_count() % 2)) % states
    return found


@cache
def every_path(columns: int, states: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All paths of integers from -4 to 3, and their levels."""
    paths = list(itertools.product(range(-4, 4), repeat=columns))
    return np.array(paths), np.array([walked(path, states) for path in paths])


@given(st.lists(st.integers(-128, 127), min_size=1, max_size=60), st.sampled_from([4, 8]))
def test_levels_are_those_of_the_published_machine(path: list[int], states: int) -> None:
    found = Machine(states // 4).levels(torch.tensor([path], dtype=torch.int8))
    assert found.tolist() == [walked(tuple(path), states)]


@given(
    st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=5),
    st.sampled_from([4, 8]),
    st.sampled_from([0.0, 0.1, 0.6, 3.0]),
    st.lists(st.integers(0, 99), min_size=8, max_size=8).filter(any),
    st.sampled_from([None, [0.4, 2.5, 1.0, 0.05, 1.05]]),
)
@settings(max_examples=60, deadline=None)
def test_no_path_is_cheaper_than_the_one_found(
    row: list[float], states: int, rate: float, shares: list[int], weights: list[float] | None
) -> None:
    counts = torch.zeros(256)
    counts[-4 - LOWEST : 4 - LOWEST] = torch.tensor(shares).float()
    levels = grid(3.0, rate, counts)
    each = None if weights is None else torch.tensor(weights[: len(row)]).double()
    bits = dict(zip(levels.stored.flatten().tolist(), levels.costs.flatten().double().tolist(), strict=True))
    assert sorted(set(bits)) == list(range(-4, 4))

    paths, meant = every_path(len(row), states)
    missed = (np.array(row) - meant) ** 2 * (1.0 if each is None else each.numpy())
    costs = (missed + np.array([bits[stored] for stored in range(-4, 4)])[paths + 4]).sum(axis=1)
    # Twice the row: rows do not disturb each other.
    found = search(torch.tensor([row, row]), Machine(states // 4), levels, each)
    assert torch.equal(found[0], found[1])
    ours = costs[(paths == found[0].numpy()).all(axis=1)]
    assert ours == pytest.approx(costs.min(), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("states", [4, 8])
def test_with_independent_inputs_feedback_changes_nothing_inside_a_block(states: int) -> None:
    scaled, machine = 4 * normal(30, 32), Machine(states // 4)
    levels, one = grid(20.0, 0.0), torch.ones(32).double()
    fed = search_with_feedback(scaled, machine, levels, torch.eye(32).double(), one)
    assert torch.equal(fed, search(scaled, machine, levels))


@pytest.mark.parametrize("rate", [0.0, 0.35])
def test_feedback_along_the_paths_beats_both_parents(rate: float) -> None:
    """By the error of the outputs: the trellis without feedback, and feedback on scalars of at least as many bits."""
    matrix, moment = normal(128, 96), correlated(96)

    def outputs(name: str, encoded: Encoded) -> float:
        missed = (schemes.get(name).decode(encoded) - matrix).double()
        return float((missed @ moment.double() * missed).sum())

    options: Options = {"step": 0.25, "rd": rate}
    both = encode("trellis-gptq", matrix, options, moment)
    plain = encode("trellis", matrix, options, moment)
    scalar = encode("gptq", matrix, {"bits": 6, "clip": 15.0, "rd": rate / 4}, moment)
    assert bits_a_weight(both) < bits_a_weight(scalar)
    assert outputs("trellis-gptq", both) < 0.8 * outputs("trellis", plain)
    assert outputs("trellis-gptq", both) < 0.95 * outputs("gptq", scalar)


def test_outliers_widen_their_rows_step_and_are_not_clipped() -> None:
    matrix = normal(3, 600)
    matrix[1, 7] = 900.0
    encoded = encode("trellis", matrix, {"step": 0.05})
    decoded = schemes.get("trellis").decode(encoded)
    assert float(decoded[1, 7]) == pytest.approx(900, rel=0.01)
    scales = encoded.tensor("scales").flatten()
    assert float(scales[1]) > 3
    assert float(scales[::2].max()) < 0.06


def test_training_moves_tables_and_what_they_decode_to_changes_nothing() -> None:
    scheme, matrix = schemes.get("trellis"), normal(20, 50)
    for options in ({"step": 0.3}, {"step": 0.3, "states": 4}):
        encoded = scheme.encode(matrix, options, Context())
        same = scheme.refit(encoded, scheme.decode(encoded))
        assert same is not None
        assert torch.equal(same.tables[0].tensor, encoded.tables[0].tensor)
        moved = scheme.refit(encoded, -matrix)
        assert moved is not None
        assert error("trellis", moved, -matrix) < 1.2 * error("trellis", encoded, matrix)


@pytest.mark.parametrize("states", [5, 6, 7])
def test_other_numbers_of_states_are_refused(states: int) -> None:
    with pytest.raises(UsageError, match=f"option states is {states}, expected 4 or 8"):
        encode("trellis", normal(2, 2), {"step": 1, "states": states})


# Rate-distortion rounding


@given(st.lists(st.floats(0, 5, width=16), min_size=1, max_size=8), st.floats(-10, 10))
def test_the_last_threshold_below_names_the_cheapest_level(costs: list[float], x: float) -> None:
    levels = torch.arange(len(costs)) * 2.0 - 5
    starts = thresholds(levels, torch.tensor(costs))
    assert bool((starts[1:] >= starts[:-1]).all())
    every = (x - levels.double()).square() + torch.tensor(costs).double()
    chosen = int(torch.searchsorted(starts, torch.tensor([x], dtype=torch.float64), right=True)) - 1
    assert float(every[chosen]) <= float(every.min()) + 1e-9


def total(scaled: Tensor, values: Tensor, rate: float, weights: Tensor) -> float:
    """Weighted squared error + rate·bits by the values' own histogram."""
    shares = values.unique(return_counts=True)[1].double() / values.numel()
    bits = values.numel() * float(-(shares * shares.log2()).sum())
    return float((weights * (scaled.double() - values.double()).square()).sum()) + rate * bits


@given(
    st.integers(0, 10**6),
    st.integers(1, 9),
    st.integers(1, 9),
    st.floats(0, 3),
    st.sampled_from([1, 7]),
    st.sampled_from([None, 0.1, 3.0]),
)
@settings(deadline=None)
def test_no_rounding_costs_more_than_the_nearest(
    seed: int, rows: int, columns: int, rate: float, levels: int, spread: float | None
) -> None:
    scaled = 3 * normal(rows, columns, seed=seed)
    given_weights = None if spread is None else (spread * normal(columns, seed=seed + 1)).exp().double()
    weights = torch.ones(columns).double() if given_weights is None else given_weights
    ours = cheapest(scaled, levels, rate, given_weights)
    plain = cheapest(scaled, levels, 0.0)
    assert torch.equal(plain, scaled.round().clamp(-levels, levels))
    least = total(scaled, plain, rate, weights)
    assert total(scaled, ours, rate, weights) <= least + 1e-9 * (1 + least)
    steps = refitted(scaled, ours, torch.ones(rows), given_weights)
    assert total(scaled, ours * steps[:, None], 0.0, weights) <= total(scaled, ours, 0.0, weights) * (1 + 1e-9)


#: A scheme's options whose rounding is finer than its tables must be.
SCALARS: list[tuple[str, Options]] = [
    ("scalar", {"bits": 5}),
    ("clipped", {"bits": 6, "clip": 12.85}),
    ("grouped-scalar", {"bits": 4, "group": 32, "store": "bytes"}),
    ("class-steps", {"bits": 5}),
    ("tiers", {"tiers": "4", "store": "bytes"}),
    ("gptq", {"bits": 6, "clip": 12.85}),
]


@pytest.mark.parametrize(("name", "options"), SCALARS)
def test_every_scalar_scheme_takes_fewer_bits_at_the_same_tables(name: str, options: Options) -> None:
    matrix, counts = normal(200, 128), torch.arange(200)
    context = Context(counts=counts, covariance=correlated(128) if name == "gptq" else None)
    scheme = schemes.get(name)
    plain = scheme.encode(matrix, options, context)
    assert torch.equal(scheme.encode(matrix, {**options, "rd": 0.0}, context).tables[0].tensor, plain.tables[0].tensor)
    ours = scheme.encode(matrix, {**options, "rd": 0.15}, context)
    assert ours.native == plain.native
    layout = [(t.name, t.tensor.dtype, t.tensor.shape, t.bits) for t in plain.tables]
    assert [(t.name, t.tensor.dtype, t.tensor.shape, t.bits) for t in ours.tables] == layout

    def entropy(encoded: Encoded) -> float:
        table = next(table for table in encoded.tables if table.name in ("values", "tier0"))
        shares = table.tensor.unique(return_counts=True)[1].double() / table.tensor.numel()
        return float(-(shares * shares.log2()).sum())

    assert entropy(ours) < entropy(plain) - 0.001


@pytest.mark.record
def test_a_record_of_vocabulary_8192_is_smaller_at_the_same_error(capsys: pytest.CaptureFixture[str]) -> None:
    """35,943,512 synthetic weights, whole files; docs/schemes.md has the figures.  Ten minutes: `make records`."""
    request = make_request("sp8192", "sp8192-brotli")
    state = dict(draw(request.model.tensors, 0))
    kept = [rule for rule in plain_recipe(request.recipe)["tensors"] if rule["quantizer"] == "keep"]
    steps = (("embedding", ["tok_emb.weight"], 0.0885), ("blocks", ["blocks.*"], 0.2315))
    coarse = [
        {"name": name, "match": match, "more_elements_than": 65_536, "quantizer": "scheme", "scheme": "trellis",
         "options": {"step": step}}
        for name, match, step in steps
    ]  # fmt: skip
    own = {"name": "trellis", "layout": "packed", "codec": "brotli", "level": 11, "coder": "rans"}
    recipe = recipe_from({**own, "tensors": [*coarse, *kept]}, "trellis")
    exports = {made.name: quantise(state, made, jobs=2) for made in (request.recipe, recipe)}
    missed = {name: squares(state, export) for name, export in exports.items()}
    for name, before in missed["sp8192-brotli"].items():
        assert missed["trellis"][name] <= 1.01 * before, name
    assert sum(missed["trellis"].values()) <= sum(missed["sp8192-brotli"].values())
    sizes = {made.name: len(artifact_bytes(exports[made.name], made)) for made in (request.recipe, recipe)}
    with capsys.disabled():
        sys.stdout.write(f"{sizes}\n")
    assert sizes["trellis"] < sizes["sp8192-brotli"] - 900_000


def plain_recipe(recipe: Recipe) -> dict[str, Any]:
    """A recipe as the values of a file."""
    values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(recipe))
    return values


def squares(state: Mapping[str, Tensor], export: Export) -> dict[str, float]:
    """Squared errors of the matrices that are not kept."""
    decoded = decode(export)
    matrices = (*export.quantized, *export.schemes)
    return {n: float((decoded[n].double() - state[n].double()).square().sum()) for n in matrices}


@pytest.mark.slow
def test_gaussian_rows_at_the_error_of_int6_take_fewer_bits() -> None:
    """1,048,576 weights, under brotli and under rANS by the parity of the state.

    What rounding saves here, refitted scales alone would: they shrink as much.
    """
    matrix = normal(2048, 512)
    scalar = encode("clipped", matrix, {"bits": 6, "clip": 12.85})
    rounded = encode("clipped", matrix, {"bits": 6, "clip": 12.78, "rd": 0.1})
    trellis = encode("trellis", matrix, {"step": 0.232})
    allowed = error("clipped", scalar, matrix)
    assert bits_a_weight(scalar) == pytest.approx(3.376, abs=0.004)
    assert error("clipped", rounded, matrix) <= allowed
    assert bits_a_weight(rounded) < bits_a_weight(scalar) - 0.006
    assert error("trellis", trellis, matrix) <= allowed
    assert bits_a_weight(trellis) <= 3.21
    values = trellis.tensor("values").numpy()
    assert 8 * len(rans.encode(values.tobytes(), rows=2048, states=8)) / values.size <= 3.16
