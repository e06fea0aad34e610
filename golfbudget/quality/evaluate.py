"""Bits per byte of a model on evaluation text, its divergence from another, and the covariances of matrices' inputs.

Losses are kept per window, so that two models are compared on the same text: the interval is a paired bootstrap
over blocks of windows.  Torch works on one thread, so that losses are the same wherever and beside whatever they are
measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget.errors import ModelError
from golfbudget.quality.baseline_model import EMBEDDING, HEAD, LOGIT_CAP, BaselineModel, logits
from golfbudget.quality.intervals import Interval, ratio_interval
from golfbudget.quality.text import Text
from golfbudget.recipe.state import digest
from golfbudget.schemes.head_states import HeadStates
from golfbudget.schemes.threads import one_thread

METRIC = "bits-per-byte"
_DIGITS = 6
#: Few enough that a layer's values stay in a core's own cache.
_TOKENS_AT_ONCE = 1024
#: … and as many windows where covariances are summed.
_WINDOWS_AT_ONCE = 8
#: Tokens of a window that are compared at once, and logits: of a large vocabulary, 256 tokens take 600 MB in doubles.
_TOKENS_COMPARED, _LOGITS_COMPARED = 256, 1 << 20
#: States of a head that are kept for its encoders.
_MOST_STATES = 1 << 15

Losses = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Hidden:
    """Hidden states of the text's first windows, [some, length, width], and every tensor they depend on.

    `probe` is what a check of that claim gave.
    """

    before: Mapping[str, Tensor]
    probe: Tensor
    states: Tensor


class Evaluator:
    """Scores state dicts of one architecture on one text.

    `head` names the tensors that only the head reads.  Hidden states of the last state, and of one state that is to be
    kept, are reused for states that differ in nothing else.
    """

    def __init__(self, text: Text, head: frozenset[str] = frozenset({HEAD})) -> None:
        self.text, self.head = text, head
        self._kept: _Hidden | None = None
        self._last: _Hidden | None = None

    def __getstate__(self) -> dict[str, object]:
        """Without hidden states, which another process finds again where it needs them."""
        return {**self.__dict__, "_kept": None, "_last": None}

    @property
    def key(self) -> str:
        """What losses of a state depend on besides the name of its model: the text, here."""
        return digest({"windows": self.text.windows})

    def on(self, text: Text) -> Evaluator:
        """The same model on another text of its vocabulary."""
        return Evaluator(text, self.head)

    def losses(self, state: Mapping[str, Tensor], *, bias: Tensor | None = None, keep: bool = False) -> Losses:
        """Nats lost in each window, float64 [n]; `bias` [vocabulary] is added to the capped logits.

        `keep` its hidden states for later.
        """
        losses: Losses = self.token_losses(state, bias=bias, keep=keep).sum(1)
        return losses

    def token_losses(self, state: Mapping[str, Tensor], *, bias: Tensor | None = None, keep: bool = False) -> Losses:
        """Nats lost on each predicted token, float64 [n, length]; `keep`, and `bias` [vocabulary], as for `losses`."""
        with torch.inference_mode(), one_thread():
            return finite(self._token_nats(state, bias, keep=keep))

    def divergences(
        self,
        base: Mapping[str, Tensor],
        new: Mapping[str, Tensor],
        *,
        bias: Tensor | None = None,
        windows: int | None = None,
    ) -> Losses:
        """KL(base || new) in nats at each predicted token, float64 [n, length]; `bias` [vocabulary] is of `new`.

        Of the first `windows` alone, where that is given.  Keeps the hidden states of `base`.
        """
        return self.departures(base, new, bias=bias, windows=windows)[0]

    def departures(
        self,
        base: Mapping[str, Tensor],
        new: Mapping[str, Tensor],
        *,
        bias: Tensor | None = None,
        windows: int | None = None,
    ) -> tuple[Losses, Losses]:
        """What `divergences` gives, and whether both expect the same token most: 1 or 0, float64 [n, length].

        `bias` [vocabulary] is of `new`.
        """
        apart, agreed = list[Tensor](), list[Tensor]()
        with torch.inference_mode(), one_thread():
            changed = self.logit_chunks(new, bias=bias, windows=windows)
            pairs = zip(self.logit_chunks(base, keep=True, windows=windows), changed, strict=True)
            for before, after in pairs:
                for b, a in zip(before, after, strict=True):
                    apart.append(window_divergence(b, a))
                    agreed.append(b.argmax(-1) == a.argmax(-1))
        return torch.stack(apart).numpy(), torch.stack(agreed).double().numpy()

    def measured(
        self, base: Mapping[str, Tensor], new: Mapping[str, Tensor], *, bias: Tensor | None, windows: int
    ) -> tuple[Losses, Losses, Losses]:
        """What `token_losses` gives of `new`, and `departures` from `base` in the first windows; `bias` is of `new`.

        Float64 [n, length], and twice [windows, length]; `bias` is [vocabulary].
        """
        nats = self.token_losses(new, bias=bias)
        return nats, *self.departures(base, new, bias=bias, windows=windows)

    def logit_chunks(
        self, state: Mapping[str, Tensor], *, bias: Tensor | None = None, keep: bool = False, windows: int | None = None
    ) -> Iterator[Tensor]:
        """Logits of all windows, or of the first, in order: float32 [some windows, length, vocabulary] at a time.

        `bias` [vocabulary] is added to them.
        """
        for scores in self._scores(self._model(state), state, keep=keep, windows=windows):
            yield scores if bias is None else scores + bias.float()

    def _scores(
        self, model: nn.Module, state: Mapping[str, Tensor], *, keep: bool, windows: int | None
    ) -> Iterator[Tensor]:
        """Logits without a bias."""
        hidden = self._hidden_states(model, state, keep=keep, windows=windows)
        return (self._logits(model, chunk) for chunk in hidden.split(self._at_once))

    @property
    def _at_once(self) -> int:
        return max(1, _TOKENS_AT_ONCE // self.text.window)

    def _model(self, state: Mapping[str, Tensor]) -> nn.Module:
        model = BaselineModel.from_state(state)
        check_tokens(self.text, model.shape.vocab)
        return model

    def _states(self, model: nn.Module, ids: Tensor) -> Tensor:
        return cast("BaselineModel", model).hidden_states(ids)

    def _every_state(self, model: nn.Module, wanted: Tensor) -> Tensor:
        """States of whole windows, [some, length, width]."""
        return torch.cat([self._states(model, ids[:, :-1]) for ids in wanted.split(self._at_once)])

    def _logits(self, model: nn.Module, hidden: Tensor) -> Tensor:
        return logits(hidden, cast("BaselineModel", model).head)

    def _probe(self, model: nn.Module) -> Tensor:
        """What is equal where hidden states may be reused, besides the tensors; this architecture needs no proof."""
        del model
        return torch.empty(0)

    def _token_nats(self, state: Mapping[str, Tensor], bias: Tensor | None, *, keep: bool) -> Tensor:
        """Cross-entropy of each predicted token, [n, length]."""
        model = self._model(state)
        hidden = self._hidden_states(model, state, keep=keep).split(self._at_once)
        head, windows = cast("BaselineModel", model).head, self.text.windows.split(self._at_once)
        return torch.cat([_nats(h, head, w[:, 1:], bias) for h, w in zip(hidden, windows, strict=True)])

    def _hidden_states(
        self, model: nn.Module, state: Mapping[str, Tensor], *, keep: bool, windows: int | None = None
    ) -> Tensor:
        """Hidden states of all windows, or of the first, from before where only the head has changed."""
        wanted = self.text.windows[:windows]
        before, probe = {name: tensor for name, tensor in state.items() if name not in self.head}, self._probe(model)
        kept, last = (
            run if run is not None and torch.equal(probe, run.probe) and same_tensors(before, run.before) else None
            for run in (self._kept, self._last)
        )
        reused = next((run for run in (kept, last) if run is not None and len(run.states) >= len(wanted)), None)
        run = reused
        if run is None:
            run = _Hidden(before=before, probe=probe, states=self._every_state(model, wanted))
        if keep or kept is not None:
            self._kept = run
        elif reused is None:
            self._last = run
        return run.states[: len(wanted)]

    def bits_per_byte(self, losses: Losses) -> float:
        """Bits per byte of the whole text's losses in nats, of any shape."""
        return float(losses.sum()) / math.log(2) / self.text.bytes

    def compare(self, base: Losses, new: Losses, seed: int) -> Interval:
        """The change from `base` to `new`, nats lost in windows, both [n], in bits per byte.

        Its interval is paired, over blocks of windows.
        """
        difference = (new - base) / math.log(2)
        weights = self.text.bytes_per_window.double().numpy()
        return ratio_interval(difference, weights, seed=seed).rounded(_DIGITS)


def finite(nats: Tensor) -> Losses:
    """Losses of any shape as float64 of that shape; `ModelError` unless they are finite."""
    found: Losses = nats.double().numpy()
    if not np.isfinite(found).all():
        raise ModelError("the model's loss is not finite on the evaluation text")
    return found


def _nats(hidden: Tensor, head: Tensor, targets: Tensor, bias: Tensor | None = None) -> Tensor:
    """Cross-entropy of each token, float32 [n, length], computed in place.

    c * tanh(z / c) equals 2c * sigmoid(2z / c) - c, which is several times faster; and capped logits need no
    maximum subtracted before they are exponentiated.  Of a bias its own maximum is enough: no probability changes.
    """
    scores = F.linear(hidden, head * (2 / LOGIT_CAP)).sigmoid_().mul_(2 * LOGIT_CAP).sub_(LOGIT_CAP)
    if bias is not None:
        scores += bias.float() - bias.max()
    picked = scores.gather(2, targets[:, :, None]).squeeze(2)
    return scores.exp_().sum(2).log_() - picked


def same_tensors(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """Whether two states hold equal tensors under the same names."""
    return a.keys() == b.keys() and all(a[name] is b[name] or torch.equal(a[name], b[name]) for name in a)


def check_tokens(text: Text, vocabulary: int) -> None:
    """`ModelError` unless every token of the text is in the vocabulary."""
    if int(text.windows.max()) >= vocabulary:
        raise ModelError(f"the text holds token {int(text.windows.max())}, the model's vocabulary has {vocabulary}")


def divergence(base: Tensor, new: Tensor) -> Tensor:
    """KL(base || new) in nats, float64 [...], of logits that are both [..., vocabulary].

    The mean surprise of `new` over that of `base` on tokens drawn from `base`; zero where they agree, infinite where
    `new` gives no probability to what `base` may draw.  Logits of minus infinity are allowed, on either side.
    `ModelError` when the shapes differ.
    """
    if base.shape != new.shape:
        raise ModelError(f"logits of two models must have one shape, found {list(base.shape)} and {list(new.shape)}")
    before, after = base.double().log_softmax(-1), new.double().log_softmax(-1)
    terms = before.exp() * (before - after)
    # A share too small for its exponential times an infinite surprise is infinite, not undefined …
    terms = torch.where(after == -torch.inf, torch.inf, terms)
    # … but a token that `base` never draws adds nothing, whatever `new` says of it.
    return torch.where(before == -torch.inf, 0.0, terms).sum(-1).clamp_min(0.0)


def window_divergence(base: Tensor, new: Tensor) -> Tensor:
    """`divergence` [length] at each token of a window, of logits that are both [length, vocabulary].

    A few at a time: its arithmetic is double, and takes memory.
    """
    tokens = max(1, min(_TOKENS_COMPARED, _LOGITS_COMPARED // base.shape[-1]))
    parts = zip(base.split(tokens), new.split(tokens), strict=True)
    return torch.cat([divergence(one, other) for one, other in parts])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """What a model's matrices read on a text.

    `covariances`: E[x xᵀ], uncentred, of every linear layer's inputs by the name of its weight, float64 [columns,
    columns]; GPTQ's Hessian but for a factor (arXiv:2210.17323).  The output matrix's inputs are the last hidden
    states; they stand under its name, and under the one that it takes when a tied model's is untied.  `states` are
    those, evenly spaced, of a bounded number of positions.
    """

    covariances: dict[str, Tensor]
    states: HeadStates


def calibrate(state: Mapping[str, Tensor], text: Text) -> Calibration:
    """One run of the built-in model over a text; `ModelError` where it does not take the state."""
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
    every, at, kept = -(-text.tokens // _MOST_STATES), 0, list[Tensor]()
    with torch.inference_mode(), one_thread():
        for windows in text.windows.split(_WINDOWS_AT_ONCE):
            hidden = model.hidden_states(windows[:, :-1])
            _add(sums, HEAD, hidden)
            states = hidden.flatten(0, 1)
            kept.append(states[-at % every :: every])
            at += len(states)
    for hook in hooks:
        hook.remove()
    if model.shape.tied:
        sums[EMBEDDING] = sums[HEAD]
    return Calibration(
        covariances={name: (total / text.tokens).clone() for name, total in sums.items()},
        # Tensors of inference mode take part in no gradient.
        states=HeadStates(hidden=torch.cat(kept).clone(), cap=LOGIT_CAP),
    )


def input_covariances(state: Mapping[str, Tensor], text: Text) -> dict[str, Tensor]:
    """The covariances of `calibrate`."""
    return calibrate(state, text).covariances


def _add(sums: dict[str, Tensor], name: str, inputs: Tensor) -> None:
    rows = inputs.reshape(-1, inputs.shape[-1]).double()
    sums[name] = sums[name] + rows.T @ rows if name in sums else rows.T @ rows
