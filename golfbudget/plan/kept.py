"""Files and losses by content: what the same inputs gave before, under the same libraries and the same code.

Nothing here changes a result: an entry's name is a digest of everything that its bytes depend on, and an entry that is
not whole does not count.
"""

from __future__ import annotations

import hashlib
import json
import platform
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache as once
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import golfbudget
from golfbudget import cache
from golfbudget.plan.building import Built, Known
from golfbudget.plan.results import Candidate, TableSize
from golfbudget.plan.source import Source
from golfbudget.recipe.export import Export

PREFIX = "plan-"
_LIBRARIES = ("torch", "numpy", "scikit-learn", "scipy", "faiss-cpu", "zstandard", "brotli")
_CODE = ("schemes", "recipe", "codecs", "plan", "quality")


@once
def _environment() -> dict[str, str]:
    """Versions of libraries, and a digest of the modules that make and measure files."""
    found = {"python": platform.python_version(), "machine": platform.machine(), "zlib": zlib.ZLIB_RUNTIME_VERSION}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    code = hashlib.sha256()
    for folder in _CODE:
        for path in sorted((Path(golfbudget.__file__).parent / folder).rglob("*.py")):
            code.update(path.name.encode() + path.read_bytes())
    return {**found, "golfbudget": golfbudget.__version__, "code": code.hexdigest()}


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors: names, dtypes, shapes and bytes, in their order."""
    sha256 = hashlib.sha256()
    for name, tensor in tensors.items():
        flat = tensor.detach().contiguous().flatten()
        sha256.update(f"{len(name)}:{name}:{tensor.dtype}:{list(tensor.shape)}:".encode())
        sha256.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
    return sha256.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Nats lost on each predicted token, float64 [windows, length]; mean KL from the baseline in some windows."""

    nats: NDArray[np.float64]
    divergence: NDArray[np.float64]


class _Measured(msgspec.Struct, frozen=True):
    shape: tuple[int, int]
    divergence: list[float]


def export_digest(export: Export) -> str:
    """SHA-256 of everything that an export serialises."""
    facts = {
        "quantized": digest(export.quantized),
        "scales": digest(export.scales),
        "dtypes": list(export.dtypes.items()),
        "passthrough": digest(export.passthrough),
        "kept_dtypes": list(export.kept_dtypes.items()),
        "schemes": [
            (name, encoded.scheme, encoded.shape, digest({table.name: table.tensor for table in encoded.tables}))
            for name, encoded in export.schemes.items()
        ],
        "corrections": [(name, digest(tables)) for name, tables in export.corrections.items()],
        "labels": [(name, label) for name, label in export.labels.items()],
        "suffixes": list(export.suffixes.items()),
        "order": export.order,
    }
    # The order of a dictionary decides a file's: labels are written down as they stand.
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


class _Facts(msgspec.Struct, frozen=True):
    tables: tuple[TableSize, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The cache of one plan: entries in `folder`; without a folder nothing is kept.

    `own` names what the recipe's own file depends on, `base` what all candidates' files do.  Those of trained
    candidates depend on `training`, too: the digest of their text.
    """

    folder: Path | None
    own: str = ""
    base: str = ""
    training: str = ""

    @classmethod
    def of(cls, folder: Path | None, source: Source, known: Known) -> Kept:
        """The cache for a source."""
        if folder is None:
            return cls(folder=None)
        own = {
            "environment": _environment(),
            "export": export_digest(source.export),
            "recipe": msgspec.json.encode(source.recipe).decode(),
        }
        inputs = {
            **own,
            "reference": digest(source.reference),
            "head": [source.head, source.tied, source.head_owner],
            "seed": known.seed,
            "counts": None if known.counts is None else digest({"counts": known.counts}),
            "moments": digest(known.moments),
        }
        training = "" if known.training is None else known.training.digest
        own_key, base = cache.key({**own, "file": "baseline"}), cache.key(inputs)
        return cls(folder=folder, own=own_key, base=base, training=training)

    def baseline(self, write: Callable[[], bytes]) -> bytes:
        """The recipe's own file, written where it is not kept."""
        if self.folder is None:
            return write()
        name = f"{PREFIX}{self.own}"
        found = cache.read(self.folder, name)
        if found is not None:
            return found[1]
        data = write()
        cache.write(self.folder, name, {}, data)
        return data

    def _built_name(self, candidate: Candidate, codec: tuple[str, int] | None) -> str:
        facts = {"base": self.base, **_candidate(candidate), "codec": codec}
        if candidate.steps:
            facts["training"] = self.training
        return f"{PREFIX}{cache.key(facts)}"

    def built(self, candidate: Candidate, codec: tuple[str, int] | None = None) -> Built | None:
        """A candidate's file, where it was written before."""
        if self.folder is None:
            return None
        found = cache.read(self.folder, self._built_name(candidate, codec))
        if found is None:
            return None
        try:
            return Built(data=found[1], tables=msgspec.convert(found[0], type=_Facts).tables)
        except msgspec.ValidationError:
            return None

    def keep_built(self, candidate: Candidate, built: Built, codec: tuple[str, int] | None = None) -> None:
        if self.folder is not None:
            facts = {"tables": msgspec.to_builtins(built.tables)}
            cache.write(self.folder, self._built_name(candidate, codec), facts, built.data)

    def losses(self, text: str, data: bytes) -> Measured | None:
        """What was measured on the text of that name, of the file with these bytes."""
        found = None if self.folder is None else cache.read(self.folder, _losses_name(text, data))
        if found is None:
            return None
        try:
            facts = msgspec.convert(found[0], type=_Measured)
            nats = np.frombuffer(found[1], dtype="<f4").reshape(facts.shape).astype(np.float64)
        except (msgspec.ValidationError, ValueError):
            return None
        return Measured(nats=nats, divergence=np.array(facts.divergence, dtype=np.float64))

    def keep_losses(self, text: str, data: bytes, found: Measured) -> None:
        if self.folder is not None:
            facts = {"shape": found.nats.shape, "divergence": found.divergence.tolist()}
            # Losses come from float32 and go back to it whole.
            cache.write(self.folder, _losses_name(text, data), facts, found.nats.astype("<f4").tobytes())

    def prune(self) -> None:
        """Leave the newest entries, within a bound."""
        if self.folder is not None:
            cache.prune(self.folder, PREFIX)


def _candidate(candidate: Candidate) -> dict[str, object]:
    """Everything of a candidate that decides its bytes."""
    return {
        "side": str(candidate.side),
        "scheme": candidate.scheme,
        "options": dict(candidate.options),
        "owners": list(candidate.owners),
        "input": [candidate.input_side, dict(candidate.input_options)],
        "parts": [_candidate(part) for part in candidate.parts],
        "steps": candidate.steps,
    }


def _losses_name(text: str, data: bytes) -> str:
    facts = {"environment": _environment(), "text": text, "file": hashlib.sha256(data).hexdigest()}
    return f"{PREFIX}{cache.key(facts)}"
