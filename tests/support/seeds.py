"""One small valid file of every kind that is read, for tests that break them."""

from __future__ import annotations

import base64
import io
import lzma
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence

import brotli
import numpy as np
import torch
import zstandard

from support.blobs import ONE, rewritten, safetensors_file, saved

STATE = {"tok_emb.weight": torch.arange(12.0).reshape(3, 4), "blocks.0.w": torch.arange(9).to(torch.int8)}
ARRAYS = {"tok_emb.weight": np.arange(12, dtype=np.float16).reshape(3, 4).T, "map": np.arange(9, dtype=np.int8)}
SOURCE = b"import torch\nfor i in range(10):\n    x = i\n" * 3


def npy(array: object) -> bytes:
    out = io.BytesIO()
    np.save(out, np.asarray(array))
    return out.getvalue()


def npy_header(text: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """An .npy file with any header."""
    raw = text.encode("latin-1")
    return b"\x93NUMPY" + version + len(raw).to_bytes(2 if version[0] == 1 else 4, "little") + raw + data


def zipped(members: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, raw in members:
            made.writestr(name, raw)
    return out.getvalue()


def npz(method: int) -> bytes:
    return zipped([*((f"{name}.npy", npy(array)) for name, array in ARRAYS.items()), ("note.txt", b"hello")], method)


def legacy(value: object) -> bytes:
    out = io.BytesIO()
    torch.save(value, out, _use_new_zipfile_serialization=False)
    return out.getvalue()


def gguf_string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def gguf(pairs: Sequence[bytes] = (), records: Sequence[bytes] = (), data: bytes = b"") -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, len(records), len(pairs)) + b"".join(pairs) + b"".join(records)
    return head + bytes(-len(head) % 32) + data


def gguf_pair(key: str, kind: int, value: bytes) -> bytes:
    return gguf_string(key) + struct.pack("<I", kind) + value


def gguf_record(name: str, dims: Sequence[int], kind: int, offset: int) -> bytes:
    return gguf_string(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def a_gguf() -> bytes:
    tokens = struct.pack("<IQ", 8, 2) + gguf_string("a") + gguf_string("é")
    nested = struct.pack("<IQIQBB", 9, 1, 0, 2, 1, 2)
    pairs = [
        gguf_pair("tokenizer.ggml.tokens", 9, tokens),
        gguf_pair("nested", 9, nested),
        gguf_pair("x", 4, bytes(4)),
    ]
    return gguf(pairs, [gguf_record("token_embd.weight", [4, 3], 0, 0), gguf_record("w", [32], 8, 64)], bytes(98))


def pgrp(streams: Sequence[bytes]) -> bytes:
    return struct.pack(f"<4sI{len(streams)}I", b"PGRP", len(streams), *map(len, streams)) + b"".join(streams)


def a_pgrp() -> bytes:
    streams = [b"LRZI\0\x06" + bytes(range(20 + i)) for i in range(7)]
    return pgrp([*streams, brotli.compress(saved({"w": torch.ones(3)})), brotli.compress(bytes(range(16)))])


def shuffled(data: bytes, stride: int, header: Callable[[int], bytes]) -> bytes:
    """`BSHF`, its stride, and the planes."""
    return b"BSHF" + header(stride) + b"".join(data[phase::stride] for phase in range(stride))


def one_byte(stride: int) -> bytes:
    return bytes([stride])


def two_bytes(stride: int) -> bytes:
    return bytes([stride, 0])


def stub(inner: bytes = SOURCE) -> bytes:
    """A program that unpacks and executes itself."""
    packed = base64.b85encode(lzma.compress(inner)).decode()
    return f'import lzma as L,base64 as B\nexec(L.decompress(B.b85decode("{packed}")))\n'.encode()


def data_program(weights: bytes) -> bytes:
    """A program that carries weights, and executes another."""
    text = base64.b64encode(zlib.compress(weights)).decode()
    return f'import zlib, base64\nw = zlib.decompress(base64.b64decode("{text}"))\n'.encode() + stub()


def raw_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


def skipped(data: bytes) -> bytes:
    """zstd with skippable frames around it, and a frame in two."""
    skippable = b"\x50\x2a\x4d\x18" + struct.pack("<L", 5) + b"hello"
    half = len(data) // 2
    frames = [zstandard.compress(data[:half]), zstandard.compress(data[half:])]
    return skippable + frames[0] + skippable + frames[1] + skippable


def seeds() -> dict[str, bytes]:
    """One file of every kind."""
    small = safetensors_file("{" + ONE + "}", b"abc")
    nested = {"a": ARRAYS["tok_emb.weight"], "b": {"q": ARRAYS["map"], "n": 5, "t": b"xyz"}, "s": np.float32(2)}
    return {
        "safetensors": small,
        "torch-zip": saved({**STATE, "tied": STATE["tok_emb.weight"], "note": "x"}),
        "deflated torch-zip": rewritten(saved(STATE), zipfile.ZIP_DEFLATED),
        "gguf": a_gguf(),
        "npy": npy(ARRAYS["tok_emb.weight"]),
        "stored npz": npz(zipfile.ZIP_STORED),
        "deflated npz": npz(zipfile.ZIP_DEFLATED),
        **{f"pickle {protocol}": pickle.dumps(nested, protocol) for protocol in range(2, 6)},
        "torch-legacy": legacy({**STATE, "tied": STATE["tok_emb.weight"]}),
        "pgrp": a_pgrp(),
        "byte-shuffle": shuffled(saved(STATE), 2, one_byte),
        "byte-shuffle of two bytes": shuffled(small, 4, two_bytes),
        "prefixed zstd": b"ZSTD" + zstandard.compress(small),
        "prefixed brotli": b"\x01" + brotli.compress(small),
        "stub": stub(),
        "data program": data_program(small),
        "raw deflate": raw_deflate(saved(STATE)),
        "skippable zstd": skipped(small),
    }
