"""One line of a training log: the byte figures it gives, behind whatever stands before them.

A figure is a name, a colon or an equals sign, and a number with its unit: `Serialized model int8+zlib: 15 bytes`,
`model_bytes=15`, `budget:15/16`.  Rank tags, time stamps, levels and colours may stand before it.  Source that a log
dumps has quotes, braces or a comment sign before the words, and is no figure.  Numbers of megabytes are rounded, and
stay marked so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from golfbudget.submission.lognames import what_is, words_of
from golfbudget.submission.logobjects import LONGEST_OBJECT, texts_of

#: Longer lines are dumped data, unless they are objects.
LONGEST_LINE = 1000
_I = re.IGNORECASE
_GAP = re.compile(r"[ \t]{3,}")
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
#: Words without which a line gives no figure; nearly all lines of a log have none.
_WORTH = re.compile(
    r"byte|size|model|code|artifact|budget|total|submission|checkpoint|weights|megab|\d ?[KMG]i?B\b", _I
)
_UNIT = r"bytes?|B|[kKMG]i?B|mega ?bytes|mebibytes"
_WHOLE = r"\d{1,3}(?:[,_]\d{3})+|\d{1,20}"
#: Groups of three digits that are set apart otherwise: a number where its unit follows, and a sign stands before.
_APART = (" ", "'", "\u2019", "\u00a0", "\u2009", "\u202f")
_GROUPED = "|".join([*(rf"\d{{1,3}}(?:{apart}\d{{3}})+" for apart in _APART), r"\d{1,3}(?:\.\d{3}){2,}"])
#: Without a colon or the like between them, name and number are a figure only where its unit says so.  What goes on
#: after a comma or an apostrophe is a number that is written otherwise, of which this would be the front.
_PAIR = re.compile(
    rf"(?:[:=|]|->|→|(?<=bytes) |[ (](?=(?:{_WHOLE})(?: */ *(?:{_WHOLE}))? ?(?:bytes|B)\b))[ \t]*"
    rf"(?P<about>~|≈|about )? *"
    rf"(?P<number>(?:{_GROUPED})(?= ?(?:bytes?|B)\b)|(?:{_WHOLE})(?:\.\d{{1,9}})?)(?![\d.]|[,_'\u2019]\d) *"
    rf"(?P<unit>(?:{_UNIT})\b)?"
    rf"(?P<exact> *\( *(?:{_WHOLE}) *(?:bytes|B) *\))?(?P<slash> */ *(?:{_WHOLE}|\d+\.\d+)(?: *(?:{_UNIT})\b)?)?",
    _I,
)
#: The front of a number whose digits are set apart.
_GROUPS = re.compile(r"(?<![\w.])\d+[ '\u2019\u00a0\u2009\u202f]\Z")
#: Words after a number that make it another one: other units, and what it is more or less than.
_TURNS = (
    r"(?:[kMGT]i?[bo]?|bits?|param\w*|tokens?|m?s|steps?|million|mega\w*|per|saved|over|under|less|more|fewer|smaller|"
    r"larger|left|free|too|short|above|below|remaining|x)\b"
)
#: What may follow a figure: nothing, a bracket, a mark, a word that judges it, or another name and number; not what
#: goes on counting.
_AFTER = re.compile(
    r"(?![\w%]| *\([^()]*\) *\+ *\d)[ \t]*(?:\Z|[(),;|\]<>=!✓✗]|\+(?! *[\d~])|/ *(?:[^\w ]|\d|(?:cap|limit|budget)\b)|"
    r"[-–—](?! *\d)|[^\x00-\x7f\w\s\u00d7\u00f7\u00b7]|\.\s*\Z|"
    r"(?:FITS|OK|PASS|FAIL|EXCEEDS|(?-i:OVER|UNDER)|total)\b|"
    rf"(?!{_TURNS})[a-z_][^:=]{{0,59}}[:=])",
    _I,
)
#: What source has and messages have not, but for what is so many percent done.
_DUMPED = re.compile(r"[\"'`#{}\\]|(?<!\d)%|\blog\w*\(|\bprint\(")
#: The time that collectors of logs put before each line, and the stream that it came from.
_STAMP = re.compile(r"\s*\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\s(?:std(?:out|err) F )?")
_CUT = re.compile(r"[\[\]|;,:<>=!]|\s[-–—]+\s|\b(?:INFO|DEBUG|WARNING|ERROR)\b")
#: A sum has no name of its own, and what a number is measured by has another.
_UNNAMED = re.compile(r"(?:\A|\s)\+ *\d|\+\Z|\d{3}[\d.,]* *(?:[kMGi]*B|bytes)? *(?:/|of|to|from|vs)\Z|% *(?:of)?\Z", _I)
_FILE = re.compile(r"\S*[/.]\S*")
_SIZES = {"": 1, "b": 1, "byte": 1, "bytes": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20}
_SIZES |= {"gib": 1 << 30, "megabytes": 10**6, "mega bytes": 10**6, "mebibytes": 1 << 20}
_MEGA = 10**6
_SEED = re.compile(r"(?:\A|[^\w.])seed(?: *[:=] *| )(\d{1,10})\b(?!\.\d)", _I)


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """One figure of a run; `what` is `raw`, `code`, `model`, `total` or `artifact`, `label` as the log has it.

    `rounded`: printed in megabytes, so that the number is near and no more.  `open`: the line ends with its last
    digit, so that more of them may be missing where the line itself has no end.
    """

    what: str
    label: str
    number: int
    line: int
    rounded: bool = False
    open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """What a line says: a seed, figures, and whether it speaks of bytes in a way that was not understood.

    `most` is the largest number of bytes that a `doubtful` line gives as a whole number of them.
    """

    seed: int | None = None
    figures: tuple[Printed, ...] = ()
    doubtful: bool = False
    most: int = 0


_NOTHING = LogLine()
#: Amounts of what is no artifact, or was one: before it was made small, or a change of it.
_BEFORE = re.compile(
    r"raw|payload|unpacked|unquanti|uncompress|before|previous|baseline|fp32|fp16|bf16|float|param|token|dump|input|"
    r"limit of|cap of",
    _I,
)
_IN_BYTES = re.compile(rf"(?<![\w.])({_WHOLE}) ?(?:bytes|B)\b")
_AMOUNT = re.compile(rf"(?<![\w.])(?:{_WHOLE}|\d+\.\d+) ?(?:bytes|B|MB|MiB|megabytes|mebibytes)\b", _I)
_SPEAKS = re.compile(r"artifact|submission|model|code|export|wrote|saved|compressed|size|total", _I)
_NOT_THOSE = re.compile(r"memory|peak|alloc|reserved|vram|/s\b|dataset|shard", _I)


def read_line(line: str, number: int) -> LogLine:
    """What one line says; nothing for a line that is too long to be a message."""
    if "\x1b" in line:
        line = _COLOUR.sub("", line)
    is_object = line.lstrip().startswith("{")
    if len(line) > (LONGEST_OBJECT if is_object else LONGEST_LINE):
        return _NOTHING
    if is_object:
        return _structured(line, number)
    stamp = _STAMP.match(line)
    if stamp:
        line = line[stamp.end() :]
    seed = _seed(line) if "seed" in line.lower() else None
    if not _WORTH.search(line):
        return _NOTHING if seed is None else LogLine(seed=seed)
    # Long gaps are tried at every length; two spaces are as good, and still no single one.
    line = _GAP.sub("  ", line)
    figures = tuple(_figures(line, number))
    speaks = all(sign.search(line) for sign in (_AMOUNT, _SPEAKS))
    silent = not figures and not any(sign.search(line) for sign in (_NOT_THOSE, _DUMPED))
    most = _most(line) if speaks and silent else 0
    return LogLine(seed=seed, figures=figures, doubtful=speaks and silent, most=most)


def _most(line: str) -> int:
    """The largest number of bytes in a line that may be about the artifact; 0 where there is none."""
    if _BEFORE.search(line):
        return 0
    return max((int(re.sub(r"\D", "", found)) for found in _IN_BYTES.findall(line)), default=0)


def _seed(line: str) -> int | None:
    match = _SEED.search(line)
    if (
        match is None
        or _DUMPED.search(line[: match.start()])
        or line[: match.start()].count("(") > line[: match.start()].count(")")
    ):
        return None
    return int(match[1])


def _structured(line: str, number: int) -> LogLine:
    """A line that is an object, as structured loggers write: its texts are lines, its numbers are figures."""
    lines = [read_line(text, number) for text in texts_of(line) if not text.lstrip().startswith("{")]
    return LogLine(
        seed=next((one.seed for one in lines if one.seed is not None), None),
        figures=tuple(figure for one in lines for figure in one.figures),
        doubtful=any(one.doubtful for one in lines),
        most=max((one.most for one in lines), default=0),
    )


def _figures(line: str, number: int) -> Iterator[Printed]:
    behind = 0
    for match in _PAIR.finditer(line):
        before, behind = line[behind : match.start()], match.end()
        front = line[: match.start("number")]
        if _DUMPED.search(line[: match.start()]) or not _AFTER.match(line, match.end()):
            continue
        if _GROUPS.search(front):
            continue
        figure = _figure(before, match, line, number)
        if figure is not None:
            yield figure


def _name(before: str, segments: int = 1) -> str:
    """The words that name a number: the last ones, with a closed bracket and without an open one."""
    bracket = ""
    before = before.rstrip(" \t-–—")
    if before.endswith(")") and "(" in before:
        before, _, inside = before[:-1].rpartition("(")
        bracket = f" ({inside})"
    before = " ".join(_CUT.split(before)[-segments:]).rpartition("(")[2].rpartition(")")[2]
    return " ".join(before.split()[-8:]) + bracket


def _figure(before: str, match: re.Match[str], line: str, number: int) -> Printed | None:
    name, used = _name(before), match["slash"] is not None
    found = None if _UNNAMED.search(name) else what_is(name, used=used)
    if found is None and words_of(name) and words_of(_FILE.sub("", name)) <= {"bytes", "size"}:
        # `saved_model:PATH bytes:N`: what the line is about stands before.
        name = _name(line[: match.start()], 2)
        found = what_is(name, used=used)
    if found is None:
        return None
    what, label = found
    unit, words = (match["unit"] or "").lower(), words_of(name)
    exact = match["exact"]
    told = bool(unit or match["slash"] or {"bytes", "size"} & words)
    if not told and not (words <= {"code", "script"} and _AMOUNT.search(line)):
        return None
    text = re.sub(r"\D", "", exact) if exact else _digits(match["number"])
    factor = 1 if exact else _SIZES[unit]
    if factor >= _MEGA and "," in match["number"]:
        return None  # `15,148 MB` has thousands for some, and decimals for others.
    if "." in text and factor == 1:
        if not match["slash"]:
            return None
        factor = _SIZES[(re.search(_UNIT, match["slash"]) or [""])[0].lower()]
        if factor == 1:
            return None
    rounded = factor != 1 or match["about"] is not None
    cut = match.end() == len(line) and match.end("number") == len(line)
    return Printed(what=what, label=label, number=_times(text, factor), line=number, rounded=rounded, open=cut)


def _digits(number: str) -> str:
    """A number without what sets its groups apart, and without a fraction of nothing.

    >>> _digits("15,990,000"), _digits("15.990.000"), _digits("15 990 000"), _digits("15990000.0"), _digits("15.99")
    ('15990000', '15990000', '15990000', '15990000', '15.99')
    """
    whole, point, rest = number.partition(".")
    if point and "." not in rest and rest.strip("0"):
        return re.sub(r"[,_]", "", number)
    return re.sub(r"\D", "", number if "." in rest else whole)


def _times(text: str, factor: int) -> int:
    whole, _, rest = text.partition(".")
    return (int(whole + rest) * factor) // int(10 ** len(rest))
