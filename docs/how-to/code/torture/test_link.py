import pytest
from websockets.asyncio.client import connect

from roomful.testing import FaultProxy
from roomful.testing.faults import Script, Weather
from roomful.testing.nemesis import ServerProcess

IN_PIECES = Script(to_client=Weather(delay_s=0.01, slice_bytes=7))


@pytest.mark.asyncio
async def test_client_comes_back_over_a_bad_link() -> None:
    heard = []
    async with (
        ServerProcess(["roomful", "serve", "app:app", "--port", "0"]) as server,
        FaultProxy(server.port, script=IN_PIECES) as proxy,
    ):
        async for client in connect(f"ws://127.0.0.1:{proxy.port}/nemesis/kept:room", proxy=None):
            heard.append(await client.recv())
            if len(heard) == 2:
                break
            proxy.links[0].reset()
            await client.wait_closed()

    assert heard[0] == heard[1]
