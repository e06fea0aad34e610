"""Load a pickle of plain values and tensors, with exact types, where nothing but the names listed here resolves.

The readers of `formats` name every tensor without unpickling, but do not tell a list from a tuple or a dict from an
OrderedDict; to carry a container over, that must be known.  Names of torch and of numpy resolve to inert stand-ins;
any other name stops the load.  Nothing of numpy's own is called: its dtypes believe a pickled state that makes bytes
of the file into pointers, which are followed when the array dies.  The machine is the one written in Python: it keeps
its memo in a dict, where the other one allocates whatever index a file names, and lets every opcode that sets
attributes be replaced, since with those a file could change the stand-ins themselves.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from golfbudget.codecs import Buffer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
    if not isinstance(storage, Storage) or type(first) is not int or first < 0:
        raise NotCarriedError("a tensor without a storage")
    if not all(type(size) is int and size >= 0 for size in (*shape, *strides)) or len(shape) != len(strides):
        raise NotCarriedError("a tensor of no shape")
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


class _Dtype:
    """A numpy dtype of plain numbers, by its type string and byte order."""

    def __init__(self, code: object = None, *_more: object) -> None:
        if not isinstance(code, str) or not _PLAIN.fullmatch(code):
            raise NotCarriedError("arrays of something else than plain numbers")
        self.code = code.lstrip("<>=|")
        self.order = code[0] if code[0] in "<>" else "<"

    def build(self, state: object) -> None:
        """The state of a plain dtype: a version, its byte order, and nothing of fields, sizes or flags."""
        known, plain = ("<", ">", "|", "="), (None, None, None, -1, -1, 0)
        if not isinstance(state, tuple) or len(state) != 8 or state[2:] != plain or state[1] not in known:
            raise NotCarriedError("a dtype that is no plain number's")
        self.order = ">" if state[1] == ">" else "<"


class PickledArray:
    """A numpy array as the pickle describes it: content, dtype and order; `rebuilt` makes the array."""

    def __init__(self) -> None:
        self.described: tuple[object, object, object, object] | None = None

    def build(self, state: object) -> None:
        """The state of an array: a version, shape, dtype, whether in Fortran's order, and content.

        `NotCarriedError` for another.
        """
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise NotCarriedError("an array without its content")
        shape, dtype, fortran, content = state[-4:]
        self.described = (content, dtype, shape, "F" if fortran is True else "C")

    def rebuilt(self) -> NDArray[np.generic]:
        """The array in its own shape, from checked parts only.  `NotCarriedError` where they do not fit together."""
        import numpy as np

        content, dtype, shape, order = self.described or (None, None, None, None)
        if not isinstance(content, (bytes, bytearray)) or not isinstance(dtype, _Dtype) or order not in ("C", "F"):
            raise NotCarriedError("an array without its content, or in an order that is not its own")
        if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
            raise NotCarriedError("an array of no shape")
        plain = np.dtype(dtype.order + dtype.code)
        if math.prod(shape) * plain.itemsize != len(content):
            raise NotCarriedError("an array whose content is not as long as its shape says")
        return np.frombuffer(bytes(content), dtype=plain).reshape(shape, order="F" if order == "F" else "C")


def _reconstruct(*_arguments: object) -> PickledArray:
    return PickledArray()


def _from_buffer(content: object, dtype: object, shape: object, order: object, *_axes: object) -> PickledArray:
    made = PickledArray()
    made.described = (content, dtype, shape, order)
    return made


_PLAIN = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f[248]|c8|c16)", re.ASCII)
_NAMES: dict[tuple[str, str], Callable[..., object]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor_v3,
    ("torch", "Size"): Size,
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): PickledArray,
    **dict.fromkeys(((f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")), _reconstruct),
    **dict.fromkeys(((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")), _from_buffer),
}


class _Unpickler(pickle._Unpickler):  # noqa: SLF001  (the same class, written in Python)
    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)  # noqa: SLF001
    stack: list[object]

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  (as the base class declares it)
        replacement = _NAMES.get((module, name))
        if replacement is not None:
            return replacement
        if (module, name) in {("_codecs", "encode"), ("builtins", "bytes"), ("__builtin__", "bytes")}:
            return _bytes
        if module in ("torch", "torch.storage") and name.isidentifier():
            return _Kind(name)
        raise NotCarriedError(f"values of {module[:80]}.{name[:80]}")

    def persistent_load(self, pid: Any) -> Storage:  # noqa: ANN401  (as the base class declares it)
        if not isinstance(pid, tuple) or len(pid) != 5 or not isinstance(pid[1], _Kind) or type(pid[2]) is not str:
            raise NotCarriedError("a reference to something outside the pickle")
        return Storage(pid[1].name, pid[2])

    def build(self) -> None:
        """The opcode that sets what an object holds: for arrays, dtypes, and the attributes of an OrderedDict only."""
        state = self.stack.pop()
        built = self.stack[-1]
        if isinstance(built, _Dtype | PickledArray):
            built.build(state)
        elif type(built) is OrderedDict and isinstance(state, dict) and all(type(key) is str for key in state):
            vars(built).update(state)
        else:
            raise NotCarriedError(f"a {type(built).__name__} whose attributes are set")

    dispatch[pickle.BUILD[0]] = build


def _bytes(content: object = b"", encoding: object = "latin1") -> bytes:
    """What protocol 2 asks of `_codecs.encode` and `bytes`, for byte strings only."""
    if isinstance(content, str) and encoding in ("latin1", "latin-1"):
        return content.encode("latin-1")
    if isinstance(content, bytes):
        return content
    raise NotCarriedError("bytes that are computed")


def unpickle(data: Buffer) -> object:
    """The value of a pickle, tensors as `Window` or `PickledArray`.  `NotCarriedError` says what it also holds."""
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except NotCarriedError:
        raise
    except Exception as error:  # noqa: BLE001  (a pickle of stand-ins can raise anything)
        # Whatever a pickle makes of the stand-ins is its own doing: it is then not carried over.
        reason = f"{type(error).__name__}: {error}"
        raise NotCarriedError(f"a pickle that does not load as plain values ({reason})") from None
