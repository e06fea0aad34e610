"""What trunk schemes promise beyond the kit, against computations written another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from golfbudget import schemes
from golfbudget.errors import UsageError
from golfbudget.schemes import Context, Encoded, Options
from golfbudget.schemes.clipped import clip_scales, feedback_rounded
from golfbudget.schemes.grouped_scalar import cut, joined, spread, widths

Numbers = NDArray[np.float64]

#: Options of every trunk scheme, for laws that all of them keep.
TRUNK: list[tuple[str, Options]] = [
    ("clipped", {"bits": 6}),
    ("gptq", {"bits": 6}),
    ("grouped-scalar", {"bits": 5, "group": 7}),
    ("binary", {"group": 7}),
    ("ternary-groups", {"group": 7}),
    ("ternary-bitmask", {"group": 7}),
    ("low-rank", {"rank": 5}),
    ("pruned", {"share": 0.4}),
    ("weight-vq", {"width": 3, "codes": 30}),
]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def correlated(columns: int, seed: int = 1) -> torch.Tensor:
    """The second moment of inputs that share a few directions, as activations do."""
    inputs = normal(400, 3, seed=seed) @ normal(3, columns, seed=seed + 1) + 0.5 * normal(400, columns, seed=seed + 2)
    return inputs.T @ inputs / 400


def encode(name: str, matrix: torch.Tensor, options: Options, **context: torch.Tensor) -> Encoded:
    return schemes.get(name).encode(matrix, options, Context(**context))  # type: ignore[arg-type]


def decoded(name: str, matrix: torch.Tensor, options: Options, **context: torch.Tensor) -> torch.Tensor:
    return schemes.get(name).decode(encode(name, matrix, options, **context))


def output_error(matrix: torch.Tensor, other: torch.Tensor, moment: torch.Tensor) -> float:
    """E|(W - W')x|^2 of inputs with that second moment."""
    difference = (matrix - other).double()
    return float(((difference @ moment.double()) * difference).sum())


# Steps of k deviations


@pytest.mark.parametrize(("bits", "clip", "published"), [(8, 20.0, 4.715), (6, 12.85, 3.328)])
def test_bits_a_weight_of_gaussian_rows_are_the_published_ones(bits: int, clip: float, published: float) -> None:
    values = encode("clipped", 0.02 * normal(256, 2048), {"bits": bits, "clip": clip}).tensor("values").numpy()
    shares = np.bincount(values.ravel().astype(int) + 128) / values.size
    entropy = -sum(float(p) * math.log2(p) for p in shares if p)
    assert entropy == pytest.approx(published, abs=0.01)
    # The same from the normal distribution alone, without a sample.
    step, levels = clip / (2 ** (bits - 1) - 1), 2 ** (bits - 1) - 1
    edges = [-math.inf, *((level - 0.5) * step for level in range(-levels + 1, levels + 1)), math.inf]
    masses = np.diff([0.5 * (1 + math.erf(edge / math.sqrt(2))) for edge in edges])
    assert -sum(float(p) * math.log2(p) for p in masses if p > 0) == pytest.approx(published, abs=0.002)


@given(st.integers(0, 10**6), st.integers(2, 8), st.floats(0.5, 30), st.integers(2, 12))
@settings(max_examples=40)
def test_scales_and_values_are_those_of_the_public_recipe(seed: int, bits: int, clip: float, columns: int) -> None:
    matrix, levels = normal(5, columns, seed=seed), 2 ** (bits - 1) - 1
    encoded = encode("clipped", matrix, {"bits": bits, "clip": clip})
    rows = matrix.numpy().astype(np.float64)
    # Unbiased, as torch's own default is.
    steps = (clip * rows.std(axis=1, ddof=1) / levels).astype(np.float32).astype(np.float16)
    assert np.array_equal(encoded.tensor("scales").numpy(), steps)
    assert torch.allclose(clip_scales(matrix, levels, clip), clip * matrix.std(dim=1) / levels, rtol=2**-10)
    expected = np.clip(np.rint(matrix.numpy() / steps.astype(np.float32)[:, None]), -levels, levels)
    assert np.array_equal(encoded.tensor("values").numpy(), expected)


def test_a_row_without_deviation_divides_by_no_zero() -> None:
    matrix = torch.tensor([[0.0, 0.0], [3.0, 3.0], [1.0, -1.0]])
    encoded = encode("clipped", matrix, {"bits": 8})
    assert encoded.tensor("scales")[:2].tolist() == [2.0**-24] * 2
    assert encoded.tensor("values")[0].tolist() == [0, 0]
    assert bool(torch.isfinite(schemes.get("clipped").decode(encoded)).all())
    one = decoded("clipped", torch.tensor([[2.0], [-3.0]]), {"bits": 8, "clip": 1.0})
    assert torch.allclose(one, torch.tensor([[2.0], [-3.0]]), rtol=2**-10)


# GPTQ


def direct_rounding(matrix: Numbers, step: Numbers, levels: int, moment: Numbers) -> Numbers:
    """GPTQ without its factor: before each column is rounded, all free ones are solved for anew, by least squares."""
    columns = matrix.shape[1]
    order = sorted(range(columns), key=lambda column: -moment[column, column])
    rounded = np.zeros_like(matrix)
    done: list[int] = []
    for column in order:
        free = [c for c in order if c not in done]
        target = matrix[:, column].copy()
        if done:
            errors = matrix[:, done] - rounded[:, done] * step[:, None]
            moves = np.linalg.solve(moment[np.ix_(free, free)], moment[np.ix_(free, done)] @ errors.T)
            target += moves[free.index(column)]
        rounded[:, column] = np.clip(np.rint(target / step), -levels, levels)
        done.append(column)
    return rounded


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(2, 9), st.sampled_from([1, 7, 31]))
@settings(max_examples=40)
def test_gptq_equals_least_squares_solved_anew_for_each_column(seed: int, rows: int, columns: int, levels: int) -> None:
    matrix = normal(rows, columns, seed=seed)
    moment = correlated(columns, seed).double() + 0.05 * torch.eye(columns, dtype=torch.float64)
    scales = clip_scales(matrix, levels, 6.0)
    ours = feedback_rounded(matrix, scales, levels, moment).numpy()
    theirs = direct_rounding(matrix.double().numpy(), scales.double().numpy(), levels, moment.numpy())
    assert np.array_equal(ours, theirs)


def test_gptq_beats_plain_rounding_at_the_same_scales_where_inputs_are_correlated() -> None:
    matrix, moment = normal(48, 200), correlated(200)
    for bits, clip in ((6, 12.85), (4, 4.0), (3, 3.0)):
        options: Options = {"bits": bits, "clip": clip}
        ours = encode("gptq", matrix, options, covariance=moment)
        plain = encode("clipped", matrix, options)
        assert torch.equal(ours.tensor("scales"), plain.tensor("scales"))
        fed = output_error(matrix, schemes.get("gptq").decode(ours), moment)
        assert fed < 0.6 * output_error(matrix, schemes.get("clipped").decode(plain), moment)


@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 150), st.floats(1e-3, 1e3))
@settings(max_examples=30)
def test_gptq_is_plain_rounding_where_no_input_says_anything_of_another(
    seed: int, rows: int, columns: int, size: float
) -> None:
    matrix = normal(rows, columns, seed=seed)
    ours = encode("gptq", matrix, {"bits": 5}, covariance=size * torch.eye(columns))
    assert torch.equal(ours.tensor("values"), encode("clipped", matrix, {"bits": 5}).tensor("values"))


def test_gptq_bears_inputs_that_are_always_zero() -> None:
    matrix, moment = normal(6, 8), correlated(8)
    moment[2] = moment[:, 2] = 0
    for known in (moment, torch.zeros(8, 8)):
        assert bool(torch.isfinite(decoded("gptq", matrix, {"bits": 4}, covariance=known)).all())
    plain = encode("clipped", matrix, {"bits": 4}).tensor("values")
    assert torch.equal(encode("gptq", matrix, {"bits": 4}, covariance=torch.zeros(8, 8)).tensor("values"), plain)


@pytest.mark.parametrize(
    ("moment", "message"),
    [
        (torch.eye(3), r"shape \[3, 3\], expected \[4, 4\]"),
        (torch.full((4, 4), math.nan), "symmetric and finite"),
        (torch.eye(4) + torch.eye(4).roll(1, 0), "symmetric and finite"),
        (torch.diag(torch.tensor([1.0, 1.0, 1.0, -0.5])), "negative direction"),
        (-torch.eye(4), "negative direction"),
    ],
)
@pytest.mark.parametrize("name", ["gptq", "low-rank"])
def test_what_is_no_second_moment_is_refused(name: str, moment: torch.Tensor, message: str) -> None:
    options: Options = {"bits": 4} if name == "gptq" else {"rank": 2}
    with pytest.raises(UsageError, match=message):
        encode(name, normal(3, 4), options, covariance=moment)


def test_gptq_without_calibration_says_what_to_give() -> None:
    with pytest.raises(UsageError, match=r"gptq needs the second moment .* give calibration text"):
        encode("gptq", normal(3, 4), {"bits": 4})


# Groups


@given(st.integers(1, 6), st.integers(1, 20), st.integers(1, 25))
def test_groups_tile_the_columns_evenly(rows: int, columns: int, group: int) -> None:
    groups = -(-columns // group)
    matrix = torch.arange(1.0, rows * columns + 1).view(rows, columns)
    held = widths(columns, groups)
    assert int(held.sum()) == columns
    assert int(held.max()) - int(held.min()) <= 1
    assert int(held.max()) <= group
    grouped = cut(matrix, groups)
    assert grouped.shape == (rows * groups, int(held.max()))
    assert torch.equal(joined(grouped, rows, columns), matrix)
    assert float(grouped.sum()) == float(matrix.sum())
    # Each row of `cut` holds what one scale serves.
    names = torch.arange(1.0, rows * groups + 1).view(rows, groups)
    served = cut(spread(names, columns), groups)
    assert all(set(part.tolist()) - {0.0} == {float(i + 1)} for i, part in enumerate(served))


def test_groups_as_wide_as_a_row_are_rows() -> None:
    matrix = normal(20, 30)
    plain = decoded("scalar", matrix, {"bits": 5})
    assert torch.equal(decoded("grouped-scalar", matrix, {"bits": 5, "group": 0}), plain)
    assert torch.equal(decoded("grouped-scalar", matrix, {"bits": 5, "group": 30, "store": "bytes"}), plain)
    assert torch.equal(decoded("ternary-groups", matrix, {"group": 0}), decoded("ternary", matrix, {}))


@pytest.mark.parametrize("name", ["grouped-scalar", "ternary-groups", "binary"])
def test_finer_scales_follow_columns_of_different_size(name: str) -> None:
    matrix = normal(16, 64) * torch.tensor([0.1, 1.0, 3.0, 10.0]).repeat_interleave(16)
    bits: Options = {"bits": 4} if name == "grouped-scalar" else {}
    errors = [float((matrix - decoded(name, matrix, {**bits, "group": g})).square().sum()) for g in (0, 32, 16)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[0] > 1.05 * errors[2]


@given(st.lists(st.floats(-4, 4, width=16), min_size=1, max_size=12))
@settings(max_examples=60)
def test_no_scale_of_signs_beats_the_mean_magnitude(row: list[float]) -> None:
    matrix = torch.tensor([row])
    ours = float((matrix - decoded("binary", matrix, {})).double().square().sum())
    signs = np.where(np.array(row) >= 0, 1.0, -1.0)
    grid = min(float(np.square(np.array(row) - scale * signs).sum()) for scale in np.linspace(0, 4, 2001))
    # The scale is stored in fp16.
    assert ours <= grid + len(row) * (2**-12 * 4) ** 2 + 1e-6


@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(1, 30), st.integers(1, 12))
@settings(max_examples=40)
def test_both_ternary_packings_hold_what_a_second_decoder_reads(seed: int, rows: int, columns: int, group: int) -> None:
    matrix = normal(rows, columns, seed=seed)
    plain = encode("ternary-groups", matrix, {"group": group, "store": "bytes"}).tensor("values").flatten().tolist()
    masked = encode("ternary-bitmask", matrix, {"group": group})
    mask, signs = (masked.tensor(name).numpy().tobytes() for name in ("mask", "signs"))
    read, number, at = [], int.from_bytes(signs, "little"), 0
    for place in range(rows * columns):
        if mask[place // 8] >> place % 8 & 1:
            read.append(1 if number >> at & 1 else -1)
            at += 1
        else:
            read.append(0)
    assert read == plain
    assert len(signs) == -(-at // 8)
    packed = encode("ternary-groups", matrix, {"group": group})
    assert torch.equal(packed.tensor("scales"), masked.tensor("scales"))
    digits = [byte // 3**i % 3 - 1 for byte in packed.tensor("values").tolist() for i in range(5)]
    assert digits[: rows * columns] == plain
    assert not any(digits[rows * columns :])
    assert (
        len(
            {
                tuple(e.tensor("scales").flatten().tolist())
                for e in (masked, encode("ternary-groups", matrix, {"group": group}))
            }
        )
        == 1
    )


def test_the_bitmask_is_smaller_than_base_three_where_most_values_are_zero() -> None:
    matrix = normal(64, 128)
    matrix[matrix.abs() < 2] *= 0.001
    bitmask = encode("ternary-bitmask", matrix, {"group": 0}).raw_bytes
    assert bitmask < encode("ternary-groups", matrix, {"group": 0}).raw_bytes
    assert bitmask < schemes.get("ternary-bitmask").raw_bytes((64, 128), {"group": 0})


# Pruning, low rank, vector quantisation


@given(st.integers(0, 10**6), st.floats(0, 1), st.integers(2, 8))
@settings(max_examples=40)
def test_pruning_keeps_the_largest_and_nothing_else(seed: int, share: float, bits: int) -> None:
    matrix = normal(9, 14, seed=seed)
    values = encode("pruned", matrix, {"share": share, "bits": bits}).tensor("values")
    kept = round(share * matrix.numel())
    assert int((values != 0).sum()) <= kept
    magnitudes = sorted(matrix.abs().flatten().tolist())
    smallest = magnitudes[-kept] if kept else math.inf
    assert not bool(values[matrix.abs() < smallest].any())
    # At 8 bits, only what is a 500th of its row's largest rounds to zero.
    far = matrix.abs() >= max(smallest, 0.05)
    assert bits < 8 or bool(values[far].all())


def test_pruning_nothing_is_plain_scalar_quantisation() -> None:
    matrix = normal(20, 30)
    assert torch.equal(decoded("pruned", matrix, {"share": 1.0, "bits": 5}), decoded("scalar", matrix, {"bits": 5}))


def test_low_rank_factors_of_fp16_are_as_good_as_the_singular_values_say() -> None:
    matrix, moment = normal(30, 20), correlated(20)
    left, kept, right = np.linalg.svd(matrix.double().numpy(), full_matrices=False)
    assert np.abs((left * kept) @ right - matrix.numpy()).max() < 1e-6
    error = float((matrix - decoded("low-rank", matrix, {"rank": 6, "bits": 16})).double().square().sum())
    assert error == pytest.approx(float(np.square(kept[6:]).sum()), rel=1e-3)
    # With a moment (damped by 1 %): the singular values of the matrix times the moment's symmetric root.
    damped = moment.double().numpy() + 0.01 * float(moment.diagonal().mean()) * np.eye(20)
    energies, vectors = np.linalg.eigh(damped)
    weighed = np.linalg.svd(matrix.double().numpy() @ (vectors * np.sqrt(energies)) @ vectors.T, compute_uv=False)
    ours = decoded("low-rank", matrix, {"rank": 6, "bits": 16}, covariance=moment)
    error = output_error(matrix, ours, torch.from_numpy(damped))
    assert error == pytest.approx(float(np.square(weighed[6:]).sum()), rel=1e-3)
    plain = decoded("low-rank", matrix, {"rank": 6, "bits": 16})
    assert error < 0.9 * output_error(matrix, plain, torch.from_numpy(damped))


def test_every_run_of_weights_gets_its_nearest_code() -> None:
    matrix = normal(40, 22)
    encoded = encode("weight-vq", matrix, {"width": 4, "codes": 16})
    scales = encoded.tensor("scales").float().numpy()
    assert np.allclose(scales, np.sqrt(np.square(matrix.numpy()).mean(1)), rtol=2**-10)
    runs = np.concatenate((matrix.numpy() / scales[:, None], np.zeros((40, 2), np.float32)), axis=1).reshape(-1, 4)
    book = encoded.tensor("codebook").float().numpy()
    number = int.from_bytes(encoded.tensor("map").numpy().tobytes(), "little")
    distances = np.square(runs[:, None] - book[None]).sum(2)
    for run, every in enumerate(distances):
        assert every[number >> 4 * run & 15] <= every.min() + 1e-5


def test_runs_that_repeat_are_kept_exactly() -> None:
    runs = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0]])
    matrix = runs[torch.randint(0, 4, (32, 16), generator=torch.Generator().manual_seed(0))].view(32, 32)
    steps = 2.0 ** torch.arange(-4, 4).repeat(4)[:, None]
    assert torch.equal(decoded("weight-vq", matrix * steps, {"width": 2, "codes": 4}), matrix * steps)


def test_a_codebook_fitted_to_a_sample_is_as_good_as_one_fitted_to_all(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = normal(128, 256)
    errors = []
    for samples in (256, 10**9):
        monkeypatch.setattr("golfbudget.schemes.weight_vq._SAMPLES_PER_CODE", samples)
        errors.append(float((matrix - decoded("weight-vq", matrix, {"width": 2, "codes": 16})).square().sum()))
    assert errors[0] != errors[1]
    assert errors[0] == pytest.approx(errors[1], rel=0.02)


# All


@pytest.mark.parametrize("size", [1e-38, 1e-20, 1e20, 1e38])
@pytest.mark.parametrize(("name", "options"), TRUNK)
def test_numbers_beyond_fp16_stay_finite(name: str, options: Options, size: float) -> None:
    matrix = size * normal(20, 12).clamp(-3, 3)
    assert bool(torch.isfinite(decoded(name, matrix, options, covariance=torch.eye(12))).all())


@pytest.mark.parametrize(("name", "options"), TRUNK)
def test_the_matrix_is_left_as_it_was(name: str, options: Options) -> None:
    matrix = normal(20, 12)
    decoded(name, matrix, options, covariance=correlated(12))
    assert torch.equal(matrix, normal(20, 12))
