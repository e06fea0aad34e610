"""What schemes promise beyond the kit: least squares, true bit widths, published raw sizes."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from golfbudget import schemes
from golfbudget.errors import UsageError
from golfbudget.schemes import Context
from golfbudget.schemes.packing import bits_for, pack_bits, pack_trits, unpack_bits, unpack_trits
from golfbudget.schemes.scalar import fit_rows, fit_ternary, row_values


def error(matrix: torch.Tensor, values: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    return (matrix - row_values(values, scales)).square().sum(1)


@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 40), st.sampled_from([1, 3, 7, 31, 127]))
@settings(max_examples=60)
def test_fitted_scales_never_lose_to_scales_that_clip_nothing(seed: int, rows: int, columns: int, levels: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(rows, columns, generator=generator) * 10 ** torch.randn(rows, 1, generator=generator)
    fitted = error(matrix, *fit_rows(matrix, levels))
    scale = (matrix.abs().amax(1) / levels).clamp(2.0**-24).half().float()
    plain = (matrix / scale[:, None]).round().clamp(-levels, levels)
    assert bool((fitted <= error(matrix, plain, scale) * (1 + 1e-6) + 1e-12).all())


@pytest.mark.parametrize("levels", [1, 3, 7, 31])
def test_fitted_scales_are_as_good_as_a_fine_search(levels: int) -> None:
    matrix = torch.randn(16, 96, generator=torch.Generator().manual_seed(1))
    fitted = error(matrix, *fit_rows(matrix, levels))
    best = torch.full((16,), float("inf"))
    for share in torch.linspace(0.02, 1.05, 4000):
        scale = (matrix.abs().amax(1) * share / levels).half().float()
        values = (matrix / scale[:, None]).round().clamp(-levels, levels)
        best = torch.minimum(best, error(matrix, values, scale))
    assert float((fitted / best).mean()) < 1.005
    assert float((fitted / best).max()) < 1.05


@pytest.mark.slow
@given(st.lists(st.floats(-4, 4, width=16), min_size=1, max_size=7))
@settings(max_examples=60)
def test_ternary_equals_a_search_over_every_assignment(row: list[float]) -> None:
    matrix = torch.tensor([row])
    ours = float(error(matrix, *fit_ternary(matrix))[0])
    best = float(matrix.square().sum())
    for signs in itertools.product((-1.0, 0.0, 1.0), repeat=len(row)):
        values = torch.tensor(signs)
        energy = float(values.square().sum())
        if energy:
            scale = max(0.0, float((matrix[0] * values).sum()) / energy)
            best = min(best, float((matrix[0] - scale * values).square().sum()))
    # The scale is stored in fp16, which costs up to 2**-11 of it, and 2**-24 at least.
    assert ours <= best + float(matrix.square().sum()) * 2**-20 + 1e-5


@given(st.integers(1, 13), st.lists(st.integers(0, 2**13 - 1), max_size=50))
def test_bit_packing_round_trips_at_its_true_width(bits: int, values: list[int]) -> None:
    numbers = torch.tensor([v % 2**bits for v in values], dtype=torch.int64)
    packed = pack_bits(numbers, bits)
    assert len(packed) == -(-len(values) * bits // 8)
    assert torch.equal(unpack_bits(packed, bits, len(values)), numbers)


@given(st.lists(st.integers(-1, 1), min_size=1, max_size=50))
def test_trit_packing_round_trips_five_to_a_byte(values: list[int]) -> None:
    trits = torch.tensor(values, dtype=torch.int8)
    packed = pack_trits(trits)
    assert len(packed) == -(-len(values) // 5)
    assert torch.equal(unpack_trits(packed, len(values)), trits)


def test_raw_sizes_follow_the_published_formulas() -> None:
    rows, width, codes = 1000, 24, 60
    matrix = torch.randn(rows, width, generator=torch.Generator().manual_seed(0))
    vq = schemes.get("vq-logits").encode(matrix, {"codes": codes}, Context())
    assert sum(t.raw_bytes for t in vq.tables) == codes * width * 2 + -(-rows * bits_for(codes) // 8)
    scalar = schemes.get("scalar").encode(matrix, {"bits": 8}, Context())
    assert sum(t.raw_bytes for t in scalar.tables) == rows * width + 2 * rows
    packed = schemes.get("ternary-packed").encode(matrix, {}, Context())
    assert sum(t.raw_bytes for t in packed.tables) == -(-rows * width // 5) + 2 * rows


@pytest.mark.parametrize("bits", [4, 6])
def test_scales_by_the_largest_magnitude_clip_nothing_and_have_no_less_error(bits: int) -> None:
    matrix = torch.randn(64, 128, generator=torch.Generator().manual_seed(1)) ** 3
    scalar, levels = schemes.get("scalar"), 2 ** (bits - 1) - 1
    largest = scalar.encode(matrix, {"bits": bits, "scale": "maximum"}, Context())
    fitted = scalar.encode(matrix, {"bits": bits}, Context())
    expected = (matrix.abs().amax(1) / levels).half()
    assert torch.equal(largest.tensor("scales"), expected)
    # Only the scale's own rounding to fp16 moves anything by more than half a step.
    assert bool(((scalar.decode(largest) - matrix).abs() <= 0.51 * expected.float()[:, None]).all())
    errors = [float((scalar.decode(encoded) - matrix).square().sum()) for encoded in (fitted, largest)]
    assert errors[0] < errors[1]
    with pytest.raises(UsageError, match="option scale is 'widest', expected fitted or maximum"):
        scalar.encode(matrix, {"bits": bits, "scale": "widest"}, Context())


def test_well_separated_rows_are_all_found() -> None:
    generator = torch.Generator().manual_seed(5)
    base = 10 * torch.randn(64, 32, generator=generator)
    owner = torch.randint(0, 64, (1024,), generator=generator)
    matrix = base[owner] + 0.01 * torch.randn(1024, 32, generator=generator)
    decoded = schemes.get("vq-logits").decode(schemes.get("vq-logits").encode(matrix, {"codes": 64}, Context()))
    assert float((matrix - decoded).abs().max()) < 0.1


def test_tokens_on_one_code_decode_to_the_same_row() -> None:
    matrix = torch.randn(50, 8, generator=torch.Generator().manual_seed(2))
    decoded = schemes.get("vq-logits").decode(schemes.get("vq-logits").encode(matrix, {"codes": 9}, Context()))
    assert len(torch.unique(decoded, dim=0)) <= 9


def test_counts_pull_the_codebook_towards_frequent_tokens() -> None:
    matrix = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
    counts = torch.tensor([1000, 0, 0, 0])
    weighted = schemes.get("vq-logits").encode(matrix, {"codes": 2}, Context(counts=counts))
    assert float(weighted.tensor("codebook").float().abs().min()) < 0.01
    with pytest.raises(UsageError, match="for 3 tokens, the matrix has 4 rows"):
        schemes.get("vq-logits").encode(matrix, {"codes": 2}, Context(counts=torch.ones(3)))
