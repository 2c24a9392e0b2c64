import pytest
from app import app, hub
from fastapi.testclient import TestClient

from roomful import Event
from roomful.testing import Refused, connect


@pytest.mark.asyncio
async def test_post_reaches_everybody_in_the_room() -> None:
    async with (
        hub,
        connect(app, "/ws/lobby?name=Ada") as ada,
        connect(app, "/ws/lobby?name=Bob") as bob,
    ):
        await ada.send(Event("post", "hello"), id=1)

        for window in (ada, bob):
            assert (await window.receive_event("post")).data == {"by": "Ada", "text": "hello"}
        assert (await ada.receive_reply(1)).data is None


@pytest.mark.asyncio
async def test_typing_is_not_told_to_whoever_types() -> None:
    async with (
        hub,
        connect(app, "/ws/lobby?name=Ada") as ada,
        connect(app, "/ws/lobby?name=Bob") as bob,
    ):
        await ada.send(Event("typing"), id=1)

        assert (await bob.receive_event("typing")).data == "Ada"
        await ada.receive_reply(1)


@pytest.mark.asyncio
async def test_what_does_not_fit_is_told() -> None:
    async with hub, connect(app, "/ws/lobby?name=Ada") as ada:
        await ada.send(Event("post", 7), id=1)
        await ada.receive_error("invalid_message")

        with pytest.raises(Refused) as refusal:
            async with connect(app, "/ws/lobby"):
                pass
        assert refusal.value.status == 403


@pytest.mark.asyncio
async def test_slow_member_is_let_go() -> None:
    async with hub, connect(app, "/ws/lobby?name=Ada") as ada:
        await ada.receive_event("roomful.joined")
        for number in range(1000):
            await hub.push("chat:lobby", Event("news", f"{number} " + "x" * 1000))

        assert await ada.wait_closed() == 4000
        assert hub.statistics().rooms == 0


def test_with_test_client() -> None:
    with TestClient(app) as client, client.websocket_connect("/ws/lobby?name=Ada") as ada:
        assert ada.receive_json()["type"] == "roomful.joined"
        ada.send_json({"type": "post", "data": "hello"})
        assert ada.receive_json()["data"] == {"by": "Ada", "text": "hello"}
