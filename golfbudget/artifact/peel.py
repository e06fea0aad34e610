"""Take one stream apart from the outside in: codecs and filters, recognised by content, until a container is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from golfbudget import codecs, filters, formats
from golfbudget.codecs import Buffer, Sniff, Stream
from golfbudget.errors import CorruptError, LimitError
from golfbudget.filters import Filtered
from golfbudget.formats.foresight.foreseer import Foreseer

#: Codecs and filters around one container; public files have at most three.
_DEEPEST = 6
#: A weak signature whose stream yields this much before it fails was no coincidence.
_CONVINCING = 64
#: Decoded bytes by which a container is recognised where the codec has no signature.
_HEAD = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEncoded:
    """Text that stands for bytes, as a base-85 literal does: `data` is the text, `decoded` what it spells."""

    name: str
    data: Buffer
    decoded: Buffer


PeeledStep = Stream | Filtered | TextEncoded


@dataclass(slots=True)
class Allowance:
    """Decoded bytes that may still be made: the limit is on all layers together, since all are held at once."""

    limit: int
    made: int = 0

    def spend(self, count: int, where: str) -> None:
        self.made += count
        if self.made > self.limit:
            raise LimitError(
                f"{where}: decodes to more than {self.limit} bytes in all layers together; if that is right, raise "
                "--max-decoded"
            )

    @property
    def left(self) -> int:
        return self.limit - self.made


def peel(
    data: Buffer, *, where: str, allowance: Allowance, codec: str | None = None, most: int = _DEEPEST
) -> tuple[list[PeeledStep], str]:
    """At most so many steps from `data` inward, and how messages name what is left.

    `codec` names the first one where that is known.
    """
    steps: list[PeeledStep] = []
    named = codec
    while len(steps) < most:
        step: PeeledStep | None
        if named is not None:
            step = codecs.decode(codecs.get(named), data, where=where, limit=allowance.left, foresee=Foreseer())
        elif formats.candidates(data):
            break
        else:
            step = _undo(data) or _decode(data, where=where, limit=allowance.left)
        if step is None:
            break
        allowance.spend(len(step.decoded), where)
        steps.append(step)
        named = step.codec if isinstance(step, Filtered) else None
        name = step.codec.name if isinstance(step, Stream) else step.name
        data, where = step.decoded, f"{where} (inside {name})"
    return steps, where


def innermost(data: Buffer, steps: Sequence[PeeledStep]) -> Buffer:
    """What is left when all steps are undone."""
    return steps[-1].decoded if steps else data


def _known(head: bytes) -> bool:
    """Whether decoded bytes begin like a container or a filter's header."""
    return formats.begins(head) or any(known.begins(head) for known in filters.registered().values())


def _undo(data: Buffer) -> Filtered | None:
    for known in filters.registered().values():
        found = known.undo(data, _known)
        if found is not None:
            return found
    return None


def _decode(data: Buffer, *, where: str, limit: int) -> Stream | None:
    """Decode by the codec whose signature matches, or by a weaker candidate that works; None when there is none."""
    head = bytes(data[:32])
    claims = {codec: codec.sniff(head) for codec in codecs.registered().values()}
    for codec in (codec for codec, sniff in claims.items() if sniff is Sniff.SURE):
        return codecs.decode(codec, data, where=where, limit=limit, foresee=Foreseer())
    for codec in (codec for codec, sniff in claims.items() if sniff is Sniff.MAYBE):
        try:
            return codecs.decode(codec, data, where=where, limit=limit, foresee=Foreseer())
        except CorruptError as error:
            if error.progress >= _CONVINCING:
                raise
    for codec in (codec for codec, sniff in claims.items() if sniff is Sniff.UNSIGNED):
        if _known(codecs.beginning(codec, data, _HEAD)):
            return codecs.decode(codec, data, where=where, limit=limit, foresee=Foreseer())
    return None
