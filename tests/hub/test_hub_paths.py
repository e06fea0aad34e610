"""hf:// paths against a Hub on this machine: headers tell what the folder on disk tells, and no byte is guessed."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from support.command_line import Run, run_process
from support.hub_models import folder_of, gguf_of, tokenizer_of
from support.hub_server import COMMIT, Hub, serving
from support.transcripts import REWRITE, ROOT, blocks, masked, tidy

import golfbudget as gb
from golfbudget.artifact.beginnings import open_beginnings
from golfbudget.errors import CorruptError, GolfbudgetError, NotAtHandError, UnsupportedError, UsageError
from golfbudget.formats import Beginning, read_beginning
from golfbudget.formats.gguf import read_gguf
from golfbudget.formats.safetensors import read_safetensors
from golfbudget.hub import HubAddress, parse_address

constants = pytest.importorskip("huggingface_hub.constants", reason="needs golfbudget[hf]: huggingface_hub")

Report = dict[str, Any]


def saved(folder: Path, tensors: dict[str, np.ndarray[Any, Any]], config: Mapping[str, object] | None = None) -> Path:
    """A folder with one file of tensors, and a configuration."""
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def drawn(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Repositories of all kinds."""
    root = tmp_path_factory.mktemp("hub")
    made = {kind: folder_of(kind, root / kind) for kind in ("llama", "gpt2", "t5")}
    tokenizer_of(made["llama"] / "tokenizer.json")
    (made["llama"] / "optimizer.pt").write_bytes(bytes(50_000))
    (root / "gguf").mkdir()
    gguf_of(root / "gguf" / "tied.gguf")
    made["gguf"] = root / "gguf"
    (root / "two").mkdir()
    gguf_of(root / "two" / "a.gguf", "Q8_0", tied=False)
    gguf_of(root / "two" / "b.gguf", "Q5_0", feed=256)
    made["two"] = root / "two"
    (root / "pickled").mkdir()
    (root / "pickled" / "pytorch_model.bin").write_bytes(b"PK\x03\x04" + bytes(100_000))
    made["pickled"] = root / "pickled"
    made["large"] = saved(root / "large", {"model.embed_tokens.weight": drawn(4096, 1024)})
    inner = saved(root / "inner" / "original", {"model.embed_tokens.weight": drawn(64, 8)}, {"vocab_size": 64})
    made["inner"] = inner.parent
    return {f"org/{name}": folder for name, folder in made.items()}


@pytest.fixture
def hub(folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A server of them, which the library in this process asks, with a cache of its own."""
    from huggingface_hub.utils import close_session

    with serving({**folders}) as made:
        for name, value in made.environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(constants, "ENDPOINT", made.address)
        template = f"{made.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield made
        close_session()


def told(path: str | Path) -> Report:
    return gb.inspect(path).to_dict()


def known_alike(there: Report, here: Report) -> None:
    """A report from headers is the folder's, but for where it lies and what values tell."""
    for report in (there, here):
        del report["source"]
    assert {owner.pop("content") for owner in there["owners"]} == {None}
    for owner in here["owners"]:
        del owner["content"]
    assert there == here


@pytest.mark.parametrize("kind", ["llama", "gpt2", "t5"])
def test_headers_tell_what_the_folder_tells(hub: Hub, kind: str) -> None:
    folder = hub.folders[f"org/{kind}"]
    there, here = told(f"hf://org/{kind}"), told(folder)
    weights = sorted(folder.glob("*.safetensors"))
    headers = sum(8 + int.from_bytes(path.read_bytes()[:8], "little") for path in weights)
    beside = sum(path.stat().st_size for path in (*folder.glob("*.index.json"), folder / "config.json"))
    source = there["source"]
    assert source["downloaded_bytes"] == headers + beside < here["source"]["bytes"] / 4
    assert source["bytes"] == here["source"]["bytes"]
    assert source["path"] == f"hf://org/{kind}@{COMMIT}" + ("" if len(weights) > 1 else "/model.safetensors")
    assert "hf download org/" in source["missing"]
    if len(weights) > 1:
        assert source["sha256"] is None
        assert [file["sha256"] for file in source["files"]] == [file["sha256"] for file in here["source"]["files"]]
    else:
        assert source["sha256"] == here["source"]["sha256"]
    known_alike(there, here)


def test_only_what_is_needed_is_asked_for(hub: Hub) -> None:
    gb.inspect("hf://org/llama")
    files = [line.split("/")[-1].split()[0] for line in hub.asked if "/resolve/" in line]
    assert set(files) == {
        "config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    }  # fmt: skip
    assert all("bytes=" in line for line in hub.asked if "/resolve/" in line)
    assert hub.sent < sum(path.stat().st_size for path in hub.files("org/llama")) / 10


@pytest.mark.parametrize("path", ["gguf", "gguf@main", "two/b.gguf"])
def test_a_gguf_file_is_told_by_its_beginning(hub: Hub, path: str) -> None:
    name, _, file = path.replace("@main", "").partition("/")
    there, here = told(f"hf://org/{path}"), told(hub.folders[f"org/{name}"] / file)
    assert there["source"]["downloaded_bytes"] <= 1 << 15 < there["source"]["bytes"] / 2
    assert there["source"]["path"] == f"hf://org/{name}@{COMMIT}/{file or 'tied.gguf'}"
    known_alike(there, here)


def test_a_few_values_tell_an_output_matrix_of_a_gguf_file_from_the_table(hub: Hub) -> None:
    there, here = gb.inspect("hf://org/two/a.gguf"), gb.inspect(hub.folders["org/two"] / "a.gguf")
    assert there.tied is here.tied is False
    assert there.tied_reason == here.tied_reason
    ranges = [line for line in hub.asked if "a.gguf" in line]
    assert len(ranges) == 3
    source = there.to_dict()["source"]
    assert source["downloaded_bytes"] < source["bytes"]
    sums = [{role: totals.stored_bytes for role, totals in found.by().items()} for found in (there, here)]
    assert sums[0] == sums[1]
    assert f"({source['downloaded_bytes']:,} bytes were" in source["missing"]


def test_an_output_matrix_that_repeats_what_was_looked_at_may_be_the_table(hub: Hub, tmp_path: Path) -> None:
    data = bytearray((hub.folders["org/two"] / "a.gguf").read_bytes())
    stored = {tensor.name: tensor for tensor in read_gguf(bytes(data), where="m").tensors}
    table, output = (stored[name] for name in ("token_embd.weight", "output.weight"))
    assert table.offset is not None
    assert output.offset is not None
    repeated = data[table.offset : table.offset + table.stored_bytes]
    data[output.offset : output.offset + output.stored_bytes] = repeated
    (tmp_path / "twice").mkdir()
    (tmp_path / "twice" / "m.gguf").write_bytes(data)
    hub.folders["org/twice"] = tmp_path / "twice"
    there, here = gb.inspect("hf://org/twice/m.gguf"), gb.inspect(hub.folders["org/twice"] / "m.gguf")
    assert (there.tied, here.tied) == (None, True)
    assert "whether output.weight repeats the bytes of token_embd.weight is not known" in there.tied_reason


def header_of(data: bytes) -> int:
    """Where the records of a GGUF file end."""
    return max(region.span.stop for region in read_gguf(data, where="m").regions if region.label == "[tensor record]")


def test_the_beginning_of_a_gguf_file_asks_for_more_until_its_header_is_whole(tmp_path: Path) -> None:
    data = gguf_of(tmp_path / "m.gguf").read_bytes()
    end, whole = header_of(data), read_gguf(data, where="m")
    for length in (*range(300), *range(300, end, 97), end - 1):
        with pytest.raises(NotAtHandError) as unread:
            read_gguf(Beginning(data[:length], size=len(data), missing="no"), where="m")
        assert length < unread.value.needed <= end
    found = read_gguf(Beginning(data[:end], size=len(data), missing="no"), where="m")
    assert (found.regions, found.tensors, found.values) == (whole.regions, whole.tensors, whole.values)


def test_a_header_longer_than_one_step_is_read_on(hub: Hub, tmp_path: Path) -> None:
    import gguf

    writer = gguf.GGUFWriter(tmp_path / "long.gguf", "llama")
    writer.add_token_list([f"a token of many letters, number {number}" for number in range(8000)])
    writer.add_tensor("token_embd.weight", drawn(8000, 96))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    hub.folders["org/long"] = tmp_path
    there = told("hf://org/long/long.gguf")
    header = header_of((tmp_path / "long.gguf").read_bytes())
    assert header < there["source"]["downloaded_bytes"] <= 2 * header < there["source"]["bytes"] / 4
    known_alike(there, told(tmp_path / "long.gguf"))


def test_padding_that_was_not_read_is_said_to_be_by_its_place(tmp_path: Path) -> None:
    import gguf

    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    for name in ("a", "b"):
        writer.add_tensor(name, drawn(7))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    data = (tmp_path / "m.gguf").read_bytes()
    found = read_gguf(Beginning(data[: header_of(data)], size=len(data), missing="no"), where="m")
    assert len(found.notes) == 1
    assert "padding by their place" in found.notes[0]
    assert not read_gguf(data, where="m").notes


def test_what_was_not_read_is_no_buffer_and_no_zeros() -> None:
    known = Beginning(b"abcd", size=100, missing="fetch it")
    assert (len(known), known[:4], known[1:3], known[50:50]) == (100, b"abcd", b"bc", b"")
    for place in (slice(5), slice(3, 5), slice(50, 60), slice(-1, None)):
        with pytest.raises(NotAtHandError, match="fetch it"):
            known[place]
    wrong: tuple[Callable[[Any], object], ...] = (memoryview, bytes)
    for buffer in wrong:
        with pytest.raises(TypeError):
            buffer(known)


def test_values_are_refused_where_they_are_asked_for(hub: Hub) -> None:
    artifact = open_beginnings(parse_address("hf://org/gpt2"))
    leaf = artifact.leaves[0]
    assert not leaf.at_hand
    assert leaf.size == artifact.size
    with pytest.raises(NotAtHandError, match="hf download org/gpt2"):
        _ = leaf.data
    with pytest.raises(NotAtHandError, match="values were not downloaded"):
        gb.inspect("hf://org/gpt2").as_config()
    hub.asked.clear()
    with pytest.raises(UsageError, match=r"--entropy takes values.* hf download org/gpt2 --local-dir DIR"):
        gb.inspect("hf://org/gpt2", entropy=True)
    assert not hub.asked


SHAPE = (96, 8)


@pytest.mark.parametrize(("said", "same"), [(True, None), (None, None), (False, False)])
def test_a_stored_output_is_tied_or_not_by_what_is_known(
    hub: Hub, tmp_path: Path, *, said: bool | None, same: bool | None
) -> None:
    """A few values tell two matrices apart; that one repeats the other takes all of them, or a word against it."""
    table, config = drawn(*SHAPE), {"vocab_size": SHAPE[0]} | ({} if said is None else {"tie_word_embeddings": said})
    for name, head in (("same", table), ("other", drawn(*SHAPE, seed=1))):
        tensors = {"model.embed_tokens.weight": table, "lm_head.weight": head, "model.norm.weight": drawn(8)}
        hub.folders[f"org/{name}"] = saved(tmp_path / name, tensors, config)
        found, tied = gb.inspect(f"hf://org/{name}"), same if name == "same" else False
        assert found.tied is tied
        assert ("not known whether it is tied" in str(found)) == (tied is None)
        assert ("values were not downloaded" in found.tied_reason) == (tied is None)
        assert "lm_head.weight" in found.tied_reason
        assert gb.inspect(tmp_path / name).tied is (name == "same" and said is not False)
    assert found.by("role")["head"].stored_bytes > 4 * SHAPE[0] * SHAPE[1]


def test_an_output_of_another_form_is_no_copy(hub: Hub, tmp_path: Path) -> None:
    tensors = {"model.embed_tokens.weight": drawn(*SHAPE), "lm_head.weight": drawn(*SHAPE).astype(np.float16)}
    hub.folders["org/half"] = saved(tmp_path / "half", tensors)
    assert gb.inspect("hf://org/half").tied is False


def test_what_no_value_could_change_is_known(hub: Hub, tmp_path: Path) -> None:
    """A matrix of the table's form that no rule claims: where config.json ties, the head is tied either way."""
    tensors = {"model.embed_tokens.weight": drawn(*SHAPE), "model.mystery": drawn(*SHAPE, seed=1)}
    for said, tied in ((True, True), (None, None)):
        config = {"vocab_size": SHAPE[0]} | ({} if said is None else {"tie_word_embeddings": said})
        name = f"mystery-{said}"
        hub.folders[f"org/{name}"] = saved(tmp_path / name, tensors, config)
        assert gb.inspect(f"hf://org/{name}").tied is gb.inspect(tmp_path / name).tied is tied


def test_shapes_that_stand_in_tensors_are_said_to_be_unread(hub: Hub, tmp_path: Path) -> None:
    """compressed-tensors: the configuration's bits stand in for the shape beside the packed weights."""
    tensors = {
        "model.embed_tokens.weight": drawn(64, 64),
        "model.layers.0.mlp.up_proj.weight_packed": np.zeros((32, 8), np.int32),
        "model.layers.0.mlp.up_proj.weight_scale": drawn(32, 2),
        "model.layers.0.mlp.up_proj.weight_shape": np.array([32, 64], np.int64),
    }
    groups = {"group_0": {"weights": {"num_bits": 4, "group_size": 32}, "targets": ["Linear"]}}
    config = {"vocab_size": 64, "quantization_config": {"quant_method": "compressed-tensors", "config_groups": groups}}
    hub.folders["org/packed"] = saved(tmp_path / "packed", tensors, config)
    there, here = gb.inspect("hf://org/packed"), gb.inspect(tmp_path / "packed")
    assert there.parameters == here.parameters == 64 * 64 + 32 * 64
    assert "beside packed ones were not downloaded" in str(there)
    assert "not downloaded" not in str(here)


def test_one_file_of_several_says_so(hub: Hub) -> None:
    folder = hub.folders["org/llama"]
    for file in ("model-00001-of-00002.safetensors", "model.safetensors.index.json"):
        there, here = gb.inspect(f"hf://org/llama@{COMMIT}/{file}"), gb.inspect(folder / file)
        assert there.inspection.artifact.part_of == here.inspection.artifact.part_of
        known_alike(there.to_dict(), here.to_dict())


def test_a_folder_in_a_repository_is_a_folder(hub: Hub) -> None:
    known_alike(told("hf://org/inner/original"), told(hub.folders["org/inner"] / "original"))
    with pytest.raises(UsageError, match=r"hf://org/inner@0.*there are such files in original/: name one"):
        gb.inspect("hf://org/inner")


def test_what_takes_the_whole_file_is_refused_or_counted_as_it_is(hub: Hub) -> None:
    with pytest.raises(UnsupportedError, match=r"pytorch_model.bin: 100,004 bytes .*hf download org/pickled"):
        gb.inspect("hf://org/pickled")
    found = gb.inspect("hf://org/pickled", as_format="opaque")
    assert found.by("role")["unassigned"].stored_bytes == 100_004
    with pytest.raises(UnsupportedError, match="header does not come first"):
        gb.inspect("hf://org/pickled", as_format="torch-zip")
    with pytest.raises(UsageError, match=r"2 model files \(a.gguf, b.gguf\), expected one.*name the file itself"):
        gb.inspect("hf://org/two")
    assert hub.sent < 10_000


@pytest.mark.parametrize(
    ("arguments", "way"),
    [
        (["estimate"], "golfbudget inspect hf://org/llama --as-config -o FILE"),
        (["pack", "--candidate", "head-int6", "-o", "x"], "golfbudget plan hf://org/llama --format json -o FILE"),
    ],
)
def test_commands_of_other_files_say_how_to_have_one(golfbudget: Run, arguments: list[str], way: str) -> None:
    done = golfbudget(arguments[0], "hf://org/llama", *arguments[1:])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("golfbudget: error: hf://org/llama: this takes a ")
    assert way in done.stderr
    assert done.stderr.count("\n") == 1


TROUBLE = {
    "hf://org": "expected hf://org/name",
    "hf://": "expected hf://org/name",
    "hf://org/llama@": "expected hf://org/name",
    "hf://datasets/org/llama": "a dataset of the Hub, and no model",
    "hf://org/llama/../x.gguf": "no path in a repository",
    "hf://org/none": "has no such repository, or it is private (set HF_TOKEN",
    "hf://org/llama@v9": "the repository has no revision 'v9'",
    "hf://org/llama/none.gguf": "the repository has no such file; it holds config.json",
}


@pytest.mark.parametrize("path", TROUBLE)
def test_a_bad_address_is_told_in_a_line(hub: Hub, golfbudget: Run, path: str) -> None:
    done = golfbudget("inspect", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert TROUBLE[path] in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"golfbudget: error: {path.rstrip('/')}")
    assert hub.sent < 5000


def test_private_and_gated_repositories_take_a_token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.token = "hf_secret"  # noqa: S105  (no secret)
    with pytest.raises(UsageError, match="private"):
        gb.inspect("hf://org/gpt2")
    hub.gated = True
    with pytest.raises(UsageError, match=r"is gated: ask for access at http://127.*/org/gpt2"):
        gb.inspect("hf://org/gpt2")
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert gb.inspect("hf://org/gpt2").tied


def test_a_file_on_another_host_is_read_by_ranges_there_and_without_the_token(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the Hub does it: its own address of a file in LFS leads to a store."""
    hub.behaviour, hub.token = "redirects", "hf_secret"
    monkeypatch.setenv("HF_TOKEN", hub.token)
    found = gb.inspect("hf://org/gpt2")
    assert found.stored_bytes == (hub.folders["org/gpt2"] / "model.safetensors").stat().st_size
    assert sum("/elsewhere/" in line and "bytes=" in line for line in hub.asked) == 2
    assert not hub.leaked
    assert hub.sent < found.stored_bytes / 10


BEHAVIOUR: dict[str, tuple[type[GolfbudgetError], str]] = {
    "lies": (CorruptError, r"the server lists \d+ bytes, and sends a file of \d+"),
    "short": (CorruptError, r"the server ends at byte \d+, and states a length of \d+"),
    "shifted": (CorruptError, r"asked for bytes from 0 on, the server sends"),
    "compressed": (UsageError, r"sends it compressed \(br\)"),
    "no-hub": (UsageError, "answers as no Hub does"),
}


@pytest.mark.parametrize("behaviour", BEHAVIOUR)
def test_a_server_that_contradicts_itself_is_refused(hub: Hub, tmp_path: Path, behaviour: str) -> None:
    # Without a config.json, which is not refused for its own sake.
    hub.folders["org/bare"] = saved(tmp_path / "bare", {"model.embed_tokens.weight": drawn(64, 64)})
    hub.behaviour = behaviour
    kind, message = BEHAVIOUR[behaviour]
    with pytest.raises(kind, match=message):
        gb.inspect(f"hf://org/bare{'@main' if behaviour == 'no-hub' else ''}")


def test_a_server_that_ignores_ranges_is_read_no_further_than_needed(hub: Hub) -> None:
    hub.behaviour = "ignores-range"
    there = told("hf://org/large")
    assert there["source"]["bytes"] > 16_000_000
    # What was on its way when the connection was closed counts as sent.
    assert there["source"]["downloaded_bytes"] < hub.sent < 8_000_000
    known_alike(there, told(hub.folders["org/large"]))


@pytest.mark.parametrize(("header", "message"), [(1 << 40, "expected at most"), (3000, "expected at most 92")])
def test_a_header_that_cannot_be_is_refused_unread(hub: Hub, tmp_path: Path, header: int, message: str) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "model.safetensors").write_bytes(header.to_bytes(8, "little") + b"{" + bytes(91))
    hub.folders["org/bad"] = tmp_path / "bad"
    with pytest.raises(CorruptError, match=rf"header length at byte 0 says {header} bytes, {message}"):
        gb.inspect("hf://org/bad")
    (tmp_path / "bad" / "model.safetensors").write_bytes(b"")
    with pytest.raises(CorruptError, match="the file is empty"):
        gb.inspect("hf://org/bad")


def test_a_header_up_to_the_limit_of_the_format_is_asked_for_and_no_longer_one() -> None:
    for length, wanted in ((100_000_000, NotAtHandError), (100_000_001, CorruptError)):
        data = Beginning(length.to_bytes(8, "little") + b"{", size=1 << 40, missing="no")
        with pytest.raises(wanted):
            read_safetensors(data, where="m")
        with pytest.raises(wanted):
            read_beginning(data, where="m", name="m.safetensors")


def test_no_server_and_no_network_are_told_in_a_line(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path]
) -> None:
    with serving(folders) as gone:
        monkeypatch.setattr(constants, "ENDPOINT", gone.address)
    with pytest.raises(UsageError, match=r"http://127.0.0.1:\d+ cannot be reached"):
        gb.inspect("hf://org/gpt2")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match="HF_HUB_OFFLINE is set"):
        gb.inspect("hf://org/gpt2")
    assert not hub.asked


def test_a_server_that_never_answers_is_waited_for_no_longer_than_said(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.2)
        with pytest.raises(UsageError, match="cannot be reached: timed out"):
            gb.inspect("hf://org/gpt2")
    assert not hub.asked


def test_addresses_are_read_as_they_are_written() -> None:
    for text in ("hf://org/name", "hf://org/name@v1", "hf://org/name@refs%2Fx/a/b.gguf"):
        assert str(parse_address(text)) == text
        assert parse_address(Path(text)) == parse_address(text)
    assert parse_address("hf://org/name@refs/pr/7/m.gguf") == HubAddress(
        repository="org/name", revision="refs/pr/7", path="m.gguf"
    )


REFUSING = {
    "check": ("check", "{}"),
    "decoder": ("decoder", "{}", "-o", "x.py"),
    "unpack": ("unpack", "{}", "-o", "x"),
}


@pytest.mark.parametrize("command", REFUSING)
def test_commands_for_files_that_are_here_say_how_to_have_them_here(
    hub: Hub, golfbudget: Run, tmp_path: Path, command: str
) -> None:
    given = [word.format("hf://org/llama@main") for word in REFUSING[command]]
    done = golfbudget(*given, cwd=tmp_path)
    assert done.returncode == 2
    assert "type: hf download org/llama --revision main --local-dir DIR" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not hub.asked


def test_a_plan_runs_the_model_that_it_fetched(hub: Hub, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    text = tmp_path / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog, and nobody minds. " * 40)
    found = gb.plan("hf://org/llama", schemes="repack", no_fits=True, model="hf", tokens=text, jobs=1, no_cache=True)
    told, snapshot = found.to_dict(), tmp_path / "cache" / "models--org--llama" / "snapshots" / COMMIT
    assert told["source"]["path"] == str(snapshot)
    assert told["source"]["sha256"] == gb.inspect(hub.folders["org/llama"]).to_dict()["source"]["sha256"]
    assert told["inputs"]["tokenizer"]["path"] == str(snapshot / "tokenizer.json")
    assert told["evaluation"]["baseline_perplexity"] > 1


def test_a_fit_fetches_first_and_once_what_it_needs(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    with pytest.raises(GolfbudgetError, match="is called 'nothing'"):
        gb.fit("hf://org/llama", recipe="nothing")
    snapshot = tmp_path / "cache" / "models--org--llama" / "snapshots" / COMMIT
    fetched = {path.name for path in snapshot.iterdir()}
    assert {"config.json", "tokenizer.json", "model.safetensors.index.json"} < fetched
    assert "optimizer.pt" not in fetched
    sizes = [path.stat().st_size for path in snapshot.iterdir()]
    assert sum(sizes) > gb.inspect(hub.folders["org/llama"]).stored_bytes
    hub.asked.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    there = gb.inspect("hf://org/llama", download=True)
    assert there.path == str(snapshot)
    assert there.by("owner") == gb.inspect(hub.folders["org/llama"]).by("owner")
    with pytest.raises(UsageError, match="Cannot find an appropriate cached snapshot"):
        gb.inspect("hf://org/gpt2", download=True)
    assert not hub.asked


def test_a_config_is_written_of_the_files_themselves(hub: Hub, golfbudget: Run) -> None:
    done = golfbudget("inspect", "hf://org/gpt2", "--as-config")
    assert done.returncode == 0, done.stderr
    assert done.stdout == golfbudget("inspect", hub.folders["org/gpt2"], "--as-config").stdout


def test_a_report_from_headers_is_a_baseline(hub: Hub, tmp_path: Path) -> None:
    path = tmp_path / "base.json"
    path.write_text(gb.inspect("hf://org/gpt2").to_json())
    changed = gb.compare(path, hub.folders["org/gpt2"], fail_on="total>+0")
    assert changed.passed
    assert not changed.moved
    assert any("holds no hashes of contents" in note for note in changed.comparison.notes)
    assert gb.compare("hf://org/gpt2", hub.folders["org/gpt2"]).total.delta_bytes == 0


@pytest.mark.slow
@pytest.mark.usefixtures("hub")
def test_a_page_says_what_is_not_known() -> None:
    pytest.importorskip("vl_convert")
    assert "values were not downloaded" in gb.inspect("hf://org/llama").to_html()


MODULES = """
import runpy, sys
sys.argv[1:] = {}
try:
    runpy.run_module('golfbudget', run_name='__main__')
except SystemExit:
    print(*sorted({{'torch', 'transformers', 'huggingface_hub'}} & sys.modules.keys()))
"""


def modules(hub: Hub, *arguments: str) -> str:
    """Which of the heavy packages a command imports, in a process of its own."""
    import subprocess

    from support.command_line import environment

    code = MODULES.format(list(arguments))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment(hub.environ)
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.slow
def test_a_process_asks_the_endpoint_of_its_environment_and_imports_no_more_than_it_takes(hub: Hub) -> None:
    done = run_process("inspect", "hf://org/llama", environ=hub.environ)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert f"hf://org/llama@{COMMIT}" in done.stdout
    assert modules(hub, "inspect", "hf://org/gpt2") == "huggingface_hub"
    assert modules(hub, "inspect", str(hub.folders["org/gpt2"])) == ""


def test_without_the_library_the_extra_is_named(hub: Hub, golfbudget: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for command in ("inspect", "plan"):
        done = golfbudget(command, "hf://org/gpt2")
        assert done.returncode == 2
        assert done.stderr == (
            "golfbudget: error: this needs huggingface_hub, which is not installed; type: pip install "
            "'golfbudget[hf]'\n"
        )
    assert not hub.asked


def test_hashes_are_those_that_the_server_states(hub: Hub) -> None:
    data = (hub.folders["org/gpt2"] / "model.safetensors").read_bytes()
    assert told("hf://org/gpt2")["source"]["sha256"] == hashlib.sha256(data).hexdigest()


def test_the_docs_show_what_inspect_prints(hub: Hub, golfbudget: Run) -> None:
    page = ROOT / "docs" / "hub.md"
    text = page.read_text(encoding="utf-8")
    command = "golfbudget inspect hf://org/tiny-llama\n"
    (block,) = [block for block in blocks(text) if block.kind == "text" and block.body.startswith(command)]
    hub.folders["org/tiny-llama"] = hub.folders["org/llama"]
    done = golfbudget(*command.split()[1:])
    if REWRITE:
        page.write_text(f"{text[: block.start]}{command}{tidy(done.stdout)}{text[block.stop :]}", encoding="utf-8")
        return
    assert masked(tidy(block.body.removeprefix(command))) == masked(tidy(done.stdout))
