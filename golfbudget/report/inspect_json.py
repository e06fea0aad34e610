"""`inspect` as JSON, schema `golfbudget/inspect/1`.  Bytes are integers; nothing depends on when it was run.

The accounts of a role sum to the role; roles, owners and entries each sum to the file.  `span` is an entry's
half-open range of decoded bytes, null for codec framing.  An owner's `content` is the hash that `content.contents`
makes of what it holds.  What `--entropy` adds is estimates: fields beside the ledger's, null for what is no tensor's
own data.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from golfbudget import __version__
from golfbudget.artifact import Artifact, Layer
from golfbudget.content import contents
from golfbudget.entropy import Entropy, Measure
from golfbudget.entropy import roll_up as roll_up_measures
from golfbudget.hashing import file_hashes
from golfbudget.inspection import SCHEMA, Inspection
from golfbudget.ledger import Account, Entry, Ledger, Role
from golfbudget.report.numbers import bits_number
from golfbudget.rollup import Totals, roll_up, total


def inspect_json(inspection: Inspection) -> dict[str, object]:
    """The whole report as plain values."""
    artifact, ledger, entropy = inspection.artifact, inspection.assignment.ledger, inspection.entropy
    report: dict[str, object] = {
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
        "tied_reason": inspection.assignment.tied_reason,
        "parameters": sum(entry.parameters for entry in ledger.entries),
        "roles": roles_json(ledger, entropy),
        "owners": _owners(inspection),
        "entries": _entries(ledger, entropy),
    }
    if entropy is not None:
        report["entropy"] = {"alone": [{"codec": coder.codec, "level": coder.level} for coder in entropy.coders]}
        if entropy.zstd_blocks:
            report["zstd_blocks"] = [
                {
                    "member": block.member or None,
                    "offset": block.offset,
                    "stored_bytes": block.stored,
                    "decoded_bytes": block.decoded,
                    "kind": block.kind,
                    "literals": block.literals,
                    "sequences": block.sequences,
                }
                for block in entropy.zstd_blocks
            ]
    return report


def source_json(artifact: Artifact) -> dict[str, object]:
    """Path, stored length and hash; of several files also each one's, the hash being that of all in this order."""
    paths = [file.path for file in artifact.files] or [Path(artifact.path)]
    together, each = file_hashes(paths)
    source: dict[str, object] = {"path": artifact.path, "bytes": artifact.size, "sha256": together}
    if len(artifact.files) > 1:
        source["files"] = [
            {"path": str(file.path), "bytes": file.size, "sha256": sha256}
            for file, sha256 in zip(artifact.files, each, strict=True)
        ]
    return source


def roles_json(ledger: Ledger, entropy: Entropy | None = None) -> list[dict[str, object]]:
    """Roles in the fixed order of the enumeration, each with its accounts."""
    by_both = roll_up(ledger, lambda entry: (entry.role, entry.account))
    measures = {} if entropy is None else roll_up_measures(ledger, entropy, lambda entry: entry.role)
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
                    **_measure(measures.get(role), entropy),
                    "accounts": [
                        {"account": str(a), "decoded_bytes": t.decoded_bytes, "stored_bytes": t.stored_bytes}
                        for a, t in accounts.items()
                    ],
                }
            )
    return rows


def _owners(inspection: Inspection) -> list[dict[str, object]]:
    """Owners in file order; one that serves two roles has a row for each.  Bits are per parameter."""
    ledger, entropy = inspection.assignment.ledger, inspection.entropy

    def key(entry: Entry) -> tuple[str, Role]:
        return entry.owner, entry.role

    measures = {} if entropy is None else roll_up_measures(ledger, entropy, key)
    held = contents(inspection.artifact, ledger)
    rows = []
    for (owner, role), totals in roll_up(ledger, key).items():
        model = inspection.assignment.models.get(owner)
        rows.append(
            {
                "owner": owner,
                "role": str(role),
                "parameters": totals.parameters,
                "nominal_bits": None if model is None else bits_number(model.nominal_bits),
                "packed_bits": None if model is None else bits_number(model.packed_bits),
                "decoded_bytes": totals.decoded_bytes,
                "stored_bytes": totals.stored_bytes,
                "content": held[owner, role],
                **_measure(measures.get((owner, role)), entropy),
            }
        )
    return rows


def _measure(found: Measure | None, entropy: Entropy | None) -> dict[str, object]:
    if entropy is None:
        return {}
    return {
        "entropy_floor_bytes": None if found is None else found.floor,
        "slack_bytes": None if found is None else found.slack,
        "alone_bytes": None if found is None else found.alone,
    }


def _entries(ledger: Ledger, entropy: Entropy | None) -> list[dict[str, object]]:
    measures = [None] * len(ledger.entries) if entropy is None else entropy.entries
    return [
        {**_entry(entry, stored), **_measure(found, entropy)}
        for entry, stored, found in zip(ledger.entries, ledger.stored_bytes(), measures, strict=True)
    ]


def _layer(layer: Layer) -> dict[str, object]:
    row: dict[str, object] = {"kind": layer.kind, "name": layer.name}
    if layer.stored_bytes is not None:
        row["stored_bytes"] = layer.stored_bytes
    row["decoded_bytes"] = layer.decoded_bytes
    if layer.attribution is not None:
        row["attribution"] = str(layer.attribution)
    if layer.member is not None:
        row["member"] = layer.member
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
