"""What repacking comes to, as JSON, schema `golfbudget/repack/1`."""

from __future__ import annotations

import hashlib

from golfbudget import __version__
from golfbudget.repacking import Repacked

SCHEMA = "golfbudget/repack/1"


def repack_json(packed: Repacked) -> dict[str, object]:
    """The whole result as plain values, the packed file itself aside; the same whether it was cached or not."""
    return {
        "schema": SCHEMA,
        "golfbudget": __version__,
        "source": {"path": packed.path, "bytes": packed.original_bytes, "sha256": packed.sha256},
        "packed": None
        if packed.data is None
        else {
            "bytes": packed.packed_bytes,
            "sha256": hashlib.sha256(packed.data).hexdigest(),
            "container": packed.container,
        },
        "saved_bytes": packed.saved,
        "decoder_extra_bytes": packed.decoder_extra,
        "net_saved_bytes": packed.saved - packed.decoder_extra,
        "steps": [
            {
                "lever": str(step.lever),
                "kind": step.kind,
                "choice": step.choice,
                "bytes": step.bytes,
                "saved_bytes": step.saved,
                "taken": step.taken,
            }
            for step in packed.steps
        ],
        "not_rebuilt_because": packed.not_rebuilt,
        "entropy": None
        if packed.floor is None
        else {"symbol_bytes": packed.symbols, "order0_floor_bytes": packed.floor},
        "decoder_source": packed.decoder_source,
        "tools": dict(packed.tools),
        "notes": list(packed.notes),
    }
