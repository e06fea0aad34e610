"""Golden reports of one small artifact built from literals, so that a change of any report is seen and meant.

GOLFBUDGET_REWRITE=1 writes them anew; a missing one fails.
"""

from __future__ import annotations

import json
import os
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import UNSET, structs

from golfbudget.artifact import open_bytes
from golfbudget.certificates import Certificate
from golfbudget.efficiency.measuring import efficiency
from golfbudget.entropy import measure
from golfbudget.evidence import Evidence
from golfbudget.inspection import Inspection
from golfbudget.inspection.report import InspectReport
from golfbudget.plan.results import Answer, Inputs, Plan, Verdict, VqAnswer, Winner
from golfbudget.plan.trials import Candidate, Quality, Side, TableSize, Trial, Trials, WorstRow
from golfbudget.report import ReportFormat
from golfbudget.report.document import Document
from golfbudget.report.inspect import document, explain_document
from golfbudget.report.plan import document as plan_document
from golfbudget.report.render import html_fragment, rendered
from golfbudget.roles import assign, load_roles
from golfbudget.roles.explain import explain

FOLDER = Path(__file__).parents[1] / "golden"


def blob() -> bytes:
    """A safetensors file by hand: a tied table, its scales, one trunk matrix, one tensor of no known role."""
    header = (
        b'{"__metadata__":{"note":"by hand"},'
        b'"tok_emb.weight.__q":{"dtype":"I8","shape":[4,2],"data_offsets":[0,8]},'
        b'"tok_emb.weight.__scale":{"dtype":"F16","shape":[4],"data_offsets":[8,16]},'
        b'"blocks.0.mlp.fc.weight":{"dtype":"F32","shape":[1,3],"data_offsets":[16,28]},'
        b'"mystery":{"dtype":"U8","shape":[5],"data_offsets":[28,33]}}'
    )
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + bytes(range(33))


@pytest.fixture
def inspection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inspection:
    monkeypatch.chdir(tmp_path)
    Path("hand.safetensors").write_bytes(blob())
    return Inspection.of(open_bytes(blob(), name="hand.safetensors"), load_roles(), cap=1000, code=100)


def trial(name: str, side: Side, scheme: str, saved: int, quality: Quality, *, pareto: bool = False) -> Trial:
    table = TableSize(owner="tok_emb.weight", name="values", account="weights", shape=(4, 2), bits=6, raw_bytes=8)
    return Trial(
        candidate=Candidate(name=name, side=side, scheme=scheme, options={"bits": 6}, owners=("tok_emb.weight",)),
        tables=(table,),
        decoder_bytes=0,
        artifact_bytes=400 - saved,
        sha256="ab" * 32,
        saved_bytes=saved,
        fits=True,
        quality=quality,
        pareto=pareto,
        rank_bound=2 if side is Side.HEAD else None,
    )


@pytest.fixture
def plan(inspection: Inspection) -> Plan:
    by_error = Quality(
        metric="squared-error-ratio",
        delta=None,
        low=None,
        high=None,
        evidence=Evidence.EQUAL_ERROR,
        error_ratio=0.97,
        worst_row=WorstRow(owner="tok_emb.weight", row=3, relative_error=0.0001),
    )
    measured = Quality(
        metric="bits-per-byte", delta=0.0123, low=0.01, high=0.0145, evidence=Evidence.MEASURED, blocks=80
    )
    unknown = Quality(
        metric="squared-error-ratio", delta=None, low=None, high=None, evidence=Evidence.MODELLED, error_ratio=12.5
    )
    same = Quality(metric="bits-per-byte", delta=0.0, low=None, high=None, evidence=Evidence.CERTIFIED)
    return Plan(
        inputs=Inputs(
            source_path="hand.safetensors",
            source_bytes=inspection.artifact.size,
            source_sha256="cd" * 32,
            recipe="int8-zlib",
            recipe_argument=None,
            seed=0,
        ),
        cap=1000,
        code_bytes=100,
        tied=True,
        baseline=inspection,
        certificates=(
            Certificate(
                name="tying", statement="it adds", value=12, unit="bytes", source="here", evidence=Evidence.CERTIFIED
            ),
        ),
        trials=Trials(
            (
                trial("trunk-int3", Side.TRUNK, "scalar", 90, unknown),
                trial("head-int6", Side.HEAD, "scalar", 60, by_error, pareto=True),
                trial("head-vq2-shared", Side.HEAD, "vq-logits", 30, measured),
                trial("lossless-xz-9", Side.LOSSLESS, "repack", -4, same),
            )
        ),
        evaluation=None,
        vq=VqAnswer(answer=Answer.NO, best="head-vq2-shared", control="head-int6", margin_bytes=-60, reason="it lost"),
        verdict=Verdict(
            winner=Winner.HEAD,
            evidence=Evidence.EQUAL_ERROR,
            margin_bytes=60,
            reasons=("head: head-int6 saves 60 bytes",),
            best_head="head-int6",
            best_trunk=None,
        ),
        notes=("made by hand",),
    )


def check(name: str, text: str) -> None:
    path = FOLDER / name
    if os.environ.get("GOLFBUDGET_REWRITE"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), f"{path} is missing; GOLFBUDGET_REWRITE=1 writes it"
    assert text == path.read_text(encoding="utf-8")


def check_text(name: str, document: Document, width: int | None = None) -> None:
    check(name, rendered(document, ReportFormat.TABLE, width=width))


def check_json(name: str, document: Document) -> None:
    assert document.data is not None
    check(name, json.dumps(document.data(), indent=1) + "\n")


@pytest.fixture
def measured(inspection: Inspection) -> Inspection:
    entropy = measure(inspection.artifact, inspection.assignment.ledger)
    left = efficiency(inspection.artifact, inspection.assignment, entropy)
    return replace(inspection, entropy=entropy, efficiency=left)


VIEWS = ["role", "account", "owner", "block", "dtype"]


@pytest.mark.parametrize("by", VIEWS)
def test_inspect_tables(inspection: Inspection, by: str) -> None:
    check(f"inspect-{by}.txt", rendered(document(inspection, by), ReportFormat.TABLE))


@pytest.mark.parametrize("by", VIEWS)
def test_inspect_markdown(inspection: Inspection, by: str) -> None:
    check(f"inspect-{by}.md", rendered(document(inspection, by), ReportFormat.MARKDOWN))


@pytest.mark.parametrize("by", VIEWS)
def test_inspect_csv(inspection: Inspection, by: str) -> None:
    check(f"inspect-{by}.csv", rendered(document(inspection, by), ReportFormat.CSV).replace("\r\n", "\n"))


def test_inspect_entropy(measured: Inspection) -> None:
    check_text("inspect-entropy.txt", document(measured, "owner"))
    check_text("inspect-entropy-narrow.txt", document(measured, "owner"), width=80)


def test_inspect_json(inspection: Inspection) -> None:
    made = InspectReport.of(inspection)
    # Reasons name the default rules, which may change; `test_explain` has some of its own.
    owners = tuple(structs.replace(owner, reason=UNSET) for owner in made.owners)
    check("inspect.json", json.dumps(structs.replace(made, owners=owners).plain(), indent=1) + "\n")


def test_inspect_html(inspection: Inspection) -> None:
    check("inspect-role.html", html_fragment(document(inspection)) + "\n")


#: Of its own, so that the default rules may change.
ROLES = r"""
[[names]]
match = '^(?P<owner>.+)\.__scale$'
account = "scales"

[[names]]
match = '^(?P<owner>.+)\.__q$'

[[roles]]
match = '^tok_emb'
role = "embedding"
matrix = "input"
tied_role = "head"
"""


def test_explain(inspection: Inspection) -> None:
    Path("roles.toml").write_text(ROLES, encoding="utf-8")
    roles = load_roles(Path("roles.toml"))
    inspection = replace(inspection, assignment=assign(inspection.artifact, roles))
    owners = ("tok_emb.weight", "mystery", "[header]")
    found = [explain(owner, inspection.artifact, inspection.assignment) for owner in owners]
    check_text("explain.txt", explain_document(inspection, found))
    check_json("explain.json", explain_document(inspection, found))


def test_plan_table(plan: Plan) -> None:
    check_text("plan-answer.txt", plan_document(plan))
    check_text("plan.txt", plan_document(plan, details=True))
    check_text("plan-narrow.txt", plan_document(plan, details=True), width=80)


def test_plan_markdown_and_csv(plan: Plan) -> None:
    check("plan-answer.md", rendered(plan_document(plan), ReportFormat.MARKDOWN))
    check("plan.md", rendered(plan_document(plan, details=True), ReportFormat.MARKDOWN))
    check("plan.csv", rendered(plan_document(plan), ReportFormat.CSV).replace("\r\n", "\n"))


def test_plan_json(plan: Plan) -> None:
    check_json("plan.json", plan_document(plan))
