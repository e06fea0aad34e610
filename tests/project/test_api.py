"""golfbudget from Python: lazy, named as the command line, and its results are values that show themselves."""

from __future__ import annotations

import inspect
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from support.command_line import Run

import golfbudget as gb
from golfbudget import example
from golfbudget.api.base import Result, watched
from golfbudget.errors import ConfigError, UsageError

ROOT = Path(__file__).parents[2]
EXAMPLE = re.compile(r"```python\n(.*?)```\n\n(?:<!--.*?-->\n)?```text\n(.*?)```", re.DOTALL)
FUNCTIONS: dict[str, Callable[..., Result]] = {
    "inspect": gb.inspect,
    "compare": gb.compare,
    "check": gb.check,
    "estimate": gb.estimate,
    "repack": gb.repack,
    "decoder": gb.decoder,
    "plan": gb.plan,
    "fit": gb.fit,
}
#: Options that say how or where something is printed, by what a result offers instead.
PRINTED = {
    "by": "InspectResult.by",
    "explain": "InspectResult.explain",
    "as_config": "InspectResult.as_config",
    "every": "CompareResult.document",
    "save": "EstimateResult.data",
    "decoder": "RepackResult.decoder",
    "output_format": "InspectResult.to_json",
    "output": "InspectResult.to_json",
    "report": "InspectResult.to_html",
    "details": "PlanResult.document",
    "write_claims": "CheckResult.true_claims",
}
NO_RESULT = {"quiet", "list_findings", "vocab"}


def python(code: str, *arguments: object, stdin: str | None = None, cwd: Path | None = None) -> str:
    """What a new interpreter prints, in which this checkout is imported."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        input=stdin,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def submission(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("submission")
    shutil.copy(example.ARTIFACT, folder / "final_model.int8.ptz")
    (folder / "train_gpt.py").write_text("print('a model')\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def results(submission: Path) -> dict[str, Result]:
    """One result of each function that needs no plan."""
    return {
        "inspect": gb.inspect(example.ARTIFACT, cap="16MB", code=1000),
        "explain": gb.inspect(example.ARTIFACT).explain("tok_emb.weight"),
        "compare": gb.compare(example.ARTIFACT, example.CHECKPOINT, fail_on=["total>+0", "head>20MB"]),
        "check": gb.check(submission),
        "estimate": gb.estimate("sp8192", fast=True, set={"layers": 10}),
        "sweep": gb.estimate("sp8192", fast=True, sweep={"layers": [10, 11]}),
        "repack": gb.repack(example.ARTIFACT, levers=["filter"], no_cache=True),
        "decoder": gb.decoder(example.ARTIFACT),
    }


def test_importing_it_imports_nothing_else() -> None:
    code = "import sys; before = {*sys.modules}; import golfbudget; print(*sorted({*sys.modules} - before))"
    assert set(python(code).split()) <= {"__future__", "golfbudget", "types"}


def test_reading_imports_neither_torch_nor_numpy(submission: Path) -> None:
    code = """
import sys
import golfbudget as gb
artifact, checkpoint, submission = sys.argv[1:]
assert gb.inspect(artifact).to_json()
assert gb.inspect(artifact)._repr_html_()
assert gb.compare(artifact, checkpoint)._repr_html_()
assert repr(gb.check(submission))
assert repr(gb.estimate("sp8192", fast=True))
print(sorted({"torch", "numpy", "scipy"} & sys.modules.keys()))
"""
    assert python(code, example.ARTIFACT, example.CHECKPOINT, submission) == "[]\n"


def test_a_function_is_not_replaced_by_the_package_of_its_name() -> None:
    for name in ("compare", "estimate", "plan"):
        package = import_module(f"golfbudget.{name}")
        assert getattr(gb, name) is FUNCTIONS[name]
        assert sys.modules[f"golfbudget.{name}"] is package
    code = "import golfbudget.compare, golfbudget.estimate; import golfbudget as gb; print(gb.compare, gb.estimate)"
    assert python(code).count("<function ") == 2


def test_every_name_of_it_is_there_and_no_other() -> None:
    assert dir(gb) == sorted(gb.__all__)
    for name in gb.__all__:
        assert getattr(gb, name) is not None
    with pytest.raises(AttributeError, match="'golfbudget' has no attribute 'inspekt'"):
        _ = gb.inspekt  # type: ignore[attr-defined]


#: What a command knows by itself: who watches, which figures its format shows, and whether what it writes takes values.
KNOWN_TO_COMMANDS = {"progress", "packed", "download"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arguments_are_named_as_the_options(name: str) -> None:
    command = inspect.signature(getattr(import_module(f"golfbudget.cli.{name}"), name)).parameters
    options = {option.removesuffix("_") for option in command} - PRINTED.keys() - NO_RESULT
    function = inspect.signature(FUNCTIONS[name])
    assert function.parameters.keys() - KNOWN_TO_COMMANDS == options
    for option, about in function.parameters.items():
        assert about.annotation is not inspect.Parameter.empty
        taken = command.get(option, command.get(f"{option}_"))
        if about.kind is inspect.Parameter.KEYWORD_ONLY and taken is not None:
            empty = (None, (), False)
            assert about.default == taken.default or (about.default in empty and taken.default in empty)
    assert function.return_annotation is not inspect.Parameter.empty
    assert inspect.getdoc(FUNCTIONS[name])


def test_what_an_option_prints_is_something_that_a_result_has() -> None:
    for place in PRINTED.values():
        owner, attribute = place.split(".")
        assert hasattr(getattr(gb, owner), attribute)


def test_results_are_short_to_look_at_and_whole_to_print(results: dict[str, Result]) -> None:
    for result in results.values():
        shown = repr(result)
        assert shown.startswith(f"<{type(result).__name__} ")
        assert len(shown) < 400
        assert "\n" not in shown
        assert len(str(result).splitlines()) > 2
        html = result._repr_html_()
        assert "<table>" in html
        assert html.count("<table>") == html.count("</table>")
        assert result.to_markdown()


COMMANDS = {
    "inspect": ("inspect", example.ARTIFACT, "--cap", "16MB", "--code", "1000"),
    "explain": ("inspect", example.ARTIFACT, "--explain", "tok_emb.weight"),
    "compare": ("compare", example.ARTIFACT, example.CHECKPOINT, "--fail-on", "total>+0", "--fail-on", "head>20MB"),
    "check": ("check",),
    "estimate": ("estimate", "sp8192", "--fast", "--set", "layers=10"),
    "sweep": ("estimate", "sp8192", "--fast", "--sweep", "layers=10,11"),
    "repack": ("repack", example.ARTIFACT, "--levers", "filter", "--no-cache"),
    "decoder": ("decoder", example.ARTIFACT),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_json_is_what_the_command_writes(
    results: dict[str, Result], submission: Path, golfbudget: Run, name: str
) -> None:
    command = (*COMMANDS[name], submission) if name == "check" else COMMANDS[name]
    done = golfbudget(*command, "--format", "json")
    assert results[name].to_json() == done.stdout
    assert results[name].to_dict() == json.loads(done.stdout)
    if name in ("inspect", "check"):
        assert done.returncode == 0
    printed = golfbudget(*command).stdout
    assert str(results[name]).splitlines() == [line.rstrip() for line in printed.rstrip().splitlines()]


@pytest.mark.parametrize("key", ["role", "account", "owner", "block", "dtype"])
def test_any_view_sums_to_the_file(key: str) -> None:
    result = gb.inspect(example.ARTIFACT)
    found = result.by(key)
    assert sum(totals.stored_bytes for totals in found.values()) == result.stored_bytes
    assert sum(totals.stored_bits for totals in found.values()) == 8 * result.stored_bytes
    assert sum(totals.parameters for totals in found.values()) == result.parameters == 1_063_380
    assert all(type(label) is str for label in found)


def test_an_owner_that_does_not_exist_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match=r"no bytes are owned by 'tok_emb'; near it: tok_emb\.weight"):
        gb.inspect(example.ARTIFACT).explain("tok_emb")


def test_a_view_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="grouped by 'weight'; known: role, account"):
        gb.inspect(example.ARTIFACT).by("weight")


def test_the_ledger_is_there_to_roll_up() -> None:
    ledger = gb.inspect(example.ARTIFACT).ledger
    whole = gb.roll_up(ledger, lambda entry: entry.account is gb.Account.WEIGHTS)
    assert sum(totals.stored_bytes for totals in whole.values()) == ledger.size
    assert len(repr(ledger)) < 200


def test_a_cap_decides_only_where_it_was_given() -> None:
    assert gb.inspect(example.ARTIFACT).passed
    over = gb.inspect(example.ARTIFACT, cap=962_339)
    assert (over.headroom, over.passed) == (-1, False)
    assert "over by 1" in repr(over)
    assert gb.inspect(example.ARTIFACT, cap="962340").passed
    assert not gb.inspect(example.ARTIFACT, cap=962_340, code=1).passed


def test_gates_decide_a_comparison() -> None:
    same = gb.compare(example.ARTIFACT, str(example.ARTIFACT), fail_on="total>+0")
    assert same.passed
    assert (same.total.delta_bytes, same.moved) == (0, ())
    more = gb.compare(example.ARTIFACT, example.CHECKPOINT, fail_on=["total>+0", "head>20MB"])
    assert [gate.passed for gate in more.gates] == [False, True]
    assert not more.passed
    assert repr(more).endswith("failed: total>+0>")
    assert sum(delta.delta_bytes for delta in more.roles.values()) == more.total.delta_bytes
    assert gb.compare(example.ARTIFACT, example.ARTIFACT, base_code=1000, new_code="2kB").total.delta_bytes == 1000


def test_a_saved_result_is_a_baseline(tmp_path: Path) -> None:
    saved = tmp_path / "base.json"
    saved.write_text(gb.inspect(example.ARTIFACT).to_json(), encoding="utf-8")
    assert gb.compare(saved, example.ARTIFACT, fail_on="total>+0").passed


def test_a_submission_fits_or_cannot_be_counted(submission: Path, tmp_path: Path) -> None:
    found = gb.check(submission)
    assert (found.passed, found.undecided) == (True, None)
    assert " passed (" in repr(found)
    assert not gb.check(submission, convention="logged").passed
    assert "logged cannot be counted" in (gb.check(submission, convention="logged").undecided or "")
    with pytest.raises(UsageError, match="nothing to check"):
        gb.check()
    with pytest.raises(UsageError, match="files of one submission"):
        gb.check(submission, tmp_path, model=example.ARTIFACT)


def test_a_decoder_is_there_to_paste() -> None:
    found = gb.decoder(example.ARTIFACT)
    namespace: dict[str, Any] = {"__name__": "pasted"}
    exec(found.source, namespace)  # noqa: S102  (the program is run as it stands)
    assert len(namespace["load"](example.ARTIFACT.read_bytes())) == found.tensors
    assert f"adds {found.packed_bytes} bytes" in repr(found)


def test_repacking_gives_the_file_and_what_reads_it() -> None:
    found = gb.repack(example.ARTIFACT, levers="container", no_cache=True)
    assert found.data is not None
    assert len(found.data) + found.saved == example.ARTIFACT.stat().st_size
    compile(found.decoder, "decoder", "exec")


@pytest.mark.slow
def test_an_estimate_holds_the_artifact_that_it_wrote() -> None:
    told: list[tuple[str, int]] = []
    found = gb.estimate("baseline", set={"layers": 2, "vocabulary": 64}, progress=lambda *step: told.append(step))
    assert found.data is not None
    assert found.ledger is not None
    assert found.ledger.size == len(found.data)
    assert found.low <= len(found.data) <= found.high
    assert len(told) == told[0][1]


def test_bytes_are_whole_numbers_however_they_are_spelled() -> None:
    for cap in cast("Any", [16_000_000, 16e6, np.int64(16_000_000), np.float64(16e6), "16MB"]):
        found = gb.inspect(example.ARTIFACT, cap=cap, code=9295.0)
        assert found.to_dict()["cap"] == {
            "bytes": 16_000_000, "code_bytes": 9295, "used": 971_635, "headroom": 15_028_365, "fits": True,
        }  # fmt: skip
        assert isinstance(found.headroom, int)


@pytest.mark.parametrize("cap", [1.5, -1, math.nan, math.inf, True, b"5", "1,5MB"])
def test_what_is_no_number_of_bytes_is_refused(cap: Any) -> None:  # noqa: ANN401  (what no type checker lets pass)
    with pytest.raises(gb.GolfbudgetError, match="no size"):
        gb.inspect(example.ARTIFACT, cap=cap)
    with pytest.raises(gb.GolfbudgetError, match=r"no size|neither a file"):
        gb.inspect(example.ARTIFACT, code=cap)


@pytest.mark.parametrize("call", [
    lambda: gb.plan(example.CHECKPOINT, seed=2**32), lambda: gb.plan(example.CHECKPOINT, jobs=0),
    lambda: gb.fit(example.CHECKPOINT, seed=-1), lambda: gb.fit(example.CHECKPOINT, jobs=-1),
    lambda: gb.estimate("baseline", seed=-1), lambda: gb.estimate("baseline", repeat=0),
    lambda: gb.repack(example.ARTIFACT, jobs=0), lambda: gb.check(".", jobs=1000),
])  # fmt: skip
def test_numbers_are_held_to_what_the_commands_take(call: Callable[[], Result]) -> None:
    with pytest.raises(gb.GolfbudgetError, match=r"--(seed|jobs|repeat) -?[0-9]+: expected a number from [01] to "):
        call()


def test_a_sweep_without_values_is_refused() -> None:
    with pytest.raises(gb.GolfbudgetError, match="a sweep without values"):
        gb.estimate("baseline", fast=True, sweep={"layers": []})


def test_trouble_is_one_class_of_errors(tmp_path: Path) -> None:
    for trouble in (
        lambda: gb.inspect(tmp_path / "none.pt"),
        lambda: gb.inspect(example.ARTIFACT, cap="much"),
        lambda: gb.inspect(example.ARTIFACT, cap=-1),
        lambda: gb.inspect(example.ARTIFACT, as_format="opaque", layout="layout.toml"),
        lambda: gb.compare(example.ARTIFACT, example.ARTIFACT, fail_on="total"),
        lambda: gb.repack(example.ARTIFACT, cache=tmp_path, no_cache=True),
        lambda: gb.repack(example.ARTIFACT, levers="magic"),
    ):
        with pytest.raises(gb.GolfbudgetError):
            trouble()
    with pytest.raises(ConfigError, match="no models file is called 'none'"):
        gb.estimate("none", fast=True)


def test_without_the_extra_planning_says_what_to_type() -> None:
    code = f"""
import sys
sys.modules["torch"] = None
import golfbudget as gb
for function, path in ((gb.plan, "baseline"), (gb.estimate, "baseline"), (gb.fit, "baseline"),
                       (gb.decoder, {str(example.ARTIFACT)!r})):
    try:
        function(path)
    except gb.MissingExtraError as error:
        print(error)
"""
    line = "this needs torch, which is not installed; type: pip install 'golfbudget[plan]'\n"
    assert python(code) == 4 * line


def test_progress_is_told_to_whoever_asks(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    with watched(lambda what, _steps: told.append(what), "work") as step:
        step("one", 2)
    assert told == ["one"]
    for silent in (False, True):  # No screen is there to show it on.
        with watched(silent, "work") as step:
            step("one", 2)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_the_lines_of_the_docs_run_in_a_notebook_and_show_a_table(page: str, tmp_path: Path) -> None:
    folder = tmp_path / "build" / "example"
    folder.mkdir(parents=True)
    shutil.copy(example.ARTIFACT, folder)
    cells: list[tuple[str, str]] = EXAMPLE.findall((ROOT / page).read_text(encoding="utf-8"))
    assert len(cells[0][0].replace("\n\n", "\n").splitlines()) == 6
    environment = {"IPYTHONDIR": str(tmp_path / "ipython"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "support" / "notebook.py"],
        input=json.dumps([code for code, _ in cells]),
        cwd=tmp_path,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert [cell["stdout"] for cell in shown] == [text for _, text in cells]
    (table,) = shown[0]["outputs"]
    assert table["text/plain"].startswith("<InspectResult build/example/artifact.int8.ptz: 962,340 bytes")
    html = table["text/html"]
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    assert any("<th>stored" in row and "<th>role" in row for row in rows), html
    (head,) = [row for row in rows if "head (tied)" in row]
    assert "144,178" in head


def test_types() -> None:
    """What is checked here is checked by mypy: results are typed, without a plugin."""
    found: gb.InspectResult = gb.inspect(example.ARTIFACT)
    totals: dict[str, gb.Totals] = found.by("role")
    sweep: gb.SweepResult = gb.estimate("sp8192", fast=True, sweep={"layers": [10]})
    answers: list[Any] = [found.to_dict(), totals, sweep.points]
    assert all(answers)
