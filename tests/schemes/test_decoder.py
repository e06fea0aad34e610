"""Decoders of every scheme, layout, container and codec, run in a bare interpreter and compared bit for bit."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from decoder_files import encoded_by, export_of, like_rows, of_forms, of_packs, of_recipes, of_schemes, pack_of
from support.command_line import Run
from support.decoders import bare, told
from support.seeds import legacy, raw_deflate
from test_repack import saved

import golfbudget as gb
from golfbudget import example, schemes
from golfbudget.artifact import open_artifact
from golfbudget.decoding.framework import Framework
from golfbudget.decoding.proof import prove
from golfbudget.decoding.run import compose, decoder
from golfbudget.errors import CorruptError, GolfbudgetError, UnsupportedError, UsageError
from golfbudget.ledger import Account
from golfbudget.recipe import layouts
from golfbudget.recipe.artifacts import read_export
from golfbudget.recipe.export import decode
from golfbudget.recipe.state import read_tensors

KINDS: dict[str, Callable[[], Iterator[tuple[str, bytes]]]] = {
    "schemes": of_schemes,
    "recipes": of_recipes,
    "forms": of_forms,
    "packs": of_packs,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_bare_interpreter_reads_what_the_reader_reads(kind: str, tmp_path: Path) -> None:
    files: dict[str, Path] = {}
    for name, data in KINDS[kind]():
        files[name] = tmp_path / f"{len(files)}.bin"
        files[name].write_bytes(data)
    for framework in Framework:
        sources, expected = [], []
        for name, file in files.items():
            try:
                composed = compose(file, framework)
            except UnsupportedError:
                assert (name, framework) == ("legacy", Framework.NUMPY)
                continue
            source = tmp_path / f"{file.stem}.{framework}.py"
            source.write_text(composed.source, encoding="utf-8")
            sources.append((source, file))
            expected.append((name, composed.state, composed.tied))
        for found, (name, state, tied) in zip(bare(sources, framework, tmp_path), expected, strict=True):
            assert found.keys() == state.keys() or (tied and found.keys() > state.keys()), (name, framework)
            for key, tensor in state.items():
                assert found[key] == told(tensor, framework), (name, framework, key)


def test_the_examples_decoder_runs_as_it_is_counted(tmp_path: Path) -> None:
    """The packed program, which is what the figure says, lists the tensors that the reader finds."""
    made = decoder(example.ARTIFACT, Framework.NUMPY)
    assert made.packed.length < len(made.source.encode()) < 1000
    stub = tmp_path / "packed.py"
    stub.write_bytes(made.packed.stub)
    command = [sys.executable, "-I", str(stub), str(example.ARTIFACT)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    state = decode(read_export(open_artifact(example.ARTIFACT)))
    assert made.tensors == len(state)
    listed = [" ".join((name, str(t.dtype).removeprefix("torch."), *map(str, t.shape))) for name, t in state.items()]
    assert sorted(done.stdout.splitlines()) == sorted(listed)


@pytest.mark.slow
def test_torchs_own_decoder_is_shorter() -> None:
    ours, theirs = decoder(example.ARTIFACT, Framework.NUMPY), decoder(example.ARTIFACT, Framework.TORCH)
    assert theirs.tensors == ours.tensors
    assert theirs.packed.length < ours.packed.length
    assert (ours.composed.packages, theirs.composed.packages) == (("numpy",), ("torch",))


def test_a_nan_is_a_nan_whatever_its_payload(tmp_path: Path) -> None:
    file = tmp_path / "nan.pt"
    byte = torch.arange(256).to(torch.uint8)
    state = {"a.q": torch.ones(2, 2, dtype=torch.int8), "a.scale": torch.tensor([1.0, float("nan")]).half()}
    file.write_bytes(saved(state | {"e4": byte.view(torch.float8_e4m3fn), "e5": byte.clone().view(torch.float8_e5m2)}))
    made = decoder(file, Framework.NUMPY)
    assert (made.tensors, made.widened) == (3, ("float8_e4m3fn", "float8_e5m2"))


def test_a_pack_is_read_in_its_own_order_and_dtypes(tmp_path: Path) -> None:
    """What planning and `unpack` read of a pack is what was packed, not the form in which it is stored."""
    file = tmp_path / "rows.gbpk"
    value = {"t": like_rows(), "half": torch.arange(9) / 8, "far": torch.full((9,), 2.0**99), "none": torch.empty(0, 3)}
    file.write_bytes(pack_of(saved(value)))
    artifact = open_artifact(file)
    stored = {tensor.name: tensor.dtype for tensor in artifact.tensors}
    assert (stored["half"], stored["far"]) == ("float16", "bfloat16")
    assert any(part.account is Account.MAPPING for part in artifact.parts)
    found = read_tensors(artifact)
    assert found.keys() == value.keys()
    for name, tensor in value.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_a_nested_tree_comes_out_as_it_was_saved(tmp_path: Path) -> None:
    file = tmp_path / "nested.gbpk"
    value = {
        "a": [torch.arange(3), (torch.rand(2), torch.Size((2, 3)))],
        "b": {"c": torch.rand(2, 2), "n": 1.5},
        "x": b"raw",
    }
    file.write_bytes(pack_of(saved(value)))
    made = decoder(file, Framework.NUMPY)
    assert made.composed.held.layout is None
    assert made.tensors == 3
    assert "print(load(" in made.source


TRUE = "import numpy as n\ndef load(d):return{'a':n.arange(3.),'b':n.zeros((2,0),'b')}\n"
STATE = {"a": torch.arange(3.0).double(), "b": torch.empty(2, 0).to(torch.int8)}
WRONG = {
    "another number": ("arange(3.)", "array([0,1,3.])", r"gives float64 \[3\] of other content for 'a'"),
    "another sign of zero": ("arange(3.)", "array([-0.,1,2])", "of other content for 'a'"),
    "another dtype": ("arange(3.)", "arange(3.,dtype='f')", r"gives float32 \[3\] .* has float64 \[3\]"),
    "another shape": ("(2,0)", "(0,2)", r"gives int8 \[0, 2\]"),
    "one less": (",'b':n.zeros((2,0),'b')", "", "gives no such tensor for 'b'"),
    "one more": ("{'a'", "{'c':n.ones(1),'a'", "gives 'c', which its reader does not know"),
    "an error": ("return", "return 1/0,", "does not run: ZeroDivisionError: division by zero; nothing is written"),
    "golfbudget": ("return", "import golfbudget;return", "cannot be tried here: ModuleNotFoundError"),
}


def test_what_agrees_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"")
    assert prove(TRUE, file, STATE, Framework.NUMPY, ()) == 2
    more = TRUE.replace("{'a'", "{'c':n.ones(1),'a'")
    assert prove(more, file, STATE, Framework.NUMPY, ("c",)) == 3


@pytest.mark.parametrize("name", WRONG)
def test_a_decoder_that_gives_anything_else_is_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"")
    before, after, message = WRONG[name]
    assert before in TRUE
    with pytest.raises(GolfbudgetError, match=message):
        prove(TRUE.replace(before, after), file, STATE, Framework.NUMPY, ())


PAIR = {"a.q": torch.ones(2, 2, dtype=torch.int8), "a.scale": torch.ones(2)}
UNKNOWN: dict[str, tuple[Callable[[], bytes], Framework, str]] = {
    "no container": (lambda: b"nothing that is known", Framework.TORCH, r"\(opaque, 0 tensors\) is of no layout"),
    "a checkpoint": (
        lambda: saved({"a": torch.ones(2)}),
        Framework.TORCH,
        r"1 tensors, the first 'a'\) is of no layout",
    ),
    "old torch": (lambda: legacy(PAIR), Framework.NUMPY, "written by torch before 1.6.*--with torch"),
    "a strange dtype": (
        lambda: saved(PAIR | {"x": torch.ones(2).to(torch.float8_e4m3fnuz)}),
        Framework.NUMPY,
        "float8_e4m3fnuz, which numpy lacks; try --with torch",
    ),
    "numpy's pickle": (
        lambda: pickle.dumps({name: tensor.numpy() for name, tensor in PAIR.items()}),
        Framework.NUMPY,
        "no decoder is written here for a pickle container",
    ),
    "raw deflate": (lambda: raw_deflate(saved(PAIR)), Framework.NUMPY, "no decoder is written here for deflate"),
    "bytes after it": (lambda: zlib.compress(saved(PAIR)) + b"xyz", Framework.NUMPY, "3 bytes follow its zlib stream"),
    "what torch names": (
        lambda: saved(PAIR | {"device": torch.device("cpu")}),
        Framework.NUMPY,
        "its pickle names torch.device, without a decoder here for numpy",
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_understood_is_refused_by_name(name: str, tmp_path: Path) -> None:
    data, framework, message = UNKNOWN[name]
    file = tmp_path / "artifact.bin"
    file.write_bytes(data())
    with pytest.raises(UnsupportedError, match=message):
        compose(file, framework)


def test_a_scheme_without_a_source_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "trellis.pt"
    file.write_bytes(layouts.get("w-m").container(export_of(encoded_by("trellis", 0))))
    monkeypatch.setattr(type(schemes.get("trellis")), "decoder_source", "")
    with pytest.raises(UnsupportedError, match="scheme trellis, which brings no decoder source along"):
        compose(file, Framework.NUMPY)


def test_a_memo_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    """The pickle keeps its first value in place 2^31 of a table that loading would allocate."""
    file = tmp_path / "memo.pt"
    with zipfile.ZipFile(io.BytesIO(saved(PAIR))) as old, zipfile.ZipFile(file, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            if info.filename.endswith("/data.pkl"):
                assert data[2:5] == b"}q\x00"
                data = data[:3] + b"r" + (1 << 31).to_bytes(4, "little") + data[5:]
            new.writestr(info.filename, data)
    with pytest.raises(CorruptError, match="in place 2147483648 of its memo"):
        compose(file, Framework.NUMPY)


def test_the_command_answers_first_and_writes_the_program(golfbudget: Run, tmp_path: Path) -> None:
    out = tmp_path / "read_it.py"
    done = golfbudget("decoder", example.ARTIFACT, "-o", out)
    assert done.returncode == 0, done.stderr
    source = out.read_text(encoding="utf-8")
    assert f"wrote {out}: {len(source)} bytes" in done.stderr
    report = json.loads(golfbudget("decoder", example.ARTIFACT, "--format", "json").stdout)
    size = report["decoder"]["packed_bytes"]
    assert done.stdout.splitlines()[0] == (
        f"read_it.py reads {example.ARTIFACT} (layout int8_clean_per_row_v1; torch-zip, zlib) back into 52 tensors; it "
        f"adds {size} bytes packed"
    )
    assert "golfbudget pack-code read_it.py makes the same" in done.stdout
    assert report["schema"] == "golfbudget/decoder/1"
    assert report["decoder"]["source"] == source
    packed = json.loads(golfbudget("pack-code", out, "--format", "json").stdout)
    assert packed["packed_bytes"] == size


@pytest.mark.slow
def test_the_artifact_is_not_written_over(golfbudget: Run, tmp_path: Path) -> None:
    file = tmp_path / "final_model.int8.ptz"
    file.write_bytes(example.ARTIFACT.read_bytes())
    for given in (file, tmp_path):
        done = golfbudget("decoder", given, "-o", file)
        assert done.returncode == 2
        assert "is read here, and the result would replace it" in done.stderr
    assert file.read_bytes() == example.ARTIFACT.read_bytes()


def test_an_unknown_framework_is_refused() -> None:
    with pytest.raises(UsageError, match="no decoder is written for 'jax'; known: numpy, torch"):
        gb.decoder(example.ARTIFACT, framework="jax")


PUBLIC = "fp16_zlib_pair/final_model.int8.ptz"
OTHERS = ("fp16_zlib_exact_ledger/final_model.int8.ptz", "int8_zlib_4mb/final_model.int8.ptz")


@pytest.mark.parametrize(
    ("name", "framework"),
    [(PUBLIC, Framework.NUMPY), *(pytest.param(name, f, marks=pytest.mark.slow) for name in OTHERS for f in Framework)],
)
def test_public_artifacts_of_known_layouts_are_read_back(name: str, framework: Framework, corpus: Path) -> None:
    made = decoder(corpus / name, framework)
    assert made.tensors == len(decode(read_export(open_artifact(corpus / name))))
    assert made.widened == (("bfloat16",) if framework is Framework.NUMPY else ())
