"""From a request to what is planned with: files opened, hashes taken, contradictions refused."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from golfbudget import example
from golfbudget.certificates import DEFAULT_PRICE, DEFAULT_PRICE_SOURCE
from golfbudget.errors import UsageError
from golfbudget.hashing import file_hash
from golfbudget.plan.building import EncoderInputs
from golfbudget.plan.files import SourceFiles, source_files
from golfbudget.plan.hub import HUB, hub_config, hub_evaluator, is_hub, with_tokenizer
from golfbudget.plan.request import PlanRequest
from golfbudget.plan.results import Inputs, RecordedFile
from golfbudget.plan.source import NamedModelFile, PlanSource, model_source, named_model, open_source, parse_preview
from golfbudget.quality.evaluate import Evaluator, calibrate
from golfbudget.quality.recovery import Training
from golfbudget.quality.text import Text, check_counts, load_counts, open_text, read_tokens
from golfbudget.quality.user_model import UserEvaluator, UserModel
from golfbudget.roles import Roles, load_roles
from golfbudget.rules import load_rules

#: How names of built-in models begin, and all of them.
BUILTIN = "builtin:"
MODELS = ("builtin:baseline", example.MODEL)


#: Tokens for each row of the vocabulary from which on a text's own counts may be taken for fitting.
LEAST_COUNTED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A request with everything that it names opened.

    `inputs` are written into the plan; `encoders` what schemes may use; `evaluator` runs the model on the text, where
    both are given, and `fresh` on the other text; `spread` the bytes that two seeds of one artifact differ by.
    """

    request: PlanRequest
    source: PlanSource
    roles: Roles
    inputs: Inputs
    encoders: EncoderInputs
    evaluator: Evaluator | None
    spread: int
    fresh: Evaluator | None = None

    @property
    def price(self) -> tuple[float, str]:
        """µbpb per kilobyte, and where that is from."""
        given = self.request.price
        return (DEFAULT_PRICE, DEFAULT_PRICE_SOURCE) if given is None else (given, "--price")

    def seeds_move(self, size: int) -> int:
        """Bytes by which two seeds of one artifact of `size` bytes differ: the rules' own, which speak of their cap."""
        return min(self.spread, -(-self.spread * size // load_rules().cap))

    @property
    def built_in(self) -> bool:
        """Whether the model, if there is one, is the package's own: a user's program may do anything."""
        return (self.request.model or "").startswith(BUILTIN)

    @property
    def repeatable(self) -> bool:
        """Whether the model does the same wherever it is run, so that losses are kept, and taken in several processes.

        The package's own and those of `transformers` do; a user's program, and code of a folder, may do anything.
        """
        return self.built_in or (is_hub(self.request.model) and not self.request.trust_remote_code)


def prepare(request: PlanRequest) -> Prepared:
    """Open everything; a `GolfbudgetError` names what is wrong before any long work starts."""
    model_file = named_model(request.path, request.settings)
    if model_file is None:
        files = source_files(request.path)
        request = replace(request, path=files.path)
    else:
        files = SourceFiles(path=model_file.file, files=(model_file.file,))
        _refuse_measuring(request)
    request = with_tokenizer(replace(request, tokens=_tokens(request), counts=_own_counts(request)), files)
    own = None if request.model is None or request.model in MODELS or is_hub(request.model) else request.model
    model = None if own is None else UserModel(own)
    if request.price is not None and not 0 < request.price < math.inf:
        raise UsageError(f"--price {request.price:g}: expected µbpb per kilobyte, a number over zero")
    if request.token_limit is not None and request.tokens is None and request.calibration is None:
        raise UsageError(f"--token-limit {request.token_limit} does nothing without --tokens, the text that it limits")
    _check_recovery(request)
    _check_budgets(request)
    if request.fresh is not None and request.model is None:
        raise UsageError(f"--fresh {request.fresh} needs --model and --tokens: the model to run on that text, too")
    source, roles = opened_source(request, model_file)
    hub = hub_config(request, files)
    positions = None if hub is None else hub.positions
    encoders, text = encoder_inputs(request, source, positions)
    evaluator = fresh = None
    if text is not None and request.model is not None:
        evaluator = _evaluator(text, model, source) if hub is None else hub_evaluator(hub, source, text)
        if request.fresh is not None:
            fresh = evaluator.on(_fresh(request, request.fresh, text, source.rows, positions))
    return Prepared(
        request=request,
        source=source,
        roles=roles,
        inputs=_recorded(request, source, model_file, files, encoders, _counted_tokens(request, text)),
        encoders=encoders,
        evaluator=evaluator,
        spread=load_rules().seed_spread,
        fresh=fresh,
    )


def opened_source(request: PlanRequest, model_file: NamedModelFile | None) -> tuple[PlanSource, Roles]:
    """The source: read from its file, or drawn for its model file; and the roles of its tensors."""
    roles = load_roles(request.roles)
    preview = None if request.preview is None else parse_preview(request.preview)
    jobs = request.jobs or os.cpu_count() or 1
    if model_file is not None:
        drawn = model_source(
            model_file, recipe=request.recipe, seed=request.seed, roles=roles, preview=preview, jobs=jobs
        )
        return drawn, roles
    source = open_source(
        request.path, recipe=request.recipe, roles=roles, limit=request.limit, preview=preview, jobs=jobs
    )
    return source, roles


def encoder_inputs(
    request: PlanRequest, source: PlanSource, positions: int | None = None
) -> tuple[EncoderInputs, Text | None]:
    """What schemes may use besides matrices, and the evaluation text.

    Token counts are those given, or else of the calibration text, and of the evaluation text where there is none.
    Where losses are measured on that, only the part of it that chooses is counted, for a codebook that is fine where a
    text has tokens and coarse where it has none makes that text likelier than any other; and nothing of a text much too
    short for the vocabulary.  `positions` bound the windows that a text is cut into.  `UsageError` where texts cannot
    be used, or the one to train on is that of the evaluation.
    """
    text = None if request.tokens is None else _read_text(request, request.tokens, source.rows, positions)
    short = text is not None and request.model is not None and text.tokens < LEAST_COUNTED * source.rows
    counts = None
    if text is not None and not short:
        first = _counted_tokens(request, text)
        counts = text.counts if first is None else text.counted(first)
    given = request.counts is not None
    if request.counts is not None:
        counts = _read_counts(request.counts, source.rows)
    if request.calibration is None:
        return EncoderInputs(seed=request.seed, counts=counts, counts_given=given), text
    calibration = _read_text(request, request.calibration, source.rows)
    if request.recover is not None and text is not None and text.mostly_in(calibration):
        raise UsageError(
            f"--recover {request.recover}: --calibration {request.calibration} holds the text of --tokens "
            f"{request.tokens}; training on the text that losses are measured on measures nothing: give another"
        )
    counts = counts if given else calibration.counts
    training = Training(text=calibration, seed=request.seed)
    found = calibrate(source.reference, calibration)
    inputs = EncoderInputs(
        seed=request.seed, counts=counts, counts_given=given, covariances=found.covariances, states=found.states,
        training=training,
    )  # fmt: skip
    return inputs, text


def _fresh(request: PlanRequest, path: Path, text: Text, vocabulary: int, positions: int | None) -> Text:
    """The text to measure finalists on again; `UsageError` where it is mostly the one that they were chosen on."""
    fresh = _read_text(request, path, vocabulary, positions)
    if fresh.mostly_in(text) or text.mostly_in(fresh):
        raise UsageError(
            f"--fresh {path}: holds the text of --tokens {request.tokens}, on which candidates are chosen; "
            "what is measured there again says nothing new: give another text"
        )
    return fresh


def _read_text(request: PlanRequest, path: Path, vocabulary: int, positions: int | None = None) -> Text:
    """A text of any form that `--tokens` takes, every token in the vocabulary; at most its first tokens."""
    limit = request.token_limit
    if request.tokenizer is not None and request.tokenizer.suffix == ".json":
        from golfbudget.quality.hub_text import open_hub_text

        return open_hub_text(path, tokenizer=request.tokenizer, vocabulary=vocabulary, positions=positions, limit=limit)
    text = open_text(path, vocabulary=vocabulary, tokenizer=request.tokenizer, limit=limit)
    most = int(text.windows.max())
    if most >= vocabulary or len(text.counts) != vocabulary:
        held = f"token {most}" if most >= vocabulary else f"a vocabulary of {len(text.counts)}"
        raise UsageError(f"{path}: holds {held}, the head has {vocabulary} rows")
    return text if limit is None else text.first(max(2, limit // text.window))


def _counted_tokens(request: PlanRequest, text: Text | None) -> int | None:
    """How many tokens of the evaluation text are counted, from its beginning; None for all, or where others are."""
    if text is None or request.counts is not None or request.calibration is not None:
        return None
    if request.model is None:
        return request.counted_tokens
    return text.choosing * text.window + 1


def _read_counts(path: Path, vocabulary: int) -> Tensor:
    """Token counts, int64 [vocabulary], of an .npy array or safetensors with `counts`."""
    counts = read_tokens(path) if path.suffix == ".npy" else load_counts(path).numpy()
    check_counts(counts, vocabulary, str(path))
    return torch.from_numpy(counts.astype("int64"))


def _recorded(
    request: PlanRequest,
    source: PlanSource,
    model_file: NamedModelFile | None,
    files: SourceFiles,
    encoders: EncoderInputs,
    counted_tokens: int | None,
) -> Inputs:
    """What of a request has to be known to write any of its plan's files again; `files` are the source's."""
    return Inputs(
        source_path=str(files.path if model_file is None else model_file.name),
        source_bytes=files.size if source.artifact is None else source.artifact.size,
        source_sha256=files.sha256,
        recipe=source.recipe.name,
        recipe_argument=request.recipe,
        seed=request.seed,
        counts=None if encoders.counts is None else _file(request.counts or request.tokens),
        roles=_file(request.roles),
        calibration=_file(request.calibration),
        tokenizer=_file(request.tokenizer),
        token_limit=request.token_limit,
        counts_of_tokens=encoders.counts is not None and request.counts is None and request.tokens is not None,
        counted_tokens=None if encoders.counts is None else counted_tokens,
        model_file=None if model_file is None else model_file.name,
        settings=request.settings,
        preview=source.preview,
    )


def _file(path: Path | None) -> RecordedFile | None:
    return None if path is None else RecordedFile(path=str(path), sha256=file_hash(path))


def _refuse_measuring(request: PlanRequest) -> None:
    for option, given in (("--model", request.model), ("--tokens", request.tokens)):
        if given is not None:
            raise UsageError(
                f"{option} {given}: {request.path} is a model file, whose weights are synthetic: there is nothing "
                "trained to measure; plan from a checkpoint, or leave this out (--counts may be given)"
            )


def _tokens(request: PlanRequest) -> Path | None:
    model = request.model
    if model is not None and model not in (*MODELS, HUB) and (model.startswith(BUILTIN) or ":" not in model):
        raise UsageError(
            f"--model {model}: known models are {', '.join(MODELS)} and {HUB} (what transformers makes of the folder); "
            "one of your own is named FILE:OBJECT"
        )
    if request.trust_remote_code and not is_hub(model):
        raise UsageError("--trust-remote-code does nothing without --model hf, which alone runs a folder's code")
    if request.calibration is not None and model not in MODELS:
        raise UsageError(f"--calibration {request.calibration} needs --model: the built-in model to run on that text")
    if model == example.MODEL and request.tokens is None:
        return example.EVALUATION
    if model is not None and request.tokens is None:
        raise UsageError(f"--model {model} needs --tokens FILE: the text to measure it on")
    return request.tokens


def _own_counts(request: PlanRequest) -> Path | None:
    """The counts asked for; the example's model on its own text has those of the text that it was trained on."""
    own = request.model == example.MODEL and request.tokens is None and request.calibration is None
    return example.COUNTS if own and request.counts is None else request.counts


def _check_recovery(request: PlanRequest) -> None:
    """`UsageError` where `--recover` has nothing to train, or nothing to train on."""
    if request.recover is None:
        return
    flag = f"--recover {request.recover}"
    if request.recover < 1:
        raise UsageError(f"{flag}: expected steps of training, one or more")
    if request.model not in MODELS:
        raise UsageError(f"{flag} needs --model {' or '.join(MODELS)}: the model to train")
    if request.calibration is None:
        raise UsageError(f"{flag} needs --calibration FILE: a text to train on, other than the one of --tokens")


def _check_budgets(request: PlanRequest) -> None:
    """`UsageError` where `--budgets` asks for files that nothing fits."""
    if not request.budgets:
        return
    if request.model is None or request.tokens is None:
        raise UsageError("--budgets needs --model and --tokens: files are fitted by their loss")
    others = {"--recover": request.recover, "--preview": request.preview, "--no-fits": None if request.fits else True}
    for flag, given in others.items():
        if given is not None:
            raise UsageError(f"--budgets does nothing with {flag}, where no files are fitted; leave one of them out")


def _evaluator(text: Text, model: UserModel | None, source: PlanSource) -> Evaluator:
    if model is None:
        return Evaluator(text)
    # Only the head reads an untied head; a tied one is the input table, too.
    head = frozenset[str]() if source.tied else frozenset({source.head})
    return UserEvaluator(text, model, vocabulary=source.rows, head=head)
