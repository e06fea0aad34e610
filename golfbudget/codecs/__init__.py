"""Codecs: one small file each, and one feeder (`stream`) that serves them all.

Importing this package fills the registry, in the order in which content is sniffed: signatures first, brotli,
which has none, last.
"""

from golfbudget.codecs import deflate, lzma_, lzma_raw, bz2_, zstd, brotli_, none  # noqa: F401, I001  (registry order)
from golfbudget.codecs.base import Buffer, Codec, Method, Sniff, get, registered
from golfbudget.codecs.stream import DECODED_LIMIT, Costs, Stream, attribute, beginning, decode

__all__ = [
    "DECODED_LIMIT",
    "Buffer",
    "Codec",
    "Costs",
    "Method",
    "Sniff",
    "Stream",
    "attribute",
    "beginning",
    "decode",
    "get",
    "registered",
]
