"""Every rule by which one trial is picked among others, each on trials where another rule would pick another."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_verdict import trial as made

from golfbudget.evidence import Evidence
from golfbudget.plan.trials import Side, Trial, Trials
from golfbudget.quality.intervals import Interval

FREE = Evidence.EQUAL_ERROR


def trial(name: str, saved: int, *, steps: int = 0, loser: str | None = None, **more: object) -> Trial:
    found = made(name, saved, **more)  # type: ignore[arg-type]
    return replace(found, candidate=replace(found.candidate, steps=steps), loser=loser)


FEW = trial("head-few", 10, delta=0.0)
MANY = trial("trunk-many", 90, delta=0.01)
SAME = trial("vq-same", 40, evidence=FREE)
DARK = trial("trunk-dark", 500)
LOST = trial("vq-lost", 700, delta=0.0, loser="tie-floor")
TRAINED = trial("vq-trained", 60, delta=-0.004, width=0.01, steps=5)
ALL = Trials((FEW, MANY, SAME, DARK, LOST, TRAINED))


def names(trials: Trials) -> list[str]:
    return [each.name for each in trials]


def test_groups_keep_the_order_and_the_comparison() -> None:
    found = Interval(delta=1.5, low=1.0, high=2.0, blocks=100)
    compared = Trials(ALL.items, lambda _one, _other: found)
    for group in (compared.head, compared.trunk, compared.vq, compared.control, compared.costless, compared.saving(50)):
        assert names(group) == [name for name in names(ALL) if name in names(group)]
        assert group.compare(FEW, MANY) is found
    assert names(ALL.head) == ["head-few", "vq-same", "vq-lost", "vq-trained"]
    assert names(ALL.vq) + names(ALL.control) == ["vq-same", "vq-lost", "vq-trained", "head-few"]
    assert names(ALL.trunk) == ["trunk-many", "trunk-dark"]
    assert names(ALL.untrained) == [name for name in names(ALL) if name != "vq-trained"]
    assert names(ALL.saving(60)) == ["trunk-many", "trunk-dark", "vq-lost", "vq-trained"]
    assert names(ALL.called({"vq-same", "nothing", None})) == ["vq-same"]
    assert not ALL.on(Side.LOSSLESS)
    assert names(ALL.replacing(frozenset({"w"}))) == names(ALL)
    assert not ALL.replacing(frozenset({"w", "v"}))


def test_what_is_known_of_a_loss() -> None:
    assert names(ALL.known) == ["head-few", "trunk-many", "vq-same", "vq-trained"]
    assert names(ALL.unknown) == ["trunk-dark"]
    assert names(ALL.measured) == ["head-few", "trunk-many", "vq-trained"]
    # The trained one may cost more than nothing: its interval reaches over the tolerance.
    assert names(ALL.costless) == ["head-few", "vq-same"]


def test_one_of_them_by_each_rule() -> None:
    assert ALL.named("vq-same") is SAME
    assert ALL.named("nothing") is ALL.named(None) is None
    assert ALL.most_saved() is SAME
    assert ALL.largest_saving() is LOST
    assert ALL.least_lossy() is TRAINED
    assert ALL.saving(61).least_lossy() is MANY
    assert ALL.vq.closest() is TRAINED
    assert Trials((LOST,)).closest() is LOST
    empty = Trials()
    for pick in (empty.most_saved, empty.largest_saving, empty.least_lossy, empty.closest):
        assert pick() is None


def test_what_does_not_fit_is_not_the_best_that_fits() -> None:
    tight = Trials(tuple(replace(each, fits=each is MANY or each is DARK) for each in ALL))
    best = tight.fitting.least_lossy()
    assert best is not None
    assert best.name == "trunk-many"


def test_at_one_loss_the_one_that_saves_most_and_then_the_first_name() -> None:
    twins = [trial(name, saved, evidence=FREE) for name, saved in (("head-b", 5), ("head-a", 5), ("head-c", 4))]
    for trials in (Trials(tuple(twins)), Trials(tuple(reversed(twins)))):
        for pick in (trials.most_saved, trials.least_lossy):
            found = pick()
            assert found is not None
            assert found.name == "head-a"


def test_beaten_in_both_bytes_and_loss() -> None:
    assert names(ALL.vq.beaten_by(ALL.control)) == []
    assert names(ALL.vq.beaten_by(Trials((trial("head", 60, delta=-0.004),)))) == ["vq-same", "vq-trained"]


def test_replacing_and_adding() -> None:
    other = trial("vq-same", 41, evidence=FREE)
    changed = ALL.replaced({"vq-same": other})
    assert changed.named("vq-same") is other
    assert names(changed) == names(ALL)
    assert names(ALL.with_more(other))[-1] == "vq-same"
    assert changed[0] is FEW
    assert changed[-2:] == (LOST, TRAINED)


def test_unmeasured_trials_do_not_compare() -> None:
    with pytest.raises(RuntimeError, match="only where they were measured"):
        ALL.compare(FEW, MANY)


LOSSES = st.one_of(st.none(), st.integers(-3, 3).map(lambda n: n / 100))


@given(st.lists(st.tuples(st.integers(-50, 50), LOSSES), max_size=8))
def test_the_order_marks_what_nothing_beats(pairs: list[tuple[int, float | None]]) -> None:
    trials = Trials(tuple(trial(f"head-{n}", saved, delta=loss) for n, (saved, loss) in enumerate(pairs))).in_order()
    counted = [each.counted_bytes for each in trials]
    assert counted == sorted(counted)
    for each in trials:
        better = [
            other
            for other in trials.known
            if other.counted_bytes <= each.counted_bytes and other.loss <= each.loss
            and (other.counted_bytes, other.loss) != (each.counted_bytes, each.loss)
        ]  # fmt: skip
        assert each.pareto is (each.known and not better)
