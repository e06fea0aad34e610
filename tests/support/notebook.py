"""Run cells in an IPython shell, as a notebook does, and print as JSON what it would show: text and HTML."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.formatters import DisplayFormatter
from IPython.core.interactiveshell import InteractiveShell

shown: list[dict[str, str]] = []


class Keep(DisplayHook):
    """Keeps every form in which a notebook can show the last expression of a cell."""

    def __call__(self, result: object = None) -> None:
        if result is not None:
            forms, _ = DisplayFormatter(parent=self.shell).format(result)  # type: ignore[no-untyped-call]
            shown.append(forms)


class Notebook(InteractiveShell):
    displayhook_class = Keep


def run_cells(cells: list[str]) -> list[dict[str, Any]]:
    """What each cell prints, and the forms of its results."""
    shell = Notebook.instance()
    found = []
    for cell in cells:
        shown.clear()
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            done = shell.run_cell(cell)  # type: ignore[no-untyped-call]
        done.raise_error()
        found.append({"stdout": printed.getvalue(), "outputs": shown.copy()})
    return found


if __name__ == "__main__":
    json.dump(run_cells(json.load(sys.stdin)), sys.stdout)
