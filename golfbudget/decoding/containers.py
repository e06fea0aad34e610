"""What a container holds, as `o`: the object that was saved, or the tensors by name.

Pickles are read with nothing but the names that the file uses, each by a stand-in; torch reads its own with
`weights_only`, which does the same.
"""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Callable, Mapping

from golfbudget.codecs.rans.decoding import has_columns
from golfbudget.decoding.loader import Held, Loader
from golfbudget.decoding.numbers import letter, reading, widened
from golfbudget.dtypes import STORAGE_DTYPES
from golfbudget.errors import CorruptError, UnsupportedError
from golfbudget.formats.pack import read_header, stream_table
from golfbudget.formats.zip_directory import member_bytes, read_directory
from golfbudget.repacking.decoders import pack_source
from golfbudget.repacking.saved_object import SavedObject

#: safetensors' names of dtypes, as its documentation lists them.
_SAFETENSORS = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "uint16": "U16", "int32": "I32", "uint32": "U32",
    "int64": "I64", "uint64": "U64", "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}  # fmt: skip
_SHAPED = {False: ("", ""), True: (",t", ",[b.itemsize*x for x in t]")}


def open_container(loader: Loader, held: Held) -> None:
    """Add what gives `o`; `UnsupportedError` for a container without a decoder here."""
    opener = _OPENERS.get(held.artifact.format)
    if opener is None or len(held.artifact.files) > 1:
        raise UnsupportedError(
            f"{held.artifact.path}: no decoder is written here for a {held.artifact.format} container of "
            f"{max(1, len(held.artifact.files))} files; known, in one file: {', '.join(_OPENERS)}"
        )
    opener(loader, held)


def _torch_zip(loader: Loader, held: Held) -> None:
    where = held.artifact.path
    members = read_directory(held.container, where).members
    (pickled,) = [member for member in members if member.name.endswith("/data.pkl")]
    names, texts, built = _scanned(bytes(member_bytes(held.container, pickled, where)), where)
    if not held.numpy:
        _torch_load(loader, texts)
        return
    root = pickled.name.removesuffix("data.pkl")
    known = _stand_ins(loader, held, names, built=built)
    loader.add(
        "import io,pickle,zipfile\n"
        "z=zipfile.ZipFile(io.BytesIO(d))\n"
        f"D={{{','.join(f'{name!r}:{made}' for name, made in sorted(known.items()))}}}\n"
        "class U(pickle.Unpickler):"
        f"persistent_load=lambda s,p:{reading(loader, held)}(z.read({root + 'data/'!r}+p[2]),p[1]);"
        "find_class=lambda s,m,k:D[k]\n"
        f"o=U(z.open({pickled.name!r})).load()\n"
    )


def _torch_legacy(loader: Loader, held: Held) -> None:
    if held.numpy:
        raise UnsupportedError(
            f"{held.artifact.path}: written by torch before 1.6, which numpy is not taught to read; try --with torch"
        )
    _torch_load(loader, {"cuda"})


def _torch_load(loader: Loader, texts: set[str]) -> None:
    """Tensors saved from an accelerator come back to the CPU; others need not be told."""
    elsewhere = any(text.startswith(("cuda", "mps", "xpu")) for text in texts)
    where = "'cpu'," if elsewhere else ""
    loader.add(f"import io\no=n.load(io.BytesIO(d),{where}weights_only=True)\n")


def _scanned(data: bytes, where: str) -> tuple[set[tuple[str, str]], set[str], bool]:
    """(module, name) of all that a pickle names, its short texts, and whether it sets attributes.

    Nothing is executed.  A memo's index is checked, since loading allocates whatever a file says there.
    """
    names, texts, built = set[tuple[str, str]](), set[str](), False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Odd escapes in old pickles are no concern of whoever reads the file.
        operations = list(pickletools.genops(data))
    for opcode, argument, at in operations:
        if opcode.name == "GLOBAL" and isinstance(argument, str):
            module, _, name = argument.partition(" ")
            names.add((module, name))
        elif opcode.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"):
            raise UnsupportedError(f"{where}: its pickle names what it calls by {opcode.name} at byte {at} of data.pkl")
        elif opcode.name.endswith("PUT") and isinstance(argument, int) and argument > len(data):
            raise CorruptError(f"{where}: its pickle keeps a value in place {argument} of its memo, at byte {at}")
        elif isinstance(argument, str) and len(argument) < 16:
            texts.add(argument)
        built = built or opcode.name == "BUILD"
    return names, texts, built


def _stand_ins(loader: Loader, held: Held, names: set[tuple[str, str]], *, built: bool) -> dict[str, str]:
    """What each name of a torch pickle becomes, in source; `UnsupportedError` for a name that is not known."""
    where = held.artifact.path
    strides, given = _SHAPED[not all(tensor.contiguous for tensor in held.artifact.tensors)]
    view = f"n.ndarray(s,b.dtype,b,o*b.itemsize{given})"
    made: dict[str, str] = {}
    for module, name in names:
        if module == "torch" and name.removesuffix("Storage") + "Storage" == name:
            made[name] = repr(letter(STORAGE_DTYPES.get(name, name), where))
        elif (module, name) == ("torch.storage", "UntypedStorage"):
            made[name] = "'B'"
        elif (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            made[name] = f"lambda b,o,s{strides},*_:{view}"
        elif (module, name) == ("torch._utils", "_rebuild_tensor_v3"):
            read = reading(loader, held)
            loader.define("E", f"def E(b,o,s,t,g,h,k,*_):b={read}(b,k);return {view}\n")
            made[name] = "E"
        elif (module, name) == ("torch._utils", "_rebuild_parameter"):
            made[name] = "lambda v,*_:v"
        elif (module, name) == ("collections", "OrderedDict"):
            # A plain dict has no place for the attributes that a state dict carries.
            made[name] = "collections.OrderedDict" if built else "dict"
            loader.add("import collections" if built else "")
        elif (module, name) == ("_codecs", "encode"):
            made[name] = "lambda s,e:s.encode(e)"
        elif (module, name) == ("torch", "Size"):
            made[name] = "tuple"
        elif module == "torch" and name in held.dtypes:
            made[name] = repr(letter(name, where))
        else:
            raise UnsupportedError(f"{where}: its pickle names {module}.{name}, without a decoder here for numpy")
    return made


def _safetensors(loader: Loader, held: Held) -> None:
    dtypes = held.dtypes
    loader.add("import json\nm=8+int.from_bytes(d[:8],'little');h=json.loads(d[8:m])\n")
    if any(name.startswith("__metadata__/") for name in held.artifact.values):
        loader.add("M=h.pop('__metadata__')")
    # A header may also say that there are none.
    elif b'"__metadata__"' in bytes(held.container[: 1 << 16]):
        loader.add("h.pop('__metadata__',0)")
    unknown = sorted(dtypes - _SAFETENSORS.keys())
    if unknown:
        raise UnsupportedError(f"{held.artifact.path}: it has tensors of {unknown[0]}, without a decoder here")
    kinds = {_SAFETENSORS[dtype]: repr(letter(dtype, held.artifact.path)) if held.numpy else f"n.{dtype}" for dtype in
             sorted(dtypes)}  # fmt: skip
    kind = f"{{{','.join(f'{name!r}:{made}' for name, made in kinds.items())}}}[v['dtype']]"
    if len(kinds) == 1:
        kind = next(iter(kinds.values()))
    if held.numpy:
        read = f"{reading(loader, held)}(d[m+a:m+b],{kind}).reshape(v['shape'])"
    else:
        read = f"n.frombuffer(bytearray(d[m+a:m+b]),dtype={kind}).view(v['shape'])"
        if any(tensor.elements == 0 for tensor in held.artifact.tensors):
            read = f"{read} if b>a else n.empty(v['shape'],dtype={kind})"
    loader.add(f"o={{}}\nfor k,v in h.items():a,b=v['data_offsets'];o[k]={read}\n")


def _npz(loader: Loader, held: Held) -> None:
    if held.numpy:
        loader.add("import io\no=dict(n.load(io.BytesIO(d)))\n")
    else:
        loader.add("import io,numpy\no={k:n.from_numpy(v)for k,v in numpy.load(io.BytesIO(d)).items()}\n")


def _pack(loader: Loader, held: Held) -> None:
    artifact = held.artifact
    streams = stream_table(held.container, artifact.path)
    header, _ = read_header(artifact.leaves[0].data, artifact.path)
    special: dict[str, str] = {}
    if held.numpy:
        letters = {piece.dtype: letter(piece.dtype, artifact.path) for piece in header.pieces if piece.dtype}
        special = {dtype: letters[dtype] for dtype in widened(letters)}
        reading(loader, held)
    coded = [held.container[part.start : part.stop] for codec, _, part in streams if codec == "rans"]
    saved = SavedObject(tree=header.tree, items=(), framework=str(held.framework))
    source = pack_source(
        saved,
        [codec for codec, _, _ in streams],
        shuffled=any(shuffled for _, shuffled, _ in streams),
        forms=[str(piece.form()[0]) for piece in header.pieces],
        trellis=any(map(has_columns, coded)),
        widened=special,
    )
    loader.add(source)


_OPENERS: Mapping[str, Callable[[Loader, Held], None]] = {
    "torch-zip": _torch_zip,
    "torch-legacy": _torch_legacy,
    "safetensors": _safetensors,
    "npz": _npz,
    "golfbudget-pack": _pack,
}
