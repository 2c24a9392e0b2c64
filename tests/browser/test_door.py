"""Who may enter, seen from a real Chromium: what a page learns of a refusal, and what a page of others can do."""

from __future__ import annotations

import time
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response
from playwright.async_api import Browser, expect

from roomful import Admission, Consumer, Event, Hub, JwtAuth, Principal, Refuse, Tickets
from roomful.auth import Cookie, Header, Subprotocol
from roomful.endpoint import TellBrowsers
from roomful.fastapi import consumer_route
from tests.auth.keys import SECRET, token
from tests.browser.windows import Windows
from tests.examples.serving import Server as Process
from tests.integration.transports import Server

# One browser for all tests, and so one event loop.
pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

DIAL = """([url, protocols]) => new Promise((resolve) => {
    const told = [];
    const socket = new WebSocket(url, protocols);
    socket.onmessage = ({ data }) => { told.push(JSON.parse(data).data ?? null); socket.close(); };
    socket.onclose = ({ code, reason }) => resolve({ told, code, reason, protocol: socket.protocol });
})"""


async def site(*, tell_browsers: bool) -> tuple[Server, Tickets]:
    tickets = Tickets()
    sources = (Header(), Subprotocol(), Cookie("session"))
    hub = Hub(
        auth=[JwtAuth(key=SECRET, algorithms=["HS256"], sources=sources), tickets],
        admission=Admission(tell_browsers=tell_browsers, max_per_address=3),
    )
    app = FastAPI(lifespan=hub.lifespan)
    if tell_browsers:
        app.add_middleware(TellBrowsers, hub=hub)  # type: ignore[arg-type] # Starlette's own shape of a middleware

    @app.get("/", response_class=HTMLResponse)
    async def page() -> Any:
        return Response("<!doctype html><title>door</title>", media_type="text/html")

    @consumer_route(app, "/ws/{room}", hub=hub)
    class Guarded(Consumer):
        async def connect(self, room: str) -> None:
            if room.isdecimal():
                raise Refuse(int(room), "not here")
            await self.send(Event("hello", self.principal.id))

    server = Server(app, "roomful.server:WebSocketProtocol")
    await server.start()
    return server, tickets


@pytest.mark.parametrize("tell_browsers", [False, True])
async def test_page_learns_why_only_by_a_code(browser: Browser, tell_browsers: bool) -> None:
    """A refused handshake is 1006 to a page, whatever its status; by setting it is the matching code and a reason."""
    server, _ = await site(tell_browsers=tell_browsers)
    right = f"roomful.token.{token()}"
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{server.port}/")

    found = {}
    for room, protocols in (
        ("tea", ["roomful"]),
        ("tea", ["roomful", "roomful.token.forged"]),
        ("403", ["roomful", right]),
        ("404", ["roomful", right]),
        ("503", ["roomful", right]),
        ("403", ["chat.v2", "chat.v1", right]),
        ("no/where", ["chat.v2", "chat.v1", right]),
    ):
        answer = await page.evaluate(DIAL, [f"ws://127.0.0.1:{server.port}/ws/{room}", protocols])
        found[room, len(protocols)] = (answer["code"], answer["reason"])
    await context.close()
    await server.stop()

    expected = {
        ("tea", 1): (4500, "credential is missing"),
        ("tea", 2): (4500, "token is not valid"),
        ("403", 2): (4501, "not here"),
        ("404", 2): (4503, "not here"),
        ("503", 2): (1013, "not here"),
        ("403", 3): (4501, "not here"),
        ("no/where", 3): (4501, ""),
    }
    assert found == (expected if tell_browsers else dict.fromkeys(expected, (1006, "")))


async def test_page_comes_in_by_each_way(browser: Browser) -> None:
    """A token or a ticket in the subprotocol list, a ticket in the address, a cookie; each answer is accepted."""
    server, tickets = await site(tell_browsers=True)
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{server.port}/")
    url = f"ws://127.0.0.1:{server.port}/ws/tea"
    issued = [await tickets.issue(Principal("ada")) for _ in range(2)]

    answers = [
        await page.evaluate(DIAL, [url, ["roomful", f"roomful.token.{token()}"]]),
        await page.evaluate(DIAL, [url, ["roomful", f"roomful.ticket.{issued[0]}"]]),
        await page.evaluate(DIAL, [f"{url}?ticket={issued[1]}", []]),
    ]
    again = await page.evaluate(DIAL, [f"{url}?ticket={issued[1]}", []])
    await page.evaluate("(value) => { document.cookie = `session=${value}`; }", token())
    answers.append(await page.evaluate(DIAL, [url, []]))
    await context.close()
    await server.stop()

    assert [answer["told"] for answer in answers] == [["ada"]] * 4
    assert [answer["protocol"] for answer in answers] == ["roomful", "roomful", "", ""]
    assert (again["told"], again["code"]) == ([], 4500)


async def test_page_of_others_gets_nothing_with_a_visitors_cookie(browser: Browser) -> None:
    """The visitor has a session here; a page of another origin opens a socket to here, and the cookie goes along."""
    server, _ = await site(tell_browsers=True)
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{server.port}/")
    await page.evaluate("(value) => { document.cookie = `session=${value}; SameSite=Lax`; }", token())
    elsewhere, _ = await site(tell_browsers=True)
    # Another port is another origin, and no other site: a browser keeps no cookie back.
    await page.goto(f"http://127.0.0.1:{elsewhere.port}/")
    stolen = await page.evaluate(DIAL, [f"ws://127.0.0.1:{server.port}/ws/tea", []])
    await page.goto(f"http://127.0.0.1:{server.port}/")
    own = await page.evaluate(DIAL, [f"ws://127.0.0.1:{server.port}/ws/tea", []])
    await context.close()
    for one in (server, elsewhere):
        await one.stop()

    assert (stolen["told"], stolen["code"], stolen["reason"]) == ([], 4501, "origin is not allowed")
    assert own["told"] == ["ada"]


async def test_token_in_a_page_is_renewed_by_roomful_js(browser: Browser) -> None:
    """The page is told before its token ends, brings a new one, and lives on."""
    server, _ = await site(tell_browsers=True)
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{server.port}/")
    ending, lasting = token(exp=time.time() + 2.2), token()
    answer = await page.evaluate(
        """([url, ending, lasting]) => new Promise((resolve) => {
            const told = [];
            const socket = new WebSocket(url, ["roomful", `roomful.token.${ending}`]);
            socket.onclose = ({ code }) => resolve([...told, code]);
            socket.onmessage = ({ data }) => {
                const { type, reply } = JSON.parse(data);
                told.push(type ?? reply);
                if (type === "roomful.expiring" && !told.includes(1))
                    socket.send(JSON.stringify({ type: "roomful.refresh", data: { token: lasting }, id: 1 }));
                if (reply === 1) setTimeout(() => socket.close(), 3000);
            };
        })""",
        [f"ws://127.0.0.1:{server.port}/ws/tea", ending, lasting],
    )
    await context.close()
    await server.stop()

    assert answer == ["hello", "roomful.expiring", 1, 1005]


async def test_alarms_reach_their_user(windows: Windows, server: Process) -> None:
    """Two users in two windows; each sees its own alarms."""
    pages = {}
    for user in ("ada", "bob"):
        page = pages[user] = await windows.open(f"{server.http}/token-alarms/")
        await page.get_by_label("Your name").fill(user)
        await page.get_by_role("button", name="Log in").click()
        await expect(page.get_by_role("status")).to_have_text("Connected")
    await pages["ada"].get_by_label("Whom").fill("bob")
    await pages["ada"].get_by_label("Alarm", exact=True).fill("The kettle boils")
    await pages["ada"].get_by_role("button", name="Raise").click()

    await expect(pages["bob"].get_by_role("listitem")).to_have_text(["ada: The kettle boils"])
    await expect(pages["ada"].get_by_role("listitem")).to_have_count(0)
