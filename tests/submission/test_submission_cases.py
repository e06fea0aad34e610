"""Submission folders of the kinds met in public: figures and findings that their makers know."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.marks import slow_for

import golfbudget as gb
from golfbudget.rules import Convention, load_rules
from golfbudget.submission import Checked, check_submission

#: Cases about logs, claims and model files, with the finding that each must have.
FINDINGS = {
    "log-of-the-mlx-script": None,
    "log-with-rank-prefix": None,
    "log-raw-model-in-brackets": None,
    "log-budget-line": None,
    "log-total-without-label": "parts of the log do not sum to its total",
    "log-of-several-exports": "42,950,518",
    "log-not-understood": "words that were not understood",
    "model-named-br": None,
    "weights-in-the-program": "counted, code alone",
    "seeds-of-files-and-lines-differ": "the names say other seeds than the lines",
}

#: Those whose model files are as large as a cap.
SLOW = ("log-budget-line", "log-of-the-mlx-script", "model-named-br")


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders that the script writes."""
    script = Path(os.environ.get("GOLFBUDGET_CASES", "")) / "submissions.py"
    if not script.is_file():
        pytest.skip("GOLFBUDGET_CASES names no folder with submissions.py")
    out = tmp_path_factory.mktemp("submissions")
    subprocess.run([sys.executable, script, out], check=True, capture_output=True)
    return out


@pytest.mark.parametrize("name", slow_for(SLOW, FINDINGS))
def test_the_answer_is_the_makers(cases: Path, name: str) -> None:
    finding = FINDINGS[name]
    answer: dict[str, Any] = json.loads((cases / "answers.json").read_text(encoding="utf-8"))[name]
    found: Checked = check_submission(cases / name, load_rules(), packed=False)
    for convention in (Convention.LOGGED, Convention.SHIPPED):
        if convention in answer:
            largest = found.tallies[convention].largest
            assert largest is not None
            assert largest.total == answer[convention]
    if "fits" in answer:
        assert found.chosen.fits is answer["fits"]
    if "model" in answer:
        assert [model.source for model in found.models] == [answer["model"]]
    assert finding is None or any(finding in one.message for one in found.findings)


#: Findings about a whole file, or about files that nothing names.
WHOLE = {"GB104", "GB205", "GB207", "GB209", "GB402", "GB403", "GB404", "GB507"}


@pytest.mark.slow
def test_findings_of_the_cases_name_lines_that_are_there(cases: Path) -> None:
    checks = gb.check(*filter(Path.is_dir, cases.iterdir()), packed=False, jobs=1).submissions
    places = [(checked.folder.root, found) for checked in checks for found in checked.findings]
    assert len(places) > len(checks) > 9
    for root, found in places:
        if found.line is None:
            assert found.code in WHOLE or "of what it unpacks to" in found.message
            continue
        assert found.file is not None
        assert found.file in found.message
        assert f", line {found.line}" in found.message
        assert 1 <= found.line <= len((root / found.file).read_bytes().splitlines())
