"""Certificates against brute force over every partition, published figures, and the laws they rest on."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from golfbudget import certificates
from golfbudget.certificates import (
    CEILING_BITS,
    Certificate,
    allowance,
    best_biased_floor,
    best_partition,
    best_partitions,
    best_tie_floor,
    biased_bound,
    biased_floor,
    biased_floor_nats,
    bits_per_byte,
    ceiling,
    marks_loser,
    nats_per_token,
    price_of,
    structure_found,
    tie_floor,
    tie_floor_nats,
    tied_rows,
)
from golfbudget.errors import UsageError
from golfbudget.evidence import Evidence

SMALL_COUNTS = st.lists(st.integers(0, 30), min_size=1, max_size=7).filter(any)
COUNTS = st.lists(st.integers(0, 10_000), min_size=1, max_size=60).filter(any)


def set_partitions(tokens: Sequence[int]) -> Iterator[list[list[int]]]:
    """Every partition of the tokens into blocks, each once."""
    if not tokens:
        yield []
        return
    for partition in set_partitions(tokens[1:]):
        yield [[tokens[0]], *partition]
        for at, block in enumerate(partition):
            yield [*partition[:at], [tokens[0], *block], *partition[at + 1 :]]


def plain(counts: Sequence[int], partition: list[list[int]]) -> float:
    return math.fsum(counts[w] * math.log(len(block)) for block in partition for w in block) / sum(counts)


def biased(counts: Sequence[int], partition: list[list[int]]) -> float:
    """H(W|C) from its definition: the entropy within each code, weighted by the code's share."""
    total = sum(counts)
    terms = []
    for block in partition:
        mass = sum(counts[w] for w in block)
        terms += [-counts[w] / total * math.log(Fraction(counts[w], mass)) for w in block if counts[w]]
    return math.fsum(terms)


def as_codes(partition: list[list[int]]) -> list[int]:
    codes = {w: 7 * number - 3 for number, block in enumerate(partition) for w in block}
    return [codes[w] for w in range(len(codes))]


def zipf(vocabulary: int, offset: float = 0.0) -> NDArray[np.float64]:
    ranks: NDArray[np.float64] = np.arange(1, vocabulary + 1, dtype=np.float64)
    return 1.0 / (ranks + offset)


def test_there_are_as_many_partitions_as_bell_counted() -> None:
    assert [sum(1 for _ in set_partitions(range(n))) for n in range(8)] == [1, 1, 2, 5, 15, 52, 203, 877]


@pytest.mark.slow
@given(SMALL_COUNTS)
def test_floors_of_a_map_are_their_definitions(counts: list[int]) -> None:
    for partition in set_partitions(range(len(counts))):
        codes = as_codes(partition)
        # Pytest's own approximation takes longer than the floors do.
        assert abs(tie_floor_nats(counts, codes) - plain(counts, partition)) <= 1e-12
        assert abs(biased_floor_nats(counts, codes) - biased(counts, partition)) <= 1e-12


@pytest.mark.slow
@given(SMALL_COUNTS)
def test_the_best_floor_is_that_of_the_best_of_all_partitions(counts: list[int]) -> None:
    every = list(set_partitions(range(len(counts))))
    numbers = range(1, len(counts) + 2)
    for codes, found in zip(numbers, best_partitions(counts, numbers), strict=True):
        best = min(plain(counts, partition) for partition in every if len(partition) <= codes)
        assert found.floor == pytest.approx(best, abs=1e-12)
        assert biased_bound(counts, codes) <= min(biased(counts, p) for p in every if len(p) <= codes) + 1e-12


@given(COUNTS, st.data())
def test_the_best_floor_is_that_of_the_layered_program(counts: list[int], data: st.DataObject) -> None:
    """The textbook dynamic program over runs of sorted counts, without any speed-up."""
    size = len(counts)
    codes = data.draw(st.integers(1, size))
    ranked = sorted(counts, reverse=True)
    prefix = [sum(ranked[:i]) for i in range(size + 1)]
    best = [0.0] + [math.inf] * size
    for _ in range(codes):
        best = [
            min(
                (best[i] + (prefix[j] - prefix[i]) * math.log(j - i) for i in range(j) if best[i] < math.inf),
                default=math.inf,
            )
            for j in range(size + 1)
        ]
    found = best_partition(counts, codes)
    assert found.floor == pytest.approx(best[size] / sum(counts), rel=1e-11, abs=1e-12)
    # The bound is no formality: the map that is returned has that floor, and uses no more codes.
    assert tie_floor_nats(counts, found.codes) == pytest.approx(found.floor, rel=1e-11, abs=1e-12)
    assert found.attained >= found.floor
    assert len(set(found.codes.tolist())) <= codes


@given(COUNTS, st.data())
def test_no_partition_of_any_kind_goes_below_the_floor(counts: list[int], data: st.DataObject) -> None:
    codes = data.draw(st.lists(st.integers(0, 12), min_size=len(counts), max_size=len(counts)))
    used = len(set(codes))
    own, own_biased = tie_floor_nats(counts, codes), biased_floor_nats(counts, codes)
    assert best_partition(counts, used).floor <= own + 1e-12
    assert biased_bound(counts, used) <= own_biased + 1e-12
    # A bias can only help: within a code nothing is more uncertain than an even split.
    assert own_biased <= own + 1e-12


@given(COUNTS, st.data())
def test_no_model_with_tied_logits_scores_below_its_floor(counts: list[int], data: st.DataObject) -> None:
    """Cross-entropy of any distribution that gives a code's tokens equal shares, or one fixed split."""
    size = len(counts)
    codes = np.array(data.draw(st.lists(st.integers(0, 5), min_size=size, max_size=size)))
    logits = np.array(data.draw(st.lists(st.floats(-8, 8), min_size=6, max_size=6)))[codes]
    bias = np.array(data.draw(st.lists(st.floats(-8, 8), min_size=size, max_size=size)))

    def loss(scores: NDArray[np.float64]) -> float:
        return float(np.array(counts) @ (np.log(np.exp(scores).sum()) - scores)) / sum(counts)

    assert loss(logits) >= tie_floor_nats(counts, codes) - 1e-9
    assert loss(logits + bias) >= biased_floor_nats(counts, codes) - 1e-9


@given(COUNTS)
def test_floors_fall_convexly_to_zero(counts: list[int]) -> None:
    numbers = range(1, len(counts) + 1)
    values = [found.floor for found in best_partitions(counts, numbers)]
    assert values[0] == pytest.approx(math.log(len(counts)))
    assert values[-1] == pytest.approx(0, abs=1e-12)
    steps = np.diff(values)
    assert (steps <= 1e-12).all()
    assert (np.diff(steps) >= -1e-11).all()


@pytest.mark.parametrize(
    ("vocabulary", "offset", "expected"),
    [
        (8192, 0.0, (0.149, 0.380, 0.680)),
        # The middle one is published as 0.484; the layered program gives 0.4845455, as here.
        (1024, 0.0, (0.190, 0.485, 0.867)),
        (1024, 2.7, (0.246, 0.626, 1.114)),
    ],
)
def test_known_best_floors(vocabulary: int, offset: float, expected: tuple[float, ...]) -> None:
    found = best_partitions(zipf(vocabulary, offset), [vocabulary // over for over in (2, 4, 8)])
    assert [round(best.floor, 3) for best in found] == list(expected)
    for best in found:
        assert best.attained == pytest.approx(best.floor, rel=1e-11)
        assert tie_floor_nats(zipf(vocabulary, offset), best.codes) == pytest.approx(best.floor, rel=1e-11)


def test_the_best_floor_at_true_size_is_that_of_the_layered_program() -> None:
    size, codes = 1024, 128
    prefix = np.concatenate(([0.0], np.cumsum(zipf(size))))
    cost = np.full((size + 1, size + 1), np.inf)
    for start in range(size):
        cost[start, start + 1 :] = (prefix[start + 1 :] - prefix[start]) * np.log(np.arange(1, size - start + 1))
    best = np.full(size + 1, np.inf)
    best[0] = 0
    for _ in range(codes):
        best = (best[:, None] + cost).min(axis=0)
    assert best_partition(zipf(size), codes).floor == pytest.approx(best[size] / prefix[size], rel=1e-12)


def test_known_bounds_with_bias() -> None:
    found = [biased_bound(zipf(8192), 8192 // over) for over in (2, 4, 8)]
    assert [round(value, 3) for value in found] == [0.147, 0.378, 0.678]


def test_equal_codes_at_99_percent_fewer_rows_lose_more_than_4_6_nats() -> None:
    codes = np.arange(8192) % 82
    assert tie_floor_nats(np.ones(8192), codes) == pytest.approx(math.log(100), abs=0.002)
    assert tie_floor_nats(zipf(8192), codes) >= 4.59
    assert tie_floor_nats(zipf(8200), np.arange(8200) % 82) == pytest.approx(math.log(100))
    assert math.log(100) >= 4.6


def test_an_even_vocabulary_is_cut_evenly_and_ties_stay_tied_under_any_bias() -> None:
    found = best_partition(np.full(64, 5), 16)
    assert sorted(np.bincount(found.codes)) == [4] * 16
    assert found.floor == pytest.approx(math.log(4))
    assert biased_bound(np.full(64, 5), 16) == pytest.approx(math.log(4))


def test_unseen_tokens_may_share_a_code_for_nothing() -> None:
    counts = [5, 0, 3, 0, 0, 2]
    assert best_partition(counts, 4).floor == 0
    assert best_partition(counts, 3).floor > 0
    assert biased_bound(counts, 3) == 0


def test_the_order_of_tokens_does_not_matter() -> None:
    counts = np.random.default_rng(0).integers(1, 900, 200)
    shuffled = np.random.default_rng(1).permutation(counts)
    assert best_partition(counts, 37).floor == pytest.approx(best_partition(shuffled, 37).floor, rel=1e-13)


@pytest.mark.parametrize(
    ("counts", "codes", "message"),
    [
        ([1, 2], [0], r"integers \[2\], one for each counted token, found int64 \[1\]"),
        ([1, 2], [0.5, 1.0], "must be integers"),
        ([0, 0], [0, 1], "not all zero"),
        ([1, -1], [0, 1], "none negative"),
        ([1, math.nan], [0, 1], "finite"),
        ([[1, 2]], [0, 1], r"numbers \[vocabulary\], found int64 \[1, 2\]"),
    ],
)
def test_counts_and_maps_that_do_not_fit_are_refused(counts: list[float], codes: list[float], message: str) -> None:
    for floor in (tie_floor_nats, biased_floor_nats):
        with pytest.raises(UsageError, match=message):
            floor(counts, codes)


def test_equal_rows_of_a_decoded_matrix_are_one_code() -> None:
    rows = np.array([[0.0, 1.0], [2.0, 2.0], [-0.0, 1.0], [2.0, 2.0], [1.0, 0.0]], dtype=np.float32)
    codes = tied_rows(rows).tolist()
    assert codes[0] == codes[2]
    assert codes[1] == codes[3]
    assert len(set(codes)) == 3
    assert len(set(tied_rows(np.zeros((3, 0))))) == 1
    with pytest.raises(UsageError, match=r"expected a matrix .*found float32 \[2\]"):
        tied_rows(rows[0])


def test_no_codes_are_refused() -> None:
    for function in (best_partition, biased_bound):
        with pytest.raises(UsageError, match="at least one code, found 0"):
            function([1, 2], 0)


def test_certificates_say_what_they_hold() -> None:
    counts, codes = [6, 2, 1, 1], [0, 1, 2, 2]
    floors = [
        tie_floor(counts, codes, of="head-vq3"),
        biased_floor(counts, codes, of="head-vq3"),
        best_tie_floor(counts, 3),
        best_biased_floor(counts, 3),
    ]
    assert [floor.value for floor in floors] == pytest.approx([0.2 * math.log(2)] * 4)
    assert {(floor.unit, floor.evidence) for floor in floors} == {("nats/token", Evidence.CERTIFIED)}
    assert len({floor.name for floor in floors}) == 4
    assert all("3 codes" in floor.statement and floor.source for floor in floors)


def test_a_floor_marks_a_loser_only_above_the_loss_to_be_beaten() -> None:
    floor = best_tie_floor([1, 1, 1, 1], 2)
    assert floor.value == pytest.approx(math.log(2))
    assert marks_loser(floor, 0.69)
    assert not marks_loser(floor, floor.value)
    assert not marks_loser(floor, 0.70)
    modelled = Certificate(
        name="m", statement="s", value=9.0, unit="nats/token", source="a guess", evidence=Evidence.MODELLED
    )
    assert not marks_loser(modelled, 1.0)
    with pytest.raises(UsageError, match="only a floor"):
        marks_loser(ceiling(8, of="head"), 1.0)
    with pytest.raises(UsageError, match="finite"):
        marks_loser(floor, math.nan)


def test_prices_and_conversions_are_arithmetic() -> None:
    # The contest's bar, 0.005 nats a token, at the 3.7 bytes a token of a vocabulary of 8192.
    assert bits_per_byte(0.005, 3.7187) == pytest.approx(0.00194, abs=1e-6)
    assert nats_per_token(bits_per_byte(0.37, 2.4), 2.4) == pytest.approx(0.37)
    assert allowance(1_000_000, 4) == pytest.approx(0.004)
    assert price_of(0.004, 1_000_000) == pytest.approx(4)
    assert price_of(0.004, 0) is None
    for wrong in (0.0, math.inf, -1.0):
        with pytest.raises(UsageError, match="bytes per token"):
            bits_per_byte(1.0, wrong)
    with pytest.raises(UsageError, match="price"):
        allowance(5, -1.0)


def test_the_ceiling_is_133_kilobytes_for_8192_rows_of_512_and_never_certified() -> None:
    assert round(CEILING_BITS, 4) == 0.2546
    found = ceiling(8192 * 512, of="tok_emb.weight")
    assert round(found.value) == 133_491
    assert found.evidence is Evidence.MODELLED
    assert not structure_found(8192 * 512, scalar_bytes=2_000_000, vector_bytes=2_000_000 - 133_491)
    assert structure_found(8192 * 512, scalar_bytes=2_000_000, vector_bytes=2_000_000 - 133_492)
    with pytest.raises(UsageError, match="zero or more"):
        ceiling(-1, of="nothing")


def test_certificates_do_not_reach_torch() -> None:
    for path in Path(certificates.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & {"torch", "scipy"}, path
