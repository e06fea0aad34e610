"""An oracle for Zstandard: a slow decoder, written from RFC 8878 alone, that notes what every symbol's bits made.

Of the package it uses only the rule by which shared bits are split.  Bitstreams are strings of 0 and 1, Huffman codes
are looked up as prefixes, FSE states are dealt out as the RFC's prose tells it, and sequences are executed, so that
what it decodes can be compared.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from golfbudget.ledger import apportion

# Codes from which on a length has extra bits: (code, base value, extra bits), RFC 8878 tables 16 and 17.
_LITERAL_CODES = [
    *((code, code, 0) for code in range(16)),
    (16, 16, 1), (17, 18, 1), (18, 20, 1), (19, 22, 1), (20, 24, 2), (21, 28, 2), (22, 32, 3), (23, 40, 3),
    (24, 48, 4), (25, 64, 6), (26, 128, 7), (27, 256, 8), (28, 512, 9), (29, 1024, 10), (30, 2048, 11),
    (31, 4096, 12), (32, 8192, 13), (33, 16384, 14), (34, 32768, 15), (35, 65536, 16),
]  # fmt: skip
_MATCH_CODES = [
    *((code, code + 3, 0) for code in range(32)),
    (32, 35, 1), (33, 37, 1), (34, 39, 1), (35, 41, 1), (36, 43, 2), (37, 47, 2), (38, 51, 3), (39, 59, 3),
    (40, 67, 4), (41, 83, 4), (42, 99, 5), (43, 131, 7), (44, 259, 8), (45, 515, 9), (46, 1027, 10),
    (47, 2051, 11), (48, 4099, 12), (49, 8195, 13), (50, 16387, 14), (51, 32771, 15), (52, 65539, 16),
]  # fmt: skip
_OFFSET_CODES = [(code, 1 << code, code) for code in range(32)]
_CODES = [_LITERAL_CODES, _OFFSET_CODES, _MATCH_CODES]
_LARGEST = [9, 8, 9]
_DEFAULTS = [
    (6, [4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1,
         -1]),
    (5, [1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1]),
    (6, [1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
         1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1]),
]  # fmt: skip
_NAMES = ["literal lengths", "offsets", "match lengths"]
_MODES = ["predefined", "rle", "fse", "repeat"]

#: A table: for each state its symbol, the bits to read on leaving it, and the base of the next state.
Table = list[tuple[int, int, int]]


@dataclass
class WalkedBlock:
    offset: int
    stored: int
    start: int
    stop: int
    literals: int = 0
    sequences: int = 0


@dataclass
class Walked:
    """`own[i]` is the bits that decoded byte i owns; `modes` names every form that was met."""

    decoded: bytearray = field(default_factory=bytearray)
    own: list[int] = field(default_factory=list)
    blocks: list[WalkedBlock] = field(default_factory=list)
    modes: set[str] = field(default_factory=set)
    repeats: list[int] = field(default_factory=lambda: [1, 4, 8])
    codes: dict[str, int] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=lambda: [[], [], []])


class Backward:
    """A bitstream read from its end, after the mark."""

    def __init__(self, stream: bytes) -> None:
        assert stream[-1]
        self.bits = bin(int.from_bytes(stream, "little"))[3:]
        self.at = 0

    def read(self, count: int) -> int:
        assert self.at + count <= len(self.bits)
        self.at += count
        return int("0" + self.bits[self.at - count : self.at], 2)


class Forward:
    """Bits from the lowest of the first byte on."""

    def __init__(self, stream: bytes) -> None:
        self.bits = "".join(f"{byte:08b}"[::-1] for byte in stream)
        self.at = 0

    def read(self, count: int) -> int:
        self.at += count
        assert self.at <= len(self.bits)
        return int("0" + self.bits[self.at - count : self.at][::-1], 2)


def walk(data: bytes) -> Walked:
    """Decode a whole file of frames; an assertion fails where it breaks the RFC."""
    walked, at = Walked(), 0
    while at < len(data):
        magic = int.from_bytes(data[at : at + 4], "little")
        if 0x184D2A50 <= magic <= 0x184D2A5F:
            walked.modes.add("skippable")
            at += 8 + int.from_bytes(data[at + 4 : at + 8], "little")
            continue
        assert magic == 0xFD2FB528
        at = _frame(data, at + 4, walked)
    return walked


def walked_costs(data: bytes, cuts: Sequence[int]) -> list[int]:
    """What each range between `cuts` must cost, in bits; what is left of the file is framing."""
    walked = walk(data)
    costs = [0] * (len(cuts) - 1)
    for block in walked.blocks:
        parts = {}
        for i in range(bisect_right(cuts, block.start) - 1, bisect_left(cuts, block.stop)):
            low, high = max(cuts[i], block.start), min(cuts[i + 1], block.stop)
            if low < high:
                parts[i] = (sum(walked.own[low:high]), high - low)
        if parts:
            overhead = 8 * block.stored - sum(own for own, _ in parts.values())
            by_own = any(own for own, _ in parts.values())
            shared = apportion(overhead, [own if by_own else length for own, length in parts.values()])
            for i, extra in zip(parts, shared, strict=True):
                costs[i] += parts[i][0] + extra
    return costs


def _frame(data: bytes, at: int, walked: Walked) -> int:
    descriptor = data[at]
    size_flag, single = descriptor >> 6, descriptor >> 5 & 1
    assert descriptor & 0b11 == 0
    if single:
        walked.modes.add("single segment")
    size_bytes = [single, 2, 4, 8][size_flag]
    walked.modes.add("content size" if size_bytes else "no content size")
    at += 1 + (1 - single) + size_bytes
    walked.repeats, walked.codes, walked.tables = [1, 4, 8], {}, [[], [], []]
    first = len(walked.decoded)
    last = False
    while not last:
        header = data[at] + 256 * data[at + 1] + 65536 * data[at + 2]
        last, kind, size = bool(header % 2), header // 2 % 4, header // 8
        block = WalkedBlock(at, 3, len(walked.decoded), 0)
        at += 3
        stored = 1 if kind == 1 else size
        body = data[at : at + stored]
        assert len(body) == stored
        if kind == 0:
            walked.modes.add("raw block")
            walked.decoded += body
            walked.own += [8] * size
            block.literals = size
        elif kind == 1:
            walked.modes.add("rle block")
            walked.decoded += body * size
            walked.own += [0] * size
            block.literals = 1
        else:
            walked.modes.add("compressed block")
            _compressed(body, walked, first, block)
        at += stored
        block.stored += stored
        block.stop = len(walked.decoded)
        if block.start == block.stop:
            walked.modes.add("empty block")
        walked.blocks.append(block)
    if descriptor & 4:
        walked.modes.add("checksum")
        at += 4
    return at


def _compressed(body: bytes, walked: Walked, first: int, block: WalkedBlock) -> None:
    literals, at = _literals(body, walked)
    count = body[at]
    at += 1
    form = 1
    if count == 255:
        count, at, form = body[at] + 256 * body[at + 1] + 0x7F00, at + 2, 3
    elif count >= 128:
        count, at, form = (count - 128) * 256 + body[at], at + 1, 2
    walked.modes.add(f"count of {form} bytes" if count else "no sequences")
    block.literals, block.sequences = len(literals), count
    taken = 0
    if count:
        modes = body[at]
        at += 1
        assert modes % 4 == 0
        for number, mode in enumerate([modes // 64, modes // 16 % 4, modes // 4 % 4]):
            walked.modes.add(f"{_NAMES[number]} {_MODES[mode]}")
            if mode == 0:
                walked.tables[number] = _deal(*_DEFAULTS[number])
            elif mode == 1:
                walked.tables[number] = [(body[at], 0, 0)]
                at += 1
            elif mode == 2:
                bits = Forward(body[at:])
                accuracy, shares = _probabilities(bits, _LARGEST[number])
                walked.tables[number] = _deal(accuracy, shares)
                at += (bits.at + 7) // 8
            assert walked.tables[number]
        taken = _execute(Backward(body[at:]), count, literals, walked, first)
    else:
        assert at == len(body)
    for byte, cost in literals[taken:]:
        walked.decoded.append(byte)
        walked.own.append(cost)


def _execute(bits: Backward, count: int, literals: list[tuple[int, int]], walked: Walked, first: int) -> int:
    """Run the sequences; how many literals they took."""
    tables, out, own = walked.tables, walked.decoded, walked.own
    states = [bits.read((len(table) - 1).bit_length()) for table in tables]
    taken = 0
    for number in range(count):
        began = bits.at
        symbols = [table[state][0] for table, state in zip(tables, states, strict=True)]
        literal_code, offset_code, match_code = (codes[symbol] for codes, symbol in zip(_CODES, symbols, strict=True))
        offset = offset_code[1] + bits.read(offset_code[2])
        match = match_code[1] + bits.read(match_code[2])
        length = literal_code[1] + bits.read(literal_code[2])
        if number < count - 1:
            for which in (0, 2, 1):
                _, width, base = tables[which][states[which]]
                states[which] = base + bits.read(width)
        assert taken + length <= len(literals)
        for byte, cost in literals[taken : taken + length]:
            out.append(byte)
            own.append(cost)
        taken += length
        distance = _distance(offset, length, walked.repeats)
        assert 0 < distance <= len(out) - first
        for step in range(match):
            out.append(out[-distance])
            own.append(0 if step else bits.at - began)
    assert bits.at == len(bits.bits)
    return taken


def _distance(offset: int, length: int, repeats: list[int]) -> int:
    if offset > 3:
        repeats[:] = [offset - 3, repeats[0], repeats[1]]
        return repeats[0]
    choice = offset - 1 + (length == 0)
    if choice == 3:
        repeats[:] = [repeats[0] - 1, repeats[0], repeats[1]]
    else:
        repeats.insert(0, repeats.pop(choice))
    return repeats[0]


def _literals(body: bytes, walked: Walked) -> tuple[list[tuple[int, int]], int]:
    """The literals, each with its bits, and where their section ends."""
    kind, size_format = body[0] % 4, body[0] // 4 % 4
    walked.modes.add(f"literals {['raw', 'rle', 'compressed', 'treeless'][kind]}, size format {size_format}")
    if kind < 2:
        header = [1, 2, 1, 3][size_format]
        size = int.from_bytes(body[:header], "little") >> [3, 4, 3, 4][size_format]
        if kind == 0:
            return [(byte, 8) for byte in body[header : header + size]], header + size
        return [(body[header], 0)] * size, header + 1
    header, width = [(3, 10), (3, 10), (4, 14), (5, 18)][size_format]
    number = int.from_bytes(body[:header], "little") // 16
    size, stored = number % 2**width, number // 2**width
    section = body[header : header + stored]
    assert len(section) == stored
    if kind == 2:
        walked.codes, tree = _tree(section, walked)
        section = section[tree:]
    assert walked.codes
    streams, sizes = [section], [size]
    if size_format:
        cuts = [6]
        for i in range(3):
            cuts.append(cuts[-1] + section[2 * i] + 256 * section[2 * i + 1])
        cuts.append(len(section))
        streams = [section[a:b] for a, b in pairwise(cuts)]
        quarter = -(-size // 4)
        sizes = [quarter, quarter, quarter, size - 3 * quarter]
    made = []
    for stream, expected in zip(streams, sizes, strict=True):
        found, code = [], ""
        for bit in Backward(stream).bits:
            code += bit
            if code in walked.codes:
                found.append((walked.codes[code], len(code)))
                code = ""
        assert code == ""
        assert len(found) == expected
        made += found
    return made, header + stored


def _tree(section: bytes, walked: Walked) -> tuple[dict[str, int], int]:
    """Huffman codes as strings, and the length of their description."""
    if section[0] >= 128:
        walked.modes.add("direct weights")
        count = section[0] - 127
        used = 1 + (count + 1) // 2
        weights = [int(digit, 16) for digit in section[1:used].hex()][:count]
    else:
        walked.modes.add("compressed weights")
        used = 1 + section[0]
        forward = Forward(section[1:used])
        table = _deal(*_probabilities(forward, 6))
        weights = _two_states(table, Backward(section[1 + (forward.at + 7) // 8 : used]))
    total = sum(2**weight // 2 for weight in weights)
    full = 1
    while full <= total:
        full *= 2
    weights.append((full - total).bit_length())
    assert 2 ** weights[-1] // 2 == full - total
    longest = full.bit_length() - 1
    codes, position = {}, 0
    for weight in range(1, longest + 1):
        for symbol, found in enumerate(weights):
            if found == weight:
                length = longest + 1 - weight
                codes[f"{position:0{longest}b}"[:length]] = symbol
                position += 2 ** (weight - 1)
    assert position == full
    return codes, used


def _two_states(table: Table, bits: Backward) -> list[int]:
    accuracy = (len(table) - 1).bit_length()
    states = [bits.read(accuracy), bits.read(accuracy)]
    weights: list[int] = []
    turn = 0
    while True:
        symbol, width, base = table[states[turn]]
        weights.append(symbol)
        if bits.at + width > len(bits.bits):
            return [*weights, table[states[1 - turn]][0]]
        states[turn] = base + bits.read(width)
        turn = 1 - turn


def _probabilities(bits: Forward, largest: int) -> tuple[int, list[int]]:
    """The accuracy and the probabilities of an FSE table description."""
    accuracy = 5 + bits.read(4)
    assert accuracy <= largest
    points, shares = 2**accuracy, list[int]()
    while points:
        # The values 0 to points + 1 are possible; the first few of them take one bit less.
        possible, width = points + 2, 0
        while 2**width < possible:
            width += 1
        short = 2**width - possible
        value = bits.read(width - 1)
        if value >= short and bits.read(1):
            value += 2 ** (width - 1) - short
        shares.append(value - 1)
        points -= 1 if value == 0 else value - 1
        if value == 1:
            more = 3
            while more == 3:
                more = bits.read(2)
                shares += [0] * more
    return accuracy, shares


def _deal(accuracy: int, shares: list[int]) -> Table:
    """Deal states to symbols, then give every state of a symbol its part of the next states."""
    size = 2**accuracy
    owner: list[int | None] = [None] * size
    end = size
    for symbol, share in enumerate(shares):
        if share == -1:
            end -= 1
            owner[end] = symbol
    place = 0
    for symbol, share in enumerate(shares):
        for _ in range(share):
            assert owner[place] is None
            owner[place] = symbol
            place = (place + size // 2 + size // 8 + 3) % size
            while place >= end:
                place = (place + size // 2 + size // 8 + 3) % size
    table: Table = [(0, 0, 0)] * size
    for symbol, share in enumerate(shares):
        if not share:
            continue
        states = [state for state in range(size) if owner[state] == symbol]
        assert len(states) == abs(share)
        power = 1
        while power < len(states):
            power *= 2
        doubled = power - len(states)
        width = (size // power).bit_length() - 1
        base = 0
        for state in [*states[doubled:], *states[:doubled]]:
            bits = width + 1 if state in states[:doubled] else width
            table[state] = (symbol, bits, base)
            base += 2**bits
        assert base == size
    return table
