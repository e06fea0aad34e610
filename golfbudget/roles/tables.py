"""The matrices that may be tables of the vocabulary: what their names and shapes say, and whether two hold the same."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal

from msgspec import Struct

from golfbudget.artifact import Artifact, Leaf
from golfbudget.formats import StoredTensor
from golfbudget.formats.base import row_major
from golfbudget.ledger import Account, Role
from golfbudget.roles.resolve import WIDE_NUMBERS, Resolution, ResolvedName, matrix_shape

_PIECE = 1 << 20
#: Numbers of so many bytes, whatever they mean.
_NUMBERS: Mapping[int, Literal["B", "H", "I", "Q"]] = {1: "B", 2: "H", 4: "I", 8: "Q"}
#: Bytes of a matrix that are asked for where it is not at hand.
_SAMPLE = 1 << 12
#: How vocabularies are padded: up to a multiple, by a fiftieth at most, or by a few rows where there are many.
_MULTIPLES, _PADDED_SHARE, _LARGE = (64, 128), 50, 512
#: Into how many pieces parallel training cuts an output.
_MOST_PIECES = 16
#: Words in the names of what stands beside a language model, and of norms.
_TOWER = re.compile(
    r"vision|visual|image|audio|speech|sound|video|projector|connector|resampler|adaptor|per_layer|norm\.weight$"
)
#: Scales of what stands around a matrix, which are none of its numbers'.
_OF_OTHERS = re.compile(r"(?:input|output|act|activation)_(?:[a-z]+_)*(?:scale|zero)")
#: Inside a module of the output.
_BELOW_HEAD = re.compile(r"(?:head|predictions)\.")
#: A number that is a part of a name by itself, and any number.
_NUMBER, _BLANK = re.compile(r"(?:^|(?<=[./]))[0-9]+(?=[./])"), re.compile("[0-9]+")


class Matrix(Struct, frozen=True, kw_only=True):
    """A stored tensor that may be a table of the vocabulary, under every name it has."""

    stored: str
    owners: tuple[str, ...]
    shape: tuple[int, ...]
    tensor: StoredTensor
    leaf: Leaf
    kinds: frozenset[str]
    claimed: bool
    role: Role | None
    family: str | None
    counted: bool
    #: Whether one of its names is none that a rule knows.
    strange: bool
    #: Bytes of its values, decoded, and of the scales beside them.
    held_bytes: int
    #: What its numbers are multiplied by or looked up in.
    scales: tuple[tuple[Leaf, StoredTensor], ...]
    #: Whether the shape is the matrix's own, and not that of a table which it is made from.
    own_shape: bool

    @property
    def owner(self) -> str:
        return self.owners[0]


def find_matrices(artifact: Artifact, resolution: Resolution) -> Iterable[Matrix]:
    """Every matrix that holds parameters, and what is named like a table, with what its names say.

    Of a table in a stream that cannot be opened, a correction may be all that is seen: not counted, but evidence.
    """
    beside = Counter[str]()
    scales: dict[str, list[tuple[Leaf, StoredTensor]]] = {}
    for leaf, tensor in artifact.placed():
        one = resolution.names[tensor.name]
        if one.packed is not None and not one.packed.data:
            beside[one.packed.matrix.stored] += tensor.stored_bytes
        if one.account in (Account.SCALES, Account.CODEBOOK) and not _OF_OTHERS.search(tensor.name):
            for owner in (one.owner, *(resolution.called(alias).owner for alias in tensor.aliases)):
                scales.setdefault(owner, []).append((leaf, tensor))
    for leaf, tensor in artifact.placed():
        one = resolution.names[tensor.name]
        if one.account not in (Account.WEIGHTS, Account.CODEBOOK) or one.stated is not None:
            continue
        shape = matrix_shape(one, tensor)
        if one.matrix is None and (len(shape) != 2 or not one.counted):
            continue
        names: list[ResolvedName] = [one, *(resolution.called(alias) for alias in tensor.aliases)]
        yield Matrix(
            stored=tensor.name,
            owners=tuple(name.owner for name in names),
            shape=shape,
            tensor=tensor,
            leaf=leaf,
            kinds=frozenset(kind for name in names if (kind := name.matrix) is not None),
            claimed=any(name.rule is not None for name in names),
            strange=any(name.rule is None and name.owner.endswith("weight") for name in names),
            role=None if one.rule is None else one.rule.role,
            family=None if one.packed is None else one.packed.matrix.family,
            counted=one.counted,
            held_bytes=tensor.stored_bytes + beside[tensor.name],
            scales=tuple(sorted(scales.get(one.owner, ()), key=lambda placed: placed[1].name.rpartition(".")[2])),
            own_shape=one.counted and _own_shape(one, tensor),
        )


def _own_shape(one: ResolvedName, tensor: StoredTensor) -> bool:
    if one.packed is not None:
        return one.packed.matrix.shape is not None
    return one.name_rule is None and tensor.dtype not in WIDE_NUMBERS


def fits(matrix: Matrix, tokens: set[int], width: AbstractSet[int] = frozenset()) -> bool:
    """Whether a dimension is the vocabulary's, or that padded: on either side, for tables are padded too.

    A dimension that is the model's `width` is the vocabulary's only to the number.
    """
    if tokens.intersection(matrix.shape):
        return True
    rows = list(matrix.shape)
    if len(width) == 1 and (own := next(iter(width))) in rows:
        rows.remove(own)  # Once: of a square matrix the other side may be the vocabulary's.
    return any(_padded(*sorted((size, count))) for size in rows for count in tokens)


def _padded(count: int, size: int) -> bool:
    """Whether a table of so many rows may be one of so many tokens."""
    rounded = any(size == -(-count // multiple) * multiple for multiple in _MULTIPLES)
    return rounded or size - count <= count // _PADDED_SHARE or (size - count < _MULTIPLES[-1] and count >= _LARGE)


def of_a_table(matrix: Matrix, inputs: Iterable[Matrix]) -> bool:
    """Whether a matrix has the form of an input table, which may be another's than the text's."""
    return any(sorted(matrix.shape) == sorted(table.shape) for table in inputs if len(table.shape) > 1)


def of_several(matrix: Matrix, tokens: AbstractSet[int], width: AbstractSet[int]) -> bool:
    """Whether an output guesses several tokens at once: as wide as the table, and a whole number of times as long."""
    if len(matrix.shape) != 2 or len(width) != 1 or matrix.shape[1] not in width:
        return False
    return any(matrix.shape[0] in range(2 * count, _MOST_PIECES * count + 1, count) for count in tokens)


def below_output(matrix: Matrix, tokens: AbstractSet[int]) -> bool:
    """Whether a matrix inside the output's module has the vocabulary's dimension: half of a factorised one, perhaps."""
    inside = matrix.role is Role.HEAD and not matrix.kinds and _BELOW_HEAD.search(matrix.owner) is not None
    return inside and len(set(matrix.shape)) > 1 and not tokens.isdisjoint(matrix.shape)


def have_together(matrices: Iterable[Matrix], tokens: AbstractSet[int], width: AbstractSet[int]) -> list[Matrix]:
    """Numbered matrices of no role, or inside the output's module, with a row for every token together."""
    groups: dict[str, list[Matrix]] = {}
    for one in matrices:
        inside = one.role is Role.HEAD and _BELOW_HEAD.search(one.owner) is not None
        if (inside or not one.claimed) and not one.kinds and len(one.shape) == 2 and one.shape[1] in width:
            groups.setdefault(_BLANK.sub("0", one.owner), []).append(one)
    whole = [own for own in groups.values() if len(own) > 1 and sum(one.shape[0] for one in own) in tokens]
    return whole[0] if whole else []


def is_part(matrix: Matrix, width: AbstractSet[int], tokens: set[int]) -> bool:
    """Whether a matrix named like an output may be a piece of one: as wide as the table, and of many rows."""
    rows = [size for size in matrix.shape if size not in width]
    return not width.isdisjoint(matrix.shape) and bool(rows) and max(rows) * _MOST_PIECES >= max(tokens, default=0)


def find_alike(table: Matrix, matrices: Iterable[Matrix], inputs: Sequence[Matrix]) -> Iterable[Matrix]:
    """Other matrices that may repeat the table's bytes: those named as tables, and those that no rule claims."""
    for other in matrices:
        if other is table or (other.claimed and "output" not in other.kinds and other not in inputs):
            continue
        if same_form(table, other) or _turned(table, other):
            yield other


def same_form(one: Matrix, other: Matrix) -> bool:
    """Whether two matrices are stored alike, so that equal bytes are equal values."""
    forms = [(matrix.tensor.dtype, laid_out(matrix.tensor), matrix.family) for matrix in (one, other)]
    return forms[0] == forms[1] and _plain(one) and _plain(other)


def _turned(one: Matrix, other: Matrix) -> bool:
    """Whether two matrices that are at hand would be stored alike if one were transposed."""
    forms = [(matrix.tensor.dtype, matrix.family) for matrix in (one, other)]
    shape = laid_out(one.tensor)
    turned = len(shape) == 2 and shape == laid_out(other.tensor)[::-1]
    at_hand = one.leaf.at_hand and other.leaf.at_hand
    return turned and at_hand and forms[0] == forms[1] == (one.tensor.dtype, None) and _plain(one) and _plain(other)


def one_storage(one: Matrix, other: Matrix) -> bool:
    """Whether two matrices are windows on the same bytes, for the most part: transposed, or without padded rows."""
    first, second = one.tensor.window, other.tensor.window
    if one.leaf is not other.leaf or first is None or second is None or first[0] != second[0]:
        return False
    shared = min(first[1].stop, second[1].stop) - max(first[1].start, second[1].start)
    return 2 * shared >= min(len(first[1]), len(second[1])) > 0


def could_be_output(matrices: Sequence[Matrix], table: Matrix) -> list[Matrix]:
    """Matrices of the trunk by their names that have the table's form, and stand where no block would have one.

    That is in no numbered place, or in one of several such places and not in the others.
    """
    if not table.own_shape or table.leaf.contents.format == "gguf":
        return []  # llama.cpp knows every name that stands in its files.
    form = sorted(table.shape)
    candidates = [m for m in matrices if _unlikely(m) and not m.kinds and sorted(m.shape) == form]
    if not candidates:
        return []
    kinds = Counter(_BLANK.sub("0", matrix.owner) for matrix in matrices)
    places: dict[str, set[str]] = {}
    for matrix in matrices:
        if (number := _NUMBER.search(matrix.owner)) is not None:
            places.setdefault(matrix.owner[: number.start()], set()).add(number[0])
    return [m for m in candidates if m is not table and _apart(m.owner, kinds, places)]


def _unlikely(matrix: Matrix) -> bool:
    """Whether a rule of a wide pattern claims it: for the trunk, or as what stands before an output."""
    if matrix.role is Role.HEAD:
        return _BELOW_HEAD.search(matrix.owner) is not None
    return matrix.role is Role.TRUNK and not _TOWER.search(matrix.owner)


def _apart(owner: str, kinds: Mapping[str, int], places: Mapping[str, set[str]]) -> bool:
    number = _NUMBER.search(owner)
    if number is None:
        return True
    return len(places[owner[: number.start()]]) > 1 and kinds[_BLANK.sub("0", owner)] == 1


def _plain(one: Matrix) -> bool:
    """Whether a matrix's values stand one after another, as they are."""
    return one.tensor.offset is not None and bool(laid_out(one.tensor)) and bool(one.tensor.stored_bytes)


def laid_out(tensor: StoredTensor) -> tuple[int, ...]:
    """The shape in the order of the bytes, columns first where numpy wrote them so; empty where they have none."""
    if tensor.contiguous:
        return tensor.shape
    turned = tensor.shape[::-1]
    return turned if tensor.strides == row_major(turned)[::-1] else ()


def alike_so_far(one: Matrix, other: Matrix) -> bool:
    """Whether two tensors of one dtype and shape are not known to differ: they have the same bytes in the middle.

    The first rows are those of special tokens, which may never have been trained.
    """
    length = min(_SAMPLE, one.tensor.stored_bytes)
    skipped = (one.tensor.stored_bytes - length) // 2
    starts = [(matrix.leaf, (matrix.tensor.offset or 0) + skipped) for matrix in (one, other)]
    first, second = (leaf.sample(start, start + length) for leaf, start in starts)
    return first == second


def equal(one: Matrix, other: Matrix) -> bool:
    """Whether two tensors of one dtype hold the same values, as they are or transposed.

    Read piece by piece, up to the first that differ.  One number over and over tells nothing: matrices that were never
    trained are equal too.
    """
    alike = (laid_out(one.tensor) == laid_out(other.tensor) and _same_bytes(one, other)) or (
        _turned(one, other) and _same_turned(one, other)
    )
    return alike and _same_scales(one, other)


def _same_scales(one: Matrix, other: Matrix) -> bool:
    """Whether equal numbers mean equal values: what stands beside them is the same, as far as it is at hand."""
    if len(one.scales) != len(other.scales):
        return False
    for (leaf, scale), (other_leaf, other_scale) in zip(one.scales, other.scales, strict=True):
        if (scale.dtype, scale.shape) != (other_scale.dtype, other_scale.shape):
            return False
        if leaf.at_hand and other_leaf.at_hand and _bytes_of(leaf, scale) != _bytes_of(other_leaf, other_scale):
            return False
    return True


def _bytes_of(leaf: Leaf, tensor: StoredTensor) -> bytes:
    start = tensor.offset or 0
    return bytes(leaf.data[start : start + tensor.stored_bytes])


def _same_bytes(one: Matrix, other: Matrix) -> bool:
    a, b, length = one.tensor.offset or 0, other.tensor.offset or 0, one.tensor.stored_bytes
    first, second = memoryview(one.leaf.data), memoryview(other.leaf.data)
    width, told = max(1, length // max(1, one.tensor.elements)), False
    for at in range(0, length, _PIECE):
        piece = bytes(first[a + at : a + min(at + _PIECE, length)])
        if piece != bytes(second[b + at : b + min(at + _PIECE, length)]):
            return False
        told = told or piece[width:] != piece[:-width]
    return told


def _same_turned(one: Matrix, other: Matrix) -> bool:
    """Whether each row of one is a column of the other."""
    rows, columns = laid_out(one.tensor)
    width, rest = divmod(one.tensor.stored_bytes, one.tensor.elements)
    if rest or width not in _NUMBERS:
        return False
    first, second = (_numbers(matrix, _NUMBERS[width]) for matrix in (one, other))
    told = False
    for row in range(rows):
        values = first[row * columns : (row + 1) * columns].tobytes()
        if values != second[row::rows].tobytes():
            return False
        told = told or values[width:] != values[:-width]
    return told


def _numbers(matrix: Matrix, code: Literal["B", "H", "I", "Q"]) -> memoryview[int]:
    start = matrix.tensor.offset or 0
    held: memoryview[int] = memoryview(matrix.leaf.data)[start : start + matrix.tensor.stored_bytes].cast("B")
    return held.cast(code)
