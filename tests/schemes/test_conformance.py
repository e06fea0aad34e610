"""Every registered codec, format and scheme goes through the kit; a member without a case fails here."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import shutil
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from support.kit import check_codec, check_format, check_scheme

from golfbudget import codecs, formats, schemes
from golfbudget.codecs import Sniff
from golfbudget.errors import UsageError
from golfbudget.schemes import Context, Options


def payloads() -> dict[str, bytes]:
    """Data of several textures: weights, text, zeros, noise, and next to nothing."""
    rng = np.random.default_rng(0)
    int6 = np.clip(rng.normal(0, 6, 30_000), -31, 31).astype(np.int8).tobytes()
    text = b"".join(f"blocks.{i}.attn.c_q.weight".encode() for i in range(300))
    return {
        "weights": int6,
        "mixed": int6[:9000] + text + bytes(5000) + rng.bytes(4000) + int6[:9000],
        "zeros": bytes(40_000),
        "one byte": b"x",
        "nothing": b"",
    }


CODECS = [name for name in codecs.registered() if name != "none"]


@pytest.mark.parametrize("texture", payloads())
@pytest.mark.parametrize("name", CODECS)
def test_codec(name: str, texture: str) -> None:
    check_codec(codecs.get(name), payloads()[texture])


@pytest.mark.parametrize("name", ["zlib", "gzip", "deflate", "xz", "lzma", "lzma2-raw", "brotli"])
@given(data=st.binary(max_size=3000), seed=st.integers(0, 99))
@settings(max_examples=15)
def test_byte_exact_attribution_equals_brute_force_on_any_data(name: str, data: bytes, seed: int) -> None:
    check_codec(codecs.get(name), data * 3, seed=seed)


def test_none_is_the_identity_and_never_sniffed() -> None:
    none = codecs.get("none")
    assert none.encode(b"abc", 0) == b"abc"
    assert none.decoder().feed(b"abc") == b"abc"
    assert none.sniff(b"abc") is Sniff.NO


def test_every_codec_has_a_level_that_its_recipe_range_allows() -> None:
    for codec in codecs.registered().values():
        assert codec.default_level in codec.levels


# Oracles: decoders and encoders that are not ours


def _tool(*command: str) -> Callable[[bytes], bytes]:
    def run(data: bytes) -> bytes:
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed")
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout

    return run


def _window(data: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, 12)
    return deflate.compress(data) + deflate.flush()


def _named_gzip(data: bytes) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile("a-name.bin", "wb", fileobj=out) as file:
        file.write(data)
    return out.getvalue()


def _zip_member(archive: bytes) -> bytes:
    """The deflated data of an archive's only member."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        (info,) = opened.infolist()
    assert info.compress_type == zipfile.ZIP_DEFLATED
    name, extra = struct.unpack_from("<HH", archive, info.header_offset + 26)
    start = info.header_offset + 30 + name + extra
    return archive[start : start + info.compress_size]


def _zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("member", data)
    return out.getvalue()


def _streamed_zstd(data: bytes) -> bytes:
    compressor = zstandard.ZstdCompressor(level=19, write_content_size=False).compressobj()
    return compressor.compress(data) + compressor.flush()


FOREIGN: dict[str, list[tuple[str, Callable[[bytes], bytes]]]] = {
    "zlib": [("level 1", lambda d: zlib.compress(d, 1)), ("small window", _window)],
    "gzip": [
        ("command", _tool("gzip", "-c")),
        ("named", _named_gzip),
        ("members", lambda d: gzip.compress(d[:99]) + gzip.compress(d[99:])),
    ],
    "deflate": [
        ("zipfile", lambda d: _zip_member(_zipped(d))),
        ("Info-ZIP", lambda d: _zip_member(_tool("zip", "-q", "-fz-", "-", "-")(d))),
        ("within gzip", lambda d: gzip.compress(d)[10:-8]),
    ],
    "xz": [
        ("command", _tool("xz", "-c", "-6")),
        ("streams", lambda d: lzma.compress(d[:99]) + bytes(8) + lzma.compress(d[99:])),
        ("no check", lambda d: lzma.compress(d, check=lzma.CHECK_NONE)),
    ],
    "lzma": [("command", _tool("xz", "--format=lzma", "-c"))],
    "bz2": [("command", _tool("bzip2", "-c")), ("streams", lambda d: bz2.compress(d[:99]) + bz2.compress(d[99:]))],
    "zstd": [
        ("checksum", lambda d: zstandard.ZstdCompressor(write_checksum=True).compress(d)),
        ("no size", _streamed_zstd),
        ("frames", lambda d: zstandard.compress(d[:99]) + zstandard.compress(d[99:])),
    ],
    "brotli": [("fast", lambda d: codecs.get("brotli").encode(d, 1))],
}


@pytest.mark.parametrize(("name", "label"), [(n, label) for n, cases in FOREIGN.items() for label, _ in cases])
def test_streams_that_others_wrote_decode_and_sum(name: str, label: str) -> None:
    payload = payloads()["mixed"]
    stored = dict(FOREIGN[name])[label](payload)
    codec = codecs.get(name)
    assert codec.sniff(stored[:32]) is not Sniff.NO
    stream = codecs.decode(codec, stored, where="foreign")
    assert bytes(stream.decoded) == payload
    costs = codecs.attribute(stream, [0, 50, 150, 20_000, len(payload)])
    assert sum(costs.ranges) + costs.framing == 8 * len(stored)


@pytest.mark.parametrize(
    ("name", "decode"),
    [
        ("zlib", zlib.decompress),
        ("gzip", _tool("gzip", "-dc")),
        ("deflate", lambda d: zlib.decompress(d, -zlib.MAX_WBITS)),
        ("xz", _tool("xz", "-dc")),
        ("lzma", _tool("xz", "--format=lzma", "-dc")),
        ("lzma2-raw", _tool("xz", "--format=raw", "--lzma2=preset=9", "-dc")),
        ("bz2", _tool("bzip2", "-dc")),
        ("zstd", lambda d: zstandard.ZstdDecompressor().decompress(d)),
    ],
)
def test_others_decode_what_we_write(name: str, decode: Callable[[bytes], bytes]) -> None:
    payload = payloads()["mixed"]
    assert decode(codecs.get(name).encode(payload, codecs.get(name).default_level)) == payload


def test_raw_lzma2_of_any_smaller_dictionary_decodes_and_no_content_claims_it() -> None:
    payload, raw = payloads()["mixed"], codecs.get("lzma2-raw")
    for options in ("preset=0", "preset=6", "preset=9e", "dict=4KiB", "lc=0,lp=2,pb=0"):
        stored = _tool("xz", "--format=raw", f"--lzma2={options}", "-c")(payload)
        assert bytes(codecs.decode(raw, stored, where="x").decoded) == payload
        assert raw.sniff(stored[:32]) is Sniff.NO


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("zlib", "789ccb48cdc9c90700062c0215"),
        ("gzip", "1f8b0800000000000003cb48cdc9c9070086a6103605000000"),
        ("deflate", "cb48cdc9c90700"),
        ("brotli", "0b028068656c6c6f03"),
        # RFC 8878 by hand: magic, single segment, five bytes of content, one last raw block.
        ("zstd", "28b52ffd2005290000" + b"hello".hex()),
    ],
)
def test_published_bytes_decode(name: str, published: str) -> None:
    stream = codecs.decode(codecs.get(name), bytes.fromhex(published), where=name)
    assert bytes(stream.decoded) == b"hello"


def test_padding_between_streams_is_framing_and_rubbish_after_them_is_trailing() -> None:
    stored = lzma.compress(b"a" * 100) + bytes(4) + lzma.compress(b"b" * 100) + b"rubbish!"
    stream = codecs.decode(codecs.get("xz"), stored, where="x")
    costs = codecs.attribute(stream, [0, 100, 200])
    assert costs.trailing == 8 * len(b"rubbish!")
    assert sum(costs.ranges) + costs.framing + costs.trailing == 8 * len(stored)


# Formats


def _safetensors() -> bytes:
    return safetensors.numpy.save({"a.weight": np.zeros((3, 5), np.float32), "b.weight": np.ones(7, np.int8)})


def _torch_zip() -> bytes:
    out = io.BytesIO()
    torch.save({"w": {"a.weight": torch.zeros(3, 5), "b": torch.ones(7, dtype=torch.int8)}, "note": "x"}, out)
    return out.getvalue()


def _torch_legacy() -> bytes:
    out = io.BytesIO()
    state = {"a.weight": torch.zeros(3, 5), "b": torch.ones(7, dtype=torch.int8)}
    torch.save(state, out, _use_new_zipfile_serialization=False)
    return out.getvalue()


def _npy() -> bytes:
    out = io.BytesIO()
    np.save(out, np.zeros((3, 5), np.float32))
    return out.getvalue()


def _npz() -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, a=np.zeros((3, 5), np.float32), b=np.ones(7, np.int8))
    return out.getvalue()


def _gguf() -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + struct.pack("<Q1sIQIQ", 1, b"w", 1, 5, 24, 0)
    return head + bytes(-len(head) % 32) + b"abcde"


def _golfbudget_pack() -> bytes:
    header = b'[{"a":{"":0},"n":7,"raw":{"":1}},[["float16",2],["",3]],[1,1]]'
    first, second = struct.pack("<I", len(header)) + header + b"abcd", zlib.compress(b"xyz")
    return b"GBPK\x02" + struct.pack("<BIBI", 0, len(first), 1, len(second)) + first + second


def _python_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("__main__.py", b"print(1)")
    return b"#!/usr/bin/python3\n" + out.getvalue()


FORMATS: dict[str, Callable[[], bytes]] = {
    "safetensors": _safetensors,
    "torch-zip": _torch_zip,
    "npz": _npz,
    "npy": _npy,
    "torch-legacy": _torch_legacy,
    "pickle": lambda: pickle.dumps({"a.weight": np.zeros((3, 5), np.float32), "b": {"q": np.ones(7, np.int8)}}),
    "gguf": _gguf,
    "golfbudget-pack": _golfbudget_pack,
    "python-source": lambda: b"import zlib\nexec(zlib.decompress(%r))\n" % zlib.compress(b"print(1)" * 9),
    "python-zip": _python_zip,
    "pgrp": lambda: struct.pack("<4sII", b"PGRP", 1, 5) + b"LRZI!",
    "opaque": lambda: b"anything at all",
}


def test_every_format_has_a_case() -> None:
    assert FORMATS.keys() == formats.registered().keys()


@pytest.mark.parametrize("name", FORMATS)
def test_format(name: str) -> None:
    found, data = formats.get(name), FORMATS[name]()
    assert found.sniff(data) is (Sniff.MAYBE if name == "opaque" else Sniff.SURE)
    check_format(found, data)


# Schemes

SCHEMES: dict[str, list[Options]] = {
    "scalar": [
        {"bits": 5, "rd": 0.1},
        {"bits": 4, "scale": "maximum"},
        {"bits": 6, "scale": "maximum", "rd": 0.1},
        *({"bits": bits} for bits in (8, 6, 4, 3, 2)),
    ],
    "ternary": [{}],
    "ternary-packed": [{}],
    "vq-logits": [{"codes": codes} for codes in (1, 2, 7, 16, 33, 4096)],
    "vq-logits-int": [
        {"codes": 7},
        {"codes": 9, "bits": 5},
        {"codes": 9, "bits": 5, "store": "bytes"},
        {"codes": 64, "bits": 16},
    ],
    "vq-logits-bias": [{"codes": 7}, {"codes": 1, "bits": 6, "bias_bits": 5}, {"codes": 64, "bias_bits": 8}],
    "vq-logits-explicit": [
        {"codes": 7, "explicit": 3},
        {"codes": 5, "explicit": 1, "bits": 3},
        {"codes": 64, "explicit": 999, "bits": 8},
    ],
    "vq-logits-residual": [{"codes": 7, "rank": 2}, {"codes": 3, "bits": 4, "rank": 99, "factor_bits": 6}],
    "factorised": [
        {"rank": 3},
        {"rank": 99, "bits": 16},
        {"rank": 2, "bits": 5},
        {"rank": 4, "bits": 3, "store": "bytes"},
    ],
    "lqer": [
        {"bits": 3, "rank": 2},
        {"bits": 5, "rank": 1, "factor_bits": 16},
        {"bits": 8, "rank": 20, "store": "bytes"},
    ],
    "bands": [
        {"bands": "4"},
        {"bands": "6x5,3x9,1"},
        {"bands": "2x1,99x30,3", "bits": 16},
        {"bands": "4x8,2", "bits": 5},
    ],
    "tiers": [
        {"tiers": "5"},
        {"tiers": "16x3,8x10,4"},
        {"tiers": "16x99,2"},
        {"tiers": "7x9,3", "rd": 0.1},
        {"tiers": "7x9,3", "store": "bytes"},
    ],
    "class-steps": [
        {"bits": 8},
        {"bits": 4, "strength": 1.0, "coarsest": 16},
        {"bits": 6, "columns": "stepped"},
        {"bits": 6, "columns": "stepped", "rd": 0.1},
    ],
    "product": [
        {"groups": 3, "codes": 8},
        {"groups": 5, "codes": 7, "bits": 5},
        {"groups": 99, "codes": 2, "bits": 8},
        {"groups": 1, "codes": 99},
    ],
    "residual": [{"stages": 3, "codes": 8}, {"stages": 1, "codes": 99}, {"stages": 2, "codes": 5, "bits": 6}],
    "grouped": [{"groups": 6}, {"groups": 1}, {"groups": 99, "bits": 8}, {"groups": 7, "bits": 5}],
    "hashed": [
        {"entries": 64},
        {"entries": 1, "pieces": 1},
        {"entries": 999, "pieces": 5, "bits": 8},
        {"entries": 30, "pieces": 99, "bits": 4},
    ],
    "binary-codes": [{}, {"bits": 8}, {"bits": 3}],
    "clipped": [{"bits": 8, "clip": 20}, {"bits": 6, "rd": 0.2}, {"bits": 6}, {"bits": 2, "clip": 1.5}],
    "gptq": [{"bits": 8, "clip": 20}, {"bits": 6, "rd": 0.2}, {"bits": 6}, {"bits": 2, "clip": 1.5}],
    "trellis": [{"step": 0.3}, {"step": 0.001, "rd": 0.0}, {"step": 16}, {"step": 0.5, "states": 4}],
    "trellis-gptq": [{"step": 0.3}, {"step": 0.01, "rd": 0.0}, {"step": 16}, {"step": 0.5, "states": 4}],
    "grouped-scalar": [
        {"bits": 4, "group": 5, "rd": 0.1},
        {"bits": 4},
        {"bits": 3, "group": 5},
        {"bits": 6, "group": 1},
        {"bits": 8, "group": 0},
        {"bits": 2, "group": 4, "store": "bytes"},
    ],
    "binary": [{}, {"group": 5}, {"group": 1}],
    "ternary-groups": [{}, {"group": 5}, {"group": 0, "store": "bytes"}],
    "ternary-bitmask": [{}, {"group": 5}, {"group": 0}],
    "low-rank": [{"rank": 3}, {"rank": 99, "bits": 16}, {"rank": 2, "bits": 4, "store": "bytes"}],
    "pruned": [{"share": 0.5}, {"share": 0.0, "bits": 2}, {"share": 1.0, "bits": 8}],
    "weight-vq": [{"width": 2, "codes": 16}, {"width": 5, "codes": 7}, {"width": 1, "codes": 999}],
}

#: Schemes that need, or do more with, token counts.
COUNTED = {"vq-logits-bias", "vq-logits-explicit", "bands", "class-steps"}
#: Schemes that need, or do more with, the second moment of their inputs.
WEIGHED = {"gptq", "low-rank", "trellis-gptq"}


def matrices() -> dict[str, torch.Tensor]:
    """Ordinary and degenerate matrices."""
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(40, 12, generator=generator)
    return {
        "normal": normal,
        "one row": normal[:1],
        "one column": normal[:, :1],
        "zeros": torch.zeros(6, 4),
        "duplicates": normal[:4].repeat(10, 1),
        "large": 1e4 * normal,
        "small": 1e-5 * normal,
        "a zero row": torch.cat((normal[:5], torch.zeros(1, 12))),
        "bfloat16": normal.bfloat16(),
    }


def test_every_scheme_has_a_case() -> None:
    assert SCHEMES.keys() == schemes.registered().keys()


@pytest.mark.parametrize("kind", matrices())
@pytest.mark.parametrize(("name", "options"), [(n, o) for n, cases in SCHEMES.items() for o in cases])
def test_scheme(name: str, options: Options, kind: str) -> None:
    matrix = matrices()[kind]
    counts = torch.arange(len(matrix)).flip(0) ** 2 if name in COUNTED else None
    moment = torch.full((matrix.shape[1],) * 2, 0.5).fill_diagonal_(2.0) if name in WEIGHED else None
    check_scheme(schemes.get(name), matrix, options, Context(seed=3, counts=counts, covariance=moment))


@pytest.mark.parametrize("name", SCHEMES)
def test_schemes_refuse_what_is_no_matrix_of_numbers(name: str) -> None:
    scheme, options = schemes.get(name), SCHEMES[name][-1]
    for bad, message in (
        (torch.tensor([[1.0, float("nan")]]), "row 0, column 1"),
        (torch.tensor([[float("inf")]]), "row 0, column 0"),
        (torch.zeros(3), "shape"),
        (torch.zeros(0, 3), "shape"),
    ):
        with pytest.raises(UsageError, match=message):
            scheme.encode(bad, options, Context())


@pytest.mark.parametrize("registry", [codecs, formats, schemes])
def test_an_unknown_name_lists_the_known_ones(registry: object) -> None:
    with pytest.raises(UsageError, match=r"known: .*[a-z]"):
        registry.get("no-such-thing")  # type: ignore[attr-defined]


def test_a_name_is_registered_once() -> None:
    from golfbudget.codecs.base import register as register_codec
    from golfbudget.formats.base import register as register_format
    from golfbudget.schemes.base import register as register_scheme

    with pytest.raises(UsageError, match="twice"):
        register_codec(type(codecs.get("zlib")))
    with pytest.raises(UsageError, match="twice"):
        register_format(type(formats.get("opaque")))
    with pytest.raises(UsageError, match="twice"):
        register_scheme(type(schemes.get("scalar")))


def test_package_code_has_no_assert_statement() -> None:
    import ast

    import golfbudget

    package = Path(golfbudget.__file__).parent
    for path in package.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(tree)), path
