"""Facts: single values with a name, read out of a result in its JSON form. Pure.

What a result does not say is no fact; a cause that asks for it is then neither supported nor refuted.
The names, and what they mean in words, stand in `FACTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from roomful.probe.diagnosis import facts_of_loads, facts_of_questions, facts_of_server
from roomful.probe.diagnosis.reading import Found, Json

__all__ = ("FACTS", "Fact", "Facts", "gather")


@dataclass(frozen=True, slots=True)
class Fact:
    """One value: what it is in words, where it was seen, and when."""

    name: str
    value: float | int | str | bool
    what: str
    unit: str
    source: str
    at_s: float | None = None
    trial: int | None = None


Facts = Mapping[str, Fact]

FACTS: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
        # name: what, unit, source
        "lost.messages": ("messages that are lost on connections that stayed open", "messages", "ledger"),
        "lost.longest_run": ("longest run of neighbours that is lost", "messages", "ledger"),
        "lost.with_their_connection": ("messages were lost only where a connection ended", "", "ledger"),
        "wire.damages": ("checksums of TCP failed, or frames could not be read", "", "connections"),
        "lost.head": ("messages of a sender before its first lost one, the median", "messages", "ledger"),
        "lost.tail": ("messages of a sender behind its last lost one, the median", "messages", "ledger"),
        "lost.head_over_tail": ("messages before the first lost one, for each one behind the last", "", "ledger"),
        "lost.tail_over_head": ("messages behind the last lost one, for each one before the first", "", "ledger"),
        "lost.spread": (
            "by how much the number of messages before, or behind, the lost ones differs between bursts",
            "share", "ledger"),
        "duplicate.messages": ("messages that came twice on connections that stayed open", "messages", "ledger"),
        "reordered.messages": ("messages that came after a later one of their sender", "messages", "ledger"),
        "corrupted.messages": ("messages whose content is not what was sent", "messages", "ledger"),
        "closes.number": ("connections that were closed by the other side under load", "connections", "closes"),
        "closes.code": ("close code that most of them had", "", "closes"),
        "closes.reason": ("reason that the other side gave", "", "closes"),
        "closes.keepalive": ("share of the closes that are a keepalive's: 1011, and the reason speaks of it",
            "share", "closes"),
        "closes.under_way": ("messages under way on a connection when it was closed, the median", "messages", "closes"),
        "size.refused": ("a size that was asked for does not pass", "", "ledger"),
        "size.good": ("largest message that passes", "bytes", "ledger"),
        "size.bad": ("smallest message that does not", "bytes", "ledger"),
        "size.swallowed": ("a size that was asked for never comes back, and nothing is closed", "", "ledger"),
        "size.exact": ("whether the border is known to the byte", "", "ledger"),
        "size.code": ("close code at the border", "", "closes"),
        "server.local": ("the server is on this machine", "", "target"),
        "server.gone": ("the server cannot be reached any more", "", "baseline"),
        "server.crashed": ("the program ended by itself, nobody killed it", "", "child"),
        "server.ended": ("how the process ended", "", "child"),
        "server.pings": ("pings that the server sent by itself", "", "connections"),
        "memory.growth": ("resident memory when last seen, as a multiple of the first", "", "processes"),
        "memory.last_bytes": ("resident memory when last seen", "bytes", "processes"),
        "memory.at_peak": ("resident memory when last seen, as a share of its peak", "share", "processes"),
        "memory.oom_kills": ("processes that the kernel killed for want of memory", "", "cgroup"),
        "lone.echo_s": ("a lone message is answered after", "s", "question lone"),
        "lone.ping_s": ("a ping at rest is answered after", "s", "question lone"),
        "lone.slowness": ("a lone message takes as long as so many pings", "", "question lone"),
        "lone.blocked": (
            "by how much a ping on another connection is delayed while one message is handled, as a share of its time",
            "share", "question lone"),
        "lone.cpu": ("CPU of the server's processes for one message, as a share of its time", "share", "question lone"),
        "lone.waited": ("share of that time in which the server was ready and had no core", "share", "question lone"),
        "storm.wanted": ("connections that were wanted", "connections", "question storm"),
        "storm.in_turn": ("connections that opened one after the other", "connections", "question storm"),
        "storm.in_turn_failed": ("one after the other, not all of them opened", "", "question storm"),
        "storm.descriptors_left": (
            "descriptors that the process had left then", "", "processes"),
        "storm.slowest_s": ("one after the other, the slowest took", "s", "question storm"),
        "storm.late": ("connections that took 0.9 s or longer when all came at once", "connections", "question storm"),
        "storm.retried": ("of them, those that TCP had to ask for again", "connections", "question storm"),
        "storm.overflows": ("connections that the kernel had no room for (ListenOverflows)", "", "net"),
        "storm.backlog": ("connections that may wait to be accepted", "connections", "ss"),
        "idle.cuts": ("idle connections that were ended", "connections", "question idle"),
        "idle.age_s": ("time without traffic after which they ended, the median", "s", "question idle"),
        "idle.age_spread": ("by how much those times differ", "share", "question idle"),
        "idle.frames": ("share of them that ended with a close frame", "share", "question idle"),
        "idle.busy_lived": ("connections with a ping now and then lived on", "", "ping"),
        "network.resent": ("segments of our sockets that were sent again", "share", "tcp_info"),
        "redis.disconnections": ("subscribers that Redis closed because of their output buffer", "", "redis"),
        "generator.invalid": ("share of the loads that said nothing", "share", "generator"),
    }
)  # fmt: skip


def gather(result: Json) -> dict[str, Fact]:
    """Return the facts of a result in its JSON form."""
    found: dict[str, Fact] = {}
    readers: tuple[Callable[[Json], Iterator[Found]], ...] = (
        facts_of_loads.read,
        facts_of_questions.read,
        facts_of_server.read,
    )
    for read in readers:
        for each in read(result):
            if each.value is None:
                continue
            what, unit, source = FACTS[each.name]
            found[each.name] = Fact(each.name, each.value, what, unit, source, each.at_s, each.trial)
    return found
