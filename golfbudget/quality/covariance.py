"""Covariances of the inputs of a model's matrices, from calibration text: what GPTQ-style rounding weighs by.

Uncentred ones, E[x xᵀ]: GPTQ's Hessian but for a factor (arXiv:2210.17323).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from golfbudget.quality.baseline_model import EMBEDDING, HEAD, BaselineModel
from golfbudget.quality.evaluate import check_tokens
from golfbudget.quality.text import Text
from golfbudget.quality.threads import one_thread

_WINDOWS_AT_ONCE = 8


def input_covariances(state: Mapping[str, Tensor], text: Text) -> dict[str, Tensor]:
    """E[x xᵀ] of every linear layer's inputs by the name of its weight, float64 [columns, columns].

    The output matrix's inputs are the last hidden states; they stand under its name, and under the name that it
    takes when a tied model's is untied.  `ModelError` where the built-in model does not take the state.
    """
    model = BaselineModel.from_state(state)
    check_tokens(text, model.shape.vocab)
    sums: dict[str, Tensor] = {}

    def adding(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _module, inputs: _add(sums, name, inputs[0])

    hooks = [
        module.register_forward_pre_hook(adding(f"{name}.weight"))
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    ]
    with torch.inference_mode(), one_thread():
        for windows in text.windows.split(_WINDOWS_AT_ONCE):
            _add(sums, HEAD, model.hidden_states(windows[:, :-1]))
    for hook in hooks:
        hook.remove()
    if model.shape.tied:
        sums[EMBEDDING] = sums[HEAD]
    return {name: (total / text.tokens).clone() for name, total in sums.items()}


def _add(sums: dict[str, Tensor], name: str, inputs: Tensor) -> None:
    rows = inputs.reshape(-1, inputs.shape[-1]).double()
    sums[name] = sums[name] + rows.T @ rows if name in sums else rows.T @ rows
