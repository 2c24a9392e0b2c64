"""Statistics: what a hub has done and holds, as one frozen object.

It is a copy; nothing in it changes later.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

__all__ = ("Counters", "Statistics")

_MAX_ROOMS: Final = 1000  # whose slow members are counted one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """A hub at one moment.

    Attributes:
        connections: Connections that live, from handshake to end.
        ending: Connections that have ended and whose handler or `disconnect` still runs.
        rooms: Rooms with a member or a join under way.
        memberships: Members over all rooms.
        groups: Groups with a consumer of this process, or one that is about to be.
        group_memberships: Consumers over all groups.
        present: Names that are present through this process, over all rooms with presence.
        paused: Members whose transport is full.
        outbox_bytes: Bytes that wait for them; a frame shared by several counts for each.
        pushes: Pushes that this hub has published.
        deliveries: Events written or queued, one for each member that got one.
        flushes: Batches written.
        dispatches: Dispatches that this hub has published.
        dispatched: Dispatches that inboxes of consumers have taken.
        inbox_full: Dispatches that an inbox did not take because it was full; its consumer or the dispatcher was told.
        undispatched: Dispatches that waited in an inbox when their connection ended.
        let_go: Members let go, by reason: `slow`, `stale`, `stuck`, `broken`, `gap`.
        slow: How often a room's policy was applied to a slow member, by room and policy: members let go, events
            skipped. Of the rooms the last thousand to which it happened; what happened in others stands under the empty
            name.
        gaps: Notices that went to all members of a room or a group, because the layer had lost events.
        stuck_handlers: Handlers that were cancelled and have not ended in time.
        unhandled: Messages that were received and dropped because their connection had ended and its handler did not
            finish in time.
        repeated: Answers that were given again to a client that had sent a message again.
        in_doubt: Messages of such clients of which nobody can know whether their first copy took effect.
        layer_problem: Why the layer is away; empty when it is not.
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
    slow: dict[str, dict[str, int]]
    gaps: int
    stuck_handlers: int
    unhandled: int
    groups: int = 0
    group_memberships: int = 0
    dispatches: int = 0
    dispatched: int = 0
    inbox_full: int = 0
    undispatched: int = 0
    present: int = 0
    repeated: int = 0
    in_doubt: int = 0
    handler_threads: int = 0
    layer_problem: str = ""


@dataclass(slots=True)
class Counters:
    """What only grows."""

    pushes: int = 0
    deliveries: int = 0
    flushes: int = 0
    stuck_handlers: int = 0
    unhandled: int = 0
    gaps: int = 0
    dispatches: int = 0
    dispatched: int = 0
    inbox_full: int = 0
    undispatched: int = 0
    let_go: dict[str, int] = field(default_factory=dict)
    slow: OrderedDict[str, dict[str, int]] = field(default_factory=OrderedDict)

    def count_slow(self, room: str, policy: str) -> None:
        """Count that a room's policy was applied to a slow member."""
        counts = self.slow.setdefault(room, {})
        counts[policy] = counts.get(policy, 0) + 1
        if room:
            self.slow.move_to_end(room)
        while len(self.slow) > _MAX_ROOMS + 1:
            oldest = next(name for name in self.slow if name)
            others = self.slow.setdefault("", {})
            for name, count in self.slow.pop(oldest).items():
                others[name] = others.get(name, 0) + count
