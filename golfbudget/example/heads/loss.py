"""What a softmax over a vocabulary loses, and its gradients, a few positions at a time so that logits stay in a cache.

Tokens may share rows.  A token w on row c(w) has the logit cap(h·row) + b(w), so the normaliser needs one exponential
for each row: the biases of a row's tokens add up before it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from golfbudget.quality.baseline_model import LOGIT_CAP

_AT_ONCE = 128


class SharedRowsLoss(torch.autograd.Function):
    """Mean nats of targets [positions] after hidden [positions, width].

    `rows` [K, width] are what tokens share by `codes` int64 [V]; `bias` [V].  `latent` [V, width] takes no part in the
    value: its gradient is what each token's own row would have if it stood where the shared row stands.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401  (torch's own context)
        hidden: Tensor,
        rows: Tensor,
        latent: Tensor | None,
        bias: Tensor | None,
        codes: Tensor | None,
        targets: Tensor,
    ) -> Tensor:
        """The loss, a scalar, and gradients with it, while what they take is at hand; shapes as of `SharedRowsLoss`."""
        vocabulary, count = len(rows) if codes is None else len(codes), len(targets)
        gathered = None if bias is None else _row_bias(bias, codes, len(rows))
        to_rows, to_hidden = torch.zeros_like(rows), torch.empty_like(hidden)
        drawn = torch.zeros(vocabulary, rows.shape[1])
        chance = torch.zeros(len(rows))
        lost, scaled = 0.0, (rows * (2 / LOGIT_CAP)).T
        for start in range(0, count, _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            states, wanted = hidden[part], targets[part]
            own = wanted if codes is None else codes[wanted]
            # c * tanh(z / c) is 2c * sigmoid(2z / c) - c, which is several times faster; the constant cancels.
            bent = (states @ scaled).sigmoid_()
            scores = bent * (2 * LOGIT_CAP)
            if gathered is not None:
                scores += gathered
            logit = scores.gather(1, own[:, None]).squeeze(1)
            if bias is not None and gathered is not None:
                logit = logit - gathered[own] + bias[wanted]
            # Capped logits are far from overflowing.
            chances = scores.exp_()
            total = chances.sum(1)
            lost += float((total.log() - logit).sum(dtype=torch.float64))
            chances /= total[:, None]
            chance += chances.sum(0)
            at_own = bent.gather(1, own[:, None])
            slope = 4 * at_own * (1 - at_own)
            steep = chances.mul_(bent).mul_(bent.neg_().add_(1)).mul_(4)
            pull = slope * states
            drawn.index_add_(0, wanted, pull)
            to_rows.addmm_(steep.T, states)
            to_hidden[part] = steep @ rows - slope * rows[own]
        ctx.grads = _gradients(to_hidden, to_rows, drawn, chance, bias, gathered, codes, targets, count, latent)
        return hidden.new_tensor(lost / count)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Gradients by the arguments of `forward`, each of its argument's shape; None for codes and targets."""
        found = tuple(None if one is None else one * grads[0] for one in ctx.grads)
        return (*found, None, None)


def _row_bias(bias: Tensor, codes: Tensor | None, count: int) -> Tensor:
    """Ln of the sum of exp(bias) over each row's tokens; rows without any never get a chance."""
    if codes is None:
        return bias
    return torch.zeros(count).index_add(0, codes, bias.exp()).log()


def _gradients(
    to_hidden: Tensor,
    to_rows: Tensor,
    drawn: Tensor,
    chance: Tensor,
    bias: Tensor | None,
    gathered: Tensor | None,
    codes: Tensor | None,
    targets: Tensor,
    count: int,
    latent: Tensor | None,
) -> tuple[Tensor | None, ...]:
    """By hidden, rows, latent and bias; `drawn` is what targets pull, `chance` what each row was expected."""
    to_latent = to_bias = None
    parts: Tensor | float = 1.0
    if codes is not None and gathered is not None and bias is not None:
        parts = (bias - gathered[codes]).exp()
    if latent is not None and codes is not None and isinstance(parts, Tensor):
        to_latent = (parts[:, None] * to_rows[codes] - drawn) / count
    if bias is not None:
        expected = chance if codes is None else chance[codes] * parts
        to_bias = (expected - targets.bincount(minlength=len(bias))) / count
    pulled = drawn if codes is None else torch.zeros_like(to_rows).index_add(0, codes, drawn)
    return to_hidden / count, (to_rows - pulled) / count, to_latent, to_bias


def shared_rows_loss(
    hidden: Tensor,
    rows: Tensor,
    targets: Tensor,
    *,
    latent: Tensor | None = None,
    bias: Tensor | None = None,
    codes: Tensor | None = None,
) -> Tensor:
    """Mean nats of targets; rows that are shared (`codes`) need a bias; shapes as of `SharedRowsLoss`."""
    found: Tensor = SharedRowsLoss.apply(hidden, rows, latent, bias, codes, targets)  # type: ignore[no-untyped-call]
    return found
