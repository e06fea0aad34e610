"""Second moments of the inputs of a model's matrices, from calibration text: what GPTQ-style rounding weighs by."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from golfbudget.quality.baseline_model import HEAD, BaselineModel
from golfbudget.quality.evaluate import THREADS, check_tokens, threads
from golfbudget.quality.text import Text

_WINDOWS_AT_ONCE = 8


def input_moments(state: Mapping[str, Tensor], text: Text) -> dict[str, Tensor]:
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
    count = 0
    with torch.inference_mode(), threads(THREADS):
        for windows in text.windows.split(_WINDOWS_AT_ONCE):
            hidden = model.hidden_states(windows[:, :-1])
            _add(sums, HEAD, hidden)
            count += hidden.shape[0] * hidden.shape[1]
    for hook in hooks:
        hook.remove()
    if model.shape.tied:
        sums["tok_emb.weight"] = sums[HEAD]
    return {name: (total / count).clone() for name, total in sums.items()}


def _add(sums: dict[str, Tensor], name: str, inputs: Tensor) -> None:
    rows = inputs.reshape(-1, inputs.shape[-1]).double()
    sums[name] = sums[name] + rows.T @ rows if name in sums else rows.T @ rows
