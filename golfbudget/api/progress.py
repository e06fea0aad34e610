"""Progress of long work: a bar on stderr or in a notebook, a function that is told each step, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from golfbudget.progress import Progress, unwatched

#: True shows a bar where there is a screen; a function is called with what is being done and the number of steps.
Watch = bool | Progress


@contextmanager
def watched(progress: Watch, title: str) -> Iterator[Progress]:
    """Yields the function that long work calls before each step."""
    if callable(progress):
        yield progress
    elif not progress or not (sys.stderr.isatty() or _in_notebook()):
        yield unwatched
    else:
        yield from _bar(title)


def _in_notebook() -> bool:
    """Whether an IPython kernel runs this, which nothing but such a kernel imports."""
    return "ipykernel" in sys.modules


def _bar(title: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        started = False

        def step(description: str, steps: int) -> None:
            nonlocal started
            bar.update(task, description=f"{title}: {description}", total=steps, advance=1 if started else 0)
            started = True

        yield step
