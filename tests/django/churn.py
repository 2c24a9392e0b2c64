"""Waves of consumers that come, go and change groups while messages are sent, judged by the ledger.

A program of its own, so that the peaks of memory are its own: it prints them, and what the ledger found. With a URL as
its argument the groups are on that server, else in memory.

There are two waves, or up to four while each needs more memory than the one before: how much waits at once is partly
chance, but what stays behind makes every wave greater.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import random
import resource
import secrets
import sys
import time
from collections import Counter
from typing import Any

import django
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.django.settings")
django.setup()

from roomful.channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402 -- needs Django
from roomful.channels.layers import get_channel_layer  # noqa: E402 -- needs Django
from roomful.core.ledger import Ledger  # noqa: E402 -- as above

CONSUMERS = 5000
MESSAGES = 25_000  # in each wave
GROUPS = 500
MOVES = 4  # groups that each consumer is in, one after the other
MAX_WAVES = 4
GROWTH = 1.1  # of the peak of memory, from one wave to the next, that counts as none
PAUSE = 20  # messages that are sent before the loop has a turn


class Wave:
    """What one wave has sent and received.

    Attributes:
        sent: Messages to each group, with the one that is under way.
        under_way: The group of the message that is being sent; in memory nobody else runs meanwhile.
    """

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.sent: Counter[int] = Counter()
        self.under_way: int | None = None

    async def send(self, layer: Any, group: int) -> None:
        self.sent[group] += 1
        n = self.sent[group]
        self.ledger.pushed(group, n, n)
        self.under_way = group
        await layer.group_send(f"g{group}", {"type": "numbered", "group": group, "n": n})
        self.under_way = None

    def done(self, group: int) -> int:
        """Return the last message to a group that has been sent."""
        return self.sent[group] - (self.under_way == group)


class Beat:
    """Lets those that wait go on, once for each call."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    async def wait(self) -> None:
        await self._event.wait()

    def go_on(self) -> None:
        self._event.set()
        self._event = asyncio.Event()


class Mover(AsyncWebsocketConsumer):
    """Is in one group after another, never in one twice.

    What is under way while it joins or leaves may come or not, so nobody counts it.
    """

    def __init__(self, wave: Wave, number: int) -> None:
        super().__init__()
        self.wave, self.number = wave, number
        self.group = -1
        self.last = 0
        self.open: set[tuple[int, int]] = set()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self._leave()
        group = int(text_data or "")
        before = self.wave.done(group)
        await self.channel_layer.group_add(f"g{group}", self.channel_name)
        after = self.wave.sent[group]
        self.open |= {(group, n) for n in range(before + 1, after + 1)}
        self.wave.ledger.expect(self.number, group, after=after)
        self.group, self.last = group, after

    async def numbered(self, event: dict[str, Any]) -> None:
        group, n = event["group"], event["n"]
        if (group, n) not in self.open:
            self.wave.ledger.arrived(self.number, group, n, n)
        if group == self.group:
            self.last = max(self.last, n)

    async def disconnect(self, code: int) -> None:
        # What still waited for it is not handled any more, as its client has gone.
        with contextlib.suppress(ValueError):  # of one that was in no group yet
            self.wave.ledger.ended(self.number)

    async def _leave(self) -> None:
        if self.group < 0:
            return
        await self.channel_layer.group_discard(f"g{self.group}", self.channel_name)
        until = max(self.wave.done(self.group), self.last)
        self.open |= {(self.group, n) for n in range(until + 1, self.wave.sent[self.group] + 1)}
        self.wave.ledger.left(self.number, self.group, until=until)
        self.group = -1


async def live(wave: Wave, number: int, at: Beat, choose: random.Random) -> None:
    """Be one consumer, from connect to disconnect; each step waits for the next beat of the wave."""
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def send(_: Any) -> None:
        pass

    app = asyncio.ensure_future(
        Mover.as_asgi(wave=wave, number=number)({"type": "websocket"}, events.get, send)
    )
    events.put_nowait({"type": "websocket.connect"})
    groups = choose.sample(range(GROUPS), MOVES)
    for group in groups:
        events.put_nowait({"type": "websocket.receive", "text": str(group)})
        for _ in range(choose.randint(2, 9)):
            await at.wait()
    if number % 10 == 0:
        app.cancel()  # as a server that stops: nobody says goodbye
        await asyncio.wait((app,))
    else:
        events.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await app


async def run_wave(seed: int) -> dict[str, Any]:
    """Run one wave; return what the ledger says."""
    wave, choose, layer = Wave(), random.Random(seed), get_channel_layer()
    beats = [Beat() for _ in range(50)]
    waiting = [
        asyncio.ensure_future(live(wave, number, beats[number % len(beats)], choose))
        for number in range(CONSUMERS)
    ]
    await asyncio.sleep(0)
    for number in range(MESSAGES):
        await wave.send(layer, choose.randrange(GROUPS))
        if number % PAUSE == 0:
            beats[number // PAUSE % len(beats)].go_on()
            for _ in range(3):
                await asyncio.sleep(0)
    ending = asyncio.gather(*waiting)
    while not ending.done():
        for beat in beats:
            beat.go_on()
        await asyncio.sleep(0)
    await ending
    for number in range(0, CONSUMERS, 10):
        with contextlib.suppress(ValueError):  # of one that got no turn at all
            wave.ledger.ended(number)
    faults = wave.ledger.judge().faults
    statistics = layer.statistics()
    return {
        "faults": {verdict.value: count for verdict, count in faults.items()},
        "sent": statistics.sent,
        "full": statistics.full,
        "lost": statistics.lost,
        "left": statistics.channels + statistics.groups,
    }


def grows(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether a wave needed more memory than the one before."""
    return bool(after["peak_kb"] > before["peak_kb"] * GROWTH)


async def main() -> None:
    """Run the waves."""
    if len(sys.argv) > 1:
        config = {"hosts": [sys.argv[1]], "prefix": secrets.token_hex(6)}
        settings.CHANNEL_LAYERS["default"]["CONFIG"] = config
    began = time.monotonic()
    waves: list[dict[str, Any]] = []
    while len(waves) < 2 or (len(waves) < MAX_WAVES and grows(*waves[-2:])):
        waves.append(await run_wave(len(waves) + 1))
        gc.collect()
        waves[-1]["peak_kb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        waves[-1]["seconds"] = time.monotonic() - began
    await get_channel_layer().close()
    sys.stdout.write(json.dumps(waves))


if __name__ == "__main__":
    asyncio.run(main())
