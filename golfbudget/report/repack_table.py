"""What repacking comes to, as a table: each lever's own gain in order, the decoder's bytes as a line of its own."""

from __future__ import annotations

from rich.console import RenderableType

from golfbudget.repacking import LeverStep, Repacked
from golfbudget.report.numbers import count, human, percent, signed
from golfbudget.report.tables import facts, table


def repack_table(packed: Repacked) -> list[RenderableType]:
    """Heading, then every lever; what counts for the written file is marked."""
    rows = [("source", f"{packed.path}  {_bytes(packed.original_bytes)}"), ("repacked", _repacked(packed))]
    if packed.data is not None:
        share = percent(packed.saved, packed.original_bytes)
        rows.append(("saved", f"{_bytes(packed.saved)}, {share} of the file, at no loss"))
        rows.append(("decoder", _decoder(packed)))
    if packed.not_rebuilt is not None:
        rows.append(("container", f"not rebuilt: {packed.not_rebuilt}"))
    if packed.floor is not None and packed.symbols is not None:
        rows.append(("order-0 floor", _floor(packed)))
    rows += [("note", note) for note in packed.notes]
    rows.append(("tools", ", ".join(f"{name} {version}" for name, version in packed.tools)))
    if not packed.steps:
        return [facts(rows)]
    steps = table(["lever (* counted)", "choice", "kind", "file bytes", "saved"], left=3)
    for step in packed.steps:
        mark = "*" if step.taken else " "
        steps.add_row(f"{mark} {step.lever}", step.choice, step.kind, count(step.bytes), _saved(step))
    return [facts(rows), "", steps]


def _repacked(packed: Repacked) -> str:
    if packed.data is None:
        return "nothing to gain: no file is smaller with what its decoder takes; nothing is written"
    container = "same container" if packed.container == "same" else packed.container
    return f"{_bytes(packed.packed_bytes)}, {container}, opened again and compared"


def _decoder(packed: Repacked) -> str:
    extra, net = packed.decoder_extra, packed.saved - packed.decoder_extra
    than = "more" if extra >= 0 else "less"
    return f"{count(abs(extra))} bytes of plain Python {than} to read it: {signed(net)} bytes saved in all"


def _floor(packed: Repacked) -> str:
    floor, symbols = packed.floor or 0, packed.symbols or 0
    slack = packed.packed_bytes - floor
    side = "above" if slack >= 0 else "below"
    return (
        f"{count(floor)} bytes for the {count(symbols)} of all tensors, each coded by itself without context; "
        f"this file is {count(abs(slack))} {side}"
    )


def _bytes(n: int) -> str:
    return f"{count(n)} bytes{f' ({human(n)})' if n >= 1000 else ''}"


def _saved(step: LeverStep) -> str:
    return signed(step.saved)
