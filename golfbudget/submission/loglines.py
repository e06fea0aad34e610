"""One line of a training log: the byte figures it gives, behind whatever stands before them.

A figure is a name, a colon or an equals sign, and a number with its unit: `Serialized model int8+zlib: 15 bytes`,
`model_bytes=15`, `budget:15/16`.  Rank tags, time stamps, levels and colours may stand before it.  Source that a log
dumps has quotes, braces or a comment sign before the words, and is no figure.  Numbers of megabytes are rounded, and
stay marked so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

#: Longer lines are dumped data.
LONGEST_LINE = 1000
_I = re.IGNORECASE
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
#: Words without which a line gives no figure; nearly all lines of a log have none.
_WORTH = re.compile(
    r"byte|size|model|code|artifact|budget|total|submission|checkpoint|weights|megab|\d ?[KMG]i?B\b", _I
)
_UNIT = r"bytes?|B|[kKMG]i?B|mega ?bytes|mebibytes"
_WHOLE = r"\d{1,3}(?:[,_]\d{3})+|\d{1,20}"
#: Without a colon or the like between them, name and number are a figure only where its unit says so.
_PAIR = re.compile(
    rf"(?:[:=|]|->|→|(?<=bytes) |[ (](?=(?:{_WHOLE}) ?(?:bytes|B)\b)) *(?P<about>~|≈|about )? *"
    rf"(?P<number>(?:{_WHOLE})(?:\.\d{{1,9}})?)(?![\d.]) *(?P<unit>(?:{_UNIT})\b)?"
    rf"(?P<exact> *\( *(?:{_WHOLE}) *(?:bytes|B) *\))?(?P<slash> */ *(?:{_WHOLE}|\d+\.\d+)(?: *(?:{_UNIT})\b)?)?",
    _I,
)
#: What may follow a figure: nothing, a bracket, a mark, a word that judges it, or another name and number.
_AFTER = re.compile(
    r"[ \t]*(?:\Z|[(),;|/\]<>=!+✓✗]|\.\s*\Z|(?:FITS|OK|PASS|FAIL|OVER|under|over|total)\b|[^:=]{1,60}[:=])", _I
)
_DUMPED = re.compile(r"[\"'`#{}%\\]|\blog\w*\(|\bprint\(")
_CUT = re.compile(r"[\[\]|;,:<>=!]")
_SIZES = {"": 1, "b": 1, "byte": 1, "bytes": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20}
_SIZES |= {"gib": 1 << 30, "megabytes": 10**6, "mega bytes": 10**6, "mebibytes": 1 << 20}
_SEED = re.compile(r"(?:\A|[^\w.])seed(?: *[:=] *| )(\d{1,10})\b(?!\.\d)", _I)

#: Words of sizes that are no part of an artifact.
_OTHER = frozenset({
    "payload", "limit", "cap", "remaining", "headroom", "memory", "mem", "param", "params", "parameters",
    "token", "tokens", "dataset", "vocab", "batch", "left", "tokenizer", "time", "target", "max", "peak",
    "allocated", "reserved", "vram", "ratio", "shard", "shards", "data", "step", "steps", "cache", "gpu",
    "pickle", "difference", "delta", "saved_bytes", "iter", "epoch", "lr", "ms", "seconds", "dim", "layers",
    "heads", "loss", "bpb", "activation", "activations",
})  # fmt: skip
_CODE = frozenset({"code", "script", "source", "program", "wrapper"})
_TOTAL = frozenset({"total", "submission", "budget", "combined", "sum"})
_MODEL = frozenset({"model", "weights", "checkpoint", "quantized", "compressed", "blob"})
_RAW = frozenset({
    "raw", "fp32", "float32", "bf16", "bfloat16", "fp16", "float16", "float", "uncompressed", "unquantized",
    "full", "torch", "pt", "pth", "npz", "original", "unpacked", "dense", "saved", "checkpoint",
})  # fmt: skip
_CODEC = re.compile(r"zlib|zstd|lzma|brotli|xz|gzip|bz2|ptz|int\d|u?quant|tern|binar|nf4|pack|compress|\bbr\b", _I)
_NOUN = {
    "code": re.compile(r"(?:code|script|source|program|wrapper)(?:[ _]+(?:size|bytes|length))?", _I),
    "model": re.compile(
        r"(?:(?:serialized|saved|exported)[ _]*)?(?:model|weights|checkpoint|blob)(?:[ _]+(?:size|bytes))?", _I
    ),
    "total": re.compile(r"(?:total|combined|budget|submission|sum)(?:[ _]+(?:submission|artifact|size|bytes))*", _I),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """One figure of a run; `what` is `raw`, `code`, `model`, `total` or `artifact`, `label` as the log has it.

    `rounded`: printed in megabytes, so that the number is near and no more.
    """

    what: str
    label: str
    number: int
    line: int
    rounded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """What a line says: a seed, figures, and whether it speaks of bytes in a way that was not understood."""

    seed: int | None = None
    figures: tuple[Printed, ...] = ()
    doubtful: bool = False


_NOTHING = LogLine()
_AMOUNT = re.compile(rf"(?<![\w.])(?:{_WHOLE}|\d+\.\d+) ?(?:bytes|B|MB|MiB|megabytes|mebibytes)\b", _I)
_SPEAKS = re.compile(r"artifact|submission|model|code|export|wrote|saved|compressed|size|total", _I)
_NOT_THOSE = re.compile(r"memory|peak|alloc|reserved|vram|/s\b|dataset|shard", _I)


def read_line(line: str, number: int) -> LogLine:
    """What one line says; nothing for a line that is too long to be a message."""
    if len(line) > LONGEST_LINE:
        return _NOTHING
    line = _COLOUR.sub("", line)
    if line.lstrip().startswith("{"):
        return _structured(line, number)
    seed = _seed(line) if "seed" in line.lower() else None
    if not _WORTH.search(line):
        return _NOTHING if seed is None else LogLine(seed=seed)
    figures = tuple(_figures(line, number))
    speaks = all(sign.search(line) for sign in (_AMOUNT, _SPEAKS))
    silent = not figures and not any(sign.search(line) for sign in (_NOT_THOSE, _DUMPED))
    return LogLine(seed=seed, figures=figures, doubtful=speaks and silent)


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
    """A line that is a JSON object, as structured loggers write: its texts are lines, its numbers are figures."""
    try:
        read: object = json.loads(line)
    except (ValueError, RecursionError):
        return _NOTHING
    said = (
        []
        if not isinstance(read, dict)
        else [
            value if isinstance(value, str) else f"{key}:{value}"
            for key, value in read.items()
            if not isinstance(value, bool)
        ]
    )
    lines = [read_line(text, number) for text in said if not text.startswith("{")]
    return LogLine(
        seed=next((one.seed for one in lines if one.seed is not None), None),
        figures=tuple(figure for one in lines for figure in one.figures),
        doubtful=any(one.doubtful for one in lines),
    )


def _figures(line: str, number: int) -> Iterator[Printed]:
    behind = 0
    for match in _PAIR.finditer(line):
        before, behind = line[behind : match.start()], match.end()
        if _DUMPED.search(line[: match.start()]) or not _AFTER.match(line, match.end()):
            continue
        figure = _figure(_name(before), match, line, number)
        if figure is not None:
            yield figure


def _name(before: str) -> str:
    """The words that name a number: the last ones, with a closed bracket and without an open one."""
    bracket = ""
    before = before.rstrip()
    if before.endswith(")") and "(" in before:
        before, _, inside = before[:-1].rpartition("(")
        bracket = f" ({inside})"
    before = _CUT.split(before)[-1].rpartition("(")[2].rpartition(")")[2]
    return " ".join(before.split()[-8:]) + bracket


def _figure(name: str, match: re.Match[str], line: str, number: int) -> Printed | None:
    words = {word for word in re.split(r"[^a-z0-9]+", name.lower()) if word}
    what = _what(words)
    unit = (match["unit"] or "").lower()
    if what is None and words and words <= {"bytes", "size"} | _path_words(name):
        # `saved_model:PATH bytes:N`: what the line is about stands before.
        before = line[: match.start()]
        words = {word for word in re.split(r"[^a-z0-9]+", before.lower()) if word}
        what, name = _what(words), before
    if what is None:
        return None
    exact = match["exact"]
    told = bool(unit or match["slash"] or {"bytes", "size"} & words)
    if not told and not (words <= {"code", "script"} and _AMOUNT.search(line)):
        return None
    text = re.sub(r"\D", "", exact) if exact else re.sub(r"[,_]", "", match["number"])
    factor = 1 if exact else _SIZES[unit]
    if "." in text and factor == 1:
        if not match["slash"]:
            return None
        factor = _SIZES[(re.search(_UNIT, match["slash"]) or [""])[0].lower()]
        if factor == 1:
            return None
    label = _label(what, name, words)
    if what == "model" and _is_raw(label, words, name):
        what, label = "raw", ""
    rounded = factor != 1 or match["about"] is not None
    return Printed(what=what, label=label, number=_times(text, factor), line=number, rounded=rounded)


def _path_words(name: str) -> set[str]:
    first = name.split(" ", maxsplit=1)[0].lower()
    return set(re.split(r"[^a-z0-9]+", first)) if "/" in first or "." in first else set()


def _times(text: str, factor: int) -> int:
    whole, _, rest = text.partition(".")
    return (int(whole + rest) * factor) // int(10 ** len(rest))


def _what(words: set[str]) -> str | None:
    """What a number is, by the words of its name."""
    if words & _OTHER:
        return None
    if words & _TOTAL or (words & _CODE and words & {"model", "weights"}):
        return "total"
    if words & _CODE:
        return "code"
    if "artifact" in words:
        return "artifact"
    return "model" if words & _MODEL else None


def _label(what: str, name: str, words: set[str]) -> str:
    noun = _NOUN.get(what)
    match = noun.search(name) if noun else None
    rest = name[match.end() :] if match else ""
    rest = re.sub(r"(?:^|[ _])(?:size|bytes)\b", " ", rest).strip(" ()_.-+")
    if what == "total" and re.fullmatch(r"[a-z ]*(?:code|model)[a-z ]*[+&,/a-z ]*", rest, _I):
        return ""
    if what in ("code", "model") and not rest and match:
        front = {"compressed", "packed", "uncompressed", "quantized", "minified", "raw"} & words
        return next(iter(sorted(front)), "")
    return rest


def _is_raw(label: str, words: set[str], name: str) -> bool:
    """Whether a model is the unquantised one: by its label, or for want of one where the public scripts have one."""
    if _CODEC.search(label) and "uncompressed" not in words and "unquantized" not in words:
        return False
    if label:
        return bool(words & _RAW)
    return bool(words & _RAW) or "serialized" in name.lower()
