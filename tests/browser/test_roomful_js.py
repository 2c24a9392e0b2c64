"""roomful.js in a real Chromium, against servers that say exactly what they are told to."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from roomful import browser as files
from roomful.core.close_codes import may_come_back
from tests.browser.scripted import Line, Scripted, Tab, serve_script
from tests.examples.serving import pack, unpack

# One browser for all tests, and so one event loop.
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

CONNECTED = ["status", {"state": "connected"}]
SEND = """() => {
    try { connection.send("post", 1); return null; } catch ({ name, message }) { return [name, message]; }
}"""
TURN_PAGE = "([type, persisted]) => dispatchEvent(new PageTransitionEvent(type, { persisted }))"
EXPECTED_ON_CONSOLE = re.compile(r"WebSocket connection to .* failed|status of 503")


@pytest_asyncio.fixture(loop_scope="session")
async def server() -> AsyncIterator[Scripted]:
    async with serve_script() as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def tab(browser: Browser, server: Scripted) -> AsyncIterator[Tab]:
    """In the end the console shows no error, in particular none of the page's strict policy."""
    context = await browser.new_context()
    said: list[str] = []
    context.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    tab = await Tab.open(await context.new_page(), server.port)
    yield tab
    await context.close()
    assert [text for text in said if not EXPECTED_ON_CONSOLE.search(text)] == []


async def connected(tab: Tab, server: Scripted, url: str = "/ws", **options: Any) -> Line:
    """Connect the tab, and return the server's end."""
    await tab.connect(url, **options)
    line = await server.accepted()
    assert await tab.next() == CONNECTED
    return line


async def back(tab: Tab, server: Scripted, *, after_ms: int = 250) -> Line:
    """Let the tab come back, and return the server's end."""
    await tab.pass_ms(after_ms)
    line = await server.accepted()
    assert await tab.next() == CONNECTED
    return line


def reconnecting(code: int, reason: str = "", *, delay: float = 250, attempt: int = 1) -> dict[str, Any]:
    return {"state": "reconnecting", "delay": delay, "attempt": attempt, "code": code, "reason": reason}


def closed(
    code: int, reason: str = "", *, by: str = "server", unsent: list[Any] | None = None
) -> dict[str, Any]:
    return {"state": "closed", "code": code, "reason": reason, "by": by, "unsent": unsent or []}


# ── The address ──


async def test_address_is_relative_to_the_page_and_keeps_its_query(tab: Tab, server: Scripted) -> None:
    """`http` becomes `ws`, a fragment is left out, and the query goes as it was written."""
    line = await connected(tab, server, "/ws/tea?sig=a%20b~c&x#part")

    assert line.path == "/ws/tea?sig=a%20b~c&x"
    address = f"ws://127.0.0.1:{server.port}/ws/tea?sig=a%20b~c&x&client={line.client}"
    assert await tab.do("dials[0]") == address
    assert await tab.do("connection.status.state") == "connected"


async def test_client_names_itself_and_no_other_has_the_name(tab: Tab, server: Scripted) -> None:
    """One name for all connections that are one to the page, another for another; the page may choose one itself."""
    first = await connected(tab, server)
    first.cut()
    assert await tab.status() == reconnecting(1006)
    again = await back(tab, server)
    other = await connected(tab, server)
    own = await connected(tab, server, "/ws?client=mine&x")

    assert first.client is not None
    assert re.fullmatch(r"[A-Za-z0-9_-]{20,64}", first.client)
    assert (again.client, own.path) == (first.client, "/ws?client=mine&x")
    assert other.client != first.client


@pytest.mark.parametrize(("url", "options"), [("http://[", {}), ("/ws", {"protocols": "no good"})])
async def test_malformed_address_is_told_at_once(tab: Tab, url: str, options: dict[str, Any]) -> None:
    """`connect` throws, and nothing of the connection remains."""
    told = """
        async ({ url, options }) => {
            const { connect } = await import("/roomful.js");
            try { connect(url, options); } catch ({ name }) { return name; }
        }
    """

    assert await tab.do(told, {"url": url, "options": options}) in ("TypeError", "SyntaxError")
    await tab.pass_ms(60_000)


async def test_address_may_be_a_function_that_is_asked_each_time(tab: Tab, server: Scripted) -> None:
    """A one-time ticket is no good for a second handshake; one that cannot be had is an attempt that failed."""
    await tab.do("""() => {
        let tickets = 0;
        watch(open_(async () => {
            if (++tickets === 2) throw new Error("no ticket");
            return `/ws?ticket=${tickets}`;
        }));
    }""")
    assert await tab.status() == {"state": "connecting"}
    first = await server.accepted()
    assert await tab.next() == CONNECTED

    first.cut()
    assert await tab.status() == reconnecting(1006)
    await tab.pass_ms(250)
    assert await tab.status() == reconnecting(1006, "there is no address: no ticket", delay=500, attempt=2)
    await tab.pass_ms(500)
    third = await server.accepted()

    assert (first.path, third.path) == ("/ws?ticket=1", "/ws?ticket=3")


async def test_address_that_comes_too_late_is_not_used(tab: Tab, server: Scripted) -> None:
    """A function that does not answer within the handshake's time is asked again; its first answer is void."""
    await tab.do("""() => {
        window.answers = [];
        watch(open_(() => new Promise((resolve) => answers.push(resolve)), { handshakeTimeout: 1000 }));
    }""")
    assert await tab.status() == {"state": "connecting"}

    await tab.pass_ms(1000)
    assert await tab.status() == reconnecting(1006, "the handshake took too long")
    await tab.pass_ms(250)
    await tab.do("answers[1]('/ws?second'); answers[0]('/ws?first')")

    assert (await server.accepted()).path == "/ws?second"
    assert await tab.dials() == 1


# ── Events ──


async def test_events_come_in_order_with_their_frame(tab: Tab, server: Scripted) -> None:
    """Texts, binary events and direct sends keep their places among each other."""
    line = await connected(tab, server, types=("post", "image"))

    await line.push("post", {"n": 1}, "e:1")
    await line.say(pack({"type": "image", "room": "tea", "pos": "e:2"}, b"picture"))
    await line.say({"type": "post", "data": "direct"})
    await line.say(pack({"type": "image"}, b""))
    await line.push("unheard", None, "e:3")
    await line.push("post", {"n": 4}, "e:4", room="coffee")

    assert [await tab.next() for _ in range(5)] == [
        ["event", ["post", {"n": 1}, "tea", "e:1"]],
        ["event", ["image", "bytes:picture", "tea", "e:2"]],
        ["event", ["post", "direct", None, None]],
        ["event", ["image", "bytes:", None, None]],
        ["event", ["post", {"n": 4}, "coffee", "e:4"]],
    ]
    assert await tab.do("connection.positions") == {"tea": "e:3", "coffee": "e:4"}


async def test_roomful_types_have_handlers_too(tab: Tab, server: Scripted) -> None:
    """Who wants to know when a room has been joined asks for that type."""
    line = await connected(tab, server, types=("roomful.joined", "roomful.position"))

    await line.joined("e:7")
    await line.say({"type": "roomful.position", "room": "tea", "pos": "e:8"})

    assert await tab.next() == ["event", ["roomful.joined", None, "tea", "e:7"]]
    assert await tab.next() == ["event", ["roomful.position", None, "tea", "e:8"]]


async def test_handler_can_be_taken_away(tab: Tab, server: Scripted) -> None:
    """Each registration by itself, also while handlers run."""
    line = await connected(tab, server, types=())
    await tab.do("""() => {
        const say = (data) => told(["say", data]);
        const off = connection.on("post", say);
        connection.on("post", () => off());
        connection.on("post", say);
    }""")

    await line.push("post", 1, "e:1")
    await line.push("post", 2, "e:2")

    assert [await tab.next() for _ in range(3)] == [["say", 1], ["say", 1], ["say", 2]]


async def test_handler_that_is_added_by_another_hears_from_the_next_event_on(
    tab: Tab, server: Scripted
) -> None:
    """So that one which adds itself again does not run for ever."""
    line = await connected(tab, server, types=())
    await tab.do("""() => {
        const again = (data) => { told(["say", data]); connection.on("post", again); };
        connection.on("post", again);
    }""")

    await line.push("post", 1, "e:1")
    await line.push("post", 2, "e:2")

    assert [await tab.next() for _ in range(3)] == [["say", 1], ["say", 2], ["say", 2]]


async def test_handler_that_throws_disturbs_nothing(tab: Tab, server: Scripted) -> None:
    """Its error is reported as an uncaught one; the other handlers, later events and the connection go on."""
    line = await connected(tab, server, types=())
    await tab.do("""() => {
        addEventListener("error", (event) => { event.preventDefault(); told(["uncaught", event.error.message]); });
        for (const on of ["onStatus", "onGap", "onMessage", "onError"]) connection[on](() => { throw new Error(on); });
        connection.on("post", () => { throw new Error("post"); });
        connection.on("post", (data) => told(["post", data]));
    }""")
    assert await tab.next() == ["uncaught", "onStatus"]  # which is called at once

    await line.push("post", 1, "e:1")
    await line.say("raw")
    await line.say({"type": "roomful.gap", "room": "tea"})
    await line.say({"type": "roomful.error", "error": {"code": "c", "message": "m"}})
    await line.push("post", 2, "e:2")

    kinds = [await tab.next() for _ in range(10)]
    assert kinds == [
        ["uncaught", "post"],
        ["post", 1],
        ["message", "raw"],
        ["uncaught", "onMessage"],
        ["gap", {"room": "tea", "epoch": None, "ranges": None, "reason": ""}],
        ["uncaught", "onGap"],
        ["error", ["RoomfulError", "c", "m"]],
        ["uncaught", "onError"],
        ["uncaught", "post"],
        ["post", 2],
    ]


async def test_what_is_no_event_is_a_message(tab: Tab, server: Scripted) -> None:
    """An application may push its own text and bytes; nothing that arrives can break the connection."""
    texts = ["hello", "", "{", "null", "7", '"reply"', "[]", "{}", '{"type":1}', '{"data":{"type":"post"}}']
    binaries = [b"", b"\0", b"\0\2", b"\0\2{]rest", b"\0\2{}rest", b"\x7f\x7fshort"]
    line = await connected(tab, server)

    for text in texts:
        await line.say(text)
    for binary in binaries:
        await line.say(binary)
    await line.push("post", "after", "e:1")

    for message in (*texts, *(f"bytes:{some.decode()}" for some in binaries)):
        assert await tab.next() == ["message", message]
    assert await tab.next() == ["event", ["post", "after", "tea", "e:1"]]


# ── Ends and beginnings ──


async def test_every_close_code_is_obeyed_as_the_server_means_it(tab: Tab, server: Scripted) -> None:
    """One table for both sides."""
    await connected(tab, server)

    obeyed = await tab.do("[...Array(5001).keys()].filter(roomful.mayComeBack)")

    assert obeyed == [code for code in range(5001) if may_come_back(code)]


async def test_connection_that_is_told_to_stay_away_stays_away(tab: Tab, server: Scripted) -> None:
    """The page learns code and reason, and no further socket is opened."""
    for dials, code in enumerate((1000, 1008, 1009, 3000, 4500, 4502, 4999), start=1):
        line = await connected(tab, server)

        await line.close(code, "no more")

        assert await tab.status() == closed(code, "no more")
        await tab.pass_ms(60_000)
        await tab.do("() => { dispatchEvent(new Event('online')); }")
        await tab.do(TURN_PAGE, ["pageshow", True])
        assert await tab.dials() == dials


async def test_connection_that_may_come_back_does(tab: Tab, server: Scripted) -> None:
    """The page learns when; neither sooner nor later a socket is opened."""
    line = await connected(tab, server, backoff={"stable": 0})
    for dials, code in enumerate((1001, 1011, 1012, 1013, 4000, 4001, 4499), start=1):
        await line.close(code, "see you")
        assert await tab.status() == reconnecting(code, "see you")
        await tab.pass_ms(249)
        assert await tab.dials() == dials
        await tab.pass_ms(1)
        assert await tab.dials() == dials + 1

        line = await server.accepted()
        assert await tab.next() == CONNECTED


async def test_close_without_a_code_and_end_without_a_word_may_come_back(tab: Tab, server: Scripted) -> None:
    """1005 and 1006 are what the browser makes of them."""
    line = await connected(tab, server)

    line.connection.protocol.send_close()
    line.connection.transport.write(b"".join(line.connection.protocol.data_to_send()))
    assert await tab.status() == reconnecting(1005)
    again = await back(tab, server)
    again.cut()
    assert await tab.status() == reconnecting(1006, delay=500, attempt=2)


async def test_wait_is_random_below_a_bound_that_doubles(tab: Tab, server: Scripted) -> None:
    """Full jitter: a wait is anywhere from nothing to the bound, which grows up to the longest."""
    server.is_refusing = True
    await tab.do("""() => {
        const numbers = [0, 0.25, 0.5, 0.999, 0.5, 1, 1, 1, 1];
        const backoff = { first: 100, factor: 3, longest: 5000 };
        watch(open_("/ws", { random: () => numbers.shift(), backoff }));
    }""")
    assert await tab.status() == {"state": "connecting"}

    waits = []
    for attempt in range(1, 8):
        status = await tab.status()
        assert status == reconnecting(1006, delay=status["delay"], attempt=attempt)
        waits.append(status["delay"])
        await tab.pass_ms(int(status["delay"]) + 2)

    assert waits == pytest.approx([0, 75, 450, 2697.3, 2500, 5000, 5000])


async def test_default_waits_stay_below_twenty_seconds(tab: Tab, server: Scripted) -> None:
    """500 ms at first, twice as much each time."""
    server.is_refusing = True
    await tab.connect()

    waits = []
    for _ in range(8):
        waits.append((await tab.status())["delay"])
        await tab.pass_ms(waits[-1])

    assert waits == [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]


async def test_only_a_lasting_connection_begins_the_waits_anew(tab: Tab, server: Scripted) -> None:
    """A server that accepts and closes at once is not dialled at full speed."""
    line = await connected(tab, server)

    await line.close(1013)
    assert await tab.status() == reconnecting(1013)
    line = await back(tab, server)
    await tab.pass_ms(4999)
    await line.close(1013)
    assert await tab.status() == reconnecting(1013, delay=500, attempt=2)
    line = await back(tab, server, after_ms=500)
    await tab.pass_ms(5000)
    await line.close(1013)

    assert await tab.status() == reconnecting(1013)


async def test_handshake_that_gets_no_answer_is_given_up(tab: Tab, server: Scripted) -> None:
    """A server that takes the connection and says nothing is as good as none."""
    server.is_silent = True
    await tab.connect()

    await tab.pass_ms(9999)
    assert await tab.has_been_told_all()
    await tab.pass_ms(1)

    assert await tab.status() == reconnecting(1006, "the handshake took too long")
    server.is_silent = False
    await back(tab, server)


async def test_network_that_returns_is_used_soon(tab: Tab, server: Scripted) -> None:
    """The long wait is given up for a short one, random too, since all pages hear of the network at one moment."""
    server.is_refusing = True
    await tab.connect(backoff={"first": 1000, "factor": 60})
    assert await tab.status() == reconnecting(1006, delay=500)
    await tab.pass_ms(501)
    assert await tab.status() == reconnecting(1006, delay=10_000, attempt=2)
    server.is_refusing = False

    await tab.do("dispatchEvent(new Event('online'))")

    assert await tab.status() == reconnecting(1006, delay=500)
    await back(tab, server, after_ms=500)
    await tab.do("dispatchEvent(new Event('online'))")  # nobody waits now
    await tab.pass_ms(60_000)
    assert await tab.dials() == 3


async def test_page_that_is_put_aside_comes_back_with_it(tab: Tab, server: Scripted) -> None:
    """No socket is open in the back/forward cache; what was missed meanwhile is resumed as after any break."""
    line = await connected(tab, server)
    await line.push("post", 1, "e:1")
    await tab.next()

    await tab.do(TURN_PAGE, ["pagehide", True])
    assert await tab.status() == reconnecting(1001, "the page was put aside")
    assert await line.closed() == 1005
    await tab.do(TURN_PAGE, ["pageshow", True])
    again = await server.accepted()

    assert await tab.next() == CONNECTED
    assert again.resume == {"tea": "e:1"}
    await tab.pass_ms(60_000)
    assert await tab.dials() == 2


async def test_page_that_goes_or_comes_for_the_first_time_changes_nothing(tab: Tab, server: Scripted) -> None:
    """The browser itself closes the sockets of a page that will not come back."""
    await connected(tab, server)

    for event in ("pagehide", "pageshow"):
        await tab.do(TURN_PAGE, [event, False])

    assert await tab.dials() == 1
    assert await tab.has_been_told_all()


async def test_page_closes_for_good(tab: Tab, server: Scripted) -> None:
    """What was sent before is written; nothing more is heard, told or dialled, and a second close does nothing."""
    line = await connected(tab, server)

    await tab.do("connection.send('post', 'bye'); connection.close(4321, 'done')")
    await tab.do("connection.close()")

    assert await tab.status() == closed(4321, "done", by="page")
    assert await line.hear() == {"type": "post", "data": "bye"}
    assert await line.closed() == 4321
    await tab.pass_ms(60_000)
    assert await tab.dials() == 1
    assert await tab.has_been_told_all()


async def test_code_that_a_page_may_not_send_leaves_the_connection_open(tab: Tab, server: Scripted) -> None:
    """The browser's own error says so."""
    line = await connected(tab, server)

    assert (
        await tab.do("() => { try { connection.close(1001); } catch ({ name }) { return name; } }")
        == "InvalidAccessError"
    )
    await line.push("post", 1, "e:1")

    assert await tab.next() == ["event", ["post", 1, "tea", "e:1"]]


async def test_page_closes_while_there_is_no_connection(tab: Tab, server: Scripted) -> None:
    """A dial under way and one that waits are both given up."""
    server.is_silent = True
    for attempt in (0, 1):
        await tab.connect()
        if attempt:
            await tab.pass_ms(10_000)
            assert (await tab.status())["state"] == "reconnecting"

        await tab.do("connection.close()")

        assert await tab.status() == closed(1000, by="page")
        await tab.pass_ms(60_000)
        assert await tab.dials() == attempt + 1
    assert await tab.has_been_told_all()


async def test_handler_that_closes_is_the_last_to_speak(tab: Tab, server: Scripted) -> None:
    """Nobody hears *connected* after *closed*."""
    await tab.do("""() => {
        watch(open_("/ws"));
        connection.onStatus(({ state }) => state === "connected" && connection.close());
        connection.onStatus(({ state }) => told(["late", state]));
    }""")
    assert await tab.status() == {"state": "connecting"}
    assert await tab.next() == ["late", "connecting"]
    await server.accepted()

    assert await tab.next() == CONNECTED
    assert await tab.status() == closed(1000, by="page")
    assert await tab.next() == ["late", "closed"]
    assert await tab.has_been_told_all()


# ── Resume ──


async def test_reconnect_resumes_each_room_where_it_stood(tab: Tab, server: Scripted) -> None:
    """Events, positions alone and joins all count; the address keeps what it had."""
    line = await connected(tab, server, "/ws?token=a+b%2F")
    assert line.resume is None

    await line.joined("e:0")
    await line.joined("e:5", room="quiet")
    await line.joined("e:0", room='odd "näme" &=#')
    await line.push("post", 1, "e:1")
    await line.say({"type": "roomful.position", "room": "tea", "pos": "e:2"})
    await line.say(pack({"type": "post", "room": 'odd "näme" &=#', "pos": "e:9"}, b""))
    await line.close(4000)
    assert [(await tab.next())[0] for _ in range(3)] == ["event", "event", "status"]
    again = await back(tab, server)

    assert again.path.startswith("/ws?token=a+b%2F&resume=%7B")
    assert again.resume == {"tea": "e:2", "quiet": "e:5", 'odd "näme" &=#': "e:9"}
    await again.push("post", 2, "e:3")
    again.cut()
    assert [(await tab.next())[0] for _ in range(2)] == ["event", "status"]
    third = await back(tab, server, after_ms=500)
    assert third.resume == {"tea": "e:3", "quiet": "e:5", 'odd "näme" &=#': "e:9"}


async def test_positions_can_be_taken_along_and_forgotten(tab: Tab, server: Scripted) -> None:
    """A page may keep them over a reload, and leave a room behind; an older resume in the address gives way."""
    line = await connected(tab, server, "/ws?resume=old&x", positions={"tea": "e:4", "left": "e:1"})
    assert (line.path.split("resume")[0], line.resume) == ("/ws?x=&", {"tea": "e:4", "left": "e:1"})

    await tab.do("connection.forget('left')")
    line.cut()
    assert await tab.status() == reconnecting(1006)

    assert (await back(tab, server)).resume == {"tea": "e:4"}


@pytest.mark.parametrize("ranges", [[[5, 5], [7, 9]], None])
async def test_gap_is_told_before_the_next_event(tab: Tab, server: Scripted, ranges: Any) -> None:
    """As the server words it: exact ranges, or none where nobody knows."""
    line = await connected(tab, server)

    notice = {"room": "tea", "epoch": "e", "ranges": ranges, "reason": "slow"}
    await line.say({"type": "roomful.gap", **notice})
    await line.push("post", 10, "e:10")

    assert await tab.next() == ["gap", notice]
    assert await tab.next() == ["event", ["post", 10, "tea", "e:10"]]


@pytest.mark.parametrize(
    ("recovered", "pos", "is_told"),
    [(True, "e:4", False), (False, "e:4", True), (False, "f:0", True), (False, "e:1", False)],
)
async def test_room_that_was_not_recovered_has_an_unknown_gap(
    tab: Tab, server: Scripted, recovered: bool, pos: str, is_told: bool
) -> None:
    """A server without history cannot say what was missed; if the room stands where it stood, it was nothing."""
    line = await connected(tab, server, types=("roomful.joined",))
    await line.joined("e:1")
    line.cut()
    assert [(await tab.next())[0] for _ in range(2)] == ["event", "status"]
    again = await back(tab, server)

    await again.joined(pos, recovered=recovered)
    await again.joined("x:1", room="new")
    await again.joined("e:9")  # a second join of the room on this connection says nothing of the break

    gap = {"room": "tea", "epoch": None, "ranges": None, "reason": "not recovered"}
    assert [await tab.next() for _ in range(3 + is_told)] == [
        *([["gap", gap]] if is_told else []),
        ["event", ["roomful.joined", None, "tea", pos]],
        ["event", ["roomful.joined", None, "new", "x:1"]],
        ["event", ["roomful.joined", None, "tea", "e:9"]],
    ]


async def test_gap_that_the_server_has_told_is_not_told_again(tab: Tab, server: Scripted) -> None:
    """A notice of its own says more than that something may be missing."""
    line = await connected(tab, server, positions={"tea": "e:1"})

    await line.say(
        {"type": "roomful.gap", "room": "tea", "epoch": "e", "ranges": [[2, 3]], "reason": "evicted"}
    )
    await line.joined("e:3")
    await line.push("post", 4, "e:4")

    assert (await tab.next())[1]["ranges"] == [[2, 3]]
    assert await tab.next() == ["event", ["post", 4, "tea", "e:4"]]


async def test_gap_and_error_without_a_handler_are_shown_on_the_console(tab: Tab, server: Scripted) -> None:
    """Nothing is lost silently, whatever a page forgets to ask for."""
    await tab.do("() => { open_('/ws'); }")
    line = await server.accepted()

    for type_ in ("roomful.gap", "roomful.error"):
        async with tab.page.expect_console_message() as shown:
            await line.say({"type": type_, "room": "tea", "error": {"code": "c", "message": "m"}})
        message = await shown.value
        assert message.type == "warning"
        assert "roomful:" in message.text


async def test_error_that_answers_no_request_is_told(tab: Tab, server: Scripted) -> None:
    """A `send` has no reply, so what is wrong with it comes as an event."""
    line = await connected(tab, server)

    await line.say({"type": "roomful.error", "error": {"code": "invalid_json", "message": "not JSON"}})

    assert await tab.next() == ["error", ["RoomfulError", "invalid_json", "not JSON"]]


# ── Sending ──


async def test_events_are_sent_as_json_or_as_bytes_in_order(tab: Tab, server: Scripted) -> None:
    """Buffers, parts of buffers and blobs become binary events; nothing overtakes."""
    line = await connected(tab, server)

    await tab.do("""() => {
        const bytes = new TextEncoder().encode("-bytes-");
        connection.send("post", { text: "hi" });
        connection.send("blob", new Blob(["large"]));
        connection.send("buffer", bytes.buffer);
        connection.send("part", bytes.subarray(1, 6));
        connection.send("view", new DataView(bytes.buffer, 1, 2));
        connection.send("empty", new ArrayBuffer(0));
        connection.send("nothing");
        bytes.fill(0); // what was sent is what it was then
    }""")

    heard = [await line.hear() for _ in range(7)]
    assert [unpack(message) if isinstance(message, bytes) else message for message in heard] == [
        {"type": "post", "data": {"text": "hi"}},
        ({"type": "blob"}, b"large"),
        ({"type": "buffer"}, b"-bytes-"),
        ({"type": "part"}, b"bytes"),
        ({"type": "view"}, b"by"),
        ({"type": "empty"}, b""),
        {"type": "nothing"},
    ]


async def test_send_without_a_connection_is_refused(tab: Tab, server: Scripted) -> None:
    """By default nothing waits, so nothing can be lost while it waits: the page is told at once."""
    server.is_silent = True
    await tab.connect()
    assert await tab.do(SEND) == ["NotSentError", "not sent: not connected"]
    await tab.pass_ms(10_000)
    assert (await tab.status())["state"] == "reconnecting"
    assert await tab.do(SEND) == ["NotSentError", "not sent: not connected"]
    server.is_silent = False
    line = await back(tab, server)
    assert await tab.do(SEND) is None
    assert await line.hear() == {"type": "post", "data": 1}
    await line.close(1000)
    assert await tab.status() == closed(1000)

    assert await tab.do(SEND) == ["NotSentError", "not sent: the connection is closed"]


async def test_data_that_is_no_json_is_refused(tab: Tab, server: Scripted) -> None:
    """A page's own mistake is told to it, in a send and in a request, and nothing is sent or left behind."""
    line = await connected(tab, server)

    refused = await tab.do("""async () => {
        const circle = [];
        circle.push(circle);
        const names = [];
        for (const data of [circle, 1n]) {
            try { connection.send("post", data); } catch ({ name }) { names.push(name); }
            await connection.request("post", data).catch(({ name }) => names.push(name));
        }
        return names;
    }""")

    assert refused == ["TypeError"] * 4
    await tab.do("connection.send('next')")
    assert await line.hear() == {"type": "next"}


async def test_header_that_is_too_long_for_a_binary_event_is_refused(tab: Tab, server: Scripted) -> None:
    """Its length has two bytes; a longer one would turn the data into header."""
    await connected(tab, server)

    name = await tab.do("""() => {
        try { connection.send("x".repeat(65_600), new ArrayBuffer(1)); } catch ({ name }) { return name; }
    }""")

    assert name == "RangeError"


async def test_messages_wait_for_a_connection_up_to_a_bound(tab: Tab, server: Scripted) -> None:
    """With a queue they are sent in order as soon as there is one; what does not fit is refused."""
    server.is_refusing = True
    await tab.connect(maxQueued=2)
    assert await tab.status() == reconnecting(1006)

    assert await tab.do(SEND) is None
    await tab.do("ask('count', 1)")
    assert await tab.do(SEND) == ["NotSentError", "not sent: not connected, and 2 messages wait already"]
    await tab.do("ask('count', 2)")
    assert (await tab.next())[1]["name"] == "NotSentError"
    server.is_refusing = False
    await tab.do("""() => {
        connection.onStatus(({ state }) => state === "connected" && connection.send("post", "next"));
    }""")
    line = await back(tab, server)

    assert await line.hear() == {"type": "post", "data": 1}
    count = await line.hear()
    assert (count["type"], count["data"]) == ("count", 1)
    assert await line.hear() == {"type": "post", "data": "next"}
    await line.say({"reply": count["id"], "data": 11})
    assert await tab.next() == ["done", 11]


async def test_what_still_waits_at_the_end_is_told(tab: Tab, server: Scripted) -> None:
    """A queue that can no longer be sent is handed back: the page decides what becomes of it."""
    line = await connected(tab, server, maxQueued=5)
    line.cut()
    assert await tab.status() == reconnecting(1006)
    await tab.do("connection.send('post', { n: 1 }); ask('count', 1); connection.send('post', { n: 2 })")

    await tab.do("connection.close()")

    unsent = [{"type": "post", "data": {"n": 1}}, {"type": "post", "data": {"n": 2}}]
    assert await tab.status() == closed(1000, by="page", unsent=unsent)
    error = {"name": "NotSentError", "message": "not sent: the connection was closed for good"}
    assert await tab.next() == ["rejected", error]


async def test_socket_that_is_closing_takes_nothing(tab: Tab, server: Scripted) -> None:
    """A browser's socket swallows what it is given then; here it is refused, and never lost."""
    await connected(tab, server)

    # The socket is asked to close behind the connection's back, as a server's close frame does.
    refused = await tab.do("""() => {
        let socket;
        const send = WebSocket.prototype.send;
        WebSocket.prototype.send = function (message) { socket = this; send.call(this, message); };
        connection.send("post", 0);
        socket.close();
        try { connection.send("post", 1); } catch ({ name }) { return name; }
    }""")

    assert refused == "NotSentError"


# ── Requests ──


async def test_request_ends_with_the_value_or_with_the_servers_error(tab: Tab, server: Scripted) -> None:
    """Replies find their requests in any order; data may be binary."""
    line = await connected(tab, server)
    await tab.do("() => { ask('a', { x: 1 }); ask('b', new Uint8Array([65])); ask('c', null, { id: 7 }); }")
    a, (b, data), c = await line.hear(), unpack(await line.hear()), await line.hear()
    assert ({"type": "a", "data": {"x": 1}, "id": a["id"]}, b"A") == (a, data)
    assert ({"type": "b", "id": b["id"]}, {"type": "c", "data": None, "id": 7}) == (b, c)

    await line.say({"reply": 7, "error": {"code": "too_big", "message": "too big for this"}})
    await line.say({"reply": b["id"], "error": {"code": "bare", "message": ""}})
    await line.say({"reply": a["id"], "data": {"y": 2}})

    assert [await tab.next() for _ in range(3)] == [
        ["rejected", {"name": "RoomfulError", "code": "too_big", "message": "too big for this"}],
        ["rejected", {"name": "RoomfulError", "code": "bare", "message": "bare"}],
        ["done", {"y": 2}],
    ]


async def test_request_is_in_doubt_when_the_connection_ends(tab: Tab, server: Scripted) -> None:
    """It was sent, and whether it took effect nobody here can know; it is not sent again."""
    line = await connected(tab, server)
    await tab.do("ask('buy', 1)")
    request = await line.hear()

    line.cut()

    assert await tab.status() == reconnecting(1006)
    assert await tab.next() == [
        "rejected",
        {
            "name": "InDoubtError",
            "message": "in doubt: the connection ended before the reply came",
            "id": request["id"],
        },
    ]
    again = await back(tab, server)
    await tab.do("connection.send('next')")
    assert await again.hear() == {"type": "next"}


async def test_request_is_in_doubt_when_time_runs_out(tab: Tab, server: Scripted) -> None:
    """By its own time or by the connection's; a reply that comes later changes nothing."""
    line = await connected(tab, server, timeout=2000)
    await tab.do("ask('slow'); ask('slower', 0, { timeout: 3000 }); ask('slowest', 0, { timeout: Infinity })")
    slow, slower, slowest = [await line.hear() for _ in range(3)]

    await tab.pass_ms(1999)
    assert await tab.has_been_told_all()
    await tab.pass_ms(1)
    kind, error = await tab.next()
    assert ("rejected", "InDoubtError", "in doubt: time ran out after 2000 ms", slow["id"]) == (
        kind,
        error["name"],
        error["message"],
        error["id"],
    )
    await tab.pass_ms(1000)
    assert (await tab.next())[1]["id"] == slower["id"]
    await tab.pass_ms(2**31)
    await line.say({"reply": slow["id"], "data": "late"})
    await line.say({"reply": slowest["id"], "data": "at last"})

    assert await tab.next() == ["done", "at last"]


async def test_request_that_was_never_sent_is_not_in_doubt(tab: Tab, server: Scripted) -> None:
    """Without a queue at once; with one when time runs out, and then it is not sent later either."""
    server.is_silent = True
    await tab.connect()
    await tab.do("ask('now')")
    assert await tab.next() == ["rejected", {"name": "NotSentError", "message": "not sent: not connected"}]
    await tab.do("connection.close()")
    assert await tab.status() == closed(1000, by="page")
    await tab.connect(maxQueued=1)
    await tab.do("ask('later', 0, { timeout: 100 })")

    await tab.pass_ms(100)
    error = {"name": "NotSentError", "message": "not sent: time ran out after 100 ms"}
    assert await tab.next() == ["rejected", error]
    await tab.pass_ms(9900)
    assert (await tab.status())["state"] == "reconnecting"
    server.is_silent = False
    line = await back(tab, server)
    await tab.do("connection.send('next')")

    assert await line.hear() == {"type": "next"}


async def test_requests_end_in_doubt_when_the_page_closes(tab: Tab, server: Scripted) -> None:
    """Also those that were to be sent again: nobody will."""
    line = await connected(tab, server)
    await line.remember()
    await tab.do("ask('a', 0, { resend: false }); ask('b')")
    for _ in range(2):
        await line.hear()

    await tab.do("connection.close()")

    assert await tab.status() == closed(1000, by="page")
    assert [(await tab.next())[1]["name"] for _ in range(2)] == ["InDoubtError", "InDoubtError"]


async def test_request_is_sent_again_to_a_server_that_remembers(tab: Tab, server: Scripted) -> None:
    """After each break, word for word under the same id, in order, and before all that has waited meanwhile."""
    line = await connected(tab, server, maxQueued=5)
    await line.joined("e:1")
    await line.remember()
    await tab.do("""() => {
        ask("a", 1);
        ask("no", null, { resend: false });
        ask("b", new Blob(["B"]));
        ask("c", 3);
    }""")
    a, no, b, c = [await line.hear() for _ in range(4)]
    await line.say({"reply": a["id"], "data": "a"})
    assert await tab.next() == ["done", "a"]

    line.cut()
    assert await tab.status() == reconnecting(1006)
    assert (await tab.next())[1]["id"] == no["id"]
    await tab.do("connection.send('new'); ask('d', 4)")
    again = await back(tab, server)
    assert again.resume == {"tea": "e:1"}
    await tab.do("connection.send('newer')")  # behind what is sent again, whenever that is
    await again.remember()
    assert [await again.hear() for _ in range(3)] == [b, c, {"type": "new"}]
    d = await again.hear()
    assert (d["type"], d["data"]) == ("d", 4)
    assert await again.hear() == {"type": "newer"}
    again.cut()
    assert await tab.status() == reconnecting(1006, delay=500, attempt=2)
    third = await back(tab, server, after_ms=500)
    await third.remember()
    assert [await third.hear() for _ in range(3)] == [b, c, d]
    for request in (c, d):
        await third.say({"reply": request["id"], "data": request["type"]})
    assert [await tab.next() for _ in range(2)] == [["done", "c"], ["done", "d"]]

    await tab.pass_ms(30_000 - 750)
    kind, error = await tab.next()  # its time counts from the beginning
    assert (kind, error["name"]) == ("rejected", "InDoubtError")


@pytest.mark.parametrize(
    ("names", "seconds", "waits_ms", "is_known"),
    [
        (("m", "m"), 300, 250, True),
        (("m", "n"), 300, 250, False),
        (("m", None), 300, 250, False),
        (("m", "m"), 1, 1000, False),
    ],
)
async def test_request_is_in_doubt_if_the_server_has_forgotten(  # noqa: PLR0917 -- the last four are parameters
    tab: Tab,
    server: Scripted,
    names: tuple[str, str | None],
    seconds: float,
    waits_ms: int,
    is_known: bool,
) -> None:
    """By another name of its memory, by saying nothing, or because it was too long ago; what is new is sent then."""
    line = await connected(tab, server, handshakeTimeout=2000, backoff={"first": 2 * waits_ms})
    first, second = names
    await line.remember(first, seconds)
    await tab.do("ask('a', 0, { timeout: Infinity })")
    a = await line.hear()
    line.cut()
    assert (await tab.status())["state"] == "reconnecting"
    again = await back(tab, server, after_ms=waits_ms)
    await tab.do("connection.send('new')")
    if second is None:
        await tab.pass_ms(2000)
    else:
        await again.remember(second, seconds)

    if is_known:
        assert await again.hear() == a
    else:
        kind, error = await tab.next()
        assert (kind, error["name"], error["id"]) == ("rejected", "InDoubtError", a["id"])
        assert error["message"] == "in doubt: the server does not remember whether it was handled"
    assert await again.hear() == {"type": "new"}


async def test_server_that_is_in_doubt_itself_says_so(tab: Tab, server: Scripted) -> None:
    """The promise ends in doubt then too, and not as refused."""
    line = await connected(tab, server)
    await tab.do("ask('a')")
    a = await line.hear()
    await line.say({"reply": a["id"], "error": {"code": "in_doubt", "message": "nobody knows"}})

    error = {"name": "InDoubtError", "message": "in doubt: nobody knows", "id": a["id"]}
    assert await tab.next() == ["rejected", error]


# ── Presence ──

WATCH_PRESENCE = """(room) => connection.onPresence(room, (who, change) => {
    told(["present", Object.fromEntries(who), change]);
})"""


async def test_presence_is_a_snapshot_and_what_changes_it(tab: Tab, server: Scripted) -> None:
    """Each change with all who are there then; a new snapshot replaces what was known. Other rooms do not count."""
    line = await connected(tab, server)
    await tab.do(f"() => {{ ({WATCH_PRESENCE})('tea'); }}")
    room = {"room": "tea", "at": "p:1"}
    await line.say({"type": "roomful.occupants", **room, "who": {"ada": {"n": 1}, "bob": None}})
    await line.say({"type": "roomful.occupants", **room, "room": "milk", "who": {"eve": None}})
    await line.say({"type": "roomful.presence", **room, "room": "milk", "who": "eve", "present": False})
    await line.say({"type": "roomful.presence", **room, "who": "eve", "present": True, "info": 7})
    await line.say({"type": "roomful.presence", **room, "who": "ada", "present": False})
    await line.say({"type": "roomful.occupants", **room, "who": {"joe": None}})

    assert [await tab.next() for _ in range(4)] == [
        ["present", {"ada": {"n": 1}, "bob": None}, None],
        ["present", {"ada": {"n": 1}, "bob": None, "eve": 7}, {"who": "eve", "present": True, "info": 7}],
        ["present", {"bob": None, "eve": 7}, {"who": "ada", "present": False, "info": None}],
        ["present", {"joe": None}, None],
    ]
    assert await tab.do("connection.positions") == {}


async def test_presence_handler_can_be_taken_away(tab: Tab, server: Scripted) -> None:
    """It hears nothing more then, and others do."""
    line = await connected(tab, server)
    await tab.do(f"() => {{ const off = ({WATCH_PRESENCE})('tea'); ({WATCH_PRESENCE})('tea'); off(); }}")
    await line.say({"type": "roomful.occupants", "room": "tea", "at": "p:1", "who": {}})

    assert await tab.next() == ["present", {}, None]
    assert await tab.has_been_told_all()


async def test_ids_are_no_other_requests(tab: Tab, server: Scripted) -> None:
    """Neither in this connection nor in another; one of the page's own is not taken twice at a time."""
    line = await connected(tab, server)
    await tab.do("ask('a'); ask('b'); ask('c', 0, { id: 'own' }); ask('d', 0, { id: 'own' })")
    ids = [(await line.hear())["id"] for _ in range(3)]
    assert (await tab.next())[1]["name"] == "TypeError"
    other = await connected(tab, server)
    await tab.do("ask('a')")
    ids.append((await other.hear())["id"])

    assert len(set(ids)) == 4
    assert ids[2] == "own"
    assert all(len(id_) <= 200 for id_ in ids)


async def test_request_in_doubt_can_be_asked_again_under_its_id(tab: Tab, server: Scripted) -> None:
    """A page that offers *send again* gives a server that remembers ids the chance to answer as before."""
    line = await connected(tab, server)
    await tab.do("ask('buy', 1)")
    first = await line.hear()
    line.cut()
    assert await tab.status() == reconnecting(1006)
    doubt = (await tab.next())[1]
    again = await back(tab, server)

    await tab.do("(id) => ask('buy', 1, { id, timeout: Infinity })", doubt["id"])

    assert await again.hear() == first
    await tab.pass_ms(30_000)  # when time runs out for the first one, the second is another
    await again.say({"reply": doubt["id"], "data": "bought"})
    assert await tab.next() == ["done", "bought"]


# ── The file and its types ──


async def test_types_name_what_the_module_has(tab: Tab, server: Scripted) -> None:
    """Every export and every member of a connection, and no more."""
    await connected(tab, server)
    declared = files.TYPES.read_text(encoding="utf-8")

    exports = await tab.do("Object.keys(roomful).sort()")
    members = await tab.do("Object.getOwnPropertyNames(Object.getPrototypeOf(connection)).sort()")

    assert exports == sorted(re.findall(r"^export (?:class|function) (\w+)", declared, re.MULTILINE))
    [body] = re.findall(r"^export interface Connection \{\n(.*?)^\}", declared, re.MULTILINE | re.DOTALL)
    names = re.findall(r"^  (?:readonly )?(\w+)[(<:]", body, re.MULTILINE)
    assert members == sorted(["constructor", *names])
