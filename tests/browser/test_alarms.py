"""The Django project in a real Chromium, against a real server."""

from __future__ import annotations

import socket

import pytest
from playwright.async_api import Page, expect

from roomful.testing import FaultProxy
from tests.browser.windows import Windows
from tests.examples.serving import Server

# One browser for all tests, and so one event loop.
pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def log_in(windows: Windows, port: int, name: str, path: str = "") -> Page:
    page = await windows.open(f"http://127.0.0.1:{port}/alarms/login/?next=/alarms/{path}")
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(name)
    await page.get_by_role("button", name="Log in").click()
    return page


async def raise_alarm(admin: Page, user: str, text: str) -> None:
    """Save an alarm in the admin."""
    await admin.goto(f"{admin.url.split('/alarms/')[0]}/alarms/admin/alarms/alarm/add/")
    await admin.get_by_label("User").select_option(label=user)
    await admin.get_by_label("Text").fill(text)
    await admin.get_by_role("button", name="Save", exact=True).click()
    await expect(admin.get_by_text("was added successfully")).to_be_visible()


async def test_an_alarm_that_is_saved_in_the_admin_shows_in_its_users_page_alone(
    windows: Windows, server: Server
) -> None:
    ada, bob = [await log_in(windows, server.port, name) for name in ("ada", "bob")]
    for page in (ada, bob):
        await expect(page.get_by_role("status")).to_have_text("Connected")
    admin = await log_in(windows, server.port, "admin", "admin/")

    await raise_alarm(admin, "ada", "The tea is cold")
    await expect(ada.get_by_text("The tea is cold")).to_be_visible()
    await raise_alarm(admin, "bob", "The door is open")
    await expect(bob.get_by_text("The door is open")).to_be_visible()

    await expect(bob.get_by_text("The tea is cold")).to_have_count(0)
    await expect(ada.get_by_text("The door is open")).to_have_count(0)


async def test_a_page_that_was_offline_gets_what_it_missed(windows: Windows, server: Server) -> None:
    admin = await log_in(windows, server.port, "admin", "admin/")
    async with FaultProxy(server.port) as proxy:
        bob = await log_in(windows, proxy.port, "bob")
        await expect(bob.get_by_role("status")).to_have_text("Connected")
        await raise_alarm(admin, "bob", "number one")
        await expect(bob.get_by_text("number one")).to_be_visible()

        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            proxy.server_port = closed.getsockname()[1]
            for link in proxy.links:
                link.reset()
            await expect(bob.get_by_role("status")).to_have_text("Reconnecting…")
            await raise_alarm(admin, "bob", "number two")
            await raise_alarm(admin, "bob", "number three")
            proxy.server_port = server.port

        texts = bob.locator(".alarm p", has_text="number")
        await expect(texts).to_have_text(["number three", "number two", "number one"], timeout=20_000)
        await expect(bob.get_by_role("alert")).to_be_hidden()
