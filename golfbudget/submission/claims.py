"""Figures in `submission*.json`, whose keys have many spellings: byte counts, megabytes, and named codecs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from golfbudget.errors import CorruptError, LimitError, UsageError
from golfbudget.submission.places import Place

#: Public files have two kilobytes.
_LONGEST = 1 << 22
_DEEPEST = 40
_WHOLE = re.compile(r" *(\d[\d,_]{0,20})(?: *bytes)? *", re.IGNORECASE)
_BYTES = re.compile(r"(?:^|_)bytes(?:_|$)|(?:artifact|submission|code|model|total|file)_size$", re.IGNORECASE)
_MEGABYTES = re.compile(r"(?:^|_)(?:mb|megabytes)(?:_|$)", re.IGNORECASE)
_CODECS = re.compile(r"zlib|zstd|lzma|xz|brotli|bz2|gzip", re.IGNORECASE)


class About(StrEnum):
    """What a claim is about, as far as its key says."""

    TOTAL = "total"
    MODEL = "model"
    CODE = "code"
    OTHER = "other"


#: Words of a key that say what its number is about; the first that has one decides.
_ABOUT = {
    About.OTHER: {"limit", "cap", "budget", "headroom", "payload", "raw", "train", "read"},
    About.CODE: {"code", "wrapper", "wrapped"},
    About.MODEL: {"model", "weights"},
    About.TOTAL: {"total", "artifact", "submission", "size"},
}


def _named(place: Place, key: str) -> str:
    return f"{place.file} ({key})" + ("" if place.line is None else f", line {place.line}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A number somebody wrote down; `source` is a file, `key` a path of keys or a log's words.

    `mean` and `largest` say what the key itself says; `seed` is that of the run it is about.  `file` is that of a
    source that is only a part of it.
    """

    source: str
    key: str
    number: int
    about: About
    seed: int | None = None
    mean: bool = False
    largest: bool = False
    line: int | None = None
    file: str = ""

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(file=self.file or self.source, line=self.line)

    def __str__(self) -> str:
        return _named(self.place, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """A statement that is no number of bytes: megabytes as printed, or a codec's name."""

    source: str
    key: str
    text: str
    line: int | None = None

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(file=self.source, line=self.line)

    def __str__(self) -> str:
        return _named(self.place, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """All of one file."""

    numbers: tuple[Claim, ...] = ()
    megabytes: tuple[Stated, ...] = ()
    codecs: tuple[Stated, ...] = ()


def read_claims(path: Path, name: str) -> Claims:
    """Read a JSON file.  Raises `UsageError`, `LimitError` or `CorruptError`, with line and column."""
    try:
        if path.stat().st_size > _LONGEST:
            raise LimitError(f"{path}: {path.stat().st_size} bytes, expected JSON of at most {_LONGEST}")
        text = path.read_bytes()
        parsed: object = json.loads(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{path}: not valid JSON: {error}; correct the file, or leave it out") from None
    numbers, megabytes, codecs = [], [], []
    for keys, value, beside in _leaves(parsed, ()):
        key, line = ".".join(keys), _line(text, keys)
        number = _whole(value)
        if _MEGABYTES.search(keys[-1]) and isinstance(value, int | float | str):
            megabytes.append(Stated(source=name, key=key, text=str(value), line=line))
        elif number is not None and _BYTES.search(keys[-1]):
            numbers.append(_claim(name, keys, number, beside, line))
        codec = _CODECS.search(keys[-1] if number is not None or value is True else str(value))
        if codec and (number is None or _BYTES.search(keys[-1])) and _names_codec(keys[-1], value):
            codecs.append(Stated(source=name, key=key, text=codec[0].lower(), line=line))
    return Claims(numbers=tuple(numbers), megabytes=tuple(megabytes), codecs=tuple(codecs))


def _names_codec(key: str, value: object) -> bool:
    """Whether a key is about the export, and not a text that speaks of many things."""
    if isinstance(value, str):
        return bool(re.search(r"compress|codec", key, re.IGNORECASE)) and len(value) < 40
    return value is True or _whole(value) is not None


def _line(text: bytes, keys: tuple[str, ...]) -> int | None:
    """The line of a key, found by the keys that lead to it; None where the file spells them otherwise."""
    at = 0
    for key in keys:
        found = text.find(json.dumps(key, ensure_ascii=False).encode(), at)
        if found >= 0:
            at = found
        elif not key.isdigit():
            return None
    return text.count(b"\n", 0, at) + 1


def _leaves(
    value: object, keys: tuple[str, ...], seed: int | None = None
) -> Iterator[tuple[tuple[str, ...], object, int | None]]:
    """Every value with its keys and the seed that its object, or one around it, gives."""
    if len(keys) > _DEEPEST:
        return
    if isinstance(value, dict):
        own = _whole(value.get("seed"))
        for key, inner in value.items():
            yield from _leaves(inner, (*keys, str(key)), seed if own is None or not keys else own)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*keys, str(number)), seed)
    elif keys:
        yield keys, value, seed


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if value >= 0 else None
    if isinstance(value, float):
        return int(value) if value >= 0 and value.is_integer() else None
    match = _WHOLE.fullmatch(value) if isinstance(value, str) else None
    return int(re.sub("[,_]", "", match[1])) if match else None


def _claim(source: str, keys: tuple[str, ...], number: int, beside: int | None, line: int | None) -> Claim:
    words = set(re.split(r"[^a-z0-9]+", keys[-1].lower()))
    about = next((about for about, told in _ABOUT.items() if told & words), About.OTHER)
    seeds = [re.fullmatch(r"(?:seed[_\-]?)?(\d{1,10})", key, re.IGNORECASE) for key in keys[:-1]]
    named = [match for match in seeds if match]
    seed = int(named[-1][1]) if named and "seed" in ".".join(keys[:-1]).lower() else None
    seed = beside if beside is not None else seed
    return Claim(
        source=source,
        key=".".join(keys),
        number=number,
        about=about,
        seed=seed,
        line=line,
        mean=bool({"mean", "avg", "average"} & words),
        largest=bool({"max", "maximum", "worst", "largest"} & words),
    )
