"""What a path means: folders as the libraries open them, files in pieces, and one file of several."""

from __future__ import annotations

import errno
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import safetensors.numpy
import torch
from safetensors.torch import save_file
from support.blobs import saved
from support.command_line import Run

from golfbudget.artifact import Artifact, open_artifact
from golfbudget.errors import CorruptError, GolfbudgetError, UnsupportedError, UsageError
from golfbudget.roles import assign, load_roles

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'4d' * 32}\nsize 12345\n".encode()
Write = Callable[[Path], None]


def tensors(path: Path, *names: str) -> None:
    save_file({name: torch.full((4, 8), float(number)) for number, name in enumerate(names)}, path)


def state(path: Path, *names: str) -> None:
    path.write_bytes(saved({name: torch.ones(4, 8) for name in names}))


def split_gguf(path: Path, number: int, count: int, *names: str) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint16("split.no", number)
    writer.add_uint16("split.count", count)
    for name in names:
        writer.add_tensor(name, np.ones((8, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def index(path: Path, files: dict[str, str]) -> None:
    path.write_text(json.dumps({"weight_map": files}))


def names_of(artifact: Artifact) -> list[str]:
    return sorted(tensor.name for tensor in artifact.tensors)


# What the libraries look for, in their order


def shards(folder: Path) -> None:
    tensors(folder / "model-00001-of-00002.safetensors", "i1")
    tensors(folder / "model-00002-of-00002.safetensors", "i2")
    files = {"i1": "model-00001-of-00002.safetensors", "i2": "model-00002-of-00002.safetensors"}
    index(folder / "model.safetensors.index.json", files)


def torch_shards(folder: Path) -> None:
    state(folder / "pytorch_model-00001-of-00001.bin", "pi")
    index(folder / "pytorch_model.bin.index.json", {"pi": "pytorch_model-00001-of-00001.bin"})


def consolidated(folder: Path) -> None:
    tensors(folder / "consolidated-00001-of-00002.safetensors", "c1")
    tensors(folder / "consolidated-00002-of-00002.safetensors", "c2")


def split(folder: Path) -> None:
    split_gguf(folder / "m-00001-of-00002.gguf", 0, 2, "g1")
    split_gguf(folder / "m-00002-of-00002.gguf", 1, 2, "g2")


#: Every way in which a folder holds a checkpoint, the first that is there winning: how it is written, what is opened.
ORDER: list[tuple[Write, set[str]]] = [
    (shards, {"i1", "i2"}),
    (lambda folder: tensors(folder / "model.safetensors", "m"), {"m"}),
    (lambda folder: tensors(folder / "adapter_model.safetensors", "a"), {"a"}),
    (torch_shards, {"pi"}),
    (lambda folder: state(folder / "pytorch_model.bin", "p"), {"p"}),
    (lambda folder: tensors(folder / "consolidated.safetensors", "c"), {"c"}),
    (consolidated, {"c1", "c2"}),
    (lambda folder: state(folder / "consolidated.00.pth", "meta"), {"meta"}),
    (split, {"g1", "g2"}),
    (lambda folder: state(folder / "final_model.ptz", "z"), {"z"}),
]


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_a_folder_is_opened_in_the_order_of_the_libraries(tmp_path: Path, first: int) -> None:
    for write, _ in ORDER[first:]:
        write(tmp_path)
    (tmp_path / "README.md").write_text("nothing")
    artifact = open_artifact(tmp_path)
    assert set(names_of(artifact)) == ORDER[first][1]
    assert artifact.part_of is None
    assert sum(part.stored_bits for part in artifact.parts) == 8 * artifact.size
    assert artifact.size == sum(file.path.stat().st_size for file in artifact.local_files)


STATE = [
    "optimizer.pt", "scheduler.pt", "rng_state.pth", "rng_state_0.pth", "training_args.bin", "scaler.pt",
    "optimizer.bin", "random_states_0.pkl", "tokenizer.bin",
]  # fmt: skip


@pytest.mark.parametrize("file", ["model.safetensors", "my_model.pt"])
def test_training_state_is_never_the_weights(tmp_path: Path, file: str, golfbudget: Run) -> None:
    folder = tmp_path / "checkpoint-500"
    folder.mkdir()
    (tensors if file.endswith("safetensors") else state)(folder / file, "w")
    for name in STATE:
        state(folder / name, "state")
    (folder / "trainer_state.json").write_text("{}")
    done = golfbudget("inspect", folder)
    assert done.returncode == 0
    (note,) = (line for line in done.stdout.splitlines() if line.startswith("note    of this folder"))
    assert note == (
        f"note    of this folder {file} counts, and not optimizer.bin, optimizer.pt, random_states_0.pkl, "
        "rng_state.pth and 5 more"
    )
    assert names_of(open_artifact(folder)) == ["w"]
    with pytest.raises(UsageError, match=r"the folder holds no model file.*there are such files in checkpoint-500/"):
        open_artifact(tmp_path)


def test_a_folder_of_state_alone_says_so(tmp_path: Path) -> None:
    state(tmp_path / "optimizer.pt", "w")
    with pytest.raises(UsageError, match=r"optimizer\.pt is no weights; name the file itself"):
        open_artifact(tmp_path)


def test_folders_without_a_model_say_what_they_hold(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no model file, .*it is empty"):
        open_artifact(tmp_path)
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(UsageError, match=r"it holds notes\.md; name the file itself"):
        open_artifact(tmp_path)
    (tmp_path / "original").mkdir()
    state(tmp_path / "original" / "consolidated.00.pth", "w")
    with pytest.raises(UsageError, match=r"there are such files in original/: name one"):
        open_artifact(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"\x08\x07\x12\x07pytorch")
    with pytest.raises(UsageError, match=r"it holds model\.onnx: an ONNX file, which is not read: inspect"):
        open_artifact(tmp_path)


def test_one_contest_artifact_is_found_among_other_files(tmp_path: Path) -> None:
    state(tmp_path / "final_model.int8.ptz", "w")
    (tmp_path / "train_gpt.py").write_text("x = 1")
    (tmp_path / "train.log").write_text("loss")
    artifact = open_artifact(tmp_path)
    assert artifact.path == str(tmp_path / "final_model.int8.ptz")
    assert artifact.notes == ()


# The cache of Hugging Face


def cached(root: Path, *revisions: str) -> Path:
    """A repository in the cache: snapshots of links into blobs, as `snapshot_download` leaves it."""
    repository = root / "models--org--tiny"
    (repository / "blobs").mkdir(parents=True)
    for number, revision in enumerate(revisions):
        snapshot = repository / "snapshots" / revision
        snapshot.mkdir(parents=True)
        for name, blob in (("model.safetensors", f"aa{number}"), ("config.json", f"bb{number}")):
            target = repository / "blobs" / blob
            if name == "config.json":
                target.write_text(json.dumps({"revision": revision}))
            else:
                tensors(target, revision)
            (snapshot / name).symlink_to(Path("../../blobs") / blob)
    return repository


def test_a_repository_of_the_cache_is_its_main_snapshot(tmp_path: Path) -> None:
    repository = cached(tmp_path, "1" * 40, "2" * 40)
    with pytest.raises(UsageError, match="refs/main names none of its snapshots"):
        open_artifact(repository)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("2" * 40)
    artifact = open_artifact(repository)
    assert names_of(artifact) == ["2" * 40]
    assert artifact.config == {"revision": "2" * 40}
    assert artifact.notes == (f"snapshot {'2' * 12}, which refs/main names",)
    (repository / "refs" / "main").write_text("../..")
    with pytest.raises(UsageError, match="refs/main names none"):
        open_artifact(repository)


def test_the_only_snapshot_and_a_link_in_it_are_opened(tmp_path: Path) -> None:
    repository = cached(tmp_path, "3" * 40)
    assert names_of(open_artifact(repository)) == ["3" * 40]
    named = open_artifact(repository / "snapshots" / ("3" * 40) / "model.safetensors")
    assert named.config == {"revision": "3" * 40}


# Files that belong together


def test_missing_files_of_several_are_named(tmp_path: Path) -> None:
    for number in (1, 4):
        tensors(tmp_path / f"model-{number:05}-of-00004.safetensors", f"t{number}")
    expected = r"are 2 of 4 \(model-00002-of-00004\.safetensors, model-00003-of-00004\.safetensors not there\)"
    with pytest.raises(CorruptError, match=expected):
        open_artifact(tmp_path)


def test_missing_pieces_are_named(tmp_path: Path) -> None:
    for number in (0, 2):
        state(tmp_path / f"consolidated.{number:02}.pth", "w")
    with pytest.raises(CorruptError, match=r"consolidated\.01\.pth not there"):
        open_artifact(tmp_path)


def test_two_checkpoints_in_pieces_are_ambiguous(tmp_path: Path) -> None:
    for stem in ("a", "b"):
        for number in (0, 1):
            split_gguf(tmp_path / f"{stem}-{number + 1:05}-of-00002.gguf", number, 2, f"t{number}")
    with pytest.raises(UsageError, match="2 checkpoints in several files"):
        open_artifact(tmp_path)


def test_model_parallel_pieces_keep_all_their_tensors(tmp_path: Path) -> None:
    """Meta cuts matrices across the files under one name, and repeats the norms in each."""
    for number in (0, 1):
        value = {
            "tok_embeddings.weight": torch.ones(16, 4),
            "norm.weight": torch.ones(8),
            "output.weight": torch.rand(8, 8),
        }
        (tmp_path / f"consolidated.{number:02}.pth").write_bytes(saved(value))
    (tmp_path / "params.json").write_text("{}")
    artifact = open_artifact(tmp_path)
    expected = [
        f"consolidated.{n:02}/{name}"
        for n in (0, 1)
        for name in ("norm.weight", "output.weight", "tok_embeddings.weight")
    ]
    assert names_of(artifact) == expected
    assert any("cut across the files" in note for note in artifact.notes)
    ledger = assign(artifact, load_roles()).ledger
    assert sum(entry.parameters for entry in ledger.entries) == 2 * (64 + 64) + 8
    held = {entry.owner for entry in ledger.entries if entry.tensor is not None}
    assert held == {"norm.weight", "output.weight", "tok_embeddings.weight"}
    assert (
        open_artifact(tmp_path / "consolidated.01.pth").part_of
        == "file 2 of 2 of a checkpoint in model-parallel pieces"
    )


def test_one_of_two_names_in_two_shards_is_still_refused(tmp_path: Path) -> None:
    for number in (1, 2):
        tensors(tmp_path / f"model-{number:05}-of-00002.safetensors", "same")
    with pytest.raises(CorruptError, match="two streams hold a tensor called 'same'"):
        open_artifact(tmp_path)


def test_one_file_of_several_is_known_to_be_a_part(tmp_path: Path) -> None:
    split(tmp_path)
    second = open_artifact(tmp_path / "m-00002-of-00002.gguf")
    assert second.part_of == "file 2 of 2 of a split GGUF (split.count)"
    assert assign(second, load_roles()).tied is None
    renamed = tmp_path / "alone" / "renamed.gguf"
    renamed.parent.mkdir()
    split_gguf(renamed, 0, 3, "token_embd.weight")
    for path in (renamed, renamed.parent):
        artifact = open_artifact(path)
        assert artifact.part_of == "file 1 of 3 of a split GGUF (split.count)"
        assert f"{artifact.part_of}; the rest is not counted" in artifact.notes
    tensors(tmp_path / "model-00002-of-00003.safetensors", "w")
    assert (
        open_artifact(tmp_path / "model-00002-of-00003.safetensors").part_of == "file 2 of 3 of a checkpoint in shards"
    )
    tensors(tmp_path / "model-00001-of-00001.safetensors", "w")
    assert open_artifact(tmp_path / "model-00001-of-00001.safetensors").part_of is None


def test_a_file_that_an_index_beside_it_lists_is_a_part(tmp_path: Path) -> None:
    tensors(tmp_path / "a.safetensors", "a")
    (tmp_path / "broken.index.json").write_text("{")
    index(tmp_path / "model.safetensors.index.json", {"a": "a.safetensors"})
    assert open_artifact(tmp_path / "a.safetensors").part_of is None
    index(tmp_path / "model.safetensors.index.json", {"a": "a.safetensors", "b": "b.safetensors"})
    expected = "one of 2 files that model.safetensors.index.json lists"
    assert open_artifact(tmp_path / "a.safetensors").part_of == expected


def test_tensors_that_the_index_leaves_out_are_said(tmp_path: Path) -> None:
    tensors(tmp_path / "model-00001-of-00001.safetensors", "a", "b")
    index(tmp_path / "model.safetensors.index.json", {"a": "model-00001-of-00001.safetensors"})
    told = "model.safetensors.index.json lists 1 of the tensors in its files not (b); they count"
    assert open_artifact(tmp_path).notes == (told,)


@pytest.mark.parametrize("hidden", ["model.safetensors", "config.json"])
def test_what_may_not_be_looked_at_is_named(tmp_path: Path, hidden: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors(tmp_path / "model.safetensors", "a")
    (tmp_path / "config.json").write_text("{}")
    looked = Path.stat

    def stat(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if path.name == hidden:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return looked(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", stat)
    if hidden == "config.json":
        assert "config.json was not used: cannot be read: Permission denied" in open_artifact(tmp_path).notes
    else:
        with pytest.raises(UsageError, match=r"model\.safetensors: cannot be read: Permission denied"):
            open_artifact(tmp_path)


def test_a_folder_of_no_regular_file_is_not_called_empty(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match="what it holds is no regular file"):
        open_artifact(tmp_path)


# What stands beside a file


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (b"{", "config.json was not used: not valid JSON"),
        (b"\xff\xfe", "config.json was not used: not valid JSON"),
        (b"[" * 100_000, "config.json was not used: not valid JSON"),
        (b"[1]", "config.json was not used: it holds no JSON object"),
        (POINTER, "config.json was not used: a Git LFS pointer"),
    ],
)
def test_a_broken_configuration_refuses_no_file(tmp_path: Path, text: bytes, note: str) -> None:
    tensors(tmp_path / "model.safetensors", "w")
    (tmp_path / "config.json").write_bytes(text)
    for path in (tmp_path, tmp_path / "model.safetensors"):
        artifact = open_artifact(path)
        assert artifact.config is None
        (own,) = artifact.notes
        assert own.startswith(note)


# Git LFS


@pytest.mark.parametrize("name", ["model.safetensors", "model.gguf", "model.pt", "model.bin", "weights"])
def test_a_git_lfs_pointer_is_called_one(tmp_path: Path, name: str, golfbudget: Run) -> None:
    (tmp_path / name).write_bytes(POINTER)
    done = golfbudget("inspect", tmp_path / name)
    assert done.returncode == 2
    assert done.stderr == (
        f"golfbudget: error: {tmp_path / name}: a Git LFS pointer of 130 bytes, not the file it points to "
        f"(oid sha256:{'4d' * 32}; 12,345 bytes); fetch that with: git lfs pull\n"
    )
    assert golfbudget("inspect", tmp_path / name, "--as", "opaque").returncode == 0


def test_a_git_lfs_pointer_is_known_as_a_shard_and_as_an_index(tmp_path: Path) -> None:
    shards(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(POINTER)
    with pytest.raises(UnsupportedError, match=r"model-00002-of-00002\.safetensors: a Git LFS pointer"):
        open_artifact(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_bytes(POINTER)
    with pytest.raises(UnsupportedError, match=r"index\.json: a Git LFS pointer"):
        open_artifact(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_bytes(POINTER[:50])
    with pytest.raises(UnsupportedError, match="it names none"):
        open_artifact(tmp_path)


# Whatever a folder holds


@pytest.mark.parametrize("seed", range(40))
def test_a_changed_folder_gives_a_ledger_or_an_error(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    for write, _ in chance.sample(ORDER, 2):
        write(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        data, what = bytearray(path.read_bytes()), chance.randrange(5)
        if what == 0:
            path.write_bytes(data[: chance.randrange(len(data))])
        elif what == 1:
            for _ in range(4):
                data[chance.randrange(min(len(data), 400))] = chance.randrange(256)
            path.write_bytes(data)
        elif what == 2:
            path.unlink()
    try:
        artifact = open_artifact(tmp_path)
    except GolfbudgetError as error:
        assert str(tmp_path) in str(error)  # noqa: PT017  (either is right)
    else:
        assert assign(artifact, load_roles()).ledger.size == artifact.size


def test_joined_shards_hold_what_the_library_loads_from_them(tmp_path: Path) -> None:
    shards(tmp_path)
    (tmp_path / "model.safetensors.index.json").unlink()
    loaded = [safetensors.numpy.load_file(path) for path in tmp_path.glob("*.safetensors")]
    expected = {name: array.shape for file in loaded for name, array in file.items()}
    artifact = open_artifact(tmp_path)
    assert {tensor.name: tensor.shape for tensor in artifact.tensors} == expected
    assert artifact.notes == ("2 files joined, model-*-of-00002.safetensors, which no index lists",)
