"""What a user asks a plan for: every option once, as it was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from golfbudget.codecs import DECODED_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """The options of `golfbudget plan`, by their names there; None is the default of each.

    `path` is a checkpoint, an artifact, or a model file, which `settings` (`--set`) change.  `cap`, `code_bytes` and
    `limit` (of what a stream may decode to) are in bytes, `price` in µbpb per kilobyte.  `counted_tokens` of `tokens`
    are counted, where a saved plan says how many were.  `trust_remote_code` lets `--model hf` run code that a folder
    brings.  `jobs` None is one process for each core where the work is worth it; without `cache`, the folder of kept
    results, everything is done anew; without `fits` single candidates decide.  At `budgets`, in bytes, the best files
    are compared besides those where they always are.
    """

    path: Path
    cap: int
    code_bytes: int | None = None
    settings: Mapping[str, int | float | str] = field(default_factory=dict)
    recipe: str | None = None
    preview: str | None = None
    roles: Path | None = None
    schemes: tuple[str, ...] | None = None
    model: str | None = None
    tokens: Path | None = None
    fresh: Path | None = None
    tokenizer: Path | None = None
    token_limit: int | None = None
    counts: Path | None = None
    counted_tokens: int | None = None
    calibration: Path | None = None
    recover: int | None = None
    price: float | None = None
    trust_remote_code: bool = False
    seed: int = 0
    jobs: int | None = None
    cache: Path | None = None
    fits: bool = True
    budgets: tuple[int, ...] = ()
    limit: int = DECODED_LIMIT
