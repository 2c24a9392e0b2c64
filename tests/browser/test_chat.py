"""The chat's page in a real Chromium, against a real server."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import socket
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from roomful.testing import FaultProxy
from tests.browser.windows import Windows
from tests.examples.serving import Server, serve_examples

# One browser for all tests, and so one event loop.
pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PHONE = {"width": 360, "height": 640}

DIGEST_LAST_BLOB = """
    async () => {
        const bytes = await window.blobs.at(-1).arrayBuffer();
        const digest = await crypto.subtle.digest("SHA-256", bytes);
        return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    }
"""


async def enter(windows: Windows, server: Server, room: str, name: str, **options: Any) -> Page:
    """Come into a room of the chat as a person does."""
    page = await windows.open(f"{server.http}/chat/?room={room}", **options)
    await page.get_by_label("Your name").fill(name)
    await page.get_by_role("button", name="Enter").click()
    await expect(page.get_by_role("status")).to_have_text("Connected")
    return page


async def say(page: Page, text: str) -> None:
    """Write a message and send it with the Enter key."""
    await page.get_by_role("textbox", name="Message").fill(text)
    await page.keyboard.press("Enter")


async def test_two_pages_chat(windows: Windows, server: Server) -> None:
    """Each sees what the other says, once; one's own messages are confirmed."""
    ada = await enter(windows, server, "tea", "Ada")
    bob = await enter(windows, server, "tea", "Bob")
    await expect(ada.get_by_text("Bob came in")).to_be_visible()

    await say(ada, "Hello Bob")
    await expect(bob.locator(".other", has_text="Hello Bob")).to_contain_text("Ada")
    await say(bob, "Hello\nAda")

    await expect(ada.locator(".other .body")).to_have_text(["Hello\nAda"], use_inner_text=True)
    await expect(bob.locator(".other .body")).to_have_text(["Hello Bob"])
    for page in (ada, bob):
        await expect(page.locator(".own.confirmed")).to_have_count(1)
    await bob.close()
    await expect(ada.get_by_text("Bob left")).to_be_visible()


async def test_other_rooms_hear_nothing(windows: Windows, server: Server) -> None:
    """The room is in the address, and what is said in one stays there."""
    ada = await enter(windows, server, "north", "Ada")
    bob = await enter(windows, server, "south", "Bob")

    await say(ada, "only north")
    await expect(ada.locator(".own.confirmed")).to_have_count(1)
    await bob.get_by_role("button", name="Change room").click()
    await bob.get_by_label("Room").fill("north")
    await bob.get_by_role("button", name="Enter").click()

    await expect(bob).to_have_url(f"{server.http}/chat/?room=north")
    await expect(ada.get_by_text("Bob came in")).to_be_visible()
    await expect(bob.get_by_text("only north")).to_have_count(0)


async def test_typing_shows_to_the_other_only(windows: Windows, server: Server) -> None:
    """It goes away when the message comes, or when the field is emptied."""
    ada = await enter(windows, server, "typing", "Ada")
    bob = await enter(windows, server, "typing", "Bob")
    is_typing = bob.get_by_text("Ada is typing…")

    await ada.get_by_role("textbox", name="Message").press_sequentially("Hm")
    await expect(is_typing).to_be_visible()
    await expect(ada.get_by_text("typing…")).to_have_count(0)
    await ada.keyboard.press("Enter")
    await expect(bob.locator(".other .body")).to_have_text(["Hm"])
    await expect(is_typing).to_have_count(0)

    await ada.get_by_role("textbox", name="Message").press_sequentially("Hm")
    await expect(is_typing).to_be_visible()
    await ada.get_by_role("textbox", name="Message").fill("")
    await expect(is_typing).to_have_count(0)


async def test_image_arrives_byte_for_byte(windows: Windows, server: Server, tmp_path: Path) -> None:
    """A picture of four megabytes is shown by the other page, which has received exactly what was sent."""
    side = 1200
    image = noise_png(side)
    assert len(image) > 4 * 1024 * 1024
    ada = await enter(windows, server, "pictures", "Ada")
    bob = await enter(windows, server, "pictures", "Bob")

    await send_file(ada, tmp_path / "noise.png", image)

    shown = bob.get_by_role("img", name="Image from Ada")
    await expect(shown).to_be_visible()
    await expect(shown).to_have_js_property("naturalWidth", side)
    assert await bob.evaluate(DIGEST_LAST_BLOB) == hashlib.sha256(image).hexdigest()
    await expect(ada.locator(".own.confirmed")).to_have_count(1)


async def test_what_is_no_image_is_refused(windows: Windows, server: Server, tmp_path: Path) -> None:
    """Its sender is told why, and the other sees nothing of it."""
    ada = await enter(windows, server, "no-pictures", "Ada")
    bob = await enter(windows, server, "no-pictures", "Bob")

    await send_file(ada, tmp_path / "picture.png", b"<svg onload='alert(1)'></svg>")
    await expect(ada.locator(".own.failed")).to_contain_text("not a PNG, JPEG, GIF or WebP image")
    await send_file(ada, tmp_path / "large.png", bytes(8 * 1024 * 1024 + 1))
    await expect(ada.get_by_text("too large: 8 MB at most")).to_be_visible()
    await say(ada, "sorry")

    await expect(bob.locator(".other .body")).to_have_text(["sorry"])


async def test_text_is_never_markup(windows: Windows, server: Server) -> None:
    """Neither a message nor a name becomes part of the page."""
    evil = "<img src=x onerror=alert(1)>"
    ada = await enter(windows, server, "markup", "<b>Ada</b>")
    bob = await enter(windows, server, "markup", "Bob")

    await say(ada, evil)

    await expect(bob.locator(".other .body")).to_have_text([evil])
    await expect(bob.locator(".by")).to_have_text(["<b>Ada</b>"])
    await expect(bob.locator("#log img, #log b")).to_have_count(0)


async def test_name_that_is_refused_is_asked_again(windows: Windows, server: Server) -> None:
    """A page that is told to stay away says why, and does not try again by itself."""
    page = await windows.open(f"{server.http}/chat/?room=tea")
    await page.get_by_label("Your name").fill("\u202eadA")
    await page.get_by_role("button", name="Enter").click()

    await expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text(
        "a name has 1 to 24 printable"
    )
    await expect(page.get_by_role("status")).to_have_text("Connection ended")


async def test_page_comes_back_when_the_server_does(windows: Windows) -> None:
    """A killed server shows as *reconnecting*; when it is there again, so is the chat, and nothing typed is gone."""
    with serve_examples() as server:
        ada = await enter(windows, server, "tea", "Ada")
        bob = await enter(windows, server, "tea", "Bob")
        await say(ada, "before")
        await expect(bob.locator(".other .body")).to_have_text(["before"])

        server.stop(signal.SIGKILL)
        for page in (ada, bob):
            await expect(page.get_by_role("status")).to_have_text("Reconnecting…")
        await say(ada, "after")
        await expect(ada.locator(".own .body")).to_have_text(["before"])

        server.start()
        for page in (ada, bob):
            await expect(page.get_by_role("status")).to_have_text("Connected", timeout=20_000)
        await expect(ada.get_by_role("textbox", name="Message")).to_have_value("after")
        await ada.get_by_role("button", name="Send", exact=True).click()

        await expect(bob.locator(".other .body")).to_have_text(["before", "after"])
        await expect(ada.locator(".own.confirmed")).to_have_count(2)


async def test_page_that_was_cut_off_gets_what_it_missed(windows: Windows, server: Server) -> None:
    """In its place and once, images too, and nothing is said to be missing."""
    async with FaultProxy(server.port) as proxy:
        bob = await windows.open(f"http://127.0.0.1:{proxy.port}/chat/?room=cut")
        await bob.get_by_label("Your name").fill("Bob")
        await bob.get_by_role("button", name="Enter").click()
        ada = await enter(windows, server, "cut", "Ada")
        await say(ada, "one")
        await expect(bob.locator(".other .body")).to_have_text(["one"])

        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            proxy.server_port = closed.getsockname()[1]
            for link in proxy.links:
                link.reset()
            await expect(bob.get_by_role("status")).to_have_text("Reconnecting…")
            await say(ada, "two")
            await say(ada, "three")
            await expect(ada.locator(".own.confirmed")).to_have_count(3)
            proxy.server_port = server.port

        await expect(bob.locator(".other .body")).to_have_text(["one", "two", "three"], timeout=20_000)
        await expect(bob.get_by_text("may be missing")).to_have_count(0)


async def test_message_under_way_in_a_break_is_said_to_be_unconfirmed(windows: Windows) -> None:
    """The server that is back does not remember, so nobody can know: the page says so, and offers to send it again."""
    with serve_examples() as server:
        ada = await enter(windows, server, "tea", "Ada")
        os.kill(server.pid, signal.SIGSTOP)  # takes what comes, and answers nothing
        await say(ada, "are you there?")
        await expect(ada.locator(".own.pending")).to_have_count(1)

        server.stop(signal.SIGKILL)
        server.start()
        await expect(ada.locator(".own.failed")).to_contain_text(
            "The connection broke before this was confirmed.", timeout=20_000
        )
        await expect(ada.get_by_role("status")).to_have_text("Connected")
        await ada.get_by_role("button", name="Send again").click()

        await expect(ada.locator(".own.confirmed .body")).to_have_text(["are you there?"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_chat_fits_a_phone(scheme: str, windows: Windows, server: Server) -> None:
    """Nothing is wider than the screen, the field is at its bottom, and long words are broken."""
    ada = await enter(
        windows, server, f"phone-{scheme}", "Ada", viewport=PHONE, color_scheme=scheme, has_touch=True
    )
    await say(ada, "long" * 100)
    for number in range(20):
        await say(ada, f"message {number}")
    await expect(ada.locator(".own.confirmed")).to_have_count(21)

    assert await ada.evaluate("document.documentElement.scrollWidth") <= 360
    assert await ada.evaluate("document.querySelector('#scroll').scrollWidth") <= 360
    await expect(ada.get_by_text("message 19", exact=True)).to_be_in_viewport()
    await expect(ada.get_by_role("textbox", name="Message")).to_be_in_viewport(ratio=1)
    await expect(ada.get_by_role("button", name="Send", exact=True)).to_be_in_viewport(ratio=1)


async def send_file(page: Page, file: Path, content: bytes) -> None:
    """Choose a file as a person does."""
    await asyncio.to_thread(file.write_bytes, content)
    await page.get_by_label("Send an image").set_input_files(file)


def noise_png(side: int) -> bytes:
    """Return a square picture of random pixels: a real PNG that cannot be made smaller."""
    rows = b"".join(b"\0" + os.urandom(3 * side) for _ in range(side))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, level=0)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
