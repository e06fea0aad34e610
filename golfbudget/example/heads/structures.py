"""What heads are made of, as modules in training: rows of a vocabulary and what targets lose by them.

Heads of codes start dense.  After a share of the steps they are clustered; from then on every token keeps a latent row
of its own, which takes part in nothing but the choice of its code: it gets the gradient that the token's own row would
have where the shared row stands (straight through, as DPQ and VQ-VAE do), is drawn towards that row, and every so many
steps each token takes the code next to it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget.example.heads.arms import Arm, Kind, share
from golfbudget.example.heads.loss import shared_rows_loss
from golfbudget.quality.baseline_model import logits
from golfbudget.schemes.base import Context
from golfbudget.schemes.clusters import means
from golfbudget.schemes.grouped_codes import fit_pairs
from golfbudget.schemes.information_map import alone, together
from golfbudget.schemes.values import column_groups
from golfbudget.schemes.vq_logits import fit_centres, fit_codebook, nearest

#: How far a latent row is drawn towards its code's row at every step.
DRAWN = 0.02
_DEVIATION = 0.02


class Structure(nn.Module, ABC):
    """A head in training; `starts_dense` says that `settle` makes it of dense rows after a while."""

    starts_dense = False

    @abstractmethod
    def rows(self) -> Tensor:
        """The vocabulary's rows, [V, width], as an input table reads them."""

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Mean nats, a scalar, of targets [positions] after hidden [positions, width]."""
        return shared_rows_loss(hidden, self.rows(), targets)

    def scores(self, hidden: Tensor) -> Tensor:
        """Logits, or log-chances, [..., V], of hidden [..., width]."""
        return logits(hidden, self.rows())

    def settle(self, counts: Tensor, hidden: Tensor, seed: int) -> None:
        """Make codes of dense rows; `counts` [V] are those of the training text, `hidden` [n, width] states on it."""

    def drift(self) -> None:
        """After a step: draw latent rows towards those in use."""

    def reassign(self) -> int:
        """Choose codes anew; how many tokens moved."""
        return 0


def _normal(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape) * _DEVIATION)


class Dense(Structure):
    """A row for each token."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.weight = _normal(vocabulary, width)

    def rows(self) -> Tensor:
        return self.weight


class LowRankHead(Structure):
    """`left` [V, rank] times `right` [rank, width]."""

    def __init__(self, vocabulary: int, width: int, rank: int) -> None:
        super().__init__()
        # The product starts as small as a dense table does.
        self.left = nn.Parameter(torch.randn(vocabulary, rank) * _DEVIATION)
        self.right = nn.Parameter(torch.randn(rank, width) / math.sqrt(rank))

    def rows(self) -> Tensor:
        return self.left @ self.right


class _StraightThrough(torch.autograd.Function):
    """The second argument; its gradient goes to both."""

    @staticmethod
    def forward(ctx: object, latent: Tensor, chosen: Tensor) -> Tensor:
        del ctx, latent
        return chosen.clone()

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> tuple[Tensor, Tensor]:
        del ctx
        return grads[0], grads[0]


def straight_through(latent: Tensor, chosen: Tensor) -> Tensor:
    """`chosen` as it is, with its gradient going to `latent`, too; all [V, width]."""
    found: Tensor = _StraightThrough.apply(latent, chosen)  # type: ignore[no-untyped-call]
    return found


class SharedRows(Structure):
    """K rows, of which the first `explicit` belong to one token each, the most frequent; and a bias for each token.

    Tokens whose rows are near share one at first; `informed`, they are then moved until the codes keep as much as moves
    can of what states say of the next token, I(C;H).
    """

    starts_dense = True

    def __init__(
        self, vocabulary: int, width: int, shared: int, explicit: int, bias: Tensor, *, informed: bool = True
    ) -> None:
        super().__init__()
        self.shared, self.explicit, self.informed = shared, explicit, informed
        self.latent = _normal(vocabulary, width)
        self.bias = nn.Parameter(bias.clone())
        self.codebook = nn.Parameter(torch.zeros(shared + explicit, width))
        self.register_buffer("codes", torch.full((vocabulary,), -1))
        self.codes: Tensor

    @property
    def settled(self) -> bool:
        return int(self.codes[0]) >= 0

    def rows(self) -> Tensor:
        if not self.settled:
            return self.latent
        return straight_through(self.latent, self.codebook[self.codes])

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        if not self.settled:
            return shared_rows_loss(hidden, self.latent, targets, bias=self.bias)
        return shared_rows_loss(
            hidden, self.codebook, targets, latent=self.latent, bias=self.bias, codes=self.codes
        )  # fmt: skip

    def scores(self, hidden: Tensor) -> Tensor:
        if not self.settled:
            return logits(hidden, self.latent) + self.bias
        return logits(hidden, self.codebook)[..., self.codes] + self.bias

    @torch.no_grad()
    def settle(self, counts: Tensor, hidden: Tensor, seed: int) -> None:
        order = counts.argsort(descending=True, stable=True)
        own, rest = order[: self.explicit], order[self.explicit :]
        rest = rest.sort().values
        rows = self.latent[rest].contiguous()
        found = fit_codebook(rows, self.shared, Context(seed=seed, counts=counts[rest]))
        used = nearest(rows, found)
        if self.informed:
            chances = (logits(hidden, self.latent) + self.bias).softmax(-1)[:, rest].T.contiguous()
            codes = alone(chances, together(chances, used, self.shared), self.shared)
            used = codes.unique(return_inverse=True)[1]
            found = torch.from_numpy(means(rows.double().numpy(), counts[rest].numpy() + 1.0, used.numpy())).float()
        self.codebook[: self.explicit] = self.latent[own]
        self.codebook[self.explicit : self.explicit + len(found)] = found
        self.codes[own] = torch.arange(self.explicit)
        self.codes[rest] = used + self.explicit
        self._fill()

    @torch.no_grad()
    def drift(self) -> None:
        if self.settled:
            self.latent.lerp_(self.codebook[self.codes], DRAWN)

    @torch.no_grad()
    def reassign(self) -> int:
        if not self.settled:
            return 0
        free = self.codes >= self.explicit
        before = self.codes.clone()
        self.codes[free] = nearest(self.latent[free], self.codebook[self.explicit :]) + self.explicit
        self._fill()
        return int((before != self.codes).sum())

    def _fill(self) -> None:
        """A code without tokens takes the one, of those that share a row, that is furthest from it."""
        sizes = self.codes.bincount(minlength=len(self.codebook))
        for code in torch.nonzero(sizes == 0).flatten().tolist():
            away = (self.latent - self.codebook[self.codes]).square().sum(1)
            away[self.codes.bincount(minlength=len(self.codebook))[self.codes] < 2] = -1
            token = int(away.argmax())
            self.codes[token] = code
            self.codebook[code] = self.latent[token]


class ProductCodes(Structure):
    """Groups of columns, each with a codebook of its own columns and a code for each token."""

    starts_dense = True

    def __init__(self, vocabulary: int, width: int, groups: int, codes: int) -> None:
        super().__init__()
        self.latent = _normal(vocabulary, width)
        self.codebook = nn.Parameter(torch.zeros(codes, width))
        self.register_buffer("codes", torch.full((groups, vocabulary), -1))
        self.codes: Tensor
        self.group = column_groups(width, groups)

    @property
    def settled(self) -> bool:
        return int(self.codes[0, 0]) >= 0

    def chosen(self) -> Tensor:
        """Rows as codes have them, [V, width]."""
        return self.codebook.gather(0, self.codes[self.group].T)

    def rows(self) -> Tensor:
        if not self.settled:
            return self.latent
        return straight_through(self.latent, self.chosen())

    @torch.no_grad()
    def settle(self, counts: Tensor, hidden: Tensor, seed: int) -> None:
        for group in range(len(self.codes)):
            columns = self.group == group
            self.codebook[:, columns] = fit_centres(self.latent[:, columns].contiguous(), len(self.codebook), seed)
        self._assign()

    def drift(self) -> None:
        if self.settled:
            with torch.no_grad():
                self.latent.lerp_(self.chosen(), DRAWN)

    def reassign(self) -> int:
        if not self.settled:
            return 0
        before = self.codes.clone()
        self._assign()
        return int((before != self.codes).any(0).sum())

    @torch.no_grad()
    def _assign(self) -> None:
        for group in range(len(self.codes)):
            columns = self.group == group
            self.codes[group] = nearest(self.latent[:, columns].contiguous(), self.codebook[:, columns].contiguous())


class TwoLevel(Structure):
    """A softmax over classes, and one over the tokens of the class: ln p = ln p(class) + ln p(token | class).

    Member rows are shared by all classes (arXiv:2411.06371), each of which scales and shifts the state that they read.
    Without that, class and member would be independent after any state.  As input a token has the class's row plus
    its member's, scaled.
    """

    starts_dense = True

    def __init__(self, vocabulary: int, width: int, classes: int) -> None:
        super().__init__()
        self.latent = _normal(vocabulary, width)
        members = -(-vocabulary // classes)
        self.classes = nn.Parameter(torch.zeros(classes, width))
        self.members = nn.Parameter(torch.zeros(members, width))
        self.scale = nn.Parameter(torch.ones(classes, width))
        self.shift = nn.Parameter(torch.zeros(classes, width))
        for name in ("class_of", "member_of"):
            self.register_buffer(name, torch.full((vocabulary,), -1))
        self.register_buffer("open", torch.zeros(classes, members))
        self.class_of: Tensor
        self.member_of: Tensor
        self.open: Tensor

    @property
    def settled(self) -> bool:
        return int(self.class_of[0]) >= 0

    def rows(self) -> Tensor:
        if not self.settled:
            return self.latent
        return self.classes[self.class_of] + self.scale[self.class_of] * self.members[self.member_of]

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        if not self.settled:
            return super().loss(hidden, targets)
        group = self.class_of[targets]
        within = logits(hidden * self.scale[group] + self.shift[group], self.members) + self.open[group]
        return F.cross_entropy(logits(hidden, self.classes), group) + F.cross_entropy(within, self.member_of[targets])

    def scores(self, hidden: Tensor) -> Tensor:
        if not self.settled:
            return super().scores(hidden)
        found = hidden.new_empty(*hidden.shape[:-1], len(self.class_of))
        of_class = logits(hidden, self.classes).log_softmax(-1)
        for group in range(len(self.classes)):
            tokens = torch.nonzero(self.class_of == group).flatten()
            if len(tokens):
                bent = hidden * self.scale[group] + self.shift[group]
                within = (logits(bent, self.members) + self.open[group]).log_softmax(-1)
                found[..., tokens] = of_class[..., group, None] + within[..., self.member_of[tokens]]
        return found

    @torch.no_grad()
    def settle(self, counts: Tensor, hidden: Tensor, seed: int) -> None:
        heads, rows, group, member = fit_pairs(self.latent.detach(), len(self.classes), len(self.members), seed)
        self.classes.copy_(heads)
        self.members.copy_(rows)
        self.place(group, member)

    def place(self, group: Tensor, member: Tensor) -> None:
        """Each token's class and member, both int64 [V]; what no token of a class is has no chance there."""
        self.class_of.copy_(group)
        self.member_of.copy_(member)
        self.open.fill_(-torch.inf)
        self.open[group, member] = 0.0
        # A class without tokens is never a target; its row of minus infinity would make gradients nan.
        self.open[self.open.isinf().all(1)] = 0.0


def make(arm: Arm, vocabulary: int, width: int, bias: Tensor) -> Structure:
    """The head of an arm; `bias` [V] is where biases start."""
    if arm.kind is Kind.DENSE:
        return Dense(vocabulary, width)
    if arm.kind is Kind.LOW_RANK:
        return LowRankHead(vocabulary, width, share(width, arm.rank))
    if arm.kind is Kind.PRODUCT:
        return ProductCodes(vocabulary, width, arm.groups, share(vocabulary, arm.codes))
    if arm.kind is Kind.TWO_LEVEL:
        return TwoLevel(vocabulary, width, share(vocabulary, arm.rows))
    shared, explicit = share(vocabulary, arm.rows), share(vocabulary, arm.explicit)
    return SharedRows(vocabulary, width, shared, explicit, bias, informed=arm.informed)
