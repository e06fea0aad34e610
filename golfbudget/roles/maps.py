"""What names do not tell: which integer vectors are maps from tokens to codes, and which tables they index."""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping

from golfbudget.artifact import Artifact, Leaf
from golfbudget.formats import BYTE_ORDER, StoredTensor
from golfbudget.ledger import Account
from golfbudget.roles.resolve import ResolvedName

_CODES = {"": {8: "b", 16: "h", 32: "i", 64: "q"}, "u": {8: "B", 16: "H", 32: "I", 64: "Q"}}
_INTEGERS = {f"{sign}int{bits}": code for sign, codes in _CODES.items() for bits, code in codes.items()}
_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
#: Vectors of whole numbers with one entry per token that count something; their values may well be small.
_COUNTS = re.compile(r"(count|freq|histogram|length|size|len)s?(\b|_|$)", re.IGNORECASE)
#: No vocabulary is larger; longer vectors are not read.
_MOST_TOKENS = 1 << 22
#: Values of all vectors together that are read: tensors can be windows on the same bytes.
_MOST_VALUES = 1 << 24
#: Codebooks of different lengths that are kept in mind; a model has a few.
_MOST_BOOKS = 256


def find_maps(artifact: Artifact, names: Mapping[str, ResolvedName]) -> dict[str, tuple[Account, str]]:
    """Stored name to (account, reason) for maps and codebooks that only shapes and values give away.

    A map is an integer vector with one entry per token whose values all index rows of a codebook that is present:
    one known by name, or a matrix of no known role with exactly as many rows as the map uses codes.
    """
    if artifact.values.get(BYTE_ORDER) == "big":
        return {}
    tables = (t for t in artifact.tensors if len(t.shape) == 2 and t.shape[0] > 1)
    books = [t for t in tables if names[t.name].account is Account.CODEBOOK]
    loose = [t for t in artifact.tensors if _could_be_codebook(t, names[t.name])]
    named, exact = _by_rows(books, _MOST_BOOKS), _by_rows(loose, len(loose))
    tokens = _vocabulary(artifact, names)
    left = _MOST_VALUES if named or exact else 0
    maps: dict[str, tuple[Account, str]] = {}
    for leaf, tensor in artifact.placed():
        if not _could_be_map(tensor, names[tensor.name], tokens) or tensor.elements > left or not leaf.at_hand:
            continue
        left -= tensor.elements
        low, high, distinct = _extent(leaf, tensor)
        if low < 0:
            continue
        book = next((b for rows, b in named.items() if high < rows < tensor.elements), None)
        known = book is not None
        if book is None and high + 1 == distinct < tensor.elements:
            book = exact.get(distinct)
        if book is not None:
            reason = f"its {tensor.elements} values, at most {high}, index the {book.shape[0]} rows of {book.name}"
            maps[tensor.name] = (Account.MAPPING, reason)
            if not known:
                reason = f"its {book.shape[0]} rows are exactly those that {tensor.name} uses"
                maps[book.name] = (Account.CODEBOOK, reason)
    return maps


def _by_rows(books: list[StoredTensor], most: int) -> dict[int, StoredTensor]:
    """The first of each number of rows, in file order; at most so many."""
    codebooks: dict[int, StoredTensor] = {}
    for book in books:
        if len(codebooks) < most:
            codebooks.setdefault(book.shape[0], book)
    return codebooks


def _vocabulary(artifact: Artifact, names: Mapping[str, ResolvedName]) -> set[int]:
    """Numbers of tokens that the input and output tables of a known name speak of; empty where there are none."""
    sizes = set()
    for tensor in artifact.tensors:
        rule = names[tensor.name].rule
        plain = tensor.shape and names[tensor.name].account in (Account.WEIGHTS, Account.BIAS)
        if rule is not None and plain and (rule.matrix or tensor.name.endswith(("vocab_bias", "bias"))):
            sizes.add(tensor.shape[0])
    return sizes


def _could_be_map(tensor: StoredTensor, one: ResolvedName, tokens: set[int]) -> bool:
    return (
        tensor.dtype in _INTEGERS
        and len(tensor.shape) == 1
        and 1 < tensor.elements <= _MOST_TOKENS
        and tensor.contiguous
        and tensor.offset is not None
        and one.account is Account.WEIGHTS
        and one.stated is None
        and not _COUNTS.search(tensor.name)
        and (not tokens or tensor.elements in tokens)
    )


def _could_be_codebook(tensor: StoredTensor, one: ResolvedName) -> bool:
    unclaimed = one.account is Account.WEIGHTS and one.rule is None and one.stated is None
    return len(tensor.shape) == 2 and tensor.dtype in _FLOATS and unclaimed


def _extent(leaf: Leaf, tensor: StoredTensor) -> tuple[int, int, int]:
    """(least, greatest, number of distinct) values of an integer vector."""
    start = tensor.offset or 0
    raw = bytes(leaf.data[start : start + tensor.stored_bytes])
    numbers = array(_INTEGERS[tensor.dtype], raw)
    return min(numbers), max(numbers), len(set(numbers))
