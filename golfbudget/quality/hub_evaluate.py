"""Bits per byte of models that `transformers` runs.  Only the head changed: no second pass through the trunk.

Of an encoder-decoder the decoder predicts each window and the encoder reads the one before it, so that both count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget.errors import UsageError
from golfbudget.quality.evaluate import Evaluator, Losses, check_tokens, finite, window_divergence
from golfbudget.quality.hub_model import HubModel, HubState
from golfbudget.quality.text import Text
from golfbudget.schemes.threads import one_thread

#: Logits held at once, in numbers: 128 MiB of float32.
_LOGITS_AT_ONCE = 1 << 25


class HubEvaluator(Evaluator):
    """Scores state dicts of a model of the Hub on one text."""

    def __init__(self, text: Text, model: HubModel, *, vocabulary: int) -> None:
        # A tied model's table is read by the trunk, too; a matrix that a candidate unties is the head's alone.
        super().__init__(text, frozenset({model.own_head}))
        check_tokens(text, vocabulary)
        if model.positions is not None and text.window > model.positions:
            raise UsageError(
                f"--model hf: {model.config.file}: the text has windows of {text.window:,} tokens and the model "
                f"{model.positions:,} positions; say `window` in the text's metadata, or give text and a tokenizer"
            )
        self.model, self.vocabulary = model, vocabulary

    @property
    def key(self) -> str:
        return f"{super().key}:{self.model.config.key}"

    def on(self, text: Text) -> HubEvaluator:
        return HubEvaluator(text, self.model, vocabulary=self.vocabulary)

    @property
    def _at_once(self) -> int:
        return max(1, _LOGITS_AT_ONCE // (self.text.window * self.vocabulary))

    def _model(self, state: Mapping[str, Tensor]) -> nn.Module:
        held = self.model.on(state)
        self.model.check_split(self.text.windows[:1, :-1], held)
        return held

    def _logits(self, model: nn.Module, hidden: Tensor) -> Tensor:
        return cast("HubState", model).logits(hidden)

    def _every_state(self, model: nn.Module, wanted: Tensor) -> Tensor:
        held = cast("HubState", model)
        return torch.cat([held.hidden(ids, before) for ids, before in self._runs(wanted)])

    def _runs(self, wanted: Tensor) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Windows without their last token, and those before them where an encoder reads: the first has none."""
        if not self.model.config.encoder_decoder:
            yield from ((ids[:, :-1], None) for ids in wanted.split(self._at_once))
            return
        yield wanted[:1, :-1], None
        for start in range(1, len(wanted), self._at_once):
            stop = min(start + self._at_once, len(wanted))
            yield wanted[start:stop, :-1], wanted[start - 1 : stop - 1, :-1]

    def _scores(
        self, model: nn.Module, state: Mapping[str, Tensor], *, keep: bool, windows: int | None
    ) -> Iterator[Tensor]:
        if self.model.split:
            yield from super()._scores(model, state, keep=keep, windows=windows)
            return
        held = cast("HubState", model)
        for ids, before in self._runs(self.text.windows[:windows]):
            yield from held.whole(ids, before).split(self._at_once)

    def _token_nats(self, state: Mapping[str, Tensor], bias: Tensor | None, *, keep: bool) -> Tensor:
        chunks = self.logit_chunks(state, bias=bias, keep=keep)
        return torch.cat([nats for _, nats in self._judged(chunks)])

    def measured(
        self, base: Mapping[str, Tensor], new: Mapping[str, Tensor], *, bias: Tensor | None, windows: int
    ) -> tuple[Losses, Losses, Losses]:
        """All from one pass over the new state's logits: products with large vocabularies are what costs."""
        nats, apart, agreed = list[Tensor](), list[Tensor](), list[Tensor]()
        with torch.inference_mode(), one_thread():
            before = (one for part in self.logit_chunks(base, keep=True, windows=windows) for one in part)
            for scores, lost in self._judged(self.logit_chunks(new, bias=bias)):
                nats.append(lost)
                # The new one's windows are counted first: of the old there are only those that are compared.
                for after, old in zip(scores, before, strict=False):
                    apart.append(window_divergence(old, after))
                    agreed.append(old.argmax(-1) == after.argmax(-1))
            found = finite(torch.cat(nats))
        # The next state is read while this one would wait for a use that does not come.
        self._last = None
        self.model.let_go()
        return found, torch.stack(apart).numpy(), torch.stack(agreed).double().numpy()

    def _judged(self, chunks: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits of windows in their order, and the nats lost on each token there."""
        at = 0
        for scores in chunks:
            targets = self.text.windows[at : at + len(scores), 1:]
            lost = F.cross_entropy(scores.flatten(0, 1), targets.flatten(), reduction="none")
            yield scores, lost.view(targets.shape)
            at += len(scores)
