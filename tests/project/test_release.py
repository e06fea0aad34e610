"""What a release says of itself in several places is the same in all of them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from golfbudget.version import __version__

ROOT = Path(__file__).parents[2]


def test_the_newest_section_of_the_changelog_is_this_version() -> None:
    """Or what comes after it, which has no number yet."""
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    released = [heading for heading in headings if heading != "Unreleased"]
    assert re.fullmatch(rf"{re.escape(__version__)} \(\d{{4}}-\d\d-\d\d\)", released[0])
    assert headings in (released, ["Unreleased", *released])


def test_a_section_of_the_changelog_has_each_capability_once() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        names = re.findall(r"^### (.+)$", section, re.MULTILINE)
        assert len(names) == len(set(names))


def test_what_others_pin_in_the_docs_is_this_version() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    pins = re.findall(r"golfbudget@v([\d.]+\d)", text) + re.findall(r"^\s*rev: v([\d.]+\d)$", text, re.MULTILINE)
    assert len(pins) >= 4
    assert set(pins) == {__version__}


def test_the_classifiers_begin_with_the_oldest_python_that_is_taken() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [c.rpartition(" :: ")[2] for c in project["classifiers"] if re.search(r"Python :: 3\.\d+$", c)]
    assert project["requires-python"] == f">={named[0]}"
    minors = [int(version.partition(".")[2]) for version in named]
    assert minors == list(range(minors[0], minors[0] + len(minors)))
