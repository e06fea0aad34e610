"""What packing code comes to: every program tried, the smallest marked; as JSON, schema `golfbudget/pack-code/1`."""

from __future__ import annotations

import msgspec

from golfbudget.code_packing import FORMS, PackedProgram, PackingStep
from golfbudget.report import document as doc
from golfbudget.report.numbers import bytes_text, count, percent
from golfbudget.version import __version__

SCHEMA = "golfbudget/pack-code/1"
#: Programs that are shown: with them an answer fits on a screen of 40 lines.
_MOST = 12


def document(packed: PackedProgram) -> doc.Document:
    """Facts, and the smallest programs tried; csv and JSON have all."""
    rows = [("source", f"{packed.name}  {bytes_text(packed.original_bytes)}")]
    if packed.minified_bytes is not None:
        rows.append(("minified", bytes_text(packed.minified_bytes)))
    elif packed.refusal is not None:
        rows.append(("minified", f"no: {packed.refusal}"))
    else:
        rows.append(("minified", "no: not asked for"))
    rows += [
        ("packed", f"{bytes_text(packed.length)}: {_what(packed.chosen)}, unpacked again and compared"),
        ("saved", _saved(packed)),
        ("tools", ", ".join(f"{name} {version}" for name, version in packed.tools)),
        ("", "the length depends on these and their versions"),
        *(("note", note) for note in packed.notes),
    ]
    names = (doc.name("program (* smallest)", "program"), doc.name("settings", "settings"))
    columns = (*names, doc.number("bytes", "bytes"))
    # The source as it is stays, for what packing is held against.
    small = {id(step) for step in sorted(packed.steps, key=lambda step: step.length)[:_MOST]}
    shown = [step for step in packed.steps if id(step) in small or step.codec == "none"]
    parts: list[doc.Part] = [doc.Facts(rows=tuple(rows)), doc.grid(columns, (_row(packed, step) for step in shown))]
    if len(shown) < len(packed.steps):
        more = f"more: {len(packed.steps) - len(shown)} larger programs (--format csv)"
        parts.append(doc.prose(more, tight=True))
    every = (_row(packed, step) for step in packed.steps)
    return doc.Document(parts=tuple(parts), data=lambda: _data(packed), csv=lambda: doc.grid(columns, every))


def _row(packed: PackedProgram, step: PackingStep) -> doc.GridRow:
    what = _what(step)
    marked = doc.Cell(text=f"{'*' if step is packed.chosen else ' '} {what}", value=what)
    return doc.line(marked, step.settings, doc.amount(step.length))


def _saved(packed: PackedProgram) -> str:
    if packed.saved < 0:
        return f"nothing: {count(-packed.saved)} bytes more than the source"
    return f"{count(packed.saved)} bytes ({percent(packed.saved, packed.original_bytes)} of the source)"


def _what(step: PackingStep) -> str:
    source = "minified source" if step.minified else "source"
    if step.codec == "none":
        return f"{source}, plain"
    if step.spelling in FORMS:
        return f"{source} in {step.codec}{'' if step.codec == step.spelling else f', {step.spelling}'}"
    return f"{source} in {step.codec}, base85"


def _data(packed: PackedProgram) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "golfbudget": __version__,
        "source": {"path": packed.name, "bytes": packed.original_bytes},
        "minified": packed.minified,
        "minified_bytes": packed.minified_bytes,
        "not_minified_because": packed.refusal,
        "packed_bytes": packed.length,
        "saved_bytes": packed.saved,
        "chosen": msgspec.to_builtins(packed.chosen),
        "tried": msgspec.to_builtins(packed.steps),
        "tools": dict(packed.tools),
        "notes": list(packed.notes),
    }
