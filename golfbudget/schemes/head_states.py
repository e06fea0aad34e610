"""What calibration text says of a head's codes: the chances that the head itself gives, state by state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

_AT_ONCE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadStates:
    """States that a head reads on calibration text: `hidden` float32 [states, columns].

    Logits are cap·tanh(z/cap) of products z where there is a `cap`.  `others` [states] is the logarithm of what rows
    that are not looked at add to every state's sum of exponentials, where there are any.
    """

    hidden: Tensor
    cap: float | None = None
    others: Tensor | None = None

    def spaced(self, most: int) -> HeadStates:
        """Evenly spaced states, at most so many."""
        every = -(-len(self.hidden) // most)
        others = None if self.others is None else self.others[::every].contiguous()
        return replace(self, hidden=self.hidden[::every].contiguous(), others=others)

    def parts(self) -> Iterator[HeadStates]:
        """The states in order, a bounded number at a time."""
        for at in range(0, len(self.hidden), _AT_ONCE):
            others = None if self.others is None else self.others[at : at + _AT_ONCE]
            yield replace(self, hidden=self.hidden[at : at + _AT_ONCE], others=others)

    def logits(self, matrix: Tensor) -> Tensor:
        """[states, rows], as the head of that matrix [rows, columns] gives them."""
        return self.capped(self.hidden @ matrix.T)

    def capped(self, products: Tensor) -> Tensor:
        """Logits of products [states, rows], in that shape."""
        return products if self.cap is None else self.cap * torch.tanh(products / self.cap)

    def without(self, matrix: Tensor) -> HeadStates:
        """The states for the other rows of a head, these [rows, columns] left out of what is looked at."""
        more = torch.cat([part.logits(matrix).logsumexp(1) for part in self.parts()])
        return replace(self, others=more if self.others is None else torch.logaddexp(self.others, more))

    def total(self, logits: Tensor) -> Tensor:
        """Ln of the sum of exponentials of logits [states, rows] and of the others', [states]."""
        own = logits.logsumexp(1)
        return own if self.others is None else torch.logaddexp(own, self.others)

    def chances(self, matrix: Tensor) -> Tensor:
        """p(row | state) of a matrix [rows, columns], [states, rows]; with those of others they add up to one."""
        logits = self.logits(matrix)
        return (logits - self.total(logits)[:, None]).exp()
