"""Reports as HTML, without a browser: whole, alone, the same each time, and nothing in them that a file says runs."""

from __future__ import annotations

import html.parser
import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Run
from support.html_reports import HOSTILE, compare, fit, golden, plan, safetensors

from golfbudget import example
from golfbudget.cli.app import COMMANDS
from golfbudget.cli.output import emit
from golfbudget.errors import CorruptError, MissingExtraError, UnsupportedError, UsageError
from golfbudget.report import ReportFormat
from golfbudget.report.document import Document
from golfbudget.report.html import _OTHER, _OWN, html_page, library
from golfbudget.report.html.shell import embedded
from golfbudget.report.numbers import printable

#: Of a whole page, the library in it and the report's own data.
MOST_BYTES = 5_000_000
REPORTS: dict[str, Callable[[], dict[str, Any]]] = {
    "inspect": lambda: golden("inspect"),
    "compare": compare,
    "explain": lambda: golden("explain"),
    "plan": plan,
    "plan without a model": lambda: golden("plan"),
    "fit": fit,
}
#: Arguments of the commands that need no torch to be asked for a page.
ARGUMENTS: dict[str, tuple[object, ...]] = {
    "inspect": ("inspect", example.ARTIFACT),
    "compare": ("compare", example.ARTIFACT, example.ARTIFACT, "--fail-on", "total>+0"),
    "check": ("check", "SUBMISSION", "--rules", "everything"),
    "estimate": ("estimate", "baseline", "--fast"),
    "sweep": ("estimate", "baseline", "--fast", "--sweep", "width=256,384"),
    "schemes": ("schemes",),
    "schemes of a shape": ("schemes", "--shape", "64x32", "--option", "bits=6"),
}
_VOID = {"meta", "link", "br", "input"}


class _Reader(html.parser.HTMLParser):
    """Keeps what a browser would act on, and refuses elements that do not close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.data: dict[str, str] = {}
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in _VOID:
            self.open.append(f"{tag}#{dict(attrs).get('id')}")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().partition("#")[0] == tag

    def handle_data(self, data: str) -> None:
        inside = self.open[-1] if self.open else ""
        if inside.startswith("script"):
            self.data[inside] = data
        else:
            self.text += data


def read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open
    return reader


def check_page(page: str, report: dict[str, Any] | None = None) -> _Reader:
    """It asks for nothing, has one heading of the first level, and holds the report's own JSON."""
    assert len(page.encode()) < MOST_BYTES
    reader = read(page)
    for tag, name, value in reader.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name not in {"src", "srcset", "action", "data", "formaction"}, (tag, name)
        if name == "href":
            assert value in {"#main", "data:,"}
    policy = next(value for tag, name, value in reader.attributes if tag == "meta" and name == "content")
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    assert page.count("<h1>") == 1
    held = json.loads(reader.data["script#report"])
    assert report is None or held == report
    return reader


def leaves(node: dict[str, Any]) -> Iterator[int]:
    children = node.get("children", [])
    if not children:
        yield node.get("bytes", 0)
    assert not children or sum(child.get("bytes", 0) for child in children) == node["bytes"]
    for child in children:
        yield from leaves(child)


@pytest.mark.parametrize("kind", REPORTS)
def test_a_saved_report_is_one_page(kind: str) -> None:
    report = REPORTS[kind]()
    page = html_page(report)
    check_page(page, report)
    assert html_page(json.loads(json.dumps(report))) == page


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_a_command_writes_the_page_of_its_json(kind: str, golfbudget: Run, tmp_path: Path) -> None:
    (tmp_path / "train_gpt.py").write_text("def main():\n    return 2\n", encoding="utf-8")
    (tmp_path / "final_model.int8.ptz").write_bytes(example.ARTIFACT.read_bytes())
    arguments = [tmp_path if argument == "SUBMISSION" else argument for argument in ARGUMENTS[kind]]
    saved, page, again = (
        tmp_path.parent / f"{tmp_path.name}-{name}" for name in ("saved.json", "page.html", "again.html")
    )
    for output_format, file in (("json", saved), ("html", page)):
        done = golfbudget(*arguments, "--format", output_format, "-o", file, "--quiet")
        assert done.returncode in (0, 1), done.stderr
    assert golfbudget("report", saved, "-o", again).returncode == 0
    assert again.read_bytes() == page.read_bytes()
    check_page(page.read_text(encoding="utf-8"), json.loads(saved.read_text(encoding="utf-8")))


def test_areas_sum_to_the_file(golfbudget: Run, tmp_path: Path) -> None:
    saved = tmp_path / "saved.json"
    golfbudget("inspect", example.ARTIFACT, "--entropy", "--format", "json", "-o", saved, "--quiet")
    report = json.loads(saved.read_text(encoding="utf-8"))
    picture = json.loads(read(html_page(report)).data["script#picture"])["map"]
    assert sum(leaves(picture["root"])) == report["source"]["bytes"]
    assert [child["name"] for child in picture["root"]["children"]] == ["trunk", "head", "shared"]
    assert picture["colours"] == ["role", "bits per parameter", "entropy slack"]
    assert all(owner["reason"] for owner in report["owners"])


@pytest.mark.parametrize("made", [compare, fit])
def test_areas_of_other_maps_sum_too(made: Callable[[], dict[str, Any]]) -> None:
    report = made()
    root = json.loads(read(html_page(report)).data["script#picture"])["map"]["root"]
    whole = report["artifact_bytes"] if "artifact_bytes" in report else report["total"]["new_bytes"]
    assert sum(leaves(root)) == whole


@pytest.mark.parametrize("made", [compare, plan, fit])
def test_a_hostile_name_stays_text(made: Callable[[], dict[str, Any]]) -> None:
    page = html_page(made())
    reader = check_page(page)
    assert printable(HOSTILE) in reader.text
    assert HOSTILE in "".join(map(str, _strings(json.loads(reader.data["script#picture"]))))
    assert "<img" not in re.sub(r"(?s)<script type=\"module\">.*?</script>", "", page)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("kind", REPORTS)
def test_every_string_of_a_report_may_be_hostile(kind: str) -> None:
    """Whatever a page takes for text: it is refused, or stays text."""

    def spoiled(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, dict):
            return {name: spoiled(each) for name, each in value.items()}
        return [spoiled(each) for each in value] if isinstance(value, list) else (
            HOSTILE if value in ("hand.safetensors", "tok_emb.weight", "mystery", "torch-zip", "by hand") else value
        )  # fmt: skip

    check_page(html_page(spoiled(REPORTS[kind]())))


def test_data_cannot_end_its_element() -> None:
    text = embedded({"<!--": "</script>&\u2028"})
    assert not set(text) & set("<>&\u2028")
    assert json.loads(text) == {"<!--": "</script>&\u2028"}


@pytest.mark.slow
def test_the_library_is_the_same_each_time_and_asks_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = library.library()
    monkeypatch.setenv("GOLFBUDGET_CACHE", str(tmp_path))
    library.library.cache_clear()
    assert library.library() == first
    assert "</script" not in first
    assert len(first.encode()) < 1_000_000
    assert "BSD 3-Clause" in first


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    library.library.cache_clear()
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(MissingExtraError, match=r"golfbudget\[html\]"):
        html_page(golden("inspect"))


def test_thousands_of_owners_stay_under_the_limit(golfbudget: Run, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = golfbudget("inspect", safetensors(tmp_path / "many.safetensors", 1500), "--format", "html", "-o", page)
    assert done.returncode == 0, done.stderr
    check_page(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("report", "error", "message"),
    [
        ([], CorruptError, "without a schema"),
        ({"schema": 5}, CorruptError, "without a schema"),
        ({"schema": "other/inspect/1"}, CorruptError, "no report of golfbudget's"),
        ({"schema": "golfbudget/unheard/1"}, CorruptError, "known: check, compare"),
        ({"schema": "golfbudget/plan/9"}, UnsupportedError, "save the report again"),
        ({"schema": "golfbudget/compare/1"}, CorruptError, "missing required field `base`"),
        ({"schema": "golfbudget/check/1", "rules": "x"}, CorruptError, "missing required field `cap`"),
    ],
)
def test_what_is_no_report_is_said(report: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        html_page(report, "x.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "no JSON"),
        ('{"schema": NaN}', "NaN is no number"),
        ('{"schema": 1e400}', "1e400 is beyond all numbers"),
        ("[" * 100_000, "no JSON"),
        ("{}", "without a schema"),
    ],
)
def test_a_file_that_is_no_report_is_an_error_of_one_line(
    content: str, message: str, golfbudget: Run, tmp_path: Path
) -> None:
    saved = tmp_path / "saved.json"
    saved.write_text(content, encoding="utf-8")
    done = golfbudget("report", saved, "-o", tmp_path / "page.html")
    assert (done.returncode, done.stdout) == (2, "")
    assert str(saved) in done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "page.html").exists()


def test_a_check_of_no_submission_has_a_page() -> None:
    made = {"schema": "golfbudget/check/1", "rules": "x", "cap": 5, "convention": "shipped", "passed": True}
    assert "Every submission" in html_page({**made, "submissions": []}, "x.json")


def test_the_page_does_not_replace_the_report(golfbudget: Run, tmp_path: Path) -> None:
    saved = tmp_path / "saved.json"
    saved.write_text("{}", encoding="utf-8")
    done = golfbudget("report", saved, "-o", saved)
    assert done.returncode == 2
    assert "write to another file" in done.stderr


def test_a_terminal_gets_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    with pytest.raises(UsageError, match="give -o FILE"):
        emit(Document(parts=(), data=lambda: golden("inspect")), ReportFormat.HTML, None)


def test_every_kind_of_report_has_a_page() -> None:
    known = {"pack", "unpack", "report"}
    assert set(COMMANDS) - known <= _OWN | _OTHER
    assert {"explain", "vocabulary"} <= _OTHER


def test_flame_graphs_weigh_the_file(golfbudget: Run, tmp_path: Path) -> None:
    file = tmp_path / "ledger.speedscope.json"
    assert golfbudget("inspect", example.ARTIFACT, "--format", "speedscope", "-o", file).returncode == 0
    value = json.loads(file.read_text(encoding="utf-8"))
    (profile,) = value["profiles"]
    frames = [frame["name"] for frame in value["shared"]["frames"]]
    assert sum(profile["weights"]) == profile["endValue"] == example.ARTIFACT.stat().st_size
    assert len(profile["samples"]) == len(profile["weights"])
    stacks = {tuple(frames[at] for at in sample) for sample in profile["samples"]}
    assert ("artifact.int8.ptz", "trunk", "blocks.2", "blocks.2.mlp.fc.weight", "weights") in stacks
    assert value["$schema"] == "https://www.speedscope.app/file-format-schema.json"


def test_explanations_have_no_flame_graph(golfbudget: Run) -> None:
    done = golfbudget("inspect", example.ARTIFACT, "--explain", "tok_emb.weight", "--format", "speedscope")
    assert done.returncode == 2
    assert "speedscope" in done.stderr


def test_reading_commands_do_not_load_pages(golfbudget_process: Run) -> None:
    done = golfbudget_process("inspect", example.ARTIFACT, environ={"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.returncode == 0
    assert "golfbudget.report.html" not in done.stderr
    assert "vl_convert" not in done.stderr
