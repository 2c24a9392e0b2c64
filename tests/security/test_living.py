"""Who is in, and until when: tokens that end, are renewed and revoked while a connection lives."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from roomful import Admission, CloseCode, Consumer, Event, Hub, JwtAuth, Principal, on
from roomful.testing import ConnectionClosed
from tests.auth.keys import SECRET, token
from tests.integration.waiting import until
from tests.security.door import Door, bearer, control, opened, timed, until_closed


def hub_with(**rules: Any) -> Hub:
    return Hub(auth=JwtAuth(key=SECRET, algorithms=["HS256"]), admission=Admission(**rules))


class Listener(Consumer):
    """Joins a room and waits."""

    async def connect(self) -> None:
        await self.join("room")

    @on("who")
    async def who(self) -> object:
        return self.principal.claims.get("role")


def soon(seconds: float = 1.2) -> float:
    return time.time() + seconds


@timed
async def test_connection_ends_with_its_token(transport: str) -> None:
    """With 4500, stay away, within a second after the end; the warning comes before."""
    async with opened(transport, hub_with(), Listener) as door:
        ends_at = soon()
        async with door.connect(headers=bearer(token(exp=ends_at))) as client:
            told = [(await client.receive()) for _ in range(2)]
            with pytest.raises(ConnectionClosed) as closed:
                await client.receive()

            assert {received.type for received in told} == {"roomful.joined", "roomful.expiring"}
            assert (closed.value.code, client.close_reason) == (CloseCode.UNAUTHORISED, "token is expired")
            assert time.time() >= int(ends_at)


@timed
async def test_warning_comes_in_time(transport: str) -> None:
    """Not before `expiry_warning_s`, and it says how long is left."""
    async with (
        opened(transport, hub_with(expiry_warning_s=2.5), Listener) as door,
        door.connect(headers=bearer(token(exp=soon(4)))) as client,
    ):
        began = time.time()
        assert (await client.receive()).type == "roomful.joined"
        warning = await client.receive()

        assert warning.type == "roomful.expiring"
        assert warning.data["expires_in"] <= 3
        assert time.time() > began


@timed
async def test_new_token_keeps_a_connection(transport: str) -> None:
    """It lives beyond the end of the old one, knows the new claims, and ends with the new one."""
    ends_at = soon(2.2)
    async with (
        opened(transport, hub_with(), Listener) as door,
        door.connect(headers=bearer(token(exp=soon()))) as client,
    ):
        await client.send(control("refresh", token(exp=ends_at, role="admin")))
        answers = [await client.receive()]
        while answers[-1].type != "roomful.refreshed":
            answers.append(await client.receive())
        await client.send('{"type":"who","id":1}')
        later, code, _ = await until_closed(client)
        answers += later

        assert code == CloseCode.UNAUTHORISED
        assert time.time() >= int(ends_at)
        types = [answer.type for answer in answers]
        assert types.index("roomful.refreshed") < len(types) - 1 - types[::-1].index("roomful.expiring")
        assert [answer.data for answer in answers if answer.reply == 1] == ["admin"]


@pytest.mark.parametrize(
    "bad",
    [
        token(sub="bob"),
        token(exp=time.time() - 5),
        token(key="another secret, which is as long as the right one"),
        "x",
        "",
    ],
    ids=["somebody else's", "expired", "other key", "no token", "empty"],
)
async def test_token_that_does_not_hold_renews_nothing(transport: str, bad: str) -> None:
    """The client is told, and the connection goes on as it was."""
    async with (
        opened(transport, hub_with(), Listener) as door,
        door.connect(headers=bearer(token(role="guest"))) as client,
    ):
        await client.receive()
        await client.send(control("refresh", bad, 1))
        error = await client.receive()
        await client.send('{"type":"who","id":2}')

        assert error.reply == 1
        assert error.error is not None
        assert error.error.code == "unauthorised"
        assert (await client.receive()).data == "guest"


async def test_guessing_in_a_connection_ends_it(transport: str) -> None:
    """Five tokens that do not hold are no mistake any more."""
    async with (
        opened(transport, hub_with(expiry_warning_s=1), Listener) as door,
        door.connect(headers=bearer(token(exp=time.time() + 500))) as client,
    ):
        await client.receive()
        for number in range(4):
            await client.send(control("refresh", "x", number))
            assert (await client.receive()).reply == number
        await client.send(control("refresh", "x"))
        with pytest.raises(ConnectionClosed) as closed:
            await client.receive()

        assert closed.value.code == CloseCode.UNAUTHORISED


@pytest.mark.parametrize(
    "message",
    [
        '{"type":"roomful.refresh"}',
        '{"type":"roomful.refresh","data":{"token":[]},"id":1}',
        '{"type":"roomful.nothing","data":{"token":"x"}}',
        '{"type":"roomful.authenticate","data":{"token":"x"}}',
        '{"type":"\\u0072oomful.refresh","data":{"token":"x"}}',
        '{"type":"roomful.refresh","data":' + "[" * 5000,
    ],
)
async def test_control_message_that_is_none_is_answered(transport: str, message: str) -> None:
    """An error, no end, and no handler has seen it."""
    async with (
        opened(transport, hub_with(expiry_warning_s=1), Listener) as door,
        door.connect(headers=bearer(token())) as client,
    ):
        await client.receive()
        await client.send(message)
        assert (await client.receive()).error is not None
        await client.send('{"type":"who","id":2}')
        assert (await client.receive()).reply == 2


@timed
async def test_consumer_that_owns_its_wire_ends_without_a_word(transport: str) -> None:
    """It gets what the application sends and nothing else; a refresh is a text like any other."""

    class Raw(Consumer, owns_wire=True):
        async def receive(self, message: str) -> None:
            await self.send(message)

    async with (
        opened(transport, hub_with(), Raw) as door,
        door.connect(headers=bearer(token(exp=soon()))) as client,
    ):
        text = control("refresh", token())
        await client.send(text)
        assert (await client.receive()).raw == text
        with pytest.raises(ConnectionClosed) as closed:
            await client.receive()

        assert closed.value.code == CloseCode.UNAUTHORISED


@timed
async def test_handler_that_runs_cannot_outlive_its_token(transport: str) -> None:
    """A connection whose `connect` still runs ends too."""
    began = asyncio.Event()

    class Slow(Consumer):
        async def connect(self) -> None:
            await self.accept()
            began.set()
            await asyncio.Event().wait()

    async with (
        opened(transport, hub_with(), Slow) as door,
        door.connect(headers=bearer(token(exp=soon()))) as client,
    ):
        await began.wait()
        _, code, _ = await until_closed(client)

        assert code == CloseCode.UNAUTHORISED


@pytest.mark.parametrize("who", ["ada", Principal("ada")])
async def test_principal_is_sent_away_from_everywhere(transport: str, who: str | Principal) -> None:
    """All of its connections, and nobody else's, with the code that the program names."""
    async with (
        opened(transport, hub_with(expiry_warning_s=1), Listener) as door,
        door.connect(headers=bearer(token())) as first,
        door.connect(headers=bearer(token())) as second,
        door.connect(headers=bearer(token(sub="bob"))) as other,
    ):
        for client in (first, second, other):
            await client.receive()
        await door.hub.disconnect(principal=who, code=4555, reason="blocked")
        await door.hub.push("room", Event("news"))

        for client in (first, second):
            assert await until_closed(client) == ([], 4555, "blocked")
        assert (await other.receive()).type == "news"
        await door.hub.disconnect(principal="nobody")


async def test_disconnect_wants_one_of_two(transport: str) -> None:
    """A connection or a principal; and a code that may be sent."""
    async with opened(transport, hub_with()) as door:
        with pytest.raises(TypeError, match="name either"):
            await door.hub.disconnect()
        with pytest.raises(TypeError, match="name either"):
            await door.hub.disconnect("x", principal="ada")  # type: ignore[arg-type] # no id at all
        with pytest.raises(ValueError, match="close code"):
            await door.hub.disconnect(principal="ada", code=1006)


async def test_nothing_is_kept_of_those_who_have_left(transport: str) -> None:
    """No principal, no deadline, no timer, however a connection ends."""
    async with opened(transport, hub_with(), Listener) as door:
        for how in range(3):
            async with door.connect(headers=bearer(token(exp=soon(900)))) as client:
                await client.receive()
                if how == 1:
                    client.abort()
                elif how == 2:
                    await door.hub.disconnect(principal="ada")
                    with pytest.raises(ConnectionClosed):
                        await client.receive()
        await door.emptied()
        await until(lambda: nothing_left(door))


def nothing_left(door: Door) -> bool:
    gate = door.hub.gate
    return not gate._residents and not len(gate._deadlines) and gate._timer is None and not gate._census.count
