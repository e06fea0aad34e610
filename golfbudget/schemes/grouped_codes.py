"""Heads of several codebooks: a row is put together from, or the sum of, one row of each.

`grouped` (two-level vocabulary, arXiv:2411.06371) adds a row of the token's group and a row within the group.  Member
rows are shared by all groups, and no two tokens have the same pair, so that no two are tied.  All groups but the last
ones are full: V tokens in G groups need ceil(V/G) member rows.  The map is counted; a vocabulary whose groups follow
from its merges would not need it.  `product` (PQ, DPQ) splits the columns into groups with a codebook each; `residual`
(RVQ, additive codes, AQLM) adds rows of several codebooks up.  k-means is faiss's; codes are chosen again after the
codebooks are rounded.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from golfbudget.ledger import Account
from golfbudget.schemes import values
from golfbudget.schemes.base import Context, Encoded, Options, Parameter, Table, TableScheme, register
from golfbudget.schemes.vq_logits import fit_centres, nearest

_ROUNDS = 4


def balanced(distances: Tensor, most: int) -> Tensor:
    """A group for each row of `distances` [rows, groups], at most `most` rows in each: int64 [rows].

    Every row without a group asks the nearest that has room, and each group takes the nearest of those that ask.
    """
    rows, groups = distances.shape
    chosen, room = torch.full((rows,), -1, dtype=torch.int64), torch.full((groups,), most)
    while bool((chosen < 0).any()):
        waiting = torch.nonzero(chosen < 0).squeeze(1)
        open_to = distances[waiting].masked_fill((room == 0)[None, :], torch.inf)
        distance, wanted = open_to.min(dim=1)
        for group in wanted.unique().tolist():
            asking = torch.nonzero(wanted == group).squeeze(1)
            taken = asking[distance[asking].sort(stable=True).indices[: int(room[group])]]
            chosen[waiting[taken]] = group
            room[group] -= len(taken)
    return chosen


def fit_pairs(matrix: Tensor, groups: int, members: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Group rows, member rows (float32), and each row's group and member, no pair used twice.

    Of a matrix [rows, columns] they are [groups, columns], [members, columns] and, int64, both [rows].  Alternates:
    groups by balanced nearest centre, members by the best one-to-one assignment within each group, then both kinds of
    row as means of what they have to explain.
    """
    from scipy.optimize import linear_sum_assignment

    largest = matrix.abs().max().clamp_min(torch.finfo(torch.float32).tiny).double()
    scaled = matrix.double() / largest
    heads = fit_centres(matrix, groups, seed).double() / largest
    group = balanced(torch.cdist(scaled, heads), members)
    heads = _means(scaled, group, groups)
    # The fullest group's rows are the first members: assignment spreads the others over them.
    fullest = group.bincount(minlength=groups).argmax()
    rows = torch.zeros(members, matrix.shape[1], dtype=torch.float64)
    first = scaled[group == fullest] - heads[fullest]
    rows[: len(first)] = first
    member = torch.zeros(len(matrix), dtype=torch.int64)
    for _ in range(_ROUNDS):
        for i in range(groups):
            own = torch.nonzero(group == i).squeeze(1)
            costs = torch.cdist(scaled[own] - heads[i], rows, compute_mode="donot_use_mm_for_euclid_dist").square()
            member[own] = torch.from_numpy(np.asarray(linear_sum_assignment(costs.numpy())[1], dtype=np.int64))
        rows = _means(scaled - heads[group], member, members)
        heads = _means(scaled - rows[member], group, groups)
    return (heads * largest).float(), (rows * largest).float(), group, member


def _means(matrix: Tensor, owner: Tensor, owners: int) -> Tensor:
    sums = torch.zeros(owners, matrix.shape[1], dtype=matrix.dtype).index_add(0, owner, matrix)
    return sums / owner.bincount(minlength=owners).clamp_min(1)[:, None]


@register
class Grouped(TableScheme):
    """Group rows [G, columns], member rows [ceil(V/G), columns] and a map of each token to both."""

    name = "grouped"
    summary = "two-level vocabulary: a group's row plus a row within the group, no two tokens alike"
    formula = "(G+n)·(d·b/8 + 2) + V·idx(G)/8 + V·idx(n)/8, n = ⌈V/G⌉ (b=16: no scales)"
    parameters = (Parameter("groups", int, "G, groups of tokens", lowest=1), values.HALF_DEFAULT, values.STORE)
    decoder_source = values.READ_CODED + (
        "a=g('groups',C);b=g('members',C)\nw=a[m(t['group_map'],R,len(a))]+b[m(t['member_map'],R,len(b))]\n"
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        shape = (matrix.shape[0], matrix.shape[1])
        (groups, members), (bits, store) = self._sizes(shape, options), values.widths(self, options)
        heads, rows, group, member = fit_pairs(matrix, groups, members, context.seed)
        return (
            *values.matrix_tables("groups", heads, bits, store, Account.CODEBOOK),
            *values.matrix_tables("members", rows, bits, store, Account.CODEBOOK),
            values.map_table("group_map", group, groups),
            values.map_table("member_map", member, members),
        )

    def _sizes(self, shape: tuple[int, int], options: Options) -> tuple[int, int]:
        groups = min(shape[0], int(options["groups"]))
        return groups, -(-shape[0] // groups)

    def decode(self, encoded: Encoded) -> Tensor:
        rows, columns = encoded.shape
        group = values.read_map(encoded.tensor("group_map"), rows, values.row_count(encoded, "groups"))
        member = values.read_map(encoded.tensor("member_map"), rows, values.row_count(encoded, "members"))
        own = values.read_matrix(encoded, "groups", columns)[group]
        return own + values.read_matrix(encoded, "members", columns)[member]

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        (rows, columns), widths = shape, values.widths(self, options)
        sizes = self._sizes(shape, options)
        return sum(values.matrix_bytes(n, columns, *widths) + values.map_bytes(rows, n) for n in sizes)

    def rank_bound(self, shape: tuple[int, int], options: Options) -> int:
        return min(*shape, sum(self._sizes(shape, self.options(options))) - 1)


_CODES = Parameter("codes", int, "K, rows of a codebook", lowest=1)
_BITS = values.bits_parameter("bits", "b, bits of a codebook value", 16)


@register
class Product(TableScheme):
    """Groups of columns, each with a codebook of K sub-vectors and a code per row."""

    name = "product"
    summary = "product codes: a codebook for each group of columns (PQ)"
    formula = "K·d·b/8 + 2K + G·V·idx(K)/8 (b=16: no scales)"
    parameters = (Parameter("groups", int, "G, groups of columns", lowest=1), _CODES, _BITS, values.STORE)
    decoder_source = values.READ_CODED + (
        "c=g('codebook',C);j=n.arange(C)\nw=c[n.stack([m(x,R,len(c))for x in t['map']],1)[:,j*len(t['map'])//C],j]\n"
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        rows, columns = matrix.shape
        groups, codes = self._sizes((rows, columns), options)
        group, codebook = values.column_groups(columns, groups), torch.empty(codes, columns)
        for i in range(groups):
            codebook[:, group == i] = fit_centres(matrix[:, group == i].contiguous(), codes, context.seed)
        tables = values.matrix_tables("codebook", codebook, *values.widths(self, options), Account.CODEBOOK)
        rounded = values.reread(tables, columns)
        chosen = [nearest(matrix[:, group == i], rounded[:, group == i]) for i in range(groups)]
        return (*tables, values.map_tables("map", torch.stack(chosen), codes))

    def _sizes(self, shape: tuple[int, int], options: Options) -> tuple[int, int]:
        return min(shape[1], int(options["groups"])), min(shape[0], int(options["codes"]))

    def decode(self, encoded: Encoded) -> Tensor:
        rows, columns = encoded.shape
        codebook, maps = values.read_matrix(encoded, "codebook", columns), encoded.tensor("map")
        codes = torch.stack([values.read_map(packed, rows, len(codebook)) for packed in maps], dim=1)
        return codebook[codes[:, values.column_groups(columns, len(maps))], torch.arange(columns)]

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        (groups, codes), widths = self._sizes(shape, options), values.widths(self, options)
        return values.matrix_bytes(codes, shape[1], *widths) + groups * values.map_bytes(shape[0], codes)


@register
class Residual(TableScheme):
    """M codebooks [K, columns]; a row is the sum of one row of each, each fitted to what those before it miss."""

    name = "residual"
    summary = "residual codes: the sum of one row of each of M codebooks (RVQ)"
    formula = "M·(K·d·b/8 + 2K) + M·V·idx(K)/8 (b=16: no scales)"
    parameters = (Parameter("stages", int, "M, codebooks", lowest=1), _CODES, _BITS, values.STORE)
    decoder_source = values.READ_CODED + (
        "c=g('codebook',C);M=t['map'];c=c.reshape(len(M),-1,C)\nw=sum(a[m(x,R,len(a))]for a,x in zip(c,M))\n"
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        (rows, columns), widths = matrix.shape, values.widths(self, options)
        stages, codes = int(options["stages"]), min(rows, int(options["codes"]))
        missed, books, chosen = matrix, [], []
        for _ in range(stages):
            book = fit_centres(missed, codes, context.seed)
            rounded = values.reread(values.matrix_tables("codebook", book, *widths), columns)
            code = nearest(missed, rounded)
            missed = missed - rounded[code]
            books.append(book)
            chosen.append(code)
        tables = values.matrix_tables("codebook", torch.cat(books), *widths, Account.CODEBOOK)
        return (*tables, values.map_tables("map", torch.stack(chosen), codes))

    def decode(self, encoded: Encoded) -> Tensor:
        rows, columns = encoded.shape
        maps = encoded.tensor("map")
        books = values.read_matrix(encoded, "codebook", columns).view(len(maps), -1, columns)
        decoded = torch.zeros(rows, columns)
        for book, packed in zip(books, maps, strict=True):
            decoded = decoded + book[values.read_map(packed, rows, len(book))]
        return decoded

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        stages, codes = int(options["stages"]), min(shape[0], int(options["codes"]))
        books = values.matrix_bytes(stages * codes, shape[1], *values.widths(self, options))
        return books + stages * values.map_bytes(shape[0], codes)
