"""Formats: one reader per file grammar.  Importing this package fills the registry, `opaque` last.

torch's old layout begins with a pickle and is tried before plain pickles; torch's archives before other zips.
"""

from golfbudget.formats import (  # noqa: I001  (registry order)
    safetensors,  # noqa: F401
    torch_zip,  # noqa: F401
    npz,  # noqa: F401
    npy,  # noqa: F401
    torch_legacy,  # noqa: F401
    numpy_pickle,  # noqa: F401
    gguf,  # noqa: F401
    pgrp,  # noqa: F401
    golfbudget_pack,  # noqa: F401
    python_source,  # noqa: F401
    opaque,  # noqa: F401
)
from golfbudget.formats.base import (
    BYTE_ORDER,
    DTYPE_BITS,
    Contents,
    Format,
    Inner,
    Region,
    StoredTensor,
    begins,
    candidates,
    claimed_by,
    get,
    others,
    registered,
)
from golfbudget.formats.foresight import Foreseer

__all__ = [
    "BYTE_ORDER",
    "DTYPE_BITS",
    "Contents",
    "Foreseer",
    "Format",
    "Inner",
    "Region",
    "StoredTensor",
    "begins",
    "candidates",
    "claimed_by",
    "get",
    "others",
    "registered",
]
