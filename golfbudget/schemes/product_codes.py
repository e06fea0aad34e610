"""Product and residual codes: every row is put together from several codebooks.

`product` (PQ, DPQ) splits the columns into groups with a codebook each; `residual` (RVQ, additive codes, AQLM) adds
rows of several codebooks up.  k-means is faiss's; codes are chosen again after the codebooks are rounded.
"""

from __future__ import annotations

import torch
from torch import Tensor

from golfbudget.ledger import Account
from golfbudget.schemes.base import Context, Encoded, Options, Parameter, Table, TableScheme, register
from golfbudget.schemes.clusters import assign, fit_centres
from golfbudget.schemes.values import (
    READ_MAP,
    READ_MATRIX,
    STORE,
    bits_parameter,
    check_bits,
    map_bytes,
    map_tables,
    matrix_bytes,
    matrix_tables,
    read_map,
    read_matrix,
    reread,
)

_CODES = Parameter(name="codes", kind=int, summary="K, rows of a codebook", lowest=1)
_BITS = bits_parameter("bits", "b, bits of a codebook value", 16)


def column_groups(columns: int, groups: int) -> Tensor:
    """The group of each column, int64 [columns]: contiguous groups whose sizes differ by one at most.

    >>> column_groups(7, 3).tolist()
    [0, 0, 0, 1, 1, 2, 2]
    """
    return torch.arange(columns) * groups // columns


@register
class Product(TableScheme):
    """Groups of columns, each with a codebook of K sub-vectors and a code per row."""

    name = "product"
    summary = "product codes: a codebook for each group of columns (PQ)"
    formula = "K·d·b/8 + 2K + G·V·idx(K)/8 (b=16: no scales)"
    parameters = (Parameter(name="groups", kind=int, summary="G, groups of columns", lowest=1), _CODES, _BITS, STORE)
    decoder_source = (
        READ_MATRIX
        + READ_MAP
        + (
            "c=g('codebook',C);j=n.arange(C)\n"
            "w=c[n.stack([m(x,R,len(c))for x in t['map']],1)[:,j*len(t['map'])//C],j]\n"
        )
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        (rows, columns), bits = matrix.shape, check_bits(self.name, "bits", options)
        groups, codes = self._sizes((rows, columns), options)
        group, codebook = column_groups(columns, groups), torch.empty(codes, columns)
        for i in range(groups):
            codebook[:, group == i] = fit_centres(matrix[:, group == i].contiguous(), codes, context.seed)
        tables = matrix_tables("codebook", codebook, bits, str(options["store"]), Account.CODEBOOK)
        rounded = reread(tables, columns)
        chosen = [assign(matrix[:, group == i], rounded[:, group == i]) for i in range(groups)]
        mapping = map_tables("map", torch.stack(chosen), codes)
        return (*tables, mapping)

    def _sizes(self, shape: tuple[int, int], options: Options) -> tuple[int, int]:
        return min(shape[1], int(options["groups"])), min(shape[0], int(options["codes"]))

    def decode(self, encoded: Encoded) -> Tensor:
        rows, columns = encoded.shape
        codebook, maps = read_matrix(encoded, "codebook", columns), encoded.tensor("map")
        codes = torch.stack([read_map(packed, rows, len(codebook)) for packed in maps], dim=1)
        return codebook[codes[:, column_groups(columns, len(maps))], torch.arange(columns)]

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        (groups, codes), bits = self._sizes(shape, options), check_bits(self.name, "bits", options)
        return matrix_bytes(codes, shape[1], bits, str(options["store"])) + groups * map_bytes(shape[0], codes)


@register
class Residual(TableScheme):
    """M codebooks [K, columns]; a row is the sum of one row of each, each fitted to what those before it miss."""

    name = "residual"
    summary = "residual codes: the sum of one row of each of M codebooks (RVQ)"
    formula = "M·(K·d·b/8 + 2K) + M·V·idx(K)/8 (b=16: no scales)"
    parameters = (Parameter(name="stages", kind=int, summary="M, codebooks", lowest=1), _CODES, _BITS, STORE)
    decoder_source = (
        READ_MATRIX
        + READ_MAP
        + ("c=g('codebook',C);M=t['map'];c=c.reshape(len(M),-1,C)\nw=sum(a[m(x,R,len(a))]for a,x in zip(c,M))\n")
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        (rows, columns), bits, store = matrix.shape, check_bits(self.name, "bits", options), str(options["store"])
        stages, codes = int(options["stages"]), min(rows, int(options["codes"]))
        missed, books, chosen = matrix, [], []
        for _ in range(stages):
            book = fit_centres(missed, codes, context.seed)
            rounded = reread(matrix_tables("codebook", book, bits, store), columns)
            code = assign(missed, rounded)
            missed = missed - rounded[code]
            books.append(book)
            chosen.append(code)
        tables = matrix_tables("codebook", torch.cat(books), bits, store, Account.CODEBOOK)
        mapping = map_tables("map", torch.stack(chosen), codes)
        return (*tables, mapping)

    def decode(self, encoded: Encoded) -> Tensor:
        rows, columns = encoded.shape
        maps = encoded.tensor("map")
        books = read_matrix(encoded, "codebook", columns).view(len(maps), -1, columns)
        decoded = torch.zeros(rows, columns)
        for book, packed in zip(books, maps, strict=True):
            decoded = decoded + book[read_map(packed, rows, len(book))]
        return decoded

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        stages, codes = int(options["stages"]), min(shape[0], int(options["codes"]))
        bits, store = check_bits(self.name, "bits", options), str(options["store"])
        return matrix_bytes(stages * codes, shape[1], bits, store) + stages * map_bytes(shape[0], codes)
