"""Proof that a packed file holds what the original holds: it is opened by the ordinary reader and compared in full."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from golfbudget.artifact import Artifact, open_bytes
from golfbudget.artifact.peel import Allowance, innermost, peel
from golfbudget.codecs import DECODED_LIMIT, Buffer
from golfbudget.errors import CorruptError
from golfbudget.formats import BYTE_ORDER, StoredTensor
from golfbudget.formats.pack import WIDE, Header, PieceRef, named, read_header, stream_table
from golfbudget.repacking.saved_object import SavedObject, same_values


def prove_same_container(data: bytes, container: Buffer, *, where: str) -> None:
    """The packed file must decode to the container's very bytes; `CorruptError` otherwise."""
    steps, _ = peel(data, where=f"{where}, repacked", allowance=Allowance(DECODED_LIMIT))
    if bytes(innermost(data, steps)) != bytes(container):
        raise CorruptError(f"{where}: the repacked file does not decode to the same container; nothing is written")


def prove_rebuilt(data: bytes, original: Artifact, held: SavedObject, *, where: str) -> None:
    """Every tensor (name, dtype, shape, bytes) and every value must be found again, and the same nesting.

    `CorruptError` otherwise.
    """
    again = open_bytes(data, name=f"{where}, repacked")
    leaves = {leaf.name: leaf.data for leaf in again.leaves}
    header, _ = read_header(leaves["stream 0"], where)
    if len(stream_table(data, where)) != len(leaves):
        raise CorruptError(f"{where}: the repacked file has other streams than its directory lists")
    rebuilt = dict(decoded_tensors(again, header))
    expected = dict(decoded_tensors(original, None))
    for name in rebuilt.keys() | expected.keys():
        if rebuilt.get(name) != expected.get(name):
            raise CorruptError(
                f"{where}: tensor {name[:80]!r} of the repacked file is not the original's; nothing is written"
            )
    values = {name: value for name, value in again.values.items() if not name.startswith(WIDE)}
    before = {name: value for name, value in original.values.items() if name != BYTE_ORDER}
    if not same_values(values, before):
        raise CorruptError(f"{where}: values of the repacked file are not the original's; nothing is written")
    names = {item.piece: name for name, item in reversed(list(named(header.tree))) if isinstance(item, PieceRef)}
    if _spelled(header.tree, names) != _spelled(held.tree, {n: item.name for n, item in enumerate(held.items)}):
        raise CorruptError(f"{where}: the nesting of the repacked file is not the original's; nothing is written")


def _spelled(tree: object, names: Mapping[int, str]) -> str:
    """A tree as text, references by name, so that the order of pieces does not matter."""

    def named_tree(value: object) -> object:
        if isinstance(value, list):
            return [named_tree(item) for item in value]
        if not isinstance(value, dict):
            return value
        special = value.get("")
        if isinstance(special, int):
            return {"": names[special]}
        if isinstance(special, list):
            return {"": [special[0], named_tree(special[1]), *special[2:]]}
        return {key: named_tree(item) for key, item in value.items()}

    return json.dumps(named_tree(tree))


def decoded_tensors(
    artifact: Artifact, header: Header | None
) -> Iterator[tuple[str, tuple[str, tuple[int, ...], bytes]]]:
    """(name, (dtype, shape, bytes)) of every tensor under all its names, a pack's decoded.

    `CorruptError` for one whose bytes are not in one piece.
    """
    forms = {}
    if header is not None:
        forms = {name: header.pieces[item.piece] for name, item in named(header.tree) if isinstance(item, PieceRef)}
    orders = {} if header is None else _orders(artifact, header)
    for leaf, tensor in artifact.placed():
        if tensor.offset is None or not tensor.contiguous:
            raise CorruptError(f"{artifact.path}: tensor {tensor.name[:80]!r} cannot be read in place")
        data = bytes(leaf.data[tensor.offset : tensor.offset + tensor.stored_bytes])
        dtype = tensor.dtype
        piece = forms.get(tensor.name)
        if piece is not None and piece.rows is not None:
            data = _unsorted(data, orders[piece.rows])
        if piece is not None and piece.wide is not None:
            data, dtype = _widened(data, tensor), piece.wide
        for name in (tensor.name, *tensor.aliases):
            yield name, (dtype, tensor.shape, data)


def _orders(artifact: Artifact, header: Header) -> dict[int, bytes]:
    """The bytes of every order of rows; they are pieces, not tensors."""
    starts: dict[int, bytes] = {}
    wanted = {piece.rows for piece in header.pieces if piece.rows is not None}
    number = 0
    for at, count in enumerate(header.counts):
        leaf = next(leaf for leaf in artifact.leaves if leaf.name == f"stream {at}")
        offset = len(leaf.data) - sum(piece.length for piece in header.pieces[number : number + count])
        for index in range(number, number + count):
            stop = offset + header.pieces[index].length
            if index in wanted:
                starts[index] = bytes(leaf.data[offset:stop])
            offset = stop
        number += count
    return starts


def _unsorted(data: bytes, order: bytes) -> bytes:
    import numpy as np

    places = np.frombuffer(order, dtype="<u2")
    table = np.frombuffer(data, dtype=np.uint8).reshape(len(places), -1)
    if sorted(places.tolist()) != list(range(len(places))):
        raise CorruptError("an order of rows is no permutation")
    out = np.empty_like(table)
    out[places] = table
    return out.tobytes()


def _widened(data: bytes, tensor: StoredTensor) -> bytes:
    import numpy as np

    if tensor.dtype == "float16":
        return np.frombuffer(data, dtype="<f2").astype("<f4").tobytes()
    return (np.frombuffer(data, dtype="<u2").astype("<u4") << 16).astype("<u4").tobytes()
