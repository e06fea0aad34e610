"""A page as one file: its content, the report's own JSON, what pictures show, and the scripts that draw them.

The page's own policy forbids every request, and every script but these, which it knows by their digests.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import PurePath

from msgspec import Struct

from golfbudget.report.html.library import library
from golfbudget.report.html.markup import Child, Markup, el, join

_EMPTY_ICON = "data:,"  # Without one a browser asks for favicon.ico.


class Page(Struct, frozen=True, kw_only=True):
    """What one kind of report shows.

    `picture` is what `scripts`, names of our own files, draw; a page without one carries no plotting library.
    """

    kind: str
    title: str
    lead: tuple[Child, ...]
    sections: tuple[Markup, ...]
    picture: Mapping[str, object] | None = None
    scripts: tuple[str, ...] = ()


def file_title(path: str) -> str:
    """A file's name, of a path that ends in one."""
    return PurePath(path).name or path


def asset(name: str) -> str:
    """One of the files beside this one."""
    return (files("golfbudget.report.html") / "assets" / name).read_text(encoding="utf-8")


def embedded(value: object) -> str:
    r"""JSON that no text in it can end: every character with which markup begins or ends is escaped.

    >>> embedded({"a": "</script><!--"})
    '{"a":"\\u003c/script\\u003e\\u003c!--"}'
    """
    written = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return written


def whole(page: Page, report: Mapping[str, object]) -> str:
    """The file's text."""
    scripts = ["\n".join(map(asset, ("base.js", *page.scripts, "start.js")))]
    if page.picture is not None:
        scripts.insert(0, library())
    digests = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {digests}; base-uri 'none'"
    version = str(report.get("golfbudget", ""))
    head = join(
        (
            Markup('<meta charset="utf-8">'),
            Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
            Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Markup('<meta name="color-scheme" content="light dark">'),
            Markup(f'<link rel="icon" href="{_EMPTY_ICON}">'),
            el("title", f"{page.title} – golfbudget {page.kind}"),
            el("style", Markup(asset("page.css"))),
        )
    )
    data = [_data("report", report)] + ([] if page.picture is None else [_data("picture", page.picture)])
    body = join(
        (
            _header(page),
            el("main", *page.sections, id="main"),
            _footer(version),
            *data,
            *(Markup(f'<script type="module">{script}</script>') for script in scripts),
        )
    )
    return f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _data(name: str, value: object) -> Markup:
    return Markup(f'<script type="application/json" id="{name}">{embedded(value)}</script>')


def _header(page: Page) -> Markup:
    skip = el("a", "Skip to the report", href="#main", class_="skip")
    theme = el("button", "Theme: system", type="button", id="theme", class_="quiet", hidden=True)
    top = el("div", el("p", f"golfbudget {page.kind}", class_="kind"), theme, class_="top")
    lead = (el("p", *page.lead, class_="lead"),) if page.lead else ()
    return el("header", skip, top, el("h1", page.title), *lead)


def _footer(version: str) -> Markup:
    save = el("button", "Save the report's JSON", type="button", id="save", class_="quiet", hidden=True)
    return el(
        "footer", el("p", f"Made by golfbudget {version}. This file holds all it shows and asks for nothing."), save
    )
