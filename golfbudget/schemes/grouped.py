"""Grouped vocabulary (two-level, arXiv:2411.06371): a token's row is its group's row plus its row within the group.

Member rows are shared by all groups, and no two tokens have the same pair, so that no two are tied.  All groups
but the last ones are full: V tokens in G groups need ceil(V/G) member rows.  The map is counted; a vocabulary whose
groups follow from its merges would not need it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from golfbudget.ledger import Account
from golfbudget.schemes.base import Context, Encoded, Options, Parameter, Table, TableScheme, register
from golfbudget.schemes.clusters import fit_centres
from golfbudget.schemes.values import (
    READ_MAP,
    READ_MATRIX,
    STORE,
    bits_parameter,
    check_bits,
    map_bytes,
    map_table,
    matrix_bytes,
    matrix_tables,
    read_map,
    read_matrix,
    row_count,
)

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

    Alternates: groups by balanced nearest centre, members by the best one-to-one assignment within each group, then
    both kinds of row as means of what they have to explain.
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
    parameters = (
        Parameter(name="groups", kind=int, summary="G, groups of tokens", lowest=1),
        bits_parameter("bits", "b, bits of a value", 16),
        STORE,
    )
    decoder_source = (
        READ_MATRIX
        + READ_MAP
        + ("a=g('groups',C);b=g('members',C)\nw=a[m(t['group_map'],R,len(a))]+b[m(t['member_map'],R,len(b))]\n")
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        shape = (matrix.shape[0], matrix.shape[1])
        (groups, members), bits = self._sizes(shape, options), check_bits(self.name, "bits", options)
        heads, rows, group, member = fit_pairs(matrix, groups, members, context.seed)
        return (
            *matrix_tables("groups", heads, bits, str(options["store"]), Account.CODEBOOK),
            *matrix_tables("members", rows, bits, str(options["store"]), Account.CODEBOOK),
            map_table("group_map", group, groups),
            map_table("member_map", member, members),
        )

    def _sizes(self, shape: tuple[int, int], options: Options) -> tuple[int, int]:
        groups = min(shape[0], int(options["groups"]))
        return groups, -(-shape[0] // groups)

    def decode(self, encoded: Encoded) -> Tensor:
        rows, columns = encoded.shape
        group = read_map(encoded.tensor("group_map"), rows, row_count(encoded, "groups"))
        member = read_map(encoded.tensor("member_map"), rows, row_count(encoded, "members"))
        return read_matrix(encoded, "groups", columns)[group] + read_matrix(encoded, "members", columns)[member]

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        bits, store = check_bits(self.name, "bits", options), str(options["store"])
        sizes = self._sizes(shape, options)
        return sum(matrix_bytes(size, shape[1], bits, store) + map_bytes(shape[0], size) for size in sizes)

    def rank_bound(self, shape: tuple[int, int], options: Options) -> int:
        return min(*shape, sum(self._sizes(shape, self.options(options))) - 1)
