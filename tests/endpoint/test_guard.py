"""The guard: who is connected and until when, on a loop whose time nobody waits for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from roomful import (
    Admission,
    Consumer,
    Event,
    Hub,
    LayerError,
    NotAuthenticated,
    Permissions,
    Principal,
    Refuse,
    on,
)
from roomful.auth.gate import Gate
from tests.clock import after, now, settled
from tests.endpoint.calls import RESPONSES, Call, log

ADA = Principal("ada", {"role": "guest"}, 1100.0)


class Names:
    """An authenticator to whom a name is a token; its time begins at 1000."""

    takes_first_message = False

    def __init__(self) -> None:
        self.known: dict[str, Principal] = {"ada": ADA}
        self.waits: Callable[[], Awaitable[None]] | None = None
        self.raises: Exception | None = None

    async def authenticate(self, scope: Any) -> Principal | None:
        token = scope.get("token")
        return None if token is None else await self.verify(token)

    async def verify(self, token: str) -> Principal:
        if self.waits is not None:
            await self.waits()
        if self.raises is not None:
            raise self.raises
        if token not in self.known:
            raise NotAuthenticated("unknown")
        return self.known[token]


class Guarded(Consumer):
    """Notes who is there."""

    async def connect(self) -> None:
        log.append(("connect", self.principal.id))

    @on("who")
    async def who(self) -> object:
        return dict(self.principal.claims)

    @on("join")
    async def to_join(self, room: str) -> None:
        await self.join(room)

    @on("push")
    async def to_push(self, room: str) -> None:
        await self.push(room, Event("pushed"))

    async def disconnect(self, code: int) -> None:
        log.append(("disconnect", code))


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def call(hub: Hub, names: Names) -> Callable[..., Call]:
    def call(
        token: str | None = "ada", *, permissions: Any = None, consumer: Any = Guarded, **rules: Any
    ) -> Call:
        hub.gate = Gate(
            auth=(names,), permissions=permissions, rules=Admission(**rules), clock=lambda: 1000.0 + now()
        )
        return Call(consumer, hub, token=token, **RESPONSES)

    return call


def refresh(token: str, id_: int | None = None) -> str:
    message: dict[str, Any] = {"type": "roomful.refresh", "data": {"token": token}}
    return json.dumps(message if id_ is None else {**message, "id": id_})


def said(call: Call) -> list[Any]:
    return [json.loads(message) for message in call.server.messages]


def closed(call: Call) -> tuple[int, str]:
    last = call.server.sent[-1]
    assert last["type"] == "websocket.close"
    return last["code"], last["reason"]


async def test_warning_then_end(call: Callable[..., Call]) -> None:
    """Thirty seconds before the end the client is told, and at the end it is closed; each once."""
    made = call()
    await after(69)
    assert said(made) == []
    await after(1.5)
    assert said(made) == [{"type": "roomful.expiring", "data": {"expires_in": 30}}]
    await after(29)
    assert made.server.types == ["accept", "send"]
    await after(1)
    await made.ended()

    assert closed(made) == (4500, "token is expired")
    assert log == [("made", {}), ("connect", "ada"), ("disconnect", 4500)][1:]


async def test_new_token_begins_anew(call: Callable[..., Call], names: Names) -> None:
    """With its own claims, warning and end."""
    made = call()
    names.known["new"] = Principal("ada", {"role": "admin"}, 1200.0)
    await after(80)
    made.server.hears(refresh("new", 1))
    await settled()
    made.server.hears('{"type":"who","id":2}')
    await after(89)
    assert said(made) == [
        {"type": "roomful.expiring", "data": {"expires_in": 30}},
        {"reply": 1, "data": {"expires_in": 120}},
        {"reply": 2, "data": {"role": "admin"}},
    ]
    await after(2)
    assert said(made)[3]["type"] == "roomful.expiring"
    await after(30)
    await made.ended()

    assert closed(made)[0] == 4500


async def test_token_without_an_end_ends_nothing(call: Callable[..., Call], names: Names) -> None:
    """It lasts until somebody ends it."""
    names.known["ada"] = Principal("ada")
    made = call()
    await after(10**6)
    made.server.hears(refresh("ada"))
    await settled()
    assert said(made) == [{"type": "roomful.refreshed", "data": {"expires_in": None}}]
    made.server.loses()
    await made.ended()


async def test_refresh_without_an_end_takes_the_end_away(call: Callable[..., Call], names: Names) -> None:
    """What the old token said does not come true."""
    made = call()
    await settled()
    names.known["for ever"] = Principal("ada")
    made.server.hears(refresh("for ever"))
    await after(10**4)
    assert made.server.types == ["accept", "send"]
    made.server.loses()
    await made.ended()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refuse(503), "unavailable"),
        (LayerError("away"), "unavailable"),
        (NotAuthenticated("expired", "token is expired"), "unauthorised"),
        (RuntimeError("broken"), "internal"),
    ],
)
async def test_refresh_that_fails_is_answered(
    error: Exception, code: str, call: Callable[..., Call], names: Names, caplog: pytest.LogCaptureFixture
) -> None:
    """The client learns a word, the log the rest; the next one may do better."""
    made = call()
    await settled()
    names.raises = error
    made.server.hears(refresh("ada", 1))
    await settled()
    names.raises = None
    made.server.hears(refresh("ada", 2))
    await settled()

    assert said(made)[0]["error"]["code"] == code
    assert said(made)[1] == {"reply": 2, "data": {"expires_in": 100}}
    assert ("refresh failed" in caplog.text) == (code == "internal")
    made.server.loses()
    await made.ended()


async def test_one_refresh_at_a_time(call: Callable[..., Call], names: Names) -> None:
    """A flood of them is no flood of questions to the issuer; one that hangs ends with the time for it."""
    made = call(authentication_timeout_s=5)
    await settled()
    names.waits = asyncio.Event().wait
    made.server.hears(refresh("ada", 1), refresh("ada", 2), refresh("ada", 3))
    await after(6)

    assert [(answer["reply"], answer["error"]["code"]) for answer in said(made)] == [
        (2, "busy"),
        (3, "busy"),
        (1, "unavailable"),
    ]
    made.server.loses()
    await made.ended()


async def test_connection_that_is_lost_takes_its_refresh_along(
    call: Callable[..., Call], names: Names
) -> None:
    """No task of it goes on; the fixture of the hub sees that none is left."""
    made = call()
    await settled()
    names.waits = asyncio.Event().wait
    made.server.hears(refresh("ada"))
    await settled()
    made.server.loses()
    await made.ended()

    assert log[-1] == ("disconnect", 1006)


async def test_client_that_is_lost_while_it_is_asked_leaves_nothing(
    call: Callable[..., Call], names: Names, hub: Hub
) -> None:
    """Nobody is counted who never came in."""
    names.waits = asyncio.Event().wait
    made = call(authentication_timeout_s=5)
    await after(6)
    await made.ended()

    assert made.server.sent[0]["status"] == 503
    assert hub.gate._census.count == 0


async def test_first_message_must_come_in_time(call: Callable[..., Call], names: Names) -> None:
    """Five seconds, not a message that is something else, and not a moment when nobody is there."""
    names.takes_first_message = True
    silent = call(None, authentication_timeout_s=5)
    await after(6)
    await silent.ended()
    assert closed(silent) == (4500, "authentication timed out")

    gone = call(None, authentication_timeout_s=5)
    await settled()
    gone.server.loses()
    await gone.ended()

    talking = call(None)
    await settled()
    talking.server.hears('{"type":"who"}')
    await talking.ended()
    assert closed(talking) == (4500, "first message is not roomful.authenticate")
    assert [entry for entry in log if entry[0] == "connect"] == []


async def test_client_that_pauses_is_not_closed(call: Callable[..., Call]) -> None:
    """Held back twice with a second between is not one long flood; without the pause it is."""
    made = call(messages_per_s=10, burst_s=1, close_after_s=1)
    await settled()
    for _ in range(5):
        made.server.hears(*['{"type":"who"}'] * 15)
        await after(3)
    assert "close" not in made.server.types

    made.server.hears(*['{"type":"who"}'] * 80)
    await after(10)
    await made.ended()
    assert closed(made) == (4502, "too many messages")


async def test_permissions_are_asked_for_what_a_client_asks(call: Callable[..., Call], hub: Hub) -> None:
    """A join or a push in its name is an error reply; server code is not asked."""
    permissions = Permissions()

    @permissions.join("of:{name}")
    async def own(principal: Principal, name: str) -> bool:
        return principal.id == name

    @permissions.push("of:{name}")
    def guests(principal: Principal, message: object, name: str) -> bool:
        return principal.claims["role"] == "admin"

    made = call(permissions=permissions)
    await settled()
    made.server.hears(
        '{"type":"join","data":"of:ada","id":1}',
        '{"type":"join","data":"of:bob","id":2}',
        '{"type":"push","data":"of:ada","id":3}',
    )
    await settled()
    await hub.push("of:ada", Event("news"))
    await settled()

    answers = {answer.get("reply", answer.get("type")): answer for answer in said(made)}
    assert answers[1]["data"] is None
    assert answers[2]["error"] == {"code": "forbidden", "message": "not allowed to join this room"}
    assert answers[3]["error"] == {"code": "forbidden", "message": "not allowed to push to this room"}
    assert "news" in answers
    made.server.loses()
    await made.ended()


async def test_permission_in_connect_refuses(call: Callable[..., Call]) -> None:
    """With 403, as any other refusal."""

    class Joiner(Consumer):
        async def connect(self) -> None:
            await self.join("closed")

    made = call(permissions=Permissions(), consumer=Joiner)
    await made.ended()

    assert made.server.sent[0]["status"] == 403


async def test_hub_without_a_door_makes_no_guard(hub: Hub) -> None:
    """Nothing is kept for a connection that nobody guards; its principal is nobody."""
    made = Call(Guarded, hub)
    await settled()

    assert [connection.guard for connection in hub.engine.residents] == [None]
    assert log[-1] == ("connect", "")
    made.server.loses()
    await made.ended()


async def test_time_alone_does_not_release_a_full_inbox(call: Callable[..., Call], hub: Hub) -> None:
    """Two hold the reading back, the rate and the inbox; it goes on when neither does."""
    gate = asyncio.Event()

    class Slow(Guarded):
        @on("wait")
        async def wait(self) -> None:
            await gate.wait()

    made = call(consumer=Slow, messages_per_s=2, burst_s=1)
    await settled()
    made.server.hears(*['{"type":"wait"}'] * 20)
    await after(30)
    [connection] = hub.engine.residents
    taken = made.server.taken
    assert not connection.reads
    assert taken < 8

    gate.set()
    await after(30)
    assert connection.reads
    assert made.server.taken == 21
    made.server.loses()
    await made.ended()
