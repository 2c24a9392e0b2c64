"""Find out who gets what one client sends: itself, everybody, or nobody but an answer comes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from roomful.probe.adapter import Adapter
from roomful.probe.connection import Connection
from roomful.probe.errors import Unmeasurable
from roomful.probe.fleet import Fleet
from roomful.probe.marks import Marker, find_mark
from roomful.probe.mode import Mode
from roomful.probe.payloads import make_recipe
from roomful.probe.template import Template

__all__ = ("Detected", "detect_mode")

_RUN = "detect"
_SIZE = 128
# After the first answer: others come in the same moment, if they come.
_MORE_S = 0.15


@dataclass(frozen=True, slots=True)
class Detected:
    """What was found: the mode, and how long the first answer took."""

    mode: Mode
    rtt_s: float


@dataclass(slots=True)
class _Ear:
    """Note who got the message."""

    first_at: float = 0.0
    marked: set[int] = field(default_factory=set)
    plain: set[int] = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def received(self, connection: Connection, messages: list[tuple[int, bytes, int, int]]) -> None:
        """Note who got what."""
        self.first_at = self.first_at or asyncio.get_running_loop().time()
        for _, data, start, end in messages:
            found = find_mark(data, start, end)[1]
            (self.plain if found is None else self.marked).add(connection.number)
        self.changed.set()

    def resumed(self, connection: Connection) -> None:
        """Nothing waits here."""

    def closed(self, connection: Connection) -> None:
        """End the waiting."""
        self.changed.set()


async def detect_mode(fleet: Fleet, adapter: Adapter, *, payload: str, timeout_s: float = 3.0) -> Detected:
    """Send one message from one of two clients and see who gets it.

    Raises:
        Unreachable: two connections cannot be opened.
        Unmeasurable: nobody gets anything, or the server closes.
    """
    loop = asyncio.get_running_loop()
    first, second, *_ = await fleet.open(2)
    ear = _Ear()
    first.listener = second.listener = ear
    recipe = make_recipe(payload if payload in ("text", "binary") else "binary", _SIZE)
    template = Template(recipe, adapter.around(0), first.key_byte)
    # Greetings of the server are no answers.
    await asyncio.sleep(0.05)
    ear.plain.clear()
    began = loop.time()
    ear.first_at = 0.0
    first.write(b"".join(template.parts(Marker(_RUN, 0).mark(0, 0)[0])))
    try:
        async with asyncio.timeout(timeout_s):
            while not (ear.marked or ear.plain) and first.end is None:
                ear.changed.clear()
                await ear.changed.wait()
        await asyncio.sleep(_MORE_S)
    except TimeoutError:
        pass
    first.listener = second.listener = None
    rtt_s = max(ear.first_at - began, 1e-4)
    if {0, 1} <= ear.marked:
        return Detected(Mode.BROADCAST, rtt_s)
    if 0 in ear.marked:
        return Detected(Mode.ECHO, rtt_s)
    if first.end is not None:
        end = first.end
        raise Unmeasurable(
            f"the server closed the connection with code {end.code} {end.reason}".rstrip()
            + " on the first message; see --payload, --adapter and --subprotocol"
        )
    if 0 in ear.plain:
        return Detected(Mode.ACK, rtt_s)
    what = (
        "only another client gets what one sends"
        if ear.marked
        else f"nothing came back within {timeout_s:g} s"
    )
    raise Unmeasurable(f"{what}; the probe needs an echo, a broadcast or an answer: see --adapter and --mode")
