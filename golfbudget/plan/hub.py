"""What `--model hf` names: the configuration behind a source, the model that it describes, and its tokenizer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from golfbudget.errors import UsageError
from golfbudget.plan.files import SourceFiles
from golfbudget.plan.request import PlanRequest
from golfbudget.plan.source import PlanSource
from golfbudget.quality.text import Text

if TYPE_CHECKING:
    from golfbudget.quality.hub_config import HubConfig
    from golfbudget.quality.hub_evaluate import HubEvaluator

HUB = "hf"
_ELSEWHERE = f"{HUB}:"
_TOKENIZER = "tokenizer.json"
#: Text that was cut into tokens before needs none to cut it.
_CUT = (".safetensors", ".npy", ".bin")
#: Multiplications from which on fitting two files for every verdict takes hours: it runs the model for every matrix.
_MOST_FITTING = 10_000_000_000_000
_FITTING_TOKENS = 4096


def is_hub(model: str | None) -> bool:
    """Whether `--model` names what `transformers` runs."""
    return model is not None and (model == HUB or model.startswith(_ELSEWHERE))


def hub_path(model: str, files: SourceFiles) -> Path:
    """The folder with the configuration; a GGUF file has its own."""
    if model.startswith(_ELSEWHERE):
        return Path(model.removeprefix(_ELSEWHERE))
    return files.files[0] if files.files[0].suffix == ".gguf" else files.folder


def with_tokenizer(request: PlanRequest, files: SourceFiles) -> PlanRequest:
    """The request with the tokenizer beside the model, where text has to be cut and none was given.

    `UsageError` where the model has none beside it.
    """
    if not is_hub(request.model) or request.tokens is None or request.tokenizer is not None:
        return request
    if request.tokens.suffix in _CUT:
        return request
    path = hub_path(request.model or "", files)
    beside = (path.parent if path.suffix == ".gguf" else path) / _TOKENIZER
    if not beside.is_file():
        raise UsageError(
            f"{request.tokens}: text must be cut into tokens, and there is no {beside}; give the model's: --tokenizer "
            f"{_TOKENIZER}"
        )
    return replace(request, tokenizer=beside)


def hub_config(request: PlanRequest, files: SourceFiles) -> HubConfig | None:
    """The configuration of the model to run; None where it is none of the Hub."""
    if not is_hub(request.model):
        return None
    from golfbudget.quality.hub_config import HubConfig

    return HubConfig(hub_path(request.model or "", files), trust_remote_code=request.trust_remote_code)


def hub_evaluator(config: HubConfig, source: PlanSource, text: Text) -> HubEvaluator:
    """The model behind a source, on a text."""
    from golfbudget.quality.hub_evaluate import HubEvaluator
    from golfbudget.quality.hub_model import HubModel

    model = HubModel(config, head=source.head, own_head=source.head_owner)
    return HubEvaluator(text, model, vocabulary=source.rows)


def fits_budgets(request: PlanRequest, source: PlanSource) -> bool:
    """Whether the model is small enough to fit whole files for the verdict, which runs it for every matrix."""
    if not is_hub(request.model):
        return True
    weights = sum(tensor.numel() for tensor in source.reference.values())
    return weights * _FITTING_TOKENS * (1 + len(source.trunk)) <= _MOST_FITTING


def too_large_note(request: PlanRequest, source: PlanSource) -> str | None:
    """What a plan of a large model leaves out, and what does it."""
    if not request.fits or fits_budgets(request, source):
        return None
    return (
        f"the verdict is one of single candidates: fitting a whole file on either side runs the model for each of "
        f"{len(source.trunk):,} matrices, which is left to golfbudget fit"
    )
