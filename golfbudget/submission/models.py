"""Model files: what their first bytes and their codecs show, and whether there is a model in them at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from golfbudget import formats
from golfbudget.artifact.locating import read_file
from golfbudget.artifact.peel import Allowance, innermost, peel
from golfbudget.codecs import DECODED_LIMIT, Buffer, Stream
from golfbudget.errors import GolfbudgetError

#: No language model of the contest is smaller; the smallest public smoke test has 20 kB.
_SMALLEST = 1024
_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a model file shows: its outermost codec (None: none), and why it is `no_model` or `doubtful`."""

    codec: str | None = None
    no_model: str = ""
    doubtful: str = ""


def look_at(path: Path, size: int) -> Seen:
    """Read a model file as far as its codecs go.  Raises `UsageError` where it cannot be read."""
    if not size:
        return Seen(no_model="is empty")
    data = read_file(path)
    if bytes(data[: len(_POINTER)]) == _POINTER:
        return Seen(no_model="is a Git LFS pointer, not the file it points to")
    if size < _SMALLEST:
        return Seen(no_model=f"has {size} bytes: a placeholder")
    if _constant(bytes(data[:: max(1, size >> 16)])):
        return Seen(doubtful="holds one byte value over and over: a placeholder")
    return _inside(data, str(path))


def _inside(data: Buffer, where: str) -> Seen:
    try:
        steps, _ = peel(data, where=where, allowance=Allowance(DECODED_LIMIT))
    except GolfbudgetError as error:
        return Seen(doubtful=f"cannot be decoded: {error}")
    codec = next((step.codec.name for step in steps if isinstance(step, Stream)), None)
    rest = innermost(data, steps)
    if len(rest) < _SMALLEST or _constant(bytes(rest[: 1 << 16])):
        return Seen(codec=codec, doubtful=f"decodes to {len(rest)} bytes without content: a placeholder")
    if not steps and not formats.candidates(data) and _text(bytes(data[:_SMALLEST])):
        return Seen(doubtful="is plain text")
    return Seen(codec=codec)


def _constant(data: bytes) -> bool:
    return data.count(data[:1]) == len(data)


def _text(head: bytes) -> bool:
    try:
        return head.decode().isprintable()
    except UnicodeDecodeError:
        return False
