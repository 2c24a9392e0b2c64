"""Tickets: once, for a short time, and useless to whoever reads the store."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomful import Hub, InvalidState, JwtAuth, LayerError, NotAuthenticated, NotShared, Principal, Tickets
from roomful.auth import TicketApp
from tests.auth.keys import SECRET, token
from tests.auth.scopes import scope
from tests.auth.states import State
from tests.fakes import FakeLayer

ADA = Principal("ada", {"role": "x"}, 2000.0)


class Scene:
    """Tickets, a state, and a time that only the test changes."""

    def __init__(self, **options: Any) -> None:
        self.now = 1000.0
        self.state = State(lambda: self.now)
        self.tickets = Tickets(clock=lambda: self.now, **options)
        self.tickets.use_state(self.state)


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def why(tickets: Tickets, handshake: dict[str, Any]) -> str:
    with pytest.raises(NotAuthenticated) as caught:
        await tickets.authenticate(handshake)
    return caught.value.why


@pytest.mark.parametrize("place", ["query", "subprotocol"])
async def test_ticket_lets_in_for_whom_it_was_issued(place: str, scene: Scene) -> None:
    """With its claims and its end, from both places."""
    ticket = await scene.tickets.issue(ADA)
    handshake = (
        scope(query=f"a=1&ticket={ticket}")
        if place == "query"
        else scope(subprotocols=("roomful", f"roomful.ticket.{ticket}"))
    )

    principal = await scene.tickets.authenticate(handshake)

    assert principal == ADA
    assert ticket not in repr(handshake)


async def test_ticket_holds_once(scene: Scene) -> None:
    """The second time it is unknown."""
    ticket = await scene.tickets.issue(ADA)
    await scene.tickets.verify(ticket)

    assert await why(scene.tickets, scope(query=f"ticket={ticket}")) == "unknown_ticket"
    assert scene.state.values == {}


async def test_of_all_that_show_it_at_once_one_gets_in(scene: Scene) -> None:
    """Whatever their number."""
    ticket = await scene.tickets.issue(ADA)

    found = await asyncio.gather(
        *(scene.tickets.authenticate(scope(query=f"ticket={ticket}")) for _ in range(50)),
        return_exceptions=True,
    )

    assert sum(isinstance(principal, Principal) for principal in found) == 1


async def test_ticket_holds_for_a_short_time(scene: Scene) -> None:
    """Thirty seconds by default, and no longer than the principal."""
    late = await scene.tickets.issue(ADA)
    scene.now += 31
    assert await why(scene.tickets, scope(query=f"ticket={late}")) == "unknown_ticket"

    ending = await scene.tickets.issue(Principal("ada", {}, scene.now + 5))
    scene.now += 6
    assert await why(scene.tickets, scope(query=f"ticket={ending}")) == "expired"


async def test_store_knows_no_ticket(scene: Scene) -> None:
    """Whoever reads it finds hashes."""
    ticket = await scene.tickets.issue(ADA)

    assert ticket not in repr(scene.state.values)
    assert len(ticket) == 43
    assert ticket != await scene.tickets.issue(ADA)


async def test_without_a_ticket_there_is_nobody(scene: Scene) -> None:
    """Then another authenticator may be asked."""
    assert await scene.tickets.authenticate(scope(query="a=1")) is None


@pytest.mark.parametrize("text", ["", "x", "é", "x" * 65, "x" * 1_000_000, "\0", "%00", "a b"])
async def test_ticket_that_is_none_does_not_hold(text: str, scene: Scene) -> None:
    """Whatever it looks like."""
    assert "ticket" in await why(scene.tickets, scope(query=f"ticket={text}"))


@given(st.text(max_size=80))
async def test_no_text_is_a_ticket(text: str) -> None:
    """Nothing is let in, and nothing else is raised."""
    scene = Scene()
    await scene.tickets.issue(ADA)
    with pytest.raises(NotAuthenticated):
        await scene.tickets.verify(text)


async def test_ticket_is_for_somebody(scene: Scene) -> None:
    """Nobody gets none; claims must be JSON."""
    with pytest.raises(ValueError, match="anonymous"):
        await scene.tickets.issue(Principal(""))
    with pytest.raises(ValueError, match="cannot be written as JSON"):
        await scene.tickets.issue(Principal("ada", {"x": object()}))


async def test_tickets_without_a_hub_say_so() -> None:
    """There is no place to keep them."""
    with pytest.raises(InvalidState, match="no hub uses these tickets"):
        await Tickets().issue(ADA)


def test_layer_that_keeps_nothing_is_refused_at_once() -> None:
    """The error says what is missing."""
    with pytest.raises(LayerError, match="Tickets needs a layer that keeps values for a while; FakeLayer"):
        Hub(FakeLayer(), auth=Tickets())


def test_time_to_live_is_positive() -> None:
    """A ticket that never holds is a mistake."""
    with pytest.raises(ValueError, match="ttl_s is 0"):
        Tickets(ttl_s=0)


# ── The bare endpoint ──


async def ask(
    app: TicketApp, method: str = "POST", *headers: tuple[str, str]
) -> tuple[int, dict[str, str], bytes]:
    sent: list[dict[str, Any]] = []

    async def send(event: Any) -> None:
        sent.append(event)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    await app({**scope(*headers), "type": "http", "method": method}, receive, send)
    lines = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], lines, sent[1]["body"]


@pytest.fixture
def app(scene: Scene) -> TicketApp:
    return TicketApp(scene.tickets, auth=JwtAuth(key=SECRET, algorithms=["HS256"]))


async def test_endpoint_gives_a_ticket_for_a_token(app: TicketApp, scene: Scene) -> None:
    """Not to be stored by anything on its way."""
    scene.now = 1.0  # the token's end is far away
    status, headers, body = await ask(app, "POST", ("authorization", f"Bearer {token()}"))

    answer = json.loads(body)
    assert (status, headers["cache-control"], answer["expires_in"]) == (200, "no-store", 30)
    assert (await scene.tickets.verify(answer["ticket"])).id == "ada"


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [("POST", (), 401), ("POST", (("authorization", "Bearer x"),), 401), ("GET", (), 405), ("HEAD", (), 405)],
)
async def test_endpoint_gives_nothing_else(method: str, headers: Any, status: int, app: TicketApp) -> None:
    """Without a token that holds, or by a link."""
    answered = await ask(app, method, *headers)

    assert answered[0] == status
    assert {401: "www-authenticate", 405: "allow"}[status] in answered[1]


async def test_endpoint_is_for_requests(app: TicketApp) -> None:
    """Another scope is the program's mistake."""
    with pytest.raises(ValueError, match="expected 'http'"):
        await app(scope(), None, None)  # type: ignore[arg-type] # not reached


def test_tickets_of_one_process_under_several_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker that is shown a ticket would often not be the one that issued it."""

    class Keeping(FakeLayer, State):
        shared = False

        def __init__(self) -> None:
            FakeLayer.__init__(self)

    monkeypatch.setenv("ROOMFUL_WORKERS", "2")
    with pytest.raises(NotShared, match="tickets of one process are unknown to the other 1"):
        Hub(Keeping(), auth=Tickets(), shared=False)
