"""The example's trunk under a head of any structure: one class for training and for scoring what a file decodes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget.example.heads.arms import OWN, Arm, share
from golfbudget.example.heads.structures import ProductCodes, SharedRows, Structure, TwoLevel, make
from golfbudget.quality.baseline_model import EMBEDDING, BaselineModel, Shape
from golfbudget.schemes.packing import bits_for, pack_bits, unpack_bits

#: Where a head's tensors stand in a state dict; codes are packed to their true width there.
HEAD_PREFIX = "head."


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """A vocabulary and the trunk that is trained with it; `width` is a multiple of `head_width`, the attention's."""

    vocabulary: int
    width: int
    blocks: int
    head_width: int = 32
    kv_heads: int = 1

    def of(self, arm: Arm) -> Shape:
        """The trunk's shape under an arm's head."""
        width = share(self.width, arm.width)
        heads = width // self.head_width
        return Shape(
            vocab=self.vocabulary,
            width=width,
            blocks=self.blocks,
            heads=heads,
            kv_heads=self.kv_heads,
            hidden=2 * width,
        )


class StudyTrunk(BaselineModel):
    """All of the example's model but its table."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        del self.tok_emb


class StudyModel(nn.Module):
    """A trunk, a head of some structure, and the input's own table where it has one."""

    def __init__(self, arm: Arm, shape: Shape, bias: Tensor) -> None:
        super().__init__()
        self.arm, self.shape = arm, shape
        self.trunk = StudyTrunk(shape)
        self.head: Structure = make(arm, shape.vocab, shape.width, bias)
        self.tok_emb = nn.Embedding(shape.vocab, shape.width) if arm.input_side == OWN else None

    def hidden_states(self, ids: Tensor) -> Tensor:
        """[batch, time] token ids to states [batch, time, width]."""
        table = self.head.rows() if self.tok_emb is None else self.tok_emb.weight
        return self.trunk.states_of(F.embedding(ids, table))

    def loss(self, windows: Tensor) -> Tensor:
        """Mean nats, a scalar, of the tokens of windows [n, length + 1]."""
        hidden = self.hidden_states(windows[:, :-1])
        return self.head.loss(hidden.flatten(0, 1), windows[:, 1:].flatten())

    def stored(self) -> dict[str, Tensor]:
        """Every tensor that a file needs, and no other: latent rows are gone, codes are packed."""
        found = {name: tensor.detach() for name, tensor in self.trunk.state_dict().items()}
        if self.tok_emb is not None:
            found[EMBEDDING] = self.tok_emb.weight.detach()
        found |= {HEAD_PREFIX + name: tensor for name, tensor in stored_head(self.head).items()}
        return {name: tensor.contiguous().clone() for name, tensor in found.items()}

    @classmethod
    def of(cls, arm: Arm, shape: Shape, state: Mapping[str, Tensor]) -> StudyModel:
        """The model that stored tensors stand for, in evaluation."""
        model = cls(arm, shape, torch.zeros(shape.vocab))
        trunk = {name: state[name].float() for name in model.trunk.state_dict()}
        model.trunk.load_state_dict(trunk)
        if model.tok_emb is not None:
            model.tok_emb.load_state_dict({"weight": state[EMBEDDING].float()})
        read_head(
            model.head, {n.removeprefix(HEAD_PREFIX): t for n, t in state.items() if n.startswith(HEAD_PREFIX)}
        )  # fmt: skip
        return model.eval()


def stored_head(head: Structure) -> dict[str, Tensor]:
    """A head's tensors as a file has them."""
    left_out = ("latent", "codes", "class_of", "member_of", "open")
    found = {name: tensor.detach() for name, tensor in head.state_dict().items() if name not in left_out}
    if isinstance(head, SharedRows):
        free = head.codes >= head.explicit
        found["map"] = pack_bits(head.codes[free] - head.explicit, bits_for(head.shared))
        if head.explicit:
            # Codes of explicit rows in the order of their tokens, so that a bit a token says all.
            own = torch.nonzero(~free).flatten()
            found["codebook"] = torch.cat((head.codebook[head.codes[own]], head.codebook[head.explicit :])).detach()
            found["explicit"] = pack_bits((~free).long(), 1)
    elif isinstance(head, ProductCodes):
        bits = bits_for(len(head.codebook))
        found["map"] = torch.stack([pack_bits(codes, bits) for codes in head.codes])
    elif isinstance(head, TwoLevel):
        found["class_map"] = pack_bits(head.class_of, bits_for(len(head.classes)))
        found["member_map"] = pack_bits(head.member_of, bits_for(len(head.members)))
    return found


def read_head(head: Structure, stored: Mapping[str, Tensor]) -> None:
    """Take a file's tensors."""
    own = {name: tensor.float() for name, tensor in stored.items() if tensor.is_floating_point()}
    head.load_state_dict(own, strict=False)
    if isinstance(head, SharedRows):
        vocabulary, mask = len(head.codes), stored.get("explicit")
        free = torch.ones(vocabulary, dtype=torch.bool) if mask is None else unpack_bits(mask, 1, vocabulary) == 0
        head.codes[~free] = torch.arange(head.explicit)
        head.codes[free] = unpack_bits(stored["map"], bits_for(head.shared), int(free.sum())) + head.explicit
    elif isinstance(head, ProductCodes):
        bits = bits_for(len(head.codebook))
        head.codes.copy_(torch.stack([unpack_bits(row, bits, head.codes.shape[1]) for row in stored["map"]]))
    elif isinstance(head, TwoLevel):
        vocabulary = len(head.class_of)
        group = unpack_bits(stored["class_map"], bits_for(len(head.classes)), vocabulary)
        head.place(group, unpack_bits(stored["member_map"], bits_for(len(head.members)), vocabulary))
