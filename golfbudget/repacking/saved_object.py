"""What a container holds, in a form that any container could hold: a tree of values, and the pieces it refers to.

Only what can be carried over whole is taken; `NotCarriedError` says what stands in the way.
"""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from golfbudget.artifact import Artifact
from golfbudget.codecs import Buffer
from golfbudget.dtypes import STORAGE_DTYPES, element_bytes, has_whole_bytes
from golfbudget.formats import BYTE_ORDER
from golfbudget.formats.base import row_major
from golfbudget.formats.pack import Piece, PieceRef, named
from golfbudget.formats.zip_directory import ZipMember, member_bytes, read_directory
from golfbudget.ledger import Account
from golfbudget.repacking.unpickle import NotCarriedError, PickledArray, Size, Window, unpickle

#: Frameworks whose decoder makes tensors of the pieces.
TORCH, NUMPY = "torch", "numpy"
_KEYS = (str, int, float, bool, type(None))
#: Complex numbers and storages without a type of their own are not rebuilt.
_STORAGES = {k: d for k, d in STORAGE_DTYPES.items() if k != "UntypedStorage" and not d.startswith("complex")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A piece and its bytes; `name` is the first that the tree gives it."""

    name: str
    piece: Piece
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedObject:
    """A tree as in a pack's header, its pieces in tree order, and the framework that its tensors are of."""

    tree: object
    items: tuple[Item, ...]
    framework: str


def saved_object(artifact: Artifact, container: Buffer) -> SavedObject:
    """Everything that an opened artifact with these container bytes holds.  `NotCarriedError` where not all can go."""
    for part in artifact.parts:
        if part.account is Account.UNMAPPED and (part.stored_bits or part.span):
            raise NotCarriedError(f"bytes that no reader explains {part.label}")
    if artifact.values.get(BYTE_ORDER, "little") != "little":
        raise NotCarriedError("big-endian numbers")
    if not artifact.tensors:
        raise NotCarriedError("no tensors")
    taker = _TAKERS.get(artifact.format)
    if taker is None:
        raise NotCarriedError(f"a {artifact.format} container, which is not rebuilt yet")
    try:
        made = taker(artifact, container)
        _check(made, artifact)
    except RecursionError:
        raise NotCarriedError("values that nest too deep") from None
    return made


def _check(made: SavedObject, artifact: Artifact) -> None:
    """The reader's own account of tensors and values must be the same, name by name."""
    try:
        leaves = list(named(made.tree))
    except ValueError as error:
        raise NotCarriedError(str(error)) from None
    values = {name: item for name, item in leaves if not isinstance(item, PieceRef)}
    pieces = {name: made.items[item.piece] for name, item in leaves if isinstance(item, PieceRef)}
    values |= {name: item.data for name, item in pieces.items() if not item.piece.dtype}
    expected = {name: value for name, value in artifact.values.items() if name != BYTE_ORDER}
    if not same_values(values, expected):
        raise NotCarriedError("values that are not plain ones")
    tensors = {name for name, item in pieces.items() if item.piece.dtype}
    if tensors != {name for tensor in artifact.tensors for name in (tensor.name, *tensor.aliases)}:
        raise NotCarriedError("tensors where only its reader finds them")


def same_values(ones: Mapping[str, object], others: Mapping[str, object]) -> bool:
    """Whether names, types and values agree; numbers to the last bit, as they are spelled."""
    return ones.keys() == others.keys() and all(
        type(value) is type(others[name]) and repr(value) == repr(others[name]) for name, value in ones.items()
    )


@dataclass(slots=True)
class _Taker:
    """Turns loaded values into a tree; `cut` gives the bytes of a tensor."""

    cut: Callable[[object, str], tuple[Piece, bytes] | None]
    items: list[Item] = field(default_factory=list)
    placed: dict[object, int] = field(default_factory=dict)
    entered: dict[int, object] = field(default_factory=dict)

    def tree(self, value: object, name: str) -> object:
        if value is None or isinstance(value, (bool, str)) or type(value) in (int, float):
            return value
        if isinstance(value, bytes):
            return self.put(Piece(dtype="", shape=(len(value),)), value, name, None)
        if isinstance(value, (dict, list, tuple)):
            if value and id(value) in self.entered:
                raise NotCarriedError(f"one {type(value).__name__} at two places, the second {name[:80]!r}")
            self.entered[id(value)] = value
            return self.nested(value, name)
        cut = self.cut(value, name)
        if cut is None:
            raise NotCarriedError(f"a value of type {type(value).__name__} at {name[:80]!r}")
        window = (value.storage.key, value.first, value.shape, cut[0].dtype) if isinstance(value, Window) else None
        return self.put(*cut, name, window if math.prod(cut[0].shape) else None)

    def put(self, piece: Piece, data: bytes, name: str, place: object) -> object:
        if place is not None and place in self.placed:
            return {"": self.placed[place]}
        if place is not None:
            self.placed[place] = len(self.items)
        self.items.append(Item(name=name, piece=piece, data=data))
        return {"": len(self.items) - 1}

    def nested(self, value: dict[object, object] | list[object] | tuple[object, ...], name: str) -> object:
        if isinstance(value, dict):
            return self.mapping(value, name)
        if type(value) not in (list, tuple, Size):
            raise NotCarriedError(f"a value of type {type(value).__name__} at {name[:80]!r}")
        items = [self.tree(item, f"{name}/{number}".lstrip("/")) for number, item in enumerate(value)]
        return items if isinstance(value, list) else {"": ["s" if isinstance(value, Size) else "t", items]}

    def mapping(self, value: dict[object, object], name: str) -> object:
        if type(value) not in (dict, OrderedDict):
            raise NotCarriedError(f"a value of type {type(value).__name__} at {name[:80]!r}")
        if not all(type(key) in _KEYS for key in value):
            raise NotCarriedError(f"a dict whose keys are not text or numbers at {name[:80]!r}")
        pairs = [(key, self.tree(child, f"{name}/{key}".lstrip("/"))) for key, child in value.items()]
        if isinstance(value, OrderedDict):
            # The version of each module, which state_dict() leaves on the dict and readers do not list.
            if set(vars(value)) - {"_metadata"}:
                raise NotCarriedError(f"an OrderedDict with attributes at {name[:80]!r}")
            state = _metadata(vars(value).get("_metadata"))
            return {"": ["o", [list(pair) for pair in pairs], *([] if state is None else [state])]}
        if all(type(key) is str for key in value) and "" not in value:
            return dict(pairs)
        return {"": ["d", [list(pair) for pair in pairs]]}


def _metadata(state: object) -> object:
    """`_metadata` of a state dict as plain pairs; None where there is none."""
    if state is None:
        return None
    pairs = [[key, value] for key, value in state.items()] if isinstance(state, OrderedDict) else [[0, 0]]
    plain = json.loads(json.dumps(pairs, default=str))
    if plain != pairs or any(type(k) is not str or type(v) is not dict for k, v in pairs):
        raise NotCarriedError("metadata of a state dict that are no plain numbers by module")
    return pairs


# One function per container


def _torch_zip(artifact: Artifact, container: Buffer) -> SavedObject:
    where = artifact.path
    directory = read_directory(container, where)
    (pickled,) = [member for member in directory.members if member.name.endswith("/data.pkl")]
    root = pickled.name.removesuffix("data.pkl")
    storages = {member.name.removeprefix(f"{root}data/"): member for member in directory.members}
    known = ("data.pkl", "byteorder", "version", ".format_version", ".storage_alignment", ".data/serialization_id")
    others = [m.name for m in directory.members if not m.name.startswith(f"{root}data/")]
    extra = [name for name in others if name.removeprefix(root) not in known]
    if extra:
        raise NotCarriedError(f"the zip member {extra[0][:80]!r}")
    value = unpickle(member_bytes(container, pickled, where))

    def cut(value: object, name: str) -> tuple[Piece, bytes] | None:
        if not isinstance(value, Window):
            return None
        member = storages.get(value.storage.key)
        dtype = value.dtype or _STORAGES.get(value.storage.kind)
        if member is None or dtype is None or not has_whole_bytes(dtype):
            raise NotCarriedError(f"a tensor of {value.storage.kind} at {name[:80]!r}")
        return Piece(dtype=dtype, shape=value.shape), _window(value, member, dtype, container, where)

    taker = _Taker(cut)
    tree = taker.tree(value, "")
    if not isinstance(value, (dict, list, tuple)):
        raise NotCarriedError("one tensor by itself")
    _overlaps(artifact)
    return SavedObject(tree=tree, items=tuple(taker.items), framework=TORCH)


def _window(value: Window, member: ZipMember, dtype: str, container: Buffer, where: str) -> bytes:
    """The elements of a tensor that lies in one run; others are not carried, since their strides would be lost."""
    whole = zip(value.shape, value.strides, row_major(value.shape), strict=True)
    if math.prod(value.shape) and any(size != 1 and stride != expected for size, stride, expected in whole):
        raise NotCarriedError("a tensor that is no single run of its storage (transposed or sliced)")
    width = element_bytes(dtype)
    raw = member_bytes(container, member, where)
    data = bytes(raw[value.first * width : (value.first + math.prod(value.shape)) * width])
    if len(data) != width * math.prod(value.shape):
        raise NotCarriedError("a tensor beyond its storage")
    return data


def _overlaps(artifact: Artifact) -> None:
    """Tensors that share some bytes, but not all, would lose that; the same window twice is an alias and is kept."""
    for leaf in artifact.leaves:
        tensors = (tensor for tensor in leaf.contents.tensors if tensor.stored_bytes)
        spans = sorted((t.offset, t.offset + t.stored_bytes) for t in tensors if t.offset is not None)
        if any(before[1] > after[0] for before, after in pairwise(spans)):
            raise NotCarriedError("tensors that share part of their bytes")


def _pickle(_artifact: Artifact, container: Buffer) -> SavedObject:
    def cut(value: object, name: str) -> tuple[Piece, bytes] | None:
        if not isinstance(value, PickledArray):
            return None
        array = value.rebuilt()
        dtype = array.dtype.name
        if not has_whole_bytes(dtype):
            raise NotCarriedError(f"an array of {dtype} at {name[:80]!r}")
        if not array.flags.c_contiguous or array.dtype.byteorder == ">":
            raise NotCarriedError(f"an array in another order than rows, or big-endian, at {name[:80]!r}")
        return Piece(dtype=dtype, shape=array.shape), array.tobytes()

    value = unpickle(container)
    if not isinstance(value, (dict, list, tuple)):
        raise NotCarriedError("one array by itself")
    taker = _Taker(cut)
    tree = taker.tree(value, "")
    return SavedObject(tree=tree, items=tuple(taker.items), framework=NUMPY)


def _by_name(artifact: Artifact, _container: Buffer) -> SavedObject:
    """Safetensors and npz: a flat dict of tensors, with safetensors' metadata beside them."""
    tree: dict[str, object] = {}
    items: list[Item] = []
    for leaf, tensor in artifact.placed():
        if tensor.offset is None or not tensor.contiguous or not has_whole_bytes(tensor.dtype) or not tensor.name:
            raise NotCarriedError(f"the tensor {tensor.name[:80]!r}, which is not stored in rows of whole bytes")
        data = bytes(leaf.data[tensor.offset : tensor.offset + tensor.stored_bytes])
        tree[tensor.name] = {"": len(items)}
        items.append(Item(name=tensor.name, piece=Piece(dtype=tensor.dtype, shape=tensor.shape), data=data))
    metadata = {name.removeprefix(_METADATA): value for name, value in artifact.values.items() if name != BYTE_ORDER}
    if metadata:
        tree["__metadata__"] = metadata
    framework = TORCH if artifact.format == "safetensors" else NUMPY
    return SavedObject(tree=tree, items=tuple(items), framework=framework)


_METADATA = "__metadata__/"
_TAKERS: Mapping[str, Callable[[Artifact, Buffer], SavedObject]] = {
    "torch-zip": _torch_zip,
    "pickle": _pickle,
    "safetensors": _by_name,
    "npz": _by_name,
}
