"""The page, in a real Chromium."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from crossprompt.inference.server.limits import Limits
from tests.inference.server.servers import Colors, picture, running

pytestmark = pytest.mark.slow
KEY = "a-key-that-nobody-guesses"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
MARKUP = "<img src=x onerror=alert(1)>"


class Named(Colors):
    """With names that a page could trip over."""

    class_names = ("Señor red", MARKUP, "blue & green")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)  # else playwright's own
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running(Named()) as client:
        yield str(client.base_url)


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The page as it opens; in the end nothing has failed or been asked for elsewhere."""
    context = browser.new_context(color_scheme="light")
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: troubles.append(dialog.message))
    page.on(
        "request",
        lambda request: (
            request.url.startswith((address, f"blob:{address}")) or troubles.append(request.url)
        ),
    )
    page.on("filechooser", lambda chooser: None)  # so that they are caught from here on
    page.goto(address)
    expect(page.locator("#classes li")).to_have_count(3)
    yield page
    context.close()
    assert troubles == []


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    contents = {"red.png": picture(15), "blue <i>.png": picture(15 * 256), "bad.png": b"no image"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return [tmp_path / name for name in contents]


def test_pictures_are_shown_with_the_shares_of_their_classes(page: Page, files: list[Path]) -> None:
    page.set_input_files("#files", files[:2])
    expect(page.locator(".share")).to_have_count(6)
    first, second = page.locator(".picture").all()
    expect(first.locator("h3")).to_have_text("red.png")
    expect(second.locator("h3")).to_have_text("blue <i>.png")
    expect(first.locator(".share .name")).to_have_text(["Señor red", MARKUP, "blue & green"])
    expect(first.locator(".share .value")).to_have_text(["99.2 %", "0.4 %", "0.4 %"])
    widths = [fill.bounding_box()["width"] for fill in first.locator(".fill").all()]
    whole = first.locator(".track").first.bounding_box()["width"]
    assert widths[0] > 0.9 * whole
    assert widths[1] < 0.1 * whole
    expect(page.locator("#picture-count")).to_have_text("(2)")


def test_what_cannot_be_read_is_told_and_can_be_tried_again(page: Page, files: list[Path]) -> None:
    page.set_input_files("#files", files[2])
    expect(page.locator(".failed .said")).to_contain_text("Not classified: not an image format")
    expect(page.locator("#status")).to_contain_text("bad.png was not classified: not an image")
    page.get_by_role("button", name="Try bad.png again").click()
    expect(page.locator(".failed .said")).to_contain_text("Not classified: not an image format")
    page.get_by_role("button", name="Remove bad.png").click()
    expect(page.locator(".picture")).to_have_count(0)


def test_the_filter_finds_classes_in_the_list_and_in_every_picture(
    page: Page, files: list[Path]
) -> None:
    page.set_input_files("#files", files[:2])
    expect(page.locator(".share")).to_have_count(6)
    page.get_by_label("Find classes").fill("SENOR")  # neither case nor accents matter
    expect(page.locator("#classes li")).to_have_text(["Señor red"])
    expect(page.locator("#matches")).to_have_text("1 of 3")
    expect(page.locator(".share .name")).to_have_text(["Señor red", "Señor red"])
    page.get_by_label("Find classes").fill("green")
    expect(page.locator(".share mark")).to_have_text(["green", "green"])
    page.get_by_label("Find classes").fill("yellow")
    expect(page.locator(".said")).to_have_text(["No class is found by that."] * 2)
    page.get_by_label("Find classes").fill("")
    expect(page.locator(".share")).to_have_count(6)


def test_everything_can_be_done_from_the_keyboard(page: Page, files: list[Path]) -> None:
    page.keyboard.press("Tab")
    choose = page.get_by_role("button", name="Choose pictures")
    expect(choose).to_be_focused()
    assert choose.evaluate("button => getComputedStyle(button).outlineStyle") == "solid"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(files[:2])
    expect(page.locator(".share")).to_have_count(6)
    page.keyboard.press("Tab")
    expect(page.get_by_label("Find classes")).to_be_focused()
    page.keyboard.type("red")
    expect(page.locator(".share")).to_have_count(2)
    for name in ("Remove all", "Remove red.png", "Remove blue <i>.png"):
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name=name, exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Remove red.png")).to_be_focused()
    expect(page.locator("#status")).to_have_text("blue <i>.png removed")
    page.keyboard.press("Enter")
    expect(choose).to_be_focused()


def test_a_screen_reader_is_told_what_there_is(page: Page, files: list[Path]) -> None:
    page.set_input_files("#files", files[0])
    expect(page.get_by_role("status").first).to_have_text("red.png: Señor red, 99.2 %")
    expect(page.get_by_role("region", name="Choose pictures")).to_be_visible()
    expect(page.get_by_role("searchbox", name="Find classes")).to_be_visible()
    picture = page.get_by_role("region", name="Pictures").get_by_role("listitem").first
    expect(picture.get_by_role("heading", name="red.png", level=3)).to_be_visible()
    shares = picture.get_by_role("list").get_by_role("listitem")
    expect(shares).to_have_text([re.compile("Señor red"), re.compile("img"), re.compile("blue")])


CARRY = """(target, [kind, content]) => {
  const carried = new DataTransfer();
  carried.items.add(new File([Uint8Array.from(content)], "carried.png", {type: "image/png"}));
  const options = {bubbles: true, cancelable: true};
  target.dispatchEvent(kind === "paste"
    ? new ClipboardEvent("paste", {...options, clipboardData: carried})
    : new DragEvent(kind, {...options, dataTransfer: carried}));
}"""


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_pictures_can_be_dropped_and_pasted(page: Page, kind: str) -> None:
    body = page.locator("body")
    if kind == "drop":
        body.evaluate(CARRY, ["dragenter", []])
        expect(body).to_have_class("dragging")
    body.evaluate(CARRY, [kind, list(picture(15))])
    expect(page.locator(".share .name").first).to_have_text("Señor red")
    expect(body).not_to_have_class("dragging")


def test_a_busy_server_is_asked_again(page: Page, files: list[Path]) -> None:
    asked = []

    def refuse_once(route: Route) -> None:
        asked.append(route.request.method)
        if len(asked) == 1:
            route.fulfill(status=503, headers={"Retry-After": "0.1"}, json={"error": "busy"})
        else:
            route.continue_()

    page.route("**/v1/predict", refuse_once)
    page.set_input_files("#files", files[0])
    expect(page.locator(".share")).to_have_count(3)
    assert asked == ["POST", "POST"]


def test_a_server_that_is_gone_is_told(page: Page, files: list[Path]) -> None:
    page.route("**/v1/predict", lambda route: route.abort())
    page.set_input_files("#files", files[0])
    expect(page.locator(".failed .said")).to_have_text(
        "Not classified: the server cannot be reached"
    )
    page.unroute("**/v1/predict")
    page.get_by_role("button", name="Try red.png again").click()
    expect(page.locator(".share")).to_have_count(3)


def test_a_file_that_is_too_large_is_not_even_sent(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(bytes(2**20))
    with running(Named(), Limits(max_upload_mb=1.0)) as client:
        page = browser.new_page()
        page.goto(str(client.base_url))
        expect(page.locator("#classes li")).to_have_count(3)
        page.set_input_files("#files", tmp_path / "large.png")
        expect(page.locator(".failed .said")).to_contain_text("larger than the 1 MiB")
        assert "/v1/predict" not in client.get("/metrics").text
        page.close()


def test_the_key_is_asked_for_and_then_sent(browser: Browser, files: list[Path]) -> None:
    with running(Named(), key=KEY) as client:
        page = browser.new_page()
        page.goto(str(client.base_url))
        expect(page.get_by_label("This server asks for its API key")).to_be_focused()
        page.set_input_files("#files", files[0])
        expect(page.locator(".failed .said")).to_contain_text("no API key")
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#key-note")).to_have_text("That is not the key.")
        page.keyboard.type(KEY)
        page.keyboard.press("Enter")
        expect(page.locator("#classes li")).to_have_count(3)
        expect(page.locator(".share")).to_have_count(3)
        expect(page.locator("#key-form")).to_be_hidden()
        page.close()


SHADES = """() => {
  const shades = (element) => {
    let ground = element;
    const color = () => getComputedStyle(ground).backgroundColor;
    while (color() === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
    return [getComputedStyle(element).color, color()];
  };
  const texts = "h1, h2, h3, p, label, a, button, mark, .name, .value, .quiet, #classes li";
  return [...document.querySelectorAll(texts)]
    .filter((element) => element.checkVisibility())
    .map((element) => [element.className || element.tagName, ...shades(element)]);
}"""


def luminance(color: str) -> float:
    values = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_its_ground(page: Page, files: list[Path], scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_input_files("#files", [files[0], files[2]])
    expect(page.locator(".failed .said")).to_be_visible()
    expect(page.locator(".share")).to_have_count(3)
    page.get_by_label("Find classes").fill("red")
    found = page.evaluate(SHADES)
    assert len(found) > 10
    for name, *colors in found:
        dark, light = sorted(map(luminance, colors))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, colors)


def test_the_page_fits_a_telephone(page: Page, files: list[Path]) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    page.set_input_files("#files", files)
    expect(page.locator(".share")).to_have_count(6)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 320


def test_the_page_is_there_for_who_asks_only_for_its_head(address: str) -> None:
    response = httpx.head(address, trust_env=False)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
