"""One run: an arm trained from a seed for a number of steps, and its checkpoint.

Data order depends on the seed alone, the trunk's first weights on seed and shape.  The last tenth of the steps is
quantisation-aware: the forward pass sees every matrix rounded as `clipped` rounds it in a file, at a step of half a
row's deviation (about three bits a weight, the midst of the budgets), and gradients pass straight through.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from golfbudget.example.heads.arms import Arm
from golfbudget.example.heads.model import Sizes, StudyModel
from golfbudget.example.heads.muon import Muon
from golfbudget.example.heads.text import StudyText
from golfbudget.progress import Progress, unwatched
from golfbudget.quality.baseline_model import INITIAL_Q_GAIN
from golfbudget.schemes.clipped import clip_scales
from golfbudget.schemes.rounding import round_rows

#: Shares of the steps: heads of codes settle after the first, choose codes no more after the second, and weights are
#: rounded from there on.
SETTLES, ROUNDS = 0.3, 0.9
REASSIGNED_EVERY = 25
#: The step of rounding, over a row's deviation; matrices with fewer rows or columns are kept as they are, as in files.
ROUNDED_AT, LEAST_SIDE = 0.5, 32
_LEVELS = 127
#: Chances of tokens after states that are looked at when codes are chosen, and states at least.
_MOST_CHANCES, _FEWEST_STATES = 1 << 22, 1024
_WARMUP, _DECAYS = 20, 0.6
_MUON_RATE, _ADAM_RATE = 0.02, 6e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSchedule:
    """How much of what a run trains on: `batch` windows of `window` predicted tokens at each step.

    From the share `rounds` of the steps on weights are rounded, and codes stay as they are.
    """

    steps: int
    batch: int = 16
    window: int = 128
    rounds: float = ROUNDS

    @property
    def tokens(self) -> int:
        return self.steps * self.batch * self.window

    def rate(self, step: int) -> float:
        """The share of the peak rates."""
        return min(1.0, (step + 1) / _WARMUP, (self.steps - step) / (_DECAYS * self.steps))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A run's tensors as a file has them, its seconds, and how many tokens took another code after the first."""

    state: dict[str, Tensor]
    seconds: float
    moved: int
    last_loss: float


def train_run(
    arm: Arm, sizes: Sizes, text: StudyText, schedule: TrainingSchedule, seed: int, progress: Progress = unwatched
) -> Trained:
    """Train an arm; the same on one thread for the same inputs."""
    started = time.monotonic()
    model = initial(arm, sizes, text.counts, seed)
    optimizers = _optimizers(model)
    base = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
    settles, rounds = round(SETTLES * schedule.steps), round(schedule.rounds * schedule.steps)
    moved, recent = 0, list[float]()
    for step, windows in enumerate(batches(text.tokens, schedule, seed)):
        if step == settles and model.head.starts_dense:
            model.head.settle(text.counts, states_of(model, text.tokens, schedule), seed)
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        for group, rate in zip(groups, base, strict=True):
            group["lr"] = rate * schedule.rate(step)
        if step < rounds:
            loss = model.loss(windows)
            loss.backward()
        else:
            with rounded(model):
                loss = model.loss(windows)
                loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        model.head.drift()
        if settles < step < rounds and step % REASSIGNED_EVERY == 0:
            moved += model.head.reassign()
        recent = [*recent[-99:], loss.item()]
        if step % 50 == 0:
            progress(f"{arm.name} seed {seed}: step {step}, {sum(recent) / len(recent):.4f} nats", schedule.steps)
    seconds = time.monotonic() - started
    return Trained(state=model.stored(), seconds=seconds, moved=moved, last_loss=sum(recent) / len(recent))


@torch.no_grad()
def states_of(model: StudyModel, tokens: Tensor, schedule: TrainingSchedule) -> Tensor:
    """States [n, width] on windows all over the training text's tokens [count]: fewer of a larger vocabulary."""
    wanted = max(_FEWEST_STATES, _MOST_CHANCES // model.shape.vocab)
    starts = torch.linspace(0, len(tokens) - schedule.window - 1, -(-4 * wanted // schedule.window)).long()
    windows = torch.stack([tokens[start : start + schedule.window] for start in starts.tolist()])
    states = torch.cat([model.hidden_states(part).flatten(0, 1) for part in windows.split(schedule.batch)])
    # Neighbours are alike: every fourth.
    return states[::4][:wanted].contiguous()


def batches(tokens: Tensor, schedule: TrainingSchedule, seed: int) -> Iterator[Tensor]:
    """Windows [batch, window + 1] of every step, drawn from tokens [n] by the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(schedule.steps):
        starts = torch.randint(0, len(tokens) - schedule.window - 1, (schedule.batch,), generator=generator)
        yield torch.stack([tokens[s : s + schedule.window + 1] for s in starts.tolist()])


def initial(arm: Arm, sizes: Sizes, counts: Tensor, seed: int) -> StudyModel:
    """A model before its first step; `counts` [V] of the training text are where biases start."""
    frequencies = counts.double() + 1
    bias = (frequencies / frequencies.mean()).log().float()
    model = StudyModel(arm, sizes.of(arm), bias)
    # The trunk's numbers are drawn first, so that they do not depend on the head.
    torch.manual_seed(seed)
    for name, parameter in model.trunk.named_parameters():
        if name.endswith("proj.weight"):
            nn.init.zeros_(parameter)
        elif parameter.ndim == 2 and name.endswith(".weight"):
            nn.init.normal_(parameter, std=1 / math.sqrt(parameter.shape[1]))
        elif name.endswith("q_gain"):
            nn.init.constant_(parameter, INITIAL_Q_GAIN)
    deviation = 0.02
    for name, parameter in model.head.named_parameters():
        if name in ("weight", "latent", "left"):
            nn.init.normal_(parameter, std=deviation)
        elif name == "right":
            nn.init.normal_(parameter, std=1 / math.sqrt(len(parameter)))
    if model.tok_emb is not None:
        nn.init.normal_(model.tok_emb.weight, std=deviation)
    return model


def _optimizers(model: StudyModel) -> list[torch.optim.Optimizer]:
    """As the example: Muon on the trunk's matrices, Adam on everything else."""
    matrices = [p for n, p in model.trunk.named_parameters() if n.startswith("blocks.") and n.endswith(".weight")]
    chosen = {id(parameter) for parameter in matrices}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    return [
        Muon(matrices, lr=_MUON_RATE, momentum=0.95),
        torch.optim.Adam(rest, lr=_ADAM_RATE, betas=(0.9, 0.95)),
    ]


def is_rounded(name: str, tensor: Tensor) -> bool:
    """Whether files have this tensor, of any shape, rounded: a matrix in use of some size."""
    return not name.endswith("latent") and tensor.ndim == 2 and min(tensor.shape) >= LEAST_SIDE


@contextmanager
def rounded(model: nn.Module) -> Iterator[None]:
    """Every matrix as a file would have it; gradients that are taken inside are added to the matrices as they were."""
    before = {}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if is_rounded(name, parameter):
                before[name] = parameter.detach().clone()
                scales = clip_scales(before[name], _LEVELS, _LEVELS * ROUNDED_AT)
                parameter.copy_(round_rows(before[name], scales, _LEVELS) * scales[:, None])
    try:
        yield
    finally:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in before:
                    parameter.copy_(before[name])
