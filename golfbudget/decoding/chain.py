"""Codecs and filters off, from the outside in: `d` goes from the file's bytes to the container's."""

from __future__ import annotations

from collections.abc import Sequence

from golfbudget.artifact.peel import PeeledStep, TextEncoded, step_name
from golfbudget.codecs import Buffer, Stream
from golfbudget.decoding.loader import Loader
from golfbudget.errors import UnsupportedError
from golfbudget.filters import MAGIC, Filtered
from golfbudget.repacking.decoders import UNDONE

#: For a zstd frame that does not say how long it is, and for several frames.
_ZSTD_STREAM = "import io,zstandard\nd=zstandard.ZstdDecompressor().stream_reader(io.BytesIO(d),1<<20,True).read()\n"
_SINGLE, _SIZED = 0x20, 0xC0


def undo(loader: Loader, steps: Sequence[PeeledStep], path: str) -> None:
    """Add what undoes these steps; `UnsupportedError` for one without a decoder here."""
    for step in steps:
        if isinstance(step, Filtered):
            loader.add(_filter(step))
        elif isinstance(step, TextEncoded) or step.codec.name not in UNDONE:
            raise UnsupportedError(
                f"{path}: no decoder is written here for {step_name(step)}; known: {', '.join(UNDONE)}"
            )
        elif len(step.trailing):
            raise UnsupportedError(
                f"{path}: {len(step.trailing):,} bytes follow its {step.codec.name} stream, which a decoder would "
                "have to know to leave out; cut them off first"
            )
        elif step.codec.name == "zstd" and not _plain_zstd(step):
            loader.add(_ZSTD_STREAM)
        else:
            loader.add(UNDONE[step.codec.name].source("d"))


def _plain_zstd(step: Stream) -> bool:
    """One frame, whose header says how long its content is."""
    described = bytes(step.data[4:5])[0]
    return len(step.members) == 1 and bool(described & (_SINGLE | _SIZED))


def _filter(step: Filtered) -> str:
    if bytes(_beginning(step.data)) != MAGIC:
        return f"d=d[{step.header}:]\n"
    stride = bytes(step.data[4:5])[0]
    return (
        f"y=bytearray(len(d)-{step.header});k={step.header}\n"
        f"for j in range({stride}):m=len(y[j::{stride}]);y[j::{stride}]=d[k:k+m];k+=m\n"
        "d=y\n"
    )


def _beginning(data: Buffer) -> Buffer:
    return data[: len(MAGIC)]
