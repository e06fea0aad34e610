"""Every command in every format: well formed, whatever names and sentences are in it."""

from __future__ import annotations

import csv
import html.parser
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.blobs import saved
from test_golden import inspection, plan
from test_reports import HOSTILE

from golfbudget import example
from golfbudget.cli.app import run
from golfbudget.inspection import Inspection
from golfbudget.plan.results import Plan
from golfbudget.report import ReportFormat
from golfbudget.report.document import (
    Cell,
    Details,
    Document,
    Facts,
    Grid,
    GridRow,
    Medium,
    Section,
    bullet,
    code,
    line,
    name,
    number,
    prose,
    strong,
)
from golfbudget.report.plan import demo_document, document
from golfbudget.report.render import html_fragment, rendered

__all__ = ["inspection", "plan"]

_FORMATS = ["table", "json", "markdown", "csv"]


_KNOWN = {"div", "table", "thead", "tbody", "tr", "th", "td", "strong", "code", "p", "ul", "li", "h3"}
_KNOWN |= {"details", "summary"}


class _Elements(html.parser.HTMLParser):
    """Refuses elements that do not close, and keeps the names of all."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert attrs in ([], [("align", "right")])
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check_html(text: str) -> None:
    parser = _Elements()
    parser.feed(text)
    parser.close()
    assert not parser.open
    assert parser.seen <= _KNOWN


def check_text(output_format: str, text: str) -> None:
    """A report is what its format says it is."""
    assert text.endswith("\n")
    assert all(c.isprintable() or c in "\r\n" for c in text)
    if output_format == "json":
        assert isinstance(json.loads(text), dict)
    elif output_format == "csv":
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        assert len(rows) > 1
        assert {len(row) for row in rows} == {len(rows[0])}
        assert all(rows[0])
        assert len(set(rows[0])) == len(rows[0])
    elif output_format == "markdown":
        tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
        for table in tables:
            widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
            assert len(widths) == 1
            assert set(table.splitlines()[1]) <= set("|-: ")


def _hostile(folder: Path) -> Path:
    path = folder / "hostile.ptz"
    path.write_bytes(saved({one: torch.arange(5 + i).to(torch.int8) for i, one in enumerate(HOSTILE)}))
    return path


def _program(folder: Path) -> Path:
    path = folder / "train_gpt.py"
    path.write_text("def main():\n    return 1 + 1\n", encoding="utf-8")
    return path


def _submission(folder: Path) -> Path:
    _program(folder)
    (folder / "final_model.int8.ptz").write_bytes(example.ARTIFACT.read_bytes())
    (folder / "submission.json").write_text(json.dumps({"bytes_total": 5, "name": "a|<b>`c`"}), encoding="utf-8")
    return folder


#: Arguments by command; the folder is the test's own.
COMMANDS: dict[str, Callable[[Path], list[object]]] = {
    "inspect": lambda folder: ["inspect", _hostile(folder), "--by", "owner"],
    "inspect --by role": lambda folder: ["inspect", _hostile(folder)],
    "compare": lambda folder: ["compare", example.ARTIFACT, _hostile(folder), "--fail-on", "code>+0"],
    "check": lambda folder: ["check", _submission(folder), "--rules", "everything"],
    "estimate": lambda _: ["estimate", "baseline", "--fast"],
    "estimate --sweep": lambda _: ["estimate", "baseline", "--fast", "--sweep", "width=256,384"],
    "repack": lambda folder: ["repack", _hostile(folder), "--levers", "codec", "--no-cache"],
    "pack-code": lambda folder: ["pack-code", _program(folder)],
    "schemes": lambda _: ["schemes"],
    "schemes --shape": lambda _: ["schemes", "--shape", "64x32", "--option", "bits=6"],
}


@pytest.mark.parametrize("output_format", _FORMATS)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_every_format(
    command: str, output_format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    returned = run([*map(str, COMMANDS[command](tmp_path)), "--format", output_format, "--quiet"])
    printed = capsys.readouterr()
    assert returned in (0, 1), printed.err
    check_text(output_format, printed.out)


def test_explanations_are_pages_and_no_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["inspect", str(_hostile(tmp_path)), "--explain", "a|b"]
    for output_format in ("table", "json", "markdown"):
        assert run([*arguments, "--format", output_format]) == 0
        check_text(output_format, capsys.readouterr().out)


@pytest.mark.parametrize("command", ["inspect", "plan", "demo", "schemes"])
def test_github_is_a_format_of_compare_and_check_alone(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, *([] if command in ("demo", "schemes") else ["x"]), "--format", "github"]) == 2
    assert "github" in capsys.readouterr().err


@pytest.mark.parametrize("output_format", _FORMATS)
@pytest.mark.parametrize("details", [False, True])
def test_a_plan_in_every_format(plan: Plan, output_format: str, details: bool) -> None:  # noqa: FBT001  (a parameter)
    made = document(plan, details=details)
    check_text(output_format, rendered(made, ReportFormat(output_format)))
    check_html(html_fragment(made))


@pytest.mark.parametrize("details", [False, True])
def test_the_demo_is_a_page_of_two_reports(inspection: Inspection, plan: Plan, details: bool) -> None:  # noqa: FBT001
    made = demo_document(inspection, plan, details=details)
    page = rendered(made, ReportFormat.MARKDOWN)
    check_text("markdown", page)
    assert page.count("### ") == 2
    check_html(html_fragment(made))
    assert set(json.loads(rendered(made, ReportFormat.JSON))) == {"schema", "inspect", "plan"}
    with pytest.raises(ValueError, match="csv"):
        rendered(made, ReportFormat.CSV)


# Renderers alone


def hostile_document() -> Document:
    rows = tuple(GridRow(cells=(text, Cell(text=text, value=n), text), bold=n == 1) for n, text in enumerate(HOSTILE))
    grid = Grid(columns=(name("name", "name"), number("a\nb", "n"), name(None, "again")), rows=rows)
    spans = tuple(bullet((code(text), strong(text), text)) for text in HOSTILE)
    parts: tuple[Any, ...] = (
        Facts(rows=tuple(("label", text) for text in HOSTILE)),
        grid,
        prose(*HOSTILE, *spans),
        Details(summary=HOSTILE[8], parts=(grid,)),
        Section(title=HOSTILE[8], parts=(prose(HOSTILE[9]),)),
    )
    return Document(parts=parts, data=lambda: {"names": HOSTILE}, csv=lambda: grid)


@pytest.mark.parametrize("output_format", _FORMATS)
def test_no_name_breaks_a_renderer(output_format: str) -> None:
    text = rendered(hostile_document(), ReportFormat(output_format))
    if output_format != "json":
        check_text(output_format, text)
    else:
        assert json.loads(text) == {"names": HOSTILE}


def test_no_name_breaks_a_fragment() -> None:
    text = html_fragment(hostile_document())
    check_html(text)
    assert "<img" not in text
    assert text.count("&lt;img src=x onerror=alert(1)&gt;") >= 6
    assert all(c.isprintable() or c == "\n" for c in text)


def test_markdown_spans_cannot_be_left() -> None:
    page = rendered(Document(parts=(prose(bullet((code("a`b|<i>"),))),)), ReportFormat.MARKDOWN)
    assert page == "- `a'b|<i>`\n"
    assert "<img" not in re.sub(r"`[^`\n]*`", "", rendered(hostile_document(), ReportFormat.MARKDOWN))


def test_a_page_has_its_own_order_and_parts() -> None:
    parts = (
        Facts(rows=(("a", "1"),), order=1),
        prose("screen", only=Medium.SCREEN),
        prose("page", only=Medium.PAGE),
        prose("last on a screen", order=-1),
        Facts(rows=(("b", "2"), ("", "3")), order=1),
    )
    made = Document(parts=parts, mark="found")
    assert rendered(made, ReportFormat.MARKDOWN) == (
        "<!-- found -->\nlast on a screen\n\npage\n\n- a: 1\n- b: 2\n  - 3\n"
    )
    assert rendered(made, ReportFormat.TABLE) == "a  1\n\nscreen\n\nlast on a screen\n\nb  2\n   3\n"


def test_csv_leaves_sums_out_and_keeps_plain_values() -> None:
    rows = (
        line("x", Cell(text="1,000", value=1000)),
        GridRow(cells=("sum", Cell(text="1,000", value=1000)), sums=True),
    )
    grid = Grid(columns=(name("name", "name"), number("bytes", "bytes")), rows=rows)
    assert rendered(Document(parts=(), csv=lambda: grid), ReportFormat.CSV) == "name,bytes\r\nx,1000\r\n"
