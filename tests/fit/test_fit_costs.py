"""What choices cost: kept between fits, and of a large matrix told by some of its rows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from golfbudget.fit.bench import FittingBench, bench, menus_of
from golfbudget.fit.costs import MenuCosts
from golfbudget.fit.desk import price
from golfbudget.fit.menu import AS_IS, MatrixChoice
from golfbudget.fit.request import HeadKind
from golfbudget.plan.prepare import prepare
from golfbudget.plan.request import PlanRequest

LARGE = "blocks.0.mlp.fc.weight"
SHAPE = (1280, 512)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head, a small matrix and one of rows of very different deviations that is large enough to be sampled."""
    generator = torch.Generator().manual_seed(3)
    large = torch.randn(SHAPE, generator=generator) * torch.rand((SHAPE[0], 1), generator=generator).exp()
    path = tmp_path_factory.mktemp("costs") / "model.safetensors"
    save_file(
        {
            "tok_emb.weight": torch.randn((96, 512), generator=generator),
            "blocks.0.mlp.proj.weight": torch.randn((64, 128), generator=generator),
            LARGE: large,
        },
        path,
    )
    return path


def request(model: Path, cache: Path | None = None) -> PlanRequest:
    return PlanRequest(path=model, recipe="int8-zlib-small", cap=400_000, jobs=1, cache=cache)


def costs(own: FittingBench, target: int) -> MenuCosts:
    return own.costs(menus_of(own, target, HeadKind.PLAIN))


@pytest.mark.slow
@pytest.mark.parametrize(
    "choice",
    [
        MatrixChoice.of("trellis", {"step": 0.5}),
        MatrixChoice.of("clipped", {"bits": 8, "clip": 40.0, "rd": 0.1}),
        MatrixChoice.of("scalar", {"bits": 4}),
        MatrixChoice.of("ternary", {}),
    ],
)
def test_some_rows_tell_what_all_cost(model: Path, choice: MatrixChoice) -> None:
    with bench(prepare(request(model))) as own:
        rows = own.desk.sample(LARGE, choice)
        assert rows is not None
        assert len(set(rows.tolist())) == len(rows) < SHAPE[0]
        sampled = price(own.desk, (LARGE, choice))
        encoded = own.desk.encoded(LARGE, choice)
        stored = own.assembler.stored({LARGE: choice})[LARGE]
        assert sampled.error == pytest.approx(own.desk.error(LARGE, own.desk.decoded(LARGE, choice, encoded)), rel=0.05)
        assert sampled.bytes == pytest.approx(sum(map(len, stored.streams.values())), rel=0.03)


def test_what_has_no_rows_of_its_own_is_priced_whole(model: Path) -> None:
    with bench(prepare(request(model))) as own:
        assert own.desk.sample(LARGE, AS_IS) is None
        assert own.desk.sample(LARGE, MatrixChoice.of("factorised", {"rank": 8})) is None
        assert own.desk.sample("tok_emb.weight", MatrixChoice.of("trellis", {"step": 0.5})) is None


@pytest.mark.slow
def test_another_fit_asks_only_for_what_is_new(model: Path, tmp_path: Path) -> None:
    asked: list[str] = []

    def found(target: int) -> MenuCosts:
        asked.clear()
        with bench(prepare(request(model, tmp_path)), lambda label, _: asked.append(label)) as own:
            return costs(own, target)

    first = found(200_000)
    every = len(asked)
    again = found(200_000)
    assert (every, len(asked)) == (sum(map(len, first.options.values())), 0)
    assert again == first
    # A smaller file has coarser steps open to it, and most others still.
    found(140_000)
    assert 0 < len(asked) < every / 2
    # A damaged entry is made again.
    for entry in tmp_path.iterdir():
        entry.write_bytes(entry.read_bytes()[:-1])
    assert found(200_000) == first
    assert len(asked) == every
