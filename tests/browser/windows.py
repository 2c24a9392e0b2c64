"""Browser windows that remember what went wrong in them."""

from __future__ import annotations

import re
from typing import Any, Final

from playwright.async_api import Browser, BrowserContext, Page

__all__ = ("Windows",)

DESKTOP: Final = {"width": 800, "height": 600}

# What a page says when its server is away, or refuses a wish. Anything else on the console fails the test: a script's
# error as well as what the page's own policy forbids.
EXPECTED_ON_CONSOLE: Final = re.compile(
    r"WebSocket connection to .* failed|status of 409|status of 422|ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET"
    r"|ERR_CONTENT_LENGTH_MISMATCH|ERR_EMPTY_RESPONSE"
)

# Keeps the blobs that a page shows: its policy lets nobody fetch them, a test neither.
KEEP_BLOBS: Final = """
    window.blobs = [];
    const make = URL.createObjectURL;
    URL.createObjectURL = (blob) => { window.blobs.push(blob); return make(blob); };
"""


class Windows:
    """Opens browser windows, each of its own person: nothing is shared, and none is in the background."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._said: list[str] = []

    async def open(self, url: str, **options: Any) -> Page:
        context = await self._browser.new_context(
            **{"viewport": DESKTOP, "reduced_motion": "reduce", **options}
        )
        self._contexts.append(context)
        context.on(
            "console", lambda message: self._said.append(message.text) if message.type == "error" else None
        )
        context.on("weberror", lambda error: self._said.append(str(error.error)))
        await context.add_init_script(KEEP_BLOBS)
        page = await context.new_page()
        await page.goto(url)
        return page

    async def close(self) -> list[str]:
        """Close all windows; return the errors on their consoles that nobody has to expect."""
        for context in self._contexts:
            await context.close()
        return [text for text in self._said if not EXPECTED_ON_CONSOLE.search(text)]
