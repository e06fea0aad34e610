"""What repacking comes to: each lever's own gain in order, the decoder's bytes as a line of its own.

As JSON, schema `golfbudget/repack/1`.
"""

from __future__ import annotations

from collections import Counter

from golfbudget.hashing import bytes_hash
from golfbudget.repacking import LeverStep, Repacked
from golfbudget.repacking.result import PackedStream
from golfbudget.report import document as doc
from golfbudget.report.numbers import bytes_text, count, percent, signed
from golfbudget.version import __version__

SCHEMA = "golfbudget/repack/1"


def document(packed: Repacked) -> doc.Document:
    """Facts, then every lever; what counts for the written file is marked."""
    rows = [("source", f"{packed.path}  {bytes_text(packed.original_bytes)}"), ("repacked", _repacked(packed))]
    if packed.data is not None:
        share = percent(packed.saved, packed.original_bytes)
        rows.append(("saved", f"{bytes_text(packed.saved)}, {share} of the file, at no loss"))
        rows.append(("decoder", _decoder(packed)))
    if len({stream.coder for stream in packed.streams}) > 1:
        rows.append(("coders", _coders(packed)))
    if packed.not_rebuilt is not None:
        rows.append(("container", f"not rebuilt: {packed.not_rebuilt}"))
    if packed.floor is not None and packed.symbols is not None:
        rows.append(("order-0 floor", _floor(packed)))
    rows += [("note", note) for note in packed.notes]
    rows.append(("tools", ", ".join(f"{name} {version}" for name, version in packed.tools)))
    names = (doc.name("lever (* counted)", "lever"), doc.name("choice", "choice"), doc.name("kind", "kind"))
    amounts = (doc.number("file bytes", "bytes"), doc.number("saved", "saved_bytes"))
    steps = doc.grid((*names, *amounts, doc.name(None, "taken")), map(_row, packed.steps))
    parts = (doc.Facts(rows=tuple(rows)), *((steps,) if packed.steps else ()))
    return doc.Document(parts=parts, data=lambda: _data(packed), csv=lambda: steps)


def _row(step: LeverStep) -> doc.GridRow:
    lever = doc.Cell(text=f"{'*' if step.taken else ' '} {step.lever}", value=str(step.lever))
    taken = doc.Cell(text="", value=step.taken)
    return doc.line(lever, step.choice, step.kind, doc.amount(step.bytes), doc.change(step.saved), taken)


def _repacked(packed: Repacked) -> str:
    if packed.data is None:
        return "nothing to gain: no file is smaller with what its decoder takes; nothing is written"
    container = "same container" if packed.container == "same" else packed.container
    return f"{bytes_text(packed.packed_bytes)}, {container}, opened again and compared"


def _decoder(packed: Repacked) -> str:
    extra, net = packed.decoder_extra, packed.saved - packed.decoder_extra
    than = "more" if extra >= 0 else "less"
    return f"{count(abs(extra))} bytes of plain Python {than} to read it: {signed(net)} bytes saved in all"


def _coders(packed: Repacked) -> str:
    """Tensors and bytes of each coder, that of most bytes first."""
    tensors, stored = Counter[str](), Counter[str]()
    for stream in packed.streams:
        tensors[stream.coder] += stream.tensors
        stored[stream.coder] += stream.bytes
    words = {name: "tensor" if number == 1 else "tensors" for name, number in tensors.items()}
    told = (f"{n} {count(tensors[n])} {words[n]} in {count(length)} bytes" for n, length in stored.most_common())
    return "; ".join(told)


def _floor(packed: Repacked) -> str:
    floor, symbols = packed.floor or 0, packed.symbols or 0
    slack = packed.packed_bytes - floor
    side = "above" if slack >= 0 else "below"
    return (
        f"{count(floor)} bytes for the {count(symbols)} of all tensors, each coded by itself without context; "
        f"this file is {count(abs(slack))} {side}"
    )


def _data(packed: Repacked) -> dict[str, object]:
    """The whole result as plain values, the packed file itself aside; the same whether it was cached or not."""
    written = entropy = None
    if packed.data is not None:
        sha256 = bytes_hash(packed.data)
        written = {"bytes": packed.packed_bytes, "sha256": sha256, "container": packed.container}
    if packed.floor is not None:
        entropy = {"symbol_bytes": packed.symbols, "order0_floor_bytes": packed.floor}
    return {
        "schema": SCHEMA,
        "golfbudget": __version__,
        "source": {"path": packed.path, "bytes": packed.original_bytes, "sha256": packed.sha256},
        "packed": written,
        "saved_bytes": packed.saved,
        "decoder_extra_bytes": packed.decoder_extra,
        "net_saved_bytes": packed.saved - packed.decoder_extra,
        "steps": list(map(_step, packed.steps)),
        "streams": list(map(_stream, packed.streams)),
        "not_rebuilt_because": packed.not_rebuilt,
        "entropy": entropy,
        "decoder_source": packed.decoder_source,
        "tools": dict(packed.tools),
        "notes": list(packed.notes),
    }


def _step(step: LeverStep) -> dict[str, object]:
    tried = {"lever": str(step.lever), "kind": step.kind, "choice": step.choice}
    return {**tried, "bytes": step.bytes, "saved_bytes": step.saved, "taken": step.taken}


def _stream(stream: PackedStream) -> dict[str, object]:
    facts = {"coder": stream.coder, "shuffled": stream.shuffled, "tensors": stream.tensors}
    return {**facts, "stored_bytes": stream.bytes}
