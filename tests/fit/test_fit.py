"""fit: the file of least loss under a cap, its loader counted and run, chosen and measured on different text."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.command_line import Run

import golfbudget as gb
from golfbudget.errors import UsageError
from golfbudget.fit.menu import AS_IS, MatrixChoice, Menus, restructures, steps
from golfbudget.fit.request import HeadKind
from golfbudget.fit.texts import split
from golfbudget.quality.baseline_model import BaselineModel, Shape
from golfbudget.quality.text import load_text
from golfbudget.schemes import registered

CAP = 46_000
PLAIN = ("--jobs", "1", "--head", "plain")
WINDOW, WINDOWS = 16, 340


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of the baseline's family, and text for it."""
    path = tmp_path_factory.mktemp("fit")
    torch.manual_seed(0)
    shape = Shape(vocab=256, width=64, blocks=2, heads=2, kv_heads=1, hidden=96)
    model = BaselineModel(shape)
    for tensor in model.parameters():
        if tensor.ndim == 2 and min(tensor.shape) > 2:
            torch.nn.init.normal_(tensor, std=0.3)
    save_file({name: t.contiguous() for name, t in model.state_dict().items()}, path / "model.safetensors")
    tokens = torch.randint(0, 256, (WINDOW * WINDOWS + 1,), dtype=torch.int32)
    save_file(
        {"tokens": tokens, "token_bytes": torch.full((256,), 3, dtype=torch.int32)},
        path / "text.safetensors",
        metadata={"window": str(WINDOW)},
    )
    return path


@pytest.fixture(scope="module")
def fitted(folder: Path) -> gb.FitResult:
    return gb.fit(
        folder / "model.safetensors", cap=CAP, recipe="int8-zlib-small", model="builtin:baseline",
        tokens=folder / "text.safetensors", effort=1, jobs=1, head="plain",
    )  # fmt: skip


@pytest.mark.slow
def test_the_cap_is_used_up_and_never_exceeded(fitted: gb.FitResult) -> None:
    found = fitted.fit
    assert found.binding
    # A container's savings jump by hundreds of bytes, which is much of so small a file.
    assert 0.99 * CAP <= found.used <= CAP
    assert found.used == len(fitted.data) + found.decoder_bytes
    assert "code      not counted (give --code FILE or SIZE)" in str(fitted).splitlines()
    assert sum(entry.stored_bits for entry in fitted.ledger.entries) == 8 * len(fitted.data)


@pytest.mark.slow
def test_every_matrix_has_a_line_and_they_are_worth_about_the_same(fitted: gb.FitResult) -> None:
    choices = fitted.fit.choices
    assert {each.owner for each in choices} >= {"tok_emb.weight", "blocks.0.mlp.fc.weight", "blocks.1.attn.c_q.weight"}
    assert sum(each.stored_bytes for each in choices) <= len(fitted.data)
    worth = [each.next_kilobyte for each in choices if each.next_kilobyte is not None]
    # Slopes are equal at the optimum but for the grid of steps, a third of a bit wide.
    assert max(worth) < 30 * min(worth)
    assert all(each.coder in ("rans", "brotli", "lzma", "xz", "zlib", "zstd", "none") for each in choices)


@pytest.mark.slow
def test_what_chooses_does_not_report(fitted: gb.FitResult, folder: Path) -> None:
    quality = fitted.fit.quality
    assert quality.evidence == "measured"
    assert quality.delta is not None
    assert quality.low is not None
    assert quality.high is not None
    assert quality.low <= quality.delta <= quality.high
    texts = split(load_text(folder / "text.safetensors"), None)
    assert len(texts.chooses.windows) + len(texts.reports.windows) == WINDOWS
    assert quality.tokens == texts.reports.tokens == 306 * WINDOW
    assert texts.chooses.windows[-1, -1] == texts.reports.windows[0, 0]


@pytest.mark.slow
def test_the_pasted_loader_gives_the_measured_loss(fitted: gb.FitResult, folder: Path, tmp_path: Path) -> None:
    """In a bare interpreter: a state dict, which loses on the reporting text what the report says."""
    (tmp_path / "model.fit").write_bytes(fitted.data)
    (tmp_path / "decode.py").write_text(fitted.loader)
    script = (
        "import sys, numpy; sys.path.insert(0, '.'); import decode\n"
        "assert not any('golfbudget' in m for m in sys.modules)\n"
        "numpy.savez('out.npz', **{k: numpy.asarray(v) for k, v in decode.load(open('model.fit','rb').read()).items()})"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True)
    import numpy as np

    from golfbudget.quality.evaluate import Evaluator

    with np.load(tmp_path / "out.npz") as saved:
        state = {name: torch.from_numpy(saved[name]).float() for name in saved.files}
    texts = split(load_text(folder / "text.safetensors"), None)
    evaluator = Evaluator(texts.reports)
    loss = evaluator.bits_per_byte(evaluator.losses(state))
    found = fitted.fit
    assert found.baseline.bits_per_byte is not None
    assert found.quality.delta is not None
    assert loss == pytest.approx(found.baseline.bits_per_byte + found.quality.delta, abs=2e-5)


@pytest.mark.slow
def test_more_bytes_lose_less(folder: Path, fitted: gb.FitResult) -> None:
    smaller = gb.fit(
        folder / "model.safetensors", cap=CAP - 10_000, recipe="int8-zlib-small", model="builtin:baseline",
        tokens=folder / "text.safetensors", effort=0, jobs=1, head="plain",
    )  # fmt: skip
    errors = [
        sum((a.double() - b.double()).square().sum().item() for a, b in zip(one, other, strict=True))
        for one, other in ((_matrices(result, folder)) for result in (smaller, fitted))
    ]
    assert errors[0] > errors[1]


def _matrices(result: gb.FitResult, folder: Path) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    from safetensors.torch import load_file

    from golfbudget.recipe.decoded import read_back

    source, read = load_file(folder / "model.safetensors"), read_back(result.data, "fit").state
    names = [each.owner for each in result.fit.choices]
    return [source[name] for name in names], [read[name] for name in names]


@pytest.mark.slow
def test_json_has_the_contracts_fields(fitted: gb.FitResult) -> None:
    saved = fitted.to_dict()
    wanted = {"source", "recipe", "cap", "code_bytes", "artifact_bytes", "decoder_bytes", "counted_bytes", "headroom"}
    assert wanted | {"choices", "quality", "baseline"} <= saved.keys()
    assert saved["schema"] == "golfbudget/fit/1"
    assert saved["counted_bytes"] == saved["artifact_bytes"] + saved["decoder_bytes"]
    assert {"owner", "role", "scheme", "options", "coder", "stored_bytes"} <= saved["choices"][0].keys()
    assert {"tokens", "chosen_on", "reported_on", "delta", "low", "high", "blocks"} <= saved["quality"].keys()
    assert str(fitted).startswith("fitted: ")


@pytest.mark.slow
def test_the_page_shows_all_of_the_file(fitted: gb.FitResult) -> None:
    page = fitted.to_html()
    found = re.search('<script type="application/json" id="picture">(.*?)</script>', page)
    assert found is not None
    picture = json.loads(found[1])
    assert picture["map"]["root"]["bytes"] == fitted.fit.artifact_bytes
    assert [point["kind"] for point in picture["plane"]["points"]] == ["baseline", "fitted"]


@pytest.mark.slow
def test_the_command_writes_the_file_and_its_loader(golfbudget: Run, folder: Path, tmp_path: Path) -> None:
    model, out, decoder = folder / "model.safetensors", tmp_path / "m.fit", tmp_path / "d.py"
    ran = golfbudget(
        "fit",
        model,
        "--cap",
        "30kB",
        "-o",
        out,
        "--decoder",
        decoder,
        "--jobs",
        "1",
        "--head",
        "plain",
        "--format",
        "json",
    )
    assert ran.returncode == 0, ran.stderr
    saved = json.loads(ran.stdout)
    assert len(out.read_bytes()) == saved["artifact_bytes"]
    assert decoder.read_text() == saved["loader"]
    # Without a model nothing was measured, and nothing says so.
    assert saved["quality"]["delta"] is None
    assert saved["quality"]["evidence"] == "modelled"
    assert 29_700 <= saved["counted_bytes"] <= 30_000


def test_what_cannot_be_is_refused(golfbudget: Run, folder: Path, tmp_path: Path) -> None:
    model = folder / "model.safetensors"
    with pytest.raises(UsageError, match=r"no file of .* bytes: the smallest"):
        gb.fit(model, cap=3_000, jobs=1, head="plain")
    with pytest.raises(UsageError, match=r"the cap leaves 10 bytes for file and loader"):
        gb.fit(model, cap=1_010, code=1_000)
    assert "would replace" in golfbudget("fit", model, "-o", model).stderr
    out = tmp_path / "same"
    assert "asked for twice" in golfbudget("fit", model, "-o", out, "--decoder", out).stderr
    assert "expected any, plain, vq, restructured" in golfbudget("fit", model, "--head", "odd").stderr


def test_menus_have_what_they_are_for() -> None:
    menus, shape = Menus(bits=4.0), (1024, 128)
    for kind in HeadKind:
        found = menus.head(shape, ("counts", "moment", "states"), kind)
        assert len(set(found)) == len(found) > 1
        assert all(choice.scheme is None or choice.scheme in registered() for choice in found)
        if kind is HeadKind.PLAIN:
            assert not any(restructures(choice.scheme) for choice in found)
        elif kind is not HeadKind.ANY:
            assert all(restructures(choice.scheme) for choice in found)
    assert any(choice.scheme == "trellis-gptq" for choice in menus.trunk(shape, ("moment",)))
    assert not any(choice.scheme == "trellis-gptq" for choice in menus.trunk(shape, ()))
    assert AS_IS in menus.trunk(shape, ())


def test_a_scaled_step_is_next_to_its_own() -> None:
    menu = [MatrixChoice.of("trellis", {"step": step}) for step in steps()]
    for choice in menu:
        assert choice.closest(menu) == choice
        assert choice.scaled(0.95).closest(menu) == choice
        assert float(dict(choice.scaled(0.5).options)["step"]) == pytest.approx(
            float(dict(choice.options)["step"]) / 2, rel=1e-4
        )
