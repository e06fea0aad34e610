"""What `pip install golfbudget[plan]` adds: packages that planning, encoding and writing need, and nothing else does.

They are imported when they run.  Where one is missing, a `MissingExtraError` says what to type.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from golfbudget.errors import MissingExtraError

#: Modules of the extra, as they are imported.
PLAN = frozenset({"faiss", "scipy", "sklearn", "threadpoolctl", "torch"})
INSTALL = "pip install 'golfbudget[plan]'"


@contextmanager
def explained() -> Iterator[None]:
    """A missing module of the extra is a `MissingExtraError` in here; anything else passes."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in PLAN:
            raise
        raise MissingExtraError(f"this needs {error.name}, which is not installed; type: {INSTALL}") from error
