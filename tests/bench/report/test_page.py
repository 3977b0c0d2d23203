"""The page in a real browser: it is drawn, fits, requests nothing and raises no error."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from crossprompt.bench.report import build_report, read_results, write_report
from tests.bench.report.lines import SMALL, line, write_lines

pytestmark = pytest.mark.slow

ODD = "<img src='http://127.0.0.1:9/x.png' onerror='document.title=1'>"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage")


class Tab:
    """A page of the browser, with the errors that it raised and the addresses it requested."""

    def __init__(self, page: Page) -> None:
        self.page, self.ask = page, page.evaluate
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def open(self, path: Path, width: int = 1280, scheme: str = "light") -> None:
        self.errors.clear()
        self.requests.clear()
        self.look(width, scheme)
        self.page.goto(path.resolve().as_uri())

    def look(self, width: int, scheme: str) -> None:
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")


@pytest.fixture(scope="module")
def browser() -> Iterator[Tab]:
    with sync_playwright() as playwright:
        program = shutil.which("chromium")  # else playwright's own
        opened = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield Tab(opened.new_page())
        opened.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = [*SMALL, line("emoji", options={"words": ODD}, classes=(ODD, "x" * 300), machine=ODD)]
    results = read_results(write_lines(tmp_path_factory.mktemp("results"), lines))
    folder = tmp_path_factory.mktemp("report")
    return write_report(build_report(results), folder, ["html"])["html"][0]


def test_requests_and_errors_of_a_page_are_noticed(browser: Tab, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text('<img src="http://127.0.0.1:9/x.png"><script>nothing.here()</script>', "utf-8")
    browser.open(bad)
    assert "http://127.0.0.1:9/x.png" in browser.requests
    assert any("nothing is not defined" in text for text in browser.errors)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_the_page_fits_requests_nothing_and_raises_no_error(
    browser: Tab, page: Path, width: int, scheme: str
) -> None:
    browser.open(page, width, scheme)
    assert browser.errors == []
    assert browser.requests == [page.resolve().as_uri()]
    assert browser.ask("document.documentElement.scrollWidth") <= width
    browser.ask("document.querySelectorAll('details').forEach(found => { found.open = true })")
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask("document.title") == "crossprompt: results"


def test_every_picture_is_drawn_in_the_colors_of_the_page(browser: Tab, page: Path) -> None:
    browser.open(page, scheme="dark")
    sizes = browser.ask(
        "[...document.querySelectorAll('.picture svg')].map(found => found.getBoundingClientRect())"
        ".map(box => [box.width, box.height])"
    )
    assert len(sizes) == 5  # of each data set, and of inference; no data set has an average
    assert all(width > 300 and height > 180 for width, height in sizes)
    ink = "getComputedStyle(document.querySelector('.picture text')).fill"
    dark = browser.ask(ink)
    assert dark == browser.ask("getComputedStyle(document.body).color")
    browser.look(1280, "light")
    assert browser.ask(ink) == browser.ask("getComputedStyle(document.body).color") != dark
    assert browser.ask("document.querySelectorAll('.picture path').length") > 100
    ids = browser.ask("[...document.querySelectorAll('[id]')].map(found => found.id)")
    assert len(set(ids)) == len(ids)


def test_tables_and_pictures_have_names_for_those_who_cannot_see_them(
    browser: Tab, page: Path
) -> None:
    browser.open(page)
    find, named = browser.page.get_by_role, re.compile(".")
    assert find("table", name="Few-shot accuracy (%), average", exact=True).count() == 1
    assert find("table", name=named).count() == find("table").count() > 0
    described = re.compile("^Accuracy in per cent against shots, dtd: ")
    assert find("img", name=described).count() == 1
    pictures = browser.ask("document.querySelectorAll('.picture').length")
    assert find("img", name=named).count() == pictures > 0
    assert browser.ask("document.querySelectorAll('th:not([scope])').length") == 0
    assert browser.ask("[...document.querySelectorAll('table')].every(found => found.caption)")
    links = (
        "[...document.querySelectorAll('nav a')].every(found => document.querySelector(found.hash))"
    )
    assert browser.ask(links)
    label = "document.getElementById(found.getAttribute('aria-labelledby'))"
    named = "[...document.querySelectorAll('[aria-labelledby]')]"
    assert browser.ask(f"{named}.every(found => {label}.textContent)")
    headings = browser.ask(
        "[...document.querySelectorAll('h1, h2, h3')].map(found => found.tagName)"
    )
    assert headings[:3] == ["H1", "H2", "H3"]


def test_what_scrolls_can_be_reached_by_keyboard(browser: Tab, page: Path) -> None:
    browser.open(page, 360)
    browser.ask("document.querySelectorAll('details').forEach(found => { found.open = true })")
    unreachable = browser.ask(
        "[...document.querySelectorAll('*')].filter(found => found.tabIndex < 0"
        " && found.scrollWidth > found.clientWidth + 1"
        " && getComputedStyle(found).overflowX == 'auto').length"
    )
    assert unreachable == 0


def test_numbers_in_the_page_are_those_of_the_lines(browser: Tab, page: Path) -> None:
    browser.open(page)
    row = browser.ask(
        "[...document.querySelectorAll('#few-shot-dtd tbody tr')][0].innerText.split('\\t')"
    )
    assert [cell.strip() for cell in row] == [
        "zero_shot tiny",
        "47.00 ± 0.00",
        "\u2013\n(not run)",
        "47.00 ± 0.00",
    ]
    cells = browser.ask("document.querySelector('#few-shot-emoji tbody').innerText")
    assert "\u2013" in cells
    assert not re.search(r"(?<!\d)0\.00 ±", cells)


def test_the_page_blocks_requests_of_injected_content(browser: Tab, page: Path) -> None:
    browser.open(page)
    browser.ask(
        "document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}))"
    )
    browser.ask("new Promise(done => setTimeout(done, 200))")
    assert any("Content Security Policy" in text for text in browser.errors)


def test_odd_texts_are_shown_as_they_are(browser: Tab, page: Path) -> None:
    browser.open(page)
    assert browser.ask("document.images.length + document.scripts.length") == 0
    assert ODD in browser.ask("document.body.textContent")
