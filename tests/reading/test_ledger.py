"""The law, as properties: a ledger owns every byte once, or does not exist."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from golfbudget.errors import LedgerError
from golfbudget.ledger import Account, Entry, Ledger, Role, Span, apportion, check_tiling
from golfbudget.rollup import roll_up, total


def entry(start: int, stop: int, bits: int, **changes: object) -> Entry:
    made = Entry(owner="t", role=Role.TRUNK, account=Account.WEIGHTS, stored_bits=bits, leaf=0, span=Span(start, stop))
    return replace(made, **changes)


@st.composite
def ledgers(draw: st.DrawFn) -> Ledger:
    """A valid ledger: random cuts of a random length, bits in any proportion that sums to the file."""
    length = draw(st.integers(0, 400))
    cuts = sorted({0, length, *draw(st.lists(st.integers(0, length), max_size=12))})
    spans = list(pairwise(cuts)) or [(0, 0)]
    size = draw(st.integers(0, 500))
    bits = apportion(8 * size, draw(st.lists(st.integers(0, 9), min_size=len(spans) + 1, max_size=len(spans) + 1)))
    roles, accounts = st.sampled_from(list(Role)), st.sampled_from(list(Account))
    entries = [
        Entry(
            owner=draw(st.sampled_from("abc")),
            role=draw(roles),
            account=draw(accounts),
            stored_bits=share,
            leaf=0,
            span=Span(*span),
        )
        for span, share in zip(spans, bits, strict=False)
    ]
    framing = Entry(owner="[zlib]", role=Role.SHARED, account=Account.CODEC, stored_bits=bits[len(spans)])
    return Ledger(size=size, leaves=(length,), entries=(*draw(st.permutations(entries)), framing))


@given(ledgers())
def test_stored_bytes_sum_to_the_file(ledger: Ledger) -> None:
    assert sum(ledger.stored_bytes()) == ledger.size
    assert sum(entry.decoded_bytes for entry in ledger.entries) == sum(ledger.leaves)


KEYS: list[Callable[[Entry], object]] = [
    lambda e: e.role,
    lambda e: e.account,
    lambda e: e.owner,
    lambda e: (e.role, e.account),
    lambda _: None,
]


@given(ledgers(), st.sampled_from(KEYS))
def test_roll_up_by_any_key_sums_to_the_ledger(ledger: Ledger, key: Callable[[Entry], object]) -> None:
    whole = total(roll_up(ledger, key).values())
    assert whole.stored_bytes == ledger.size
    assert whole.stored_bits == 8 * ledger.size
    assert whole.decoded_bytes == ledger.leaves[0]


@given(ledgers(), st.data())
def test_a_ledger_with_any_one_entry_changed_does_not_exist(ledger: Ledger, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(ledger.entries) - 1))
    chosen = ledger.entries[number]
    changed = replace(chosen, stored_bits=chosen.stored_bits + data.draw(st.integers(1, 100)))
    entries = [*ledger.entries[:number], changed, *ledger.entries[number + 1 :]]
    with pytest.raises(LedgerError, match="sum to"):
        Ledger(size=ledger.size, leaves=ledger.leaves, entries=tuple(entries))


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**6), min_size=1, max_size=30))
def test_apportioning_sums_exactly_and_is_within_one_of_the_share(amount: int, weights: list[int]) -> None:
    parts = apportion(amount, weights)
    assert sum(parts) == amount
    if sum(weights):
        assert all(abs(p * sum(weights) - amount * w) < sum(weights) for p, w in zip(parts, weights, strict=True))


def test_nothing_can_be_apportioned_to_nobody() -> None:
    assert apportion(0, []) == ()
    with pytest.raises(LedgerError):
        apportion(1, [])
    with pytest.raises(LedgerError):
        apportion(1, [-1, 2])


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([(0, 4), (5, 10)], r"\[4, 5\) are owned by nobody"),
        ([(0, 6), (5, 10)], r"\[5, 6\) are owned twice"),
        ([(0, 9)], "end at byte 9, the stream at 10"),
        ([(0, 11)], "end at byte 11, the stream at 10"),
        ([], "end at byte 0, the stream at 10"),
        ([(0, 10), (3, 3)], "owned twice"),
    ],
)
def test_gaps_and_overlaps_are_refused(spans: list[tuple[int, int]], message: str) -> None:
    with pytest.raises(LedgerError, match=message):
        check_tiling(10, [Span(*span) for span in spans], "leaf")


def test_a_ledger_refuses_entries_that_name_no_leaf_of_its_own() -> None:
    with pytest.raises(LedgerError, match="leaf 1 of 1"):
        Ledger(size=1, leaves=(1,), entries=(entry(0, 1, 8, leaf=1),))
    with pytest.raises(LedgerError, match="without a span"):
        Ledger(size=1, leaves=(1,), entries=(entry(0, 1, 8, span=None),))
    with pytest.raises(LedgerError, match="negative"):
        Ledger(size=1, leaves=(1,), entries=(entry(0, 1, -8),))


def test_a_span_never_runs_backwards() -> None:
    with pytest.raises(LedgerError):
        Span(2, 1)
    with pytest.raises(LedgerError):
        Span(-1, 1)


def test_the_check_also_runs_without_assertions() -> None:
    import subprocess
    import sys

    program = "from golfbudget.ledger import Ledger; Ledger(size=1, leaves=(1,), entries=())"
    done = subprocess.run([sys.executable, "-O", "-c", program], capture_output=True, text=True, check=False)
    assert "LedgerError" in done.stderr
