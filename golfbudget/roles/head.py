"""Which matrix is the output head, which the input table, and whether they are one: by evidence, never by silence.

The evidence, strongest first: two stored matrices that differ; one storage under both names, or two with equal bytes; a
configuration; a matrix named like an output; a matrix of the vocabulary's size that no rule claims, which makes the
answer unknown; and only then that no output matrix is stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from msgspec import Struct, field

from golfbudget.artifact import Artifact, Leaf
from golfbudget.formats import StoredTensor
from golfbudget.ledger import Account
from golfbudget.roles.config_json import ConfigJson
from golfbudget.roles.resolve import Resolution, ResolvedName, matrix_shape

_PIECE = 1 << 20
#: Bytes of a matrix that are asked for where it is not at hand.
_SAMPLE = 1 << 12
#: How vocabularies are padded: up to a multiple, by a fiftieth at most, or by a few rows where there are many.
_MULTIPLES, _PADDED_SHARE, _LARGE = (64, 128), 50, 512
#: Into how many pieces parallel training cuts an output.
_MOST_PIECES = 16
#: Words in a name that speak for the decoder's table where several are named like one, and against another's.
_DECODER = "decoder."
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

    `table` is the owner of the input table that a tied head is, `outputs` are the owners of output matrices, `rejected`
    those that are only named like one, with why.  `copies` are stored names of matrices that repeat the table's bytes,
    `redundant_bytes` what they take, decoded.
    """

    tied: bool | None
    reason: str
    table: str | None = None
    outputs: tuple[str, ...] = ()
    rejected: Mapping[str, str] = field(default_factory=dict)
    copies: frozenset[str] = frozenset()
    redundant_bytes: int = 0


class _Matrix(Struct, frozen=True, kw_only=True):
    """A stored tensor that may be a table of the vocabulary, under every name it has."""

    stored: str
    owners: tuple[str, ...]
    shape: tuple[int, ...]
    tensor: StoredTensor
    leaf: Leaf
    kinds: frozenset[str]
    claimed: bool
    plain: bool
    counted: bool
    #: Whether the shape is the matrix's own, and not that of a table which it is made from.
    own_shape: bool

    @property
    def owner(self) -> str:
        return self.owners[0]


def find_head(artifact: Artifact, resolution: Resolution) -> Head:
    """Weigh the evidence that an artifact holds."""
    config = ConfigJson.of(artifact.config)
    matrices = list(_matrices(artifact, resolution))
    inputs = [matrix for matrix in matrices if "input" in matrix.kinds]
    table = _chosen(inputs, config)
    tokens = set(config.vocabularies)
    if table is not None and table.own_shape and table.shape and not tokens.intersection(table.shape):
        tokens.add(max(table.shape))
    named = [matrix for matrix in matrices if "output" in matrix.kinds and "input" not in matrix.kinds]
    width = frozenset() if table is None else frozenset(table.shape) - tokens
    outputs = [matrix for matrix in named if not tokens or not matrix.own_shape or _fits(matrix, tokens, width)]
    rejected = {
        matrix.owner: f"named like an output matrix, but none of its dimensions is the vocabulary's ({_sizes(tokens)})"
        for matrix in named
        if matrix not in outputs
    }
    alike = [] if table is None else list(_alike(table, matrices, inputs))
    if config.tied is False:
        # Two matrices by the model's own word, whatever they hold today.
        alike = [other for other in alike if other in inputs]
    unread = [other for other in alike if table is not None and not (table.leaf.at_hand and other.leaf.at_hand)]
    copies = [other for other in alike if other not in unread and table is not None and _equal(table, other)]
    pieces = [matrix for matrix in named if matrix not in outputs and _is_part(matrix, width, tokens)]

    def judged(copies: Sequence[_Matrix]) -> tuple[bool | None, str]:
        shared = table is not None and ("output" in table.kinds or any(other not in inputs for other in copies))
        own = [one for one in outputs if one not in copies]
        free = [one for one in matrices if not one.claimed and one is not table and one not in copies]
        loose = [one for one in free if _fits(one, tokens, width)]
        if table is None and not tokens:
            loose = [one for one in matrices if not one.claimed]
        return _judged(table, inputs, own, pieces, loose, config, artifact, shared=shared, copies=copies)

    tied, reason = judged(copies)
    if table is not None and unread and judged([*copies, *unread])[0] is not tied:
        # The answer hangs on values: with equal ones it would be another.  A few tell most matrices apart.
        unread = [other for other in unread if _alike_so_far(table, other)]
    if table is not None and unread and judged([*copies, *unread])[0] is not tied:
        said = "" if config.said is None else f"{config.said}; "
        tied, reason = None, f"{said}{_unread([one for one in unread if one not in inputs] or unread, table)}"
    return Head(
        tied=tied,
        reason=reason,
        table=None if table is None else table.owner,
        outputs=tuple(matrix.owner for matrix in outputs),
        rejected=rejected,
        copies=frozenset(matrix.stored for matrix in copies),
        redundant_bytes=sum(matrix.tensor.stored_bytes for matrix in copies),
    )


def _judged(  # noqa: C901, PLR0911  (one way out per evidence)
    table: _Matrix | None,
    inputs: Sequence[_Matrix],
    outputs: Sequence[_Matrix],
    pieces: Sequence[_Matrix],
    loose: Sequence[_Matrix],
    config: ConfigJson,
    artifact: Artifact,
    *,
    shared: bool,
    copies: Sequence[_Matrix],
) -> tuple[bool | None, str]:
    """Whether the head is tied, and the evidence."""
    said = config.said
    told = f"{said}; " if said else ""
    if table is None:
        return _without_table(outputs, loose, config)
    if outputs:
        return False, f"{told}{outputs[0].owner} is an output matrix of its own"
    if shared:
        if copies and "output" not in table.kinds:
            names = ", ".join(other.owner for other in copies[:3])
            taken = sum(other.tensor.stored_bytes for other in copies)
            return True, f"{told}{names} repeats the bytes of {table.owner}: {taken:,} bytes redundant"
        return True, f"{told}{table.owner} and the output matrix are one storage"
    decoders = [matrix for matrix in inputs if _DECODER in matrix.owner]
    if said is not None and decoders == [table] and len(inputs) > 1 and config.headless is None:
        # The configuration speaks of the encoder's table and the decoder's, which are two.
        return True, f"{said}; {table.owner} is the decoder's input table and no output matrix is stored"
    if said is not None and config.tied:
        return True, f"{said}; no output matrix is stored"
    if artifact.part_of is not None:
        return None, f"{told}no output matrix is stored here, but this is {artifact.part_of}"
    if pieces:
        found = f"{_listed(pieces)} is named like an output matrix and may be a piece of one"
        return (False if said is not None else None), f"{told}{found}"
    if loose:
        found = f"{_listed(loose)} has a dimension of the vocabulary and no rule claims it"
        if said is not None:
            return False, f"{said}; {found}"
        return None, f"{found}; it may be the output matrix (--roles FILE says so)"
    if said is not None:
        return False, f"{said}; no output matrix is stored"
    if config.headless is not None:
        return None, f"no output matrix is stored, and config.json says {config.headless}, which has none"
    return True, f"{table.owner} is an input table and no output matrix is stored"


def _without_table(outputs: Sequence[_Matrix], loose: Sequence[_Matrix], config: ConfigJson) -> tuple[bool | None, str]:
    if outputs and loose:
        twins = [matrix for matrix in loose if sorted(matrix.shape) == sorted(outputs[0].shape)]
        if twins:
            return False, f"{outputs[0].owner} is an output matrix of its own, beside {twins[0].owner} of its size"
    if config.said is not None:
        return config.tied, f"{config.said}; no input table is known by name"
    unclaimed = f"; {_listed(loose)} matches no rule and may be one (--roles FILE says so)" if loose else ""
    return None, f"no input table is known by name{unclaimed}"


def _listed(matrices: Sequence[_Matrix]) -> str:
    """The largest, with how many more there are."""
    largest = max(matrices, key=lambda matrix: math.prod(matrix.shape))
    more = f" (and {len(matrices) - 1} more)" if len(matrices) > 1 else ""
    return f"{largest.owner} {list(largest.shape)}{more}"


def _matrices(artifact: Artifact, resolution: Resolution) -> Iterable[_Matrix]:
    """Every matrix that holds parameters, and what is named like a table, with what its names say.

    Of a table in a stream that cannot be opened, a correction may be all that is seen: not counted, but evidence.
    """
    for leaf, tensor in artifact.placed():
        one = resolution.names[tensor.name]
        if one.account not in (Account.WEIGHTS, Account.CODEBOOK) or one.stated is not None:
            continue
        shape = matrix_shape(one, tensor)
        if one.matrix is None and (len(shape) != 2 or not one.counted):
            continue
        names: list[ResolvedName] = [one, *(resolution.called(alias) for alias in tensor.aliases)]
        yield _Matrix(
            stored=tensor.name,
            owners=tuple(name.owner for name in names),
            shape=shape,
            tensor=tensor,
            leaf=leaf,
            kinds=frozenset(kind for name in names if (kind := name.matrix) is not None),
            claimed=any(name.rule is not None for name in names),
            plain=one.packed is None,
            counted=one.counted,
            own_shape=one.counted and (one.packed is not None or one.name_rule is None),
        )


def _chosen(inputs: Sequence[_Matrix], config: ConfigJson) -> _Matrix | None:
    """The input table of the model that gives the logits, where several are named like one."""

    def rank(matrix: _Matrix) -> tuple[bool, bool, bool, int, int]:
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


def _fits(matrix: _Matrix, tokens: set[int], width: AbstractSet[int] = frozenset()) -> bool:
    """Whether a dimension is the vocabulary's, or that padded: on either side, for tables are padded too.

    A dimension that is the model's `width` is the vocabulary's only to the number.
    """
    if tokens.intersection(matrix.shape):
        return True
    rows = [size for size in matrix.shape if size not in width]
    return any(_padded(*sorted((size, count))) for size in rows for count in tokens)


def _padded(count: int, size: int) -> bool:
    """Whether a table of so many rows may be one of so many tokens."""
    rounded = any(size == -(-count // multiple) * multiple for multiple in _MULTIPLES)
    return rounded or size - count <= count // _PADDED_SHARE or (size - count < _MULTIPLES[-1] and count >= _LARGE)


def _is_part(matrix: _Matrix, width: AbstractSet[int], tokens: set[int]) -> bool:
    """Whether a matrix named like an output may be a piece of one: as wide as the table, and of many rows."""
    rows = [size for size in matrix.shape if size not in width]
    return not width.isdisjoint(matrix.shape) and bool(rows) and max(rows) * _MOST_PIECES >= max(tokens, default=0)


def _sizes(tokens: set[int]) -> str:
    return " or ".join(str(size) for size in sorted(tokens))


def _unread(alike: Sequence[_Matrix], table: _Matrix) -> str:
    """What cannot be said of matrices of the table's form whose values, or the table's, are not at hand."""
    return f"whether {alike[0].owner} repeats the bytes of {table.owner} is not known: values were not downloaded"


def _alike(table: _Matrix, matrices: Iterable[_Matrix], inputs: Sequence[_Matrix]) -> Iterable[_Matrix]:
    """Other matrices that may repeat the table's bytes: those named as tables, and those that no rule claims."""
    for other in matrices:
        if other is table or (other.claimed and "output" not in other.kinds and other not in inputs):
            continue
        form = (other.tensor.dtype, other.tensor.shape)
        if form == (table.tensor.dtype, table.tensor.shape) and _plain(table) and _plain(other):
            yield other


def _plain(one: _Matrix) -> bool:
    """Whether a matrix's values stand one after another, as they are."""
    return one.plain and one.tensor.offset is not None and one.tensor.contiguous and bool(one.tensor.stored_bytes)


def _alike_so_far(one: _Matrix, other: _Matrix) -> bool:
    """Whether two tensors of one dtype and shape are not known to differ: they have the same bytes in the middle.

    The first rows are those of special tokens, which may never have been trained.
    """
    length = min(_SAMPLE, one.tensor.stored_bytes)
    skipped = (one.tensor.stored_bytes - length) // 2
    starts = [(matrix.leaf, (matrix.tensor.offset or 0) + skipped) for matrix in (one, other)]
    first, second = (leaf.sample(start, start + length) for leaf, start in starts)
    return first == second


def _equal(one: _Matrix, other: _Matrix) -> bool:
    """Whether two tensors of one dtype and shape hold the same bytes; read piece by piece, up to the first that differ.

    One number over and over tells nothing: matrices that were never trained are equal too.
    """
    a, b, length = one.tensor.offset or 0, other.tensor.offset or 0, one.tensor.stored_bytes
    first, second = memoryview(one.leaf.data), memoryview(other.leaf.data)
    width, told = max(1, length // max(1, one.tensor.elements)), False
    for at in range(0, length, _PIECE):
        piece = bytes(first[a + at : a + min(at + _PIECE, length)])
        if piece != bytes(second[b + at : b + min(at + _PIECE, length)]):
            return False
        told = told or piece[width:] != piece[:-width]
    return told
