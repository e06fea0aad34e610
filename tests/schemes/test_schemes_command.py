"""`golfbudget schemes`: all that is registered, the same numbers as the schemes' own, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Run
from test_conformance import SCHEMES

from golfbudget import schemes
from golfbudget.cli.schemes import parse_options, parse_shape
from golfbudget.errors import UsageError
from golfbudget.report import ReportFormat
from golfbudget.report.render import rendered
from golfbudget.report.schemes import document, scheme_sizes


def listed(shape: tuple[int, int] | None, given: dict[str, str]) -> dict[str, dict[str, Any]]:
    sizes = scheme_sizes(schemes.registered(), shape, given)
    found = json.loads(rendered(document(sizes, shape), ReportFormat.JSON))
    assert found["schema"] == "golfbudget/schemes/1"
    assert found["shape"] == (None if shape is None else list(shape))
    return {row["name"]: row for row in found["schemes"]}


def test_every_scheme_is_listed_with_all_its_options() -> None:
    rows = listed(None, {})
    assert list(rows) == sorted(schemes.registered())
    for name, scheme in schemes.registered().items():
        assert (rows[name]["summary"], rows[name]["formula"]) == (scheme.summary, scheme.formula)
        assert [p["name"] for p in rows[name]["parameters"]] == [p.name for p in scheme.parameters]
        assert rows[name]["raw_bytes"] is None
        assert rows[name]["decoder_bytes"] == len(scheme.decoder_source.encode())
    bits = rows["clipped"]["parameters"][0]
    assert (bits["kind"], bits["lowest"], bits["highest"], bits["default"]) == ("integer", 2, 8, None)
    assert rows["grouped-scalar"]["parameters"][2]["words"] == ["packed", "bytes"]


@pytest.mark.parametrize(("name", "options"), [(name, cases[-1]) for name, cases in SCHEMES.items()])
def test_raw_bytes_of_a_shape_are_the_schemes_own(name: str, options: schemes.Options) -> None:
    known = {name: schemes.get(name)}
    (row,) = scheme_sizes(known, (40, 12), {key: str(value) for key, value in options.items()})
    assert row.raw_bytes == known[name].raw_bytes((40, 12), options)
    assert row.options == known[name].options(options)
    (found,) = json.loads(rendered(document((row,), (40, 12)), ReportFormat.JSON))["schemes"]
    assert found["rank_bound"] == known[name].rank_bound((40, 12), options)


def test_amounts_by_hand() -> None:
    rows = listed((8192, 512), {"bits": "6", "codes": "256", "width": "2", "group": "128"})
    assert rows["clipped"]["raw_bytes"] == 8192 * 512 + 2 * 8192
    assert rows["grouped-scalar"]["raw_bytes"] == 8192 * 512 * 6 // 8 + 2 * 8192 * 4
    assert rows["binary"]["raw_bytes"] == 8192 * 512 // 8 + 2 * 8192 * 4
    assert rows["ternary-groups"]["raw_bytes"] == 838_861 + 2 * 8192 * 4
    assert rows["ternary-bitmask"]["raw_bytes"] == 8192 * 512 // 4 + 2 * 8192 * 4
    assert rows["weight-vq"]["raw_bytes"] == 2 * 256 * 2 + 8192 * 256 + 2 * 8192
    assert rows["ternary-bitmask"]["upper_bound"]
    assert not rows["binary"]["upper_bound"]


def test_what_cannot_be_computed_says_why() -> None:
    rows = listed((8, 4), {"bits": "99"})
    assert rows["weight-vq"]["reason"] == "needs width, codes"
    assert rows["clipped"]["reason"] == "option bits is 99, expected a whole number from 2 up to 8"
    assert rows["clipped"]["raw_bytes"] is None
    assert rows["ternary"]["raw_bytes"] == 8 * 4 + 16
    assert listed((8, 4), {"bits": "x"})["clipped"]["reason"].startswith("option bits is 'x'")
    with pytest.raises(UsageError, match=r"--option nothing: no scheme listed takes it; they take .*bits"):
        scheme_sizes(schemes.registered(), (8, 4), {"nothing": "1"})


def test_table_and_markdown_hold_every_scheme_in_a_line_that_cannot_break() -> None:
    for shape in (None, (64, 32)):
        rows = scheme_sizes(schemes.registered(), shape, {"bits": "6"} if shape else {})
        text, markdown = (
            rendered(document(rows, shape), ReportFormat.TABLE),
            rendered(document(rows, shape), ReportFormat.MARKDOWN),
        )
        lines = [line for line in markdown.splitlines() if line.startswith("|")]
        assert len(lines) == len(rows) + 2
        assert {line.replace("\\|", "").count("|") for line in lines} == {5}
        for row in rows:
            assert row.scheme.name in text
            assert f"| {row.scheme.name} |" in markdown
            assert (
                row.scheme.summary if not shape else row.reason if row.raw_bytes is None else f"{row.raw_bytes:,}"
            ) in text
    assert "at most 640" in text


def test_a_list_of_many_is_a_line_each_and_a_few_have_all_their_options() -> None:
    every = scheme_sizes(schemes.registered(), None, {})
    few = every[:2]
    text, blocks = (rendered(document(rows, None), ReportFormat.TABLE) for rows in (every, few))
    assert len(text.splitlines()) < len(every) + 8
    assert "more: golfbudget schemes NAME" in text
    for row in few:
        assert row.scheme.formula in blocks
        assert all(f"option     {parameter.name}" in blocks for parameter in row.scheme.parameters)


def test_an_option_that_is_refused_leaves_the_table_readable(golfbudget: Run) -> None:
    done = golfbudget("schemes", "--shape", "64x16", "--option", "bits=99", environ={"COLUMNS": "80"})
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert {"vq-logits-residual", "weight-vq"} <= {line.split(" ")[0] for line in lines}
    (clipped,) = (number for number, line in enumerate(lines) if line.startswith("clipped "))
    assert " ".join(lines[clipped].split()[1:4]) == "option bits is"


def test_the_command_prints_and_writes(golfbudget: Run, tmp_path: Path) -> None:
    done = golfbudget("schemes", "gptq", "binary", "--shape", "8192x512", "--option", "bits=6")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["gptq", "bits=6,", "clip=12.85,", "rd=0.0", "4,210,688", "0"] in lines
    assert "scalar" not in done.stdout
    for name, kind in (("a.json", "json"), ("a.md", "markdown"), ("a.txt", "table")):
        done = golfbudget("schemes", "gptq", "--format", kind, "-o", tmp_path / name)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert "gptq" in (tmp_path / name).read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--option", "bits=6"), "give --shape ROWSxCOLUMNS too"),
        (("gptx",), "no scheme is called 'gptx'; known: .*gptq"),
    ],
)
def test_the_command_refuses(golfbudget: Run, arguments: tuple[str, ...], message: str) -> None:
    import re

    done = golfbudget("schemes", *arguments)
    assert done.returncode == 2
    assert re.search(message, done.stderr)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", ["", "8192", "0x5", "5x0", "-1x5", "5x5x5", "5 x 5", "\u0665x5", "5x5\n"])
def test_what_is_no_shape_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected ROWSxCOLUMNS"):
        parse_shape(text)
    assert parse_shape("8192x512") == (8192, 512)


@pytest.mark.parametrize("texts", [["bits"], ["=6"], ["bits="], ["bits=6", "bits=5"]])
def test_what_is_no_option_is_refused(texts: list[str]) -> None:
    with pytest.raises(UsageError, match="--option"):
        parse_options(texts)
    assert parse_options(["tiers=16x4,8", "a=b=c"]) == {"tiers": "16x4,8", "a": "b=c"}
