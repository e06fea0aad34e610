"""From a user's choices to a source and settings: files opened, hashes taken, contradictions refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from golfbudget import example
from golfbudget.artifact import locate
from golfbudget.certificates import DEFAULT_PRICE, DEFAULT_PRICE_SOURCE
from golfbudget.codecs import DECODED_LIMIT
from golfbudget.errors import UsageError
from golfbudget.estimate.settings import Value
from golfbudget.hashing import file_hash
from golfbudget.plan.model_source import model_source, named_model
from golfbudget.plan.preview import parse_preview
from golfbudget.plan.results import Inputs
from golfbudget.plan.settings import BUILTIN, Settings
from golfbudget.plan.source import Source, open_source
from golfbudget.plan.texts import read_counts, read_text
from golfbudget.quality.evaluate import Evaluator
from golfbudget.quality.moments import input_moments
from golfbudget.quality.recovery import Training
from golfbudget.quality.text import Text
from golfbudget.quality.user_evaluate import UserEvaluator
from golfbudget.quality.user_model import UserModel
from golfbudget.roles import load_roles
from golfbudget.rules import load_rules

MODELS = ("builtin:baseline", example.MODEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a command was given."""

    path: Path
    settings: Mapping[str, Value] = field(default_factory=dict)
    recipe: str | None = None
    preview: str | None = None
    model: str | None = None
    tokens: Path | None = None
    tokenizer: Path | None = None
    token_limit: int | None = None
    counts: Path | None = None
    calibration: Path | None = None
    recover: int | None = None
    price: float | None = None
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
    config = named_model(choices.path, choices.settings)
    path = locate(choices.path) if config is None else config.file
    if config is not None:
        _refuse_measuring(choices)
    tokens = _tokens(choices)
    model = None if choices.model is None or choices.model in MODELS else UserModel(choices.model)
    if choices.price is not None and not choices.price > 0:
        raise UsageError(f"--price {choices.price:g}: expected µbpb per kilobyte, a number over zero")
    roles = load_roles(choices.roles)
    preview = None if choices.preview is None else parse_preview(choices.preview)
    if config is None:
        source = open_source(path, recipe=choices.recipe, roles=roles, limit=choices.limit, preview=preview)
    else:
        source = model_source(config, recipe=choices.recipe, seed=choices.seed, roles=roles, preview=preview)
    vocabulary = source.rows

    def opened(file: Path) -> Text:
        return read_text(file, vocabulary, tokenizer=choices.tokenizer, limit=choices.token_limit)

    text = None if tokens is None else opened(tokens)
    counts_path = choices.counts or tokens
    counts = None if text is None else text.counts
    if choices.counts is not None:
        counts = read_counts(choices.counts, vocabulary)
    calibration = None if choices.calibration is None else opened(choices.calibration)
    training = training_of(choices, text, calibration)
    inputs = Inputs(
        source_path=str(path if config is None else config.name),
        source_bytes=path.stat().st_size if source.artifact is None else source.artifact.size,
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
        tokenizer_path=None if choices.tokenizer is None else str(choices.tokenizer),
        tokenizer_sha256=None if choices.tokenizer is None else file_hash(choices.tokenizer),
        token_limit=choices.token_limit,
        counts_of_tokens=choices.counts is None and tokens is not None,
        model_file=None if config is None else config.name,
        settings=choices.settings,
        preview=source.preview,
    )
    return source, Settings(
        inputs=inputs,
        cap=choices.cap,
        code_bytes=choices.code_bytes,
        roles=roles,
        counts=counts,
        evaluator=None if text is None or choices.model is None else _evaluator(text, model, source),
        model=choices.model,
        price=choices.price or DEFAULT_PRICE,
        price_source=DEFAULT_PRICE_SOURCE if choices.price is None else "--price",
        spread=load_rules().seed_spread,
        recover=choices.recover or 0,
        training=training,
        schemes=choices.schemes,
        moments={} if calibration is None else input_moments(source.reference, calibration),
        jobs=choices.jobs,
        cache=choices.cache,
    )


def _refuse_measuring(choices: Choices) -> None:
    for option, given in (("--model", choices.model), ("--tokens", choices.tokens)):
        if given is not None:
            raise UsageError(
                f"{option} {given}: {choices.path} is a model file, whose weights are synthetic: there is nothing "
                "trained to measure; plan from a checkpoint, or leave this out (--counts may be given)"
            )


def _tokens(choices: Choices) -> Path | None:
    model = choices.model
    if model is not None and model not in MODELS and (model.startswith(BUILTIN) or ":" not in model):
        raise UsageError(
            f"--model {model}: known models are {' and '.join(MODELS)}; one of your own is named FILE:OBJECT"
        )
    if choices.calibration is not None and model not in MODELS:
        raise UsageError(f"--calibration {choices.calibration} needs --model: the built-in model to run on that text")
    if model == example.MODEL and choices.tokens is None:
        return example.EVALUATION
    if model is not None and choices.tokens is None:
        raise UsageError(f"--model {model} needs --tokens FILE: the text to measure it on")
    return choices.tokens


def training_of(choices: Choices, text: Text | None, calibration: Text | None) -> Training | None:
    """What `--recover` trains on; `UsageError` where that is not given, or is the text that losses are measured on."""
    if choices.recover is None:
        return None
    flag = f"--recover {choices.recover}"
    if choices.recover < 1:
        raise UsageError(f"{flag}: expected steps of training, one or more")
    if choices.model not in MODELS:
        raise UsageError(f"{flag} needs --model {' or '.join(MODELS)}: the model to train")
    if calibration is None or choices.calibration is None:
        raise UsageError(f"{flag} needs --calibration FILE: a text to train on, other than the one of --tokens")
    if text is not None and _same_text(text, calibration):
        tokens = choices.tokens or example.EVALUATION
        raise UsageError(
            f"{flag}: --calibration {choices.calibration} holds the text of --tokens {tokens}; training on the text "
            "that losses are measured on measures nothing: give another"
        )
    return Training(text=calibration, seed=choices.seed)


def _same_text(text: Text, other: Text) -> bool:
    """Whether most windows of a text stand in another, whatever the form of their files."""
    known = {window.numpy().tobytes() for window in other.windows}
    found = sum(window.numpy().tobytes() in known for window in text.windows)
    return 2 * found > len(text.windows)


def _evaluator(text: Text, model: UserModel | None, source: Source) -> Evaluator:
    if model is None:
        return Evaluator(text)
    vocabulary = source.rows
    # Only the head reads an untied head; a tied one is the input table, too.
    head = frozenset[str]() if source.tied else frozenset({source.head})
    return UserEvaluator(text, model, vocabulary=vocabulary, head=head)
