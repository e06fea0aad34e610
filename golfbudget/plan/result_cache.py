"""Files and losses by content: what the same inputs gave before, under the same libraries and the same code.

Nothing here changes a result: an entry's name is a digest of everything that its bytes depend on, and an entry that is
not whole does not count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from golfbudget import cache
from golfbudget.plan.building import Built, EncoderInputs
from golfbudget.plan.source import PlanSource
from golfbudget.plan.trials import Candidate, TableSize
from golfbudget.recipe.decoded import Decoded
from golfbudget.recipe.export import Export
from golfbudget.recipe.state import digest
from golfbudget.workers.environment import versions

PREFIX = "plan-"
_LIBRARIES = ("torch", "numpy", "scikit-learn", "scipy", "faiss-cpu", "zstandard", "brotli")
_CODE = ("schemes", "recipe", "codecs", "plan", "fit", "quality")


@once
def _environment() -> dict[str, str]:
    """Versions of libraries, and a digest of the modules that make and measure files."""
    code = hashlib.sha256()
    for folder in _CODE:
        for path in sorted((Path(__file__).parents[1] / folder).rglob("*.py")):
            code.update(path.name.encode() + path.read_bytes())
    return {**versions(_LIBRARIES), "code": code.hexdigest()}


def content_of(decoded: Decoded) -> str:
    """A name for all that comes out of a file: the same for every file that decodes to the same tensors."""
    return digest(dict(sorted(decoded.tensors().items())))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLosses:
    """Nats lost on each predicted token, float64 [windows, length]; mean KL from the baseline in some windows.

    `agreement` is the share of tokens there on which both expect the same token most.
    """

    nats: NDArray[np.float64]
    divergence: NDArray[np.float64]
    agreement: NDArray[np.float64]


class _LossFacts(msgspec.Struct, frozen=True):
    shape: tuple[int, int]
    divergence: list[float]
    agreement: list[float]


class _FileFacts(msgspec.Struct, frozen=True):
    tables: tuple[TableSize, ...]


def export_digest(export: Export) -> str:
    """SHA-256 of everything that an export serialises."""
    facts = {
        **{part: digest(getattr(export, part)) for part in ("quantized", "scales", "passthrough")},
        **{part: list(getattr(export, part).items()) for part in ("dtypes", "kept_dtypes", "labels", "suffixes")},
        "schemes": [
            (name, encoded.scheme, encoded.shape, digest({table.name: table.tensor for table in encoded.tables}))
            for name, encoded in export.schemes.items()
        ],
        "corrections": [(name, digest(tables)) for name, tables in export.corrections.items()],
        "order": export.order,
        "preamble": [[layout, hashlib.sha256(data).hexdigest()] for layout, data in export.preamble.items()],
    }
    # The order of a dictionary decides a file's: labels are written down as they stand.
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultCache:
    """The results of plans of one source: entries in `folder`; without a folder nothing is kept.

    `own` names what the recipe's own file depends on, `base` what all candidates' files do.  Those of trained
    candidates depend on `training`, too: the digest of their text.
    """

    folder: Path | None
    own: str = ""
    base: str = ""
    training: str = ""

    @classmethod
    def of(cls, folder: Path | None, source: PlanSource, inputs: EncoderInputs) -> ResultCache:
        if folder is None:
            return cls(folder=None)
        own = {
            "environment": _environment(),
            "export": export_digest(source.export),
            "recipe": msgspec.json.encode(source.recipe).decode(),
        }
        base = {
            **own,
            "reference": digest(source.reference),
            "head": [source.head, source.tied, source.head_owner],
            "seed": inputs.seed,
            "counts": None if inputs.counts is None else digest({"counts": inputs.counts}),
            "covariances": digest(inputs.covariances),
            "states": None if inputs.states is None else [inputs.states.cap, digest({"hidden": inputs.states.hidden})],
        }
        training = "" if inputs.training is None else inputs.training.digest
        return cls(folder=folder, own=cache.key({**own, "file": "baseline"}), base=cache.key(base), training=training)

    def baseline(self, write: Callable[[], bytes]) -> bytes:
        """The recipe's own file, written where it is not kept."""
        known = self._read(self.own)
        if known is not None:
            return known[1]
        data = write()
        self._keep(self.own, {}, data)
        return data

    def file(self, candidate: Candidate, codec: tuple[str, int] | None = None) -> Built | None:
        """A candidate's file, through another codec perhaps, where it was written before."""
        known = self._read(self._file_key(candidate, codec))
        try:
            return known and Built(data=known[1], tables=msgspec.convert(known[0], type=_FileFacts).tables)
        except msgspec.ValidationError:
            return None

    def keep_file(self, candidate: Candidate, built: Built, codec: tuple[str, int] | None = None) -> None:
        self._keep(self._file_key(candidate, codec), {"tables": msgspec.to_builtins(built.tables)}, built.data)

    def losses(self, text: str, content: str) -> FileLosses | None:
        """What was measured on the text of that name, of files with that content."""
        known = self._read(_losses_key(text, content))
        if known is None:
            return None
        try:
            facts = msgspec.convert(known[0], type=_LossFacts)
            nats = np.frombuffer(known[1], dtype="<f4").reshape(facts.shape).astype(np.float64)
        except (msgspec.ValidationError, ValueError):
            return None
        means = (np.array(values, dtype=np.float64) for values in (facts.divergence, facts.agreement))
        divergence, agreement = means
        return FileLosses(nats=nats, divergence=divergence, agreement=agreement)

    def keep_losses(self, text: str, content: str, losses: FileLosses) -> None:
        means = {"divergence": losses.divergence.tolist(), "agreement": losses.agreement.tolist()}
        facts = {"shape": losses.nats.shape, **means}
        # Losses come from float32 and go back to it whole.
        self._keep(_losses_key(text, content), facts, losses.nats.astype("<f4").tobytes())

    def information(self, text: str, codes: NDArray[np.int64]) -> float | None:
        """What a map, codes [vocabulary], was found to lose on the text of that name, nats a token."""
        known = self._read(_map_key(text, codes))
        value = None if known is None else known[0].get("nats")
        return value if isinstance(value, float) else None

    def keep_information(self, text: str, codes: NDArray[np.int64], nats: float) -> None:
        """Keep what `information` gives, of codes [vocabulary]."""
        self._keep(_map_key(text, codes), {"nats": nats}, b"")

    def facts(self, of: Mapping[str, object]) -> dict[str, object] | None:
        """What was kept of this source under these values."""
        known = self._read(self._facts_key(of))
        return None if known is None else known[0]

    def keep_facts(self, of: Mapping[str, object], facts: Mapping[str, object]) -> None:
        self._keep(self._facts_key(of), facts, b"")

    def _facts_key(self, of: Mapping[str, object]) -> str:
        return cache.key({"base": self.base, "training": self.training, "facts": dict(of)})

    def prune(self) -> None:
        """Leave the newest entries, within a bound."""
        if self.folder is not None:
            cache.prune(self.folder, PREFIX)

    def _file_key(self, candidate: Candidate, codec: tuple[str, int] | None) -> str:
        training = {"training": self.training} if candidate.steps else {}
        return cache.key({"base": self.base, **_deciding(candidate), "codec": codec, **training})

    def _read(self, key: str) -> tuple[dict[str, object], bytes] | None:
        return None if self.folder is None else cache.read(self.folder, f"{PREFIX}{key}")

    def _keep(self, key: str, facts: Mapping[str, object], data: bytes) -> None:
        if self.folder is not None:
            cache.write(self.folder, f"{PREFIX}{key}", facts, data)


def _deciding(candidate: Candidate) -> dict[str, object]:
    return {
        "side": str(candidate.side),
        "scheme": candidate.scheme,
        "options": dict(candidate.options),
        "owners": list(candidate.owners),
        "input": [candidate.input_side, dict(candidate.input_options)],
        "parts": [_deciding(part) for part in candidate.parts],
        "steps": candidate.steps,
    }


def _losses_key(text: str, content: str) -> str:
    return cache.key({"environment": _environment(), "text": text, "content": content})


def _map_key(text: str, codes: NDArray[np.int64]) -> str:
    content = hashlib.sha256(np.ascontiguousarray(codes, dtype="<i8").tobytes()).hexdigest()
    return cache.key({"environment": _environment(), "text": text, "map": content})
