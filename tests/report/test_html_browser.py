"""Reports as HTML in a real Chromium, opened from disk with the network off: drawn, used, read aloud, looked at.

GOLFBUDGET_SCREENSHOTS=FOLDER keeps pictures of every report there, wide and narrow, light and dark; with
GOLFBUDGET_REWRITE=1 those of the documentation are made anew.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.command_line import Run
from support.html_reports import HOSTILE, compare, fit, golden, plan, safetensors

from golfbudget import example
from golfbudget.report.html import html_page
from golfbudget.report.numbers import printable

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DOCS = Path(__file__).parents[2] / "docs"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: Milliseconds in which 1,500 owners must be drawn: ten times what it takes, for a busy machine is no fault.
DRAWN_WITHIN = 20_000
#: Pixels and themes in which every page is looked at.
LOOKS = ((1280, "light"), (390, "light"), (1280, "dark"))
MAP = "document.getElementById('map').view"
DRAWN = "html[data-drawn]"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; on Debian: apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser: pip install '.[dev]'")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


#: Opens a page's text as a file and returns it drawn; what it complains of and asks for is refused at the end.
Opener = Callable[..., "Page"]


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Opener]:
    said: list[str] = []
    asked: list[str] = []
    contexts = []

    def open_page(text: str, *, width: int = 1280, scheme: str = "light") -> Page:
        file = tmp_path / "page.html"
        file.write_bytes(text.encode(errors="backslashreplace"))
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if scheme == "dark" else "light", offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        page.wait_for_selector(DRAWN, state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith("file:")] == []


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Pages by name, of real commands and of reports made by hand."""
    from support.command_line import run_here

    folder = tmp_path_factory.mktemp("pages")
    submission = folder / "submission"
    submission.mkdir()
    (submission / "train_gpt.py").write_text("def main():\n    return 2\n", encoding="utf-8")
    (submission / "final_model.int8.ptz").write_bytes(example.ARTIFACT.read_bytes())
    commands: dict[str, list[object]] = {
        "inspect": ["inspect", example.ARTIFACT, "--code", "47642", "--entropy"],
        "check": ["check", submission, "--rules", "everything"],
        "estimate": ["estimate", "baseline", "--fast"],
        "sweep": ["estimate", "baseline", "--fast", "--sweep", "width=256,384,512", "--sweep", "layers=6,9"],
        "schemes": ["schemes", "--shape", "8192x512", "--option", "bits=6"],
    }
    made = {name: html_page(report) for name, report in
            {"compare": compare(), "plan": plan(), "fit": fit(), "explain": golden("explain")}.items()}  # fmt: skip
    for name, arguments in commands.items():
        file = folder / f"{name}.html"
        done = run_here(*arguments, "--format", "html", "-o", file, "--quiet")
        assert done.returncode in (0, 1), done.stderr
        made[name] = file.read_text(encoding="utf-8")
    return made


REPORTS = ("inspect", "compare", "check", "estimate", "sweep", "plan", "fit", "schemes", "explain")


@pytest.mark.parametrize("name", REPORTS)
def test_nothing_is_kept_from_anyone(name: str, texts: dict[str, str], opened: Opener) -> None:
    """No fault that axe-core finds, and nothing wider than the page, on a desk and on a phone."""
    from axe_playwright_python.sync_playwright import Axe

    for width, scheme in LOOKS:
        page = opened(texts[name], width=width, scheme=scheme)
        found = Axe().run(page).response
        assert len(found["passes"]) > 20
        assert [(fault["id"], fault["nodes"][0]["html"]) for fault in found["violations"]] == []
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        keep(page, f"{name}-{width}-{scheme}")


def keep(page: Page, name: str) -> None:
    folder = os.environ.get("GOLFBUDGET_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def areas(page: Page) -> list[dict[str, Any]]:
    """The cells as they lie on the page."""
    cells: list[dict[str, Any]] = page.evaluate(
        f"{MAP}.data('cells').map(c => ({{bytes: c.bytes, x0: c.x0, y0: c.y0, x1: c.x1, y1: c.y1}}))"
    )
    return cells


def check_areas(page: Page, whole: int) -> None:
    """Cells sum to the whole and fill the picture; each takes its share of it."""
    cells = areas(page)
    width, height = page.evaluate(f"[{MAP}.width(), {MAP}.height()]")
    assert sum(cell["bytes"] for cell in cells) == whole
    assert sum((c["x1"] - c["x0"]) * (c["y1"] - c["y0"]) for c in cells) == pytest.approx(width * height)
    for cell in cells:
        area = (cell["x1"] - cell["x0"]) * (cell["y1"] - cell["y0"])
        assert area / (width * height) == pytest.approx(cell["bytes"] / whole, abs=1e-9)


def test_areas_are_the_file_and_going_in_keeps_them(texts: dict[str, str], opened: Opener) -> None:
    page = opened(texts["inspect"])
    check_areas(page, example.ARTIFACT.stat().st_size)
    page.locator("#legend button", has_text="head").click()
    check_areas(page, 144178)
    page.locator("#crumbs button").first.click()
    check_areas(page, example.ARTIFACT.stat().st_size)


def test_a_click_explains_and_a_double_click_goes_in(texts: dict[str, str], opened: Opener) -> None:
    from playwright.sync_api import Position

    page = opened(texts["inspect"])
    box = page.locator("#map").bounding_box()
    assert box is not None
    right = Position(x=box["width"] - 30, y=60)
    page.locator("#map").click(position=right)
    chosen = page.locator("#map-chosen")
    assert "tok_emb.weight" in chosen.inner_text()
    assert "[[roles]] rule" in chosen.inner_text()
    assert "zlib" in chosen.inner_text()
    page.locator("#map").dblclick(position=right)
    assert page.locator("#crumbs b").inner_text() == "tok_emb.weight"
    assert "weights" in page.evaluate("document.querySelector('#map svg').textContent")


def test_the_keyboard_is_enough(texts: dict[str, str], opened: Opener) -> None:
    page = opened(texts["inspect"])
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#map-chosen h3").inner_text() == "tok_emb.weight"
    page.keyboard.press("Enter")
    assert page.locator("#crumbs b").inner_text() == "tok_emb.weight"
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    assert page.locator("#crumbs b").inner_text() == "artifact.int8.ptz"
    page.locator("#owners button.choose").nth(1).focus()
    page.keyboard.press("Enter")
    assert page.locator("#map-chosen h3").inner_text() == page.locator("#owners button.choose").nth(1).inner_text()


def test_search_dims_and_counts(texts: dict[str, str], opened: Opener) -> None:
    page = opened(texts["inspect"])
    page.locator("#search").fill("attn.c_q")
    page.wait_for_function(f"{MAP}.data('cells').some(c => c.dim)")
    assert page.locator("#found").inner_text().startswith("5 match: ")
    kept = page.evaluate(f"{MAP}.data('cells').filter(c => !c.dim).map(c => c.name)")
    assert len(kept) == 5
    assert all("attn.c_q" in name for name in kept)


@pytest.mark.parametrize("colour", ["bits per parameter", "entropy slack"])
def test_colours_say_more_than_roles(colour: str, texts: dict[str, str], opened: Opener) -> None:
    page = opened(texts["inspect"])
    before = fills(page)
    page.locator(f"[data-colour='{colour}']").click()
    page.wait_for_function(f"new Set({MAP}.data('cells').map(c => c.fill)).size > {len(before)}")
    assert page.locator("#legend .gradient").is_visible()


def fills(page: Page) -> set[str]:
    return set(page.evaluate(f"{MAP}.data('cells').map(c => c.fill)"))


def test_the_theme_is_the_system_s_until_it_is_chosen(texts: dict[str, str], opened: Opener) -> None:
    page = opened(texts["inspect"], scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.locator("#theme").click()
    light = page.evaluate(ground)
    assert light == "rgb(255, 255, 255)" != dark
    page.locator("#theme").click()
    assert page.evaluate(ground) == dark


def test_a_point_shows_its_ledger_and_its_command(texts: dict[str, str], opened: Opener) -> None:
    page = opened(texts["plan"])
    chosen = page.locator("#plane-chosen")
    page.locator("#rows button.choose", has_text="head-vq64").click()
    assert "golfbudget pack plan.json --candidate head-vq64 -o FILE" in chosen.inner_text()
    assert "Its tables, before any codec" in chosen.inner_text()
    page.locator("#plane").focus()
    page.keyboard.press("ArrowRight")
    assert "at least +0.9000 bits per byte, certified" in chosen.inner_text()
    shapes = page.evaluate("document.getElementById('plane').view.data('points').map(p => [p.name, p.shape])")
    assert dict(shapes)["head-vq64"] == "diamond"
    assert dict(shapes)["head-vq8"] == "triangle-down"
    page.get_by_role("button", name="linear").click()
    page.wait_for_function("document.getElementById('plane').view.scale('y').type === 'linear'")


@pytest.mark.parametrize("name", ["compare", "plan", "fit"])
def test_a_hostile_name_is_shown_and_does_nothing(name: str, texts: dict[str, str], opened: Opener) -> None:
    page = opened(texts[name])
    page.locator("button.choose", has_text="onerror").click()
    shown = " ".join(page.locator("aside").all_inner_texts())
    assert printable(HOSTILE) in shown
    assert page.locator("img").count() == 0
    assert page.title() != "in"


def test_tables_sort_and_filter(texts: dict[str, str], opened: Opener) -> None:
    page = opened(texts["inspect"])
    table = page.locator("#owners")
    table.get_by_role("button", name="bits per parameter").click()
    bits = [float(text) for text in table.locator("tbody tr td:nth-child(5)").all_inner_texts() if text != "–"]
    assert bits == sorted(bits, reverse=True)
    page.get_by_placeholder("text in a row").fill("q_gain")
    assert table.locator("tbody tr:visible").count() == 5


def test_many_owners_are_drawn_in_time(golfbudget: Run, tmp_path: Path, opened: Opener) -> None:
    file = tmp_path / "many.html"
    model = safetensors(tmp_path / "many.safetensors", 1500)
    assert golfbudget("inspect", model, "--format", "html", "-o", file).returncode == 0
    page = opened(file.read_text(encoding="utf-8"))
    taken = page.evaluate("performance.now()")
    check_areas(page, model.stat().st_size)
    assert page.locator("#owners tbody tr").count() > 1500
    assert taken < DRAWN_WITHIN


def test_a_page_without_scripts_still_says_all(texts: dict[str, str], browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(texts["inspect"], encoding="utf-8")
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.locator("#owners tbody tr").count() == 60
    assert not page.locator("#map").is_visible()
    context.close()


def test_paper_shows_the_picture_and_the_tables(texts: dict[str, str], opened: Opener) -> None:
    page = opened(texts["inspect"])
    page.emulate_media(media="print")
    assert page.locator("#map svg").is_visible()
    assert not page.locator("#search").is_visible()
    assert len(page.pdf(format="A4", print_background=True)) > 10_000


@pytest.mark.skipif(not os.environ.get("GOLFBUDGET_REWRITE"), reason="GOLFBUDGET_REWRITE=1 makes the screenshots anew")
def test_the_documentation_shows_these_pages(texts: dict[str, str], opened: Opener) -> None:
    page = opened(texts["inspect"], width=1200)
    page.locator("#owners button.choose").first.click()
    page.locator("#where .drawn").screenshot(path=DOCS / "html-inspect.png")
    saved = os.environ.get("GOLFBUDGET_PLAN")
    shown = html_page(json.loads(Path(saved).read_text(encoding="utf-8"))) if saved else texts["plan"]
    opened(shown, width=1200).locator(".drawn").first.screenshot(path=DOCS / "html-plan.png")
