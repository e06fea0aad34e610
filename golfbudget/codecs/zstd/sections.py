"""The sections of a compressed Zstandard block, RFC 8878 section 3.1.1.3, and the tables that blocks repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from golfbudget.codecs.base import Buffer
from golfbudget.codecs.zstd import tables as entropy
from golfbudget.codecs.zstd.frames import BLOCK_HEADER, BlockKind, FrameBlock
from golfbudget.errors import CorruptError

_LONG_COUNT = 0x7F00


class Literals(IntEnum):
    """How the literals section is stored."""

    RAW = 0
    RLE = 1
    COMPRESSED = 2
    TREELESS = 3


class Mode(IntEnum):
    """How a sequence field's table is given."""

    PREDEFINED = 0
    RLE = 1
    FSE = 2
    REPEAT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sections:
    """Where the parts of a block's body lie; offsets are from the body's start.

    Literals (or their tree and streams) start at `literals_at`, tables at `tables_at` and end with the body.
    """

    literals: Literals
    regenerated: int
    streams: int
    literals_at: int
    literals_stop: int
    sequences: int
    modes: tuple[Mode, Mode, Mode]
    tables_at: int


def read_sections(body: bytes) -> Sections:
    """The two section headers of a block's body; `CorruptError` where they do not fit in it."""
    first = entropy.take(body, 0, 1)[0]
    kind, size_format = Literals(first & 3), first >> 2 & 3
    streams = 1
    if kind in (Literals.RAW, Literals.RLE):
        length = (1, 2, 1, 3)[size_format]
        regenerated = int.from_bytes(entropy.take(body, 0, length), "little") >> (4 if size_format & 1 else 3)
        stored = regenerated if kind is Literals.RAW else 1
    else:
        length, width = ((3, 10), (3, 10), (4, 14), (5, 18))[size_format]
        value = int.from_bytes(entropy.take(body, 0, length), "little") >> 4
        regenerated, stored = value & (1 << width) - 1, value >> width
        streams = 4 if size_format else 1
    stop = length + stored
    entropy.take(body, length, stored)
    sequences, at = _sequence_count(body, stop)
    modes = 0
    if sequences:
        modes = entropy.take(body, at, 1)[0]
        at += 1
        if modes & 3:
            raise CorruptError("sets the reserved bits of its table modes")
    elif at != len(body):
        raise CorruptError(f"goes on for {len(body) - at} bytes after its literals, with no sequences")
    return Sections(
        literals=kind,
        regenerated=regenerated,
        streams=streams,
        literals_at=length,
        literals_stop=stop,
        sequences=sequences,
        modes=(Mode(modes >> 6), Mode(modes >> 4 & 3), Mode(modes >> 2 & 3)),
        tables_at=at,
    )


def _sequence_count(body: bytes, at: int) -> tuple[int, int]:
    first = entropy.take(body, at, 1)[0]
    if first < 128:
        return first, at + 1
    if first < 255:
        return (first - 128 << 8) + entropy.take(body, at + 1, 1)[0], at + 2
    return int.from_bytes(entropy.take(body, at + 1, 2), "little") + _LONG_COUNT, at + 3


class Reader:
    """The compressed blocks of one frame, parsed as they are asked for, in any order.

    A block may repeat the tables of an earlier one, which is then sought backwards; what was found is kept for
    every block between, so that reading all blocks of a frame takes linear time.
    """

    def __init__(self, data: Buffer, blocks: Sequence[FrameBlock]) -> None:
        self._data = data
        self._blocks = blocks
        self._sections: dict[int, Sections] = {}
        self._trees: dict[int, tuple[bytes, int]] = {}
        self._code_lengths: dict[int, bytes] = {}
        self._tables: dict[tuple[entropy.Field, int], list[entropy.State]] = {}

    def body(self, number: int) -> bytes:
        """The stored bytes of a block after its header."""
        block = self._blocks[number]
        return bytes(self._data[block.offset + BLOCK_HEADER : block.stored.stop])

    def sections(self, number: int) -> Sections | None:
        """The sections of a block; None unless it is compressed."""
        if self._blocks[number].kind is not BlockKind.COMPRESSED:
            return None
        sections = self._sections.get(number)
        if sections is None:
            sections = self._sections[number] = read_sections(self.body(number))
        return sections

    def code_lengths(self, number: int) -> bytes:
        """Bits of each byte value's Huffman code in a block whose literals are compressed or treeless.

        `CorruptError` where a treeless block has none before it with a tree.
        """
        at, lengths = number, self._code_lengths.get(number)
        while lengths is None:
            sections = self.sections(at)
            if sections is not None and sections.literals is Literals.COMPRESSED:
                lengths = self._tree(at, sections)[0]
            else:
                at -= 1
                if at < 0:
                    raise CorruptError("repeats a Huffman tree, but no earlier block has one")
                lengths = self._code_lengths.get(at)
        for known in range(at, number + 1):
            self._code_lengths[known] = lengths
        return lengths

    def streams_at(self, number: int, sections: Sections) -> int:
        """Where the Huffman streams (and their jump table) start in a block's body."""
        if sections.literals is not Literals.COMPRESSED:
            return sections.literals_at
        return self._tree(number, sections)[1]

    def _tree(self, number: int, sections: Sections) -> tuple[bytes, int]:
        """The code lengths that a block describes itself, and where its description ends."""
        tree = self._trees.get(number)
        if tree is None:
            body = self.body(number)[: sections.literals_stop]
            tree = self._trees[number] = entropy.read_code_lengths(body, sections.literals_at)
        return tree

    def tables(
        self, number: int, sections: Sections
    ) -> tuple[list[entropy.State], list[entropy.State], list[entropy.State], int]:
        """Tables of literal lengths, offsets and match lengths, and where the sequences' bitstream starts."""
        own, stop = self._own_tables(number, sections)
        literal, offset, match = (self._table(field, number, own[field]) for field in entropy.Field)
        return literal, offset, match, stop

    def _own_tables(self, number: int, sections: Sections) -> tuple[list[list[entropy.State] | None], int]:
        """The tables that a block defines itself, None where it repeats, and where they end."""
        body, at = self.body(number), sections.tables_at
        own: list[list[entropy.State] | None] = []
        for field, mode in zip(entropy.Field, sections.modes, strict=True):
            alphabet = entropy.ALPHABETS[field]
            table = None
            if mode is Mode.PREDEFINED:
                table = entropy.predefined_table(field)
            elif mode is Mode.RLE:
                table = entropy.rle_table(field, entropy.take(body, at, 1)[0])
                at += 1
            elif mode is Mode.FSE:
                distribution, at = entropy.read_distribution(
                    body, at, symbols=len(alphabet.bases), largest_accuracy=alphabet.largest_accuracy
                )
                table = entropy.decoding_table(field, distribution)
            own.append(table)
        return own, at

    def _table(self, field: entropy.Field, number: int, table: list[entropy.State] | None) -> list[entropy.State]:
        at = number
        while table is None:
            at -= 1
            if at < 0:
                raise CorruptError(f"repeats a table of {field.name.lower()}s, but no earlier block has one")
            table = self._tables.get((field, at))
            sections = None if table is not None else self.sections(at)
            if sections is not None and sections.sequences:
                table = self._own_tables(at, sections)[0][field]
        for known in range(at, number + 1):
            self._tables[field, known] = table
        return table
