"""One run's result: its losses before rounding, its files and theirs, and what can be proved of its map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from golfbudget.certificates.floors import biased_floor_nats
from golfbudget.example.heads.arms import BY_NAME
from golfbudget.example.heads.model import HEAD_PREFIX, StudyModel
from golfbudget.example.heads.runs import REFERENCE, Checkpoint, StudyRun, checkpoint_path, trained
from golfbudget.example.heads.structures import SharedRows
from golfbudget.example.heads.text import study_text
from golfbudget.example.train import EVAL_WINDOWS, WINDOW
from golfbudget.progress import Progress, unwatched
from golfbudget.quality.baseline_model import EMBEDDING
from golfbudget.quality.evaluate import Losses
from golfbudget.quality.information import split_information
from golfbudget.quality.text import Text, predicted_counts
from golfbudget.schemes.threads import one_thread
from golfbudget.study.evaluator import StudyEvaluator
from golfbudget.study.files import EVERY, FEW, FittedFile, fitted_files
from golfbudget.study.results import SCHEMA, FileResult, RunResult, Ties, bits_per_byte, in_blocks

#: Counted bytes that files of each scale have at most, by the root of two about.
LADDERS: Mapping[str, tuple[int, ...]] = {
    "1024": (60_000, 85_000, 120_000, 170_000),
    "8192": (120_000, 170_000, 240_000, 340_000),
    "512": (48_000,),
    REFERENCE: (),
}
#: Windows of the training text on which costs are measured, and of the held-out text on which information is.
_CHOOSE, _INFORM = 256, 256
_DENSE = "dense-tied"
#: The arm whose loader is run in a trial.
_PROVED = "vq-4"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTexts:
    """Windows of the training text that choose, and the held-out text that reports."""

    chooses: Text
    reports: Text


def texts_of(out: Path, run: StudyRun) -> StudyTexts:
    """The texts of a run's vocabulary in the windows of its training."""
    at = run.at
    text = study_text(out, at.sizes.vocabulary, at.most_files)
    if run.scale == REFERENCE:
        # What the shipped example's own figure is measured on.
        reports = text.cut(text.held_out[: EVAL_WINDOWS * WINDOW + 1], WINDOW)
    else:
        reports = text.cut(text.held_out, at.schedule.window)
    return StudyTexts(chooses=spread(text.cut(text.tokens, at.schedule.window), _CHOOSE), reports=reports)


def spread(text: Text, windows: int) -> Text:
    """Some windows, evenly spaced."""
    some = torch.linspace(0, len(text.windows) - 1, min(windows, len(text.windows))).round().long()
    return replace(text, windows=text.windows[some], bytes_per_window=text.bytes_per_window[some])


def measured(out: Path, run: StudyRun, *, effort: int = 1, progress: Progress = unwatched) -> RunResult:
    """Train the run if need be, write its files, and measure."""
    checkpoint = trained(out, run, progress)
    texts, shape = texts_of(out, run), run.at.sizes.of(run.arm)
    evaluator = StudyEvaluator(texts.reports, run.arm, shape)
    with one_thread():
        before = evaluator.losses(checkpoint.state)
        files = [
            _file(_written(out, run, file), evaluator.losses(file.state), texts.reports)
            for file in fitted_files(
                run.arm,
                shape,
                checkpoint.state,
                texts.chooses,
                texts.reports,
                LADDERS[run.scale],
                effort=0 if run.smoke else effort,
                every=FEW if run.smoke else EVERY,
                proved=run.smoke and run.arm.name == _PROVED,
                progress=progress,
            )
        ]
        ties = _ties(out, checkpoint, texts.reports) if run.arm.is_vq else None
    weights = {name: tensor.numel() for name, tensor in checkpoint.state.items() if tensor.is_floating_point()}
    head = sum(count for name, count in weights.items() if name.startswith(HEAD_PREFIX))
    own = weights.get(EMBEDDING, 0)
    codes = (t.nbytes for t in checkpoint.state.values() if not t.is_floating_point())
    return RunResult(
        schema=SCHEMA,
        scale=run.scale,
        arm=run.arm.name,
        kind=str(run.arm.kind),
        input_side=run.arm.input_side,
        seed=run.seed,
        vocabulary=shape.vocab,
        head_parameters=head,
        input_parameters=own,
        trunk_parameters=sum(weights.values()) - head - own,
        code_bytes=sum(codes),
        held_out_tokens=texts.reports.tokens,
        block_bytes=_block_bytes(texts.reports),
        nats=_kept(before),
        bits_per_byte=round(bits_per_byte(_kept(before), _block_bytes(texts.reports)), 6),
        files=files,
        facts=checkpoint.facts,
        ties=ties,
    )


def _written(out: Path, run: StudyRun, file: FittedFile) -> FittedFile:
    """The file, kept beside the checkpoints too."""
    path = out / "files" / f"{run.name}-{file.budget}.fit"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.data)
    return file


def _file(file: FittedFile, losses: Losses, text: Text) -> FileResult:
    nats = _kept(losses)
    return FileResult(
        budget=file.budget,
        counted_bytes=file.counted_bytes,
        file_bytes=len(file.data),
        loader_bytes=file.loader_bytes,
        structure_bytes=file.structure_bytes,
        head_bytes=file.head_bytes,
        input_bytes=file.input_bytes,
        trunk_bytes=file.trunk_bytes,
        container_bytes=file.container_bytes,
        bits_per_byte=round(bits_per_byte(nats, _block_bytes(text)), 6),
        nats=nats,
        choices=dict(file.choices),
    )


def _kept(losses: Losses) -> list[float]:
    return [round(float(value), 2) for value in in_blocks(losses)]


def _block_bytes(text: Text) -> list[int]:
    return [int(value) for value in in_blocks(text.bytes_per_window.double().numpy())]


def codes_of(checkpoint: Checkpoint) -> Tensor:
    """Each token's code, int64 [V], of a run whose tokens share rows; `TypeError` for others."""
    run = checkpoint.run
    head = StudyModel.of(run.arm, run.at.sizes.of(run.arm), checkpoint.state).head
    if not isinstance(head, SharedRows):
        raise TypeError(f"{run.name} has no codes")
    return head.codes


def _ties(out: Path, checkpoint: Checkpoint, reports: Text) -> Ties:
    """The floor of a map, and what it would cost the dense tied run of this scale and seed."""
    run, codes = checkpoint.run, codes_of(checkpoint)
    counts = predicted_counts(reports, len(codes))
    floor = biased_floor_nats(counts, codes.numpy())
    found = Ties(codes=len(np.unique(codes.numpy())), floor=round(floor, 6))
    dense = replace(run, arm=BY_NAME[_DENSE])
    if not checkpoint_path(out, dense).exists():
        return found
    text, state = spread(reports, _INFORM), trained(out, dense).state
    evaluator = StudyEvaluator(text, dense.arm, dense.at.sizes.of(dense.arm))
    with torch.inference_mode():
        (information,) = split_information(evaluator.logit_chunks(state), [codes])
    return Ties(codes=found.codes, floor=found.floor, information=round(information, 6), tokens=text.tokens)
