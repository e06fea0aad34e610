"""Write any file of a finished plan again, exactly as it was counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from golfbudget.codecs import DECODED_LIMIT
from golfbudget.errors import UsageError
from golfbudget.hashing import bytes_hash, file_hash
from golfbudget.plan.building import baseline_file, build
from golfbudget.plan.examine import BASELINE
from golfbudget.plan.files import source_files
from golfbudget.plan.plan_json import SavedPlan, candidate_of, load_plan, saved
from golfbudget.plan.prepare import encoder_inputs, opened_source
from golfbudget.plan.request import PlanRequest
from golfbudget.plan.results import Plan, RecordedFile
from golfbudget.plan.source import NamedModelFile


def write_candidate(plan: Path | Plan, name: str, limit: int = DECODED_LIMIT) -> bytes:
    """The file of candidate `name` (or `baseline`) of a plan, or of one that was saved, of the length it counted.

    `UsageError` when the source changed, or when these library versions no longer write the counted bytes.
    """
    where = plan if isinstance(plan, Path) else Path("the plan")
    saved_plan = load_plan(plan) if isinstance(plan, Path) else saved(plan)
    wanted = next((trial for trial in saved_plan.candidates if trial.name == name), None)
    if wanted is None and name != BASELINE:
        known = ", ".join([BASELINE, *(trial.name for trial in saved_plan.candidates)])
        raise UsageError(f"{where}: no candidate is called {name!r}; known: {known}")
    request, model_file = _request(saved_plan, where, limit, everything=wanted is not None)
    source, _ = opened_source(request, model_file)
    if wanted is None:
        data, counted, digest = baseline_file(source), saved_plan.baseline.artifact_bytes, None
    else:
        unknown = [owner for owner in wanted.owners if owner not in (*source.reference, source.head_owner)]
        if unknown:
            raise UsageError(f"{where}: candidate {name} replaces {unknown[0]!r}, which the source lacks")
        data = build(source, candidate_of(wanted), encoder_inputs(request, source)[0]).data
        counted, digest = wanted.artifact_bytes, wanted.sha256
    if len(data) != counted or (digest is not None and bytes_hash(data) != digest):
        beside = "" if model_file is None else ", or a base or recipe that the model file names has changed"
        raise UsageError(
            f"{where}: {name} was counted as {counted} bytes and now comes out as {len(data)} other ones: the "
            f"plan was made with other library versions{beside}; plan again"
        )
    return data


def _request(
    plan: SavedPlan, where: Path, limit: int, *, everything: bool
) -> tuple[PlanRequest, NamedModelFile | None]:
    """The request that gives the same files, without a model to run; all that schemes may use only where asked for."""

    def opened(recorded: RecordedFile | None) -> Path | None:
        return None if recorded is None else _unchanged(recorded, where)

    inputs, model_file = plan.inputs, None
    roles = opened(inputs.roles)
    if inputs.model_file is None:
        path = _unchanged(RecordedFile(path=plan.source.path, sha256=plan.source.sha256 or ""), where)
    else:
        path = Path(inputs.model_file.path)
        name = str(_unchanged(inputs.model_file, where)) if path.suffix == ".toml" else inputs.model_file.path
        model_file = NamedModelFile(name=name, settings=inputs.model_file.settings)
        if file_hash(model_file.file) != inputs.model_file.sha256:
            raise UsageError(f"{model_file.file}: the model file changed since the plan was made; plan again")
    request = PlanRequest(
        path=path, cap=plan.cap, recipe=inputs.recipe, preview=plan.preview, roles=roles, seed=plan.seed, limit=limit
    )
    if not everything:
        return request, model_file
    counts = opened(inputs.counts)
    return replace(
        request,
        tokens=counts if inputs.counts_of_tokens else None,
        counts=None if inputs.counts_of_tokens else counts,
        counted_tokens=inputs.counted_tokens,
        tokenizer=opened(inputs.tokenizer),
        token_limit=inputs.token_limit,
        calibration=opened(inputs.calibration),
    ), model_file


def _unchanged(recorded: RecordedFile, where: Path) -> Path:
    """A recorded file, as named or beside the plan, with unchanged content."""
    for path in (Path(recorded.path), where.parent / recorded.path):
        if path.exists():
            files = source_files(path)
            if files.sha256 != recorded.sha256:
                raise UsageError(f"{path}: the file changed since the plan was made; plan again")
            return files.path
    raise UsageError(f"{where}: the plan's file {recorded.path} is not there; expected it as named or beside the plan")
