"""Artifacts of every scheme, layout, container, codec and form that decoders are written for."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle

import brotli
import msgspec
import numpy as np
import torch
import zstandard
from safetensors.torch import save as save_tensors
from support.seeds import legacy
from test_conformance import COUNTED, SCHEMES, WEIGHED
from test_repack import held, packed_as, saved
from torch import Tensor

from golfbudget import codecs, configs, schemes
from golfbudget.codecs.rans.encoding import SymbolRun, best, encode_runs
from golfbudget.filters import shuffle
from golfbudget.recipe import layouts
from golfbudget.recipe.artifacts import artifact_bytes
from golfbudget.recipe.config import load_recipe, recipe_from
from golfbudget.recipe.export import Export, quantise
from golfbudget.recipe.layouts.packed import integer_tables
from golfbudget.repacking.compressors import COMPRESSORS
from golfbudget.repacking.writing import Arrangement, assemble, narrowed, raw_streams, sorted_rows
from golfbudget.schemes import Context, Encoded

#: Codecs and filters in turn: (codec, bytes of the shuffle's header or 0).
CHAINS = (("zlib", 0), ("gzip", 5), ("bz2", 0), ("xz", 6), ("lzma", 5), ("zstd", 0), ("brotli", 6), ("none", 0))


def weights(seed: int = 0) -> dict[str, Tensor]:
    """A model of one matrix and what stands beside it."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "tok_emb.weight": torch.randn(24, 10, generator=generator),
        "blocks.0.fc.weight": torch.randn(9, 7, generator=generator) * 0.1,
        "gain": torch.randn(7, generator=generator),
        "step": torch.tensor(3),
    }


def export_of(encoded: Encoded | None = None, dtype: str = "float32") -> Export:
    """An export as a recipe would make it, with one matrix in a scheme."""
    rules = [
        {"name": "matrices", "match": ["*.weight"], "quantizer": "integer", "bits": 6, "clip_deviations": 4.0},
        {"name": "rest", "match": ["gain", "step"], "quantizer": "keep", "dtype": "float16"},
    ]
    fields = {"name": "r", "layout": "w-m", "codec": "zlib", "level": 1, "tensors": rules}
    made = quantise(weights(), recipe_from(fields, "test"))
    return made if encoded is None else made.with_encoded("tok_emb.weight", encoded, dtype)


#: Layouts that a decoder is written for; files of others are read by the programs they are made for.
DECODED = [
    (name, layout)
    for name, layout in sorted(layouts.registered().items())
    if name not in ("gguf", "compressed-tensors")
]


def encoded_by(name: str, number: int) -> Encoded:
    matrix = weights()["tok_emb.weight"]
    counts = torch.arange(len(matrix)).flip(0) ** 2 if name in COUNTED else None
    moment = torch.full((matrix.shape[1],) * 2, 0.5).fill_diagonal_(2.0) if name in WEIGHED else None
    cases = SCHEMES[name]
    context = Context(seed=3, counts=counts, covariance=moment)
    return schemes.get(name).encode(matrix, cases[number % len(cases)], context)


def chained(container: bytes, codec: str, header: int) -> bytes:
    if header:
        container = shuffle(container, 2, header)
    return codecs.get(codec).encode(container, min(codecs.get(codec).levels))


def of_schemes() -> Iterator[tuple[str, bytes]]:
    """Every scheme in every layout that has a place for it, with all its kinds of tables and all chains in turn."""
    chains = cycle(CHAINS)
    for scheme in schemes.registered():
        for number, (name, layout) in enumerate(DECODED):
            encoded = encoded_by(scheme, number)
            if name == "state-dict" and not encoded.native:
                continue
            dtype = ("float32", "bfloat16", "float16")[number % 3] if name.startswith("int8_clean") else "float32"
            codec, header = next(chains)
            container = layout.container(export_of(encoded, dtype))
            yield f"{scheme}-{name}", chained(container, codec, header)


def of_recipes() -> Iterator[tuple[str, bytes]]:
    """Every shipped recipe, on tensors above its thresholds, with its codec at the fastest level."""
    generator = torch.Generator().manual_seed(5)
    state = {
        name: torch.randn(300, 256, generator=generator).to(dtype)
        for name, dtype in {
            "tok_emb.weight": torch.float32,
            "blocks.0.attn.c_q.weight": torch.bfloat16,
            "blocks.7.attn.c_k.weight": torch.float32,
            "blocks.0.mlp.fc.weight": torch.float32,
        }.items()
    } | {"blocks.0.attn_scale": torch.ones(8)}
    for recipe in map(load_recipe, configs.names("recipes")):
        if recipe.layout not in dict(DECODED):
            continue
        level = min(codecs.get(recipe.codec).levels, key=lambda level: abs(level - 1))
        quick = msgspec.structs.replace(recipe, level=level)
        yield f"recipe-{recipe.name}", artifact_bytes(quantise(state, quick), quick)


def of_forms() -> Iterator[tuple[str, bytes]]:
    """What public files hold besides: other dtypes, strides, ties, suffixes, dicts, frames and metadata."""
    generator = torch.Generator().manual_seed(1)
    q = torch.randint(-31, 32, (6, 8), generator=generator).to(torch.int8)
    scale = torch.rand(6, generator=generator).half()
    pair = {"a.weight.q": q, "a.weight.scale": scale}
    byte = torch.arange(256).to(torch.uint8)
    numbered, infinite = byte[(byte & 127) < 127], byte[(byte & 127) <= 124]
    eights = {"e4": numbered.view(torch.float8_e4m3fn), "e5": infinite.view(torch.float8_e5m2)}
    odd = {"u16": torch.arange(5).to(torch.uint16), "none": torch.empty(0, 3), "one": torch.tensor(2.5).bfloat16()}
    numbers = {"i64": torch.arange(3), "f64": torch.rand(3).double(), "yes": torch.tensor([True, False])}
    strided = {"b.weight.q": q.T, "b.weight.scale": torch.rand(16)[::2].half(), "part": torch.rand(5, 5)[1:, ::2]}
    yield "dtypes", saved(pair | eights | odd | numbers)
    yield "strides", saved(pair | strided)
    yield "wide", saved(pair | {"c.q": q.int() * 100_000, "c.scale": torch.rand(6).double()})
    yield "two suffixes", saved({"w": {**pair, "g.gq": q, "g.gs": scale, "lone.q": q}, "m": {"g": "gate_int8_row"}})
    yield "a vector and a number", saved({"v.q": q[0], "v.scale": scale[0], "n.q": q[0, 0], "n.scale": scale[1]})
    yield "ties", saved(pair | {"b.weight.q": q, "b.weight.scale": scale})
    model = torch.nn.Linear(3, 2)
    state = model.state_dict()
    state.update(pair)
    yield "a state dict", saved(state)
    yield "an ordered dict", saved(OrderedDict(pair))
    yield "parameters", saved(pair | {"p": model.weight, "note": "text", "shape": torch.Size((2, 3))})
    yield "legacy", legacy(pair)
    yield "safetensors", save_tensors(pair | eights | odd | numbers, metadata={"format": "pt"})
    arrays = io.BytesIO()
    np.savez(arrays, allow_pickle=False, **{name: tensor.numpy() for name, tensor in (pair | numbers).items()})
    yield "npz", arrays.getvalue()
    corrections = {"match": ["*.weight"], "rank": 3, "left_bits": 4, "right_bits": 4, "group": 4, "most": 2}
    rule = {"name": "all", "match": ["*"], "quantizer": "integer", "bits": 4}
    fields = {"name": "r", "layout": "w-m", "codec": "brotli", "level": 1, "tensors": [rule]}
    recipe = recipe_from(fields | {"corrections": [corrections]}, "test")
    state = {name: tensor for name, tensor in weights().items() if tensor.is_floating_point()}
    yield "corrections", artifact_bytes(quantise(state, recipe), recipe)
    several = export_of()
    for number, name in enumerate(("trellis", "vq-logits-bias", "ternary-packed", "hashed")):
        several = several.with_encoded(f"more.{number}.weight", encoded_by(name, 1), "float32")
    yield "several schemes", layouts.get("w-m").container(several)
    yield "several schemes, packed", layouts.get("packed").container(several)
    for form in (several, export_of(), export_of(encoded_by("trellis", 1))):
        streams = {name: best(table.symbols, table.rows) for name, table in integer_tables(form)}
        yield f"coded, {len(streams)} streams", layouts.get("packed").container(replace(form, streams=streams))
    one = next(iter(streams))
    yield "one coded", layouts.get("packed").container(replace(form, streams={one: streams[one]}))
    torch_zip = saved(pair)
    frames = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    yield "a zstd frame of unknown length", frames.compress(torch_zip) + frames.flush()
    half = len(torch_zip) // 2
    yield "two zstd frames", zstandard.compress(torch_zip[:half]) + zstandard.compress(torch_zip[half:])
    yield "a method's name", b"ZSTD" + zstandard.compress(torch_zip)
    yield "a method's number", b"\x01" + brotli.compress(torch_zip)
    yield "shuffled by four", brotli.compress(shuffle(torch_zip, 4, 5))


def pack_of(container: bytes, codec: str = "zlib", *, shuffled: bool = False) -> bytes:
    """A pack of what a container holds, with every float narrowed and every matrix's rows sorted that can be."""
    value = held(container)
    stored = []
    for number, item in enumerate(value.items):
        found = sorted_rows(item.piece, item.data) or narrowed(item)
        stored += [] if found is None else [(number, found)]
    numbers = range(len(value.items))
    wide = [number for number in numbers if value.items[number].piece.dtype == "int16"] if shuffled else []
    streams = (tuple(number for number in numbers if number not in wide), *([tuple(wide)] if wide else []))
    arrangement = Arrangement(streams=streams, stored=tuple(stored), shuffled=frozenset([1] if wide else []))
    return packed_as(value, arrangement, codec)


def coded_pack(container: bytes, *, trellis: bool) -> bytes:
    """A pack whose bytes are in a stream under rANS, those of a trellis-coded matrix with its machine."""
    value = held(container)
    narrow = [n for n, item in enumerate(value.items) if item.piece.dtype == "int8" and item.data]
    rest = [n for n in range(len(value.items)) if n not in narrow]
    raw = raw_streams(value, Arrangement(streams=(tuple(rest), tuple(narrow))))
    runs = []
    for item in (value.items[number] for number in narrow):
        own = trellis and item.name.endswith("/values")
        runs.append(SymbolRun(symbols=item.data, rows=item.piece.shape[0] if own else None, states=8 if own else None))
    return assemble([("zlib", COMPRESSORS["zlib"](raw[0])), ("rans", encode_runs(runs))], frozenset())


def like_rows() -> Tensor:
    """A matrix whose rows are few with noise, so that sorting them pays."""
    generator = torch.Generator().manual_seed(0)
    prototypes = torch.randint(-127, 128, (8, 4096), generator=generator, dtype=torch.int8)
    table = prototypes[torch.randint(0, 8, (600,), generator=generator)].clone()
    table[:, ::16] = torch.randint(-127, 128, (600, 256), generator=generator, dtype=torch.int8)
    return table


def of_packs() -> Iterator[tuple[str, bytes]]:
    """What `repack` writes of every layout, by every codec, with narrowed dtypes, sorted rows and shuffled streams."""
    encoded = encoded_by("trellis", 0)
    for (name, layout), codec in zip(DECODED, cycle(COMPRESSORS), strict=False):
        export = export_of(None if name in ("state-dict", "safetensors") else encoded)
        yield f"{codec}-{name}", pack_of(layout.container(export), codec)
    for trellis in (False, True):
        yield f"rans, trellis {trellis}", coded_pack(layouts.get("w-m").container(export_of(encoded)), trellis=trellis)
    rows = {"t.q": like_rows(), "half": torch.arange(9) / 8, "far": torch.full((9,), 2.0**99)}
    yield "rows, layout", pack_of(saved(rows | {"t.scale": torch.rand(600).half()}))
    odd = {"b": torch.rand(5).bfloat16(), "i": torch.arange(99).short()}
    odd["e4"] = torch.arange(9).to(torch.uint8).view(torch.float8_e4m3fn)
    yield "rows, as stored", pack_of(saved(rows | odd), shuffled=True)
    yield "floats only", pack_of(saved({"a": torch.rand(4, 5), "none": torch.empty(0, 3)}))
