"""How a candidate becomes a file (encode its matrices, rebuild the artifact whole), and what comes back out of one.

A plan counts and `pack` writes the same bytes because both call `build`.  An encoded matrix stands in the file under
the layout's key `schemes`, by its name: `{"scheme": name, "shape": [rows, columns], table: tensor, ...}`; integers with
one scale per row use the layout's own slots.  No option is stored: tables say their own widths, so that every scheme's
`decode` needs these alone.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from golfbudget import codecs, schemes
from golfbudget.errors import UsageError
from golfbudget.plan.candidates import INPUT_SCHEMES, RECIPE, REPACK
from golfbudget.plan.sharing import SHARED
from golfbudget.plan.source import PlanSource, replace_codec
from golfbudget.plan.trials import Candidate, Side, TableSize
from golfbudget.quality.recovery import Training, recover
from golfbudget.recipe.artifacts import artifact_bytes
from golfbudget.recipe.sharing import shared
from golfbudget.schemes import Context, Encoded, Options
from golfbudget.schemes.head_states import HeadStates
from golfbudget.schemes.threads import one_thread

#: What leaves every matrix as the recipe has it.
_NOT_ENCODED = (REPACK, RECIPE, SHARED)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderInputs:
    """What schemes may use besides matrices: seed, token counts, and covariances of matrices' inputs by name.

    `states` are inputs of the output head.  `training` is what candidates with steps of fine-tuning take these on;
    `counts_given`: the token counts are of a text that the user counted, and no text at hand tells them better.
    """

    seed: int = 0
    counts: Tensor | None = None
    counts_given: bool = False
    covariances: Mapping[str, Tensor] = field(default_factory=dict)
    states: HeadStates | None = None
    training: Training | None = None

    def context(self, owner: str, side: Side) -> Context:
        """The context of one matrix; token counts are weights of vocabulary rows, which a trunk matrix has none of."""
        counts, states = (self.counts, self.states) if side is Side.HEAD else (None, None)
        return Context(seed=self.seed, counts=counts, covariance=self.covariances.get(owner), states=states)

    @property
    def needs_met(self) -> tuple[str, ...]:
        there = {"counts": self.counts is not None, "moment": bool(self.covariances)}
        return tuple(need for need, given in there.items() if given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A candidate's file, and the tables in it."""

    data: bytes
    tables: tuple[TableSize, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFile:
    """A candidate's file by its hash, and the tables in it."""

    candidate: Candidate
    sha256: str
    tables: tuple[TableSize, ...]


#: Encodings already made, so that candidates which differ only in the input side share one.
Encodings = dict[tuple[object, ...], Encoded]


def build(source: PlanSource, candidate: Candidate, inputs: EncoderInputs, encodings: Encodings | None = None) -> Built:
    """Write a candidate's whole file through the recipe's container and codec.

    `encodings` is read and added to.  Torch runs on one thread, so that the bytes do not depend on the machine's load.
    """
    with one_thread():
        if candidate.steps:
            inputs = _for_training(candidate, inputs, source.rows)
        encoded = _encode(source, candidate, inputs, {} if encodings is None else encodings)
        export = source.export
        for owner, matrix in encoded.items():
            dtype = source.dtype(source.original(owner))
            export = export.with_encoded(owner, matrix, dtype)
        if candidate.steps and inputs.training is not None:
            reference = {name: source.matrix(name) for name in export.names()}
            export = recover(export, reference, inputs.training, candidate.steps, encoded)
            encoded = {owner: export.schemes.get(owner, matrix) for owner, matrix in encoded.items()}
        for part in (candidate, *candidate.parts):
            if part.scheme == SHARED:
                export = shared(export, part.owners)
        recipe = source.recipe
        if candidate.scheme == REPACK:
            recipe = replace_codec(recipe, *_codec_of(candidate))
        data = artifact_bytes(export, recipe)
        return Built(data=data, tables=_table_sizes(encoded))


def _codec_of(candidate: Candidate) -> tuple[str, int]:
    """What a repacking writes through; a saved plan may hold anything."""
    name, level = candidate.options.get("codec"), candidate.options.get("level")
    found = codecs.registered().get(name) if isinstance(name, str) else None
    if found is None or not isinstance(level, int) or level not in found.levels:
        raise UsageError(f"candidate {candidate.name}: codec {name!r} at level {level!r} is none that is known here")
    return found.name, level


def _for_training(candidate: Candidate, inputs: EncoderInputs, rows: int) -> EncoderInputs:
    """What is trained begins fitted to the counts of the text that it is trained on, or to those that are given."""
    if inputs.training is None:
        raise UsageError(f"candidate {candidate.name} is trained for {candidate.steps} steps, and no text is given")
    return inputs if inputs.counts_given else replace(inputs, counts=inputs.training.counts(rows))


def baseline_file(source: PlanSource) -> bytes:
    """The recipe's own artifact."""
    return artifact_bytes(source.export, source.recipe)


def recoded(data: bytes, source: PlanSource, codec: tuple[str, int]) -> bytes:
    """A file of the source's recipe through another codec at some level, the same container in it."""
    name, level = codec
    stream = codecs.decode(codecs.get(source.recipe.codec), data, where="written", limit=sys.maxsize)
    return codecs.get(name).encode(stream.decoded, level)


def scheme_of(source: PlanSource, candidate: Candidate, owner: str) -> tuple[str, Options]:
    """The scheme and options of one of a candidate's matrices: the input table's own, where that is replaced."""
    if candidate.input_side in INPUT_SCHEMES and owner == source.head and owner != source.head_owner:
        return str(candidate.input_side), candidate.input_options
    return candidate.scheme, candidate.options


def _encode(
    source: PlanSource, candidate: Candidate, inputs: EncoderInputs, encodings: Encodings
) -> dict[str, Encoded]:
    if candidate.scheme in _NOT_ENCODED:
        return {}
    encoded: dict[str, Encoded] = {}
    for part in candidate.parts:
        encoded |= _encode(source, part, inputs, encodings)
    if candidate.parts:
        return encoded
    for owner in candidate.owners:
        matrix = source.matrix(owner)
        scheme, options = scheme_of(source, candidate, owner)
        key = (id(matrix), bool(candidate.steps), scheme, *sorted(options.items()))
        if key not in encodings:
            encodings[key] = schemes.get(scheme).encode(matrix.float(), options, inputs.context(owner, candidate.side))
        encoded[owner] = encodings[key]
    return encoded


def decoder_bytes(candidate: Candidate) -> int:
    """Bytes of decoder code the candidate adds to a submission, counted as shipped (uncompressed)."""
    return sum(schemes.get(name).decoder_bytes for name in _schemes(candidate))


def _schemes(candidate: Candidate) -> set[str]:
    if candidate.parts:
        return set[str]().union(*map(_schemes, candidate.parts))
    own = {candidate.input_side} if candidate.input_side in INPUT_SCHEMES else set[str | None]()
    return {name for name in (candidate.scheme, *own) if name is not None and name not in _NOT_ENCODED}


def _table_sizes(encoded: Mapping[str, Encoded]) -> tuple[TableSize, ...]:
    return tuple(
        TableSize(
            owner=owner,
            name=table.name,
            account=str(table.account),
            shape=table.shape,
            bits=table.bits,
            raw_bytes=table.raw_bytes,
        )
        for owner, matrix in encoded.items()
        for table in matrix.tables
    )
