"""Which runs the study has, in their order, and their checkpoints: each is saved when done, and not done again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from golfbudget.example.heads.arms import ARMS, BY_NAME, SHARED, Arm
from golfbudget.example.heads.model import Sizes
from golfbudget.example.heads.text import study_text
from golfbudget.example.heads.training import REASSIGNED_EVERY, ROUNDED_AT, SETTLES, TrainingSchedule, train_run
from golfbudget.example.train import BATCH, SHAPE, WINDOW
from golfbudget.progress import Progress, unwatched
from golfbudget.schemes.threads import one_thread

REFERENCE = "reference"
#: Arms of which a second seed is run: the control, and the best of each side as the first seed had them.
REPEATED = ("dense-tied", "vq-2", "low-rank")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The trunk and the schedule of one vocabulary."""

    sizes: Sizes
    schedule: TrainingSchedule
    most_files: int | None = None


#: Both read about eight megabytes of text.
FULL: dict[str, Scale] = {
    "1024": Scale(sizes=Sizes(vocabulary=1024, width=96, blocks=3), schedule=TrainingSchedule(steps=1500)),
    "8192": Scale(sizes=Sizes(vocabulary=8192, width=96, blocks=3), schedule=TrainingSchedule(steps=1000)),
    # The shipped example's own shape and budget.
    REFERENCE: Scale(
        sizes=Sizes(
            vocabulary=SHAPE.vocab,
            width=SHAPE.width,
            blocks=SHAPE.blocks,
            head_width=SHAPE.width // SHAPE.heads,
            kv_heads=SHAPE.kv_heads,
        ),
        schedule=TrainingSchedule(steps=2400, batch=BATCH, window=WINDOW, rounds=1.0),
    ),
}
#: Everything in a minute or two: it says nothing about heads.
SMOKE: dict[str, Scale] = {
    "512": Scale(
        sizes=Sizes(vocabulary=512, width=48, blocks=2, head_width=16),
        schedule=TrainingSchedule(steps=20, batch=4, window=32),
        most_files=16,
    ),
}


#: Every kind of head, and both input sides.
_SMOKED = ("dense-tied", "vq-4", "vq-explicit-own", "low-rank", "product", "two-level")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRun:
    """An arm at a vocabulary from a seed; `scale` is a name of `FULL` or `SMOKE`."""

    scale: str
    arm: Arm
    seed: int
    smoke: bool = False

    @property
    def name(self) -> str:
        return f"{self.scale}-{self.arm.name}-{self.seed}"

    @property
    def at(self) -> Scale:
        return (SMOKE if self.smoke else FULL)[self.scale]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a run left: tensors as a file has them, and facts of the training."""

    run: StudyRun
    state: dict[str, Tensor]
    facts: dict[str, int | float | str]


def runs(*, smoke: bool = False) -> list[StudyRun]:
    """All of the study, what decides most first; the reference, an hour of its own, last."""
    if smoke:
        return [StudyRun(scale="512", arm=BY_NAME[arm], seed=1, smoke=True) for arm in _SMOKED]
    first, rest = ARMS[:3], ARMS[3:]
    shared = [arm for arm in rest if arm.input_side == SHARED]
    own = [arm for arm in rest if arm.input_side != SHARED]
    order = [StudyRun(scale=scale, arm=arm, seed=1) for scale in ("1024", "8192") for arm in first]
    order += [StudyRun(scale=scale, arm=arm, seed=1) for arm in shared for scale in ("1024", "8192")]
    order += [StudyRun(scale=scale, arm=BY_NAME[arm], seed=2) for scale in ("1024", "8192") for arm in REPEATED]
    order += [StudyRun(scale=scale, arm=arm, seed=1) for arm in own for scale in ("1024", "8192")]
    return [*order, StudyRun(scale=REFERENCE, arm=BY_NAME["dense-tied"], seed=1)]


def chosen(only: Sequence[str], seeds: Sequence[int], *, smoke: bool = False) -> list[StudyRun]:
    """The runs of some arms, or all; seeds other than the study's own only where they are asked for."""
    found = [run for run in runs(smoke=smoke) if not only or _asked(run) in only]
    if seeds:
        found = [StudyRun(scale=run.scale, arm=run.arm, seed=seed, smoke=smoke) for seed in seeds for run in found]
    return list(dict.fromkeys(found))


def _asked(run: StudyRun) -> str:
    """The name by which a run is asked for."""
    return REFERENCE if run.scale == REFERENCE else run.arm.name


def checkpoint_path(out: Path, run: StudyRun) -> Path:
    """Where a run's tensors are kept."""
    return out / "runs" / f"{run.name}.safetensors"


def trained(out: Path, run: StudyRun, progress: Progress = unwatched) -> Checkpoint:
    """The run's checkpoint, from its file or by training it now."""
    path = checkpoint_path(out, run)
    if not path.exists():
        _train(out, run, progress)
    with safe_open(path, framework="pt") as held:
        metadata = held.metadata()
        state = {name: held.get_tensor(name) for name in held.keys()}  # noqa: SIM118  (no mapping)
    return Checkpoint(run=run, state=state, facts=json.loads(metadata["facts"]))


def _train(out: Path, run: StudyRun, progress: Progress) -> None:
    at = run.at
    text = study_text(out, at.sizes.vocabulary, at.most_files)
    with one_thread():
        found = train_run(run.arm, at.sizes, text, at.schedule, run.seed, progress)
    facts = {
        **text.facts,
        "seed": run.seed,
        "steps": at.schedule.steps,
        "training_tokens": at.schedule.tokens,
        "batch": at.schedule.batch,
        "window": at.schedule.window,
        "width": at.sizes.of(run.arm).width,
        "blocks": at.sizes.blocks,
        "training_seconds": round(found.seconds, 1),
        "tokens_moved": found.moved,
        "training_loss": round(found.last_loss, 4),
        "settles": SETTLES,
        "rounds": at.schedule.rounds,
        "rounded_at": ROUNDED_AT,
        "reassigned_every": REASSIGNED_EVERY,
    }
    path = checkpoint_path(out, run)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    save_file(found.state, partial, metadata={"facts": json.dumps(facts)})
    partial.replace(path)


def train_all(
    out: Path, wanted: Sequence[StudyRun], minutes: float | None, progress: Progress = unwatched
) -> Iterator[Checkpoint]:
    """Train what is not trained, in order, and start nothing new after so many minutes."""
    started = time.monotonic()
    for run in wanted:
        if minutes is not None and time.monotonic() - started > 60 * minutes:
            return
        if not checkpoint_path(out, run).exists():
            yield trained(out, run, progress)
