"""HTML elements whose text is escaped unless it is markup already: nothing that a file says can become an element.

Attributes are written in the order in which they are given, so that equal values make equal bytes.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

from golfbudget.report.numbers import printable


class Markup(str):
    """Text that is HTML already; only this module and its callers' own literals make it."""

    __slots__ = ()


#: Elements that have no end.
_VOID = frozenset({"br", "input"})

Child = str | Markup | None
Attribute = str | int | bool | None


def text(value: str) -> Markup:
    """Text as it stands, with what could steer a terminal or a page escaped.

    >>> text('</script><img onerror="x">')
    '&lt;/script&gt;&lt;img onerror=&quot;x&quot;&gt;'
    """
    return value if isinstance(value, Markup) else Markup(html.escape(printable(value)))


def el(tag: str, *children: Child, **attributes: Attribute) -> Markup:
    """An element; `class_` and `for_` are attributes, `data_x` is `data-x`; None and False leave one out.

    >>> el("p", "a < b", el("b", "c"), class_="lead", hidden=True, id=None)
    '<p class="lead" hidden>a &lt; b<b>c</b></p>'
    """
    parts = [tag]
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        spelled = name.rstrip("_").replace("_", "-")
        parts.append(spelled if value is True else f'{spelled}="{text(str(value))}"')
    inner = "".join(text(child) for child in children if child is not None)
    return Markup(f"<{' '.join(parts)}>{inner}" + ("" if tag in _VOID else f"</{tag}>"))


def join(pieces: Iterable[Child], between: str = "\n") -> Markup:
    """Pieces after each other."""
    return Markup(between.join(text(piece) for piece in pieces if piece is not None))
