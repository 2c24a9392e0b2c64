"""The load of queries counts an answer from when its question was due."""

from __future__ import annotations

import asyncio
import time

from websockets.asyncio.server import ServerConnection, serve

from bench.load.asking import Answers, connect_all
from tests.integration.waiting import until


async def test_a_client_that_asks_by_the_clock_counts_what_an_answer_has_delayed() -> None:
    go_on = asyncio.Event()

    async def answer(connection: ServerConnection) -> None:
        async for message in connection:
            await go_on.wait()
            await connection.send(message)

    async with serve(answer, "127.0.0.1", 0) as server:
        [asker] = await connect_all(server.sockets[0].getsockname()[1], ["x"], 0.01)
        answers, began = Answers(), time.perf_counter()
        asker.begin(answers, until=began + 0.05)
        await until(lambda: time.perf_counter() - began > 0.1)
        go_on.set()
        await until(lambda: not asker.is_waiting and len(answers.took) == 5)
        asker.close()
    assert answers.faults == {}
    assert min(answers.took) >= 0.04
    assert answers.percentile(0.99) == max(answers.took)


async def test_an_answer_that_is_another_is_a_fault() -> None:
    async def answer(connection: ServerConnection) -> None:
        async for _ in connection:
            await connection.send("y")

    async with serve(answer, "127.0.0.1", 0) as server:
        [asker] = await connect_all(server.sockets[0].getsockname()[1], ["x"])
        answers = Answers()
        asker.begin(answers, until=time.perf_counter() + 0.01)
        await until(lambda: answers.took and not asker.is_waiting)
        asker.close()
    assert set(answers.faults) == {"answers wrong"}
