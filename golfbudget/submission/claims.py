"""Figures in `submission*.json`, whose keys have many spellings: byte counts, megabytes, and named codecs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from golfbudget.errors import CorruptError, LimitError, UsageError
from golfbudget.submission.claimkeys import SEED, About, Keys, as_amount, named, span
from golfbudget.submission.places import Place

__all__ = ["About", "Claim", "Claims", "Stated", "read_claims"]

#: Public files have two kilobytes and a dozen figures.
_LONGEST = 1 << 20
_MOST = 1000
_DEEPEST = 40
_LONGEST_SHOWN = 120
#: A text that gives an amount of bytes, whatever the unit.
_AMOUNT = re.compile(r"\d *(?:[kmgt]i?b|bytes|b)\b", re.IGNORECASE)
#: No count of bytes is larger.
_LARGEST = 1 << 63
_WHOLE = re.compile(r" *(\d{1,3}(?:[,_]\d{3})+|\d{1,20})(?: *(?:bytes|B))? *", re.IGNORECASE)
_CODECS = re.compile(r"zlib|zstd|lzma|xz|brotli|bz2|gzip", re.IGNORECASE)


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
    """A statement that is no number of bytes: megabytes as printed, a codec's name, or what nobody can count with.

    `span`: the bytes, from and to, that an amount in another unit may stand for.
    """

    source: str
    key: str
    text: str
    about: About = About.OTHER
    mean: bool = False
    line: int | None = None
    span: tuple[int, int] | None = None

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(file=self.source, line=self.line)

    def __str__(self) -> str:
        return _named(self.place, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """All of one file; `unread` are claims of bytes that are no whole number of them, `amounts` are in other units."""

    numbers: tuple[Claim, ...] = ()
    megabytes: tuple[Stated, ...] = ()
    codecs: tuple[Stated, ...] = ()
    unread: tuple[Stated, ...] = ()
    amounts: tuple[Stated, ...] = ()


class _RepeatedKeyError(ValueError):
    """A key that stands twice in one object; which one is meant nobody can say, and parsers differ."""


def read_claims(path: Path, name: str) -> Claims:
    """Read a JSON file.  Raises `UsageError`, `LimitError` or `CorruptError`, with line and column, or the key."""
    text, parsed = _parsed(path)
    numbers, megabytes, codecs, unread, amounts = [], [], [], [], []
    for keys, value, beside in _leaves(parsed, (), str(path)):
        key, number = named(keys), _whole(value)
        codec = _CODECS.search(key.words if number is not None or value is True else str(value))
        names_codec = codec and (number is None or key.in_bytes) and _names_codec(key.words, value)
        in_bytes = key.in_bytes and (number is not None or not key.bare or bool(_AMOUNT.search(str(value))))
        if not (in_bytes or key.in_megabytes or key.unit or names_codec):
            continue
        claim = _claim(name, keys, number or 0, beside, _line(text, keys))
        told = Stated(
            source=name, key=claim.key, text=_short(value), about=claim.about, mean=claim.mean, line=claim.line
        )
        if key.in_megabytes and isinstance(value, int | float | str):
            megabytes.append(told)
        elif key.unit and value is not None:
            amounts.append(replace(told, span=span(value, key.unit)))
        elif in_bytes and number is not None:
            numbers.append(claim)
        elif in_bytes and value is not None and claim.about is not About.OTHER:
            unread.append(told)
        if codec and names_codec:
            codecs.append(replace(told, text=codec[0].lower()))
        if len(numbers) + len(megabytes) + len(codecs) + len(unread) + len(amounts) > _MOST:
            raise LimitError(f"{path}: more than {_MOST} figures, expected the claims of one submission")
    return Claims(
        numbers=tuple(numbers),
        megabytes=tuple(megabytes),
        codecs=tuple(codecs),
        unread=tuple(unread),
        amounts=tuple(amounts),
    )


def _parsed(path: Path) -> tuple[bytes, object]:
    """The text of a JSON file, and what it says."""
    try:
        if path.stat().st_size > _LONGEST:
            raise LimitError(f"{path}: {path.stat().st_size} bytes, expected JSON of at most {_LONGEST}; leave it out")
        text = path.read_bytes()
        return text, json.loads(text, object_pairs_hook=_object)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except _RepeatedKeyError as error:
        raise CorruptError(f"{path}: {error} stands twice in one object, expected once; leave one of them") from None
    except (ValueError, RecursionError) as error:
        raise CorruptError(
            f"{path}: not valid JSON: {str(error).partition(';')[0]}; correct the file, or leave it out"
        ) from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object whose keys stand in it once."""
    made: dict[str, object] = {}
    for key, value in pairs:
        if key in made:
            raise _RepeatedKeyError(f"the key {_short(key)!r}")
        made[key] = value
    return made


def _short(value: object) -> str:
    """A text of no more than a line, that steers no terminal."""
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(value))
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _names_codec(key: str, value: object) -> bool:
    """Whether a key is about the export, and not a text that speaks of many things."""
    if isinstance(value, str):
        return bool(re.search(r"compress|codec", key, re.IGNORECASE)) and len(value) < 40
    return value is True or _whole(value) is not None


def _line(text: bytes, keys: Keys) -> int | None:
    """The line of a key, found by the keys that lead to it; None where the file spells them otherwise."""
    at = 0
    for key in keys:
        if isinstance(key, int):
            continue
        found = text.find(json.dumps(key, ensure_ascii=False).encode("utf-8", "surrogatepass"), at)
        if found < 0:
            return None
        at = found
    return text.count(b"\n", 0, at) + 1


def _leaves(
    value: object, keys: Keys, where: str, seed: int | None = None
) -> Iterator[tuple[Keys, object, int | None]]:
    """Every value with its keys and the seed that its object, or one around it, gives."""
    if len(keys) > _DEEPEST:
        raise LimitError(f"{where}: objects inside one another at more than {_DEEPEST} levels, expected a few")
    if isinstance(value, dict) and isinstance(value := as_amount(value), dict):
        own = _whole(value.get("seed"))
        for key, inner in value.items():
            yield from _leaves(inner, (*keys, key), where, seed if own is None or not keys else own)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*keys, number), where, seed)
    elif keys:
        yield keys, value, seed


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        number = value
    elif isinstance(value, float):
        number = int(value) if value.is_integer() else -1
    else:
        match = _WHOLE.fullmatch(value) if isinstance(value, str) else None
        number = int(re.sub("[,_]", "", match[1])) if match else -1
    return number if 0 <= number < _LARGEST else None


def _claim(source: str, keys: Keys, number: int, beside: int | None, line: int | None) -> Claim:
    key = named(keys)
    words = set(key.words.lower().split("_"))
    seeds = [match for one in keys if isinstance(one, str) and (match := SEED.fullmatch(one))]
    seed = int(seeds[-1][1]) if seeds and "seed" in ".".join(map(str, keys)).lower() else None
    return Claim(
        source=source,
        key=_short(".".join(map(str, keys))),
        number=number,
        about=key.about,
        seed=beside if beside is not None else seed,
        line=line,
        mean=bool({"mean", "avg", "average"} & words),
        largest=bool({"max", "maximum", "worst", "largest"} & words),
    )
