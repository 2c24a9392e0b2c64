"""The home page and the smaller examples in a real Chromium, against a real server."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.windows import Windows
from tests.examples.serving import Server

# One browser for all tests, and so one event loop.
pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_home_leads_to_every_example(windows: Windows, server: Server) -> None:
    """Each link leads to a page that works under its path."""
    page = await windows.open(server.http)
    for name, heading in (
        ("Chat", "Come in"),
        ("Broadcast", "Broadcast"),
        ("Layered", "Rooms"),
        ("Alarms →", "Alarms"),
    ):
        await page.goto(server.http)
        await page.get_by_role("link", name=name).click()
        await expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()


async def test_broadcast_reaches_every_page(windows: Windows, server: Server) -> None:
    """Whatever one page sends, all pages get."""
    pages = [await windows.open(f"{server.http}/broadcast/") for _ in range(2)]
    for page in pages:
        await expect(page.get_by_role("status")).to_have_text("Connected")

    await pages[0].get_by_label("Text").fill("Hello")
    await pages[0].keyboard.press("Enter")

    for page in pages:
        await expect(page.get_by_role("log").get_by_text("Server received: Hello")).to_be_visible()


async def test_layered_page_shows_what_happens_elsewhere(windows: Windows, server: Server) -> None:
    """A wish of one page is an event on the other; a wish that breaks a rule is explained."""
    ada = await windows.open(f"{server.http}/layered/")
    await ada.get_by_label("Title").fill("Reading circle")
    await ada.get_by_label("Places").fill("1")
    await ada.get_by_role("button", name="Create").click()
    bob = await windows.open(f"{server.http}/layered/")
    await bob.get_by_role("button", name="Reading circle").click()
    for page in (ada, bob):
        await expect(page.get_by_role("status")).to_have_text("Watching")

    await ada.get_by_label("Name").fill("Ada")
    await ada.get_by_role("button", name="Join").click()
    await expect(bob.get_by_role("log")).to_contain_text("Ada came in")
    await expect(bob.get_by_role("list", name="Members")).to_contain_text("Ada")
    await bob.get_by_label("Name").fill("Bob")
    await bob.get_by_role("button", name="Join").click()
    await expect(bob.get_by_role("alert")).to_have_text("every place in this room is taken")
    await bob.get_by_role("button", name="Ada leaves").click()
    await expect(ada.get_by_role("log")).to_contain_text("Ada left")
    await ada.get_by_role("button", name="Close the room").click()

    await expect(bob.get_by_text("This room is closed")).to_be_visible()
    await expect(bob.get_by_role("button", name="Close the room")).to_be_disabled()
