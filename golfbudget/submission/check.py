"""Check one submission folder: count it by every convention, match its claims, say what is wrong.

Raises the errors of its parts where files cannot be read or several could be meant; everything else is a finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

from golfbudget.rules import Convention, Rules
from golfbudget.submission.choosing import choose
from golfbudget.submission.claims import About, Claim, Claims, read_claims
from golfbudget.submission.code import find_code
from golfbudget.submission.conventions import CountedModel, find_models, tally_all
from golfbudget.submission.examine_claims import examine_claims, examine_totals
from golfbudget.submission.examine_files import examine_files
from golfbudget.submission.examine_logs import examine_logs
from golfbudget.submission.findings import Checked
from golfbudget.submission.folder import FileKind, Folder, for_people, open_folder
from golfbudget.submission.logs import Run, distinct, named_seeds, read_log
from golfbudget.submission.matching import Agreement, Matched, Sort, match
from golfbudget.submission.model_files import ModelFiles, model_files
from golfbudget.submission.packed_code import packed_code_bytes
from golfbudget.submission.packing_matters import hangs_on_packing
from golfbudget.submission.weights_in_code import holds_weights


def check_submission(
    root: Path,
    rules: Rules,
    *,
    convention: Convention | None = None,
    model: Sequence[Path] = (),
    code: Sequence[Path] = (),
    log: Sequence[Path] = (),
    no_model: bool = False,
    packed: bool = True,
    strict: bool = False,
) -> Checked:
    """Check a folder; `model`, `code` and `log` name the files that count instead of those found by the rules.

    `no_model`: the code is the whole artifact.  Without `packed` the code is packed only where a verdict, a finding or
    an agreement hangs on its packed length, so that all of them are the same.  Where `strict`, warnings fail it.
    """
    folder = open_folder(root, rules.files)
    program = find_code(folder, rules, code)
    asked = folder.all_named(log, "--log", FileKind.LOG)
    logs = asked or [file for file in folder.of(FileKind.LOG) if not for_people(file.path)]
    read_logs = [read_log(folder.place(file), file.path, asked=bool(asked)) for file in logs]
    every_run = [run for one in read_logs for run in one.runs]
    stated = _claims(folder)
    given = folder.all_named(model, "--model", FileKind.MODEL)
    named, seeds = named_seeds(every_run, {file.path: file.seed for file in logs})
    different = distinct(named)
    models_found = ModelFiles() if given or no_model else model_files(folder, program, different, stated.numbers)
    files = list(models_found.files)
    lengths = {file.size for file in given or files}
    runs = [run for run in choose(different, lengths, stated.numbers) if run.model or run.total]
    models = () if no_model else find_models(folder, rules, given, files, runs, stated.numbers, program.length)
    if no_model or (not models and not runs and holds_weights(program.programs)):
        models = (CountedModel(size=0, source="no model file", absent=True),)
    program = program.without_models(file for model in models for file in model.files)
    unpacked = Checked(
        folder=folder,
        rules=rules,
        convention=convention or rules.convention,
        code=program,
        models=models,
        left=models_found.left,
        runs=tuple(runs),
        every_run=len(every_run),
        stated=stated,
        logs=tuple(read_logs),
        seeds=seeds,
        strict=strict,
    )
    checked = unpacked if packed else _counted(unpacked)
    if packed or hangs_on_packing(checked):
        length = packed_code_bytes([folder.place(file) for file in program.files])
        checked = _counted(replace(unpacked, packed=length, notes=length.notes))
    examined = (examine(checked) for examine in (examine_totals, examine_logs, examine_files, examine_claims))
    findings = sorted((finding for found in examined for finding in found), key=attrgetter("code"))
    # What the programs say has been asked; their trees are large, and a process would send them to another.
    return replace(checked, findings=tuple(findings), code=replace(program, programs=()))


def _counted(checked: Checked) -> Checked:
    """The same with every convention counted, as far as the packed length is known, and every claim matched."""
    code, models = checked.code, checked.models
    length = None if checked.packed is None else checked.packed.length
    tallies = tally_all(
        folder=checked.folder, rules=checked.rules, code=code, packed=length, models=models, runs=checked.runs
    )
    matched = [
        _by_itself(match(claim, tallies, checked.convention, code, models, logged=True), run)
        for run in checked.runs
        for claim in log_claims(run)
    ]
    matched += [match(claim, tallies, checked.convention, code, models) for claim in checked.stated.numbers]
    return replace(checked, tallies=tallies, matched=tuple(matched))


def _claims(folder: Folder) -> Claims:
    """What all JSON files say together."""
    read = [read_claims(folder.place(file), file.path) for file in folder.of(FileKind.CLAIMS)]
    return Claims(
        numbers=tuple(claim for claims in read for claim in claims.numbers),
        megabytes=tuple(text for claims in read for text in claims.megabytes),
        codecs=tuple(text for claims in read for text in claims.codecs),
        unread=tuple(text for claims in read for text in claims.unread),
        amounts=tuple(text for claims in read for text in claims.amounts),
    )


def _by_itself(matched: Matched, run: Run) -> Matched:
    """A log's total that nothing else confirms may still be the sum of its model and code."""
    claim = matched.claim
    parts = run.code.number + run.model.number if run.code and run.model else None
    if matched.agrees is None and claim.about is About.TOTAL and claim.number == parts:
        return Matched(claim=claim, agrees=Agreement(name="the sum of its model and code", sort=Sort.RUN))
    return matched


def log_claims(run: Run) -> list[Claim]:
    """What a run's log claims, but for the raw weights."""
    about = {"code": About.CODE, "model": About.MODEL, "total": About.TOTAL, "artifact": About.TOTAL}
    words = {"code": "Code size", "model": "Serialized model", "total": "Total submission size", "artifact": "artifact"}
    return [
        Claim(
            source=run.source if run.number == 1 else f"{run.source}, run {run.number}",
            file=run.source,
            key=f"{words[figure.what]} {figure.label}".rstrip(),
            number=figure.number,
            about=about[figure.what],
            seed=run.seed,
            line=figure.line,
        )
        for figure in run.figures
        if figure.what in about and (figure.what != "total" or figure.label or figure is run.total)
    ]
