"""One file's decoder: made of what the file uses, run and compared before anybody sees it, and counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from golfbudget.artifact import Artifact, open_artifact
from golfbudget.artifact.peel import Allowance, PeeledStep, innermost, peel, step_name
from golfbudget.code_packing import pack_code
from golfbudget.code_packing.pack import PackedProgram
from golfbudget.codecs import DECODED_LIMIT
from golfbudget.decoding.chain import undo
from golfbudget.decoding.containers import open_container
from golfbudget.decoding.framework import Framework
from golfbudget.decoding.layouts import lay_out
from golfbudget.decoding.loader import Held, Loader
from golfbudget.decoding.numbers import widened
from golfbudget.decoding.proof import prove
from golfbudget.errors import UnsupportedError, UsageError
from golfbudget.hashing import file_hash
from golfbudget.recipe import layouts
from golfbudget.recipe.decoded import decoded
from golfbudget.recipe.export import dtype_name
from golfbudget.recipe.state import read_tensors

#: How a decoder's file is called in messages and where it is counted.
NAME = "decode.py"
#: The one container that is read as it stands where its layout is not known.
PACK = "golfbudget-pack"
#: Modules that no standard library has.
PACKAGES = {"brotli", "zstandard", "numpy"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """Source that reads one file, not yet tried.

    `state` is what it must give, by golfbudget's own reader; every stored tensor where no layout is known.
    `chain` has codecs and filters from the outside in, then the container; `packages` are what the source imports
    besides the standard library.
    """

    held: Held
    state: Mapping[str, Tensor]
    file: Path
    chain: tuple[str, ...]
    packages: tuple[str, ...]
    source: str

    @property
    def tied(self) -> set[str]:
        """Further names of tensors that the file stores once."""
        return {alias for tensor in self.held.artifact.tensors for alias in tensor.aliases}

    def prove(self) -> int:
        """Run the source on its file in an interpreter of its own, and compare; how many tensors come out."""
        return prove(self.source, self.file, self.state, self.held.framework, self.tied)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvedDecoder:
    """Source that reads one file, proved on it: `tensors` come out.  `packed` is what `pack-code` makes of that source.

    `widened` are the dtypes that numpy lacks and that come out as float32.
    """

    composed: Composed
    tensors: int
    widened: tuple[str, ...]
    packed: PackedProgram

    @property
    def source(self) -> str:
        return self.composed.source

    @property
    def sha256(self) -> str:
        """The digest of the file that it reads."""
        return file_hash(self.composed.file)


def decoder(path: Path, framework: Framework, limit: int = DECODED_LIMIT) -> ProvedDecoder:
    """The smallest source that reads a file back into its state dict, tried on it in an interpreter of its own.

    Raises `UnsupportedError` for a file of no layout that is known, and for what has no decoder here, by its name.
    """
    return proved(compose(path, framework, limit))


def proved(composed: Composed) -> ProvedDecoder:
    """The same of a source that is made already."""
    return ProvedDecoder(
        composed=composed,
        tensors=composed.prove(),
        widened=tuple(widened(map(dtype_name, composed.state.values()))) if composed.held.numpy else (),
        packed=pack_code(composed.source.encode(), name=NAME),
    )


def compose(path: Path, framework: Framework, limit: int = DECODED_LIMIT) -> Composed:
    """A file's source, of the pieces that it uses, made without decoding more than `limit` bytes.

    `UsageError` for several files, `UnsupportedError` for what no decoder is written for; other errors as of
    `open_artifact`.
    """
    artifact = open_artifact(path, limit=limit)
    if len(artifact.local_files) != 1:
        raise UsageError(f"{path}: {len(artifact.local_files)} files; a decoder reads one")
    file = artifact.local_files[0].path
    raw = file.read_bytes()
    steps, _ = peel(raw, where=str(path), allowance=Allowance(limit))
    held = _held(artifact, raw, steps, framework)
    # First of all, since it refuses tables that do not fit their shape.
    state = _state(held, limit)
    loader = Loader(framework=framework)
    undo(loader, steps, str(path))
    open_container(loader, held)
    lay_out(loader, held)
    chain = (*map(step_name, steps), artifact.format)
    how = f"{held.layout or 'tensors as stored'}, {', '.join(reversed(chain))}"
    made = "arrays" if held.numpy else "tensors"
    comment = f"Reads {_ascii(file.name)} ({how}): load(bytes) gives a dict of {framework} {made}."
    return Composed(
        held=held,
        state=state,
        file=file,
        chain=chain,
        packages=tuple(sorted({str(framework), *loader.modules & PACKAGES})),
        source=loader.text(comment, flat=held.export is not None),
    )


def _held(artifact: Artifact, raw: bytes, steps: list[PeeledStep], framework: Framework) -> Held:
    layout = layouts.recognise(artifact)
    if layout is None and (artifact.format != PACK or not artifact.tensors):
        first = f", the first {artifact.tensors[0].name[:80]!r}" if artifact.tensors else ""
        raise UnsupportedError(
            f"{artifact.path}: its container ({artifact.format}, {len(artifact.tensors):,} tensors{first}) is of no "
            f"layout known here ({', '.join(sorted(layouts.registered()))}), so that nothing says what its tensors "
            "stand for; give an artifact that golfbudget or a public export script wrote"
        )
    return Held(
        artifact=artifact,
        container=innermost(raw, steps),
        layout=None if layout is None else layout.name,
        export=None if layout is None else layout.read(artifact),
        framework=framework,
    )


def _state(held: Held, limit: int) -> dict[str, Tensor]:
    if held.export is None:
        return read_tensors(held.artifact)
    return decoded(held.export, held.artifact.path, limit=limit).tensors()


def _ascii(name: str) -> str:
    """A name that may stand in a comment of any source file."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in name)
