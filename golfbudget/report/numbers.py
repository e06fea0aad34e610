"""Numbers as people read them.  Nothing is rounded to zero, to all, or to equality unless it is true."""

from __future__ import annotations


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


def ratio(value: float | None, digits: int = 3) -> str:
    """A ratio, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def optional(n: int | None) -> str:
    """As `count`, or a dash where there is none.

    >>> optional(-1200), optional(None)
    ('-1,200', '–')
    """
    return "–" if n is None else count(n)
