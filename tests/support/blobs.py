"""Files for the tests of the readers: built from parts, each part replaceable by a lie.

Nothing here is ever unpickled.
"""

from __future__ import annotations

import builtins
import bz2
import io
import os
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import torch

from golfbudget.artifact import Artifact, open_bytes
from golfbudget.formats import Contents, Region
from golfbudget.formats.zip_directory import read_directory
from golfbudget.ledger import check_tiling
from golfbudget.roles import assign, load_roles


def opened(data: bytes, name: str = "m.pt") -> Artifact:
    """Open, and have the ledger check the law."""
    artifact = open_bytes(data, name=name)
    assign(artifact, load_roles())
    return artifact


def inner_streams(data: bytes, contents: Contents) -> list[tuple[Region, bytes, Contents]]:
    """Every stream of a bundle: its region, what it decodes to, and what its reader makes of that."""
    found = []
    for region in contents.regions:
        if region.inner is not None:
            raw = data[region.span.start : region.span.stop]
            if region.inner.codec == "deflate":
                inflate = zlib.decompressobj(-zlib.MAX_WBITS)
                raw = inflate.decompress(raw)
                assert inflate.eof
                assert not inflate.unused_data
            elif region.inner.codec == "bz2":
                raw = bz2.decompress(raw)
            else:
                assert region.inner.codec == "none"
            assert region.inner.read is not None
            read = region.inner.read(raw, "inner")
            check_tiling(len(raw), [r.span for r in read.regions], "inner")
            found.append((region, raw, read))
    return found


# safetensors


def safetensors_file(header: str | bytes, data: bytes = b"", *, length: int | None = None) -> bytes:
    """A safetensors file from its parts; `length` lies about the header."""
    raw = header if isinstance(header, bytes) else header.encode()
    return (len(raw) if length is None else length).to_bytes(8, "little") + raw + data


ONE = '"w":{"dtype":"I8","shape":[3],"data_offsets":[0,3]}'


def record(dtype: str = '"I8"', shape: str = "[3]", offsets: str = "[0,3]", name: str = '"w"') -> str:
    return f'{name}:{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}}}'


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


# torch.save


def saved(value: object) -> bytes:
    out = io.BytesIO()
    torch.save(value, out)
    return out.getvalue()


def archive(data_pkl: bytes, storages: dict[str, bytes] | None = None, method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip as torch.save lays it out, around a pickle of any content."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        made.writestr("archive/data.pkl", data_pkl)
        for key, raw in (storages or {}).items():
            made.writestr(f"archive/data/{key}", raw)
    return out.getvalue()


def rewritten(data: bytes, method: int, *, only: str = "") -> bytes:
    """The same members, those whose name ends in `only` compressed by another method."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
        for info in source.infolist():
            compress = method if info.filename.endswith(only) else zipfile.ZIP_STORED
            target.writestr(info.filename, source.read(info), compress_type=compress)
    return out.getvalue()


def member_at(data: bytes, name: str) -> slice:
    (member,) = (m for m in read_directory(data, "m.pt").members if m.name == name)
    return slice(member.data.start, member.data.stop)


#: Parts of a tensor's pickle.
FLOAT = b"ctorch\nFloatStorage\n"
KEY = b"X\x01\x00\x00\x000"


def pickled_tensor(
    *,
    key: bytes = KEY,
    kind: bytes = FLOAT,
    first: bytes = b"K\x00",
    shape: bytes = b"K\x01\x85",
    strides: bytes = b"K\x01\x85",
) -> bytes:
    storage = b"(X\x07\x00\x00\x00storage" + kind + key + b"X\x03\x00\x00\x00cpuK\x01tQ"
    tail = b"\x89ccollections\nOrderedDict\n)RtR"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + first + shape + strides + tail


def pickled_tensor_v3(dtype: str, shape: bytes = b"K\x04\x85") -> bytes:
    storage = b"(X\x07\x00\x00\x00storagectorch\nUntypedStorage\n" + KEY + b"X\x03\x00\x00\x00cpuK\x01tQ"
    tail = b"\x89ccollections\nOrderedDict\n)Rctorch\n" + dtype.encode() + b"\ntR"
    return b"ctorch._utils\n_rebuild_tensor_v3\n(" + storage + b"K\x00" + shape + b"K\x01\x85" + tail


def at_w(value: bytes, key: bytes = b"X\x01\x00\x00\x00w") -> bytes:
    return b"\x80\x02}" + key + value + b"s."


# Pickles that would run something


def touch(marker: Path) -> str:
    return f"touch {marker}"


def hostile_pickles(marker: Path) -> dict[str, tuple[bytes, bytes]]:
    """Pickles that would create a file, each with the opcode at which it must be refused."""

    class Evil:
        def __init__(self, *made: object) -> None:
            self.made = made

        def __reduce__(self) -> tuple[object, ...]:
            return self.made

    command = touch(marker).encode()
    text = b"X" + struct.pack("<I", len(command)) + command
    code = f"open({str(marker)!r}, 'w')".encode()
    source = b"X" + struct.pack("<I", len(code)) + code
    made = {
        f"os.system, protocol {protocol}": (pickle.dumps({"w": Evil(os.system, (touch(marker),))}, protocol), b"R")
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    }
    made |= {
        f"builtins.{function}, protocol {protocol}": (
            pickle.dumps([Evil(getattr(builtins, function), (code.decode(),))], protocol),
            b"R",
        )
        for protocol in (2, 4)
        for function in ("eval", "exec", "__import__", "getattr")
    }
    return made | {
        "GLOBAL and REDUCE": (b"\x80\x02cos\nsystem\n" + text + b"\x85R.", b"R"),
        "STACK_GLOBAL and REDUCE": (b"\x80\x04\x8c\x02os\x8c\x06system\x93" + text + b"\x85R.", b"R"),
        "STACK_GLOBAL of names from the memo": (
            b"\x80\x04\x8c\x02os\x94\x8c\x06systemh\x00\x8c\x06system\x93)R.",
            b"R",
        ),
        "INST": (b"(S'" + command + b"'\nios\nsystem\n.", b"i"),
        "OBJ": (b"(cos\nsystem\nS'" + command + b"'\no.", b"o"),
        "NEWOBJ": (b"\x80\x02cos\nsystem\n" + text + b"\x85\x81.", b"\x81"),
        "NEWOBJ_EX": (b"\x80\x04cos\nsystem\n" + text + b"\x85}\x92.", b"\x92"),
        "BUILD on what a call made": (b"\x80\x02cbuiltins\neval\n" + source + b"\x85R}b.", b"R"),
        "a call in the arguments of a tensor": (
            b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(cos\nsystem\n" + text + b"\x85RtR.",
            b"R",
        ),
        "a call in a persistent id": (b"\x80\x02cos\nsystem\n" + text + b"\x85RQ.", b"R"),
        "a call whose result is thrown away": (b"\x80\x02cos\nsystem\n" + text + b"\x85R0}.", b"R"),
        "a call after the memo": (b"\x80\x02cos\nsystem\nq\x000h\x00" + text + b"\x85R.", b"R"),
        "a torch function that loads code": (b"\x80\x02ctorch.hub\nload\n" + text + b"\x85R.", b"R"),
        "a function of an unknown module": (b"\x80\x02cevil\nrun\n)R.", b"R"),
        "a function behind the name of a class": (
            b"\x80\x04\x8c\x04evil\x8c\x09os.system\x93" + text + b"\x85R.",
            b"R",
        ),
        "a class that starts a process": (b"\x80\x02csubprocess\nPopen\n" + text + b"\x85R.", b"R"),
        "an instance whose base starts a process": (
            b"\x80\x02ccopy_reg\n_reconstructor\ncevil\nThing\ncsubprocess\nPopen\n" + text + b"\x87R.",
            b"R",
        ),
        "a function that rebuilds a tensor of another type": (
            b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(cos\nsystem\nctorch\nTensor\n" + text + b"\x85}tR.",
            b"R",
        ),
        "a function that is called later": (b"\x80\x02cfunctools\npartial\ncos\nsystem\n\x85R.", b"R"),
        "a persistent id of protocol 0": (b"Pos.system\n.", b"P"),
        "EXT1": (b"\x80\x02\x82\x01)R.", b"\x82"),
        "EXT2": (b"\x80\x02\x83\x01\x00)R.", b"\x83"),
        "EXT4": (b"\x80\x02\x84\x01\x00\x00\x00)R.", b"\x84"),
        "NEXT_BUFFER": (b"\x80\x05\x97.", b"\x97"),
        "READONLY_BUFFER": (b"\x80\x05N\x98.", b"\x98"),
    }
