"""The scripts that make the tables of docs/: what they print, on little."""

from __future__ import annotations

from pathlib import Path

import bench_page
import coverage_table
import numpy as np
import pytest
import recovery_table
import repack_table
import torch
import trunk_table
from safetensors.torch import load_file
from support.transcripts import ROOT

from golfbudget import example
from golfbudget.quality.text import load_text


def test_the_text_to_train_on_ends_where_the_text_to_measure_on_begins(tmp_path: Path) -> None:
    train, measure = (load_file(path)["tokens"].tolist() for path in trunk_table.halves(tmp_path))
    assert [*train, *measure[1:]] == load_file(example.EVALUATION)["tokens"].tolist()
    assert train[-1] == measure[0]
    assert len(train) == len(measure) == 51_201


def test_a_row_says_what_training_gave_back_and_what_is_left_over_the_unchanged_model() -> None:
    assert recovery_table.row("head-int5", 28_171, "+0.0033", "+0.0098", (0.0014, 0.0027)) == (
        "| head-int5 | 28,171 | +0.0033 | +0.0098 | [+0.0014, +0.0027] |"
    )


@pytest.mark.slow
def test_the_example_is_trained_on_text_of_its_own_and_measured_on_other_text(tmp_path: Path) -> None:
    train, measure = load_text(recovery_table.training_text(tmp_path)), load_text(example.EVALUATION)
    assert train.tokens > 2 * measure.tokens
    assert train.window == measure.window
    # The standard library repeats itself, in licences at least; whole windows hardly ever fall together.
    assert not measure.mostly_in(train)


def test_archives_are_repacked_one_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"w": torch.zeros(4096), "v": torch.ones(9)}, tmp_path / "zeros.pt")
    (tmp_path / "broken.pt").write_bytes(b"no archive")
    size = (tmp_path / "zeros.pt").stat().st_size
    repack_table.main(tmp_path)
    *_, row = capsys.readouterr().out.splitlines()
    cells = row.strip("| ").split(" | ")
    assert cells[:2] == [f"{tmp_path.name}/zeros.pt (uncompressed)", f"{size:,}"]
    before, after, saved = (int(cell.replace(",", "")) for cell in cells[1:4])
    assert before - after == saved > size / 2


def test_a_loss_lies_between_two_steps_by_its_logarithm() -> None:
    assert trunk_table.around([0.001, 0.01, 0.1], 0.001) == (0, 0.0)
    at, share = trunk_table.around([0.001, 0.01, 0.1], 10**-1.25)
    assert (at, share) == (1, pytest.approx(0.75))  # type: ignore[comparison-overlap]
    with pytest.raises(SystemExit, match=r"0\.00100 to 0\.10000 bits per byte, not 0\.2"):
        trunk_table.around([0.001, 0.01, 0.1], 0.2)


def test_parts_agree_where_nothing_but_chance_sets_them_apart() -> None:
    rng = np.random.default_rng(1)
    alike = np.repeat(rng.standard_normal((20, 100)), 4, axis=1)
    found = coverage_table.Measured(changes=list(alike), bytes=np.full(400, 600.0))
    hits, pairs = coverage_table.coverage(found, [0, 200, 400], coverage_table.blocks)
    assert (pairs, hits >= 18) == (20, True)
    # Each four windows are one: who takes them for four has half the width.
    assert coverage_table.coverage(found, [0, 200, 400], coverage_table.single)[0] < 16
    apart = coverage_table.Measured(changes=[np.repeat([0.0, 99.0], 200)], bytes=np.full(400, 600.0))
    assert coverage_table.coverage(apart, [0, 200, 400], coverage_table.blocks) == (0, 1)
    lines = coverage_table.table(found, 200).splitlines()
    assert lines[2].startswith("| its evaluation text and 200 other windows | 20 | ")
    assert lines[4].startswith("| quarters of all | 120 | ")
    assert "times as wide, 2.2 in the middle" in lines[6]


def test_another_library_is_not_the_text_of_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage_table, "library_files", lambda: [Path(__file__)])
    monkeypatch.setattr(coverage_table, "is_held_out", lambda _path: True)
    with pytest.raises(SystemExit, match="another standard library"):
        coverage_table.held_out(tmp_path / "text.safetensors")


@pytest.mark.parametrize(
    ("page", "made"),
    [
        ("plan.md", recovery_table),
        ("plan.md", coverage_table),
        ("repack.md", repack_table),
        ("schemes.md", trunk_table),
    ],
)
def test_a_table_stands_in_the_page_that_its_script_names(page: str, made: object) -> None:
    assert f"the table of docs/{page}" in str(made.__doc__)
    script = Path(str(getattr(made, "__file__", ""))).name
    assert f"`python tests/{script}" in (ROOT / "docs" / page).read_text(encoding="utf-8")


def test_the_page_of_timings_has_the_rows_that_are_timed() -> None:
    rows = bench_page.rows_of((ROOT / "docs" / "speed.md").read_text(encoding="utf-8"))
    assert list(rows) == [what for what in bench_page.ROWS if what in rows]
    assert len(rows) > len(bench_page.ROWS) / 2
    assert all(rest[0].isdigit() for rest in rows.values())


def test_a_row_of_timings_is_made_again_and_the_others_stay() -> None:
    page = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    what = bench_page.ROWS[0]
    again = bench_page.rewritten(page, [bench_page.Timing(what=what, takes="9 s", against="one")])
    assert bench_page.rows_of(again) == {**bench_page.rows_of(page), what: "9 s | one"}
    assert bench_page.rewritten(page, []) == page
    with pytest.raises(KeyError):
        bench_page.rewritten(page, [bench_page.Timing(what="sleep", takes="8 h")])
