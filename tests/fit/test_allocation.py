"""The joint allocation against brute force over every choice."""

from __future__ import annotations

import math
import random
from itertools import product

import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

from golfbudget.errors import UsageError
from golfbudget.plan.joint import Option, TensorGroup, allocate

Choices = list[list[tuple[int, float]]]


def groups_of(choices: Choices) -> list[TensorGroup]:
    return [
        TensorGroup(
            name=f"g{i}", options=tuple(Option(name=f"o{j}", bytes=b, loss=x) for j, (b, x) in enumerate(options))
        )
        for i, options in enumerate(choices)
    ]


def brute_force(choices: Choices, cap: int) -> tuple[float, int] | None:
    """(least loss, fewest bytes at that loss) over every choice within the cap."""
    within = [c for c in product(*choices) if sum(b for b, _ in c) <= cap]
    return min(((math.fsum(x for _, x in c), sum(b for b, _ in c)) for c in within), default=None)


def check(choices: Choices, cap: int) -> None:
    expected, found = brute_force(choices, cap), allocate(groups_of(choices), cap)
    if expected is None:
        assert found.chosen is None
        assert found.loss is None
        assert found.bytes == sum(min(b for b, _ in options) for options in choices)
        assert found.bytes > cap
        return
    assert found.chosen is not None
    taken = [options[int(found.chosen[f"g{i}"][1:])] for i, options in enumerate(choices)]
    assert found.bytes == sum(b for b, _ in taken) <= cap
    assert found.loss == math.fsum(x for _, x in taken)
    assert (found.loss, found.bytes) == pytest.approx(expected, rel=1e-11, abs=1e-15)


def choices_of(losses: st.SearchStrategy[float], most: int) -> st.SearchStrategy[Choices]:
    option = st.tuples(st.integers(-most, most), losses)
    return st.lists(st.lists(option, min_size=1, max_size=4), min_size=1, max_size=4)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(choices_of(st.integers(0, 5).map(float), 12), st.integers(-30, 40))
def test_the_allocation_is_the_best_of_all_choices_and_ties_go_to_fewer_bytes(choices: Choices, cap: int) -> None:
    check(choices, cap)


@settings(max_examples=60, deadline=None)
@given(choices_of(st.integers(-(10**6), 10**6).map(lambda n: n / 1e9), 4_000_000), st.data())
def test_it_is_exact_at_true_sizes_and_at_the_very_byte(choices: Choices, data: st.DataObject) -> None:
    """Millions of bytes, losses of micro bits; the cap is the size of one choice, or a byte under."""
    some = data.draw(st.tuples(*(st.sampled_from(options) for options in choices)))
    check(choices, sum(b for b, _ in some) - data.draw(st.integers(0, 1)))


def test_the_order_of_groups_and_options_does_not_matter() -> None:
    generator = random.Random(0)
    choices: Choices = [[(generator.randrange(50), generator.randrange(4) / 4) for _ in range(4)] for _ in range(6)]
    groups = groups_of(choices)
    shuffled = [
        TensorGroup(name=g.name, options=tuple(generator.sample(g.options, 4))) for g in generator.sample(groups, 6)
    ]
    assert allocate(groups, 120) == allocate(shuffled, 120) == allocate(groups, 120)


def test_a_head_and_a_trunk_share_one_cap() -> None:
    head = TensorGroup(
        name="head",
        options=(
            Option(name="int8", bytes=2_200_000, loss=0.0),
            Option(name="int6", bytes=1_650_000, loss=0.0030),
            Option(name="vq1024", bytes=1_100_000, loss=0.0500),
        ),
    )
    trunk = TensorGroup(
        name="trunk",
        options=(
            Option(name="int6", bytes=13_900_000, loss=0.0),
            Option(name="int5", bytes=12_000_000, loss=0.0100),
        ),
    )
    spare = allocate([head, trunk], 16_200_000)
    assert spare.chosen == {"head": "int8", "trunk": "int6"}
    tight = allocate([head, trunk], 15_600_000)
    assert tight.chosen == {"head": "int6", "trunk": "int6"}
    assert (tight.bytes, tight.loss) == (15_550_000, 0.0030)
    tighter = allocate([head, trunk], 15_000_000)
    assert tighter.chosen == {"head": "int8", "trunk": "int5"}
    nothing = allocate([head, trunk], 13_000_000)
    assert (nothing.chosen, nothing.bytes) == (None, 13_100_000)


def test_many_groups_are_solved_at_once() -> None:
    """Seventy tensors with eight options each: checked by the bound of the relaxed program's duals."""
    generator = random.Random(1)
    choices: Choices = []
    for _ in range(70):
        size = generator.randrange(100_000, 400_000)
        choices.append([(size * bits // 8, size * 4.0**-bits * generator.uniform(0.5, 2)) for bits in range(1, 9)])
    cap = 8_000_000
    found = allocate(groups_of(choices), cap)
    assert found.loss is not None
    assert found.bytes <= cap
    # Weak duality: no choice within the cap has a loss below this, for any multiplier.
    bounds = [
        math.fsum(min(x + 10**m * b for b, x in options) for options in choices) - 10**m * cap
        for m in (n / 50 - 6 for n in range(350))
    ]
    assert max(bounds) <= found.loss <= max(bounds) * 1.01


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([TensorGroup(name="a", options=())], "group a has no options"),
        (groups_of([[(1, 0.0)]]) * 2, "group names repeat"),
        ([TensorGroup(name="a", options=(Option(name="x", bytes=1, loss=0.0),) * 2)], "option names repeat in group a"),
        (groups_of([[(1, math.nan)]]), "g0/o0 has loss nan"),
    ],
)
def test_what_cannot_be_allocated_is_refused(groups: list[TensorGroup], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        allocate(groups, 10)


def test_a_solver_that_oversteps_the_cap_by_its_tolerance_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The solver's answers are let past the cap by five bytes, as its tolerance allows on large numbers."""
    real, calls = scipy.optimize.milp, []

    def tolerant(*given: object, constraints: list[scipy.optimize.LinearConstraint], **options: object) -> object:
        room = constraints[1]
        calls.append(len(constraints))
        relaxed = scipy.optimize.LinearConstraint(room.A, room.lb, room.ub + 5)
        return real(*given, constraints=[constraints[0], relaxed, *constraints[2:]], **options)

    monkeypatch.setattr(scipy.optimize, "milp", tolerant)
    choices: Choices = [[(0, 9.0), (50, 4.0), (53, 1.0), (54, 0.0)], [(0, 9.0), (50, 3.0), (52, 0.5)]]
    check(choices, 103)
    assert max(calls) > 4
    check(choices, 102)
    check(choices, 200)


def test_no_groups_take_no_bytes() -> None:
    assert allocate([], 5).chosen == {}
    assert allocate([], 5).loss == 0.0
