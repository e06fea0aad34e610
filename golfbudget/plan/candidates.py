"""Which candidates are tried, and how one becomes a file: encode its matrices, rebuild the artifact whole.

A plan counts and `pack` writes the same bytes because both call `build`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from golfbudget import codecs, schemes
from golfbudget.plan.results import Candidate, Side, TableSize
from golfbudget.plan.source import Source, replace_codec
from golfbudget.recipe.artifacts import artifact_bytes
from golfbudget.recipe.config import Recipe
from golfbudget.recipe.export import Export
from golfbudget.schemes import Context, Encoded

#: Bit widths of the scalar control and of the trunk's scalar candidates.
BITS = (8, 7, 6, 5, 4, 3)
#: Codebook sizes as shares of the vocabulary: V / each of these.
VOCABULARY_OVER = (32, 16, 8, 4, 2)
_FEWEST_CODES = 2
#: Codecs tried on the unchanged container, at their strongest.
LOSSLESS_CODECS = ("zstd", "xz", "brotli")
#: The scheme name of a candidate that changes the codec only.
REPACK = "repack"


def candidates(source: Source) -> list[Candidate]:
    """Every candidate of this step: scalar and VQ-Logits heads, scalar and ternary trunks."""
    vocabulary = source.reference[source.head].shape[0]
    found = [
        Candidate(
            name=f"head-int{bits}", side=Side.HEAD, scheme="scalar", options={"bits": bits}, owners=(source.head,)
        )
        for bits in BITS
    ]
    sizes = [codes for over in VOCABULARY_OVER if (codes := vocabulary // over) >= _FEWEST_CODES]
    for codes in dict.fromkeys(sizes):
        found += _vq(source, codes)
    if source.trunk:
        found += [
            Candidate(name=f"trunk-int{b}", side=Side.TRUNK, scheme="scalar", options={"bits": b}, owners=source.trunk)
            for b in BITS
        ]
        found += [
            Candidate(name=f"trunk-{scheme}", side=Side.TRUNK, scheme=scheme, options={}, owners=source.trunk)
            for scheme in ("ternary", "ternary-packed")
        ]
    return found + [_repack(codec) for codec in LOSSLESS_CODECS if codec != source.recipe.codec]


def _repack(codec: str) -> Candidate:
    level = codecs.get(codec).default_level
    options: dict[str, int | str] = {"codec": codec, "level": level}
    return Candidate(name=f"lossless-{codec}-{level}", side=Side.LOSSLESS, scheme=REPACK, options=options, owners=())


def _vq(source: Source, codes: int) -> Iterable[Candidate]:
    options = {"codes": codes}
    if not source.tied:
        yield Candidate(
            name=f"head-vq{codes}", side=Side.HEAD, scheme="vq-logits", options=options, owners=(source.head,)
        )
        return
    for input_side in ("shared", "dense"):
        owner = source.head if input_side == "shared" else source.head_owner
        yield Candidate(
            name=f"head-vq{codes}-{input_side}",
            side=Side.HEAD,
            scheme="vq-logits",
            options=options,
            owners=(owner,),
            input_side=input_side,
        )


def matrix_of(source: Source, owner: str) -> Tensor:
    """The reference matrix behind an owner; an untied copy of a tied head starts from the tied matrix."""
    return source.reference[source.head if owner == source.head_owner else owner]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A candidate's file, and what it was made from."""

    data: bytes
    export: Export
    encoded: Mapping[str, Encoded]


#: Encodings already made in this run, so that candidates which differ only in the input side share one.
Encodings = dict[tuple[object, ...], Encoded]


def build(source: Source, candidate: Candidate, context: Context, known: Encodings | None = None) -> Built:
    """Write a candidate's whole file through the recipe's container and codec; `known` is read and added to."""
    encoded = _encode(source, candidate, context, {} if known is None else known)
    export = source.export
    for owner, matrix in encoded.items():
        dtype = source.dtype(source.head if owner == source.head_owner else owner)
        export = export.with_encoded(owner, matrix, dtype)
    return Built(data=artifact_bytes(export, recipe_of(source, candidate)), export=export, encoded=encoded)


def recipe_of(source: Source, candidate: Candidate) -> Recipe:
    """The source's recipe, with the candidate's codec where it changes that."""
    if candidate.scheme != REPACK:
        return source.recipe
    return replace_codec(source.recipe, str(candidate.options["codec"]), int(candidate.options["level"]))


def _encode(source: Source, candidate: Candidate, context: Context, known: Encodings) -> dict[str, Encoded]:
    if candidate.scheme == REPACK:
        return {}
    scheme = schemes.get(candidate.scheme)
    # Token counts are weights of vocabulary rows; a trunk matrix has none.
    own = context if candidate.side is Side.HEAD else Context(seed=context.seed)
    encoded = {}
    for owner in candidate.owners:
        matrix = matrix_of(source, owner)
        key = (id(matrix), candidate.scheme, *sorted(candidate.options.items()))
        if key not in known:
            known[key] = scheme.encode(matrix.float(), candidate.options, own)
        encoded[owner] = known[key]
    return encoded


def decoder_bytes(candidate: Candidate) -> int:
    """Bytes of decoder code the candidate adds to a submission, counted as shipped (uncompressed)."""
    return 0 if candidate.scheme == REPACK else len(schemes.get(candidate.scheme).decoder_source.encode())


def table_sizes(encoded: Mapping[str, Encoded]) -> tuple[TableSize, ...]:
    """Every serialised table with its raw bytes."""
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
