"""The pages that users read, as data: their blocks of code, their transcripts, and pictures of a terminal.

A page is README.md or a file of docs/.  In a `console` block each line `$ command` is followed by what the command
prints, and a `text` block right below a `python` block is what that prints.  A comment `<!-- figures masked -->` above
a block says that its digits depend on the machine or on versions of libraries.
"""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "ways").glob("*.md"))]
REWRITE = bool(os.environ.get("GOLFBUDGET_REWRITE"))

_BLOCK = re.compile(
    r"(?P<mask><!-- figures masked.*?-->\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE
)
#: What may stand between a piece of Python and what it prints.
_RIGHT_BELOW = re.compile(r"```\n+(<!--.*?-->\n)?```text\n")
_INDENTED = re.compile(r"(?:^ {4}.*\n)+", re.MULTILINE)
#: Rich's own picture, without the fonts that it would fetch from another server.
_FONT_FACE = re.compile(r"@font-face \{.*?\}\n", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block of code: the word after its fence, and where its body stands in the page."""

    kind: str
    body: str
    masked: bool
    start: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command, or a piece of Python, and what the page says it prints; `start` and `stop` are of what is printed."""

    source: str
    output: str
    masked: bool
    python: bool
    start: int
    stop: int


def name(page: Path) -> str:
    """A page's path from the project's folder."""
    return page.relative_to(ROOT).as_posix()


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a page, in order."""
    return [
        Block(
            kind=found["kind"],
            body=found["body"],
            masked=found["mask"] is not None,
            start=found.start("body"),
            stop=found.end("body"),
        )
        for found in _BLOCK.finditer(text)
    ]


def steps(text: str) -> Iterator[Step]:
    """What a reader can run and see, from the top of the page to its end."""
    found = blocks(text)
    for block, below in zip(found, [*found[1:], None], strict=False):
        if block.kind == "console":
            yield from _commands(block)
        elif block.kind == "python":
            told = below is not None and _RIGHT_BELOW.fullmatch(text[block.stop : below.start]) is not None
            printed = below if below is not None and told else replace(block, body="", masked=False, start=block.stop)
            yield Step(
                source=block.body,
                output=printed.body,
                masked=printed.masked,
                python=True,
                start=printed.start,
                stop=printed.stop,
            )


def _commands(block: Block) -> Iterator[Step]:
    marks = list(re.finditer(r"^\$ (?P<command>.*)\n", block.body, flags=re.MULTILINE))
    ends = [*(mark.start() for mark in marks[1:]), len(block.body)]
    for mark, end in zip(marks, ends, strict=True):
        yield Step(
            source=mark["command"],
            output=block.body[mark.end() : end],
            masked=block.masked,
            python=False,
            start=block.start + mark.end(),
            stop=block.start + end,
        )


def command_lines(text: str) -> Iterator[str]:
    """Every `golfbudget` command of a page's code, whether it is run or only shown, without what runs it."""
    shown = [block.body for block in blocks(text) if block.kind in {"console", "sh"}]
    shown += [found[0] for found in _INDENTED.finditer(_BLOCK.sub("", text))]
    for body in shown:
        for line in body.replace("\\\n", " ").splitlines():
            found = re.match(r"(?:\$ )?\s*(golfbudget .*)", line)
            if found:
                # What it prints may go to another program, or its exit code be looked at.
                yield re.split(r" (?:\|\|?|&&|>) ", found[1])[0]


def tidy(text: str) -> str:
    """No spaces at the ends of lines, no empty lines around."""
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n") + "\n"


def masked(text: str) -> str:
    """Figures, the padding that follows their width, and the marks and order that depend on them, taken out."""
    words = re.sub(r"[-+<>]?\d[\d,.]*|[ *─]+", " ", text)
    return "\n".join(sorted(" ".join(line.split()) for line in words.splitlines()))


def anchors(text: str) -> set[str]:
    """What a link into a page can name: its headings, in the spelling of GitHub."""
    headings = re.findall(r"^#+ (.*)$", _BLOCK.sub("", text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(text: str) -> list[str]:
    """Targets of a page's links and pictures that lie in this project."""
    found = re.findall(r"\]\(([^)\s]+)\)", _BLOCK.sub("", text))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def terminal(folder: Path, *arguments: str) -> str:
    """What the command line prints on a terminal of 80 columns, colours included."""
    environment = os.environ | {"COLUMNS": "80", "FORCE_COLOR": "1", "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "golfbudget", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def picture(command: str, printed: str) -> str:
    """A command and what it printed on a terminal, as SVG; the same input gives the same file."""
    screen = Console(record=True, width=80, file=StringIO(), force_terminal=True, color_system="truecolor")
    screen.print(Text.assemble(("$ ", "dim"), (command, "bold")))
    screen.print(Text.from_ansi(printed.rstrip("\n")))
    drawn = _FONT_FACE.sub("", screen.export_svg(title="golfbudget", unique_id="golfbudget"))
    # Some viewers drop the blanks that a text begins with, unless they are told to keep them.
    kept = drawn.replace("<svg ", '<svg xml:space="preserve" ', 1)
    return "\n".join(line.rstrip() for line in kept.splitlines()) + "\n"


def words(svg: str) -> str:
    """The lines of text in such a picture, from top to bottom."""
    lines: dict[float, str] = {}
    for found in re.finditer(r'<text class="[^"]*-r\d+" x="[\d.]+" y="(?P<y>[\d.]+)"[^>]*>(?P<text>[^<]*)</text>', svg):
        y = float(found["y"])
        lines[y] = lines.get(y, "") + html.unescape(found["text"]).replace("\xa0", " ")
    return "\n".join(lines[y].rstrip() for y in sorted(lines))
