"""Statistics: what a hub has done and holds, as one frozen object.

It is a copy; nothing in it changes later.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ("Counters", "Statistics")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """A hub at one moment.

    Attributes:
        connections: Connections that live, from handshake to end.
        ending: Connections that have ended and whose handler or `disconnect` still runs.
        rooms: Rooms with a member or a join under way.
        memberships: Members over all rooms.
        paused: Members whose transport is full.
        outbox_bytes: Bytes that wait for them; a frame shared by several counts for each.
        pushes: Pushes that this hub has published.
        deliveries: Events written or queued, one for each member that got one.
        flushes: Batches written.
        let_go: Members let go, by reason: `slow`, `stale`, `stuck`, `broken`, `gap`.
        stuck_handlers: Handlers that were cancelled and have not ended in time.
        unhandled: Messages that were received and dropped because their connection had ended and its handler did not
            finish in time.
        handler_threads: Calls of handlers written with `def` that wait or run in threads.
    """

    connections: int
    ending: int
    rooms: int
    memberships: int
    paused: int
    outbox_bytes: int
    pushes: int
    deliveries: int
    flushes: int
    let_go: dict[str, int]
    stuck_handlers: int
    unhandled: int
    handler_threads: int = 0


@dataclass(slots=True)
class Counters:
    """What only grows."""

    pushes: int = 0
    deliveries: int = 0
    flushes: int = 0
    stuck_handlers: int = 0
    unhandled: int = 0
    let_go: dict[str, int] = field(default_factory=dict)
