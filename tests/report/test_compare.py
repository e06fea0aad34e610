"""`golfbudget compare`: its laws, what becomes of owners, saved reports, gates, and what is refused."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.blobs import safetensors_file
from support.command_line import Run
from test_golden import check, check_json

from golfbudget import example
from golfbudget.baseline import load_side, side_of_report
from golfbudget.compare import CODE, ComparedSide, Comparison, Owned, Status, compare
from golfbudget.errors import CorruptError, GolfbudgetError, LedgerError, UnsupportedError, UsageError
from golfbudget.gates import AmountKind, GateResult, judge, parse_gate
from golfbudget.inspection import inspect_file
from golfbudget.inspection.report import InspectReport
from golfbudget.ledger import Role
from golfbudget.report import ReportFormat
from golfbudget.report.compare import MARK, comment, document, github_commands
from golfbudget.report.render import rendered

# Laws


def text_of(
    found: Comparison, results: Sequence[GateResult] = (), *, every: bool = False, width: int | None = None
) -> str:
    return rendered(document(found, results, every=every), ReportFormat.TABLE, width=width)


def side(rows: list[Owned]) -> ComparedSide:
    """A side that these rows make."""
    code = sum(row.stored_bytes for row in rows if row.key == (CODE, Role.CODE))
    return ComparedSide(path="x", bytes=sum(row.stored_bytes for row in rows) - code, sha256="0" * 64, rows=tuple(rows))


ROWS = st.builds(
    Owned,
    owner=st.sampled_from(["a", "b.2", "b.10", "c", "[header]", "d"]),
    role=st.sampled_from([Role.HEAD, Role.TRUNK, Role.SHARED]),
    stored_bytes=st.integers(0, 50),
    parameters=st.integers(0, 3),
    tensors=st.sampled_from([(), ("int8 [4]",), ("float32 [1]", "int8 [4]")]),
    content=st.sampled_from([None, "a" * 16, "b" * 16]),
)
SIDES = st.builds(
    lambda rows, code, content: side(rows).with_code(code, content),
    st.lists(ROWS, max_size=8, unique_by=lambda row: row.key),
    st.none() | st.integers(0, 50),
    st.none() | st.just("c" * 16),
)
FORWARD = {Status.ADDED: Status.REMOVED, Status.REMOVED: Status.ADDED}


@given(SIDES, SIDES)
def test_every_row_of_either_side_is_in_one_change_and_all_sums_close(base: ComparedSide, new: ComparedSide) -> None:
    found = compare(base, new)
    delta = found.new.total - found.base.total
    assert found.total.delta_bytes == delta
    assert sum(change.amount.delta_bytes for change in found.changes) == delta
    assert sum(amount.delta_bytes for amount in found.roles.values()) == delta
    if found.code_missing is None:
        assert (found.base, found.new) == (base, new)
    else:
        assert found.base.code_bytes is found.new.code_bytes is None
    for kept, rows in (
        (found.base, [change.base for change in found.changes]),
        (found.new, [change.new for change in found.changes]),
    ):
        assert sorted(row.key for row in rows if row is not None) == sorted(row.key for row in kept.rows)
    for change in found.changes:
        assert (change.base is None) == (change.status is Status.ADDED)
        assert (change.new is None) == (change.status is Status.REMOVED)
        if change.status is Status.SAME:
            assert change.amount.delta_bytes == 0
            assert change.same_content is not False
    sizes = [abs(change.amount.delta_bytes) for change in found.moved]
    assert sizes == sorted(sizes, reverse=True)


@given(SIDES)
def test_a_side_does_not_differ_from_itself(one: ComparedSide) -> None:
    found = compare(one, one)
    assert not found.moved
    assert found.total.delta_bytes == 0
    assert len(found.changes) == len(one.rows)
    assert not found.notes or not one.hashed


@given(SIDES, SIDES)
def test_the_other_way_round_every_delta_has_the_other_sign(base: ComparedSide, new: ComparedSide) -> None:
    there, back = compare(base, new), compare(new, base)
    assert back.total.delta_bytes == -there.total.delta_bytes
    assert {role: -amount.delta_bytes for role, amount in back.roles.items()} == {
        role: amount.delta_bytes for role, amount in there.roles.items()
    }
    turned = {(c.new and c.new.key, c.base and c.base.key, FORWARD.get(c.status, c.status)) for c in back.changes}
    assert turned == {(c.base and c.base.key, c.new and c.new.key, c.status) for c in there.changes}


def test_rows_that_do_not_sum_or_are_there_twice_make_no_side() -> None:
    row = Owned(owner="a", role=Role.HEAD, stored_bytes=3)
    with pytest.raises(LedgerError, match="do not sum"):
        ComparedSide(path="x", bytes=4, sha256="0" * 64, rows=(row,))
    with pytest.raises(LedgerError, match="two rows"):
        ComparedSide(path="x", bytes=6, sha256="0" * 64, rows=(row, row))
    one = side([row])
    with pytest.raises(LedgerError, match="in no change"):
        Comparison(base=one, new=one, changes=())


# What becomes of owners, in files made by hand

Tensors = dict[str, tuple[str, list[int], bytes]]
BASE: Tensors = {
    "tok_emb.weight": ("I8", [4, 2], bytes(range(8))),
    "blocks.0.mlp.fc.weight": ("F32", [1, 3], bytes(range(12))),
    "blocks.1.mlp.fc.weight": ("F32", [1, 3], bytes(range(50, 62))),
    "mystery": ("U8", [5], b"abcde"),
}


def saved(path: Path, tensors: Tensors, *, packed: bool = False) -> Path:
    stops = list(accumulate(len(data) for _, _, data in tensors.values()))
    header = {
        name: {"dtype": dtype, "shape": shape, "data_offsets": [stop - len(data), stop]}
        for (name, (dtype, shape, data)), stop in zip(tensors.items(), stops, strict=True)
    }
    data = safetensors_file(json.dumps(header), b"".join(data for _, _, data in tensors.values()))
    path.write_bytes(zlib.compress(data) if packed else data)
    return path


def compared(folder: Path, base: Tensors, new: Tensors) -> Comparison:
    return compare(load_side(saved(folder / "base.bin", base)), load_side(saved(folder / "new.bin", new)))


def by_owner(found: Comparison) -> dict[str, dict[str, Any]]:
    return {row["owner"]: row for row in json.loads(rendered(document(found, []), ReportFormat.JSON))["owners"]}


def test_a_tensor_grown_by_one_byte(tmp_path: Path) -> None:
    found = compared(tmp_path, BASE, BASE | {"mystery": ("U8", [6], b"abcdef")})
    row = by_owner(found)["mystery"]
    assert (row["status"], row["delta_bytes"], row["content"]) == ("changed", 1, "changed")
    assert (row["base"]["tensors"], row["new"]["tensors"]) == (["uint8 [5]"], ["uint8 [6]"])
    assert found.total.delta_bytes == 1
    assert found.counts[Status.CHANGED] == 1


@pytest.mark.parametrize("wrapper", ["model.", "module.", "_orig_mod.", "transformer.", "module.model."])
def test_owners_of_one_model_pair_under_different_wrappers(tmp_path: Path, wrapper: str) -> None:
    wrapped = {f"{wrapper}{name}": tensor for name, tensor in BASE.items()}
    wrapped[f"{wrapper}mystery"] = ("U8", [5], b"abcdX")
    found = by_owner(compared(tmp_path, BASE, wrapped))
    assert {row["status"] for row in found.values()} <= {"same", "changed", "renamed"}
    assert [row["status"] for owner, row in found.items() if owner.endswith("mystery")] == ["changed"]


def test_a_wrapper_pairs_nothing_where_it_could_be_two(tmp_path: Path) -> None:
    twice = BASE | {f"model.{name}": tensor for name, tensor in BASE.items()}
    found = by_owner(compared(tmp_path, BASE, twice))
    assert {found[name]["status"] for name in BASE} == {"same"}
    assert {row["status"] for name, row in found.items() if name.startswith("model.")} == {"added"}


def test_other_values_at_the_same_size_are_changed(tmp_path: Path) -> None:
    found = compared(tmp_path, BASE, BASE | {"mystery": ("U8", [5], b"abcdX")})
    (change,) = found.moved
    assert (change.row.owner, change.status, change.amount.delta_bytes) == ("mystery", Status.CHANGED, 0)
    assert found.total.delta_bytes == 0


def test_the_same_bytes_in_another_form_are_changed(tmp_path: Path) -> None:
    found = compared(tmp_path, BASE, BASE | {"mystery": ("I8", [5], b"abcde")})
    assert [(c.row.owner, c.same_content) for c in found.moved if c.row.tensors] == [("mystery", False)]


def test_a_scale_that_changed_places_with_an_offset_is_a_change(tmp_path: Path) -> None:
    first: Tensors = {
        "x.weight": ("U8", [2, 2], b"abcd"),
        "x.weight_scale_2": ("F32", [], b"1234"),
        "x.input_scale": ("F32", [], b"5678"),
    }
    swapped = first | {"x.weight_scale_2": first["x.input_scale"], "x.input_scale": first["x.weight_scale_2"]}
    found = compared(tmp_path, first, swapped)
    assert [(c.row.owner, c.same_content) for c in found.moved] == [("x.weight", False)]


def test_files_that_differ_where_no_owner_does_are_said_to(tmp_path: Path) -> None:
    files = [saved(tmp_path / name, BASE) for name in ("a", "b")]
    files[1].write_bytes(files[1].read_bytes().replace(b'"dtype": ', b'"dtype" :', 1))
    found = compare(*(load_side(file) for file in files))
    assert not found.moved
    assert found.notes == ("the files differ, in headers, padding or order alone: every owner holds the same",)
    assert not compare(load_side(files[0]), load_side(files[0])).notes


def test_added_removed_and_renamed_are_told_apart(tmp_path: Path) -> None:
    new = {name: held for name, held in BASE.items() if name not in ("mystery", "blocks.1.mlp.fc.weight")}
    new["blocks.7.mlp.fc.weight"] = BASE["blocks.1.mlp.fc.weight"]
    new["blocks.8.mlp.fc.weight"] = ("F32", [3, 1], bytes(range(70, 82)))
    found = compared(tmp_path, BASE, new)
    rows = by_owner(found)
    assert {owner: row["status"] for owner, row in rows.items() if not owner.startswith("[")} == {
        "tok_emb.weight": "same",
        "blocks.0.mlp.fc.weight": "same",
        "blocks.7.mlp.fc.weight": "renamed",
        "blocks.8.mlp.fc.weight": "added",
        "mystery": "removed",
    }
    assert rows["blocks.7.mlp.fc.weight"]["from"] == "blocks.1.mlp.fc.weight"
    assert rows["mystery"]["new"] is None
    assert rows["mystery"]["delta_bytes"] == -rows["mystery"]["base_bytes"]


def test_equal_tensors_under_other_names_are_paired_in_natural_order(tmp_path: Path) -> None:
    ones = ("F32", [2], b"\0\0\x80?" * 2)
    base = {f"blocks.{n}.norm": ones for n in (2, 10, 9)}
    new = {f"layers.{n}.norm": ones for n in (10, 9)}
    found = compared(tmp_path, base, new)
    assert {c.row.owner: c.was for c in found.moved if c.status is Status.RENAMED} == {
        "layers.9.norm": "blocks.2.norm",
        "layers.10.norm": "blocks.9.norm",
    }
    assert [c.row.owner for c in found.moved if c.status is Status.REMOVED] == ["blocks.10.norm"]


def test_a_role_that_moved_is_a_change(tmp_path: Path) -> None:
    tied = {"tok_emb.weight": BASE["tok_emb.weight"]}
    untied = tied | {"lm_head.weight": ("I8", [4, 2], bytes(8))}
    row = by_owner(compared(tmp_path, tied, untied))["tok_emb.weight"]
    assert (row["role"], row["from_role"], row["status"], row["content"]) == ("embedding", "head", "changed", "same")


def test_another_codec_moves_bytes_and_no_content(tmp_path: Path) -> None:
    wide: Tensors = {f"blocks.{n}.w": ("I8", [400], bytes([n]) * 400) for n in range(3)}
    plain, packed = saved(tmp_path / "a", wide), saved(tmp_path / "b", wide, packed=True)
    found = compare(load_side(plain), load_side(packed))
    tensors = [change for change in found.changes if change.row.tensors]
    assert len(tensors) == 3
    for change in tensors:
        assert (change.status, change.same_content) == (Status.CHANGED, True)
        assert change.amount.delta_bytes < 0
    assert any("codecs differ" in note for note in found.notes)
    assert "changed (same content)" in text_of(found)


def test_content_ignores_the_container_but_not_the_layout_of_values(tmp_path: Path) -> None:
    import torch

    matrix = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    torch.save({"w": matrix, "v": matrix[:1].clone()}, tmp_path / "a.pt")
    torch.save({"v": matrix[:1].clone(), "w": matrix}, tmp_path / "b.pt")
    torch.save({"w": matrix.reshape(4, 3).T, "v": matrix[:1].clone()}, tmp_path / "c.pt")
    saved(tmp_path / "d.bin", {"w": ("F32", [3, 4], matrix.numpy().tobytes())})
    held = {
        name: {row.owner: row.content for row in load_side(tmp_path / name).rows if row.tensors}
        for name in ("a.pt", "b.pt", "c.pt", "d.bin")
    }
    assert held["a.pt"] == held["b.pt"]
    assert held["d.bin"]["w"] == held["a.pt"]["w"]
    assert held["c.pt"]["w"] != held["a.pt"]["w"]
    assert held["c.pt"]["v"] == held["a.pt"]["v"]


def test_files_that_are_not_understood_differ_by_their_bytes(tmp_path: Path) -> None:
    for name, data in (("a", b"x" * 50), ("b", b"x" * 49 + b"y")):
        (tmp_path / name).write_bytes(data)
    a, b = load_side(tmp_path / "a"), load_side(tmp_path / "b")
    assert [change.status for change in compare(a, b).changes] == [Status.CHANGED]
    assert not compare(a, a).moved


# Saved reports


def report_of(path: Path) -> dict[str, Any]:
    return dict(json.loads(json.dumps(InspectReport.of(inspect_file(path, cap=16_000_000)).plain())))


@pytest.mark.parametrize("path", [example.ARTIFACT, example.CHECKPOINT], ids=["artifact", "checkpoint"])
def test_a_saved_report_equals_its_artifact(golfbudget: Run, tmp_path: Path, path: Path) -> None:
    golfbudget("inspect", path, "--format", "json", "-o", tmp_path / "report.txt")
    for sides in ((tmp_path / "report.txt", path), (path, tmp_path / "report.txt"), (path, path)):
        done = golfbudget("compare", *sides, "--format", "json", "--fail-on", "total>+0", "--fail-on", "total<+0")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["schema"] == "golfbudget/compare/1"
        assert {row["status"] for row in found["owners"]} == {"same"}
        assert found["total"]["delta_bytes"] == 0
        assert found["base"]["sha256"] == found["new"]["sha256"]
        assert found["base"]["bytes"] == path.stat().st_size
        assert found["passed"] is True


def test_every_artifact_of_the_corpus_equals_its_report(corpus: Path) -> None:
    paths = sorted(p for p in corpus.rglob("*") if p.is_file() and p.suffix in (".ptz", ".pt", ".npz", ".safetensors"))
    small = [p for p in paths if p.stat().st_size < 400_000 and not p.parent.name.startswith("bad")][:8]
    assert small
    for path in small:
        made = side_of_report(report_of(path), where="report")
        found = compare(made, load_side(path))
        assert not found.moved, path
        assert [row.content for row in made.rows] == [row.content for row in load_side(path).rows]


def test_a_report_in_any_encoding_under_any_name_is_known(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.bin", BASE)
    text = json.dumps(report_of(path), indent=1)
    for number, encoding in enumerate(("utf-8", "utf-8-sig", "utf-16")):
        where = tmp_path / f"saved{number}.safetensors"
        where.write_text(text, encoding=encoding)
        assert not compare(load_side(where), load_side(path)).moved


def test_a_report_from_a_pipe(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.bin", BASE)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    child = os.fork()
    if child == 0:
        fifo.write_text(json.dumps(report_of(path)), encoding="utf-8")
        os._exit(0)
    try:
        assert not compare(load_side(fifo), load_side(path)).moved
    finally:
        os.waitpid(child, 0)


def test_a_report_without_hashes_says_what_it_cannot_tell(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.bin", BASE)
    value = report_of(path)
    for row in value["owners"]:
        del row["content"]
    found = compare(side_of_report(value, where="old.json"), load_side(path))
    assert not found.moved
    assert found.notes == ("old.json holds no hashes of contents: changes at equal size and renames are not seen",)


def lie(*keys: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def apply(report: dict[str, Any]) -> None:
        at: Any = report
        for key in keys[:-1]:
            at = at[key]
        if value is None:
            del at[keys[-1]]
        else:
            at[keys[-1]] = value

    return apply


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lie("source", "bytes", value=1), "sum to"),
        (lie("roles", 0, "stored_bytes", value=1), r"roles\[\]"),
        (lie("owners", 0, "stored_bytes", value=1), r"owners\[\]"),
        (lie("entries", 0, "stored_bits", value=1), "stored_bits"),
        (lie("entries", 0, "owner", value="x"), "entries of"),
        (lie("owners", 0, "role", value="head"), "entries of|owners of role"),
        (lie("owners", 0, "role", value="heart"), "Invalid enum value"),
        (lie("owners", 0, "stored_bytes", value=-1), "not a sound report"),
        (lie("owners", 0, "stored_bytes", value=1.5), "not a sound report"),
        (lie("owners", 0, "content", value="no hash"), "not a sound report"),
        (lie("parameters", value=7), "parameters"),
        (lie("source", "sha256", value=None), "sha256"),
        (lie("cap", value=None), "cap"),
        (lie("owners", value=None), "owners"),
        (lie("entries", value={}), "entries"),
        (lie("schema", value=None), "no schema"),
        (lie("schema", value="golfbudget/plan/1"), "expected a report with schema"),
    ],
)
def test_a_report_that_is_not_sound_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    value = report_of(saved(tmp_path / "a.bin", BASE))
    change(value)
    with pytest.raises(CorruptError, match=message):
        side_of_report(value, where="r.json")


def test_a_report_of_another_version_is_not_guessed_at(tmp_path: Path) -> None:
    value = report_of(saved(tmp_path / "a.bin", BASE)) | {"schema": "golfbudget/inspect/2"}
    with pytest.raises(UnsupportedError, match="save it again"):
        side_of_report(value, where="r.json")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("cut.json", b'{"schema": "golfbudget/inspect/1", "source"'),
        ("foreign.json", b'{"a": 1}'),
        ("list.txt", b"[1, 2]"),
        ("page.json", b"<html>404</html>"),
        ("empty.json", b""),
        ("deep", b'{"a":' * 100_000),
        ("digits.json", b'{"a":' + b"9" * 10_000 + b"}"),
    ],
)
def test_what_is_no_report_is_refused_with_its_name(golfbudget: Run, tmp_path: Path, name: str, data: bytes) -> None:
    path, good = tmp_path / name, saved(tmp_path / "good.bin", BASE)
    path.write_bytes(data)
    done = golfbudget("compare", path, good)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("golfbudget: error: ")
    assert name in done.stderr
    assert "golfbudget inspect PATH --format json" in done.stderr


@given(st.binary(max_size=40), st.integers(0, 5000))
def test_a_damaged_report_never_escapes_as_another_error(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    text = json.dumps(_small(folder)).encode()
    path = folder / "damaged.json"
    path.write_bytes(text[: at % len(text)] + junk + text[at % len(text) + len(junk) :])
    try:
        load_side(path)
    except GolfbudgetError:
        return


_SMALL: dict[str, Any] = {}


def _small(folder: Path) -> dict[str, Any]:
    if not _SMALL:
        _SMALL.update(report_of(saved(folder / "small.bin", {"w": BASE["mystery"]})))
    return copy.deepcopy(_SMALL)


def test_a_shard_index_is_an_artifact_although_it_is_json(tmp_path: Path) -> None:
    saved(tmp_path / "model-00001.safetensors", BASE)
    index = {"weight_map": dict.fromkeys(BASE, "model-00001.safetensors")}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    one, other = load_side(tmp_path), load_side(tmp_path / "model.safetensors.index.json")
    assert not compare(one, other).moved
    assert one.report is None


# Code beside the file


def test_code_is_a_row_of_its_own(golfbudget: Run, tmp_path: Path) -> None:
    path, code = saved(tmp_path / "a.bin", BASE), tmp_path / "train_gpt.py"
    code.write_text("x = 1\n", encoding="utf-8")
    golfbudget("inspect", path, "--code", code, "--format", "json", "-o", tmp_path / "base.json")
    done = golfbudget("compare", tmp_path / "base.json", path, "--new-code", "10", "--format", "json")
    found = json.loads(done.stdout)
    assert found["total"]["delta_bytes"] == 4
    assert found["base"]["code_bytes"] == 6
    assert [row["delta_bytes"] for row in found["owners"] if row["role"] == "code"] == [4]


def test_code_that_only_one_side_counts_is_no_saving(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.bin", BASE)
    base, new = load_side(path).with_code(1000), load_side(path)
    found = compare(base, new)
    assert not found.moved
    assert found.notes == ("code is left out: new counts none (--new-code FILE or SIZE)",)
    assert judge(parse_gate("head>+0"), found).passed
    for expression in ("total>+0", "code>+0", "total>16MB"):
        with pytest.raises(UsageError, match="--new-code"):
            judge(parse_gate(expression), found)
    assert judge(parse_gate("total>+0"), compare(new.with_code(7), new.with_code(7))).passed


# Gates


def grown(base: int, new: int) -> Comparison:
    head = [Owned(owner="h", role=Role.HEAD, stored_bytes=n) for n in (base, new)]
    trunk = Owned(owner="t", role=Role.TRUNK, stored_bytes=1000)
    return compare(side([head[0], trunk]), side([head[1], trunk]))


@pytest.mark.parametrize(
    ("expression", "passing", "failing"),
    [
        ("total>+0", (10, 10), (10, 11)),
        ("total>=+1", (10, 10), (10, 11)),
        ("total<-5", (10, 5), (10, 4)),
        ("total<=-5", (10, 6), (10, 5)),
        ("head>+10B", (10, 20), (10, 21)),
        ("head > +1kB", (0, 1000), (0, 1001)),
        ("head>10", (99, 10), (5, 11)),
        ("head>=10", (99, 9), (5, 10)),
        ("head<10", (1, 10), (99, 9)),
        ("total<=1kB", (0, 1), (1, 0)),
        ("total>1KiB", (0, 24), (0, 25)),
        ("head>+10%", (100, 110), (100, 111)),
        ("head>10 %", (100, 110), (100, 111)),
        ("head>=+0.5%", (1000, 1004), (1000, 1005)),
        ("head<-10%", (100, 90), (100, 89)),
        ("HEAD>+1%", (0, 0), (0, 1)),
        ("Total>+0.1%", (1000, 1002), (1000, 1003)),
    ],
)
def test_each_form_of_gate(expression: str, passing: tuple[int, int], failing: tuple[int, int]) -> None:
    gate = parse_gate(expression)
    assert judge(gate, grown(*passing)).passed
    assert not judge(gate, grown(*failing)).passed


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(-(10**6), 10**6), st.sampled_from([">", "<"]))
def test_gates_compare_whole_bytes(base: int, new: int, limit: int, sign: str) -> None:
    found = grown(base, new)
    strict, loose = parse_gate(f"head{sign}{limit:+}"), parse_gate(f"head{sign}={limit:+}")
    assert strict.kind is AmountKind.CHANGE
    delta = new - base
    assert judge(strict, found).passed != (delta > limit if sign == ">" else delta < limit)
    assert judge(loose, found).passed != (delta >= limit if sign == ">" else delta <= limit)
    assert judge(strict, found).value == Fraction(delta)


@pytest.mark.parametrize("expression", ["total", "total>", "total >= ", "head<", "total>+", "", " ", "total>%", ">MB"])
def test_an_expression_that_a_shell_has_eaten_says_to_quote_it(expression: str) -> None:
    with pytest.raises(UsageError, match="quote it"):
        parse_gate(expression)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("trnk>+0", "no role is called 'trnk'; known: total, head"),
        ("total>+1XB", "no size"),
        ("total==5", "expected ROLE or total"),
        ("total>five", "expected ROLE or total"),
        ("total>+-5", "expected ROLE or total"),
        ("total>+0.5", "whole number"),
        ("head>1%%", "no size"),
        ("5<total", "expected ROLE or total"),
        ("total>+0;head>+0", "no size"),
    ],
)
def test_other_expressions_that_make_no_sense(expression: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_gate(expression)


def test_exit_codes_and_the_json_of_gates(golfbudget: Run, tmp_path: Path) -> None:
    base = saved(tmp_path / "base.bin", BASE)
    new = saved(tmp_path / "new.bin", BASE | {"mystery": ("U8", [6], b"abcdef")})
    gates = ("--fail-on", "total>+0", "--fail-on", "unassigned>+50%", "--fail-on", "total>1000")
    done = golfbudget("compare", base, new, *gates, "--format", "json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["passed"] is False
    assert [(gate["passed"], gate["unit"], gate["of"]) for gate in found["gates"]] == [
        (False, "bytes", "change"),
        (True, "percent", "change"),
        (True, "bytes", "new"),
    ]
    assert [found["gates"][i]["value"] for i in (0, 2)] == [1, new.stat().st_size]
    assert set(found["roles"][0]) == {"role", "base_bytes", "new_bytes", "delta_bytes"}
    assert golfbudget("compare", base, new).returncode == 0
    eaten = golfbudget("compare", base, new, "--fail-on", "total")
    assert (eaten.returncode, eaten.stdout) == (2, "")
    assert "quote it" in eaten.stderr
    missing = golfbudget("compare", tmp_path / "none.json", new)
    assert missing.returncode == 2
    assert "there is no such file" in missing.stderr
    wrong = golfbudget("compare", base, new, "--base-code", "nope")
    assert "--base-code nope: neither a file" in wrong.stderr


def test_submission_folders_are_compared_with_their_code(golfbudget: Run, tmp_path: Path) -> None:
    sides = {"base": "import helper\n", "new": "import helper  # and more\n"}
    for name, program in sides.items():
        (tmp_path / name).mkdir()
        saved(tmp_path / name / "final_model.int8.ptz", BASE)
        (tmp_path / name / "train_gpt.py").write_text(program, encoding="utf-8")
        (tmp_path / name / "helper.py").write_text("x = 1\n", encoding="utf-8")

    def code_of(*arguments: object) -> tuple[int, int, int]:
        done = golfbudget("compare", *arguments, "--format", "json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        code = [row for row in found["roles"] if row["role"] == "code"]
        amounts = (code[0]["base_bytes"], code[0]["new_bytes"]) if code else (0, 0)
        return *amounts, found["total"]["delta_bytes"]

    assert code_of("base", "new") == (20, 32, 12)
    assert code_of("base", "base") == (20, 20, 0)
    assert code_of("base", "new", "--base-code", 40) == (40, 32, -8)
    # Where one side counts no code, none is counted.
    report = golfbudget("inspect", "base", "--format", "json", "-o", "base.json", cwd=tmp_path)
    assert report.returncode == 0
    assert code_of("base.json", "new") == (0, 0, 0)
    assert code_of("base.json", "new", "--base-code", "base/train_gpt.py") == (14, 32, 18)
    (tmp_path / "new" / "train_gpt.py").rename(tmp_path / "new" / "train_gpt_a.py")
    (tmp_path / "new" / "train_gpt_b.py").write_text("", encoding="utf-8")
    unclear = golfbudget("compare", "base", "new", cwd=tmp_path)
    assert (unclear.returncode, "2 files could be the program" in unclear.stderr) == (2, True)


# Reports


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Comparison:
    """A case with every status, and a name that would like to be markup."""
    monkeypatch.chdir(tmp_path)
    new = {name: held for name, held in BASE.items() if name not in ("mystery", "blocks.1.mlp.fc.weight")}
    new["tok_emb.weight"] = ("I8", [5, 2], bytes(range(10)))
    new["blocks.7.mlp.fc.weight"] = BASE["blocks.1.mlp.fc.weight"]
    new["a|<b>`c`\n::error::x%"] = ("U8", [3], b"abc")
    base = load_side(saved(Path("base.safetensors"), BASE)).with_code(100)
    return compare(base, load_side(saved(Path("new.safetensors"), new)).with_code(120))


GATES = [parse_gate(text) for text in ("total>+0", "head>+50%", "trunk>1kB")]


def test_golden_table(small: Comparison) -> None:
    results = [judge(gate, small) for gate in GATES]
    check("compare.txt", text_of(small, results))
    check("compare-narrow.txt", text_of(small, results, width=60))


def test_golden_markdown(small: Comparison) -> None:
    check("compare.md", rendered(comment(small, [judge(gate, small) for gate in GATES]), ReportFormat.MARKDOWN))


def test_golden_json(small: Comparison) -> None:
    check_json("compare.json", document(small, [judge(gate, small) for gate in GATES]))


def test_names_cannot_begin_a_workflow_command(small: Comparison) -> None:
    text = github_commands(small, [judge(gate, small) for gate in GATES])
    lines = text.splitlines()
    assert [line.split(" ", 1)[0] for line in lines] == ["::notice", "::error"]
    assert "a|<b>`c`\\n::error::x%25 +" in lines[1]


def test_github_writes_the_summary_and_the_comment(
    golfbudget: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = saved(tmp_path / "base.bin", BASE)
    (tmp_path / "summary").write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    done = golfbudget("compare", base, base, "--format", "github", "-o", tmp_path / "comment.md")
    assert done.stdout.startswith("::notice title=golfbudget compare::no change")
    text = (tmp_path / "comment.md").read_text(encoding="utf-8")
    assert text.startswith(f"<!-- {MARK} -->\n")
    assert (tmp_path / "summary").read_text(encoding="utf-8") == f"before\n{text}"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "no" / "summary"))
    assert golfbudget("compare", base, base, "--format", "github").returncode == 2


@pytest.mark.slow
def test_a_comment_is_never_longer_than_github_takes() -> None:
    new = side([Owned(owner=f"{'x' * 100}{n}", role=Role.TRUNK, stored_bytes=n) for n in range(3000)])
    found = compare(side([]), new)
    text = rendered(comment(found, [], every=True), ReportFormat.MARKDOWN)
    assert 30_000 < len(text) <= 60_000
    shown = text.count("x" * 100)
    assert f"[{3000 - shown:,} more\\]".replace("[", "\\[") in text
    assert rendered(comment(found, []), ReportFormat.MARKDOWN).count("x" * 100) == 10


def test_rows_that_are_not_shown_are_summed() -> None:
    rows = [Owned(owner=f"o{n}", role=Role.TRUNK, stored_bytes=n) for n in range(1, 31)]
    same = Owned(owner="s", role=Role.HEAD, stored_bytes=5)
    text = text_of(compare(side([same]), side([*rows, same])))
    assert "[20 more]" in text
    assert "[1 the same]" in text
    assert "o1 " not in text
    assert "o1 " in text_of(compare(side([same]), side([*rows, same])), every=True)


def test_comparing_imports_neither_torch_nor_numpy(tmp_path: Path) -> None:
    path = str(saved(tmp_path / "a.safetensors", BASE))
    program = (
        "import sys; from golfbudget.cli.app import run; "
        f"code = run(['compare', {path!r}, {path!r}]); "
        "heavy = {'torch', 'numpy', 'safetensors', 'sklearn'} & set(sys.modules); "
        "print(sorted(heavy), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
