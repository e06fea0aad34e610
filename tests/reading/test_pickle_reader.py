"""The pickle reader: what pickle wrote is read back as data, and nothing in a pickle is ever executed.

Hostile pickles are written here and never loaded.
"""

from __future__ import annotations

import pickle
import re
import struct
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.blobs import KEY, archive, at_w, hostile_pickles, member_at, opened, saved
from support.blobs import pickled_tensor as tensor
from support.blobs import pickled_tensor_v3 as tensor_v3

from golfbudget.artifact import open_bytes
from golfbudget.errors import CorruptError, GolfbudgetError, LimitError, UnsupportedError
from golfbudget.formats.pickle import reader as pickle_reader
from golfbudget.formats.pickle.reader import read_pickle
from golfbudget.formats.pickle.symbols import Global, Mapped, Node, Sequenced
from golfbudget.ledger import Account

# Literal rows, and pickle as the judge


def plain(node: Node) -> object:
    """A node as the value it stands for; sequences become lists."""
    if isinstance(node.value, Mapped):
        return {plain(key): plain(value) for key, value in node.value.items}
    if isinstance(node.value, Sequenced):
        return [plain(item) for item in node.value.items]
    return node.value


def spans(node: Node) -> tuple[int, int, object]:
    if isinstance(node.value, Mapped):
        return node.start, node.stop, [(spans(key), spans(value)) for key, value in node.value.items]
    if isinstance(node.value, Sequenced):
        return node.start, node.stop, [spans(item) for item in node.value.items]
    return node.start, node.stop, node.value


def test_each_value_keeps_the_bytes_that_built_it() -> None:
    # The opcodes start at bytes 0, 2, 3, 5, 6, 8, 10, 11, 13, 14 and 15.
    data = (
        b"\x80\x02" + b"}" + b"q\x00" + b"(" + b"K\x07" + b"K\x08" + b"N" + b"K\x09" + b"\x85" + b"u" + b"." + b"left"
    )
    found = read_pickle(data, where="m.pt")
    assert found.length == 16
    assert spans(found.top) == (2, 15, [((6, 8, 7), (8, 10, 8)), ((10, 11, None), (11, 14, [(11, 13, 9)]))])


PLAIN_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(min_size=1),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, derandomize=True)
@given(value=PLAIN_VALUES, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL), rest=st.binary(max_size=4))
def test_plain_values_of_every_protocol_are_what_pickle_wrote(value: object, protocol: int, rest: bytes) -> None:
    data = pickle.dumps(value, protocol)
    found = read_pickle(data + rest, where="m.pt")
    assert found.length == len(data)
    assert plain(found.top) == value


def test_what_unpickling_would_import_is_only_spelled() -> None:
    for text in (b"cantigravity\nfly\n", b"\x8c\x0bantigravity\x8c\x03fly\x93"):
        found = read_pickle(b"\x80\x04}K\x01" + text + b"s.", where="m.pt").top.value
        assert isinstance(found, Mapped)
        assert str(found.items[0][1].value) == "antigravity fly"
    assert "antigravity" not in sys.modules


# What must never run


@pytest.mark.parametrize("name", hostile_pickles(Path("marker")))
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_pickle_that_calls_anything_else_is_refused_and_runs_nothing(name: str, method: int, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    text, opcode = hostile_pickles(marker)[name]
    data = archive(text, method=method)
    with pytest.raises(UnsupportedError, match=r"^m\.pt: .*nothing was executed .*--as opaque") as refused:
        open_bytes(data, name="m.pt")
    assert not marker.exists()
    found = re.search(r"at byte (\d+)", str(refused.value))
    assert found is not None
    at = int(found[1]) - member_at(data, "archive/data.pkl").start
    assert text[at : at + len(opcode)] == opcode


def test_known_constructors_are_data_wherever_torch_puts_them() -> None:
    text = b"\x80\x02}(" + b"".join(
        (
            b"X\x01\x00\x00\x00aclib\nf\n",
            b"X\x01\x00\x00\x00bctorch\nSize\n(K\x02K\x03tR",
            b"X\x01\x00\x00\x00cctorch\ndevice\nX\x03\x00\x00\x00cpu\x85R",
            b"X\x01\x00\x00\x00dccollections\ndefaultdict\n)RX\x01\x00\x00\x00eK\x05s",
            b"X\x01\x00\x00\x00fc_codecs\nencode\nX\x02\x00\x00\x00\xc3\xbfX\x06\x00\x00\x00latin1\x86R",
        )
    )
    assert opened(archive(text + b"u.")).contents.values == {"d/e": 5, "f": b"\xff"}


COPYREG = b"\x80\x02ccopy_reg\n_reconstructor\ncmy\nConfig\nc__builtin__\n"
W = b"X\x01\x00\x00\x00w%b"
INERT = {
    "a class by REDUCE": b"\x80\x02cmy.config\nConfig\n)R}(" + W + b"ub.",
    "a class by NEWOBJ": b"\x80\x02cmy.config\nconfig\n)\x81}" + W + b"sb.",
    "a class by NEWOBJ_EX": b"\x80\x04cmy.config\nConfig\n)}" + W + b"s\x92.",
    "an object by copyreg": COPYREG + b"object\nN\x87R}" + W + b"sb.",
    "a dict by copyreg": COPYREG + b"dict\n}" + W + b"s\x87R.",
    "a class with slots": b"\x80\x02cmy\nConfig\n)\x81N}" + W + b"s\x86b.",
    "a namespace": b"\x80\x02cargparse\nNamespace\n)\x81}" + W + b"sb.",
    "a dict of an unknown class": b"\x80\x02cmy\nDict\n)\x81(" + W + b"u.",
    "a known name in another module": b"\x80\x02cevil\nOrderedDict\n)R(" + W + b"u.",
    "a module hidden in the name": b"\x80\x04\x8c\x11collections.evil \x8c\x0bOrderedDict\x93)R(" + W + b"u.",
}


@pytest.mark.parametrize("name", INERT)
def test_an_object_of_an_unknown_class_is_never_made_but_its_tensors_are_found(name: str) -> None:
    text = INERT[name] % tensor()
    contents = opened(archive(text, {"0": b"abcd"})).contents
    (stored,) = contents.tensors
    assert stored.name == "w"
    assert isinstance(contents.values["[tensor]"], Global)
    assert "my" not in sys.modules
    # The same object inside a dict gives its own name to what it holds.
    held = b"\x80\x04}X\x03\x00\x00\x00obj" + text[2:-1] + b"s."
    contents = opened(archive(held, {"0": b"abcd"})).contents
    assert [t.name for t in contents.tensors] == ["obj/w"]
    assert str(contents.values["obj"]).rpartition(" ")[2] in ("Config", "config", "Namespace", "Dict", "OrderedDict")


def test_items_and_arguments_of_an_unknown_class_are_found_by_number() -> None:
    text = b"\x80\x02}X\x01\x00\x00\x00pcmy\nPair\n" + tensor() + b"\x85\x81" + b"(" + b"K\x05" + b"es."
    contents = opened(archive(text, {"0": b"abcd"})).contents
    assert [t.name for t in contents.tensors] == ["p/0"]
    assert contents.values["p/0#2"] == 5


@pytest.mark.slow
def test_shared_states_and_arguments_take_time_in_proportion() -> None:
    state = b"\x80\x02}q\x00(" + b"".join(b"M" + struct.pack("<H", n) + b"N" for n in range(20_000)) + b"u0"
    begin = time.process_time()
    opened(archive(state + b"(" + b"cmy\nConfig\n)\x81h\x00b" * 20_000 + b"t."))
    arguments = b"\x80\x02(" + b"N" * 20_000 + b"tq\x000cmy\nConfig\nq\x010("
    opened(archive(arguments + b"h\x01h\x00\x81" * 20_000 + b"t."))
    assert time.process_time() - begin < 15


def doubled(opcodes: bytes, times: int) -> bytes:
    """A value put in the memo, then `times` containers that each hold the one before twice."""
    text = b"\x80\x02]q\x00"
    for number in range(times):
        twice = b"h" + bytes([number])
        text += opcodes % (twice, twice) + b"q" + bytes([number + 1])
    return text


@pytest.mark.parametrize(
    "opcodes",
    [
        b"%b%b\x86",
        b"(%b%bl",
        b"](%b%be",
        b"}(K\x01%bK\x02%bu",
        b"(K\x01%bK\x02%bd",
        b"ccollections\nOrderedDict\n)R(K\x01%bK\x02%bu",
    ],
)
def test_a_value_that_would_unfold_to_a_trillion_is_read_at_once(opcodes: bytes) -> None:
    begin = time.process_time()
    artifact = opened(archive(doubled(opcodes, 40) + b"."))
    assert artifact.contents.tensors == ()
    assert time.process_time() - begin < 2


HUGE = b"\x8b" + struct.pack("<i", 4000) + b"\x7f" * 4000  # An int of more digits than Python spells.
PARAMETER = b"ctorch._utils\n_rebuild_parameter\n"
STRUCTURE = "tensor 'w' is not described as torch describes tensors: "
BOMB = doubled(b"%b%b\x86", 40)[2:]

REFUSED: dict[str, tuple[bytes, str]] = {
    "a size of 4000 bytes": (at_w(tensor(shape=HUGE + b"\x85")), STRUCTURE + "shape and strides"),
    "a stride of 4000 bytes": (at_w(tensor(strides=HUGE + b"\x85")), STRUCTURE + "shape and strides"),
    "an offset of 4000 bytes": (at_w(tensor(first=HUGE)), STRUCTURE + "its storage or offset"),
    "a negative offset": (at_w(tensor(first=b"J\xff\xff\xff\xff")), STRUCTURE + "its storage or offset"),
    "a negative size": (at_w(tensor(shape=b"J\xff\xff\xff\xff\x85")), STRUCTURE + "shape and strides"),
    "a size that is text": (at_w(tensor(shape=KEY + b"\x85")), STRUCTURE + "shape and strides"),
    "a shape that is a number": (at_w(tensor(shape=b"K\x01")), STRUCTURE + "shape and strides"),
    "65 dimensions": (at_w(tensor(shape=b"(" + b"K\x01" * 65 + b"t")), STRUCTURE + "shape and strides"),
    "fewer strides than dimensions": (at_w(tensor(strides=b")")), STRUCTURE + "it has as many strides"),
    "2 ** 64 elements on four bytes": (
        at_w(tensor(shape=b"J\xff\xff\xff\x7fq\x05h\x05J\xff\xff\xff\x7f\x87", strides=b"K\x00K\x00K\x00\x87")),
        STRUCTURE + "it has at most",
    ),
    "a storage that is no reference": (
        at_w(b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x00))tR"),
        STRUCTURE + "its storage or offset",
    ),
    "too few arguments": (at_w(b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01tR"), STRUCTURE),
    "a storage whose key is a number": (at_w(tensor(key=HUGE)), STRUCTURE + "its storage has no type and name"),
    "a storage whose key is a bomb": (at_w(tensor(key=BOMB)), STRUCTURE + "its storage has no type and name"),
    "a storage whose type is a bomb": (at_w(tensor(kind=BOMB)), STRUCTURE + "its storage has no type and name"),
    "a storage the archive lacks": (at_w(tensor(key=b"X\x01\x00\x00\x009")), "lies in storage '9', which the archive"),
    "a tensor larger than its storage": (
        at_w(tensor(shape=b"K\x02\x85")),
        r"tensor 'w' \[2\] float32 needs 8 bytes, its storage 'archive/data/0' at byte \d+ has 4",
    ),
    "a parameter in a parameter, 5000 times": (
        at_w(PARAMETER * 5000 + tensor() + b"\x85R" * 5000),
        STRUCTURE + "it is wrapped more than 64 times",
    ),
    "a parameter inside itself": (
        at_w(PARAMETER + b"]q\x00Rq\x010h\x00h\x01a0h\x01"),
        STRUCTURE + "it is wrapped more than 64 times",
    ),
    "lists nested 70 deep": (at_w(b"]" * 70 + b"a" * 69), "the pickle nests more than 64 deep"),
    "a global whose name is a bomb": (at_w(BOMB + KEY + b"\x93"), "at byte 46 is malformed near byte .* must be text"),
    "a dtype too wide for its storage": (at_w(tensor_v3("int64")), r"tensor 'w' \[4\] int64 needs 32 bytes"),
    "a dict without a value": (b"\x80\x02}(K\x01u.", "at byte 46 cannot be read past byte 52: a key has no value"),
    "a value where a mark should be": (b"\x80\x02K\x01t.", "is malformed near byte 50"),
    "a mark where a value should be": (b"\x80\x02(\x85.", "a value was expected, found a mark"),
    "a memo that is not set": (b"\x80\x02h\x07.", "malformed near byte 48: memo 7 is read before it is set"),
    "an empty stack": (b"\x80\x02.", "is malformed near byte 48"),
    "a call of a number": (b"\x80\x02K\x01)R.", "a call needs a name and a tuple of arguments"),
    "an unknown opcode": (b"\x80\x02\xff.", "opcode b'\\\\xff' unknown"),
    "nothing": (b"", "the pickle at byte 46 cannot be read past byte 46: pickle exhausted before seeing STOP"),
    "text that is not UTF-8": (b"\x80\x02X\x01\x00\x00\x00\xff.", "cannot be read past byte"),
    "a length beyond the file": (b"\x80\x04\x8d" + b"\xff" * 8 + b".", "cannot be read past byte"),
    "a number of 5000 digits": (b"I" + b"9" * 5000 + b"\n.", "cannot be read past byte"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_malformed_pickle_is_refused_and_says_where(name: str) -> None:
    text, message = REFUSED[name]
    begin = time.process_time()
    with pytest.raises((CorruptError, UnsupportedError), match=rf"(?s)^m\.pt: .*{message}"):
        open_bytes(archive(text, {"0": b"abcd"}), name="m.pt")
    assert time.process_time() - begin < 2


def test_a_pickle_cut_short_anywhere_is_refused() -> None:
    data = saved({"a": torch.randn(3), "b": [1, {"c": "x"}]})
    text = data[member_at(data, "archive/data.pkl")]
    assert opened(archive(text, {"0": bytes(12)})).contents.tensors
    for length in range(len(text)):
        with pytest.raises(CorruptError, match=r"^m\.pt: the pickle at byte 46 .* byte \d+"):
            open_bytes(archive(text[:length], {"0": bytes(12)}), name="m.pt")


def test_bytes_after_the_pickles_end_are_unmapped() -> None:
    regions = opened(archive(b"\x80\x02}.rest")).contents.regions
    assert [len(r.span) for r in regions if r.account is Account.UNMAPPED] == [4]


def test_names_that_no_report_could_print_are_spelled_otherwise() -> None:
    surrogate = b"X\x03\x00\x00\x00\xed\xa0\x80"
    long = b"X" + struct.pack("<I", 9000) + b"k" * 9000
    text = b"\x80\x02}(" + b"".join(
        key + tensor() for key in (HUGE, surrogate, long, b"X\x01\x00\x00\x001", b"K\x01", b")", b"]")
    )
    (stored,) = opened(archive(text + b"u.", {"0": b"abcd"})).contents.tensors
    assert (stored.name, *stored.aliases) == ("?", r"\ud800", "k" * 512 + "…", "1", "1#2", "?#2", "?#3")


def test_long_names_and_many_views_take_time_in_proportion() -> None:
    key = b"X" + struct.pack("<I", 1 << 20) + b"k" * (1 << 20)
    begin = time.process_time()
    opened(archive(b"\x80\x02}" + key + b"](" + b"N" * 2000 + b"es."))
    names = (b"X\x05\x00\x00\x00%05d" % number for number in range(2000))
    views = b"".join(name + tensor(first=b"M" + struct.pack("<H", at)) for at, name in enumerate(names))
    opened(archive(b"\x80\x02}(" + views + b"u.", {"0": bytes(8000)}))
    encoded = (
        b"c_codecs\nencode\nq\x000"
        + key
        + b"X\x06\x00\x00\x00latin1\x86q\x010"
        + b"("
        + b"h\x00h\x01R" * 20_000
        + b"t."
    )
    opened(archive(b"\x80\x02" + encoded))
    assert time.process_time() - begin < 15


@pytest.mark.parametrize("name", ["range", "xrange", "slice"])
def test_plain_values_of_python_are_data(name: str) -> None:
    opened(archive(b"\x80\x02c__builtin__\n" + name.encode() + b"\nK\x00K\x03K\x01\x87R."))


def test_a_pickle_of_more_opcodes_than_memory_allows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_reader, "_MOST_OPCODES", 1000)
    with pytest.raises(LimitError, match=r"^m\.pt: the pickle at byte 46 has more than 1000 opcodes by byte 1047"):
        open_bytes(archive(b"\x80\x02" + b"N0" * 1000 + b"N.", method=zipfile.ZIP_DEFLATED), name="m.pt")


@settings(max_examples=150, derandomize=True)
@given(text=st.binary(max_size=60), prefix=st.sampled_from([b"", b"\x80\x02}(X\x01\x00\x00\x00w" + tensor()]))
def test_any_bytes_as_the_pickle_give_contents_or_an_error_that_names_the_file(text: bytes, prefix: bytes) -> None:
    try:
        opened(archive(prefix + text, {"0": b"abcd"}))
    except GolfbudgetError as error:
        assert str(error).startswith("m.pt: ")  # noqa: PT017


@settings(max_examples=150, derandomize=True)
@given(st.data())
def test_a_changed_pickle_with_a_right_checksum_gives_contents_or_an_error(data: st.DataObject) -> None:
    text = bytearray(b"\x80\x02}(X\x01\x00\x00\x00w" + tensor() + b"X\x01\x00\x00\x00vh\x00]h\x00au.")
    for at in data.draw(st.lists(st.integers(0, len(text) - 1), min_size=1, max_size=3)):
        text[at] = data.draw(st.sampled_from(b"()}]tuseaRQq\x00h\x85\x86\x80K\x01.0X") | st.integers(0, 255))
    try:
        opened(archive(bytes(text), {"0": b"abcd"}))
    except GolfbudgetError as error:
        assert str(error).startswith("m.pt: ")  # noqa: PT017
