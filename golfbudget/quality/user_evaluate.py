"""Bits per byte of a user's own model on evaluation text: `Evaluator` for what `--model FILE:OBJECT` names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget.errors import UsageError
from golfbudget.quality.evaluate import Evaluator, same_tensors
from golfbudget.quality.text import Text
from golfbudget.quality.user_model import UserModel, is_split

#: Logits held at once, in numbers: 256 MiB of float32.
_LOGITS_AT_ONCE = 1 << 26
#: How far module(ids) may be from module.logits(module.hidden(ids)), in nats.
_AGREE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """Hidden states of every window, those of the first window on its own, and the tensors they depend on."""

    before: Mapping[str, Tensor]
    probe: Tensor
    states: list[Tensor]


class UserEvaluator(Evaluator):
    """Scores state dicts of a user's model on one text.

    `head` names the tensors that only the head reads: with a split model, states that differ in nothing else reuse
    the hidden states.  The claim is checked on one window each time, and not relied on where it is false.
    """

    def __init__(self, text: Text, model: UserModel, *, vocabulary: int, head: frozenset[str] = frozenset()) -> None:
        super().__init__(text)
        if int(text.windows.max()) >= vocabulary:
            raise UsageError(
                f"the text holds token {int(text.windows.max())}, the model's vocabulary has {vocabulary} tokens"
            )
        self.model, self.vocabulary, self.head = model, vocabulary, head
        self._agrees = False
        self._kept_run: _Run | None = None
        self._last_run: _Run | None = None

    def _chunks(self) -> tuple[Tensor, ...]:
        length = self.text.windows.shape[1] - 1
        found: tuple[Tensor, ...] = self.text.windows.split(max(1, _LOGITS_AT_ONCE // (length * self.vocabulary)))
        return found

    def logit_chunks(
        self,
        state: Mapping[str, Tensor],
        *,
        bias: Tensor | None = None,
        keep: bool = False,
        windows: int | None = None,
    ) -> Iterator[Tensor]:
        """Logits of all windows, or of the first, in order: float32 [some windows, length, vocabulary] at a time."""
        left = len(self.text.windows) if windows is None else windows
        for chunk in self._plain_chunks(state, keep=keep):
            wanted = chunk[:left]
            yield wanted if bias is None else wanted + bias.float()
            left -= len(wanted)
            if left <= 0:
                return

    def _plain_chunks(self, state: Mapping[str, Tensor], *, keep: bool) -> Iterator[Tensor]:
        module = self.model.on(state)
        chunks = self._chunks()
        if not is_split(module):
            yield from (self.model.logits(module, chunk[:, :-1], self.vocabulary) for chunk in chunks)
            return
        for hidden in self._hidden_chunks(module, state, chunks, keep=keep):
            yield self.model.logits_of(module, hidden, self.vocabulary)

    def _token_nats(self, state: Mapping[str, Tensor], bias: Tensor | None, *, keep: bool) -> Tensor:
        chunks = zip(self.logit_chunks(state, bias=bias, keep=keep), self._chunks(), strict=True)
        return torch.cat([F.cross_entropy(z.transpose(1, 2), chunk[:, 1:], reduction="none") for z, chunk in chunks])

    def _hidden_chunks(
        self, module: torch.nn.Module, state: Mapping[str, Tensor], chunks: tuple[Tensor, ...], *, keep: bool
    ) -> list[Tensor]:
        """Hidden states of all windows, from before where only the head has changed."""
        probe = chunks[0][:1, :-1]
        first = self.model.hidden(module, probe)
        if not self._agrees:
            whole = self.model.logits(module, probe, self.vocabulary)
            apart = (self.model.logits_of(module, first, self.vocabulary) - whole).abs().max()
            if not float(apart) <= _AGREE:
                raise UsageError(
                    f"--model {self.model.spec}: module(ids) and module.logits(module.hidden(ids)) differ by up to "
                    f"{float(apart):.3g}; they must be the same"
                )
            self._agrees = True
        before = {name: tensor for name, tensor in state.items() if name not in self.head}
        for known in (self._kept_run, self._last_run):
            if known is not None and same_tensors(before, known.before) and torch.equal(first, known.probe):
                return known.states
        states = [self.model.hidden(module, chunk[:, :-1]) for chunk in chunks]
        self._last_run = _Run(before=before, probe=first, states=states)
        if keep:
            self._kept_run = self._last_run
        return states
