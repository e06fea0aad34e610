"""Inside what torch.export.save writes (.pt2): a zip of raw storages, with JSON that names the tensors on them.

`data/weights/model_weights_config.json` and `data/constants/model_constants_config.json` map a tensor's name to a
member and to its dtype, sizes, strides and offset in elements (numbers of dtypes as in torch's serialisation schema,
`ScalarType`).  The program and whatever is pickled are owned and not read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

from golfbudget.codecs.base import Buffer
from golfbudget.errors import CorruptError
from golfbudget.formats import zip_directory as zips
from golfbudget.formats.base import BYTE_ORDER, Contents, Region, unique
from golfbudget.formats.pickle.symbols import MOST_DIMENSIONS, MOST_ELEMENTS
from golfbudget.formats.storages import StorageView, by_storage, split_storage, stored_tensors
from golfbudget.ledger import Account, Role

_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_DTYPES = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64",
    10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16", 28: "uint16", 29: "float8_e4m3fn",
    30: "float8_e5m2", 31: "float8_e4m3fnuz", 32: "float8_e5m2fnuz", 33: "float8_e8m0fnu", 34: "uint32", 35: "uint64",
}  # fmt: skip


def read_export(data: Buffer, *, where: str) -> Contents | None:
    """Explain an archive of torch.export; None when it is a zip archive of another kind.  Raises `CorruptError`."""
    directory = zips.read_directory(data, where)
    roots = [m.name.removesuffix(_CONFIGS[0]) for m in directory.members if m.name.endswith(_CONFIGS[0])]
    if len(roots) != 1:
        return None
    members = {member.name.removeprefix(roots[0]): member for member in directory.members}
    notes: dict[str, None] = {"an archive of torch.export: its tensors are read, its program is not": None}
    taken: dict[str, int] = {}
    views: list[StorageView] = []
    for config in _CONFIGS:
        if config not in members:
            continue
        folder = config.rpartition("/")[0]
        for name, record in _records(data, members[config], where):
            view = _view(unique(name, taken), record, folder, where)
            member = None if view is None else members.get(view.key)
            if view is None or member is None or member.method != zips.STORED:
                notes[f"{name[:80]!r} is not stored as plain numbers of a known dtype; its bytes are not explained"] = (
                    None
                )
            elif view.extent().stop > member.decoded_length:
                raise CorruptError(
                    f"{where}: tensor {name[:80]!r} needs {view.extent().stop} bytes, its member {member.name!r} at "
                    f"byte {member.data.start} has {member.decoded_length}"
                )
            else:
                views.append(view)
    own, regions = by_storage(views), [Region(span=directory.end, account=Account.CONTAINER, label="[zip end record]")]
    for path, member in members.items():
        mine, label = own.get(path, []), f"[{path}]"
        regions += zips.member_overhead(member, mine[0].name if mine else None, "" if mine else label)
        if mine:
            regions += split_storage(member.data, mine, label)
        elif path.startswith("models/"):
            regions.append(Region(span=member.data, account=Account.SOURCE, name=label, label=label))
        else:
            account = Account.UNMAPPED if path.startswith("data/") and path not in _CONFIGS else Account.CONTAINER
            regions.append(Region(span=member.data, account=account, label=label))
    order = members.get("byteorder")
    big = order is not None and bytes(zips.member_bytes(data, order, where)) == b"big"
    starts: dict[str, int | None] = {path: member.data.start for path, member in members.items()}
    return Contents(
        format="torch-export",
        regions=tuple(zips.with_gaps(regions, len(data))),
        tensors=tuple(stored_tensors(views, starts)),
        values={BYTE_ORDER: "big"} if big else {},
        roles={region.name: Role.CODE for region in regions if region.account is Account.SOURCE and region.name},
        notes=tuple(notes),
    )


def _records(data: Buffer, member: zips.ZipMember, where: str) -> Iterator[tuple[str, dict[str, object]]]:
    try:
        listing = json.loads(bytes(zips.member_bytes(data, member, where)))
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{where}: {member.name!r} at byte {member.data.start} is not valid JSON: {error}") from None
    config = listing.get("config") if isinstance(listing, dict) else None
    if not isinstance(config, dict):
        raise CorruptError(f'{where}: {member.name!r} at byte {member.data.start} holds no object "config"')
    yield from ((name, record) for name, record in config.items() if isinstance(record, dict))


def _view(name: str, record: dict[str, object], folder: str, where: str) -> StorageView | None:
    """The window on its member that a record describes; None where it is pickled, or of an unknown dtype or size."""
    meta, path = record.get("tensor_meta"), record.get("path_name")
    if record.get("use_pickle") or not isinstance(meta, dict) or not isinstance(path, str):
        return None
    number = meta.get("dtype")
    dtype = _DTYPES.get(number) if isinstance(number, int) else None
    shape, strides, first = (
        _numbers(meta.get("sizes")),
        _numbers(meta.get("strides")),
        _numbers([meta.get("storage_offset")]),
    )
    if dtype is None or shape is None or strides is None or not first or len(shape) != len(strides):
        return None
    if math.prod(shape) >= MOST_ELEMENTS:
        raise CorruptError(f"{where}: tensor {name[:80]!r} claims more than {MOST_ELEMENTS - 1} elements")
    return StorageView(name=name, key=f"{folder}/{path}", dtype=dtype, shape=shape, strides=strides, first=first[0])


def _numbers(listed: object) -> tuple[int, ...] | None:
    """Whole numbers, each written as `{"as_int": n}`; None where one is symbolic or there are too many."""
    if not isinstance(listed, list) or len(listed) > MOST_DIMENSIONS:
        return None
    numbers = [item.get("as_int") if isinstance(item, dict) else None for item in listed]
    known = [number for number in numbers if type(number) is int and 0 <= number < MOST_ELEMENTS]
    return tuple(known) if len(known) == len(numbers) else None
