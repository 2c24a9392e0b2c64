"""Limits: every bound that Roomful keeps, with its unit, its default and its reason.

A limit bounds one connection or one hub; nothing here bounds a whole machine.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from .errors import LimitError
from .names import MAX_ROOM_NAME_BYTES

__all__ = ("Limits",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of a hub and of each of its connections.

    Raises:
        LimitError: A value is not positive, or two values contradict each other.
    """

    max_room_name_bytes: int = 200
    """Longest room name, in bytes of UTF-8: it is repeated in every event's frame."""

    max_message_bytes: int = 16 * 1024 * 1024
    """Largest message that a client may send; a larger one closes its connection with 1009.
    16 MiB is what uvicorn allows too, where its own setting (`--ws-max-size`) rules."""

    max_inbox_messages: int = 64
    """Messages of one connection that may wait for their handler before its socket is no longer read."""

    max_inbox_bytes: int = 256 * 1024
    """Bytes that may wait likewise. One message always may, however large it is."""

    max_dispatch_messages: int = 256
    """Dispatches to its groups that may wait for the handlers of one consumer."""

    max_dispatch_bytes: int = 256 * 1024
    """Bytes that may wait likewise. One dispatch always may, however large it is."""

    answer_ttl_s: float = 300.0
    """Time for which the answer to a message with an `id` is kept for a client that named itself."""

    max_answers_per_client: int = 1000
    """Answers that are kept for one client in one process; more than three a second for as long as they are kept."""

    max_answer_bytes: int = 16 * 1024
    """Longest answer that is kept, in bytes of JSON."""

    in_doubt_after_s: float = 5.0
    """Time for which a message that is sent again waits for its first copy, where another process handles that."""

    max_outbox_messages: int = 512
    """Frames that may wait for one member behind a full transport before it is let go."""

    max_outbox_bytes: int = 4 * 1024 * 1024
    """Bytes that may wait likewise. One frame always may, however large it is.
    The bytes are shared between members: a push to a thousand slow members is kept once."""

    max_write_buffer_bytes: int = 64 * 1024
    """Bytes handed to a transport before it counts as full, asyncio's own default."""

    max_batch_frames: int = 32
    """Frames of one room that are joined at most before they are written."""

    max_batch_bytes: int = 32 * 1024
    """Bytes that are joined likewise: past this a system call no longer dominates the cost."""

    max_presence_info_bytes: int = 1024
    """What somebody may say of itself in a room with presence, in bytes of JSON: every member gets it."""

    max_rooms_per_connection: int = 1000
    """Rooms that one connection may be a member of; a bound on what one client can make the hub keep."""

    handshake_timeout_s: float = 30.0
    """Time that `connect` may take before the connection is accepted."""

    ping_interval_s: float = 20.0
    """Time without a byte from a client after which it is pinged; below the idle time of usual proxies (60 s)."""

    ping_timeout_s: float = 20.0
    """Time that a client has to give a sign of life after a ping."""

    write_deadline_s: float = 30.0
    """Time in which a member whose transport is full must take at least one byte."""

    linger_s: float = 2.0
    """Time that a slow member has to read its close frame before its connection is aborted."""

    handler_grace_s: float = 2.0
    """Time that a handler has, once its connection has ended, to finish what was received before it is cancelled."""

    cancel_timeout_s: float = 5.0
    """Time that a cancelled handler has to end before `disconnect` runs without waiting for it."""

    disconnect_timeout_s: float = 10.0
    """Time that a consumer's `disconnect` may take before it is cancelled."""

    close_timeout_s: float = 10.0
    """Time that closing a hub may take before it stops waiting."""

    drain_timeout_s: float = 10.0
    """Time that handlers have to finish when the server stops, before their connections are closed all the same."""

    drain_spread_s: float = 5.0
    """Time over which connections are closed then, so that not all of them come back at one moment.
    Few take less: some 200 are closed a second."""

    max_handler_threads: int = 32
    """Threads that run handlers written with `def`."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise LimitError(f"{field.name} is {value}; expected more than 0")
        if self.max_room_name_bytes > MAX_ROOM_NAME_BYTES:
            raise LimitError(
                f"max_room_name_bytes is {self.max_room_name_bytes}; the most is {MAX_ROOM_NAME_BYTES}"
            )
