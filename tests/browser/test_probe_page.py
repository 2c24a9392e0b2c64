"""The probe's pages in a real Chromium: they load nothing, fit every screen, and begin with the verdict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from roomful.probe.compare import compare
from roomful.probe.page import render
from roomful.probe.page.comparison import comparison_html
from tests.probe.page_reader import EVIL
from tests.probe.page_results import diagnosed, loaded, searched

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

REPORT = Path(__file__).parents[2] / "docs" / "reports" / "images.html"
SCREENS = ({"width": 1280, "height": 800}, {"width": 360, "height": 740})
LONG = "a-word-that-nothing-breaks-" * 12

# The contrast of all text with what is behind it, by the rule of WCAG 2: the worst of each kind of element.
CONTRASTS = """
() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (colour, under) => {
    canvas.fillStyle = `rgb(${under})`;
    canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) =>
    element === null ? [255, 255, 255] : rgb(getComputedStyle(element).backgroundColor, behind(element.parentElement));
  const worst = {};
  for (const element of document.querySelectorAll('body *')) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    const box = element.getBoundingClientRect();
    if (!text || box.width < 2 || element.closest('title, svg svg')) continue;
    const style = getComputedStyle(element);
    const under = behind(element.closest('svg')?.parentElement ?? element);
    const over = rgb(element.closest('svg') ? style.fill : style.color, under);
    const [high, low] = [light(over), light(under)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    const name = `${element.tagName}.${element.getAttribute('class') ?? ''}`;
    if (!(worst[name] <= ratio)) worst[name] = ratio;
  }
  return worst;
}
"""


def long_words() -> dict[str, Any]:
    """A result whose texts have no place to break."""
    result = diagnosed(findings=2)
    result["target"]["url"] = f"ws://127.0.0.1:8000/{LONG}"
    result["cells"][0]["reasons"] = [LONG]
    result["cliffs"][0]["close_reason"] = LONG
    result["verdict"]["sentences"] = [LONG, EVIL]
    result["evidence"]["child"]["log_tail"] = LONG
    result["diagnosis"]["findings"][0] |= {"title": LONG, "sentence": LONG}
    return result


PAGES: dict[str, Callable[[], str]] = {
    "searched": lambda: render(searched()),
    "loaded": lambda: render(loaded(lost=3)),
    "diagnosed": lambda: render(diagnosed()),
    "several findings": lambda: render(diagnosed(findings=3)),
    "long words": lambda: render(long_words()),
    "empty": lambda: render({}),
    "comparison": lambda: comparison_html(compare([searched()], [searched(good=60.0, bad=70.0)])),
    "images": REPORT.read_text,
}


class Watched:
    """A page that is open, with everything that it asked for and complained about."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []

    async def open(self, browser: Browser, path: Path, **options: Any) -> Page:
        context = await browser.new_context(**options)
        page = await context.new_page()
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        await page.goto(path.as_uri())
        return page


@pytest.mark.parametrize(
    ("screen", "scheme"), list(zip(SCREENS, ("light", "dark"), strict=True)), ids=["desk", "phone"]
)
@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_quiet_and_fits(
    name: str, screen: dict[str, int], scheme: str, browser: Browser, tmp_path: Path
) -> None:
    """One request, which is the page; nothing on the console; nothing beside the screen; the verdict in view."""
    path = tmp_path / "page.html"
    path.write_text(PAGES[name](), errors="replace")
    watched = Watched()
    page = await watched.open(browser, path, viewport=screen, color_scheme=scheme)

    assert watched.requests == [path.as_uri()]
    assert watched.errors == []
    assert await page.evaluate("document.documentElement.scrollWidth") == screen["width"]
    heading = page.get_by_role("heading", level=1)
    await expect(heading).to_be_in_viewport()
    box = await heading.bounding_box()
    assert box is not None
    assert box["y"] < screen["height"] / 2
    assert await page.locator("h1, h2, h3, h4").first.evaluate("each => each.tagName") == "H1"
    await page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["several findings", "loaded", "comparison", "images"])
async def test_all_text_can_be_read(name: str, scheme: str, browser: Browser, tmp_path: Path) -> None:
    """A contrast of 4.5 at least, in both schemes, in tables, on coloured cells and at the axes."""
    path = tmp_path / "page.html"
    path.write_text(PAGES[name]())
    page = await Watched().open(browser, path, viewport=SCREENS[0], color_scheme=scheme)
    for details in await page.locator("details").all():
        await details.evaluate("element => element.open = true")
    contrasts: dict[str, float] = await page.evaluate(CONTRASTS)
    assert len(contrasts) > 8
    assert {kind: ratio for kind, ratio in contrasts.items() if ratio < 4.5} == {}
    await page.context.close()


async def test_a_chart_says_its_values_under_the_pointer(browser: Browser, tmp_path: Path) -> None:
    """Each column of a chart is as wide as a pointer needs, and has the time, the lines and their values."""
    path = tmp_path / "page.html"
    path.write_text(render(searched()))
    page = await Watched().open(browser, path, viewport=SCREENS[0])
    chart = page.get_by_role("img", name="Ping against echo")
    await expect(chart).to_be_visible()
    column = chart.locator("rect.hover").nth(40)
    box = await column.bounding_box()
    assert box is not None
    assert box["width"] > 4
    said = await column.locator("title").text_content()
    assert said is not None
    assert "ping 300 µs" in said
    await page.context.close()


async def test_print_shows_what_is_folded(browser: Browser, tmp_path: Path) -> None:
    """On paper nobody can open what is folded, so it is open; and what is wide is not cut."""
    path = tmp_path / "page.html"
    many = searched()
    many["trials"] = [{**trial, "number": number} for number, trial in enumerate(many["trials"] * 4)]
    path.write_text(render(many))
    page = await Watched().open(browser, path, viewport=SCREENS[0])
    rows = page.get_by_role("region", name="The ledger of every trial")
    await expect(rows).to_be_hidden()
    await page.emulate_media(media="print")
    box = await page.locator("table.ledger").bounding_box()
    assert box is not None
    assert box["height"] > 100
    assert (
        await page.locator(".scroll").first.evaluate("each => getComputedStyle(each).overflowX") == "visible"
    )
    await page.context.close()
