"""Odd and wrong claims in submission.json, and what is no claim at all: said in a finding or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.standins import log_text, submission

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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"bytes": {"total": 5, "code": 3000}}', "bytes.total is 5 bytes, which no count gives"),
        ('{"bytes_total": {"value": 5, "unit": "bytes"}}', "bytes_total is 5 bytes, which no count gives"),
        ('{"bytes_total": {"value": 15.1, "unit": "MB"}}', "bytes_total is '15.1 MB', which is no count of bytes"),
        ('{"artifact": {"bytes": 5}}', "artifact.bytes is 5 bytes"),
        ('{"final": {"artifact": {"size": 5}}}', "final.artifact.size is 5 bytes"),
        ('{"size": {"total": 5}}', "size.total is 5 bytes"),
        ('{"artifact": 5}', "artifact is 5 bytes"),
        ('{"artifact": "15.1 MB"}', "artifact is '15.1 MB', which is no count of bytes"),
        ('{"compressed_size": 5}', "compressed_size is 5 bytes"),
        ('{"bytes": 5}', "bytes is 5 bytes"),
        ('{"artifact_kb": 15950}', "artifact_kb is 15950, which no count gives; shipped is 15,903,000"),
        ('{"artifact_size_mib": 15.21}', "artifact_size_mib is 15.21, which no count gives"),
        ('{"artifact_gb": "0.0151"}', "artifact_gb is 0.0151, which no count gives"),
        ('{"artifact_kb": "much"}', "artifact_kb is 'much', which is no count of bytes"),
        ('{"code_kb": 40}', "code_kb is 40, which no count gives; the code on disk has 3,000 bytes"),
        ('{"artifact_mb": 14}', "artifact_mb is 14, which no count gives"),
    ],
)
def test_a_claim_in_whatever_key_and_unit_is_held_against_the_counts(tmp_path: Path, text: str, words: str) -> None:
    (finding,) = [finding for finding in claimed(tmp_path, text).findings if finding.code != "GB501"]
    assert words in finding.message


@pytest.mark.parametrize(
    "text",
    [
        '{"artifact_kb": 15903, "artifact_mib": 15.166, "artifact_gb": 0.0159, "artifact_mb": 16, "code_kb": 3}',
        '{"bytes": {"total": 15903000, "code": 3000, "model": 15900000}}',
        '{"artifact": "final_model.ptz", "submission": "mine", "size": "small", "config": {"vocab_size": 5}}',
        '{"model": {"size": 512, "layers": 9}, "code": {"size": 1}}',
        '{"data": {"bytes": 5}, "train": {"bytes": 6}, "bytes_raw": {"model": 7}, "max_size": 16000000}',
    ],
)
def test_a_claim_that_is_right_or_of_something_else_is_not_told(tmp_path: Path, text: str) -> None:
    assert [finding.code for finding in claimed(tmp_path, text).findings] == ["GB501"]


@pytest.mark.parametrize(
    ("stated", "total"),
    [
        ({"bytes_total": 16_020_000, "bytes_code": 3000, "bytes_model": 15_900_000}, 16_020_000),
        ({"bytes_total": 15_903_000, "bytes_code": 3000, "bytes_model": 67_000_000, "zlib_model_bytes": 15_900_000},
         15_903_000),
        ({"bytes_total": 15_000_000, "bytes_model": 15_900_000}, 15_903_000),
        ({"bytes_code": 3000, "seeds": {"1": {"model_bytes": 15_900_000}, "2": {"model_bytes": 15_970_000}}},
         15_973_000),
        ({"model_bytes_uncompressed": 67_000_000, "model_bytes_compressed": 15_900_000}, 15_903_000),
    ],
)  # fmt: skip
def test_of_stated_models_and_totals_the_largest_that_ships_counts(
    tmp_path: Path, stated: dict[str, object], total: int
) -> None:
    files = {"train_gpt.py": "#" * 3000, "submission.json": json.dumps(stated)}
    checked = check_submission(submission(tmp_path, files), RULES)
    assert checked.chosen.largest is not None
    assert checked.chosen.largest.total == total


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("Total submission size: 15,123,456 bytes", True),
        ("- **Total submission size int8+zlib:** `15123456 bytes`", True),
        ("Total submission size: 15,903,000 bytes", False),
        ("Total submission size: 15.12 MB", False),
        ("the baseline's total submission size: 15863489 bytes", False),
        ("saved in total: 30,000 bytes of 16,000,000", False),
        ("Budget: 15,903,000 / 16,000,000 bytes", False),
    ],
)
def test_a_total_in_a_readme_is_held_against_the_counts(tmp_path: Path, line: str, *, told: bool) -> None:
    submission(tmp_path, {"README.md": f"# Mine\n\n{line}\n{line}\n"})
    messages = [finding.message for finding in claimed(tmp_path, "{}").findings if finding.code == "GB304"]
    said = "README.md, line 3 says 15,123,456 bytes in total, which no count gives; the largest run has 15,903,000"
    assert messages == ([said] if told else [])


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
