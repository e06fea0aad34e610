"""The tests' kept codebooks are those that are fitted, and kept for the same rows, weights and settings alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from codebooks import fitted_once
from sklearn.cluster import KMeans
from torch import Tensor

from golfbudget import schemes
from golfbudget.schemes import Context

PLAIN = Context()


def codebook(rows: Tensor, context: Context = PLAIN, codes: int = 16) -> Tensor:
    return schemes.get("vq-logits").encode(rows, {"codes": codes}, context).tensor("codebook")


def test_a_kept_codebook_is_the_one_that_is_fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.randn(300, 16, generator=torch.Generator().manual_seed(0))
    counts = torch.arange(300)
    given = [PLAIN, Context(seed=1), Context(counts=counts), Context(counts=counts.flip(0))]
    plain = [codebook(rows, context) for context in given]
    monkeypatch.setenv("GOLFBUDGET_CACHE", str(tmp_path))
    monkeypatch.setattr(KMeans, "fit", fitted_once(KMeans.fit))
    for kept in (1, 2):
        found = [codebook(rows, context) for context in given]
        assert all(torch.equal(one, other) for one, other in zip(plain, found, strict=True)), kept
        assert len(list(tmp_path.iterdir())) == len(given)
    codebook(rows, codes=8)
    codebook(rows + 1)
    assert len(list(tmp_path.iterdir())) == len(given) + 2


def test_nothing_is_fitted_where_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    monkeypatch.setenv("GOLFBUDGET_CACHE", str(tmp_path))
    fit = KMeans.fit
    monkeypatch.setattr(KMeans, "fit", fitted_once(fit))
    first = codebook(rows, codes=4)

    def never(*_arguments: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr(KMeans, "fit", fitted_once(never))
    assert torch.equal(codebook(rows, codes=4), first)
    with pytest.raises(AssertionError, match="fitted again"):
        codebook(rows, codes=5)
