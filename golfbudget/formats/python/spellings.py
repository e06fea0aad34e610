"""Functions of the standard library that turn digits into bytes, and encodings that turn characters into bytes."""

from __future__ import annotations

import base64
import binascii
import codecs
from collections.abc import Callable

from golfbudget.errors import UnsupportedError

#: Multiples of five characters decode on their own; the standard library's decoder takes 40 bytes for each five.
_PIECE = 5 << 16
#: Ascii85 has characters for whole groups, so it cannot be decoded in pieces.
_LONGEST_ASCII85 = 1 << 23


def _base85(text: str | bytes) -> bytes:
    return b"".join(base64.b85decode(text[at : at + _PIECE]) for at in range(0, len(text), _PIECE))


def _ascii85(text: str | bytes, **keywords: object) -> bytes:
    if len(text) > _LONGEST_ASCII85:
        raise UnsupportedError(f"ascii85 of {len(text)} characters is not read, only up to {_LONGEST_ASCII85}")
    return base64.a85decode(text, **keywords)  # type: ignore[arg-type]  # The call's own keywords, wrong ones too.


#: Spellings by function: the name of the spelling, and the function.
SPELLINGS: dict[str, tuple[str, Callable[..., bytes]]] = {
    "base64.b85decode": ("base85", _base85),
    "base64.a85decode": ("ascii85", _ascii85),
    "base64.b64decode": ("base64", base64.b64decode),
    "base64.standard_b64decode": ("base64", base64.standard_b64decode),
    "base64.urlsafe_b64decode": ("base64", base64.urlsafe_b64decode),
    "base64.decodebytes": ("base64", base64.decodebytes),
    "base64.b32decode": ("base32", base64.b32decode),
    "base64.b16decode": ("hex", base64.b16decode),
    "binascii.a2b_base64": ("base64", binascii.a2b_base64),
    "binascii.a2b_hex": ("hex", binascii.a2b_hex),
    "binascii.unhexlify": ("hex", binascii.unhexlify),
    "bytes.fromhex": ("hex", bytes.fromhex),
    "bytearray.fromhex": ("hex", bytes.fromhex),
}
#: The same by what `codecs.decode(x, "…")` names.  Its base 64 takes bytes alone, and so does this function.
_CODINGS: dict[str, tuple[str, Callable[..., bytes]]] = {
    "base64": ("base64", base64.decodebytes),
    "hex": ("hex", binascii.a2b_hex),
}
#: Encodings of characters that are read: one byte for each, or Unicode's plain one.
_PLAIN = ("utf-8", "ascii")
_SINGLE = ("iso8859-", "cp", "koi8", "mac-")


def coding(name: object) -> tuple[str, Callable[..., bytes]] | None:
    """The spelling that `codecs.decode` knows by a name."""
    return _CODINGS.get(str(name).lower().replace("base_64", "base64").removesuffix("_codec"))


def encoding(name: object) -> str | None:
    """One name for an encoding of text that is read, "latin-1" for the best known; None for any other.

    >>> encoding("l1"), encoding("UTF8"), encoding("hex"), encoding("utf-16")
    ('latin-1', 'utf-8', None, None)
    """
    try:
        known = codecs.lookup(str(name)).name
    except (LookupError, ValueError, UnicodeError):
        return None
    if known == "iso8859-1":
        return "latin-1"
    return known if known in _PLAIN or known.startswith(_SINGLE) else None
