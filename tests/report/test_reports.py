"""Reports of `inspect`: every view sums to the file, in every format, whatever the names in it say."""

from __future__ import annotations

import csv
import hashlib
import html
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.blobs import saved
from support.command_line import Run

from golfbudget import example, formats
from golfbudget.artifact import Artifact, Layer, open_bytes
from golfbudget.codecs import Method
from golfbudget.entropy import measure
from golfbudget.inspection import Inspection
from golfbudget.report import ReportFormat
from golfbudget.report.inspect import document, layers_line
from golfbudget.report.numbers import escaped, guarded, printable
from golfbudget.report.render import html_fragment, rendered
from golfbudget.report.render.terminal import fitting
from golfbudget.report.views import block_of, view, whole
from golfbudget.roles import load_roles
from golfbudget.rollup import total

VIEWS = ["role", "account", "owner", "block", "dtype"]

#: Names that would be a formula, end a cell, begin markup, or steer a terminal.
HOSTILE = [
    "=cmd|' /C calc'!A0",
    "+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "a|b",
    "`code`",
    "two\nlines",
    "<img src=x onerror=alert(1)>",
    "[link](http://x.invalid)",
    "__init__",
    "esc\x1b[31m",
    'quote"d,comma',
    "blocks.10.attn.<b>|x",
    "blocks.9.mlp.fc\r\n.weight",
]


def inspected(data: bytes, name: str = "m.ptz", *, entropy: bool = False) -> Inspection:
    found = Inspection.of(open_bytes(data, name=name), load_roles(), cap=16_000_000)
    return replace(found, entropy=measure(found.artifact, found.assignment.ledger)) if entropy else found


def compressed(names: list[str]) -> bytes:
    return zlib.compress(saved({name: torch.arange(5 + i).to(torch.int8) for i, name in enumerate(names)}))


def model() -> dict[str, torch.Tensor]:
    made: dict[str, torch.Tensor] = {"tok_emb.weight": torch.zeros(16, 8, dtype=torch.int8)}
    for number in (10, 2, 0):
        made[f"blocks.{number}.attn.c_q.weight"] = torch.ones(8, 8).half()
        made[f"blocks.{number}.mlp.fc.weight"] = torch.ones(8, 32)
        made[f"blocks.{number}.ln_1.weight"] = torch.ones(8)
    return made | {"per_layer_mlp_scales.3": torch.ones(4), "final_norm.weight": torch.ones(8)}


def csv_of(inspection: Inspection, by: str) -> str:
    return rendered(document(inspection, by), ReportFormat.CSV)


def markdown_of(inspection: Inspection, by: str) -> str:
    return rendered(document(inspection, by), ReportFormat.MARKDOWN)


def text_of(inspection: Inspection, by: str, width: int | None = None) -> str:
    return rendered(document(inspection, by), ReportFormat.TABLE, width=width)


def parsed(inspection: Inspection, by: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_of(inspection, by), newline="")))


# Views


@pytest.mark.parametrize("by", VIEWS)
@pytest.mark.parametrize("entropy", [False, True])
def test_every_view_sums_to_the_file(by: str, entropy: bool) -> None:  # noqa: FBT001  (a parameter of the test)
    for data in (
        zlib.compress(saved(model())),
        compressed(HOSTILE),
        saved(model()),
    ):
        found = inspected(data, entropy=entropy)
        rows = view(found, by).rows
        assert total(row.totals for row in rows if not row.part) == whole(found).totals
        assert sum(int(row["stored_bytes"]) for row in parsed(found, by)) == len(data)
        assert sum(int(row["stored_bits"]) for row in parsed(found, by)) == 8 * len(data)
        assert sum(int(row["parameters"] or 0) for row in parsed(found, by)) == whole(found).totals.parameters
        group, parts = -1, 0
        for row in rows:
            if row.part:
                parts += row.totals.stored_bits
                assert parts <= group
            else:
                group, parts = row.totals.stored_bits, 0
        if entropy:
            everything = whole(found).measure
            assert everything is not None
            assert sum(row.measure.floor for row in rows if row.measure and not row.part) == everything.floor
            assert sum(int(row["slack_bytes"] or 0) for row in parsed(found, by)) == everything.slack


@pytest.mark.slow
@given(st.lists(st.text(max_size=12), unique=True, min_size=1, max_size=5))
def test_no_name_breaks_a_format(names: list[str]) -> None:
    names = [name.encode(errors="replace").decode() for name in names]
    found = inspected(compressed(list(dict.fromkeys(names))))
    for by in VIEWS:
        lines = parsed(found, by)
        assert sum(int(row["stored_bytes"]) for row in lines) == found.artifact.size
        assert all(isinstance(value, str) for row in lines for value in row.values())
        table = [line for line in markdown_of(found, by).splitlines() if line.startswith("| ")]
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1
        assert len(table) == 3 + len(view(found, by).rows)
        for text in (csv_of(found, by), markdown_of(found, by), text_of(found, by), html_fragment(document(found, by))):
            assert all(c.isprintable() or c in "\r\n" for c in text)


def test_blocks_come_in_natural_order_with_their_kinds() -> None:
    found = inspected(zlib.compress(saved(model())))
    labels = [row.labels for row in view(found, "block").rows]
    groups = [label[0] for label in labels if len(label) == 1]
    assert groups[:3] == ["blocks.0", "blocks.2", "blocks.10"]
    assert set(groups[3:-1]) == {"tok_emb.weight", "per_layer_mlp_scales.3", "final_norm.weight"}
    assert groups[-1] == "[file structure]"
    assert {label[1] for label in labels if label[0] == "blocks.2" and len(label) == 2} == {"attn", "mlp", "ln_1"}


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        ("transformer.h.11.attn.c_attn.weight", ("transformer.h.11", "attn")),
        ("model.layers.3.self_attn.q_proj.weight", ("model.layers.3", "attn")),
        ("model.layers.3.input_layernorm.weight", ("model.layers.3", "input_layernorm")),
        ("blk.0.attn_q.weight", ("blk.0", "attn")),
        ("blk.0.ffn_gate.weight", ("blk.0", "mlp")),
        ("blocks.7.resid_mix", ("blocks.7", "resid_mix")),
        ("encoder.layers.0.mlp.up.weight", ("encoder.layers.0", "mlp")),
        ("per_layer_mlp_scales.3", None),
        ("per_layer_mlp_scales.3.weight", None),
        ("myblocks.3.x", None),
        ("blocks.x.y", None),
        ("value_embeds.0.weight", None),
        ("[data/3]", None),
    ],
)
def test_what_a_block_number_is(owner: str, expected: tuple[str, str] | None) -> None:
    assert block_of(owner) == expected


def test_dtypes_and_what_is_no_tensor() -> None:
    rows = parsed(inspected(zlib.compress(saved(model()))), "dtype")
    assert {row["dtype"] for row in rows} == {"int8", "float16", "float32", "[no tensor]"}
    assert rows[-1]["dtype"] == "[no tensor]"
    decoded = {row["dtype"]: int(row["decoded_bytes"]) for row in rows}
    assert decoded["float16"] == 3 * 8 * 8 * 2
    assert decoded["int8"] == 16 * 8


def test_a_byte_string_of_packed_weights_is_bytes() -> None:
    packed = {"blocks.0.w": {"packed": bytes(range(200)), "shape": [40, 40]}, "tok_emb.weight": torch.zeros(4, 4)}
    assert "bytes" in {row["dtype"] for row in parsed(inspected(zlib.compress(saved(packed))), "dtype")}


def test_owners_have_nominal_and_packed_bits() -> None:
    rows = {row["owner"]: row for row in parsed(inspected(zlib.compress(saved(model()))), "owner")}
    assert (rows["tok_emb.weight"]["nominal_bits"], rows["tok_emb.weight"]["packed_bits"]) == ("8", "8")
    assert rows["blocks.2.attn.c_q.weight"]["packed_bits"] == "16"
    assert rows["[data.pkl]"]["nominal_bits"] == rows["[data.pkl]"]["packed_bits"] == ""
    order = [int(row["stored_bits"]) for row in rows.values()]
    assert order == sorted(order, reverse=True)


# Formats


def test_csv_is_plain_and_guards_against_formulas() -> None:
    found = inspected(compressed(HOSTILE))
    text = csv_of(found, "owner")
    assert text.endswith("\r\n")
    assert text.count("\r\n") == text.count("\n") == text.count("\r")
    for cells in csv.reader(io.StringIO(text, newline="")):
        assert not cells[0].startswith(("=", "+", "-", "@", "\t", "\r"))
    owners = [row["owner"] for row in parsed(found, "owner")]
    assert {"'=cmd|' /C calc'!A0", "'+1", "'-2+3", "'@SUM(A1)", 'quote"d,comma'} <= set(owners)
    assert guarded("-x") == "'-x"
    # A number is no text: a negative slack stays a number.
    repeated = {"w": torch.arange(256, dtype=torch.uint8).repeat(64)}
    (row,) = [r for r in parsed(inspected(zlib.compress(saved(repeated)), entropy=True), "owner") if r["owner"] == "w"]
    assert int(row["slack_bytes"]) < 0


@given(st.text())
def test_markdown_text_is_inert_and_one_line(text: str) -> None:
    shown = escaped(text)
    assert len(shown.splitlines()) <= 1
    assert not set(re.sub(r"\\[\\`*\[\]~$|_]", "", shown)) & set("\\`*[]~$|<>")
    assert set(re.findall(r"&\w*;?", shown)) <= {"&lt;", "&gt;", "&amp;"}
    assert re.sub(r"\\([\\`*\[\]~$|_])", r"\1", html.unescape(shown)) == printable(text)


def test_markdown_has_the_facts_and_a_table() -> None:
    lines = markdown_of(inspected(zlib.compress(saved(model()))), "role").splitlines()
    facts = [line[2:].partition(": ")[0] for line in lines if line.startswith("- ")]
    assert facts == ["file", "layers", "head", "code", "used", "headroom"]
    at = next(i for i, line in enumerate(lines) if line.startswith("| "))
    assert lines[at - 1] == ""
    assert set(lines[at + 1]) <= set("|-: ")
    assert re.match(r"\| \*\*head \(tied\)\*\* \|", lines[at + 2])
    assert lines[-1].startswith("| **file** |")


@pytest.mark.parametrize("output_format", ["table", "json", "markdown", "csv"])
def test_every_format_can_be_written(golfbudget: Run, tmp_path: Path, output_format: str) -> None:
    target = tmp_path / "report"
    arguments = ("inspect", example.ARTIFACT, "--by", "block", "--format", output_format)
    printed = golfbudget(*arguments)
    assert printed.returncode == 0, printed.stderr
    assert golfbudget(*arguments, "-o", target).stdout == ""
    written = target.read_bytes().decode()
    tidy = "\n".join(line.rstrip() for line in printed.stdout.splitlines())
    assert "\n".join(line.rstrip() for line in written.splitlines()) == tidy


def test_other_commands_print_tables_or_json_only(golfbudget: Run) -> None:
    done = golfbudget("demo", "--format", "csv")
    assert done.returncode == 2
    assert "csv" in done.stderr


@pytest.mark.parametrize("by", VIEWS)
@pytest.mark.parametrize("flags", [(), ("--entropy",)])
def test_eighty_columns_without_colour(golfbudget: Run, by: str, flags: tuple[str, ...]) -> None:
    done = golfbudget("inspect", example.ARTIFACT, "--by", by, *flags, environ={"COLUMNS": "80", "NO_COLOR": "1"})
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout
    assert "…" not in done.stdout
    # Numbers are whole: the last row holds the file's bytes.
    assert f"{example.ARTIFACT.stat().st_size:,}" in next(
        line for line in reversed(done.stdout.splitlines()) if line.startswith("file  ")
    )


def test_a_narrow_table_says_what_it_leaves_out() -> None:
    found = inspected(compressed(["blocks.0.attn.a_rather_long_name.weight"]))
    wide, narrow = (text_of(found, "owner", width) for width in (None, 80))
    assert "share" in wide
    assert "not shown" not in wide
    assert "not shown, the screen is too narrow: " in narrow
    for heading in ("share of cap", "decoded bytes"):
        assert heading in narrow.partition("too narrow: ")[2]


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 5)), max_size=8), st.integers(0, 120))
def test_fitting_keeps_what_it_can(columns: list[tuple[int, int]], room: int) -> None:
    widths, ranks = [c[0] for c in columns], [c[1] for c in columns]
    kept = fitting(widths, ranks, room)
    used = sum(width + 2 for width, keep in zip(widths, kept, strict=True) if keep)
    assert all(keep for keep, rank in zip(kept, ranks, strict=True) if rank == 0)
    assert used <= room or not any(keep and rank for keep, rank in zip(kept, ranks, strict=True))
    if sum(width + 2 for width in widths) <= room:
        assert all(kept)


# Layers and files


def artifact(*layers: Layer) -> Artifact:
    return Artifact(path="x", size=1, format="npz", layers=layers, leaves=(), parts=())


def member(name: str, decoded: int, codec: str | None = "deflate", container: str = "npy") -> list[Layer]:
    steps = (
        []
        if codec is None
        else [
            Layer(
                kind="codec",
                name=codec,
                stored_bytes=9,
                decoded_bytes=decoded,
                attribution=Method.BYTE_EXACT,
                member=name,
            )
        ]
    )
    return [*steps, Layer(kind="container", name=container, decoded_bytes=decoded, member=name)]


def test_streams_of_the_same_layers_are_counted_together() -> None:
    npz = Layer(kind="container", name="npz", decoded_bytes=5000)
    assert layers_line(artifact(npz, *member("a", 700), *member("b", 300))) == (
        "npz (5,000 bytes) > 2 members: deflate (byte-exact attribution) > npy (1,000 bytes decoded)"
    )
    mixed = [*member("a", 1), *member("b", 20, None), *member("c", 300, "xz"), *member("d", 4, "zstd"), *member("e", 1)]
    assert layers_line(artifact(npz, *mixed)) == (
        "npz (5,000 bytes) > 1 member: xz (byte-exact attribution) > npy (300 bytes decoded); "
        "1 member: npy (20 bytes decoded); 1 member: zstd (byte-exact attribution) > npy (4 bytes decoded); and 2 more"
    )


def test_filters_are_shown_by_name() -> None:
    layers = (
        Layer(kind="codec", name="xz", stored_bytes=3, decoded_bytes=70, attribution=Method.BYTE_EXACT),
        Layer(kind="filter", name="byte-shuffle", decoded_bytes=60),
        Layer(kind="container", name="torch-zip", decoded_bytes=60),
    )
    assert layers_line(artifact(*layers)) == "xz (byte-exact attribution) > byte-shuffle > torch-zip (60 bytes decoded)"


def test_members_are_named_in_json(golfbudget: Run, tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    np.savez_compressed(path, a=np.zeros(1000, np.int8), b=np.arange(300, dtype=np.float32))
    report = json.loads(golfbudget("inspect", path, "--format", "json").stdout)
    assert "member" not in report["layers"][0]
    assert {layer["member"] for layer in report["layers"][1:]} == {"a", "b"} or {
        layer["member"] for layer in report["layers"][1:]
    } == {"a.npy", "b.npy"}
    assert "files" not in report["source"]
    shown = golfbudget("inspect", path).stdout
    assert f"npz ({path.stat().st_size:,} bytes) > 2 members: deflate (byte-exact attribution) > npy (" in shown


def safetensors(name: str, count: int) -> bytes:
    header = json.dumps({name: {"dtype": "U8", "shape": [count], "data_offsets": [0, count]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(count)


def test_every_file_of_a_sharded_artifact_is_hashed(golfbudget: Run, tmp_path: Path) -> None:
    files = {
        "model-1.safetensors": safetensors("lm_head.weight", 50),
        "model-2.safetensors": safetensors("blocks.0.w", 70),
    }
    index = json.dumps({"weight_map": {"lm_head.weight": "model-1.safetensors", "blocks.0.w": "model-2.safetensors"}})
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "model.safetensors.index.json").write_text(index, encoding="utf-8")
    report = json.loads(golfbudget("inspect", tmp_path, "--format", "json").stdout)
    source = report["source"]
    contents = [Path(file["path"]).read_bytes() for file in source["files"]]
    assert [file["bytes"] for file in source["files"]] == [len(data) for data in contents]
    assert [file["sha256"] for file in source["files"]] == [hashlib.sha256(data).hexdigest() for data in contents]
    assert source["sha256"] == hashlib.sha256(b"".join(contents)).hexdigest()
    assert source["bytes"] == sum(map(len, contents))
    assert len(contents) == 3
    shown = golfbudget("inspect", tmp_path).stdout
    assert "in 3 files" in shown
    assert "2 files: safetensors (" in shown


# Options


def entropy_report(golfbudget: Run, path: Path) -> dict[str, Any]:
    done = golfbudget("inspect", path, "--entropy", "--format", "json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_entropy_adds_fields_and_changes_none(golfbudget: Run) -> None:
    plain = json.loads(golfbudget("inspect", example.ARTIFACT, "--format", "json").stdout)
    found = entropy_report(golfbudget, example.ARTIFACT)
    added = {"entropy_floor_bytes", "slack_bytes", "alone_bytes"}
    for kind in ("roles", "owners", "entries"):
        assert all(added <= row.keys() for row in found[kind])
        stripped = [{key: value for key, value in row.items() if key not in added} for row in found[kind]]
        assert stripped == plain[kind]
    block = found.pop("entropy")
    assert block["alone"] == [{"codec": "zlib", "level": 9}]
    assert block.keys() == {"alone", "coders", "left", "tensors"}
    for amount in added:
        entries = sum(row[amount] or 0 for row in found["entries"])
        assert (
            entries
            == sum(row[amount] or 0 for row in found["owners"])
            == sum(row[amount] or 0 for row in found["roles"])
        )
    assert all((row["entropy_floor_bytes"] is None) == (row["tensor"] is None) for row in found["entries"])


def test_zstd_blocks_are_listed(golfbudget: Run, tmp_path: Path) -> None:
    import zstandard

    path = tmp_path / "m.ptz"
    data = saved({"tok_emb.weight": torch.randint(0, 9, (500, 900), dtype=torch.int8)})
    path.write_bytes(zstandard.ZstdCompressor(level=3).compress(data))
    blocks = entropy_report(golfbudget, path)["zstd_blocks"]
    assert sum(block["decoded_bytes"] for block in blocks) == len(data)
    assert set(blocks[0]) == {"member", "offset", "stored_bytes", "decoded_bytes", "kind", "literals", "sequences"}
    shown = golfbudget("inspect", path, "--entropy").stdout
    assert re.search(rf"zstd blocks +{len(blocks)} \(.*\); sequences per block: least \d", shown)


def test_a_name_cannot_break_the_progress_bar(tmp_path: Path) -> None:
    path = tmp_path / "m.ptz"
    path.write_bytes(compressed(["[/red]", "esc\x1b[2J", "x"]))
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "golfbudget", "inspect", str(path), "--entropy"],
        env={**os.environ, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=theirs,
        check=False,
        timeout=60,
    )
    os.close(theirs)
    seen = os.read(ours, 1 << 20)
    os.close(ours)
    assert done.returncode == 0, seen
    assert b"entropy" in seen
    assert b"\x1b[2J" not in seen


def test_explain_says_why(golfbudget: Run) -> None:
    done = golfbudget(
        "inspect", example.ARTIFACT, "--explain", "tok_emb.weight", "--explain", "[data.pkl]", "--format", "json"
    )
    report = json.loads(done.stdout)
    assert report["schema"] == "golfbudget/explain/1"
    first, second = report["owners"]
    assert (first["owner"], first["role"]) == ("tok_emb.weight", "head")
    assert {"weights", "scales"} == {one["account"] for one in first["stored"]}
    assert "the head is tied" in first["reason"]
    assert second["stored"] == []
    shown = golfbudget("inspect", example.ARTIFACT, "--explain", "tok_emb.weight").stdout
    for one in first["stored"]:
        assert one["stored"] in shown
        assert one["reason"] in shown


def test_an_unknown_owner_is_told_its_neighbours(golfbudget: Run) -> None:
    done = golfbudget("inspect", example.ARTIFACT, "--explain", "tok_emb.weigh")
    assert (done.returncode, done.stdout) == (2, "")
    assert "near it: tok_emb.weight" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--layout", "x.toml", "--as", "opaque"),
        ("--explain", "x", "--entropy"),
        ("--explain", "x", "--format", "csv"),
    ],
)
def test_options_that_contradict_each_other_are_refused(golfbudget: Run, arguments: tuple[str, ...]) -> None:
    done = golfbudget("inspect", example.ARTIFACT, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert arguments[0] in done.stderr


def test_a_layout_reads_a_binary_of_ones_own(golfbudget: Run, tmp_path: Path) -> None:
    (tmp_path / "m.bin").write_bytes(b"HEAD" + bytes(range(60)))
    layout = '[[tensors]]\nname = "lm_head.weight"\noffset = 4\ndtype = "int8"\nshape = [6, 10]\n'
    (tmp_path / "l.toml").write_text(layout, encoding="utf-8")
    done = golfbudget(
        "inspect", tmp_path / "m.bin", "--layout", tmp_path / "l.toml", "--by", "owner", "--format", "csv"
    )
    assert done.returncode == 0, done.stderr
    assert "lm_head.weight,head,60,60,480,60,8,8\n" in done.stdout


def test_help_names_every_format(golfbudget: Run) -> None:
    # Names may be broken after a hyphen.
    text = re.sub(r"-\s+", "-", " ".join(golfbudget("inspect", "--help").stdout.split()))
    listed = text.partition("Read as ")[2].partition(", whatever")[0]
    known = set(re.findall(r"[a-z-]+", listed)) - {"or"}
    assert set(formats.registered()) <= known
    assert known == {
        "safetensors", "torch-zip", "torch-legacy", "pickle", "npz", "npy", "gguf", "pgrp", "python-source", "opaque",
        "golfbudget-pack", "python-zip",
    }  # fmt: skip
