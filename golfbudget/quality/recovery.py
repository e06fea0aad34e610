"""Fine-tuning of an artifact before it is written: some steps on calibration text through its own rounding.

Every float tensor has latent float values that are trained.  The forward pass runs on what the file would decode to:
integers rounded to the scales that they have, kept tensors in their stored type, encoded matrices as their scheme
`refit`s them.  The gradient passes straight through the rounding (Bengio et al., arXiv:1308.3432).  So the loss of the
last step's weights is that of the file, and nothing is quantised afterwards.

What is lowered is the divergence from the source model (distillation, Hinton et al., arXiv:1503.02531), which says more
of each token than the text does, and for a small part the text's own surprise.  A part of the text is held out: by it
Adam's rates are chosen, new codes of a VQ head are accepted, and the best of the steps is kept, the file as it was
among them.

On one thread and from a seed: the same inputs give the same bytes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget.errors import ModelError
from golfbudget.quality.baseline_model import EMBEDDING, HEAD, BaselineModel
from golfbudget.quality.evaluate import check_tokens
from golfbudget.quality.rates import Rates, best_rates, share_of_peak
from golfbudget.quality.remap import better_codes, remapped
from golfbudget.quality.stored import Weight, weights_of
from golfbudget.quality.text import Text
from golfbudget.recipe.export import Export, decode
from golfbudget.schemes.threads import one_thread

#: Adam's own defaults, but for a second moment that a hundred steps suffice to know.
BETAS = (0.9, 0.98)
#: Predicted tokens of a step: as many windows as make these, one at least.
TOKENS_A_STEP = 2048
#: Predicted tokens held out at most, in runs of neighbouring windows: single windows would be known by their
#: neighbours; and at most this share of the text.
HELD_TOKENS, HELD_RUNS, HELD_SHARE = 16_384, 8, 5
#: The source model's share in what is lowered.  On the embedded example 15 steps take an int4 head from +0.0113 bits
#: per byte to +0.0102 at a half and to +0.0070 at nine tenths.
DISTILLED = 0.9
#: How often the held-out text is looked at, and the share of the steps after which codes are chosen anew.
LOOKS, REMAPPED_AFTER = 8, 0.25
#: Predicted tokens that new codes are judged on: few tell little of a token that is rare.
REMAPPING_TOKENS = 32_768
_WINDOWS_AT_ONCE = 8
#: Steps of each trial of a rate: one in so many of all, and so many at most.
_TRIAL_SHARE, _TRIAL_STEPS = 10, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What candidates are trained on: windows of calibration text, drawn by the seed, but for those held out."""

    text: Text
    seed: int = 0

    @property
    def digest(self) -> str:
        """SHA-256 of the text; the seed stands with the plan."""
        windows = self.text.windows
        return hashlib.sha256(f"{list(windows.shape)}:".encode() + windows.contiguous().numpy().tobytes()).hexdigest()

    @property
    def _held(self) -> Tensor:
        """Which windows are held out, bool [windows]."""
        windows = len(self.text.windows)
        count = max(1, min(windows // HELD_SHARE, math.ceil(HELD_TOKENS / self.text.window)))
        runs = min(HELD_RUNS, count)
        found = torch.zeros(windows, dtype=torch.bool)
        for run in range(runs):
            start, length = run * windows // runs, (run + 1) * count // runs - run * count // runs
            found[start : start + length] = True
        return found

    @property
    def held(self) -> Tensor:
        """Windows that are not trained on, int64 [n, length + 1]."""
        return self.text.windows[self._held]

    @property
    def learnt(self) -> Tensor:
        """Windows that are, int64 [n, length + 1]."""
        return self.text.windows[~self._held]

    def counts(self, vocabulary: int) -> Tensor:
        """How often each token is predicted in what is trained on, int64 [vocabulary]."""
        return self.learnt[:, 1:].flatten().bincount(minlength=vocabulary)

    def batches(self, steps: int) -> Iterator[Tensor]:
        """Windows of each step, int64 [some, length + 1].

        The text in a random order, and again in another when it is used up.
        """
        generator = torch.Generator().manual_seed(self.seed)
        windows = self.learnt
        many = max(1, TOKENS_A_STEP // self.text.window)
        order = torch.empty(0, dtype=torch.int64)
        for _ in range(steps):
            while len(order) < many:
                order = torch.cat((order, torch.randperm(len(windows), generator=generator)))
            yield windows[order[:many]]
            order = order[many:]


def recover(
    export: Export, reference: Mapping[str, Tensor], training: Training, steps: int, own: Collection[str] = ()
) -> Export:
    """The export after at most `steps` of training, never worse on the held-out text than it was.

    `reference` are the tensors as they were before they were stored, `own` those that a candidate stores in its own
    way, which learn at a rate of their own.  `ModelError` where the built-in model does not take the tensors, or where
    the loss is not finite.
    """
    state = {name: tensor.float() for name, tensor in decode(export).items()}
    module = BaselineModel.from_state(state)
    check_tokens(training.text, module.shape.vocab)
    source = BaselineModel.from_state({name: reference[name].float() for name in state})
    learner = _Learner(
        state=state, module=module, source=source, learnt=training.learnt, held=training.held, own=frozenset(own)
    )
    with one_thread():
        weights = learner.trained(weights_of(export, reference, state), training, steps)
    for weight in weights:
        export = weight.written(export)
    return export


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """Weights and what they lose on the held-out text, nats a token."""

    nats: float
    weights: Sequence[Weight]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Learner:
    """Trains weights of a model: `state` are all its tensors before, `source` is the model it comes from."""

    state: Mapping[str, Tensor]
    module: BaselineModel
    source: BaselineModel
    learnt: Tensor
    held: Tensor
    own: frozenset[str]

    def trained(self, start: Sequence[Weight], training: Training, steps: int) -> Sequence[Weight]:
        """The best of the steps at the best rates found."""
        before = _Kept(nats=self.lost(start), weights=start)
        if not math.isfinite(before.nats):
            raise ModelError("recovery: the loss is not finite before the first step")
        short = max(1, min(steps // _TRIAL_SHARE, _TRIAL_STEPS))
        tried = _Kept(nats=math.inf, weights=start)
        rates = best_rates(
            lambda rates: self._run(tried, training.batches(short), short, rates, looks=1).nats,
            own=any(weight.name in self.own for weight in start),
            coded=any(weight.name in self.own and weight.has_map for weight in start),
        )
        return self._run(before, training.batches(steps), steps, rates, looks=LOOKS, remap=True).weights

    def _run(
        self, before: _Kept, batches: Iterator[Tensor], steps: int, rates: Rates, *, looks: int, remap: bool = False
    ) -> _Kept:
        """The best that was seen in so many looks, the last of them at the end, or what it was before."""
        best, weights = before, [weight.in_training() for weight in before.weights]
        groups: dict[float, list[Tensor]] = {}
        for weight in weights:
            groups.setdefault(rates.own if weight.name in self.own else rates.rest, []).extend(weight.trained)
        adam = torch.optim.Adam([{"params": group, "peak": peak} for peak, group in groups.items()], betas=BETAS)
        every = max(1, steps // looks)
        for step, windows in enumerate(batches):
            if remap and step == max(1, round(REMAPPED_AFTER * steps)):
                weights = self.remapped(weights, adam)
            for group in adam.param_groups:
                group["lr"] = group["peak"] * share_of_peak(step, steps)
            with torch.enable_grad():
                loss = self._objective(weights, windows)
            if not bool(torch.isfinite(loss)):
                break
            adam.zero_grad()
            loss.backward()
            adam.step()
            done = step + 1
            if done == steps or (done % every == 0 and steps - done >= every):
                nats = self.lost(weights)
                if nats < best.nats:
                    best = _Kept(nats=nats, weights=[weight.copied() for weight in weights])
        return best

    def _objective(self, weights: Sequence[Weight], windows: Tensor) -> Tensor:
        """The text's surprise and the divergence from the source, nats a token, in their shares."""
        scores = self._scores({weight.name: weight.forward() for weight in weights}, windows).log_softmax(-1)
        with torch.no_grad():
            wanted = self.source(windows[:, :-1]).flatten(0, 1).log_softmax(-1)
        surprise = F.nll_loss(scores, windows[:, 1:].flatten())
        return torch.lerp(surprise, F.kl_div(scores, wanted, log_target=True, reduction="batchmean"), DISTILLED)

    def _scores(self, found: Mapping[str, tuple[Tensor, Tensor | None]], windows: Tensor) -> Tensor:
        """Logits of every predicted token, biases included, [tokens, vocabulary]."""
        state = {name: weight for name, (weight, _) in found.items()}
        scores: Tensor = functional_call(self.module, state, (windows[:, :-1],))
        for _, bias in found.values():
            scores = scores if bias is None else scores + bias
        return scores.flatten(0, 1)

    def lost(self, weights: Sequence[Weight]) -> float:
        """Nats a token that the file would lose on the held-out text."""
        total = 0.0
        with torch.no_grad():
            found = {weight.name: weight.decoded() for weight in weights}
            for windows in self.held.split(_WINDOWS_AT_ONCE):
                scores = self._scores(found, windows)
                total += float(F.cross_entropy(scores, windows[:, 1:].flatten(), reduction="sum"))
        return total / self.held[:, 1:].numel()

    def remapped(self, weights: list[Weight], adam: torch.optim.Adam) -> list[Weight]:
        """With new codes for as many tokens as lower the loss most, of those that should lower it."""
        name = EMBEDDING if self.module.shape.tied else HEAD
        at = next((at for at, weight in enumerate(weights) if weight.name == name and weight.has_map), None)
        if at is None:
            return weights
        decoded = {weight.name: weight.decoded() for weight in weights}
        state = {**self.state, **{name: matrix for name, (matrix, _) in decoded.items()}}
        many = math.ceil(REMAPPING_TOKENS / (self.learnt.shape[1] - 1))
        spread = self.learnt[:: max(1, len(self.learnt) // many)][:many]
        moves = better_codes(
            weights[at], state, decoded[name][1], self.source, spread, moved=state[name] - self.state[name]
        )
        best, lost = weights[at], self.lost(weights)
        for part in (1, 2, 4, 8):
            moved = remapped(weights[at], moves, moves.count // part)
            nats = self.lost([*weights[:at], moved, *weights[at + 1 :]])
            if nats < lost:
                best, lost = moved, nats
        if best is not weights[at]:
            weights = [*weights[:at], weights[at].taking(best), *weights[at + 1 :]]
            for tensor in weights[at].trained:
                adam.state.pop(tensor, None)
        return weights
