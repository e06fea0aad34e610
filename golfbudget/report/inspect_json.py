"""`inspect` as JSON, schema `golfbudget/inspect/1`.  Bytes are integers; nothing depends on when it was run.

The accounts of a role sum to the role, the roles and the entries to the file; `span` is an entry's half-open
range of decoded bytes, null for codec framing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from golfbudget import __version__
from golfbudget.artifact import Artifact, Layer
from golfbudget.hashing import file_hash
from golfbudget.inspection import Inspection
from golfbudget.ledger import Account, Entry, Ledger, Role
from golfbudget.rollup import Totals, roll_up, total

SCHEMA = "golfbudget/inspect/1"


def inspect_json(inspection: Inspection) -> dict[str, object]:
    """The whole report as plain values."""
    artifact, ledger = inspection.artifact, inspection.assignment.ledger
    return {
        "schema": SCHEMA,
        "golfbudget": __version__,
        "source": source_json(artifact),
        "layers": [_layer(layer) for layer in artifact.layers],
        "cap": {
            "bytes": inspection.budget.cap,
            "code_bytes": inspection.budget.code,
            "used": inspection.budget.used,
            "headroom": inspection.budget.headroom,
            "fits": inspection.budget.fits,
        },
        "tied": inspection.assignment.tied,
        "parameters": sum(entry.parameters for entry in ledger.entries),
        "roles": roles_json(ledger),
        "entries": [_entry(entry, stored) for entry, stored in zip(ledger.entries, ledger.stored_bytes(), strict=True)],
    }


def source_json(artifact: Artifact) -> dict[str, object]:
    """Path, stored length and hash of the file."""
    return {"path": artifact.path, "bytes": artifact.size, "sha256": file_hash(Path(artifact.path))}


def roles_json(ledger: Ledger) -> list[dict[str, object]]:
    """Roles in the fixed order of the enumeration, each with its accounts."""
    by_both = roll_up(ledger, lambda entry: (entry.role, entry.account))
    rows = []
    for role in Role:
        accounts: Mapping[Account, Totals] = {
            account: by_both[role, account] for account in Account if (role, account) in by_both
        }
        if accounts:
            whole = total(accounts.values())
            rows.append(
                {
                    "role": str(role),
                    "parameters": whole.parameters,
                    "decoded_bytes": whole.decoded_bytes,
                    "stored_bytes": whole.stored_bytes,
                    "accounts": [
                        {"account": str(a), "decoded_bytes": t.decoded_bytes, "stored_bytes": t.stored_bytes}
                        for a, t in accounts.items()
                    ],
                }
            )
    return rows


def _layer(layer: Layer) -> dict[str, object]:
    row: dict[str, object] = {"kind": layer.kind, "name": layer.name}
    if layer.stored_bytes is not None:
        row["stored_bytes"] = layer.stored_bytes
    row["decoded_bytes"] = layer.decoded_bytes
    if layer.attribution is not None:
        row["attribution"] = str(layer.attribution)
    return row


def _entry(entry: Entry, stored_bytes: int) -> dict[str, object]:
    return {
        "role": str(entry.role),
        "account": str(entry.account),
        "owner": entry.owner,
        "tensor": entry.tensor,
        "dtype": entry.dtype,
        "shape": None if entry.shape is None else list(entry.shape),
        "parameters": entry.parameters,
        "span": None if entry.span is None else [entry.span.start, entry.span.stop],
        "decoded_bytes": entry.decoded_bytes,
        "stored_bits": entry.stored_bits,
        "stored_bytes": stored_bytes,
    }
