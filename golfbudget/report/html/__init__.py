"""A report as one HTML file: a pure function of the JSON that the command saves, whose pictures Vega draws.

Tables stand behind every picture, so that the page reads without scripts, in print and aloud.  Nothing is asked for,
and everything that a report says stays text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from golfbudget.errors import CorruptError, UnsupportedError
from golfbudget.report.html.shell import Page, whole

_PREFIX = "golfbudget/"
_VERSION = "1"
#: Kinds with a page of their own, each in the module of its name; every other kind is laid out as it is.
_OWN = frozenset({"inspect", "compare", "check", "estimate", "plan", "fit", "schemes"})
_OTHER = frozenset({"explain", "repack", "pack-code", "decoder", "vocabulary", "demo"})


def html_page(report: object, where: str = "report") -> str:
    """The page of a report's JSON value; `where` names it in errors.

    `CorruptError` for what is no report of golfbudget's or not a sound one, `UnsupportedError` for another version's.
    """
    if not isinstance(report, Mapping) or not isinstance(report.get("schema"), str):
        raise CorruptError(
            f"{where}: expected a report that golfbudget saved with --format json, found JSON without a schema"
        )
    kind = _kind(str(report["schema"]), where)
    module = import_module(f"{__name__}.{kind if kind in _OWN else 'other'}")
    make: Callable[[Mapping[str, object], str], Page] = module.page
    return whole(make(report, where), report)


def _kind(schema: str, where: str) -> str:
    kind, _, version = schema.removeprefix(_PREFIX).partition("/")
    if not schema.startswith(_PREFIX) or kind not in _OWN | _OTHER:
        known = ", ".join(sorted(_OWN | _OTHER))
        raise CorruptError(f"{where}: schema {schema[:60]!r} is no report of golfbudget's; known: {known}")
    if version != _VERSION:
        raise UnsupportedError(
            f"{where}: schema {schema[:60]!r}, this version reads {_PREFIX}{kind}/{_VERSION}; save the report again"
        )
    return kind
