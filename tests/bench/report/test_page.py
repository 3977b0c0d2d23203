"""The page in a real browser: it is drawn, fits, asks for nothing and complains of nothing."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from crossprompt.bench.report import build_report, read_results, write_report
from tests.bench.report.browser import Browser
from tests.bench.report.lines import SMALL, line, write_lines

ODD = "<img src='http://127.0.0.1:9/x.png' onerror='document.title=1'>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    opened = Browser()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = [*SMALL, line("emoji", options={"words": ODD}, classes=(ODD, "x" * 300), machine=ODD)]
    results = read_results(write_lines(tmp_path_factory.mktemp("results"), lines))
    folder = tmp_path_factory.mktemp("report")
    return write_report(build_report(results), folder, ["html"])["html"][0]


def test_the_browser_notices_what_a_page_must_not_do(browser: Browser, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text('<img src="http://127.0.0.1:9/x.png"><script>nothing.here()</script>', "utf-8")
    browser.open(bad)
    assert "http://127.0.0.1:9/x.png" in browser.requests
    assert any("nothing is not defined" in text for text in browser.complaints)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_the_page_fits_asks_for_nothing_and_does_not_complain(
    browser: Browser, page: Path, width: int, scheme: str
) -> None:
    browser.open(page, width, scheme)
    assert browser.complaints == []
    assert browser.requests == [page.resolve().as_uri()]
    assert browser.ask("document.documentElement.scrollWidth") <= width
    browser.ask("document.querySelectorAll('details').forEach(found => { found.open = true })")
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask("document.title") == "crossprompt: results"


def test_every_picture_is_drawn_in_the_colors_of_the_page(browser: Browser, page: Path) -> None:
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
    browser: Browser, page: Path
) -> None:
    browser.open(page)
    tables = browser.names("table")
    assert "Few-shot accuracy (%), average" in tables
    assert all(tables)
    pictures = browser.names("image")
    assert any(name.startswith("Accuracy in per cent against shots, dtd: ") for name in pictures)
    assert all(pictures)
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


def test_what_scrolls_can_be_reached_by_keyboard(browser: Browser, page: Path) -> None:
    browser.open(page, 360)
    browser.ask("document.querySelectorAll('details').forEach(found => { found.open = true })")
    unreachable = browser.ask(
        "[...document.querySelectorAll('*')].filter(found => found.tabIndex < 0"
        " && found.scrollWidth > found.clientWidth + 1"
        " && getComputedStyle(found).overflowX == 'auto').length"
    )
    assert unreachable == 0


def test_numbers_in_the_page_are_those_of_the_lines(browser: Browser, page: Path) -> None:
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


def test_even_what_slipped_in_could_not_ask_for_anything(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.ask(
        "document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}))"
    )
    browser.ask("new Promise(done => setTimeout(done, 200))")
    assert any("Content Security Policy" in text for text in browser.complaints)


def test_odd_texts_are_shown_as_they_are(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.ask("document.images.length + document.scripts.length") == 0
    assert ODD in browser.ask("document.body.textContent")
