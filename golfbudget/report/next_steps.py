"""What to type next where something is over the cap: first what costs nothing, then the file of least loss.

Commands stand as they can be typed; FILE is for the reader to name.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from golfbudget.inspection import Inspection
from golfbudget.report import document as doc
from golfbudget.report.numbers import count
from golfbudget.rules import LOADER_BYTES

if TYPE_CHECKING:
    from golfbudget.submission import Checked

_FREE = "the same weights in fewer bytes, at no loss"
_LEAST = "least loss within the cap, loader counted"


def over_the_cap(inspection: Inspection) -> tuple[doc.Part, ...]:
    """For a file that is over its cap; nothing where it fits, has no weights, or the cap holds no loader."""
    budget, path = inspection.budget, inspection.artifact.path
    entries = inspection.assignment.ledger.entries
    if budget.fits or budget.cap - (budget.code or 0) <= LOADER_BYTES or not any(entry.parameters for entry in entries):
        return ()
    code = "" if budget.code is None else f" --code {budget.code}"
    largest = max(entries, key=lambda entry: entry.parameters)
    if "float" in (largest.dtype or ""):
        # Weights before export: how they are stored is still open, and no packing of floats comes near.
        plan = f"golfbudget plan {_quoted(path)} --cap {budget.cap}{code}"
        fit = _fit(path, budget.cap, code)
        return (_listed([fit, (plan, "whether the head or the trunk gives the bytes")]),)
    whole = len(inspection.artifact.files) <= 1  # Of several files `repack` takes none.
    return (_listed([*([_repack(path)] if whole else []), _fit_again(budget.cap, code)]),)


def over_as_counted(checked: Checked) -> tuple[doc.Part, ...]:
    """For a submission that is over the cap as it was counted; nothing where no file of it could become smaller."""
    row, headroom = checked.chosen.largest, checked.chosen.headroom
    if row is None or headroom is None or headroom >= 0:
        return ()
    root = checked.folder.root
    steps = []
    if checked.packed is not None and row.code is not None and len(checked.code.files) == 1:
        less = row.code - checked.packed.length
        if less > 0:
            command = f"golfbudget pack-code {_quoted(root / checked.code.files[0].path)} -o FILE"
            steps.append((command, f"the same program, {count(less)} bytes smaller at least"))
    models = [file.path for model in checked.models if not model.claimed for file in model.files]
    if len(models) == 1:
        steps.append(_repack(str(root / models[0])))
        code = "" if row.code is None else f" --code {row.code}"
        steps.append(_fit_again(checked.chosen.cap, code))
    return (_listed(steps),) if steps else ()


def _repack(path: str) -> tuple[str, str]:
    return f"golfbudget repack {_quoted(path)} -o FILE", _FREE


def _fit(path: str, cap: int, code: str) -> tuple[str, str]:
    return f"golfbudget fit {_quoted(path)} --cap {cap}{code} -o FILE", _LEAST


def _fit_again(cap: int, code: str) -> tuple[str, str]:
    """What is quantised already is better fitted from what it was made of, of which nothing is known here."""
    command, gain = _fit("CHECKPOINT", cap, code)
    return command, f"{gain}; CHECKPOINT: the float weights"


def _quoted(path: str | Path) -> str:
    return shlex.quote(str(path))


def _listed(steps: list[tuple[str, str]]) -> doc.Prose:
    return doc.prose(*_lines(steps))


def _lines(steps: list[tuple[str, str]]) -> Iterator[doc.Line]:
    """What each gives stands under it, so that no line is longer than its command."""
    for number, (command, gain) in enumerate(steps):
        yield doc.Line(text=("next: " if not number else "then: ", doc.code(command)))
        yield doc.Line(text=f"      {gain}")
