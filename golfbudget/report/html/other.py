"""Any other report of golfbudget: its values as facts and tables, without a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from golfbudget.report.html.markup import Child, Markup, el
from golfbudget.report.html.shell import Page
from golfbudget.report.html.tables import DASH, bullets, facts, section, table, td
from golfbudget.report.numbers import count

#: How deep values are laid out as sections of their own.
_DEEPEST = 3


def page(report: Mapping[str, object], where: str) -> Page:  # noqa: ARG001  (as every page)
    """The page of any report; `schema` names its kind."""
    kind = str(report.get("schema")).split("/")[1]
    said = {name: value for name, value in report.items() if name not in ("schema", "golfbudget")}
    plain = [(_words(name), _text(value)) for name, value in said.items() if not _nested(value)]
    sections = [section("In short", facts(plain))] if plain else []
    sections += [section(_words(name), *_parts(name, value, 0)) for name, value in said.items() if _nested(value)]
    return Page(kind=kind, title=kind, lead=(), sections=tuple(sections))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _nested(value: object) -> bool:
    return isinstance(value, Mapping | list | tuple) and bool(value)


def _text(value: object) -> str:
    if value is None or (isinstance(value, Mapping | list | tuple) and not value):
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    return count(value) if isinstance(value, int) else str(value)


def _parts(name: str, value: object, depth: int) -> Iterator[Child]:
    if isinstance(value, Mapping):
        plain = [
            (_words(str(key)), _inline(each)) for key, each in value.items() if depth >= _DEEPEST or not _nested(each)
        ]
        if plain:
            yield facts(plain)
        for key, each in value.items():
            if _nested(each) and depth < _DEEPEST:
                yield el("h3", _words(str(key)))
                yield from _parts(f"{name}: {key}", each, depth + 1)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield from _listed(name, value)


def _listed(name: str, values: Sequence[object]) -> Iterator[Child]:
    rows = [value for value in values if isinstance(value, Mapping)]
    if len(rows) != len(values):
        yield bullets(_inline(value) for value in values)
        return
    columns = list(dict.fromkeys(str(key) for each in rows for key in each))
    lines = (el("tr", *(_cell(each.get(column)) for column in columns)) for each in rows)
    yield table(f"{_words(name)}, {count(len(rows))}", [_words(column) for column in columns], lines)


def _cell(value: object) -> Markup:
    amount = isinstance(value, int | float) and not isinstance(value, bool)
    return td(_inline(value), class_="n" if amount else None)


def _inline(value: object) -> str:
    """A value in one line."""
    if isinstance(value, Mapping) and value:
        return ", ".join(f"{_words(str(key))} {_inline(each)}" for key, each in value.items())
    if isinstance(value, list | tuple) and value:
        return ", ".join(map(_inline, value))
    return _text(value)
