"""What `plan` and `demo` print first fits on a small screen, and holds what the answers name."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from support.points import point
from test_golden import inspection, plan, trial

from golfbudget.evidence import Evidence
from golfbudget.inspection import Inspection
from golfbudget.plan.difference import by_difference
from golfbudget.plan.results import BreakEven, Evaluation, Plan, RecordedFile, Situation, Winner
from golfbudget.plan.trials import Quality, Side, Trial, Trials
from golfbudget.report import ReportFormat
from golfbudget.report.document import Document
from golfbudget.report.plan import demo_document, document, shortlist
from golfbudget.report.render import rendered
from golfbudget.report.render.terminal import show

__all__ = ["inspection", "plan"]

#: Side, scheme, name, bytes saved and loss, as the example's plan has them.
CANDIDATES: list[tuple[Side, str, str, int, float | None]] = [
    (Side.TRUNK, "ternary-packed", "trunk-ternary-packed", 615_469, 1.5196),
    (Side.TRUNK, "scalar", "trunk-int3", 448_020, 0.2732),
    (Side.TRUNK, "clipped", "trunk-clipped-b6-c12.85", 356_418, 0.0805),
    (Side.TRUNK, "scalar", "trunk-int4", 330_456, 0.0578),
    (Side.TRUNK, "grouped-scalar", "trunk-grouped-scalar-b4-g128-bytes", 305_191, 0.0510),
    (Side.TRUNK, "scalar", "trunk-int5", 226_855, 0.0122),
    (Side.HEAD, "vq-logits", "head-vq32-shared", 132_599, None),
    (Side.HEAD, "vq-logits-bias", "head-vq-bias-k128-b8-bias8-shared", 120_628, 1.5515),
    (Side.HEAD, "factorised", "head-factorised-r20-b16-shared", 98_088, 2.1560),
    (Side.HEAD, "scalar", "head-int3", 84_294, 0.0422),
    (Side.HEAD, "vq-logits-explicit", "head-vq-explicit-k256-s128-b8-shared", 81_731, 0.5497),
    (Side.TRUNK, "scalar", "attention-int6", 67_222, 0.0013),
    (Side.HEAD, "vq-logits", "head-vq256-shared", 65_941, 1.0377),
    (Side.HEAD, "tiers", "head-tiers-8x64+6x256+5-bytes-shared", 37_337, 0.0007),
    (Side.HEAD, "scalar", "head-int6", 28_971, 0.0005),
    (Side.LOSSLESS, "repack", "lossless-brotli-11", 14_730, 0.0),
    (Side.LOSSLESS, "repack", "lossless-xz-9", 5_176, 0.0),
    (Side.HEAD, "scalar", "head-int7", 8_345, -0.0002),
]


def tried(side: Side, scheme: str, name: str, saved: int, loss: float | None) -> Trial:
    evidence = Evidence.CERTIFIED if loss is None or side is Side.LOSSLESS else Evidence.MEASURED
    known = loss if loss is not None else 0.58
    quality = Quality(
        metric="bits-per-byte", delta=loss, low=known - 0.0003, high=known + 0.0003 if loss is not None else None,
        evidence=evidence, blocks=None if evidence is Evidence.CERTIFIED else 100 + len(name),
    )  # fmt: skip
    made = trial(name, side, scheme, saved, quality, pareto=name.startswith("trunk"))
    if scheme == "scalar":
        part, _, bits = name.partition("-int")
        made = replace(made, candidate=replace(made.candidate, options={"bits": int(bits)}, owners=(part,)))
    return replace(made, artifact_bytes=962_340 - saved, loser=None if loss is not None else f"tie-floor:{name}")


@pytest.fixture
def large(plan: Plan) -> Plan:
    vq, tiers = "head-vq-explicit-k256-s128-b8-shared", "head-tiers-8x64+6x256+5-bytes-shared"
    interval = "bits per byte [+0.0005, +0.0010]"
    return replace(
        plan,
        trials=Trials(tuple(tried(*one) for one in CANDIDATES)),
        evaluation=Evaluation(
            model="builtin:example",
            tokens=102_400,
            text_bytes=253_614,
            baseline_bits_per_byte=1.108133,
            source_bits_per_byte=1.107803,
            windows=400,
        ),
        vq=replace(
            plan.vq,
            best=vq,
            control=tiers,
            margin_bytes=-67_222,
            reason=f"{vq} saves 81,731 bytes, measured +0.5497 {interval}; attention-int6 saves more; and so on",
        ),
        verdict=replace(
            plan.verdict,
            winner=Winner.TRUNK,
            evidence=Evidence.MEASURED,
            margin_bytes=29_885,
            reasons=(
                f"head: {tiers} saves 37,337 bytes, measured +0.0007 {interval}",
                f"trunk: attention-int6 saves 67,222 bytes, measured +0.0013 {interval}",
                "lossless first: lossless-brotli-11 saves 14,730 bytes at no cost",
                "the verdict survives that packing: trunk still wins, by 33,564 bytes",
            ),
            best_head=tiers,
            best_trunk="attention-int6",
            situation=Situation.UNDER,
            break_even=BreakEven(candidate=vq, loss=0.0016, price=20.0, source="measured", vocabulary=344_210),
        ),
        on_frontier=frozenset(name for _, _, name, _, _ in CANDIDATES if name.startswith(("trunk", "head-int"))),
    )


def shown(document: Document, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    monkeypatch.setenv("COLUMNS", "80")
    show(document)
    return capsys.readouterr().out.splitlines()


def test_an_answer_fits_on_a_screen_of_eighty_by_forty(
    large: Plan, inspection: Inspection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for made in (document(large), demo_document(inspection, large, saved="build/example/plan.json")):
        lines = shown(made, monkeypatch, capsys)
        assert len(lines) <= 40
        assert max(map(len, lines)) <= 80
        text = "\n".join(lines)
        assert "verdict: trunk by 29,885 bytes (measured)" in text
        assert "does a VQ-Logits head win? no (margin -67,222 bytes)" in text
        assert "plan.json --candidate attention-int6 -o FILE" in text
        assert "more: 7 candidates, 1 note, 1 certificate, roles, prices (--details)" in text


def test_the_verdict_of_fitted_files_takes_twelve_lines(
    large: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the verdict to the end: what is best at these bytes, by how much, how sure, and what to do."""
    points = (point(962_340, 0.009, 0.003), point(481_170, 0.034, 0.006))
    verdict, vq = by_difference(large.verdict, large.vq, large.trials, points, price=4.0, tokens=102_400)
    fitted = replace(large, verdict=verdict, vq=vq, budgets=points)
    lines = shown(document(fitted, saved="plan.json"), monkeypatch, capsys)
    told = lines[next(at for at, line in enumerate(lines) if line.startswith("verdict: ")) :]
    assert len(told) <= 12
    text = " ".join(" ".join(told).split())
    assert text.startswith("verdict: trunk (measured): keep the head whole, compress numbers")
    assert "at 962,340 bytes restructuring costs 0.0090 bits/byte (0.0060 to 0.0120)" in text
    assert "golfbudget fit hand.safetensors --model builtin:example --cap 962340 -o FILE" in text
    # Names and files with spaces run as they are printed.
    own = replace(fitted.inputs, source_path="my model.pt", roles=RecordedFile(path="my roles.toml", sha256=""))
    odd = rendered(document(replace(fitted, inputs=own), saved="my plan.json"), ReportFormat.MARKDOWN)
    assert "golfbudget fit 'my model.pt' --model builtin:example --roles 'my roles.toml' --cap 962340 -o FILE" in odd
    assert "golfbudget pack 'my plan.json' --candidate attention-int6 -o FILE" in odd
    # All the figures are in the details.
    every = "\n".join(shown(document(fitted, details=True), monkeypatch, capsys))
    assert re.search(r"481,170 +head-vq64-shared +\+0\.0340 +\+0\.0340", every)


def test_the_shortlist_has_what_the_answers_name_and_the_best_of_every_family(large: Plan) -> None:
    names = [one.candidate.name for one in shortlist(large, 11)]
    assert names == [name for _, _, name, _, _ in CANDIDATES if name in names]
    assert {large.verdict.best_head, large.verdict.best_trunk, large.vq.best, large.vq.control} <= set(names)
    families = {(side, scheme) for side, scheme, _, _, _ in CANDIDATES if not scheme.startswith("vq-logits")}
    assert families <= {(one.candidate.side, one.candidate.scheme) for one in shortlist(large, 11)}
    assert "lossless-brotli-11" in names
    # Of a family, what saves most at no loss; then the frontiers, as far as there is room.
    assert "head-int7" not in names
    assert "head-vq32-shared" not in names
    assert {"trunk-int3", "trunk-int4"} <= {one.candidate.name for one in shortlist(large, 14)}
    assert shortlist(large, 99) == tuple(
        one for one in large.trials if one.candidate.name in large.on_frontier | set(names)
    )


def test_of_two_ways_to_scale_the_shortlist_has_the_better(large: Plan) -> None:
    """By loss, whatever it saves; what the answers name stays."""
    int3, free = (large.trial(name) for name in ("trunk-int3", "attention-int6"))
    assert int3 is not None
    assert free is not None
    trials = [with_scale(int3, 0.26), with_scale(free, 0.0001), *large.trials]
    made = replace(large, trials=Trials(tuple(trials)))
    names = [trial.name for trial in shortlist(made, 14)]
    assert "trunk-int3-maximum" in names
    assert "trunk-int3" not in names
    assert {"attention-int6", "attention-int6-maximum"} <= set(names)


def with_scale(one: Trial, loss: float) -> Trial:
    """The same with scales by the largest magnitude, which loses so much."""
    options = {**one.candidate.options, "scale": "maximum"}
    candidate = replace(one.candidate, name=f"{one.name}-maximum", options=options)
    return replace(one, candidate=candidate, pareto=True, quality=replace(one.quality, delta=loss))


def test_details_have_every_candidate_and_every_note(large: Plan) -> None:
    text = rendered(document(large, details=True), ReportFormat.TABLE)
    for _, _, name, _, _ in CANDIDATES:
        assert f"\n{name} " in text
    for line in (*large.notes, *large.verdict.reasons, large.vq.reason):
        assert line in text
    worth = "400 are worth 109 to 136 independent ones, by candidate; fewer than 64 decide nothing"
    assert worth in " ".join(text.split())
    assert "--details" not in text


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"preview": "zstd-3"}, "next: plan again without --preview"),
        ({"model_file": "sp8192"}, "next: train the model, then plan its checkpoint"),
        ({}, "next: golfbudget pack plan.json --candidate attention-int6 -o FILE\nplan.json is this plan: "),
    ],
)
def test_what_to_do_next(large: Plan, change: dict[str, str], expected: str) -> None:
    made = replace(large, inputs=replace(large.inputs, **change))  # type: ignore[arg-type]
    assert expected in rendered(document(made), ReportFormat.TABLE)


def test_what_to_do_next_where_nobody_wins(large: Plan) -> None:
    none = replace(large.verdict, winner=Winner.NONE)
    assert "--candidate lossless-brotli-11 -o FILE" in rendered(
        document(replace(large, verdict=none)), ReportFormat.TABLE
    )
    open_ = replace(none, winner=Winner.UNDECIDED, settle="longer text")
    assert "what would settle it: longer text" in rendered(document(replace(large, verdict=open_)), ReportFormat.TABLE)
    losses = large.trials.where(lambda one: one.candidate.side is not Side.LOSSLESS)
    shown = rendered(document(replace(large, verdict=none, trials=losses)), ReportFormat.TABLE)
    assert f"next: golfbudget fit {large.inputs.source_path}" in shown
    assert "--candidate" not in shown
