"""Files of formats that are known and not read: counted in full, named, and never taken for something else."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from support.blobs import saved
from support.command_line import Run

from golfbudget import formats
from golfbudget.artifact import open_artifact
from golfbudget.errors import UsageError
from golfbudget.ledger import Account


def tar(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(88)
#: File name to bytes and what the note calls it.  The beginnings of formats without a signature are those that their
#: specifications prescribe.
FILES = {
    "weights.h5": (HDF5, "hdf5", "an HDF5 file"),
    "weights.bin": (HDF5, "hdf5", "an HDF5 file"),
    "m.keras": (zipped({"config.json": b"{}", "model.weights.h5": HDF5}), "keras", "a Keras model"),
    "m.onnx": (b"\x08\x08\x12\x07pytorch\x1a\x052.5.0" + bytes(60), "onnx", "an ONNX file"),
    "renamed": (b"\x08\x08\x12\x07pytorch\x1a\x052.5.0" + bytes(60), "onnx", "an ONNX file"),
    "flax_model.msgpack": (b"\x81\xa6params" + bytes(60), "flax-msgpack", "a Flax checkpoint"),
    "saved_model.pb": (b"\x08\x01\x12" + bytes(60), "saved-model", "a TensorFlow graph"),
    "m.tflite": (b"\x1c\0\0\0TFL3" + bytes(60), "tflite", "a TensorFlow Lite file"),
    "m.mlmodel": (b"\x08\x04\x12" + bytes(60), "coreml", "a Core ML model"),
    "ggml-model.bin": (b"tjgg\x03\0\0\0" + bytes(60), "ggml", "a GGML file from before GGUF"),
    "m.tar": (tar({"model.safetensors": b"x" * 99}), "tar", "a tar archive"),
    "m.zip": (zipped({"model.safetensors": b"x" * 99}), "zip", "a zip archive that is no checkpoint"),
}


@pytest.mark.parametrize("name", FILES)
def test_it_is_counted_and_named(tmp_path: Path, name: str, golfbudget: Run) -> None:
    data, kind, what = FILES[name]
    path = tmp_path / name
    path.write_bytes(data)
    artifact = open_artifact(path)
    assert artifact.format == kind
    assert {part.account for part in artifact.parts} == {Account.UNMAPPED}
    assert sum(part.stored_bits for part in artifact.parts) == 8 * len(data)
    (note,) = artifact.notes
    assert note.startswith(what)
    assert ", which is not read: " in note
    done = golfbudget("inspect", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"note    {note}" in done.stdout
    assert open_artifact(path, as_format="opaque").notes == ()


def test_a_compressed_archive_is_named_too(tmp_path: Path) -> None:
    import gzip

    (tmp_path / "m.tar.gz").write_bytes(gzip.compress(FILES["m.tar"][0]))
    artifact = open_artifact(tmp_path / "m.tar.gz")
    assert [layer.name for layer in artifact.layers] == ["gzip", "tar"]
    assert artifact.notes[0].startswith("a tar archive")


@pytest.mark.parametrize("name", ["m.onnx", "m.h5", "m.msgpack", "m.pb", "m.mlmodel", "m.tflite", "m.keras", "m.tar"])
def test_a_suffix_alone_names_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\xffplain bytes that begin like none of them")
    artifact = open_artifact(tmp_path / name)
    assert (artifact.format, artifact.notes) == ("opaque", ())


def test_what_is_read_is_never_taken_for_it(tmp_path: Path) -> None:
    for name in ("m.onnx", "m.h5", "m.zip"):
        (tmp_path / name).write_bytes(saved({"w": torch.ones(3)}))
        assert open_artifact(tmp_path / name).format == "torch-zip"


@pytest.mark.parametrize("length", range(40))
def test_any_beginning_is_counted(length: int) -> None:
    for name, (data, _, _) in FILES.items():
        named = formats.unread(data[:length], name)
        if named is not None:
            contents = named.read(data[:length], where=name)
            assert [(region.span.start, region.span.stop) for region in contents.regions] == [(0, length)]


def test_they_cannot_be_asked_for(golfbudget: Run, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(FILES["m.onnx"][0])
    assert "no format is called 'onnx'" in golfbudget("inspect", tmp_path / "m.onnx", "--as", "onnx").stderr


@pytest.mark.parametrize("name", ["weights.h5", "m.keras", "m.onnx", "flax_model.msgpack", "saved_model.pb", "m.tar"])
def test_a_folder_of_one_says_what_it_is(tmp_path: Path, name: str) -> None:
    data, _, what = FILES[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=f"it holds {name}: {what}.*, which is not read: "):
        open_artifact(tmp_path)


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_a_distributed_checkpoint_says_how_to_join_it(tmp_path: Path) -> None:
    from torch.distributed.checkpoint.state_dict_saver import save  # Takes seconds, and one process is enough.

    save({"w": torch.ones(4)}, checkpoint_id=tmp_path, no_dist=True)
    with pytest.raises(UsageError, match=r"it holds __0_0\.distcp: a share of a torch distributed.*dcp_to_torch_save"):
        open_artifact(tmp_path)
    alone = open_artifact(tmp_path / "__0_0.distcp")
    assert alone.format == "torch-distributed"
    assert alone.notes[0].startswith("a share of a torch distributed checkpoint (DCP), which is not read: join it")
