"""Load a pickle of plain values and tensors, with exact types, where nothing but the names listed here resolves.

The readers of `formats` name every tensor without unpickling, but do not tell a list from a tuple or a dict from an
OrderedDict; to carry a container over, that must be known.  Torch's names resolve to inert stand-ins, numpy's to the
few of numpy's own that rebuild arrays; any other name stops the load.  The readers have vetted the pickle before.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from golfbudget.codecs import Buffer


class NotCarriedError(Exception):
    """The container holds something that a rebuilt one could not carry; the message says what."""


@dataclass(frozen=True, slots=True)
class Storage:
    """A torch storage by its key."""

    kind: str
    key: str


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A torch tensor: where it lies.  Compared by identity, as pickled objects are."""

    storage: Storage
    first: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str | None = None


class Size(tuple[int, ...]):
    """A torch.Size."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Kind:
    """A class of torch, by name only."""

    name: str


def _tensor(
    storage: object,
    first: object,
    shape: Sequence[int],
    strides: Sequence[int],
    *more: object,
    dtype: str | None = None,
) -> Window:
    gradient, hooks = (*more, False, None)[:2]
    if not isinstance(storage, Storage) or not isinstance(first, int):
        raise NotCarriedError("a tensor without a storage")
    if gradient or hooks or any(more[2:]):
        raise NotCarriedError("a tensor that requires gradients, or has hooks or metadata")
    return Window(storage, first, tuple(shape), tuple(strides), dtype)


def _tensor_v3(
    storage: object, first: object, shape: Sequence[int], strides: Sequence[int], gradient: object, hooks: object,
    dtype: object, *more: object,
) -> Window:  # fmt: skip
    if not isinstance(dtype, _Kind):
        raise NotCarriedError("a tensor of no dtype")
    return _tensor(storage, first, shape, strides, gradient, hooks, *more, dtype=dtype.name)


_NAMES: dict[tuple[str, str], Callable[..., object]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor_v3,
    ("torch", "Size"): Size,
}
_NUMPY = frozenset({"_reconstruct", "_frombuffer", "ndarray", "dtype"})
_NUMPY_MODULES = frozenset({
    "numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric",
})  # fmt: skip


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  (as the base class declares it)
        found = _NAMES.get((module, name))
        if found is not None:
            return found
        if (module, name) in {("_codecs", "encode"), ("builtins", "bytes"), ("__builtin__", "bytes")}:
            return _bytes
        if module in _NUMPY_MODULES and name in _NUMPY:
            return _numpys(name)
        if module in ("torch", "torch.storage") and name.isidentifier():
            return _Kind(name)
        raise NotCarriedError(f"values of {module[:80]}.{name[:80]}")

    def persistent_load(self, pid: Any) -> Storage:  # noqa: ANN401  (as the base class declares it)
        if not isinstance(pid, tuple) or len(pid) != 5 or not isinstance(pid[1], _Kind):
            raise NotCarriedError("a reference to something outside the pickle")
        return Storage(pid[1].name, str(pid[2]))


def _bytes(content: object = b"", encoding: object = "latin1") -> bytes:
    """What protocol 2 asks of `_codecs.encode` and `bytes`, for byte strings only."""
    if isinstance(content, str) and encoding in ("latin1", "latin-1"):
        return content.encode("latin-1")
    if isinstance(content, bytes):
        return content
    raise NotCarriedError("bytes that are computed")


def _numpys(name: str) -> object:
    """A function or class of numpy of that name, from where the installed version keeps it."""
    import numpy as np

    if name in ("ndarray", "dtype"):
        return {"ndarray": np.ndarray, "dtype": np.dtype}[name]
    core = "numpy._core" if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else "numpy.core"
    return getattr(import_module(f"{core}.{'multiarray' if name == '_reconstruct' else 'numeric'}"), name)


def unpickle(data: Buffer) -> object:
    """The value of a pickle, tensors as `Window` or numpy arrays.  `NotCarriedError` says what it also holds."""
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except NotCarriedError:
        raise
    except Exception as error:  # noqa: BLE001  (a pickle of stand-ins can raise anything)
        # Whatever a pickle makes of the stand-ins is its own doing: it is then not carried over.
        raise NotCarriedError(
            f"a pickle that does not load as plain values ({type(error).__name__}: {error})"
        ) from None
