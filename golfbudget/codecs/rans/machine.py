"""The machine of trellis-coded matrices: the parity of the state at every integer, and so the level it stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def parities(stored: NDArray[np.uint8] | NDArray[np.int8], k: int) -> NDArray[np.uint8]:
    """0 or 1, of that shape, for each of the integers [rows, columns] that a machine of 4k states runs over.

    Row by row from state 0: an integer c in state s stands for the level 2c + s//k mod 2.
    """
    import numpy as np

    columns = np.ascontiguousarray(stored.T).view(np.uint8)
    state = np.zeros(columns.shape[1], dtype=np.uint8)
    found = np.empty_like(columns)
    for column, values in enumerate(columns):
        found[column] = state // k % 2
        state = (2 * state + ((values ^ state ^ state // (2 * k)) & 1)) % (4 * k)
    return np.ascontiguousarray(found.T)


def levels(stored: NDArray[np.int8], k: int) -> NDArray[np.int16]:
    """What the integers [rows, columns] stand for, in steps, of that shape."""
    import numpy as np

    return 2 * np.ascontiguousarray(stored).astype(np.int16) + parities(stored, k)
