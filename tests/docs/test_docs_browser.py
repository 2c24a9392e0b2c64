"""The programs of the documentation in a real Chromium, served as their pages say."""

from __future__ import annotations

import runpy
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.browser.conftest import QUIET_CHROMIUM
from tests.browser.windows import Windows
from tests.examples.serving import Server
from tests.integration.transports import Server as ServerHere

from .pages import DOCS, blocks

# One browser for the module, and so one event loop.
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

# A program of a few lines has no icon.
NO_ICON = "status of 404"

# A picture of one pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(chromium_path: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path, args=QUIET_CHROMIUM)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def windows(browser: Browser) -> AsyncIterator[Windows]:
    """In the end no page has complained."""
    windows = Windows(browser)
    yield windows
    assert [text for text in await windows.close() if NO_ICON not in text] == []


@contextmanager
def served(directory: Path) -> Iterator[Server]:
    """Serve the `app.py` of a directory by `roomful serve`; its log must be free of tracebacks."""
    server = Server([sys.executable, "-m", "roomful", "serve", "app:app", "--app-dir", str(directory)])
    try:
        yield server
    finally:
        if server.is_running():
            server.stop()
    assert "Traceback" not in server.log, server.log


@asynccontextmanager
async def two_windows(step: str, windows: Windows) -> AsyncIterator[tuple[Page, Page]]:
    """Serve a step of the tutorial, on the server that `roomful serve` runs; open its page as Ada and as Bob."""
    program = runpy.run_path(str(DOCS / "tutorial/code" / step / "app.py"))
    server = ServerHere(program["app"], "roomful.server:WebSocketProtocol")
    await server.start()
    pages = [await windows.open(f"http://127.0.0.1:{server.port}/?name={name}") for name in ("Ada", "Bob")]
    yield pages[0], pages[1]
    for page in pages:
        await page.close()
    await server.stop()


async def say(page: Page, text: str) -> None:
    """Write a message and send it."""
    await page.locator("#text").fill(text)
    await page.keyboard.press("Enter")


async def test_chat_of_the_readme_works(windows: Windows, tmp_path: Path) -> None:
    """The program, copied into an empty directory, lets two windows talk; it has the lines that it claims."""
    [program] = blocks("program")
    (tmp_path / program.argument).write_text(program.code)

    with served(tmp_path) as server:
        first, second = await windows.open(server.http), await windows.open(server.http)
        await say(first, "hello")
        await say(second, "<b>hello</b> too")

        for page in (first, second):
            await expect(page.locator("#log")).to_contain_text("hello\n")
            await expect(page.locator("#log")).to_contain_text("<b>hello</b> too\n")
    assert program.code.count("\n") == 25


async def test_tutorial_two_windows_talk(windows: Windows) -> None:
    """Step 1: each sees what both say, in one order."""
    async with two_windows("1_talking", windows) as (ada, bob):
        await say(ada, "hello")
        await expect(bob.locator("#log li")).to_have_text(["Ada: hello"])
        await say(bob, "hello yourself")

        for page in (ada, bob):
            await expect(page.locator("#log li")).to_have_text(["Ada: hello", "Bob: hello yourself"])


async def test_tutorial_shows_who_is_typing(windows: Windows) -> None:
    """Step 2: the other sees it until the message comes; whoever types does not."""
    async with two_windows("2_typing", windows) as (ada, bob):
        await expect(ada.locator("#text")).to_be_focused()
        await ada.locator("#text").press_sequentially("hm")
        await expect(bob.locator("#hint")).to_have_text("Ada is typing…")
        await expect(ada.locator("#hint")).to_have_text("")
        await ada.keyboard.press("Enter")

        await expect(bob.locator("#log li")).to_have_text(["Ada: hm"])
        await expect(bob.locator("#hint")).to_have_text("")


async def test_tutorial_sends_an_image(windows: Windows) -> None:
    """Step 3: the picture shows in both windows."""
    async with two_windows("3_images", windows) as (ada, bob):
        await say(ada, "look:")
        await expect(bob.locator("#log li")).to_have_text(["Ada: look:"])
        await ada.locator("#file").set_input_files(
            {"name": "pixel.png", "mimeType": "image/png", "buffer": PIXEL}
        )

        for page in (ada, bob):
            await expect(page.locator("#log img")).to_have_js_property("naturalWidth", 1)


async def test_browser_client_of_the_reference_comes_back(windows: Windows, tmp_path: Path) -> None:
    """It says that the connection broke, works when the server is there again, and says that it cannot know."""
    shutil.copy(DOCS / "tutorial/code/1_talking/app.py", tmp_path)
    shutil.copy(DOCS / "reference/code/page.html", tmp_path)
    shutil.copy(DOCS / "reference/code/room.js", tmp_path)
    with (tmp_path / "app.py").open("a") as program:
        program.write('\n\n@app.get("/room.js")\nasync def script() -> FileResponse:\n')
        program.write('    return FileResponse(Path(__file__).with_name("room.js"))\n')

    with served(tmp_path) as server:
        page = await windows.open(server.http)
        await expect(page).to_have_title("connected")
        await page.locator("#say").click()
        await expect(page.locator("#log")).to_contain_text('post: {"by":"Ada","text":"hello"}')

        server.stop(signal.SIGKILL)
        await expect(page).to_have_title("reconnecting")
        server.start()
        await expect(page).to_have_title("connected", timeout=20_000)
        await expect(page.locator("#log")).to_contain_text("something may be missing")
        await page.locator("#say").click()

        await expect(page.locator("#log")).to_contain_text("missing\npost:")
