"""torch's tensors as its pickles spell them: windows on storages, and tensors that are made of other tensors.

Source: the `_rebuild_…` functions of `torch._utils` and the `__reduce_ex__` of `torch.Tensor`, none of which is called.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from golfbudget.dtypes import QUANTISED_DTYPES, STORAGE_DTYPES, named_packing, torch_packing
from golfbudget.errors import CorruptError
from golfbudget.formats.base import spelled
from golfbudget.formats.pickle import symbols
from golfbudget.formats.storages import StorageView

#: How often tensors are wrapped in one another; hostile ones wrap themselves.
MOST_WRAPPED = 64
_MOST_ARGUMENTS = 16
_UTILS = "torch._utils"
#: Wrappers whose first argument is the tensor.
_WRAPPERS = ("_rebuild_parameter", "_rebuild_parameter_with_state", "_rebuild_device_tensor_from_cpu_tensor")
_FROM_NUMPY = ("_rebuild_device_tensor_from_numpy", "_rebuild_xla_tensor")
#: The parts of compressed sparse tensors, by layout.
_ROWS, _COLUMNS = ("crow_indices", "col_indices", "values"), ("ccol_indices", "row_indices", "values")
_COMPRESSED = {
    "torch.sparse_csr": _ROWS, "torch.sparse_bsr": _ROWS, "torch.sparse_csc": _COLUMNS, "torch.sparse_bsc": _COLUMNS,
}  # fmt: skip
_Part = tuple[str, symbols.Node]


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchTensor:
    """A tensor: a window on a storage, an array of numpy's in the pickle, or an object made of `parts`.

    A window may have parts too (its scales, its attributes).  `shape` is what an object shows outwards, where it says
    so; `kind` is its class.  `absent` says that its data was not saved at all.
    """

    view: StorageView | None = None
    array: symbols.Call | None = None
    parts: tuple[_Part, ...] = ()
    shape: tuple[int, ...] | None = None
    kind: symbols.Global | None = None
    absent: bool = False


def torch_tensor(value: object, name: str, where: str) -> TorchTensor | None:
    """The tensor that a call would rebuild, or None when the value is no tensor.  Raises `CorruptError`."""
    try:
        return _tensor(value, name)
    except (IndexError, TypeError) as error:
        raise CorruptError(f"{where}: tensor {name!r} is not described as torch describes tensors: {error}") from None


def _tensor(value: object, name: str) -> TorchTensor | None:
    kind, state, array = None, [], None
    for _ in range(MOST_WRAPPED):
        if not isinstance(value, symbols.Call):
            return None
        spelling, function, arguments = str(value.function), value.function.name, value.arguments
        if spelling == symbols.REBUILT_BY_TYPE:
            target, kind, inner = arguments[0].value, _named(arguments[1]) or kind, arguments[2].value
            if not isinstance(target, symbols.Global) or not isinstance(inner, symbols.Sequenced):
                return None
            state += arguments[3:4]
            value = symbols.Call(target, inner.items)
        elif value.function.module == _UTILS and function in _WRAPPERS:
            state += arguments[3:4] if function.endswith("_with_state") else []
            value = arguments[0].value
        elif value.function.module == _UTILS and function in _FROM_NUMPY:
            array = arguments[0].value
            break
        else:
            break
    else:
        raise TypeError(f"it is wrapped more than {MOST_WRAPPED} times")
    attributes = tuple(part for node in state for part in _attributes(node))
    if isinstance(array, symbols.Call):
        return TorchTensor(array=array, parts=attributes, kind=kind)
    maker = _MAKERS.get(str(value.function))
    if maker is not None:
        made = maker(value, name)
    elif kind is None:
        return None
    else:
        # A function that its class brings along: what it is given is all there is to see.
        made = TorchTensor(parts=tuple(_given(value)), kind=kind)
    return TorchTensor(
        view=made.view, parts=made.parts + attributes, shape=made.shape, kind=made.kind or kind, absent=made.absent
    )


def _attributes(state: symbols.Node) -> Iterator[_Part]:
    dicts = symbols.state_dicts(state)
    if dicts is None:
        yield "[state]", state
        return
    for one in dicts:
        for key, child in one.items:
            yield spelled(key.value), child


def _given(call: symbols.Call) -> Iterator[_Part]:
    for number, node in enumerate(call.arguments[:_MOST_ARGUMENTS]):
        if isinstance(node.value, symbols.Mapped):
            yield from _attributes(node)
        else:
            yield str(number), node


def _named(node: symbols.Node) -> symbols.Global | None:
    return node.value if isinstance(node.value, symbols.Global) else None


# One function per call


def _window(call: symbols.Call, name: str) -> TorchTensor:
    function, arguments = call.function.name, [node.value for node in call.arguments[:_MOST_ARGUMENTS]]
    storage, first, shape, strides = arguments[0], arguments[1], sizes(arguments[2]), sizes(arguments[3])
    if (
        not isinstance(storage, symbols.Persistent)
        or not isinstance(first, int)
        or not 0 <= first < symbols.MOST_ELEMENTS
    ):
        raise TypeError("its storage or offset is not one")
    key, kind, base = storage_of(storage)
    dtype = STORAGE_DTYPES.get(kind.name) or QUANTISED_DTYPES.get(kind.name)
    known, block, held = dtype is not None, None, None
    if function == "_rebuild_tensor_v3" and isinstance(arguments[6], symbols.Global):
        dtype = spelled(arguments[6].name)
        block = torch_packing(dtype)
        known = block is not None
    elif dtype is None:
        dtype, held = spelled(kind.name), _held(storage)
    if len(shape) != len(strides):
        raise TypeError("it has as many strides as dimensions")
    if math.prod(shape) >= symbols.MOST_ELEMENTS:
        raise TypeError(f"it has at most {symbols.MOST_ELEMENTS - 1} elements")
    view = StorageView(
        name=name,
        key=key,
        dtype=dtype,
        shape=shape,
        strides=strides,
        first=first + (base or 0),
        block=block if block is not None and block != named_packing(dtype) else None,
        unknown=not known,
        held=held,
    )
    return TorchTensor(view=view)


def _quantised(call: symbols.Call, name: str) -> TorchTensor:
    """(storage, offset, size, stride, (scheme, scales, zero points[, axis]), …); one scale and zero are numbers."""
    scheme = call.arguments[4].value
    if not isinstance(scheme, symbols.Sequenced) or len(scheme.items) < 3:
        raise TypeError("its quantiser is a scheme, scales and zero points")
    names = ("scale", "zero_point") if len(scheme.items) == 3 else ("scales", "zero_points", "axis")
    parts = tuple(zip(names, scheme.items[1:], strict=False))
    return TorchTensor(view=_window(call, name).view, parts=parts)


def _sparse(call: symbols.Call, _name: str) -> TorchTensor:
    layout, data = call.arguments[0].value, call.arguments[1].value
    if not isinstance(data, symbols.Sequenced):
        raise TypeError("what it is made of is a tuple")
    spelling = layout.arguments[0].value if isinstance(layout, symbols.Call) and layout.arguments else None
    compressed = _COMPRESSED.get(spelling) if isinstance(spelling, str) else None
    names: tuple[str, ...] = compressed or ("indices", "values")
    shape = sizes(data.items[len(names)].value)
    return TorchTensor(parts=tuple(zip(names, data.items, strict=False)), shape=shape)


def _nested(call: symbols.Call, _name: str) -> TorchTensor:
    """A row of tensors of different shapes, one after another; it has no shape of its own."""
    names = ("values", "sizes", "strides", "storage_offsets")
    return TorchTensor(parts=tuple(zip(names, call.arguments, strict=False)))


def _absent(call: symbols.Call, _name: str) -> TorchTensor:
    return TorchTensor(shape=sizes(call.arguments[1].value), absent=True)


def _wrapped(call: symbols.Call, _name: str) -> TorchTensor:
    """An object without data of its own: (class, dtype, size, …); its tensors are in its state."""
    return TorchTensor(shape=sizes(call.arguments[2].value), kind=_named(call.arguments[0]))


_MAKERS: dict[str, Callable[[symbols.Call, str], TorchTensor]] = {
    **{f"{_UTILS} _rebuild_tensor{version}": _window for version in ("", "_v2", "_v3")},
    f"{_UTILS} _rebuild_qtensor": _quantised,
    f"{_UTILS} _rebuild_sparse_tensor": _sparse,
    f"{_UTILS} _rebuild_nested_tensor": _nested,
    f"{_UTILS} _rebuild_meta_tensor_no_storage": _absent,
    f"{_UTILS} _rebuild_wrapper_subclass": _wrapped,
}


# Storages and sizes


def storage_of(reference: symbols.Persistent) -> tuple[str, symbols.Global, int | None]:
    """(key, storage class, offset in elements of the view torch once wrote) of a reference to a storage.

    `TypeError` or `IndexError` when it is none.
    """
    kind, key = reference.arguments[1].value, reference.arguments[2].value
    if not isinstance(kind, symbols.Global) or not isinstance(key, str):
        raise TypeError("its storage has no type and name")
    if len(reference.arguments) > 5 and isinstance(reference.arguments[5].value, symbols.Sequenced):
        offset = reference.arguments[5].value.items[1].value
        if not isinstance(offset, int) or not 0 <= offset < symbols.MOST_ELEMENTS:
            raise TypeError("its storage is a view at no offset")
        return key, kind, offset
    return key, kind, None


def _held(reference: symbols.Persistent) -> int | None:
    """How many elements a reference says that its storage has."""
    count = reference.arguments[4].value if len(reference.arguments) > 4 else None
    return count if type(count) is int and 0 <= count < symbols.MOST_ELEMENTS else None


def sizes(value: object) -> tuple[int, ...]:
    """A shape or strides, in elements and not in bytes; `TypeError` when it is none."""
    if isinstance(value, symbols.Call) and value.function.name == "Size" and value.arguments:
        value = value.arguments[0].value
    return symbols.whole_numbers(value)
