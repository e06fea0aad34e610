"""Saved reports of every kind that has a page, built by hand or from golden files: what pages are tested on."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parents[1] / "golden"
#: A name that would be a script, a style and an attribute, wherever it were taken for markup.
HOSTILE = "</script><img src=x onerror=\"document.title='in'\"><style>*{}</style>\u2028'"


def golden(kind: str) -> dict[str, Any]:
    return dict(json.loads((GOLDEN / f"{kind}.json").read_text(encoding="utf-8")))


def safetensors(path: Path, owners: int) -> Path:
    """A model of many small tensors in blocks, and a head."""
    header: dict[str, Any] = {}
    at = 0
    for number in range(owners):
        name = "lm_head.weight" if number == 0 else f"blocks.{number // 12}.mlp.part{number % 12}.weight"
        rows = 40 if number == 0 else 2 + number % 5
        size = rows * 8
        header[name] = {"dtype": "I8", "shape": [rows, 8], "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(at))
    return path


def candidate(name: str, side: str, scheme: str, saved: int, **quality: object) -> dict[str, Any]:
    """A candidate of a plan as it is saved."""
    known = {"metric": "bits-per-byte", "delta": None, "low": None, "high": None, "evidence": "measured"} | quality
    table = {
        "owner": "tok_emb.weight",
        "name": "values",
        "account": "weights",
        "shape": [4, 2],
        "bits": 6,
        "raw_bytes": 8,
    }
    loser = None if known["delta"] is not None else f"tie-floor:{name}"
    return {
        "name": name, "side": side, "scheme": scheme, "options": {"bits": 6}, "owners": ["tok_emb.weight"],
        "tables": [table], "decoder_bytes": 10, "artifact_bytes": 990 - saved, "counted_bytes": 1000 - saved,
        "saved_bytes": saved, "sha256": "ab" * 32, "fits": True, "quality": known, "price": 4.5, "pareto": saved == 300,
        "floor": None, "loser": loser,
    }  # fmt: skip


def plan() -> dict[str, Any]:
    """A plan whose changes were measured: both frontiers, VQ heads, a certified loser, a cap that is not met."""
    made = golden("plan")
    made["baseline"] |= {"artifact_bytes": 1000, "counted_bytes": 1000, "headroom": -150, "fits": False}
    made["candidates"] = [
        candidate("trunk-int4", "trunk", "scalar", 300, delta=0.05, low=0.04, high=0.06),
        candidate("trunk-int6", "trunk", "scalar", 100, delta=0.002, low=0.001, high=0.003),
        candidate("head-int6", "head", "scalar", 60, delta=-0.0003, low=-0.0006, high=0.0001),
        candidate("head-vq64", "head", "vq-logits", 120, delta=0.4, low=0.3, high=0.5),
        candidate("head-vq8", "head", "vq-logits", 200, low=0.9),
        candidate(HOSTILE, "head", "scalar", 80, delta=0.01, low=0.009, high=0.011),
    ]
    made["frontiers"] = {"head": ["head-int6", "head-vq64"], "trunk": ["trunk-int6", "trunk-int4"]}
    return made


def fit() -> dict[str, Any]:
    """A fitted file of two matrices."""
    accounts = [{"account": "weights", "decoded_bytes": 900, "stored_bytes": 500}]
    role = {"parameters": 900, "decoded_bytes": 900, "stored_bytes": 500, "accounts": accounts}
    choice = {"scheme": "trellis", "options": {"step": 0.1}, "coder": "rans", "parameters": 900, "next_kilobyte": 3.5}
    return {
        "schema": "golfbudget/fit/1", "golfbudget": "0.2.0",
        "source": {"path": "model.safetensors", "bytes": 4000, "sha256": "cd" * 32},
        "recipe": "int8-zlib", "seed": 0, "effort": 1, "cap": 2000, "code_bytes": 100, "artifact_bytes": 1000,
        "decoder_bytes": 200, "counted_bytes": 1200, "headroom": 700, "binding": True, "container": "safetensors",
        "sha256": "ab" * 32, "roles": [{"role": "head"} | role, {"role": "trunk"} | role],
        "choices": [
            {"owner": "tok_emb.weight", "role": "head", "stored_bytes": 480} | choice,
            {"owner": HOSTILE, "role": "trunk", "stored_bytes": 450} | choice,
        ],
        "quality": {"metric": "bits-per-byte", "delta": 0.004, "low": 0.003, "high": 0.005, "evidence": "measured",
                    "tokens": 1000, "blocks": 70, "chosen_on": "a tenth", "reported_on": "the rest"},
        "baseline": {"artifact_bytes": 1500, "bits_per_byte": 1.1, "source_bits_per_byte": 1.0},
        "loader": "import zlib\nprint('<script>')\n", "notes": ["a note"],
    }  # fmt: skip


def compare() -> dict[str, Any]:
    made = golden("compare")
    made["owners"][0]["owner"] = HOSTILE
    return made
