"""Text of files that nobody vouches for, made harmless: for a terminal, for markdown, for a spreadsheet."""

from __future__ import annotations

import re

#: What could begin a span: code, emphasis, a link, a struck text, mathematics, or end a cell.
_SPECIAL = re.compile(r"[\\`*\[\]~$|]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def printable(text: str) -> str:
    """Text from a file, with everything that could steer a terminal or break a line escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def escaped(text: str) -> str:
    r"""Text that markdown shows as it is, on one line.

    >>> escaped("a|b`c`"), escaped("<b>&"), escaped("tok_emb.__q_"), escaped("[header]\n")
    ('a\\|b\\`c\\`', '&lt;b&gt;&amp;', 'tok_emb.\\_\\_q\\_', '\\[header\\]\\\\n')
    """
    import html

    return html.escape(_SPECIAL.sub(r"\\\g<0>", printable(text)), quote=False)


def guarded(text: str) -> str:
    """Text that no spreadsheet takes for a formula, with everything that could steer a terminal escaped.

    >>> guarded("=1+1"), guarded("blocks.0"), guarded("@x")
    ("'=1+1", 'blocks.0', "'@x")
    """
    return f"'{printable(text)}" if text.startswith(_FORMULA) else printable(text)
