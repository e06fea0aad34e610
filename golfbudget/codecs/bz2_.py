"""bzip2, decoded by the standard library.  Bits inside its 900 kB blocks cannot be told apart: an estimate."""

from __future__ import annotations

import bz2

from golfbudget.codecs.base import Buffer, Decoder, Method, Sniff, register
from golfbudget.codecs.standard import StandardDecoder


@register
class Bz2:
    """`BZh` and a digit, then blocks that each start with the digits of pi."""

    name = "bz2"
    many_members = True
    method = Method.ESTIMATE
    default_level = 9
    levels = range(1, 10)
    failures = (OSError,)

    def sniff(self, head: bytes) -> Sniff:
        starts = head[:3] == b"BZh" and head[3:4] in b"123456789" and len(head) > 3
        if not starts:
            return Sniff.NO
        block, empty = b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90"
        return Sniff.SURE if head[4:10] in (block, empty) else Sniff.MAYBE

    def header_length(self, data: Buffer, start: int) -> int:
        return 4

    def decoder(self) -> Decoder:
        return StandardDecoder(bz2.BZ2Decompressor())

    def encode(self, data: Buffer, level: int) -> bytes:
        return bz2.compress(data, level)
