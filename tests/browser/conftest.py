"""What the browser tests share: one Chromium, one server with all examples, and windows to open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.browser.windows import Windows
from tests.examples.serving import Server, serve_examples

QUIET_CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def server(chromium_path: str) -> Iterator[Server]:
    with serve_examples() as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium_path: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path, args=QUIET_CHROMIUM)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def windows(browser: Browser) -> AsyncIterator[Windows]:
    """In the end nothing unexpected has been said on any console."""
    windows = Windows(browser)
    yield windows
    assert await windows.close() == []
