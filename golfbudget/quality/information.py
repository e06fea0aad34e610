"""I(W;H|C): what a head that gives tokens of one code a fixed split of it cannot know of the next token.

With p(w|h) a model's own chances after state h, and C(w) the code of a token, the best that such a head can do is
p(c|h)·q(w|c) for some split q.  It costs E[KL(p(·|h) ‖ p(c|h)·q(·|c))] = E[KL(p(·|c,h) ‖ q(·|c))], which is least where
q is the mean of the split over all states; that least is I(W;H|C) = I(W;H) - I(C;H), nats a token.  It is measured for
the states of one model on one text: another trunk may bring it down, so nothing is certified by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


class _Terms:
    """Sums of p ln p over states and codes, and of p over states: of one map of tokens to codes."""

    def __init__(self, codes: Tensor) -> None:
        # A code of one token has the same terms as the token: they cancel, and are left out of both.
        sizes = codes.bincount()
        self.tied = torch.nonzero(sizes[codes] > 1).squeeze(1)
        self.codes = codes[self.tied].unique(return_inverse=True)[1]
        self.count = int(self.codes.max()) + 1 if len(self.tied) else 0
        self.told = 0.0
        self.mean = torch.zeros(len(self.tied), dtype=torch.float64)

    def add(self, chances: Tensor) -> None:
        """`chances` [vocabulary, states]."""
        own = chances[self.tied]
        together = torch.zeros(self.count, own.shape[1]).index_add(0, self.codes, own)
        self.told += float(_entropy_terms(own) - _entropy_terms(together))
        self.mean += own.sum(1, dtype=torch.float64)

    def information(self, states: int) -> float:
        mean = self.mean / states
        together = torch.zeros(self.count, dtype=torch.float64).index_add(0, self.codes, mean)
        return max(0.0, self.told / states - float(_entropy_terms(mean) - _entropy_terms(together)))


def _entropy_terms(chances: Tensor) -> Tensor:
    total: Tensor = torch.special.xlogy(chances, chances).sum(dtype=torch.float64)
    return total


def split_information(logits: Iterable[Tensor], maps: Sequence[Tensor]) -> list[float]:
    """I(W;H|C) of each map, codes int64 [vocabulary], in nats a token, over logits [..., vocabulary] in chunks.

    Zero where no code has two tokens, or where the chances of those that share one keep their proportions; never less.
    One pass, whatever the number of maps.

    >>> two = torch.tensor([[0.0, 0.0], [2.0, -2.0]]), torch.tensor([[1.0, 1.0]])
    >>> [round(found, 4) for found in split_information(two, [torch.tensor([0, 0]), torch.tensor([0, 1])])]
    [0.1485, 0.0]
    """
    terms, states = [_Terms(codes) for codes in maps], 0
    for chunk in logits:
        chances = chunk.flatten(0, -2).softmax(-1).T.contiguous()
        states += chances.shape[1]
        for one in terms:
            one.add(chances)
    return [one.information(max(1, states)) for one in terms]
