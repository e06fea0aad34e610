"""The format of last resort: it accepts anything, explains nothing, and says so."""

from __future__ import annotations

from golfbudget.codecs.base import Buffer, Sniff
from golfbudget.formats.base import Contents, Region, register
from golfbudget.ledger import Account, Span


@register
class Opaque:
    """All bytes in one region, `unmapped`."""

    name = "opaque"
    suffixes: tuple[str, ...] = ()

    def sniff(self, data: Buffer) -> Sniff:
        return Sniff.MAYBE

    def begins(self, head: bytes) -> bool:
        return False

    def read(self, data: Buffer, *, where: str) -> Contents | None:
        region = Region(span=Span(0, len(data)), account=Account.UNMAPPED, label="[opaque]")
        return Contents(format=self.name, regions=(region,))
