"""Vector quantisation of weights: runs of n neighbours of a row, each replaced by one of K shared runs.

Rows are brought to one size first, by an fp16 scale each: the root of the row's mean square.  The codebook is fitted by
k-means to a seeded sample and not trained further.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from golfbudget.ledger import Account
from golfbudget.schemes.base import Context, Encoded, Options, Parameter, Table, TableScheme, register
from golfbudget.schemes.rounding import storable
from golfbudget.schemes.values import READ_MAP, half_table, map_bytes, map_table, read_map, to_half
from golfbudget.schemes.vq_logits import fit_centres

#: Runs that the codebook is fitted to, for each of its rows: more change it little.
_SAMPLES_PER_CODE = 256
#: Distances held in memory at once.
_AT_ONCE = 1 << 22


@register
class WeightVq(TableScheme):
    """A codebook [K, n], packed codes of idx(K) bits a run, and row scales; K is at most the number of runs."""

    name = "weight-vq"
    summary = "runs of n neighbouring weights as codes into one codebook, with a scale per row"
    formula = "2·K·n + V·⌈d/n⌉·idx(K)/8 + 2V"
    parameters = (
        Parameter("width", int, "n, neighbouring weights of a run", lowest=1, highest=64),
        Parameter("codes", int, "K, rows of the codebook", lowest=1, highest=65536),
    )
    decoder_source = READ_MAP + (
        "c=t['codebook'].astype('f');L,N=c.shape;q=-(-C//N)\n"
        "w=c[m(t['map'],R*q,L)].reshape(R,-1)[:,:C]*t['scales'].astype('f')[:,None]\n"
    )

    def tables(self, matrix: Tensor, options: Options, context: Context) -> tuple[Table, ...]:
        columns, width = matrix.shape[1], int(options["width"])
        scales = storable(matrix.double().square().mean(1).sqrt().float())
        runs = pad(matrix / scales[:, None], (0, -columns % width)).view(-1, width)
        codes = min(len(runs), int(options["codes"]))
        codebook = to_half(fit_centres(_sample(runs, codes, context.seed), codes, context.seed))
        return (
            half_table("codebook", codebook, Account.CODEBOOK),
            map_table("map", _nearest(runs, codebook.float()), codes),
            half_table("scales", scales.half()),
        )

    def decode(self, encoded: Encoded) -> Tensor:
        (rows, columns), codebook = encoded.shape, encoded.tensor("codebook").float()
        codes = read_map(encoded.tensor("map"), rows * -(-columns // codebook.shape[1]), len(codebook))
        return codebook[codes].view(rows, -1)[:, :columns] * encoded.tensor("scales").float()[:, None]

    def table_bytes(self, shape: tuple[int, int], options: Options) -> int:
        (rows, columns), width = shape, int(options["width"])
        runs = rows * -(-columns // width)
        codes = min(runs, int(options["codes"]))
        return 2 * codes * width + map_bytes(runs, codes) + 2 * rows


def _sample(runs: Tensor, codes: int, seed: int) -> Tensor:
    """As many runs as the codebook is fitted to, in their order, drawn without replacement."""
    most = codes * _SAMPLES_PER_CODE
    if len(runs) <= most:
        return runs
    drawn = torch.randperm(len(runs), generator=torch.Generator().manual_seed(seed))[:most]
    return runs[drawn.sort().values]


def _nearest(runs: Tensor, codebook: Tensor) -> Tensor:
    """Index of the codebook row closest to each run, int64 [runs]; ties go to the lower index."""
    energy = codebook.double().square().sum(1).float() / 2
    at_once = max(1, _AT_ONCE // len(codebook))
    return torch.cat([torch.addmm(energy, part, codebook.T, alpha=-1).argmin(1) for part in runs.split(at_once)])
