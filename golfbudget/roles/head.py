"""Which matrix is the output head, which the input table, and whether they are one: by evidence, never by silence.

The evidence, strongest first: two stored matrices that differ; one storage under both names, or two with equal bytes; a
configuration; a matrix named like an output; a matrix of the vocabulary's size that no rule claims, which makes the
answer unknown; and only then that no output matrix is stored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from golfbudget.artifact import Artifact
from golfbudget.roles.config_json import ConfigJson
from golfbudget.roles.resolve import Resolution
from golfbudget.roles.tables import (
    Matrix,
    alike_so_far,
    below_output,
    could_be_output,
    equal,
    find_alike,
    find_matrices,
    fits,
    have_together,
    is_part,
    laid_out,
    of_a_table,
    of_several,
    one_storage,
    same_form,
)
from golfbudget.roles.what_is_here import what_is_here

#: Words in a name that speak for the decoder's table where several are named like one, and against another's.
_DECODER = "decoder."
#: What a bias is called after its matrix.
_BIAS = re.compile(r"(?<=[./])bias$")
#: The number of a piece of a table.
_PIECE = re.compile(r"\.[0-9]+\.(?=weight$)")
#: Which tokens of a draft's vocabulary are which of its target's: as many as either has.
_DRAFT = re.compile(r"(?:^|[./])(?:d[0-9]t|t[0-9]d)$")
_FOR, _AGAINST = (
    ("decoder", "language_model", "text", "thinker", "llm"),
    (
        "encoder.",
        "vision",
        "visual",
        "audio",
        "talker",
        "position",
        "token_type",
        "per_layer",
    ),
)


class Head(Struct, frozen=True, kw_only=True):
    """What is known of the head; `tied` is None where it is not known, and `reason` says which evidence decides.

    `table` is the owner of the input table that a tied head is, `siblings` are tables that are tied as it is, under its
    name with other numbers, `outputs` are the owners of output matrices, `rejected`
    those that are only named like one, with why.  `copies` are stored names of matrices that repeat the table's bytes,
    `redundant_bytes` what they take, decoded.
    """

    tied: bool | None
    reason: str
    table: str | None = None
    siblings: frozenset[str] = frozenset()
    outputs: tuple[str, ...] = ()
    rejected: Mapping[str, str] = field(default_factory=dict)
    copies: frozenset[str] = frozenset()
    redundant_bytes: int = 0

    def rejects(self, owner: str) -> str | None:
        """Why an owner is no output matrix, or the bias of none; None where that is not said."""
        weight = _BIAS.sub("weight", owner)
        why = self.rejected.get(weight)
        return why if why is None or weight == owner else f"added to {weight}, which is {why}"


def find_head(artifact: Artifact, resolution: Resolution) -> Head:
    """Weigh the evidence that an artifact holds."""
    config = ConfigJson.of(artifact.config, artifact.values)
    matrices = list(find_matrices(artifact, resolution))
    inputs = [matrix for matrix in matrices if "input" in matrix.kinds]
    named = [matrix for matrix in matrices if "output" in matrix.kinds and "input" not in matrix.kinds]
    table = _chosen(inputs, config) or _twin(named, matrices)
    tokens = set(config.vocabularies)
    if table is not None and table.own_shape and table.shape and not tokens.intersection(table.shape):
        tokens |= {_rows(table, matrices), *_joined(inputs)}
    width = frozenset() if table is None else frozenset(table.shape) - tokens
    tokens |= _drafted(artifact) if tokens else set()
    windows = [one for one in named if table is not None and one_storage(table, one)]
    outputs = [
        one
        for one in named
        if not tokens or not one.own_shape or one in windows or fits(one, tokens, width)
        or of_a_table(one, inputs) or of_several(one, tokens, width)
    ]  # fmt: skip
    stems = {_PIECE.sub(".", one.owner) for one in outputs if _PIECE.search(one.owner)}
    rejected = {
        matrix.owner: f"named like an output matrix, but none of its dimensions is the vocabulary's ({_sizes(tokens)})"
        for matrix in named
        if matrix not in outputs and not (_PIECE.search(matrix.owner) and _PIECE.sub(".", matrix.owner) in stems)
    }
    alike = [] if table is None else list(find_alike(table, matrices, inputs))
    if config.tied is False:
        # Two matrices by the model's own word, whatever they hold today.
        alike = [other for other in alike if other in inputs]
    unread = [other for other in alike if table is not None and not (table.leaf.at_hand and other.leaf.at_hand)]
    copies = [other for other in alike if other not in unread and table is not None and equal(table, other)]
    pieces = [matrix for matrix in named if matrix not in outputs and is_part(matrix, width, tokens)]
    hidden = [] if table is None else could_be_output(matrices, table)
    together = [] if table is None else have_together(matrices, tokens, width)
    pieces += [one for one in matrices if table is not None and one not in hidden and below_output(one, tokens)]
    beside = None if table is None else what_is_here(artifact, resolution, config)

    def judged(copies: Sequence[Matrix]) -> tuple[bool | None, str]:
        shared = table is not None and ("output" in table.kinds or any(other not in inputs for other in copies))
        own = [one for one in outputs if one not in copies and one not in windows]
        free = [one for one in matrices if not one.claimed and one is not table and one not in copies]
        loose = [one for one in free if fits(one, tokens, width) or of_a_table(one, inputs)]
        if table is None and not tokens:
            loose = [one for one in matrices if not one.claimed]
        if table is None:
            return _without_table(own, loose, config)
        evidence = _Evidence(
            table=table, inputs=inputs, outputs=own, pieces=pieces, together=together, loose=loose, hidden=hidden,
            copies=copies,
            shared=shared or bool(windows), rejected=list(rejected),
            part_of=artifact.part_of, beside=beside,
        )  # fmt: skip
        return _judged(evidence, config)

    tied, reason = judged(copies)
    if table is not None and unread and judged([*copies, *unread])[0] is not tied:
        # The answer hangs on values: with equal ones it would be another.  A few tell most matrices apart.
        unread = [other for other in unread if alike_so_far(table, other)]
    if table is not None and unread and judged([*copies, *unread])[0] is not tied:
        said = "" if config.said is None else f"{config.said}; "
        tied, reason = None, f"{said}{_unread([one for one in unread if one not in inputs] or unread, table)}"
    return Head(
        tied=tied,
        reason=reason,
        table=None if table is None else table.owner,
        siblings=frozenset() if table is None or copies or windows else _siblings(table, inputs),
        outputs=tuple(matrix.owner for matrix in outputs),
        rejected=rejected,
        copies=frozenset(matrix.stored for matrix in copies),
        redundant_bytes=sum(matrix.held_bytes for matrix in copies),
    )


def _drafted(artifact: Artifact) -> set[int]:
    """Sizes of vocabularies that a map between a draft's and its target's tells."""
    return {tensor.shape[0] for tensor in artifact.tensors if len(tensor.shape) == 1 and _DRAFT.search(tensor.name)}


def _twin(outputs: Sequence[Matrix], matrices: Sequence[Matrix]) -> Matrix | None:
    """Where no input table is known by name: a matrix that no rule claims, and that an output repeats or is."""
    shared = next((output for output in outputs if output.strange), None)
    if shared is not None:
        return shared
    for output in outputs:
        for other in matrices:
            alike = not other.claimed and output.leaf.at_hand and other.leaf.at_hand and same_form(output, other)
            if alike and equal(output, other):
                return other
    return None


def _siblings(table: Matrix, inputs: Sequence[Matrix]) -> frozenset[str]:
    """Tables that differ from one by a number in the name."""
    stem = _PIECE.sub(".", table.owner)
    others = (other.owner for other in inputs if _PIECE.search(other.owner))
    return frozenset(owner for owner in others if owner != table.owner and _PIECE.sub(".", owner) == stem)


def _rows(table: Matrix, matrices: Sequence[Matrix]) -> int:
    """How many tokens a table has: its rows where they are more, or where the model is as wide as its columns."""
    if len(table.shape) == 2 and table.shape[0] < table.shape[1]:
        rows, width = (sum(size in matrix.shape for matrix in matrices if matrix.counted) for size in table.shape)
        return table.shape[0] if width > rows else table.shape[1]
    return max(table.shape)


def _joined(inputs: Sequence[Matrix]) -> list[int]:
    """Rows of tables that are numbered pieces of one, together."""
    rows: dict[tuple[str, int], list[int]] = {}
    for table in inputs:
        stem = _PIECE.sub(".", table.owner)
        if stem != table.owner and len(table.shape) == 2:
            rows.setdefault((stem, table.shape[1]), []).append(table.shape[0])
    return [sum(own) for own in rows.values() if len(own) > 1]


class _Evidence(Struct, frozen=True, kw_only=True):
    """What was found beside an input table; `hidden` are matrices of its form under names of the trunk."""

    table: Matrix
    inputs: Sequence[Matrix]
    outputs: Sequence[Matrix]
    pieces: Sequence[Matrix]
    together: Sequence[Matrix]
    loose: Sequence[Matrix]
    hidden: Sequence[Matrix]
    copies: Sequence[Matrix]
    shared: bool
    rejected: Sequence[str]
    part_of: str | None
    beside: str | None


def _judged(found: _Evidence, config: ConfigJson) -> tuple[bool | None, str]:  # noqa: C901, PLR0911  (one way out per evidence)
    """Whether the head is tied, and the evidence."""
    said, table = config.said, found.table
    told = f"{said}; " if said else ""
    if found.outputs:
        return False, f"{told}{found.outputs[0].owner} is an output matrix of its own"
    if found.shared:
        if found.copies and "output" not in table.kinds:
            names = ", ".join(other.owner for other in found.copies[:3])
            taken = sum(other.held_bytes for other in found.copies)
            return True, f"{told}{names} repeats the {_repeated(table, found.copies[0])}: {taken:,} bytes redundant"
        return True, f"{told}{table.owner} and the output matrix are one storage"
    decoders = [matrix for matrix in found.inputs if _DECODER in matrix.owner]
    if said is not None and decoders == [table] and len(found.inputs) > 1 and config.headless is None:
        # The configuration speaks of the encoder's table and the decoder's, which are two.
        return True, f"{said}; {table.owner} is the decoder's input table and no output matrix is stored"
    if said is not None and config.tied:
        return True, f"{said}; no output matrix is stored"
    if found.pieces:
        named = f"{_listed(found.pieces)} is named like an output matrix and may be a piece of one"
        return (False if said is not None else None), f"{told}{named}"
    if found.part_of is not None:
        return None, f"{told}no output matrix is stored here, but this is {found.part_of}"
    if found.together:
        named = f"{_listed(found.together)} have a row for every token together and may be pieces of an output"
        return (False if said is not None else None), f"{told}{named}"
    if found.loose or found.hidden:
        why = "has a dimension of the vocabulary and no rule claims it" if found.loose else "has the input table's form"
        named = f"{_listed(found.loose or found.hidden)} {why}"
        if said is not None:
            return False, f"{said}; {named}"
        return None, f"{named}; it may be the output matrix (--roles FILE says so)"
    if said is not None:
        return False, f"{said}; no output matrix is stored"
    if config.headless is not None:
        return None, f"no output matrix is stored, and config.json says {config.headless}, which has none"
    if found.rejected:
        return None, f"no output matrix is stored, and {found.rejected[0]} is named like one and is none"
    if found.beside is not None:
        return None, f"no output matrix is stored, and {found.beside}"
    return True, f"{table.owner} is an input table and no output matrix is stored"


def _repeated(table: Matrix, copy: Matrix) -> str:
    """What of a table a copy holds again."""
    if table.tensor.shape != copy.tensor.shape:
        return f"values of {table.owner}, transposed"
    return f"{'bytes' if laid_out(table.tensor) == laid_out(copy.tensor) else 'values'} of {table.owner}"


def _without_table(outputs: Sequence[Matrix], loose: Sequence[Matrix], config: ConfigJson) -> tuple[bool | None, str]:
    if outputs and loose:
        twins = [matrix for matrix in loose if sorted(matrix.shape) == sorted(outputs[0].shape)]
        if twins:
            return False, f"{outputs[0].owner} is an output matrix of its own, beside {twins[0].owner} of its size"
    if config.said is not None:
        return config.tied, f"{config.said}; no input table is known by name"
    unclaimed = f"; {_listed(loose)} matches no rule and may be one (--roles FILE says so)" if loose else ""
    return None, f"no input table is known by name{unclaimed}"


def _listed(matrices: Sequence[Matrix]) -> str:
    """The largest, with how many more there are."""
    largest = max(matrices, key=lambda matrix: math.prod(matrix.shape))
    more = f" (and {len(matrices) - 1} more)" if len(matrices) > 1 else ""
    return f"{largest.owner} {list(largest.shape)}{more}"


def _chosen(inputs: Sequence[Matrix], config: ConfigJson) -> Matrix | None:
    """The input table of the model that gives the logits, where several are named like one."""

    def rank(matrix: Matrix) -> tuple[bool, bool, bool, int, int]:
        name = matrix.owner
        known = bool(set(matrix.shape) & set(config.vocabularies))
        return (
            matrix.counted,
            "output" in matrix.kinds,
            known,
            sum(word in name for word in _FOR) - 2 * sum(word in name for word in _AGAINST),
            max(matrix.shape, default=0),
        )

    # The first of equals: a file's order is the model's.
    return max(inputs, key=rank, default=None)


def _sizes(tokens: set[int]) -> str:
    return " or ".join(str(size) for size in sorted(tokens))


def _unread(alike: Sequence[Matrix], table: Matrix) -> str:
    """What cannot be said of matrices of the table's form whose values, or the table's, are not at hand."""
    return f"whether {alike[0].owner} repeats the bytes of {table.owner} is not known: values were not downloaded"
