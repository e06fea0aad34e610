"""Values on their way between processes that share a folder: small ones as bytes, large ones as files by content.

A tensor's storage is a file of its own, so that values which differ in one tensor share all others.  What shares a
storage shares it afterwards, and what does not does not: a container stores shared ones once.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golfbudget import cache
from golfbudget.errors import GolfbudgetError

if TYPE_CHECKING:
    import torch

#: Bytes from which on a storage, or a whole value, is a file.
_LARGE = 1 << 16

#: A value: its bytes, or the name of the file that has them.
Parcel = bytes | str
#: Storages by the name of their file; of equal ones that are not one, the first, the second …
Storages = dict[tuple[str, int], "torch.UntypedStorage"]


class MissingParcelError(GolfbudgetError):
    """A file of the shared folder is not there, or not whole."""


class Parcels:
    """Packs and unpacks values; `recent` are the storages of the value unpacked last, which the next may have, too."""

    def __init__(self, folder: Path, recent: Storages | None = None) -> None:
        self.folder = folder
        self.recent: Storages = {} if recent is None else recent
        #: Names by place in memory; the storages are held, so that no other takes their place.
        self._known: dict[tuple[int, int], tuple[str, torch.UntypedStorage]] = {}

    def pack(self, value: object) -> Parcel:
        """The value as bytes, or as a file where it is large."""
        out = io.BytesIO()
        _Pickler(out, self._storage).dump(value)
        data = out.getvalue()
        return data if len(data) < _LARGE else self._lay(data)

    def lay(self, value: object) -> str:
        """The value as a file, however small."""
        packed = self.pack(value)
        return packed if isinstance(packed, str) else self._lay(packed)

    def unpack(self, parcel: Parcel) -> Any:  # noqa: ANN401  (whatever was packed)
        """The value; only what this package packed is read."""
        data = self._read(parcel) if isinstance(parcel, str) else parcel
        used: Storages = {}

        def load(name: str, occurrence: int) -> torch.UntypedStorage:
            key = name, occurrence
            used[key] = self.recent.get(key) or _storage_of(self._read(name))
            return used[key]

        value = _Unpickler(io.BytesIO(data), load).load()
        self.recent.clear()
        self.recent.update(used)
        return value

    def _storage(self, storage: torch.UntypedStorage) -> Parcel:
        """The bytes of a storage, or the name of their file."""
        if storage.nbytes() < _LARGE:
            return _bytes_of(storage)
        key = storage.data_ptr(), storage.nbytes()
        if key not in self._known:
            self._known[key] = self._lay(_bytes_of(storage)), storage
        return self._known[key][0]

    def _lay(self, data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()[:40]
        # Never made again: whoever asked may have ended, and have taken the folder away.
        if not (self.folder / name).exists() and not cache.write_into(self.folder, name, {}, data):
            raise GolfbudgetError(
                f"{self.folder}: {len(data):,} bytes that workers need cannot be written there; make room, or name "
                f"another folder by --cache or ${cache.VARIABLE}"
            )
        return name

    def _read(self, name: str) -> bytes:
        found = cache.read(self.folder, name)
        if found is None:
            raise MissingParcelError(f"{self.folder / name}: what was handed over is not there, or not whole")
        return found[1]


def _bytes_of(storage: torch.UntypedStorage) -> bytes:
    import torch

    if not storage.nbytes():
        return b""
    return torch.empty(0, dtype=torch.uint8).set_(storage).numpy().tobytes()


def _storage_of(data: bytes) -> torch.UntypedStorage:
    """In memory of torch's own, aligned as it is where a tensor is made: kernels may add up by that."""
    import torch

    made = torch.empty(len(data), dtype=torch.uint8)
    made.numpy()[:] = memoryview(data)
    return made.untyped_storage()


def _tensor(
    storage: torch.UntypedStorage, dtype: torch.dtype, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]
) -> torch.Tensor:
    import torch

    made: torch.Tensor = torch.empty(0, dtype=dtype).set_(storage, offset, shape, stride)
    return made


class _Pickler(pickle.Pickler):
    """Storages by the order in which they come, each with its content at its first place."""

    def __init__(self, out: io.BytesIO, keep: Callable[[torch.UntypedStorage], Parcel]) -> None:
        super().__init__(out, protocol=5)
        self._keep = keep
        self._numbers: dict[tuple[int, int], int] = {}
        self._occurrences: dict[str, int] = {}

    def reducer_override(self, value: Any) -> Any:  # noqa: ANN401  (any object, and what pickle wants of it)
        torch = sys.modules.get("torch")
        if torch is None or type(value) is not torch.Tensor or value.requires_grad:
            return NotImplemented
        if value.layout is not torch.strided or value.device.type != "cpu":
            return NotImplemented
        parts = value.untyped_storage(), value.dtype, value.storage_offset(), tuple(value.shape), value.stride()
        return _tensor, parts

    def persistent_id(self, value: Any) -> tuple[int, Parcel | None, int] | None:  # noqa: ANN401
        torch = sys.modules.get("torch")
        if torch is None or type(value) is not torch.UntypedStorage:
            return None
        key = value.data_ptr(), value.nbytes()
        # Storages of nothing all lie at 0, and share nothing.
        if value.nbytes() and key in self._numbers:
            return self._numbers[key], None, 0
        number, parcel = len(self._numbers), self._keep(value)
        self._numbers[key if value.nbytes() else (0, -number)] = number
        occurrence = 0
        if isinstance(parcel, str):
            occurrence = self._occurrences.get(parcel, 0)
            self._occurrences[parcel] = occurrence + 1
        return number, parcel, occurrence


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: io.BytesIO, load: Callable[[str, int], torch.UntypedStorage]) -> None:
        super().__init__(data)
        self._load = load
        self._storages: dict[int, torch.UntypedStorage] = {}

    def persistent_load(self, pid: tuple[int, Parcel | None, int]) -> torch.UntypedStorage:
        number, parcel, occurrence = pid
        if parcel is not None:
            loaded = self._load(parcel, occurrence) if isinstance(parcel, str) else _storage_of(parcel)
            self._storages[number] = loaded
        return self._storages[number]
