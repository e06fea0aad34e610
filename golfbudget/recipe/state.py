"""Tensors of an opened artifact as torch tensors, copied from bytes; nothing is unpickled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from golfbudget.artifact import Artifact, Leaf
from golfbudget.errors import UnsupportedError, UsageError
from golfbudget.formats import BYTE_ORDER, StoredTensor
from golfbudget.formats.pack import read_header
from golfbudget.repacking.proof import decoded_tensors

#: Keys under which training scripts wrap a model's tensors, in the order in which one is chosen.
WRAPPERS = ("model_state_dict", "state_dict", "model", "module", "weights")


def read_tensors(artifact: Artifact, *, aliases: bool = False) -> dict[str, Tensor]:
    """Every stored tensor by its stored name, in file order; `UnsupportedError` for what torch cannot hold here.

    With `aliases`, further names of one tensor hold that very tensor; or else they are left out, as the head of a tied
    checkpoint is.
    """
    if artifact.values.get(BYTE_ORDER) == "big":
        raise UnsupportedError(f"{artifact.path}: the tensors are big-endian, and planning reads little-endian ones")
    if artifact.format == "golfbudget-pack":
        return _unpacked(artifact)
    found: dict[str, Tensor] = {}
    for leaf, tensor in artifact.placed():
        read = _read(artifact, leaf, tensor)
        found |= dict.fromkeys((tensor.name, *(tensor.aliases if aliases else ())), read)
    return found


def _unpacked(artifact: Artifact) -> dict[str, Tensor]:
    """The tensors of a pack as they were before it, in their own order of rows and their own dtype."""
    header, _ = read_header(artifact.leaves[0].data, artifact.path)
    every = dict(decoded_tensors(artifact, header))
    return {name: _made(*every[name]) for name in (tensor.name for tensor in artifact.tensors)}


def _made(dtype: str, shape: tuple[int, ...], data: bytes) -> Tensor:
    kind = getattr(torch, dtype)
    return torch.frombuffer(bytearray(data), dtype=kind).view(shape) if data else torch.empty(shape, dtype=kind)


def _read(artifact: Artifact, leaf: Leaf, tensor: StoredTensor) -> Tensor:
    dtype = getattr(torch, tensor.dtype, None)
    if not isinstance(dtype, torch.dtype) or tensor.offset is None:
        what = "its bytes are compressed inside the container" if tensor.offset is None else f"dtype {tensor.dtype}"
        raise UnsupportedError(f"{artifact.path}: tensor {tensor.name!r} cannot be loaded for planning: {what}")
    if tensor.elements == 0:
        return torch.empty(tensor.shape, dtype=dtype)
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    width = dtype.itemsize
    raw = bytearray(leaf.data[tensor.offset : tensor.offset + (last + 1) * width])
    flat = torch.frombuffer(raw, dtype=dtype)
    return flat.as_strided(tensor.shape, tensor.strides).clone(memory_format=torch.contiguous_format)


def checkpoint_state(artifact: Artifact) -> dict[str, Tensor]:
    """The model's tensors of a checkpoint, without the wrapper key that training scripts add.

    `UsageError` when the file holds no tensors, or several wrapped sets and none of a usual name.
    """
    tensors = read_tensors(artifact)
    if not tensors:
        raise UsageError(f"{artifact.path}: no tensors to plan for ({artifact.format}); give a checkpoint")
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        wrapper, slash, rest = name.partition("/")
        groups.setdefault(wrapper if slash else "", {})[rest if slash else name] = tensor
    for wrapper in WRAPPERS:
        if wrapper in groups:
            return groups[wrapper]
    if len(groups) == 1:
        return next(iter(groups.values()))
    some = ", ".join(repr(group) for group in sorted(groups)[:4])
    raise UsageError(
        f"{artifact.path}: tensors lie under {len(groups)} keys ({some} …), in no layout known to planning; expected a "
        f"state dict, alone or under one of {', '.join(WRAPPERS)}"
    )


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors: names, dtypes, shapes and bytes, in their order."""
    sha256 = hashlib.sha256()
    for name, tensor in tensors.items():
        sha256.update(f"{len(name)}:{name}:".encode() + _own_digest(tensor))
    return sha256.hexdigest()


#: Digests of tensors that were asked for before: most of a model's stay as they are from one file to the next.
_DIGESTS = WeakIdKeyDictionary()


def _own_digest(tensor: Tensor) -> bytes:
    known = _DIGESTS.get(tensor)
    # A version counts what was written into a tensor in place; those of inference mode have none.
    version = None if tensor.is_inference() else tensor._version  # noqa: SLF001
    if known is not None and version is not None and known[0] == version:
        return bytes(known[1])
    flat = tensor.detach().contiguous().flatten()
    sha256 = hashlib.sha256(f"{tensor.dtype}:{list(tensor.shape)}:".encode())
    if flat.numel():
        sha256.update(flat.view(torch.uint8).numpy().data)
    _DIGESTS[tensor] = (version, sha256.digest())
    return sha256.digest()
