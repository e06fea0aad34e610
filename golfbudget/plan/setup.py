"""From a user's choices to a source and settings: files opened, hashes taken, contradictions refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from golfbudget import example
from golfbudget.artifact import locate
from golfbudget.codecs import DECODED_LIMIT
from golfbudget.errors import UsageError
from golfbudget.hashing import file_hash
from golfbudget.plan.results import Inputs
from golfbudget.plan.run import Settings
from golfbudget.plan.source import Source, open_source
from golfbudget.quality.moments import input_moments
from golfbudget.quality.text import Text, load_counts, load_text
from golfbudget.roles import load_roles

BASELINE_MODEL = "builtin:baseline"
MODELS = (BASELINE_MODEL, example.MODEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a command was given."""

    path: Path
    recipe: str | None = None
    model: str | None = None
    tokens: Path | None = None
    counts: Path | None = None
    calibration: Path | None = None
    roles: Path | None = None
    seed: int = 0
    cap: int
    code_bytes: int | None = None
    schemes: tuple[str, ...] | None = None
    jobs: int | None = 1
    cache: Path | None = None
    limit: int = DECODED_LIMIT


def prepare(choices: Choices) -> tuple[Source, Settings]:
    """Open everything; raises a golfbudget error naming what is wrong before any long work starts."""
    path = locate(choices.path)
    tokens = _tokens(choices)
    if choices.calibration is not None and choices.model is None:
        raise UsageError(f"--calibration {choices.calibration} needs --model: the model to run on that text")
    text = None if tokens is None else load_text(tokens)
    counts_path = choices.counts or tokens
    counts = load_counts(choices.counts) if choices.counts else None if text is None else text.counts
    roles = load_roles(choices.roles)
    source = open_source(path, recipe=choices.recipe, roles=roles, limit=choices.limit)
    _check_vocabulary(source, counts, text, choices)
    calibration = None if choices.calibration is None else load_text(choices.calibration)
    inputs = Inputs(
        source_path=str(path),
        source_bytes=source.artifact.size,
        source_sha256=file_hash(path),
        recipe=source.recipe.name,
        recipe_argument=choices.recipe,
        seed=choices.seed,
        counts_path=None if counts_path is None else str(counts_path),
        counts_sha256=None if counts_path is None else file_hash(counts_path),
        roles_path=None if choices.roles is None else str(choices.roles),
        roles_sha256=None if choices.roles is None else file_hash(choices.roles),
        calibration_path=None if choices.calibration is None else str(choices.calibration),
        calibration_sha256=None if choices.calibration is None else file_hash(choices.calibration),
    )
    return source, Settings(
        inputs=inputs,
        cap=choices.cap,
        code_bytes=choices.code_bytes,
        roles=roles,
        counts=counts,
        text=text if choices.model else None,
        model=choices.model,
        schemes=choices.schemes,
        moments={} if calibration is None else input_moments(source.reference, calibration),
        jobs=choices.jobs,
        cache=choices.cache,
    )


def _tokens(choices: Choices) -> Path | None:
    if choices.model is not None and choices.model not in MODELS:
        raise UsageError(f"--model {choices.model}: known models are {' and '.join(MODELS)}")
    if choices.model == example.MODEL and choices.tokens is None:
        return example.EVALUATION
    if choices.model is not None and choices.tokens is None:
        raise UsageError(f"--model {choices.model} needs --tokens FILE: the text to measure it on")
    return choices.tokens


def _check_vocabulary(source: Source, counts: Tensor | None, text: Text | None, choices: Choices) -> None:
    vocabulary = source.reference[source.head].shape[0]
    file = choices.counts or choices.tokens
    if counts is not None and len(counts) != vocabulary:
        raise UsageError(
            f"{file}: holds counts for a vocabulary of {len(counts)}, the head {source.head} has {vocabulary} rows"
        )
    if text is not None and int(text.windows.max()) >= vocabulary:
        raise UsageError(f"{file}: holds token {int(text.windows.max())}, the head {source.head} has {vocabulary} rows")
