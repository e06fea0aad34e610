"""New codes for the tokens of a VQ head in training: which token would do better on another's row, and by how much.

The codebook stays; a token changes its code.  What each of its codes would cost is estimated in nats on windows of
text, from one pass of the model as it is:

* As an output, with p the source's probability of the token and z the logit of the code's row: the normaliser grows by
  what the row adds to it, the token's own surprise falls by p·z.  Where tokens have a bias, the bias that makes the
  token as frequent as the source says is put in, which leaves n·ln(sum of exp(z) / normaliser) - sum of p·z.  As
  ln(1 + x) is at most x, a token that moves alone gains that much or more.
* As an input, where the table is shared: half the squared distance of the code's row from the token's own, in the
  metric of the loss's gradients by input rows (the empirical Fisher information), for each time the token is read.  A
  token's own row is the source's, moved as far as training has moved the row that it has.

What moves at once do to each other is left out: whoever moves tokens measures the loss after it, and may move those
only that gain most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget.quality.baseline_model import BaselineModel, logits
from golfbudget.quality.stored import Tables, Weight
from golfbudget.schemes import Encoded, values

_WINDOWS_AT_ONCE = 8
#: A token that the text hardly expects keeps a finite bias.
_LEAST_COUNT = 1e-6


def codes_of(encoded: Encoded) -> Tensor:
    """Each token's code, int64 [rows]."""
    return values.read_map(encoded.tensor("map"), encoded.shape[0], values.row_count(encoded, "codebook"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """Better codes: `old` and `new` int64 [rows], what each token gains by its own in nats, and the bias it needs."""

    old: Tensor
    new: Tensor
    gain: Tensor
    bias: Tensor | None

    @property
    def count(self) -> int:
        return int((self.new != self.old).sum())

    def first(self, count: int) -> Tensor:
        """The codes, int64 [rows], after the `count` moves that gain most; no code loses its last token."""
        order = torch.where(self.new != self.old, self.gain, -torch.inf).argsort(descending=True, stable=True)
        codes, left = self.old.clone(), self.old.bincount()
        for token in order[:count].tolist():
            if left[codes[token]] > 1:
                left[codes[token]] -= 1
                codes[token] = self.new[token]
                left[codes[token]] += 1
        return codes


def better_codes(
    weight: Weight,
    state: Mapping[str, Tensor],
    bias: Tensor | None,
    source: BaselineModel,
    windows: Tensor,
    moved: Tensor | float = 0.0,
) -> Moves:
    """The code at which each token of a head with a map would cost least on `windows` [n, length + 1].

    `state` is what the export in training decodes to, `bias` [rows] what its head adds to the logits, `moved`
    [rows, width] how far training has moved the head's rows.
    """
    encoded, matrix = _tables(weight).encoded, state[weight.name]
    codes = codes_of(encoded)
    codebook = torch.zeros(values.row_count(encoded, "codebook"), matrix.shape[1])
    codebook[codes] = matrix
    seen = _seen(BaselineModel.from_state(state), bias, source, codebook, windows)
    share = seen.share.clamp_min(torch.finfo(torch.float32).tiny)
    cost = (share if bias is None else seen.expected[:, None] * share.log()) - seen.surprise
    if source.shape.tied:
        cost = cost + _input_cost(seen, source.tok_emb.weight.detach() + moved, codebook)
    least, new = cost.min(1)
    gain = cost.gather(1, codes[:, None]).squeeze(1) - least
    new = torch.where(gain > 0, new, codes)
    if bias is not None:
        bias = torch.where(new != codes, seen.expected.clamp_min(_LEAST_COUNT).log() - share.log()[new], bias)
    return Moves(old=codes, new=new, gain=gain, bias=bias)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """Sums over the tokens of windows.

    `surprise` [rows, codes] of p·z, `share` [codes] of exp(z) over the normaliser, `expected` [rows] of p, `read`
    [rows] of inputs; `metric` [width, width] is the mean of g·gᵀ, g the gradient of the loss by an input row.
    """

    surprise: Tensor
    share: Tensor
    expected: Tensor
    read: Tensor
    metric: Tensor


def _seen(model: BaselineModel, bias: Tensor | None, source: BaselineModel, codebook: Tensor, windows: Tensor) -> _Seen:
    (rows, width), (codes, _) = model.head.shape, codebook.shape
    surprise, share, expected = torch.zeros(rows, codes), torch.zeros(codes), torch.zeros(rows)
    metric = torch.zeros(width, width)
    for part in windows.split(_WINDOWS_AT_ONCE):
        ids, targets = part[:, :-1], part[:, 1:].flatten()
        embedded = F.embedding(ids, model.tok_emb.weight.detach()).requires_grad_()
        states = model.states_of(embedded).flatten(0, 1)
        scores = logits(states, model.head.detach())
        scores = scores if bias is None else scores + bias
        (gradient,) = torch.autograd.grad(F.cross_entropy(scores, targets, reduction="sum"), embedded)
        with torch.no_grad():
            wanted = source(ids).flatten(0, 1).softmax(-1)
            by_code = logits(states, codebook)
            surprise += wanted.T @ by_code
            share += (by_code - scores.logsumexp(-1, keepdim=True)).exp().sum(0)
            expected += wanted.sum(0)
            metric += gradient.flatten(0, 1).T @ gradient.flatten(0, 1)
    read = windows[:, :-1].flatten()
    return _Seen(
        surprise=surprise,
        share=share,
        expected=expected,
        read=read.bincount(minlength=rows).float(),
        metric=metric / len(read),
    )


def _input_cost(seen: _Seen, wanted: Tensor, codebook: Tensor) -> Tensor:
    """[rows, codes]: inputs are normalised, so rows of the source and of the codebook are compared at one length."""
    length = codebook.square().mean(1).sqrt().mean()
    energies, vectors = torch.linalg.eigh(seen.metric.double())
    root = (vectors * energies.clamp_min(0).sqrt()).float()
    rows, codes = (F.rms_norm(matrix, (matrix.shape[1],)) @ root for matrix in (wanted, codebook))
    return 0.5 * seen.read[:, None] * (length * torch.cdist(rows, codes)).square()


def remapped(weight: Weight, moves: Moves, count: int) -> Weight:
    """The head with its first `count` tokens moved, each to its new code's row as that is in training."""
    tables, codes = _tables(weight), moves.first(count)
    encoded = tables.encoded
    codebook = torch.zeros(values.row_count(encoded, "codebook"), encoded.shape[1])
    codebook[moves.old] = tables.smooth(weight.latent).detach()
    bias = weight.bias
    if bias is not None and moves.bias is not None:
        bias = torch.where(codes != moves.old, moves.bias, bias.detach())
    moved = encoded.with_tables(values.map_table("map", codes, len(codebook)))
    return replace(weight, how=replace(tables, encoded=moved), latent=codebook[codes], bias=bias)


def _tables(weight: Weight) -> Tables:
    if not isinstance(weight.how, Tables):
        raise TypeError(f"{weight.name} is stored without codes")
    return weight.how
