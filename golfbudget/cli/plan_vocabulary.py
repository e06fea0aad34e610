"""`golfbudget plan --vocab`: vocabulary and head scheme together."""

from __future__ import annotations

from pathlib import Path

from golfbudget.report.formats import ReportFormat


def plan_vocabulary(
    path: Path,
    vocab: list[str],
    *,
    recipe: str | None,
    tokens: Path | None,
    counts: Path | None,
    schemes: tuple[str, ...] | None,
    roles: Path | None,
    cap: str | None,
    code: str | None,
    seed: int,
    jobs: int | None,
    max_decoded: str,
    output_format: ReportFormat,
    output: Path | None,
    quiet: bool,
    price: float | None = None,
    unused: dict[str, object] | None = None,
) -> None:
    """Make and print the table; `unused` are options by name that run a model, which this does not."""
    from golfbudget.api.progress import watched
    from golfbudget.budget import code_size, parse_size
    from golfbudget.cli.output import emit
    from golfbudget.errors import UsageError
    from golfbudget.plan.vocabulary import VocabularyRequest, plan_vocabularies
    from golfbudget.report.vocabulary import document
    from golfbudget.rules import load_rules

    for option, value in (unused or {}).items():
        if value is not None:
            raise UsageError(
                f"{option} does nothing with --vocab, which runs no model and cuts up a text itself; leave it out"
            )
    request = VocabularyRequest(
        path=str(path),
        vocabularies=tuple(vocab),
        recipe=recipe,
        text=tokens,
        counts=counts,
        roles=roles,
        schemes=schemes,
        cap=load_rules().cap if cap is None else parse_size(cap),
        code_bytes=None if code is None else code_size(code),
        price=price,
        seed=seed,
        jobs=jobs,
        limit=parse_size(max_decoded),
    )
    with watched(not quiet, "plan") as progress:
        made = plan_vocabularies(request, progress)
    emit(document(made), output_format, output)
