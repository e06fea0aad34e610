"""The lowest tie floor that any partition of the vocabulary into K codes can have.

Without bias the floor of a partition is the mean over tokens of ln n, n being the size of the token's code.

*The best partition is contiguous in sorted counts.*  For given code sizes the sum of count times ln n is least when
large counts meet small sizes (rearrangement inequality), so tokens sorted by falling count are cut into K runs.

*The cost of a run is Monge.*  With P the prefix sums of the sorted counts, run [i, j) costs (P[j] - P[i]) ln(j - i).
Take neighbouring stretches of x, y and z tokens with sums X, Y and Z.  The cost of the nested pair (x+y+z and y) less
that of the crossing pair (x+y and y+z) is X ln((x+y+z)/(x+y)) + Z ln((x+y+z)/(y+z)) + Y (g(x+y) - g(y) - x ln(1 +
z/(x+y))) / y, where g(t) = t ln(1 + z/t) rises with t.  Counts fall, so X/x >= Y/y, and the whole is at least
(Y/y)(g(x+y) - g(y)) >= 0.

Hence the cost of the best partition is convex in K, and the multiplier method is exact: charge each run a penalty,
find the best partition of any number of runs, and move the penalty.  A partition of exactly K runs is spliced from
the two that enclose K (Aggarwal, Schieber and Tokuyama, "Finding a minimum-weight k-link path in graphs with the
concave Monge property", 1994).  Every penalty also gives a lower bound, so the answer carries its own proof: the
bound and the cost of the partition that is returned agree up to rounding.

One penalty takes V steps, each over the runs that may end there; the starts of best runs only rise, so few remain.
That is at most V^2/2 multiplications, and near V times the longest run in practice; some ten to thirty penalties
answer one K.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golfbudget.certificates.base import Codes, Counts, token_counts
from golfbudget.errors import UsageError

#: Costs closer than this share of the cost of one code are equal up to rounding.
_ROUNDING = 1e-13

_Cuts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BestPartition:
    """A partition into K codes with the lowest floor, in nats per token.

    `codes` int64 [vocabulary] gives each token's code; `attained` is that map's own floor and `floor` the bound that
    no partition passes below.  They differ by rounding only; `floor` is the lower.
    """

    floor: float
    attained: float
    codes: Codes


@dataclass(frozen=True, slots=True)
class _Path:
    """Runs [cuts[i], cuts[i + 1]) of the sorted tokens, and their cost."""

    cuts: _Cuts
    cost: float

    @property
    def runs(self) -> int:
        return len(self.cuts) - 1


class _Solver:
    """Best partitions of one list of counts; what one K taught is kept for the next."""

    def __init__(self, counts: Counts) -> None:
        self.vocabulary = len(counts)
        self.order = np.argsort(-counts, kind="stable")
        self.prefix = np.concatenate(([0.0], np.cumsum(counts[self.order])))
        # Logarithms of lengths V, V-1, ..., 1: the lengths of the runs that end at one place, in order of their start.
        self.logarithms = np.log(np.arange(self.vocabulary, 0, -1, dtype=np.float64))
        one, all_ = np.array([0, self.vocabulary]), np.arange(self.vocabulary + 1)
        self.hull = [self._path(one)] if self.vocabulary == 1 else [self._path(one), self._path(all_)]
        self.slack = _ROUNDING * max(self.hull[0].cost, 1.0)

    def _path(self, cuts: _Cuts) -> _Path:
        sums, sizes = np.diff(self.prefix[cuts]), np.diff(cuts)
        return _Path(cuts.astype(np.int64), float(sums @ np.log(sizes)))

    def penalised(self, penalty: float) -> _Path:
        """The best partition into any number of runs when each costs `penalty` more."""
        prefix, logarithms, size = self.prefix, self.logarithms, self.vocabulary
        best = np.zeros(size + 1)
        start = [0] * (size + 1)
        first = 0
        for stop in range(1, size + 1):
            cost = prefix[stop] - prefix[first:stop]
            cost *= logarithms[size - stop + first :]
            cost += best[first:stop]
            least = int(cost.argmin())
            first += least
            start[stop] = first
            best[stop] = cost[least] + penalty
        cuts = [size]
        while cuts[-1]:
            cuts.append(start[cuts[-1]])
        return self._path(np.array(cuts[::-1]))

    def solve(self, runs: int) -> tuple[float, _Path]:
        """The lower bound on the cost of `runs` runs, and a partition that attains it up to rounding."""
        low = max((path for path in self.hull if path.runs <= runs), key=lambda path: path.runs)
        high = min((path for path in self.hull if path.runs >= runs), key=lambda path: path.runs)
        while low.runs < runs < high.runs:
            penalty = (low.cost - high.cost) / (high.runs - low.runs)
            solution = self.penalised(penalty)
            below = low.cost + penalty * low.runs - (solution.cost + penalty * solution.runs)
            if below <= self.slack or not low.runs < solution.runs < high.runs:
                # No partition lies below the line from `low` to `high`, by more than rounding.
                bound = low.cost - penalty * (runs - low.runs) - max(below, 0.0)
                spliced = self._path(_splice(low.cuts, high.cuts, runs))
                return min(bound, spliced.cost), spliced
            self.hull.append(solution)
            low, high = (solution, high) if solution.runs <= runs else (low, solution)
        exact = low if low.runs == runs else high
        return exact.cost, exact


def _splice(few: _Cuts, many: _Cuts, runs: int) -> _Cuts:
    """Start as `many` and end as `few`, where a run of `few` encloses one of `many`, with `runs` runs in all."""
    shift, count = runs - (len(few) - 1), len(few) - 1
    encloses = (few[:-1] <= many[shift : shift + count]) & (many[shift + 1 : shift + 1 + count] <= few[1:])
    at = int(np.flatnonzero(encloses)[0])
    return np.concatenate((many[: at + shift + 1], few[at + 1 :]))


def best_partitions(counts: ArrayLike, codes: Sequence[int]) -> list[BestPartition]:
    """The best partition for each number of codes, without bias.  `UsageError` for fewer than one code."""
    numbers = token_counts(counts)
    for count in codes:
        if count < 1:
            raise UsageError(f"a vocabulary needs at least one code, found {count}")
    solver, total = _Solver(numbers), float(numbers.sum())
    partitions = []
    for count in codes:
        # More codes than tokens leave codes without a token.
        bound, path = solver.solve(min(count, len(numbers)))
        ids = np.empty(len(numbers), dtype=np.int64)
        ids[solver.order] = np.repeat(np.arange(path.runs), np.diff(path.cuts))
        partitions.append(BestPartition(floor=max(bound, 0.0) / total, attained=path.cost / total, codes=ids))
    return partitions


def best_partition(counts: ArrayLike, codes: int) -> BestPartition:
    """The partition of the vocabulary into at most `codes` codes with the lowest plain floor."""
    return best_partitions(counts, [codes])[0]


def entropy(weights: Counts) -> float:
    """Entropy in nats of what is proportional to non-negative weights [n]."""
    total = float(weights.sum())
    some = weights[weights > 0]
    return float(-(some / total) @ np.log(some / total))


def biased_bound(counts: ArrayLike, codes: int) -> float:
    """A lower bound, in nats per token, on H(W|C) over all partitions into at most `codes` codes.

    H(W|C) = H(W) - H(C), so H(C) is to be bounded from above.  In any partition the j largest tokens lie in at most
    j codes, so the code masses majorise the masses that put the largest tokens alone and spread the rest evenly over
    the other codes; entropy falls under majorisation (Marshall and Olkin).  No partition need attain it.  `UsageError`
    for fewer codes than one, and for counts that `token_counts` refuses.
    """
    numbers = token_counts(counts)
    if codes < 1:
        raise UsageError(f"a vocabulary needs at least one code, found {codes}")
    if codes >= len(numbers):
        return 0.0
    ranked = np.sort(numbers)[::-1]
    rest = float(ranked.sum()) - np.concatenate(([0.0], np.cumsum(ranked[: codes - 1])))
    share = np.maximum(rest, 0.0) / np.arange(codes, 0, -1)
    fits = ranked[:codes] <= share
    fits[-1] = True  # the largest of the rest is part of the rest; rounding may say otherwise
    alone = int(fits.argmax())
    masses = np.concatenate((ranked[:alone], np.full(codes - alone, share[alone])))
    return max(entropy(numbers) - entropy(masses), 0.0)
