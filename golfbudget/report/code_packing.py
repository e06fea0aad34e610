"""What packing code comes to, as a table and as JSON, schema `golfbudget/pack-code/1`."""

from __future__ import annotations

from rich.console import RenderableType

from golfbudget import __version__
from golfbudget.code_packing import PackedProgram, PackingStep
from golfbudget.report.numbers import count, human, percent
from golfbudget.report.tables import facts, table

SCHEMA = "golfbudget/pack-code/1"


def packed_json(packed: PackedProgram) -> dict[str, object]:
    """The whole result as plain values, the packed file itself aside."""
    return {
        "schema": SCHEMA,
        "golfbudget": __version__,
        "source": {"path": packed.name, "bytes": packed.original_bytes},
        "minified": packed.minified,
        "minified_bytes": packed.minified_bytes,
        "not_minified_because": packed.refusal,
        "packed_bytes": packed.length,
        "saved_bytes": packed.saved,
        "chosen": _step(packed.chosen),
        "tried": [_step(step) for step in packed.steps],
        "tools": dict(packed.tools),
        "notes": list(packed.notes),
    }


def _step(step: PackingStep) -> dict[str, object]:
    return {
        "minified": step.minified,
        "codec": step.codec,
        "settings": step.settings,
        "spelling": step.spelling,
        "bytes": step.length,
    }


def packed_table(packed: PackedProgram) -> list[RenderableType]:
    """Heading and every program tried, the smallest marked."""
    rows = [("source", f"{packed.name}  {_bytes(packed.original_bytes)}")]
    if packed.minified_bytes is not None:
        rows.append(("minified", _bytes(packed.minified_bytes)))
    elif packed.refusal is not None:
        rows.append(("minified", f"no: {packed.refusal}"))
    else:
        rows.append(("minified", "no: not asked for"))
    rows += [
        ("packed", f"{_bytes(packed.length)}: {_what(packed.chosen)}, unpacked again and compared"),
        ("saved", _saved(packed)),
        ("tools", ", ".join(f"{name} {version}" for name, version in packed.tools)),
        ("", "the length depends on these and their versions"),
        *(("note", note) for note in packed.notes),
    ]
    steps = table(["program (* smallest)", "settings", "bytes"], left=2)
    for step in packed.steps:
        steps.add_row(f"{'*' if step is packed.chosen else ' '} {_what(step)}", step.settings, count(step.length))
    return [facts(rows), "", steps]


def _bytes(n: int) -> str:
    return f"{count(n)} bytes{f' ({human(n)})' if n >= 1000 else ''}"


def _saved(packed: PackedProgram) -> str:
    if packed.saved < 0:
        return f"nothing: {count(-packed.saved)} bytes more than the source"
    return f"{count(packed.saved)} bytes ({percent(packed.saved, packed.original_bytes)} of the source)"


def _what(step: PackingStep) -> str:
    source = "minified source" if step.minified else "source"
    return f"{source}, plain" if step.codec == "none" else f"{source} in {step.codec}, base85"
