"""Bits per byte of a user's own model on evaluation text: `Evaluator` for what `--model FILE:OBJECT` names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget.errors import UsageError
from golfbudget.quality.evaluate import Evaluator
from golfbudget.quality.text import Text
from golfbudget.quality.user_model import UserModel, is_split

#: Logits held at once, in numbers: 256 MiB of float32.
_LOGITS_AT_ONCE = 1 << 26
#: How far module(ids) may be from module.logits(module.hidden(ids)), in nats.
_AGREE = 1e-3


class UserEvaluator(Evaluator):
    """Scores state dicts of a user's model on one text.

    `head` names the tensors that only the head reads: with a split model, states that differ in nothing else reuse
    the hidden states.  The claim is checked on one window each time, and not relied on where it is false.
    """

    def __init__(self, text: Text, model: UserModel, *, vocabulary: int, head: frozenset[str] = frozenset()) -> None:
        super().__init__(text, head)
        if int(text.windows.max()) >= vocabulary:
            raise UsageError(
                f"the text holds token {int(text.windows.max())}, the model's vocabulary has {vocabulary} tokens"
            )
        self.model, self.vocabulary = model, vocabulary
        self._agrees = False

    @property
    def _at_once(self) -> int:
        return max(1, _LOGITS_AT_ONCE // (self.text.window * self.vocabulary))

    def _model(self, state: Mapping[str, Tensor]) -> nn.Module:
        return self.model.on(state)

    def _states(self, model: nn.Module, ids: Tensor) -> Tensor:
        return self.model.hidden(model, ids)

    def _logits(self, model: nn.Module, hidden: Tensor) -> Tensor:
        return self.model.logits_of(model, hidden, self.vocabulary)

    def logit_chunks(
        self, state: Mapping[str, Tensor], *, bias: Tensor | None = None, keep: bool = False, windows: int | None = None
    ) -> Iterator[Tensor]:
        """Logits of all windows, or of the first, in order: float32 [some windows, length, vocabulary] at a time."""
        module = self._model(state)
        wanted = self.text.windows[:windows].split(self._at_once)
        if is_split(module):
            hidden = self._hidden_states(module, state, keep=keep, windows=windows).split(self._at_once)
            chunks = (self._logits(module, chunk) for chunk in hidden)
        else:
            chunks = (self.model.logits(module, chunk[:, :-1], self.vocabulary) for chunk in wanted)
        for scores in chunks:
            yield scores if bias is None else scores + bias.float()

    def _token_nats(self, state: Mapping[str, Tensor], bias: Tensor | None, *, keep: bool) -> Tensor:
        windows = self.text.windows.split(self._at_once)
        chunks = zip(self.logit_chunks(state, bias=bias, keep=keep), windows, strict=True)
        return torch.cat([F.cross_entropy(z.transpose(1, 2), chunk[:, 1:], reduction="none") for z, chunk in chunks])

    def _probe(self, model: nn.Module) -> Tensor:
        """Hidden states of the first window; the first time they are seen to give the module's own logits."""
        ids = self.text.windows[:1, :-1]
        states = self._states(model, ids)
        if not self._agrees:
            apart = (self._logits(model, states) - self.model.logits(model, ids, self.vocabulary)).abs().max()
            if not float(apart) <= _AGREE:
                raise UsageError(
                    f"--model {self.model.spec}: module(ids) and module.logits(module.hidden(ids)) differ by up to "
                    f"{float(apart):.3g}; they must be the same"
                )
            self._agrees = True
        return states
