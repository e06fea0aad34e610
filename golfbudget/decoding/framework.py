"""What a decoder's tensors are of."""

from __future__ import annotations

from enum import StrEnum


class Framework(StrEnum):
    """The package that the source imports for them."""

    NUMPY = "numpy"
    TORCH = "torch"
