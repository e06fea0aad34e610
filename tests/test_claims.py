"""Odd and wrong claims in submission.json, and what is no claim at all: said in a finding or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from standins import log_text, submission

from golfbudget.errors import CorruptError, LimitError
from golfbudget.rules import load_rules
from golfbudget.submission import Checked, check_submission
from golfbudget.submission.claims import read_claims

RULES = load_rules()


def claimed(tmp_path: Path, text: str | bytes) -> Checked:
    files: dict[str, str | bytes] = {"train_gpt.py": "#" * 3000, "train.log": log_text(code=3000, model=15_900_000)}
    return check_submission(submission(tmp_path, {**files, "submission.json": text}), RULES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"bytes_total": -15903000}', "bytes_total is '-15903000', which is no count of bytes; write a whole number"),
        ('{"bytes_total": 15903000.5}', "'15903000.5', which is no count"),
        ('{"bytes_total": NaN}', "'nan', which is no count"),
        ('{"bytes_total": 1e300}', "'1e+300', which is no count"),
        (f'{{"bytes_total": 1{"0" * 4000}}}', "…', which is no count"),
        ('{"bytes_total": true}', "'True', which is no count"),
        ('{"bytes_total": "15,9"}', "'15,9', which is no count"),
        ('{"bytes_total": "1,5903,000"}', "'1,5903,000', which is no count"),
        ('{"bytes_total": "15.9 MB"}', "'15.9 MB', which is no count"),
        ('{"totalBytes": 17000000}', "totalBytes is 17,000,000 bytes, which no count gives"),
        ('{"bytes_total": [15903000, 15800000]}', "bytes_total.1 is 15,800,000 bytes, which no count gives"),
        ('{"artifact_mb": 12.1}', "artifact_mb is 12.1, which no count gives; shipped is 15,903,000"),
        ('{"bytes_model": 15900001}', "bytes_model is 15,900,001 bytes, which no log prints; the nearest model has"),
        ('{"a\\u001b\\nbytes_total": 5}', r"a\x1b\nbytes_total is 5 bytes, which no count gives"),
    ],
)
def test_a_claim_that_is_no_count_or_of_nothing_is_said(tmp_path: Path, text: str, words: str) -> None:
    (finding,) = [finding for finding in claimed(tmp_path, text).findings if finding.code != "GB501"]
    assert finding.code == "GB304"
    assert words in finding.message
    assert len(finding.message) < 300


@pytest.mark.parametrize("text", ['{"\\ud800_bytes_total": 15903000}', '{"bytes_total": null, "artifact_mb": 15.9}'])
def test_a_claim_in_an_odd_spelling_is_read(tmp_path: Path, text: str) -> None:
    found = claimed(tmp_path, text)
    assert {finding.code for finding in found.findings} == {"GB501"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": {"bytes_total": 17000000, "bytes_total": 15903000}}', "the key 'bytes_total' stands twice"),
        ('{"a":' * 60 + "1" + "}" * 60, "more than 40 levels"),
        (json.dumps({f"bytes_{number}": number for number in range(2000)}), "more than 1000 figures"),
        (json.dumps({f"k{number}": number for number in range(99_999)}), "expected JSON of at most 1048576"),
        ("1" * 5000, "not valid JSON"),
    ],
)
def test_claims_that_nobody_can_take_are_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises((CorruptError, LimitError), match=words) as caught:
        claimed(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "submission.json"))


def test_a_place_in_a_list_is_no_seed(tmp_path: Path) -> None:
    path = tmp_path / "submission.json"
    path.write_text('{"seeds": [{"bytes_total": 1}, {"bytes_total": 2}], "seed_results": {"7": {"bytes_total": 3}}}')
    assert [claim.seed for claim in read_claims(path, path.name).numbers] == [None, None, 7]


def test_many_values_that_are_no_claims_take_no_time(tmp_path: Path) -> None:
    path = tmp_path / "submission.json"
    path.write_text(json.dumps({f"k{number}": [number] * 9 for number in range(10_000)} | {"bytes_total": 5}))
    (claim,) = read_claims(path, path.name).numbers
    assert claim.line == 1
