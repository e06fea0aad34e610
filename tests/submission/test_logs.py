"""Byte figures of logs in many spellings, and which export of a run counts."""

from __future__ import annotations

import json
import lzma
import time
from pathlib import Path

import pytest
from support.command_line import Run
from support.standins import log_text, submission

from golfbudget.rules import Convention, load_rules
from golfbudget.submission import Checked, check_submission
from golfbudget.submission.lognames import what_is
from golfbudget.submission.logs import parse

CODE, MODEL = 50_000, 15_990_000
PLAIN = (
    f"seed:7\nstep:1/2 train_loss:1.0\nSerialized model: 106000000 bytes\nCode size: {CODE} bytes\n"
    f"Serialized model int6+zstd: {MODEL} bytes\nTotal submission size int6+zstd: {MODEL + CODE} bytes\n"
)
PREFIXES = [
    "[rank0]: ", "0: ", "INFO:root:", "2026-04-01 12:00:00,123 - train - INFO - ", "\x1b[32m[12:00:01]\x1b[0m ",
    "wandb: ", "worker-3 | ", "(RayTrainWorker pid=17) ", "[100%] ", "100%|████| 20/20 [00:10<00:00, 1.9it/s] ",
    "2026-04-01T12:00:00.1234567Z ", "2026-04-01T12:00:00.123456789Z stdout F ", "GPU0 ",
]  # fmt: skip


def found(text: str) -> list[tuple[int | None, ...]]:
    amounts = (
        [None if figure is None else figure.number for figure in (run.code, run.model, run.total)]
        for run in parse(text, "a.log")
    )
    return [(run.seed, *numbers) for run, numbers in zip(parse(text, "a.log"), amounts, strict=True)]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_any_prefix(prefix: str) -> None:
    text = "".join(prefix + line + "\n" for line in PLAIN.splitlines())
    assert found(text) == [(7, CODE, MODEL, MODEL + CODE)]


@pytest.mark.parametrize(
    ("text", "code", "model", "total"),
    [
        ("saved_model:a/b.npz bytes:6721\nserialized_model_int8_zlib:15 bytes (payload:9)", None, 15, None),
        ("Serialized model (fp32): 900 bytes\nSerialized model (int4+zlib): 15 bytes", None, 15, None),
        ("code_bytes=4\nmodel_bytes=15\ntotal_bytes=19", 4, 15, 19),
        ("artifact:15.89MB binary:115(99B) code:4\nbudget:19/100 (0.1/0.2MB) FITS", 4, None, 19),
        ("Code size: 4 bytes\nSerialized model int6: 1,015 bytes\nTotal size: 1,019 / 16,000,000 bytes", 4, 1015, 1019),
        ('{"message": "Serialized model int8+zlib: 15 bytes"}\n{"code_bytes": 4}', 4, 15, None),
        ("Serialized model: 900 bytes\nSerialized model: 15 bytes\nCode: 4 bytes\nTotal size: 19 bytes", 4, 15, 19),
        ("Serialized model int8+zlib: 15.94 MB (15940000 bytes)", None, 15_940_000, None),
        ("Serialized model: 900 bytes\nCode size: 4 bytes\nTotal submission size: 904 bytes", 4, None, None),
        ("| Total submission size int8+zlib | 19 bytes |\nCode size : 4 Bytes", 4, None, 19),
        ("artifact bytes 19\nsize/code_bytes 4", 4, None, 19),
        ("wrote final_model.int8.ptz (15 bytes)\ncode (4 bytes)", 4, 15, None),
        ("final size 19B (code 4B + model.int6.xz 15B)", 4, 15, None),
    ],
)  # fmt: skip
def test_spellings(text: str, code: int | None, model: int | None, total: int | None) -> None:
    assert found(text) == [(None, code, model, total)]


def test_megabytes_are_rounded_and_give_way_to_bytes() -> None:
    (run,) = parse("Total submission size: 15.97 MB", "train.log")
    assert run.rounded
    assert run.total is not None
    assert run.total.number == 15_970_000
    (run,) = parse("Serialized model int8: 15.9 MB\nSerialized model int6: 15000000 bytes\n", "train.log")
    assert not run.rounded


#: What people print beside their figures, with a number that is none of them.
BESIDE = [
    "Total saved: 30,000 bytes", "Total size reduction: 30000 bytes", "Submission is under budget by 30,000 bytes",
    "Submission over by 30000 bytes", "Total submission size difference: 30000 bytes", "Code size saved: 300 bytes",
    "Model shrank by 30000 bytes", "Total size per layer: 30000 bytes", "Total eval bytes: 30000",
    "total_val_bytes=30000", "eval/total_bytes: 30000", "total overhead: 30000 bytes", "layer 3 weights: 30000 bytes",
    "tok_emb.weight compressed: 30000 bytes", "embedding weights: 30000 bytes", "compressed block 3: 30000 bytes",
    "tokenizer.model size: 30000 bytes", "Downloading model: 30000B/s", "script wrote 30000 bytes",
    "Submission budget: 16,000,000 bytes", "budget = 16000000 bytes", "Maximum submission size: 16000000 bytes",
    "submission size must be at most 16000000 bytes", "Allowed artifact size: 16000000 bytes",
    "Previous total submission size: 15000000 bytes", "Expected model size: 15000000 bytes",
    "mean artifact size: 15000000 bytes", "smallest total submission size: 15000000 bytes",
]  # fmt: skip


@pytest.mark.parametrize("line", BESIDE)
def test_numbers_of_something_else_are_no_figures(line: str) -> None:
    assert found(line) == []
    assert found(PLAIN + line + "\n") == found(PLAIN)


@pytest.mark.parametrize(
    "number",
    ["15,99 MB", "15,990 MB", "15 990 000", "15 990 00 bytes", "15 9900 000 bytes", "15'990.000 bytes", "15.990 bytes",
     "1,5990,000 bytes", "15 990,000 bytes", "15 990 000 MB", "15.990.000 MB",
     "15,990,00 bytes", "15.99e6 bytes", "1599e4, x=5", "0xF3FD70, x=5", "16M, x=5", "16 M x=5",
     "15990000 bits x=5", "17059912 params x=5", "99% of 16,000,000 bytes", "<16000000 bytes", "-5 bytes",
     "15940000 + 50000 bytes", "15940000 (model) + 50000 (code) = 15990000 bytes", "5,000 bytes over the cap",
     "5,000 bytes less than before"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["Total submission size int8+zlib: ", "model size ", "total_bytes="])
def test_a_number_is_understood_whole_or_not_at_all(name: str, number: str) -> None:
    assert found(name + number) == []


@pytest.mark.parametrize(
    "number",
    ["15 990 000 bytes", "15\u202f990\u202f000 bytes", "15\u00a0990\u00a0000 B", "15\u2009990\u2009000 bytes",
     "15'990'000 bytes", "15\u2019990\u2019000 bytes", "15.990.000 bytes", "15_990_000 bytes", "15990000.0 bytes",
     "15,990,000 bytes exceeds 15,900,000"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["Total submission size int8+zlib: ", "total_bytes="])
def test_groups_of_three_digits_are_one_number_where_the_unit_follows(name: str, number: str) -> None:
    assert found(name + number) == [(None, None, None, MODEL)]


def test_without_a_sign_a_group_may_be_a_number_of_its_own() -> None:
    assert found("model 3 990 000 bytes") == found("wrote model 15 990 000 bytes") == []


@pytest.mark.parametrize(
    "line",
    [
        '{"artifact": {"code_bytes": 4, "model_bytes": 15, "total_bytes": 19}}',
        '{"final": {"bytes": {"code": 4, "model": 15, "total": 19}}}',
        "{'code_bytes': 4, 'model_bytes': 15, 'total_bytes': 19}",
        '{"size/code_bytes": 4.0, "size/model_bytes": "15", "size/total_bytes": 1.9e1}',
        '{"log": "Code size: 4 bytes\\nmodel_bytes: 15\\nTotal size: 19 bytes\\n", "stream": "stdout"}',
        json.dumps({"note": "x" * 5000, "code_bytes": 4, "model_bytes": 15, "total_bytes": 19}),
    ],
)
def test_objects_are_read_at_any_depth_and_length(line: str) -> None:
    assert found(line) == [(None, 4, 15, 19)]
    assert found("\x1b[32m" + line + "\x1b[0m") == [(None, 4, 15, 19)]


@pytest.mark.parametrize(
    "line",
    ['{"model": {"size": 512, "code": 3}}', '{"total": [15990000]}', '{"bytes": NaN}', "{x: 15}", "{[]: 1}", "{" * 900],
)
def test_objects_of_other_numbers_say_nothing(line: str) -> None:
    assert found(line) == []


@pytest.mark.parametrize("ended", [True, False])
def test_a_number_at_the_end_of_a_log_without_an_end_may_be_cut(tmp_path: Path, *, ended: bool) -> None:
    text = f"Code size: {CODE} bytes\nTotal submission size int8+zlib: 1602000" + ("\n" if ended else "")
    warned = messages(check(tmp_path, {"train.log": text}), "GB505")
    assert [message.split(";")[0] for message in warned] == (
        []
        if ended
        else [
            "train.log, line 2: the log ends with a number, and without an end of line or a unit: digits may be missing"
        ]
    )


def test_a_total_alone_is_that_of_the_code_on_disk(tmp_path: Path) -> None:
    stated = json.dumps({"bytes_total": 15_950_000, "bytes_code": CODE})
    checked = check(tmp_path, {"train.log": "total_bytes: 16020000\n", "submission.json": stated})
    assert checked.chosen.largest is not None
    assert (checked.chosen.largest.total, checked.chosen.fits) == (16_020_000, False)


def test_logs_of_one_byte_a_letter_are_read(tmp_path: Path) -> None:
    checked = check(tmp_path, {"train.log": PLAIN.encode() + "Größe: ähnlich\n".encode("latin-1")})
    assert [run.total and run.total.number for run in checked.runs] == [MODEL + CODE]


@pytest.mark.parametrize(
    ("text", "code", "model", "total"),
    [
        ("Total submission size int8+zlib:\t15 bytes", None, None, 15),
        ("Total submission size int8+zlib: 15 bytes - OVER", None, None, 15),
        ("Total is 15 / 16000000 bytes", None, None, 15),
        ("Total size: 15 bytes\nTotal size...16156763 / 16000000 bytes", None, None, 15),
        ("Total size: 15 bytes, over by 9 bytes", None, None, 15),
        ("total code bytes: 4\ntotal model bytes: 15", 4, 15, None),
        ("12:00:01 - INFO - Total submission size int8+zlib - 15 bytes", None, None, 15),
    ],
)
def test_figures_in_other_words(text: str, code: int | None, model: int | None, total: int | None) -> None:
    assert found(text) == [(None, code, model, total)]


def test_rounded_code_does_not_spoil_what_is_exact(tmp_path: Path) -> None:
    checked = check(tmp_path, {"train.log": f"Code: 0.05 MB\nSerialized model int8+zlib: {MODEL} bytes\n"})
    assert [row.total for row in checked.tallies[Convention.LOGGED].rows] == [MODEL + CODE]


def test_lines_of_gaps_take_no_time() -> None:
    start = time.process_time()
    assert found(("Total size: " + " " * 900 + "x\n") * 200) == []
    assert time.process_time() - start < 2
    assert found("Total size:" + " " * 900 + "15 bytes\n") == [(None, None, None, 15)]


EXPORTS = (
    f"seed:7\nSerialized model: 106000000 bytes\nCode size: {CODE} bytes\n"
    "Serialized model int1+zlib: 900000 bytes\nTotal submission size int1+zlib: 950000 bytes\n"
    "Serialized model int8+zlib: 800000 bytes\nTotal submission size int8+zlib: 850000 bytes\n"
)


def check(tmp_path: Path, files: dict[str, str | bytes]) -> Checked:
    return check_submission(submission(tmp_path, {"train_gpt.py": "#" * CODE, **files}), load_rules())


def messages(checked: Checked, code: str) -> list[str]:
    return [finding.message for finding in checked.findings if finding.code == code]


@pytest.mark.parametrize(("claim", "total"), [(950_000, 950_000), (850_000, 850_000), (7, 850_000)])
def test_claims_choose_among_exports(tmp_path: Path, claim: int, total: int) -> None:
    checked = check(tmp_path, {"train.log": EXPORTS, "submission.json": json.dumps({"bytes_total": claim})})
    assert checked.chosen.largest is not None
    assert checked.chosen.largest.total == total
    (message,) = messages(checked, "GB506")
    assert f"{1_800_000 - total:,}" in message


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("WARNING: artifact exceeds limit: 16,100,000 bytes", True),
        ("artifact with adapters weighs 16_200_000 bytes", True),
        ("artifact with adapters weighs 15_200_000 bytes", False),
        ("peak memory of the artifact: 16100000 bytes", False),
        ("the raw model came to 16100000 bytes", False),
        ("the artifact was allowed 16000000 bytes", False),
        ("wrote everything with the model: 92100000 bytes", False),
    ],
)
def test_a_line_over_the_cap_that_is_not_understood_is_said(tmp_path: Path, line: str, *, told: bool) -> None:
    small = log_text(code=CODE, model=9_000_000)
    after = check(tmp_path, {"train.log": f"{small}{line}\n"})
    assert bool(messages(after, "GB509")) == told
    before = check(tmp_path, {"train.log": f"{line}\n{small}"})
    assert not messages(before, "GB509")


@pytest.mark.parametrize(("labels", "told"), [(("trunk int6", "head int8"), True), (("int6+zstd", "int8+zlib"), False)])
def test_exports_that_are_called_parts_may_ship_together(
    tmp_path: Path, labels: tuple[str, str], *, told: bool
) -> None:
    text = "".join(f"Serialized model {label}: {9_000_000 + at} bytes\n" for at, label in enumerate(labels))
    checked = check(tmp_path, {"train.log": f"seed:1\nCode size: {CODE} bytes\n{text}"})
    found = messages(checked, "GB508")
    assert [f"they come to {18_000_001 + CODE:,} bytes" in one for one in found] == ([True] if told else [])


def test_a_total_that_is_more_than_its_parts_counts(tmp_path: Path) -> None:
    text = PLAIN.replace(str(MODEL), "15000000").replace(str(MODEL + CODE), "16030000")
    checked = check(tmp_path, {"train.log": text})
    assert checked.chosen.fits is False
    assert "parts of the log do not sum to its total" in messages(checked, "GB306")[0]


@pytest.mark.parametrize(
    "text", ["epoch 1\nwrote artifact, 15.97 megabytes\n", "epoch 1\n", "Serialized model: 9000 bytes\n"]
)
def test_what_is_not_understood_is_claimed_and_said(golfbudget: Run, tmp_path: Path, text: str) -> None:
    stated = json.dumps({"bytes_total": 15_950_000, "bytes_code": CODE})
    checked = check(tmp_path, {"train.log": text, "submission.json": stated})
    assert checked.claimed
    assert messages(checked, "GB503")
    assert messages(checked, "GB505")
    assert not any(matched.agrees for matched in checked.matched if matched.claim.key == "bytes_total")
    for form in ("table", "markdown"):
        assert "claimed" in golfbudget("check", tmp_path, "--format", form).stdout
    (one,) = json.loads(golfbudget("check", tmp_path, "--format", "json").stdout)["submissions"]
    assert one["claimed"] is True


def test_seeds_of_names_and_of_lines(tmp_path: Path) -> None:
    logs: dict[str, str | bytes] = {
        f"run_seed{seed}.log": log_text(seed=1337, code=CODE, model=900_000 + seed) for seed in (1337, 1, 2)
    }
    checked = check(tmp_path, logs)
    assert {run.seed for run in checked.runs} == {1337, 1, 2}
    (message,) = messages(checked, "GB504")
    assert "run_seed1.log" in message
    assert not messages(checked, "GB502")


NOISE = bytes(range(256)) * 40


@pytest.mark.parametrize("name", ["final_model.int6.xz", "weights.lzma", "artifact", "final_model.q", "out.zst"])
def test_a_compressed_model_under_any_name(tmp_path: Path, name: str) -> None:
    data = lzma.compress(NOISE, format=lzma.FORMAT_XZ, preset=0) + b""
    padded = lzma.compress(b"".join(bytes([n % 251, n % 13, n * n % 256]) for n in range(9000)))
    data = padded if len(data) < 1024 else data
    files: dict[str, str | bytes] = {
        name: data,
        "bigram_table.xz": padded,
        "train.log.xz": padded,
        "copy_" + name: data,
    }
    checked = check(tmp_path, files)
    assert [model.size for model in checked.models] == [len(data)]


def test_a_table_is_not_the_model_that_the_log_tells_of(tmp_path: Path) -> None:
    reading = "import numpy as np\nT = np.load('t.npz')\n"
    checked = check(tmp_path, {"train_gpt.py": reading, "t.npz": NOISE, "train.log": PLAIN})
    assert [(model.size, model.source) for model in checked.models] == [(MODEL, "train.log")]
    assert {one.file.path for one in checked.code.counted} == {"train_gpt.py", "t.npz"}


@pytest.mark.parametrize("program", ["open('weights.bin', 'rb')\n", "x = 1\n"])
@pytest.mark.parametrize("told", [True, False])
def test_a_file_of_the_length_that_a_log_tells_of_is_the_model(tmp_path: Path, program: str, *, told: bool) -> None:
    log = log_text(code=len(program), model=len(NOISE) + (not told))
    checked = check(tmp_path, {"train_gpt.py": program, "weights.bin": NOISE, "train.log": log})
    assert [model.source for model in checked.models] == ["weights.bin" if told else "train.log"]
    assert ("weights.bin" in {one.file.path for one in checked.code.counted}) == (not told and "open" in program)


def test_a_table_that_the_program_reads_is_not_the_model_beside_one(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"train_gpt.py": "import numpy as np\nT = np.load('pool.npz')\n", "pool.npz": NOISE}
    assert [model.source for model in check(tmp_path, files).models] == ["pool.npz"]
    checked = check(tmp_path, {**files, "final_model.int8.ptz": NOISE + b"x"})
    assert [model.source for model in checked.models] == ["final_model.int8.ptz"]
    assert {one.file.path for one in checked.code.counted} == {"train_gpt.py", "pool.npz"}


def test_a_submission_without_a_model(golfbudget: Run, tmp_path: Path) -> None:
    folder = submission(tmp_path, {"train_gpt.py": "x = 1\n"})
    assert golfbudget("check", folder).returncode == 2
    done = golfbudget("check", folder, "--no-model")
    assert done.returncode == 0
    assert "GB507" in done.stdout
    submission(folder, {"train_gpt.py": f"W = {'q' * 9000!r}\n"})
    assert golfbudget("check", folder).returncode == 0
    submission(folder, {"train_gpt.py": f"exec({'q' * 9000!r})\n"})
    assert golfbudget("check", folder).returncode == 2


def test_claims_to_paste_agree(golfbudget: Run, tmp_path: Path) -> None:
    logs: dict[str, str | bytes] = {
        f"run_seed{seed}.log": log_text(seed=seed, code=CODE, model=900_000 + seed) for seed in (1, 2)
    }
    checked = check(tmp_path, {**logs, "submission.json": '{"bytes_total": 5}'})
    assert "line 1" in messages(checked, "GB304")[0]
    done = golfbudget("check", tmp_path, "--write-claims")
    assert json.loads(done.stdout)["bytes_total"] == 950_002
    again = check(tmp_path, {"submission.json": done.stdout})
    assert not [finding for finding in again.findings if finding.code.startswith("GB3")]


def test_a_figure_of_another_seed_is_named(tmp_path: Path) -> None:
    logs: dict[str, str | bytes] = {
        f"run_seed{seed}.log": log_text(seed=seed, code=CODE, model=900_000 + 1000 * seed) for seed in (1, 2)
    }
    stated = json.dumps({"runs": [{"seed": 1, "artifact_bytes": 952_000}, {"seed": 2, "artifact_bytes": 952_000}]})
    (message,) = messages(check(tmp_path, {**logs, "submission.json": stated}), "GB304")
    assert "of seed 1; it is shipped.total_bytes of seed 2" in message


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("GPTQ+brotli artifact", "artifact"),
        ("LZ4 artifact", "artifact"),
        ("Serialized model int8 per-row+zlib", "model"),
        ("int6 per-group model size", "model"),
        ("Model size after int8+zlib", "model"),
        ("EMA model bytes", "model"),
        ("trellis+rANS artifact size", "artifact"),
        ("bytes per row", None),
        ("Total bytes per token", None),
        ("average model size", None),
        ("model size before compression", None),
    ],
)
def test_how_weights_were_made_small_is_part_of_a_name_and_a_mean_is_not(name: str, what: str | None) -> None:
    found = what_is(name)
    assert (found and found[0]) == what
