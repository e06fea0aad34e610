"""What is tried of files that other programs load: the schemes of their own layouts, beside everything else."""

from __future__ import annotations

from golfbudget import schemes
from golfbudget.plan.candidates import DEFAULT


def default_schemes(layout: str) -> tuple[str, ...] | None:
    """The default choice for a layout that has schemes of its own; None where it has none."""
    own = [name for name, scheme in schemes.bound().items() if layout in scheme.layouts]
    return (DEFAULT, *own) if own else None
