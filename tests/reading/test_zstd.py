"""Zstandard is attributed to the bit: every symbol against a decoder of the tests' own, and every form of RFC 8878."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from support.zstd_walker import walk, walked_costs

from golfbudget import codecs
from golfbudget.artifact import open_bytes
from golfbudget.codecs import Sniff, attribute, decode
from golfbudget.codecs.zstd import costs as zstd_costs
from golfbudget.codecs.zstd.codec import WINDOW_LIMIT, Zstd
from golfbudget.codecs.zstd.costs import block_statistics, frame_costs, own_bits
from golfbudget.codecs.zstd.frames import MAGIC, BlockKind, read_frame
from golfbudget.codecs.zstd.sections import Reader
from golfbudget.errors import CorruptError, LimitError, UnsupportedError
from golfbudget.ledger import Span

ZSTD = Zstd()
LEVELS = (-5, 1, 3, 9, 15, 19, 22)
RAW, RLE, COMPRESSED = 0, 1, 2


# Data and frames


@cache
def textures() -> dict[str, bytes]:
    """A few kilobytes of each kind of content that artifacts hold."""
    rng = np.random.default_rng(0)

    def integers(bits: int, deviation: float) -> bytes:
        top = 2 ** (bits - 1) - 1
        return np.clip(np.round(rng.normal(0, deviation, 6000)), -top, top).astype(np.int8).tobytes()

    piece = rng.bytes(400)
    return {
        "int4": integers(4, 2),
        "int5": integers(5, 4),
        "int6": integers(6, 8),
        "int8": integers(8, 35),
        "ternary": integers(2, 1),
        "float16": rng.normal(0, 0.02, 3000).astype(np.float16).tobytes(),
        "text": b"".join(f"blocks.{i * i % 97}.attn.c_{'qkv'[i % 3]}.weight ".encode() for i in range(250)),
        "zeros": bytes(6000),
        "noise": rng.bytes(3000),
        "repeated": b"".join(piece + rng.bytes(i) for i in range(12)),
    }


def in_blocks(data: bytes, level: int, length: int) -> bytes:
    """A frame without content size, with a checksum, whose blocks hold `length` bytes, and an empty last one."""
    compressor = zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()
    parts = []
    for at in range(0, len(data), length):
        parts.append(compressor.compress(data[at : at + length]))
        parts.append(compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
    return b"".join(parts) + compressor.flush()


def block(kind: int, body: bytes, size: int | None = None, *, last: bool = False) -> bytes:
    header = last | kind << 1 | (len(body) if size is None else size) << 3
    return header.to_bytes(3, "little") + body


def frame(*blocks: bytes) -> bytes:
    """A frame with a window of 128 KiB, neither content size nor checksum, ended by an empty raw block."""
    return MAGIC + b"\0\x38" + b"".join(blocks) + block(RAW, b"", last=True)


def skippable(content: bytes, number: int = 0) -> bytes:
    return bytes([0x50 + number]) + b"\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content


def stream(bits: str) -> bytes:
    """Bits in the order in which they are read, behind the mark that ends the bitstream."""
    number = int("1" + bits, 2)
    return number.to_bytes((number.bit_length() + 7) // 8, "little")


def huffman_block(bits: str, *, size_format: int, tree: bool) -> bytes:
    """Literals 0 and 1 with one bit each, with their tree (one direct weight) or repeating the last one."""
    quarter = -(-len(bits) // 4)
    parts = [stream(bits[at : at + quarter]) for at in range(0, len(bits), quarter)] if size_format else [stream(bits)]
    jumps = b"".join(len(part).to_bytes(2, "little") for part in parts[:-1])
    section = (b"\x80\x10" if tree else b"") + jumps + b"".join(parts)
    length, width = ((3, 10), (3, 10), (4, 14), (5, 18))[size_format]
    header = (2 if tree else 3) | size_format << 2 | len(bits) << 4 | len(section) << 4 + width
    return block(COMPRESSED, header.to_bytes(length, "little") + section + b"\0")


def raw_literals(literals: bytes) -> bytes:
    assert len(literals) < 32
    return bytes([len(literals) << 3]) + literals


def many_sequences(count: int) -> bytes:
    """A block of `count` matches of three bytes, which cost no bits: every table has one state."""
    body = raw_literals(b"") + b"\xff" + (count - 0x7F00).to_bytes(2, "little") + b"\x54\0\0\0" + stream("")
    return block(COMPRESSED, body)


def crafted() -> dict[str, bytes]:
    """Forms that the library does not write, or not from so little data."""
    rng = random.Random(0)

    def bits(count: int) -> str:
        return f"{rng.getrandbits(count):0{count}b}"

    # Three literals, a match of four at a distance of 1 to 4 given by two bits, twice; then one literal.
    tables = raw_literals(b"abcdefg") + b"\x02\x54\x03\x02\x01" + stream("0110")
    repeat = raw_literals(b"hijklmn") + b"\x02\xfc" + stream("0011")
    return {
        "counts of three bytes": frame(block(RAW, b"abcdefgh"), many_sequences(0x7F00), many_sequences(0x7F00 + 500)),
        "treeless of every size": frame(
            huffman_block(bits(300), size_format=0, tree=True),
            huffman_block(bits(200), size_format=0, tree=False),
            block(RAW, b"between"),
            huffman_block(bits(900), size_format=1, tree=False),
            huffman_block(bits(3001), size_format=2, tree=False),
            block(RLE, b"x", 70),
            block(COMPRESSED, raw_literals(b"no tree here") + b"\0"),
            huffman_block(bits(20_002), size_format=3, tree=False),
            huffman_block(bits(2003), size_format=2, tree=True),
            huffman_block(bits(17_003), size_format=3, tree=True),
        ),
        "repeated tables": frame(
            block(COMPRESSED, tables),
            block(COMPRESSED, raw_literals(b"no sequences") + b"\0"),
            block(RAW, b"raw"),
            block(COMPRESSED, repeat),
            block(COMPRESSED, repeat),
        ),
        "literals of one byte": frame(
            block(COMPRESSED, bytes([1 | 20 << 3]) + b"r\0"),
            block(COMPRESSED, (1 | 1 << 2 | 3000 << 4).to_bytes(2, "little") + b"s\0"),
            block(COMPRESSED, (1 | 2 << 2 | 17 << 3).to_bytes(1, "little") + b"t\0"),
            block(COMPRESSED, (1 | 3 << 2 | 70_000 << 4).to_bytes(3, "little") + b"u\0"),
        ),
        "empty blocks": frame(block(RAW, b""), block(RLE, b"z", 0), block(RAW, b"abc"), block(RAW, b"")),
        "an empty frame": frame(),
    }


def cases() -> Iterator[tuple[str, bytes]]:
    for name, data in textures().items():
        for level in LEVELS:
            yield f"{name} at level {level}", zstandard.ZstdCompressor(level=level).compress(data)
        for level in (1, 3, 19):
            yield f"{name} in blocks at level {level}", in_blocks(data, level, 250 + 31 * len(name))
    yield from crafted().items()


CASES = dict(cases())


def check(stored: bytes, payload: bytes | None = None, *, cuts: list[int] | None = None, seed: int = 0) -> None:
    """Decoded as the walker does, and every range costs what the walker's bits say, to the bit."""
    found = decode(ZSTD, stored, where="case")
    assert found.decoded == walk(stored).decoded
    assert payload is None or found.decoded == payload
    length = len(found.decoded)
    if cuts is None:
        cuts = sorted(random.Random(seed).choices(range(length + 1), k=9))
    cuts = [0, *cuts, length]
    costs = attribute(found, cuts)
    assert list(costs.ranges) == walked_costs(stored, cuts)
    assert sum(costs.ranges) + costs.framing == 8 * len(stored)
    assert costs.trailing == 0
    for member in found.members:
        whole = found.decoded[member.decoded.start : member.decoded.stop]
        frame_costs(stored, member.stored, whole, sorted({0, len(whole)}), WINDOW_LIMIT, where="case", open_all=True)


# To the bit


@pytest.mark.parametrize("name", CASES)
def test_every_symbol_costs_what_a_decoder_reads_for_it(name: str) -> None:
    stored = CASES[name]
    found, walked = decode(ZSTD, stored, where=name), walk(stored)
    assert found.decoded == zstandard.ZstdDecompressor().decompressobj().decompress(stored) == walked.decoded
    blocks = read_frame(stored, Span(0, len(stored)), where=name).blocks
    reader = Reader(stored, blocks)
    # In reverse order, so that repeated tables are sought where they were not read yet.
    for number in reversed(range(len(blocks))):
        start, stop = walked.blocks[number].start, walked.blocks[number].stop
        if blocks[number].kind is BlockKind.COMPRESSED:
            before = own_bits(reader, number, bytes(found.decoded[start:stop]), range(stop - start + 1))
            assert [b - a for a, b in pairwise(before)] == walked.own[start:stop]
    check(stored)


def test_every_form_of_the_format_is_met() -> None:
    met = set().union(*(walk(stored).modes for stored in CASES.values()))
    fields = ("literal lengths", "offsets", "match lengths")
    assert met >= {
        "raw block", "rle block", "compressed block", "empty block",
        *(f"literals {kind}, size format {n}" for kind in ("raw", "rle", "compressed", "treeless") for n in range(4)),
        "direct weights", "compressed weights",
        "no sequences", *(f"count of {n} bytes" for n in (1, 2, 3)),
        *(f"{field} {mode}" for field in fields for mode in ("predefined", "rle", "fse", "repeat")),
        "single segment", "content size", "no content size", "checksum",
    }  # fmt: skip


def test_shares_of_a_block_by_hand() -> None:
    # Two ranges of a raw block of 4 bytes: 3 bytes own 24 bits, 1 byte owns 8, the header's 24 are split 18 and 6.
    found = decode(ZSTD, frame(block(RAW, b"abcd"), block(RLE, b"z", 16)), where="hand")
    costs = attribute(found, [0, 3, 4, 4, 8, 20])
    # The RLE block's 32 bits are split by length: 4 bytes and 12.
    assert costs.ranges == (24 + 18, 8 + 6, 0, 8, 24)
    assert costs.framing == 8 * (len(found.data) - 7 - 4)


def test_a_sequence_belongs_to_the_first_byte_of_its_match() -> None:
    # Literals abc own 8 bits each and the match after them 2, all at its first byte.
    stored = crafted()["repeated tables"]
    blocks = read_frame(stored, Span(0, len(stored)), where="hand").blocks
    before = own_bits(Reader(stored, blocks), 0, b"abcbcbcdefeeeeg", range(16))
    assert [b - a for a, b in pairwise(before)] == [8, 8, 8, 2, 0, 0, 0, 8, 8, 8, 2, 0, 0, 0, 8]


@pytest.mark.slow
@given(
    parts=st.lists(
        st.tuples(st.sampled_from(sorted(textures())), st.integers(0, 2000), st.integers(1, 2500)), max_size=6
    ),
    level=st.sampled_from(LEVELS),
    length=st.none() | st.integers(100, 3000),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_mixtures(parts: list[tuple[str, int, int]], level: int, length: int | None, data: st.DataObject) -> None:
    payload = b"".join(textures()[name][start : start + count] for name, start, count in parts)
    stored = in_blocks(payload, level, length) if length else zstandard.ZstdCompressor(level=level).compress(payload)
    cuts = data.draw(st.lists(st.integers(0, len(payload)), max_size=30).map(sorted))
    check(stored, payload, cuts=cuts)


def test_long_data_opens_only_blocks_that_a_boundary_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    payload = np.clip(np.round(rng.normal(0, 6, 1_500_000)), -31, 31).astype(np.int8).tobytes()
    stored = zstandard.ZstdCompressor(level=3).compress(payload)
    opened: list[int] = []
    real = own_bits

    def counted(reader: Reader, number: int, out: bytes, cuts: list[int]) -> list[int]:
        opened.append(number)
        return real(reader, number, out, cuts)

    monkeypatch.setattr(zstd_costs, "own_bits", counted)
    found = decode(ZSTD, stored, where="long")
    attribute(found, [0, 2 * 131_072, len(payload)])
    assert opened == []
    attribute(found, [0, 100, 5 * 131_072 + 1, 6 * 131_072 - 1, 10 * 131_072, len(payload)])
    assert opened == [0, 5]


# Many frames


def test_frames_and_skippable_frames() -> None:
    data = textures()
    stored = b"".join((
        skippable(b"before" * 20, 3), skippable(b""), in_blocks(data["int6"], 3, 900), skippable(bytes(100), 15),
        zstandard.compress(data["text"]), zstandard.compress(b""), zstandard.compress(data["zeros"]),
        skippable(b"seek table" * 9, 14),
    ))  # fmt: skip
    payload = data["int6"] + data["text"] + data["zeros"]
    check(stored, payload)
    check(stored, payload, cuts=[6000, 6000, 6000 + len(data["text"])])
    assert len(open_bytes(stored, name="x").leaves[0].data) == len(payload)


def test_skippable_frames_are_signed_only_with_a_frame_after_them() -> None:
    empty = zstandard.compress(b"")
    assert ZSTD.sniff(empty) is Sniff.SURE
    assert ZSTD.sniff((skippable(b"0123456789") + empty)[:32]) is Sniff.SURE
    assert ZSTD.sniff((skippable(b"") + skippable(b"") + empty)[:32]) is Sniff.SURE
    assert ZSTD.sniff((skippable(bytes(99)) + empty)[:32]) is Sniff.MAYBE
    assert ZSTD.sniff(skippable(bytes(4))) is Sniff.MAYBE
    assert ZSTD.sniff(skippable(bytes(4)) + b"\x28\xb5") is Sniff.MAYBE
    assert ZSTD.sniff(skippable(bytes(4)) + b"\x04\x22\x4d\x18") is Sniff.NO
    assert ZSTD.sniff(b"\x28\xb5") is Sniff.NO


@pytest.mark.parametrize(
    "stored",
    [
        skippable(bytes(99)) + b"\x04\x22\x4d\x18 an LZ4 frame, which may start with skippable frames as well",
        skippable(bytes(99)) + skippable(bytes(9))[:-1],
        skippable(bytes(99))[:-1],
    ],
)
def test_skippable_frames_alone_are_no_stream(stored: bytes) -> None:
    assert [layer.kind for layer in open_bytes(stored, name="x").layers] == ["container"]


def test_what_follows_the_last_frame_is_trailing() -> None:
    stored = zstandard.compress(b"abc" * 50)
    for tail in (b"rubbish", skippable(bytes(9))[:-1], MAGIC[:3], bytes(8)):
        found = decode(ZSTD, stored + tail, where="x")
        assert found.decoded == b"abc" * 50
        costs = attribute(found, [0, 10, 150])
        assert costs.trailing == 8 * len(tail)
        assert list(costs.ranges) == walked_costs(stored, [0, 10, 150])


# Tools that are not ours


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    ["-1", "--fast=5", "--ultra -22 --long=31", "--long=27 -3", "--no-check -9", "-T0 -6", "--adapt", "--rsyncable",
     "--ultra -20 --no-content-size", "--format=zstd -19 -B1000 -T2"],
)  # fmt: skip
def test_files_of_the_command_line_tool(options: str, tmp_path: Path) -> None:
    if shutil.which("zstd") is None:
        pytest.skip("zstd is not installed")
    payload = b"".join(textures().values())
    source = tmp_path / "payload"
    source.write_bytes(payload)
    for command in (["zstd", *options.split(), "-c", str(source)], ["zstd", *options.split(), "-c"]):
        done = subprocess.run(command, input=payload, capture_output=True, check=False)
        if done.returncode and b"ncorrect parameter" in done.stderr:
            pytest.skip(f"this zstd has no {options}")
        assert done.returncode == 0, done.stderr
        check(done.stdout, payload)


@pytest.mark.parametrize("window_log", [10, 17, 27, 31])
def test_windows(window_log: int) -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        3, window_log=window_log, enable_ldm=True, write_content_size=False
    )
    payload = textures()["repeated"] + textures()["int6"] + textures()["repeated"]
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    check(compressor.compress(payload) + compressor.flush(), payload)


@pytest.mark.parametrize("level", range(-5, 23))
def test_every_level_encodes(level: int) -> None:
    assert level in ZSTD.levels
    payload = textures()["int5"]
    assert zstandard.decompress(ZSTD.encode(payload, level)) == payload


# Reports


@pytest.mark.parametrize("name", ["text in blocks at level 3", "int6 at level 22", *crafted()])
def test_statistics_of_blocks(name: str) -> None:
    stored = CASES[name]
    found = block_statistics(stored, Span(0, len(stored)), WINDOW_LIMIT, where=name)
    assert [(b.offset, b.stored, b.decoded, b.literals, b.sequences) for b in found] == [
        (b.offset, b.stored, b.stop - b.start, b.literals, b.sequences) for b in walk(stored).blocks
    ]
    assert [b.kind for b in found] == [
        (BlockKind.RAW, BlockKind.RLE, BlockKind.COMPRESSED)[stored[b.offset] >> 1 & 3] for b in found
    ]


def test_a_skippable_frame_has_no_blocks() -> None:
    stored = skippable(b"x")
    assert block_statistics(stored, Span(0, len(stored)), WINDOW_LIMIT, where="x") == ()


# What breaks


def test_dictionaries_are_refused() -> None:
    dictionary = zstandard.ZstdCompressionDict(
        zstandard.train_dictionary(2000, [bytes([i]) * 99 for i in range(200)]).as_bytes()
    )
    stored = zstandard.ZstdCompressor(dict_data=dictionary).compress(b"abc")
    message = rf"^model: the zstd stream that starts at byte 0: the frame needs dictionary {dictionary.dict_id()},"
    with pytest.raises(UnsupportedError, match=message):
        decode(ZSTD, stored, where="model")
    decoder = ZSTD.decoder()
    assert [decoder.feed(stored[at : at + 1]) for at in range(5)] == [b""] * 5
    with pytest.raises(UnsupportedError, match="dictionary"):
        decoder.feed(stored[5:14])


def test_a_bomb_is_noticed_before_it_is_in_memory() -> None:
    bomb = frame(*[block(RLE, b"x", 1 << 17)] * 20_000)
    decoder = ZSTD.decoder()
    assert max(len(decoder.feed(bomb)), *(len(decoder.feed(b"")) for _ in range(9))) <= 1 << 24
    assert not decoder.drained
    with pytest.raises(LimitError, match="more than 1000000 bytes"):
        decode(ZSTD, bomb, where="x", limit=1_000_000)


def test_a_decoder_holds_what_lies_after_its_frame() -> None:
    first, second = zstandard.compress(textures()["noise"]), zstandard.compress(b"second")
    decoder = ZSTD.decoder()
    out = decoder.feed(first + second)
    while not decoder.drained:
        out += decoder.feed(b"")
    assert out == textures()["noise"]
    assert decoder.finished
    assert decoder.unused == len(second)


def broken_body(body: bytes, out: bytes) -> None:
    stored = frame(block(RAW, b"abcdefgh"), block(COMPRESSED, body))
    blocks = read_frame(stored, Span(0, len(stored)), where="broken").blocks
    own_bits(Reader(stored, blocks), 1, out, [0, len(out)])


SEQUENCE = b"\x54\x03\x02\x01"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (raw_literals(b"abc") + b"\x01" + SEQUENCE + stream("010"), "ends its sequences at bit 1 of"),
        (raw_literals(b"abc") + b"\x01" + SEQUENCE + stream("0"), "ends its sequences at bit -1 of"),
        (raw_literals(b"abc") + b"\x01" + SEQUENCE + b"\0", "without an end mark"),
        (raw_literals(b"abcd") + b"\x01" + SEQUENCE + stream("01"), "has 4 literals, but its sequences leave 3 bytes"),
        (raw_literals(b"abc") + b"\x02" + SEQUENCE + stream("0101"), "make 14 bytes, but decodes to 7"),
        (raw_literals(b"abc") + b"\x01\x57\x03\x02\x01" + stream("01"), "reserved bits"),
        (raw_literals(b"abc") + b"\x01\xfc" + stream("01"), "repeats a table of literal_lengths"),
        (raw_literals(b"abc") + b"\x01\x54\x24\x02\x01" + stream("01"), "repeats code 36, expected at most 35"),
        (raw_literals(b"abc") + b"\x01\x54\x03", "ends 1 bytes too soon"),
        (raw_literals(b"abc") + b"\x01\x00" + stream("0000"), "too short for its first states"),
        (raw_literals(b"abcdefg") + b"\0rest", "goes on for 4 bytes after its literals"),
        (b"\x38ab", "ends 5 bytes too soon"),
        (huffman_block("0101010", size_format=0, tree=False)[3:], "repeats a Huffman tree"),
        (huffman_block("0101010", size_format=0, tree=True)[3:].replace(b"\x80\x10", b"\x80\x00"), "not complete"),
        (huffman_block("010101", size_format=0, tree=True)[3:], "has 6 literals, but its sequences leave 7 bytes"),
        (huffman_block("0101010", size_format=0, tree=True)[3:], "holds byte 97 as a literal, which its Huffman tree"),
    ],
)  # fmt: skip
def test_a_block_that_does_not_add_up(body: bytes, message: str) -> None:
    with pytest.raises(CorruptError, match=message):
        broken_body(body, b"abcbcbc")


def test_what_does_not_add_up_names_the_block() -> None:
    payload = textures()["text"]
    stored = in_blocks(payload, 19, 2000)
    second = walk(stored).blocks[1]
    changed = bytearray(payload)
    changed[second.start : second.start + 40] = b"\xee" * 40
    with pytest.raises(CorruptError, match=f"^model: the zstd block at byte {second.offset} holds byte 238 "):
        frame_costs(stored, Span(0, len(stored)), changed, [0, 2100, len(payload)], WINDOW_LIMIT, where="model")
    with pytest.raises(CorruptError, match=r"decode to \d+ bytes one by one, expected"):
        frame_costs(stored, Span(0, len(stored)), payload[:-1], [0, 2100], WINDOW_LIMIT, where="model")


def test_a_huffman_stream_of_another_length_is_noticed() -> None:
    payload = textures()["int4"]
    stored = zstandard.ZstdCompressor(level=1).compress(payload)
    # The first byte is always a literal; zeros have the shortest code here, and this is the longest.
    changed = b"\x07" + payload[1:]
    assert abs(int.from_bytes(payload[:1], "little", signed=True)) < 5
    with pytest.raises(CorruptError, match=r"has a Huffman stream of \d+ bits, but its literals have codes of \d+"):
        frame_costs(stored, Span(0, len(stored)), changed, [0, 3000, len(payload)], WINDOW_LIMIT, where="x")


def survives(stored: bytes) -> bool:
    """Whether a damaged file still decodes; then it is attributed or refused as corrupt."""
    try:
        found = decode(ZSTD, stored, where="x", limit=1 << 26)
    except (CorruptError, LimitError):
        return False
    try:
        length = len(found.decoded)
        costs = attribute(found, [0, *range(0, length, 97), length])
        assert sum(costs.ranges) + costs.framing + costs.trailing == 8 * len(stored)
        for member in found.members:
            whole = found.decoded[member.decoded.start : member.decoded.stop]
            ends = sorted({0, len(whole)})
            frame_costs(stored, member.stored, whole, ends, WINDOW_LIMIT, where="x", open_all=True)
    except CorruptError:
        pass
    return True


FRAGILE = [
    "int6 at level 22", "text at level 19", "text in blocks at level 1", "ternary at level 3", "repeated at level 3",
    "repeated tables", "treeless of every size", "literals of one byte",
]  # fmt: skip


@pytest.mark.parametrize("name", FRAGILE)
def test_flips_and_truncations(name: str) -> None:
    stored, rng = CASES[name], random.Random(name)
    decoded = 0
    for _ in range(120):
        damaged = bytearray(stored)
        # Past the frame header, where a flip may ask for a dictionary; half of the flips near the tables.
        at = rng.randrange(6, rng.choice((min(150, len(stored)), len(stored))))
        damaged[at] ^= 1 << rng.randrange(8)
        decoded += survives(bytes(damaged))
    for _ in range(20):
        assert not survives(stored[: rng.randrange(1, len(stored))])
    assert decoded or "blocks" in name


@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_descriptor(bit: int) -> None:
    damaged = bytearray(CASES["int6 at level 22"])
    damaged[4] ^= 1 << bit
    if bit == 4:  # It means nothing.
        assert survives(bytes(damaged))
    else:
        with pytest.raises((CorruptError, UnsupportedError)):
            decode(ZSTD, bytes(damaged), where="x")


def test_the_registered_codec_is_exact() -> None:
    opened = open_bytes(codecs.get("zstd").encode(textures()["int6"], 22), name="x")
    assert [layer.attribution for layer in opened.layers] == ["exact", None]
