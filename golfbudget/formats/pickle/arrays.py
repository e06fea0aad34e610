"""numpy's arrays, dtypes and scalars as pickles and .npy headers spell them; numpy itself is not needed.

Sources: the pickle state of `ndarray` and `dtype` in numpy's reference, and NEP 1 for the type strings.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from golfbudget.dtypes import DTYPE_BITS, element_bytes, has_whole_bytes
from golfbudget.errors import AS_OPAQUE, CorruptError, UnsupportedError
from golfbudget.formats.base import row_major, spelled
from golfbudget.formats.pickle import symbols
from golfbudget.formats.storages import StorageView

_DTYPES = {
    "b1": "bool", "i1": "int8", "i2": "int16", "i4": "int32", "i8": "int64", "u1": "uint8", "u2": "uint16",
    "u4": "uint32", "u8": "uint64", "f2": "float16", "f4": "float32", "f8": "float64", "c8": "complex64",
    "c16": "complex128",
}  # fmt: skip
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
_SCALARS = {
    "bool": "?", "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q",
    "uint64": "Q", "float16": "e", "float32": "f", "float64": "d", "complex64": "ff", "complex128": "dd",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Dtype:
    """A dtype under the field's name and whether its elements are big-endian."""

    name: str
    big: bool

    @property
    def width(self) -> int:
        """Bytes of an element."""
        return element_bytes(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArray:
    """An array and the literal that holds its elements; None where it has none and no literal either."""

    view: StorageView
    payload: symbols.ByteLiteral | None
    big: bool


def dtype_of(code: str) -> Dtype | None:
    """The dtype of a type string such as "<f4"; None when it is not numbers of a known width."""
    order, kind = (code[0], code[1:]) if code[:1] in ("<", ">", "|", "=") else ("=", code)
    name = _DTYPES.get(kind)
    return None if name is None else Dtype(name=name, big=order == ">" and DTYPE_BITS[name] > 8)


def strides_of(shape: tuple[int, ...], *, fortran: bool) -> tuple[int, ...]:
    """Element strides of an array stored whole, in C or Fortran order."""
    return row_major(shape[::-1])[::-1] if fortran else row_major(shape)


def array(call: symbols.Call, name: str, where: str) -> StoredArray | None:
    """The array that a call would rebuild, or None when it rebuilds none.

    `CorruptError` for a call that gives other things than numpy's do.
    """
    function = call.function
    try:
        if function.module in _MULTIARRAY and function.name == "_reconstruct":
            return _reconstructed(call, name, where)
        if function.module in _NUMERIC and function.name == "_frombuffer":
            return _from_buffer(call, name, where)
    except (IndexError, TypeError, ValueError) as error:
        raise CorruptError(f"{where}: array {name!r} is not described as numpy describes arrays: {error}") from None
    return None


def scalar(call: symbols.Call) -> object:
    """The number of a numpy scalar; the call's own name when its dtype holds no plain number."""
    if call.function.module not in _MULTIARRAY or call.function.name != "scalar" or len(call.arguments) < 2:
        return None
    described, content = call.arguments[0].value, call.arguments[1].value
    dtype = _dtype(described) if isinstance(described, symbols.Call) else None
    code = _SCALARS.get(dtype.name) if dtype is not None else None
    if dtype is None or code is None or not isinstance(content, (bytes, bytearray)) or len(content) != dtype.width:
        return call.function
    numbers = struct.unpack(f"{'>' if dtype.big else '<'}{code}", content)
    return complex(*numbers) if len(code) > 1 else numbers[0]


def _reconstructed(call: symbols.Call, name: str, where: str) -> StoredArray:
    """`_reconstruct` makes an empty array, whose state is (version,) shape, dtype, Fortran order, content."""
    state = call.state
    if not isinstance(state, symbols.Sequenced) or len(state.items) not in (4, 5):
        raise TypeError("its state is shape, dtype, order and content")
    shape, dtype, fortran, content = state.items[-4:]
    sizes = symbols.whole_numbers(shape.value)
    strides = strides_of(sizes, fortran=bool(fortran.value))
    return _checked(content, dtype, (sizes, strides), name, where)


def _from_buffer(call: symbols.Call, name: str, where: str) -> StoredArray:
    """`_frombuffer(content, dtype, shape, order[, axes])` of protocol 5; order "K" permutes the axes afterwards."""
    content, dtype, shape, order, *more = call.arguments
    sizes = symbols.whole_numbers(shape.value)
    if order.value not in ("C", "F", "K", "A"):
        raise TypeError("its order is C, F, A or K")
    strides = strides_of(sizes, fortran=order.value == "F")
    if order.value == "K" and more and more[0].value is not None:
        axes = symbols.whole_numbers(more[0].value)
        if sorted(axes) != list(range(len(sizes))):
            raise TypeError("its axes are a permutation")
        sizes, strides = tuple(sizes[axis] for axis in axes), tuple(strides[axis] for axis in axes)
    return _checked(content, dtype, (sizes, strides), name, where)


def _checked(
    content: symbols.Node,
    described: symbols.Node,
    layout: tuple[tuple[int, ...], tuple[int, ...]],
    name: str,
    where: str,
) -> StoredArray:
    shape, strides = layout
    dtype = _dtype(described.value)
    if dtype is None:
        raise UnsupportedError(
            f"{where}: array {name!r} has dtype {_spelling(described.value)}, which holds no plain numbers that are "
            f"read yet ({AS_OPAQUE})"
        )
    elements = math.prod(shape)
    if elements >= symbols.MOST_ELEMENTS:
        raise TypeError(f"it has at most {symbols.MOST_ELEMENTS - 1} elements")
    value, payload = content.value, content.payload
    # A byte string of Python 2 is read as text of as many characters; other text is no array's content.
    text = isinstance(value, str) and (payload is None or not payload.raw)
    if not isinstance(value, (bytes, bytearray, str)) or text or (value and payload is None):
        raise TypeError("its content is bytes that stand in the pickle")
    if len(value) != elements * dtype.width:
        raise CorruptError(
            f"{where}: array {name!r} {list(shape)} {dtype.name} needs {elements * dtype.width} bytes, the pickle "
            f"holds {len(value)} for it"
        )
    key = f"{name}/" if payload is None or not value else f"{payload.start}"
    view = StorageView(name=name, key=key, dtype=dtype.name, shape=shape, strides=strides)
    return StoredArray(view=view, payload=payload if value else None, big=dtype.big)


def _dtype(value: object) -> Dtype | None:
    """A dtype from `numpy.dtype(code, …)` and the state that holds its byte order."""
    if not isinstance(value, symbols.Call) or str(value.function) != "numpy dtype" or not value.arguments:
        return None
    code, state = value.arguments[0].value, value.state
    order = state.items[1].value if isinstance(state, symbols.Sequenced) and len(state.items) > 1 else "="
    if isinstance(code, symbols.Global):
        # Extension types of the ml_dtypes package: their class stands in place of the code.
        known = code.module.split(".")[0] == "ml_dtypes" and has_whole_bytes(code.name)
        return Dtype(name=code.name, big=order in (">", b">") and DTYPE_BITS[code.name] > 8) if known else None
    if not isinstance(code, (str, bytes)):
        return None
    found = dtype_of(spelled(code) if isinstance(code, str) else code[:8].decode("latin-1"))
    if found is None or found.big or order not in (">", b">"):
        return found
    return Dtype(name=found.name, big=found.width > 1)


def _spelling(value: object) -> str:
    """A dtype for a message, short whatever the file says."""
    if not isinstance(value, symbols.Call) or not value.arguments:
        return "unknown"
    code = value.arguments[0].value
    return code.spelled if isinstance(code, symbols.Global) else repr(spelled(code)[:40])
