"""A progress bar on stderr while long work runs; silent when stderr is no terminal or --quiet is given."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(title: str, *, quiet: bool) -> Iterator[Callable[[str, int], None]]:
    """Yields a callback that takes (what is being done now, number of steps in all)."""
    if quiet or not sys.stderr.isatty():
        yield lambda _description, _steps: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        started = False

        def step(description: str, steps: int) -> None:
            nonlocal started
            bar.update(task, description=f"{title}: {description}", total=steps, advance=1 if started else 0)
            started = True

        yield step
