"""Every error that Roomful raises, as one tree.

    RoomfulError
    ├── RoomNameError (ValueError)            a room's name is too long or not printable
    ├── EventTypeError (ValueError)           an event's type is reserved or not a name
    ├── PositionError (ValueError)            a text is not a position
    ├── LimitError (ValueError)               a limit has a value that cannot work
    ├── PolicyError (ValueError)              a room policy cannot work, or does not fit what it is used for
    ├── PresenceError (ValueError)            who is present has a name or an info that cannot be shown
    ├── PushKeyError (ValueError)             an idempotency key is empty, too long or not printable
    ├── NotEncodable (TypeError)              an event's data cannot be written as JSON
    ├── ConsumerError (TypeError)             a consumer class is written wrongly
    ├── RouteError (ValueError)               a route or a router is written wrongly
    ├── InvalidMessage (ValueError)           a client's message does not fit; becomes an error reply
    ├── ReplyError                            a handler refuses a message; becomes an error reply
    ├── Refuse                                a consumer refuses a connection
    ├── NotAuthenticated                      a token, a ticket or another credential does not hold
    ├── Forbidden                             a principal may not do what its client asks for
    ├── InvalidState                          the call does not fit the state
    │   ├── ConnectionClosed                  the connection has ended or is ending
    │   ├── TooManyRooms                      the connection is in as many rooms, or groups, as it may be
    │   ├── InboxFull                         consumers of a group had no room for a dispatch
    │   ├── RoomFull                          the room has as many members as it may have
    │   ├── HubClosed                         the hub has been closed
    │   ├── WrongLoop                         the hub belongs to another running event loop
    │   └── UnexpectedMessage (RuntimeError)  an ASGI message out of order
    ├── ClientDisconnected (OSError)          an ASGI `send` after the client has gone
    ├── UnknownConnection (LookupError)       no connection has this id
    └── LayerError                            the layer cannot do what was asked
        ├── LayerAway                         the layer cannot be reached now; nothing was done
        ├── PushInDoubt                       a push may have taken effect; nobody can know
        └── NotShared                         a layer of one process stands under several

No message, text or `repr` of these errors holds a token, a ticket or a payload.
"""

from __future__ import annotations

import itertools

__all__ = (
    "ClientDisconnected",
    "ConnectionClosed",
    "ConsumerError",
    "EventTypeError",
    "Forbidden",
    "HubClosed",
    "InboxFull",
    "InvalidMessage",
    "InvalidState",
    "LayerAway",
    "LayerError",
    "LimitError",
    "NotAuthenticated",
    "NotEncodable",
    "NotShared",
    "PolicyError",
    "PositionError",
    "PresenceError",
    "PushInDoubt",
    "PushKeyError",
    "Refuse",
    "ReplyError",
    "RoomFull",
    "RoomNameError",
    "RoomfulError",
    "RouteError",
    "TooManyRooms",
    "UnexpectedMessage",
    "UnknownConnection",
    "WrongLoop",
)


class RoomfulError(Exception):
    """The root: everything that Roomful raises on purpose."""


class RoomNameError(RoomfulError, ValueError):
    """A room's name is empty, too long or not printable."""


class EventTypeError(RoomfulError, ValueError):
    """An event's type is reserved, or not a name."""


class PositionError(RoomfulError, ValueError):
    """A text is not a position that a server wrote."""


class LimitError(RoomfulError, ValueError):
    """A limit has a value that cannot work."""


class PolicyError(RoomfulError, ValueError):
    """A room policy cannot work, or does not fit what it is used for."""


class PresenceError(RoomfulError, ValueError):
    """The name of somebody who is present, or what it says of itself, is too long or not printable."""


class PushKeyError(RoomfulError, ValueError):
    """The idempotency key of a push or a dispatch is empty, too long or not printable."""


class NotEncodable(RoomfulError, TypeError):
    """An event's data cannot be written as JSON; the text names the type that stands in the way."""


class ConsumerError(RoomfulError, TypeError):
    """A consumer class is written wrongly; raised when the class or its route is made."""


class RouteError(RoomfulError, ValueError):
    """A route or a router is written wrongly; raised when it is made."""


class InvalidState(RoomfulError):
    """The call does not fit the state of its object."""


class ConnectionClosed(InvalidState):
    """The connection has ended or is ending; nothing more can be sent on it.

    Attributes:
        code: The close code, when it is known.
    """

    def __init__(self, code: int | None = None) -> None:
        self.code = code
        super().__init__("connection is closed" if code is None else f"connection is closed with code {code}")


class TooManyRooms(InvalidState):
    """The connection is in as many rooms, or in as many groups, as `Limits.max_rooms_per_connection` allows."""

    def __init__(self, limit: int, what: str = "rooms") -> None:
        self.limit = limit
        super().__init__(f"connection is in {limit} {what} already (Limits.max_rooms_per_connection)")


class InboxFull(InvalidState):
    """Consumers of a group had no room in their inbox for a dispatch; the others of the group got it.

    Attributes:
        full: How many did not get it, in this process.
        position: Where the dispatch stands in its group.
    """

    def __init__(self, full: int, position: object) -> None:
        self.full = full
        self.position = position
        super().__init__(f"{full} consumers did not take the dispatch; their inboxes are full")


class RoomFull(InvalidState):
    """The room has as many members in this process as `RoomPolicy.max_members` allows."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"room has {limit} members already (RoomPolicy.max_members)")


class HubClosed(InvalidState):
    """The hub has been closed."""

    def __init__(self) -> None:
        super().__init__("hub is closed; make a new one, or enter it again with `async with hub`")


class WrongLoop(InvalidState):
    """The hub belongs to another event loop that still lives."""

    def __init__(self) -> None:
        super().__init__(
            "hub is in use by another running event loop; use push_threadsafe from other threads"
        )


class UnexpectedMessage(InvalidState, RuntimeError):
    """An application's ASGI `send` got a message that cannot follow what was sent before.

    A `RuntimeError` too, as other servers raise.
    """


class ClientDisconnected(RoomfulError, OSError):
    """An application's ASGI `send` was called after the client had gone; an `OSError`, as ASGI asks for."""


class UnknownConnection(RoomfulError, LookupError):
    """No connection has this id: it never existed, or it has ended."""

    def __init__(self, connection_id: str) -> None:
        self.connection_id = connection_id
        super().__init__(f"no connection has the id {connection_id!a}; it may have ended")


class LayerError(RoomfulError):
    """The layer cannot do what was asked."""


class LayerAway(LayerError):
    """The layer cannot be reached now, or has as much to do as it may; what was asked had no effect."""


class PushInDoubt(LayerError):
    """A push was sent and its answer was lost for good: it may have taken effect, once, or not."""


class NotShared(LayerError):
    """A layer that reaches one process only stands under several."""


class InvalidMessage(RoomfulError, ValueError):
    """A client's message does not fit; the client gets it as an error reply and the connection lives.

    Attributes:
        code: A stable word for programs: `invalid_json`, `invalid_message`, `unknown_type`, `reserved_type`,
            `not_listening`.
        message: The field and the rule, for people.
        id: The message's own `id`, when it could be read.
    """

    def __init__(self, code: str, message: str, *, id: str | int | None = None) -> None:
        self.code = code
        self.message = message
        self.id = id
        super().__init__(message)


class ReplyError(RoomfulError):
    """Raised by a handler to answer a message with an error of its own.

    Args:
        code: A stable word for programs.
        message: A sentence for people; the client sees it.
    """

    def __init__(self, code: str, message: str = "") -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}" if message else code)


class Refuse(RoomfulError):
    """Raised in `connect` to refuse a connection.

    Before the connection is accepted the client gets an HTTP response with `status`, where the server can send one,
    and 403 elsewhere. Once it is accepted, it is closed with the close code that matches `status`.

    Args:
        status: An HTTP status from 400 to 599.
        reason: A sentence that the client may see.
        headers: Header lines of the HTTP response, such as `{"Retry-After": "30"}`.

    Raises:
        ValueError: The status is no error's, or a text cannot be written: the reason in UTF-8, headers in Latin-1.
    """

    def __init__(self, status: int = 403, reason: str = "", *, headers: dict[str, str] | None = None) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"refusal status is {status}; expected an HTTP status from 400 to 599")
        reason.encode()
        "".join(itertools.chain(*(headers or {}).items())).encode("latin-1")
        self.status = status
        self.reason = reason
        self.headers: dict[str, str] = dict(headers or {})
        super().__init__(f"{status} {reason}".rstrip())


class NotAuthenticated(RoomfulError):
    """A token, a ticket or another credential does not hold, or there is none.

    Attributes:
        why: A stable word for programs and the audit log, such as `expired` or `bad_signature`.
        message: A sentence that the client may see; it does not say how close a guess came.
    """

    def __init__(self, why: str, message: str = "credential is not valid") -> None:
        self.why = why
        self.message = message
        super().__init__(f"{message} ({why})")


class Forbidden(RoomfulError):
    """A principal may not do what its client asks for. Raised by `join` and `push` of a consumer.

    In `connect` it refuses the connection with 403, in a handler it becomes an error reply with the code `forbidden`.

    Attributes:
        message: A sentence that the client may see.
    """

    def __init__(self, message: str = "not allowed") -> None:
        self.message = message
        super().__init__(message)
