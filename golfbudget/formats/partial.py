"""Formats whose headers come first and say all there is to say: a file is explained by its beginning alone."""

from __future__ import annotations

from pathlib import PurePath

from golfbudget.errors import UnsupportedError
from golfbudget.formats.base import SAFETENSORS_LENGTH, Contents, Format
from golfbudget.formats.beginnings import Beginning
from golfbudget.formats.recognition import Gguf, Opaque, Safetensors


def read_beginning(data: Beginning, *, where: str, name: str, forced: Format | None = None) -> Contents:
    """Explain every byte of a file that is not whole; `name` claims a format by its suffix where content does not.

    Raises `NotAtHandError` where the header goes further than what is at hand, `UnsupportedError` for a format that
    takes the whole file, and the reader's own errors.
    """
    kind = _kind(data, name) if forced is None else forced.name
    if kind == Safetensors.name:
        from golfbudget.formats.safetensors import read_safetensors

        return read_safetensors(data, where=where)
    if kind == Gguf.name:
        from golfbudget.formats.gguf import read_gguf

        return read_gguf(data, where=where)
    if kind == Opaque.name:
        return Opaque().whole(len(data))
    raise UnsupportedError(
        f"{where}: {len(data):,} bytes of a file whose header does not come first, so that it takes all of it to "
        f"explain it; {data.missing}"
    )


def _kind(data: Beginning, name: str) -> str | None:
    """The format that the first bytes bear the signature of, or that the name claims."""
    head = data[: SAFETENSORS_LENGTH + 1]
    known = (Gguf(), Safetensors())
    signed = next((one.name for one in known if one.begins(head)), None)
    return signed or next((one.name for one in known if PurePath(name).suffix in one.suffixes), None)
