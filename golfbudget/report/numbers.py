"""Numbers as people read them, and text of files that nobody vouches for made harmless.

Nothing is rounded to zero, to all, or to equality unless it is true.
"""

from __future__ import annotations

import re


def count(n: int) -> str:
    """Thousands separators.

    >>> count(16000000)
    '16,000,000'
    """
    return f"{n:,}"


def signed(n: int) -> str:
    """As `count`, always with a sign unless zero.

    >>> signed(5), signed(-1200), signed(0)
    ('+5', '-1,200', '0')
    """
    return f"{n:+,}" if n else "0"


def human(n: int) -> str:
    """Decimal units, three digits.

    >>> human(4191501), human(999), human(16000000)
    ('4.19 MB', '999 B', '16.0 MB')
    """
    value, unit = float(n), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if abs(value) < 1000:
            break
        value, unit = value / 1000, larger
    return f"{n} B" if unit == "B" else f"{value:.{max(0, 2 - len(str(int(abs(value)))) + 1)}f} {unit}"


def bytes_text(n: int) -> str:
    """All digits, and beside them the rounded amount where that is shorter.

    >>> bytes_text(4191501), bytes_text(999)
    ('4,191,501 bytes (4.19 MB)', '999 bytes')
    """
    return f"{count(n)} bytes{f' ({human(n)})' if n >= 1000 else ''}"


def left_text(headroom: int, unit: str = " bytes") -> str:
    """What is left under a cap, or how far over it something is.

    >>> left_text(1000), left_text(-5, "")
    ('1,000 bytes left', 'over by 5')
    """
    return f"{count(headroom)}{unit} left" if headroom >= 0 else f"over by {count(-headroom)}{unit}"


def percent(part: int, whole: int) -> str:
    """One decimal, and never a false 0 or 100.

    >>> percent(1, 100000), percent(99999, 100000), percent(1, 3), percent(0, 5), percent(5, 5)
    ('<0.1 %', '>99.9 %', '33.3 %', '0 %', '100 %')
    """
    if whole <= 0:
        return "–"
    if part in (0, whole):
        return "100 %" if part else "0 %"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "<0.1 %"
    if 99.9 < share < 100:
        return ">99.9 %"
    return f"{share:.1f} %"


def ratio(value: float | None) -> str:
    """A ratio, or a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


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
