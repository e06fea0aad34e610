"""What a decoder reads and what it costs, that first; as JSON, schema `golfbudget/decoder/1`, with the source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from golfbudget.hashing import bytes_hash
from golfbudget.report import document as doc
from golfbudget.report.numbers import bytes_text, count, printable
from golfbudget.version import __version__

if TYPE_CHECKING:
    from golfbudget.decoding.run import ProvedDecoder

SCHEMA = "golfbudget/decoder/1"


def answer(made: ProvedDecoder, *, name: str | None = None) -> str:
    """What it reads, and the bytes that it adds; `name` is the file that it was written to."""
    how = ", ".join(reversed(made.composed.chain))
    layout = (
        f"layout {made.composed.held.layout}" if made.composed.held.layout else "no known layout: tensors as stored"
    )
    reader = printable(name or made.packed.name)
    return (
        f"{reader} reads {printable(made.composed.held.artifact.path)} ({layout}; {how}) back into "
        f"{count(made.tensors)} tensors; it adds {count(made.packed.length)} bytes packed"
    )


def document(made: ProvedDecoder, *, written: Path | None = None) -> doc.Document:
    """The answer, then how it is known, what it takes and what it does otherwise than the file's own loader.

    `written` is the file that it was written to.
    """
    composed, packed = made.composed, made.packed
    name = packed.name if written is None else written.name
    rows = [
        ("proof", "run on the file without golfbudget: every tensor is the reader's to the last bit"),
        ("source", f"{bytes_text(packed.original_bytes)} as written, counted whole, its lines for a shell included"),
        ("packed", f"{bytes_text(packed.length)}, measured: golfbudget pack-code {name} makes the same"),
        ("needs", f"{', '.join(composed.packages)} and the standard library"),
    ]
    if composed.held.export is not None and composed.held.export.schemes:
        rows.append(("schemes", ", ".join(_schemes(made))))
    rows += [("note", note) for note in _notes(made)]
    rows.append(("tools", ", ".join(f"{name} {version}" for name, version in packed.tools)))
    parts = (doc.prose(doc.bold(answer(made, name=name))), doc.Facts(rows=tuple(rows)))
    return doc.Document(parts=parts, data=lambda: _data(made))


def _schemes(made: ProvedDecoder) -> list[str]:
    export = made.composed.held.export
    return sorted({encoded.scheme for encoded in export.schemes.values()}) if export else []


def _notes(made: ProvedDecoder) -> list[str]:
    notes = [f"{dtype} comes out as float32, which holds it exactly: numpy has none" for dtype in made.widened]
    if made.composed.held.layout is None:
        notes.append("the tree of tensors comes out as it was saved: integers stay what they are stored as")
    return notes


def _data(made: ProvedDecoder) -> dict[str, object]:
    composed, packed = made.composed, made.packed
    artifact = composed.held.artifact
    return {
        "schema": SCHEMA,
        "golfbudget": __version__,
        "source": {"path": artifact.path, "bytes": artifact.size, "sha256": made.sha256},
        "framework": str(composed.held.framework),
        "layout": composed.held.layout,
        "layers": list(composed.chain),
        "schemes": _schemes(made),
        "tensors": made.tensors,
        "widened": list(made.widened),
        "packages": list(composed.packages),
        "decoder": {
            "bytes": packed.original_bytes,
            "packed_bytes": packed.length,
            "sha256": bytes_hash(made.source.encode()),
            "source": made.source,
        },
        "tools": dict(packed.tools),
        "notes": _notes(made),
    }
