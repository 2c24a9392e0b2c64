"""roomful.js in a real Chromium, against a real hub."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from roomful import Event, Hub
from tests.browser.hub_site import make_site
from tests.browser.scripted import Tab
from tests.browser.windows import Windows
from tests.examples.serving import ROOT
from tests.examples.serving import Server as Process
from tests.integration.transports import Server
from tests.layers.servers import BINARIES
from tests.layers.servers import Server as StateServer

# One browser for all tests, and so one event loop.
pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

CONNECTED = ["status", {"state": "connected"}]
JOINED = ("roomful.joined", "post", "image")


@pytest_asyncio.fixture(
    loop_scope="session",
    params=["roomful.server:WebSocketProtocol", "websockets-sansio"],
    ids=["ours", "uvicorn"],
)
async def site(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Server, Hub]]:
    app, hub = make_site()
    server = Server(app, request.param)
    await server.start()
    yield server, hub
    await server.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def tab(browser: Browser, site: tuple[Server, Hub]) -> AsyncIterator[Tab]:
    context = await browser.new_context()
    tab = await Tab.open(await context.new_page(), site[0].port)
    yield tab
    await context.close()


async def test_events_and_replies_of_a_hub_arrive(tab: Tab) -> None:
    """JSON and binary events, replies behind what their handler pushed, errors with and without a request."""
    await tab.connect("/ws/tea", types=JOINED)
    assert await tab.next() == CONNECTED
    kind, [_, _, room, start] = await tab.next()
    epoch = start.removesuffix(":0")
    assert (kind, room) == ("event", "tea")

    await tab.do(
        "() => { ask('post', { text: 'Grüße' }); ask('image', new Blob(['picture'])); ask('refuse'); }"
    )
    await tab.do("() => { connection.send('whisper', 1); connection.send('unknown'); ask('post', 2); }")

    assert [await tab.next() for _ in range(8)] == [
        ["event", ["post", {"text": "Grüße"}, "tea", f"{epoch}:1"]],
        ["done", "posted"],
        ["event", ["image", "bytes:picture", "tea", f"{epoch}:2"]],
        ["done", 7],
        ["rejected", {"name": "RoomfulError", "code": "no", "message": "not now"}],
        ["error", ["RoomfulError", "unknown_type", "type 'unknown' is not known here"]],
        ["event", ["post", 2, "tea", f"{epoch}:4"]],
        ["done", "posted"],
    ]
    assert await tab.do("connection.positions") == {"tea": f"{epoch}:4"}


async def test_break_is_told_and_what_it_may_have_cost_too(tab: Tab, site: tuple[Server, Hub]) -> None:
    """The request is in doubt, the page comes back, and the hub's answer decides whether something may be missing."""
    _, hub = site
    await tab.connect("/ws/tea", types=JOINED)
    assert await tab.next() == CONNECTED
    assert (await tab.next())[0] == "event"

    await tab.do("ask('close', 4000, { resend: false })")
    assert (await tab.status())["state"] == "reconnecting"
    assert (await tab.next())[1]["name"] == "InDoubtError"
    await tab.pass_ms(250)
    assert await tab.next() == CONNECTED
    kind, [joined, _, _, start] = await tab.next()  # nothing was pushed: nothing is missing
    assert (kind, joined) == ("event", "roomful.joined")

    await tab.do("ask('close', 4000, { resend: false })")
    assert (await tab.status())["state"] == "reconnecting"
    assert (await tab.next())[1]["name"] == "InDoubtError"
    await hub.push("tea", Event("post", "missed"))
    await tab.pass_ms(500)
    assert await tab.next() == CONNECTED
    assert await tab.next() == [
        "gap",
        {"room": "tea", "epoch": start.split(":")[0], "ranges": [[1, 1]], "reason": "evicted"},
    ]


async def test_answer_that_was_lost_comes_when_the_page_is_back(tab: Tab, site: tuple[Server, Hub]) -> None:
    """The connection ends while the handler is at work: the promise ends as done, and the handler has run once."""
    await tab.connect("/ws/tea", types=("sold",))
    assert await tab.next() == CONNECTED
    assert await tab.do("ask('buy', 'tea')") is None
    assert (await tab.next())[1][:2] == ["sold", "tea"]
    assert (await tab.status())["state"] == "reconnecting"
    await tab.pass_ms(250)
    assert await tab.next() == CONNECTED

    assert await tab.next() == ["done", "TEA"]
    _, hub = site
    assert (hub.statistics().pushes, hub.statistics().repeated) == (1, 1)


async def test_presence_of_a_hub_arrives(tab: Tab, site: tuple[Server, Hub]) -> None:
    """A page combines the snapshot that the server sends with what follows."""
    _, hub = site
    await tab.do("""() => {
        watch(open_("/ws/present"));
        connection.onPresence("present", (who, change) => told(["present", [...who.keys()].sort(), change]));
    }""")
    assert await tab.status() == {"state": "connecting"}
    assert await tab.next() == CONNECTED
    seen = [await tab.next()]
    while seen[-1][1] != ["tab"] or seen[-1][2] is None:
        seen.append(await tab.next())
    assert ["present", [], None] in seen

    await hub.engine.layer.appear("present", "eve", b'{"n":1}')  # type: ignore[attr-defined] # it knows presence
    await hub.engine.layer.disappear("present", "eve")  # type: ignore[attr-defined] # likewise
    assert await tab.next() == ["present", ["eve", "tab"], {"who": "eve", "present": True, "info": {"n": 1}}]
    assert await tab.next() == ["present", ["tab"], {"who": "eve", "present": False, "info": None}]


# What a layer remembers over a restart is checked for each of them by its conformance suite.
LAYERS = [
    "memory",
    *(pytest.param(name, marks=pytest.mark.slow if place else ()) for place, name in enumerate(BINARIES)),
]


@pytest.mark.parametrize("layer", LAYERS)
async def test_server_that_is_killed_before_it_answers_leaves_no_lie(
    browser: Browser, tmp_path: Path, layer: str
) -> None:
    """What it had handled is in doubt and is not handled again; what it had not is, where the memory survives it."""
    handled = tmp_path / "handled"
    with ExitStack() as stack:
        url = "memory://" if layer == "memory" else stack.enter_context(StateServer(BINARIES[layer])).url
        environment = {"LAYER": url, "HANDLED": str(handled)}
        target = "tests.browser.mortal_app:app"
        server = Process(
            [sys.executable, "-m", "roomful", "serve", target, "--app-dir", str(ROOT)], environment
        )
        context = await browser.new_context()
        try:
            tab = await Tab.open(await context.new_page(), server.port)
            await tab.connect("/ws", types=("roomful.memory",))
            assert await tab.next() == CONNECTED
            assert (await tab.next())[0] == "event"
            await tab.do("() => { ask('count', 1); }")
            assert await tab.next() == ["done", 1]
            await tab.do(
                "() => { ask('die', 2, { timeout: Infinity }); ask('count', 3, { timeout: Infinity }); }"
            )
            assert (await tab.status())["state"] == "reconnecting"
            server.stop(signal.SIGKILL)
            server.start()
            await tab.pass_ms(250)
            assert await tab.next() == CONNECTED
            assert (await tab.next())[0] == "event"
            first, second = await tab.next(), await tab.next()
        finally:
            await context.close()
            if server.is_running():
                server.stop()
    assert (first[0], first[1]["name"]) == ("rejected", "InDoubtError")
    if layer == "memory":
        assert second[1]["name"] == "InDoubtError"
        assert handled.read_text().split() == ["1", "2"]
    else:
        assert second == ["done", 3]
        assert handled.read_text().split() == ["1", "2", "3"]
    assert "Traceback" not in server.log


async def test_refusal_is_obeyed(tab: Tab) -> None:
    """A page that is forbidden to come is told why, and stays away."""
    await tab.connect("/ws/forbidden")

    assert await tab.next() == CONNECTED
    assert await tab.status() == {
        "state": "closed",
        "code": 4501,
        "reason": "not for you",
        "by": "server",
        "unsent": [],
    }
    await tab.pass_ms(60_000)
    assert await tab.dials() == 1


async def test_auction_of_the_how_to_works(windows: Windows, tmp_path: Path) -> None:
    """The program of the page, in two windows, over a restart of its server."""
    for file in ("app.py", "page.html"):
        shutil.copy(ROOT / "docs/how-to/code/browser" / file, tmp_path)
    server = Process([sys.executable, "-m", "roomful", "serve", "app:app", "--app-dir", str(tmp_path)])
    try:
        ada, bob = await windows.open(server.http), await windows.open(server.http)
        for page in (ada, bob):
            await expect(page.locator("#status")).to_have_text("connected")
        await ada.locator("#more").click()
        await expect(ada.locator("#log li")).to_have_text(["somebody bids 10", "you have bid 10"])
        await expect(bob.locator("#log li")).to_have_text(["somebody bids 10"])

        server.stop(signal.SIGKILL)
        await expect(bob.locator("#status")).to_have_text("reconnecting")
        await bob.locator("#more").click()
        await expect(bob.locator("#log li")).to_have_text(["somebody bids 10", "not sent: not connected"])
        server.start()
        for page in (ada, bob):
            await expect(page.locator("#status")).to_have_text("connected", timeout=20_000)
        await expect(bob.locator("#log li").last).to_have_text("some bids may be missing here")
        await bob.locator("#more").click()

        await expect(ada.locator("#log li").last).to_have_text("somebody bids 20")
    finally:
        if server.is_running():
            server.stop()
    assert "Traceback" not in server.log
