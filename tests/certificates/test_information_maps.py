"""Maps by what states tell, and codebooks fitted to the loss: laws, brute force, and oracles that are not ours."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from support.kit import check_scheme
from torch import Tensor

from golfbudget import schemes
from golfbudget.errors import UsageError
from golfbudget.quality.information import split_information
from golfbudget.schemes import Context, Encoded, fitted_codebook
from golfbudget.schemes.fitted_codebook import code_chances, fit_to_loss, loss
from golfbudget.schemes.head_states import HeadStates
from golfbudget.schemes.information_map import information_map, kept

ROWS, COLUMNS, STATES = 48, 8, 600
TOLD = {"map": "information", "codebook": "fitted"}


def head(rows: int = ROWS, seed: int = 0) -> Tensor:
    return torch.randn(rows, COLUMNS, generator=torch.Generator().manual_seed(seed))


def states(count: int = STATES, seed: int = 1, cap: float | None = 30.0) -> HeadStates:
    """States of very different spread in their directions, so that near rows and alike rows are not the same."""
    generator = torch.Generator().manual_seed(seed)
    return HeadStates(
        hidden=torch.randn(count, COLUMNS, generator=generator) * torch.logspace(-1, 0.5, COLUMNS), cap=cap
    )


def partitions(rows: int, codes: int) -> Iterator[tuple[int, ...]]:
    """Every map of rows to at most so many codes, a code numbered where it first occurs."""
    for made in itertools.product(range(codes), repeat=rows):
        if all(code <= max(made[:at], default=-1) + 1 for at, code in enumerate(made)):
            yield made


@pytest.mark.parametrize("codes", [2, 3, 4])
@pytest.mark.parametrize("seed", range(6))
def test_five_tokens_are_merged_as_well_as_any_map_can(codes: int, seed: int) -> None:
    matrix, given = head(5, seed), states(40, seed)
    chances = given.chances(matrix).T.contiguous()
    best = max(kept(chances, torch.tensor(made), codes) for made in partitions(5, codes))
    assert kept(chances, information_map(matrix, codes, given), codes) == pytest.approx(best, abs=1e-6)


def test_it_loses_what_the_measure_says_and_less_than_near_rows_do() -> None:
    matrix, given = head(), states()
    near = schemes.get("vq-logits-int").encode(matrix, {"codes": 16, "bits": 16}, Context())
    told = schemes.get("vq-logits-int").encode(matrix, {"codes": 16, "bits": 16, "map": "information"}, context(given))
    maps = [codes_of(near), codes_of(told)]
    other = states(seed=2)
    by_distance, by_information = split_information([other.logits(matrix)], maps)
    assert by_information < 0.7 * by_distance
    chances = given.chances(matrix).T.contiguous()
    whole = kept(chances, torch.arange(ROWS), ROWS)
    lost = whole - kept(chances, maps[1], 16)
    assert split_information([given.logits(matrix)], [maps[1]])[0] == pytest.approx(lost, abs=1e-5)


def codes_of(encoded: Encoded) -> Tensor:
    codes: Tensor = schemes.get(encoded.scheme).decode(encoded).unique(dim=0, return_inverse=True)[1]
    return codes


def context(given: HeadStates | None = None) -> Context:
    return Context(counts=torch.arange(1, ROWS + 1), states=given or states())


def test_rows_that_no_state_tells_apart_share_a_code() -> None:
    """Rows differ most along a direction in which every state is the same."""
    matrix = head()
    matrix[:, 0] = 20 * torch.randn(ROWS, generator=torch.Generator().manual_seed(3))
    matrix[1::2, 1:] = matrix[::2, 1:]
    hidden = states(cap=None).hidden.clone()
    hidden[:, 0] = 0.1
    given = HeadStates(hidden=hidden)
    found = information_map(matrix, ROWS // 2, given)
    assert torch.equal(found[::2], found[1::2])
    assert split_information([given.logits(matrix)], [found])[0] == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("cap", [None, 30.0])
@pytest.mark.parametrize("free", [False, True])
def test_the_gradient_of_a_fitted_codebook_is_nought(
    cap: float | None, *, free: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitted_codebook, "_STEPS", 1000)
    matrix, given = head(12), states(400, cap=cap)
    codes = torch.arange(12) % 3
    start = torch.stack([matrix[codes == code].mean(0) for code in range(3)])
    rows, constants = fit_to_loss(matrix, codes, start, given, free=free)
    rows.requires_grad_()
    constants.requires_grad_()
    wanted = code_chances(matrix, codes, 3, given)
    left = loss(rows, constants, wanted, given)
    left.backward()
    assert rows.grad is not None
    assert constants.grad is not None
    assert float(rows.grad.abs().max()) < 1e-4
    assert left < loss(start, torch.full((3,), 4.0).log(), wanted, given)
    if free:
        assert float(constants.grad.abs().max()) < 1e-4
    else:
        assert constants.tolist() == pytest.approx([np.log(4)] * 3)


def test_scipy_finds_no_less_loss() -> None:
    """Another optimiser in double precision, from another start, on a loss written in numpy."""
    matrix, given = head(10), states(300, cap=None)
    codes = torch.arange(10) % 4
    wanted, hidden = code_chances(matrix, codes, 4, given).double().numpy(), given.hidden.double().numpy()

    def nats(flat: np.ndarray) -> float:
        scores = hidden @ flat[: 4 * COLUMNS].reshape(4, COLUMNS).T + flat[4 * COLUMNS :]
        return float((np.logaddexp.reduce(scores, axis=1) - (wanted * scores).sum(1)).mean())

    theirs = minimize(nats, np.zeros(4 * COLUMNS + 4), method="L-BFGS-B")
    start = torch.stack([matrix[codes == code].mean(0) for code in range(4)])
    rows, constants = fit_to_loss(matrix, codes, start, given, free=True)
    assert nats(torch.cat((rows.flatten(), constants)).double().numpy()) == pytest.approx(theirs.fun, abs=1e-4)


def test_what_others_add_is_kept() -> None:
    """With own rows left out, chances of the rest and fits are those among all rows."""
    matrix, given = head(), states()
    rest = given.without(matrix[:10])
    assert torch.allclose(rest.chances(matrix[10:]), given.chances(matrix)[:, 10:], atol=1e-6)
    assert torch.allclose(given.chances(matrix).sum(1), torch.ones(STATES), atol=1e-5)
    again = given.without(matrix[:4]).without(matrix[4:10])
    assert again.others is not None
    assert rest.others is not None
    assert torch.allclose(again.others, rest.others, atol=1e-5)
    # Codes of one row each: the head itself is the best codebook, and leaves the entropy, the others taken as one.
    own = code_chances(matrix[10:], torch.arange(38), 38, rest)
    left = loss(matrix[10:], torch.zeros(38), own, rest)
    other = 1 - own.sum(1)
    entropy = -(torch.special.xlogy(own, own).sum(1) + torch.special.xlogy(other, other)).mean()
    assert float(left) == pytest.approx(float(entropy), abs=1e-4)


@pytest.mark.parametrize("scheme", ["vq-logits-int", "vq-logits-bias", "vq-logits-explicit"])
@pytest.mark.parametrize("more", [{"map": "information"}, {"codebook": "fitted"}, TOLD])
def test_the_kit_holds_and_the_loss_falls(scheme: str, more: dict[str, str]) -> None:
    options = {"codes": 12, "bits": 8} | ({"explicit": 6} if scheme == "vq-logits-explicit" else {})
    encoded = check_scheme(schemes.get(scheme), head(), {**options, **more}, context())
    plain = schemes.get(scheme).encode(head(), options, context())
    assert nats(encoded) < nats(plain)


def nats(encoded: Encoded) -> float:
    """Cross-entropy of a written head under the true head's chances, on states that it has not seen."""
    fresh, scheme = states(seed=9), schemes.get(encoded.scheme)
    bias = scheme.bias(encoded)
    logits = fresh.logits(scheme.decode(encoded))
    logits = logits if bias is None else logits + bias
    return float(-(fresh.chances(head()) * logits.log_softmax(1)).sum(1).mean())


def test_without_states_it_says_what_to_give() -> None:
    scheme = schemes.get("vq-logits-int")
    with pytest.raises(UsageError, match=r"vq-logits-int needs states .*--calibration.*found none"):
        scheme.encode(head(), {"codes": 4, "map": "information"}, Context())
    with pytest.raises(UsageError, match="states of 8 columns, the matrix has 3"):
        scheme.encode(head()[:, :3], {"codes": 4, "codebook": "fitted"}, context())
    assert scheme.needs_for({"codes": 4}) == ()
    assert scheme.needs_for(TOLD) == ("moment",)
    assert schemes.get("vq-logits-bias").needs_for(TOLD) == ("counts", "moment")


def test_evenly_spaced_states_are_a_bounded_number() -> None:
    given = states().without(head()[:4])
    few = given.spaced(100)
    assert len(few.hidden) <= 100
    assert torch.equal(few.hidden, given.hidden[::6])
    assert few.others is not None
    assert given.others is not None
    assert torch.equal(few.others, given.others[::6])
    assert torch.equal(torch.cat([part.hidden for part in replace(given).parts()]), given.hidden)
