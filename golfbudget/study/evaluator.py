"""Scores state dicts of a run's own architecture, and says what its matrices read on a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget.example.heads.arms import OWN, Arm, Kind
from golfbudget.example.heads.model import HEAD_PREFIX, StudyModel
from golfbudget.quality.baseline_model import Shape
from golfbudget.quality.evaluate import Evaluator, check_tokens
from golfbudget.quality.text import Text
from golfbudget.schemes.threads import one_thread
from golfbudget.schemes.values import column_groups

_WINDOWS_AT_ONCE = 16
_LEAST = 1e-6


class StudyEvaluator(Evaluator):
    """As its base, for the models of one arm and shape."""

    def __init__(self, text: Text, arm: Arm, shape: Shape, head: frozenset[str] = frozenset()) -> None:
        super().__init__(text, head if arm.input_side == OWN else frozenset())
        check_tokens(text, shape.vocab)
        self.arm, self.shape = arm, shape

    def on(self, text: Text) -> StudyEvaluator:
        return StudyEvaluator(text, self.arm, self.shape, self.head)

    def _model(self, state: Mapping[str, Tensor]) -> nn.Module:
        return StudyModel.of(self.arm, self.shape, state)

    def _states(self, model: nn.Module, ids: Tensor) -> Tensor:
        return cast("StudyModel", model).hidden_states(ids)

    def _logits(self, model: nn.Module, hidden: Tensor) -> Tensor:
        return cast("StudyModel", model).head.scores(hidden)

    def _token_nats(self, state: Mapping[str, Tensor], bias: Tensor | None, *, keep: bool) -> Tensor:
        windows = self.text.windows.split(self._at_once)
        chunks = zip(self.logit_chunks(state, bias=bias, keep=keep), windows, strict=True)
        return torch.cat([F.cross_entropy(z.transpose(1, 2), chunk[:, 1:], reduction="none") for z, chunk in chunks])


def covariances(arm: Arm, shape: Shape, state: Mapping[str, Tensor], text: Text) -> dict[str, Tensor]:
    """E[x xᵀ] of the inputs of a model's matrices by their names, float64; none of what reads no vectors."""
    model = StudyModel.of(arm, shape, state)
    sums: dict[str, Tensor] = {}

    def add(name: str, inputs: Tensor) -> None:
        rows = inputs.reshape(-1, inputs.shape[-1]).double()
        sums[name] = sums.get(name, torch.zeros(())) + rows.T @ rows

    hooks = [
        module.register_forward_pre_hook(lambda _module, inputs, name=name: add(f"{name}.weight", inputs[0]))
        for name, module in model.trunk.named_modules()
        if isinstance(module, nn.Linear)
    ]
    with torch.inference_mode(), one_thread():
        for windows in text.windows.split(_WINDOWS_AT_ONCE):
            add(HEAD_PREFIX, model.hidden_states(windows[:, :-1]))
    for hook in hooks:
        hook.remove()
    found = {name: (total / text.tokens).clone() for name, total in sums.items()}
    return found | _of_head(arm, found.pop(HEAD_PREFIX), state)


def _of_head(arm: Arm, hidden: Tensor, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same of the head's matrices, of the second moment of hidden states [width, width]."""
    if arm.kind is Kind.DENSE:
        return {f"{HEAD_PREFIX}weight": hidden}
    if arm.kind is Kind.LOW_RANK:
        right = state[f"{HEAD_PREFIX}right"].double()
        return {f"{HEAD_PREFIX}right": hidden, f"{HEAD_PREFIX}left": right @ hidden @ right.T}
    if arm.kind is Kind.TWO_LEVEL:
        return {f"{HEAD_PREFIX}classes": hidden}
    if arm.kind is Kind.PRODUCT:
        group = column_groups(len(hidden), arm.groups)
        # A code's row is read in the columns of its group alone.
        return {f"{HEAD_PREFIX}codebook": torch.where(group[:, None] == group, hidden, 0.0)}
    return {f"{HEAD_PREFIX}codebook": hidden}
