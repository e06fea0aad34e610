"""Memory that was freed, returned to the system."""

from __future__ import annotations


def give_back() -> None:
    """Return what was freed, where the C library has a call for it; elsewhere nothing is done.

    glibc keeps gaps in its heap for what is asked for next, and after a large model's tensors these are gigabytes that
    other processes of a plan do without meanwhile.
    """
    import ctypes

    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return
    trim(0)
