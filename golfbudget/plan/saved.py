"""Read a saved plan and write any of its candidates' files again, exactly as counted."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import msgspec
from torch import Tensor

from golfbudget.codecs import DECODED_LIMIT
from golfbudget.errors import UsageError
from golfbudget.hashing import file_hash
from golfbudget.plan.building import Known, build
from golfbudget.plan.model_source import ModelFile, model_source
from golfbudget.plan.preview import parse_preview
from golfbudget.plan.results import Candidate, Side
from golfbudget.plan.run import BASELINE, baseline_file
from golfbudget.plan.source import Source, open_source
from golfbudget.plan.texts import read_counts, read_text
from golfbudget.quality.moments import input_moments
from golfbudget.quality.recovery import Training
from golfbudget.quality.text import Text
from golfbudget.roles import Roles, load_roles


class _File(msgspec.Struct, frozen=True):
    path: str
    sha256: str


class _ModelFile(_File, frozen=True):
    settings: dict[str, int | float | str] = {}


class _Inputs(msgspec.Struct, frozen=True):
    recipe: str | None
    counts: _File | None
    roles: _File | None
    calibration: _File | None = None
    tokenizer: _File | None = None
    token_limit: int | None = None
    counts_of_tokens: bool = False
    model_file: _ModelFile | None = None


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    side: Side
    scheme: str
    options: dict[str, int | float | str]
    owners: tuple[str, ...]
    input_side: str | None
    input_options: dict[str, int | float | str] = {}
    parts: tuple[_Part, ...] = ()
    steps: int = 0

    def candidate(self) -> Candidate:
        """The candidate that was saved."""
        return Candidate(
            name=self.name,
            side=self.side,
            scheme=self.scheme,
            options=self.options,
            owners=self.owners,
            input_side=self.input_side,
            input_options=self.input_options,
            parts=tuple(part.candidate() for part in self.parts),
            steps=self.steps,
        )


class _Candidate(_Part, frozen=True, kw_only=True):
    artifact_bytes: int
    sha256: str


class _Baseline(msgspec.Struct, frozen=True):
    artifact_bytes: int


class SavedPlan(msgspec.Struct, frozen=True):
    """What `pack` needs of a plan's JSON."""

    schema: Literal["golfbudget/plan/1"]
    source: _File
    seed: int
    inputs: _Inputs
    baseline: _Baseline
    candidates: tuple[_Candidate, ...]
    preview: str | None = None


def load_plan(path: Path) -> SavedPlan:
    """Parse a saved plan; `UsageError` names the file and the key that is wrong."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=SavedPlan)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise UsageError(f"{path}: not a plan saved by `golfbudget plan --format json`: {error}") from None


def pack(plan_path: Path, name: str, limit: int = DECODED_LIMIT) -> bytes:
    """The file of candidate `name` (or `baseline`), of the length the plan counted.

    `UsageError` when the source changed, or when these library versions no longer write the counted bytes.
    """
    plan = load_plan(plan_path)
    wanted = next((c for c in plan.candidates if c.name == name), None)
    if wanted is None and name != BASELINE:
        known = ", ".join([BASELINE, *(c.name for c in plan.candidates)])
        raise UsageError(f"{plan_path}: no candidate is called {name!r}; known: {known}")
    roles = load_roles(None if plan.inputs.roles is None else _file(plan.inputs.roles, plan_path))
    source = _source(plan, plan_path, roles, limit)
    if wanted is None:
        data, counted, digest = baseline_file(source), plan.baseline.artifact_bytes, None
    else:
        counts = _counts(plan, source, plan_path)
        unknown = [owner for owner in wanted.owners if owner not in (*source.reference, source.head_owner)]
        if unknown:
            raise UsageError(f"{plan_path}: candidate {name} replaces {unknown[0]!r}, which the source lacks")
        calibration = plan.inputs.calibration
        text = None if calibration is None else _text(plan, calibration, source, plan_path)
        moments = {} if text is None else input_moments(source.reference, text)
        training = None if text is None else Training(text=text, seed=plan.seed)
        given = Known(seed=plan.seed, counts=counts, moments=moments, training=training)
        data = build(source, wanted.candidate(), given).data
        counted, digest = wanted.artifact_bytes, wanted.sha256
    if len(data) != counted or (digest is not None and hashlib.sha256(data).hexdigest() != digest):
        beside = "" if plan.inputs.model_file is None else ", or a base or recipe that the model file names has changed"
        raise UsageError(
            f"{plan_path}: {name} was counted as {counted} bytes and now comes out as {len(data)} other ones: the "
            f"plan was made with other library versions{beside}; plan again"
        )
    return data


def _source(plan: SavedPlan, plan_path: Path, roles: Roles, limit: int) -> Source:
    """The source as the plan had it: opened, or drawn again for its model file."""
    preview = None if plan.preview is None else parse_preview(plan.preview)
    recorded, recipe = plan.inputs.model_file, plan.inputs.recipe
    if recorded is None:
        return open_source(_file(plan.source, plan_path), recipe=recipe, roles=roles, limit=limit, preview=preview)
    shipped = Path(recorded.path).suffix != ".toml"
    name = recorded.path if shipped else str(_file(recorded, plan_path))
    model = ModelFile(name=name, settings=recorded.settings)
    if file_hash(model.file) != recorded.sha256:
        raise UsageError(f"{model.file}: the model file changed since the plan was made; plan again")
    return model_source(model, recipe=recipe, seed=plan.seed, roles=roles, preview=preview)


def _counts(plan: SavedPlan, source: Source, plan_path: Path) -> Tensor | None:
    recorded = plan.inputs.counts
    if recorded is None:
        return None
    if plan.inputs.counts_of_tokens:
        return _text(plan, recorded, source, plan_path).counts
    return read_counts(_file(recorded, plan_path), source.rows)


def _text(plan: SavedPlan, recorded: _File, source: Source, plan_path: Path) -> Text:
    tokenizer = None if plan.inputs.tokenizer is None else _file(plan.inputs.tokenizer, plan_path)
    return read_text(_file(recorded, plan_path), source.rows, tokenizer=tokenizer, limit=plan.inputs.token_limit)


def _file(recorded: _File, plan_path: Path) -> Path:
    """A recorded file, as named or beside the plan, with unchanged content."""
    for path in (Path(recorded.path), plan_path.parent / recorded.path):
        if path.is_file():
            if file_hash(path) != recorded.sha256:
                raise UsageError(f"{path}: the file changed since the plan was made; plan again")
            return path
    raise UsageError(
        f"{plan_path}: the plan's file {recorded.path} is not there; expected it as named or beside the plan"
    )
