"""Formats that are known by name and not read: their bytes are counted as `unmapped`, and a note says what they are.

Each has what it is, in words, and what to do about it.  Recognising one is cheap, and by content wherever its files
have a signature; the others are named by their suffix and a first byte that fits.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import ClassVar

from golfbudget.codecs.base import Buffer, Sniff
from golfbudget.formats.base import EMPTY_ZIP, ZIP, Contents, Region
from golfbudget.ledger import Account, Span
from golfbudget.registry import Registry

#: Where a zip's directory is looked for a member's name.
_TAIL = 1 << 16


class Unread:
    """A format with a signature at `at`, or only a suffix and the bytes with which its files may begin.

    With `by_name` the suffix goes before the formats that are read: the files begin like one of theirs.
    """

    name: ClassVar[str]
    what: ClassVar[str]
    advice: ClassVar[str] = ""
    suffixes: tuple[str, ...] = ()
    signatures: ClassVar[tuple[bytes, ...]] = ()
    at: ClassVar[int] = 0
    first: ClassVar[bytes] = b""
    by_name: ClassVar[bool] = False

    def sniff(self, data: Buffer) -> Sniff:
        own = any(bytes(data[self.at : self.at + len(sign)]) == sign for sign in self.signatures)
        return Sniff.SURE if own else Sniff.NO

    def read(self, data: Buffer, *, where: str) -> Contents:
        """One region of bytes that nothing explains."""
        del where
        region = Region(span=Span(0, len(data)), account=Account.UNMAPPED, label=f"[{self.name}]")
        return Contents(format=self.name, regions=(region,), notes=(self.sentence,))

    def fits(self, data: Buffer) -> bool:
        """Whether a file whose suffix names this format may be one."""
        return self.sniff(data) is Sniff.SURE or bytes(data[:1]) in {bytes((byte,)) for byte in self.first}

    @property
    def sentence(self) -> str:
        """What it is, that it is not read, and what to do."""
        return f"{self.what}, which is not read{': ' if self.advice else ''}{self.advice}"


#: Apart from the formats that are read, so that none can be asked for.
_UNREAD: Registry[Unread] = Registry("format that is not read")
register = _UNREAD.register


@register
class Hdf5(Unread):
    """https://support.hdfgroup.org, file format specification: the superblock's signature."""

    name = "hdf5"
    what = "an HDF5 file, as Keras and TensorFlow write weights"
    advice = "save the weights as safetensors"
    suffixes = (".h5", ".hdf5")
    signatures = (b"\x89HDF\r\n\x1a\n",)


@register
class Keras(Unread):
    """A zip archive with the weights in HDF5: https://keras.io, serialization and saving."""

    name = "keras"
    what = "a Keras model: a zip archive with its weights in HDF5"
    advice = "save the weights as safetensors"
    suffixes = (".keras",)

    def sniff(self, data: Buffer) -> Sniff:
        own = bytes(data[:4]) == ZIP and b".weights.h5" in bytes(data[-_TAIL:])
        return Sniff.SURE if own else Sniff.NO


#: A model's first fields in protobuf: the version of the format, and who made it.
_VERSION, _PRODUCER = 0x08, 0x12
_NEWEST_VERSION = 64


@register
class Onnx(Unread):
    """Protobuf without a signature (https://onnx.ai, IR specification): a version, then most often a producer."""

    name = "onnx"
    what = "an ONNX file"
    advice = "inspect the checkpoint that it was exported from"
    suffixes = (".onnx",)
    first = bytes((_VERSION, 0x3A))

    def sniff(self, data: Buffer) -> Sniff:
        head = bytes(data[:64])
        if len(head) < 8 or head[0] != _VERSION or not 1 <= head[1] <= _NEWEST_VERSION or head[2] != _PRODUCER:
            return Sniff.NO
        producer = head[4 : 4 + head[3]]
        sure = 3 <= head[3] <= len(head) - 4 and all(32 < byte < 127 for byte in producer)
        return Sniff.SURE if sure else Sniff.NO


@register
class FlaxMsgpack(Unread):
    """A msgpack map of arrays, which has no signature."""

    name = "flax-msgpack"
    what = "a Flax checkpoint in msgpack"
    advice = "save the weights as safetensors"
    suffixes = (".msgpack",)
    first = bytes((*range(0x81, 0x90), 0xDE, 0xDF))


@register
class SavedModel(Unread):
    """Protobuf without a signature; the weights lie beside it."""

    name = "saved-model"
    what = "a TensorFlow graph in protobuf"
    advice = "save the weights as safetensors"
    suffixes = (".pb",)
    first = bytes((_VERSION, 0x0A))


@register
class TfLite(Unread):
    """A flatbuffer with the file identifier of TensorFlow Lite's schema."""

    name = "tflite"
    what = "a TensorFlow Lite file"
    advice = "inspect the checkpoint that it was exported from"
    suffixes = (".tflite",)
    signatures = (b"TFL3",)
    at = 4


@register
class CoreMl(Unread):
    """Protobuf without a signature: the specification's version comes first."""

    name = "coreml"
    what = "a Core ML model"
    advice = "inspect the checkpoint that it was exported from"
    suffixes = (".mlmodel",)
    first = bytes((_VERSION,))


@register
class Ggml(Unread):
    """What llama.cpp read before GGUF: three magics, as little-endian words."""

    name = "ggml"
    what = "a GGML file from before GGUF"
    advice = "convert it to GGUF with llama.cpp"
    suffixes = (".ggml",)
    signatures = (b"lmgg", b"fmgg", b"tjgg")


@register
class Distributed(Unread):
    """One rank's share of a torch distributed checkpoint; a folder's `.metadata` says which tensor is where."""

    name = "torch-distributed"
    what = "a share of a torch distributed checkpoint (DCP)"
    advice = "join it with torch.distributed.checkpoint.format_utils.dcp_to_torch_save"
    suffixes = (".distcp",)
    first = ZIP[:1]
    by_name = True


@register
class Tar(Unread):
    """POSIX and GNU tar have their magic in the first member's header."""

    name = "tar"
    what = "a tar archive"
    advice = "unpack it and name the checkpoint"
    suffixes = (".tar",)
    signatures = (b"ustar",)
    at = 257


@register
class Zip(Unread):
    """A zip archive that none of the readers before this one knew."""

    name = "zip"
    what = "a zip archive that is no checkpoint"
    advice = "unpack it and name what is inside"
    suffixes = (".zip",)
    signatures = (ZIP, EMPTY_ZIP)


def unread_as(suffix: str) -> Unread | None:
    """The format that a suffix names and that is not read."""
    return next((known for known in _UNREAD.registered().values() if suffix in known.suffixes), None)


def unread(data: Buffer, name: str) -> Unread | None:
    """The format that is not read and that the data bears the signature of, or that its name claims and it may be."""
    claimed = unread_as(PurePath(name).suffix)
    claimed = claimed if claimed is not None and claimed.fits(data) else None
    if claimed is not None and claimed.by_name:
        return claimed
    signed = (known for known in _UNREAD.registered().values() if known.sniff(data) is Sniff.SURE)
    return next(signed, claimed)
