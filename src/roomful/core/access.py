"""Access: who is behind a connection, and the ports through which that is found out and judged.

It knows no token and no rule: those are `auth`'s, or the application's own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, MutableMapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from .capabilities import KeyedState
    from .events import Event

__all__ = (
    "ANONYMOUS",
    "MAX_PRINCIPAL_ID_CHARACTERS",
    "SCOPE_OUTER",
    "SCOPE_PRINCIPAL",
    "SCOPE_TELLS",
    "SCOPE_VERIFIER",
    "SUBPROTOCOL",
    "Access",
    "Authenticator",
    "Concealing",
    "Gatekeeper",
    "Permissions",
    "Principal",
    "Prompt",
    "Scope",
    "Stateful",
    "Verifier",
)

Scope: TypeAlias = MutableMapping[str, Any]
"""An ASGI connection scope; what it holds is each server's and middleware's own."""

SCOPE_PRINCIPAL: Final = "roomful"
"""Where the principal stands in a scope."""

SCOPE_VERIFIER: Final = "roomful.verifier"
"""Where middleware leaves what can renew its principal."""

SCOPE_OUTER: Final = "roomful.outer"
"""The scope that a router has copied. Servers write its address into their logs, so secrets are taken out there too."""

SCOPE_TELLS: Final = "roomful.tells_browsers"
"""Where middleware says that refusals become close codes: of a socket that is adopted it sees none."""

SUBPROTOCOL: Final = "roomful"
"""What a client offers beside the subprotocol that holds its secret, and what it is answered with."""

MAX_PRINCIPAL_ID_CHARACTERS: Final = 255
"""An id stands in log lines and in the index of connections; `sub` of OpenID Connect has the same bound (§2)."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is connected.

    Args:
        id: A name, unique among the application's principals; empty for nobody.
        claims: What else is known, such as the claims of a token.
        expires_at: When this ceases to hold, in seconds since 1970; None for never.

    Raises:
        ValueError: The id is too long or not printable.
    """

    id: str
    claims: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    expires_at: float | None = None

    def __post_init__(self) -> None:
        # It comes from a token and goes into log lines, where a line break would begin a line of its own.
        if len(self.id) > MAX_PRINCIPAL_ID_CHARACTERS or not self.id.isprintable():
            raise ValueError(
                f"principal id is not a printable text of at most {MAX_PRINCIPAL_ID_CHARACTERS} characters"
            )

    def __repr__(self) -> str:
        # Claims may be private; logs and tracebacks show the id alone.
        return f"Principal({self.id!r}, …)"

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody is known."""
        return not self.id


ANONYMOUS: Final = Principal("")
"""Whoever nobody has asked, or whoever may enter without saying who it is."""


# ── What decides ──


@runtime_checkable
class Authenticator(Protocol):
    """Finds out who wants to connect."""

    async def authenticate(self, scope: Scope) -> Principal | None:
        """Return who a handshake says that it is, or None when it carries nothing that this authenticator reads.

        It may take secrets out of the scope, so that what comes after cannot log them.

        Raises:
            NotAuthenticated: There is a credential, and it does not hold.
            Refuse: The question cannot be answered now.
        """


@runtime_checkable
class Verifier(Protocol):
    """An authenticator that can also judge a token by itself: to renew a connection, or as its first message.

    Attributes:
        takes_first_message: Whether a handshake without a token may be accepted, to bring one in the first message.
    """

    takes_first_message: bool

    async def verify(self, token: str) -> Principal:
        """Return who a token says that it is.

        Raises:
            NotAuthenticated: It does not hold.
            Refuse: The question cannot be answered now.
        """


@runtime_checkable
class Prompt(Protocol):
    """An authenticator that may be known to wait for nobody, so that nobody has to bound its time."""

    @property
    def never_waits(self) -> bool:
        """Whether it has its answer at once."""


@runtime_checkable
class Concealing(Protocol):
    """An authenticator that can take its secrets out of a handshake that is refused before it was asked."""

    def conceal(self, scope: Scope) -> None:
        """Take them out, whatever they are; raises nothing."""


@runtime_checkable
class Stateful(Protocol):
    """An authenticator that keeps something for a while, which every process must see."""

    def use_state(self, state: KeyedState) -> None:
        """Take the state of the hub's layer; called when the hub is made."""


class Permissions(Protocol):
    """Says what a principal may do, wherever a client asks for it."""

    def may_join(self, principal: Principal, room: str) -> bool | Awaitable[bool]:
        """Whether it may become a member of a room."""

    def may_push(
        self, principal: Principal, room: str, message: Event | str | bytes
    ) -> bool | Awaitable[bool]:
        """Whether it may push this to a room."""


# ── What a connection has of it ──


class Access(Protocol):
    """What its consumer knows of who is behind a connection."""

    @property
    def principal(self) -> Principal:
        """Who it is, at present."""

    async def check_join(self, room: str) -> None:
        """Return if its client may join a room.

        Raises:
            Forbidden: It may not.
        """

    async def check_push(self, room: str, message: Event | str | bytes) -> None:
        """Return if its client may push to a room.

        Raises:
            Forbidden: It may not.
        """


class Gatekeeper(Protocol):
    """Stands between a connection and its handler. No method raises or blocks.

    Where it watches, its connection counts every message: it takes `message_cost`, and the length shifted by
    `byte_shift`, from `left`. Done there it costs a third of what a call would. The gatekeeper is asked when less than
    nothing is left, or when it attends.

    Attributes:
        watches: Whether messages are counted.
        attends: Whether it is asked about every message.
        left: What the client may still send, in units.
        message_cost: Units that a message takes.
        byte_shift: By how many bits its length is shifted for the units that its bytes take.
        subprotocol: What the handshake is answered with when nobody names another.
        offered: What it is answered with when it is accepted only to be closed.
        principal: Who is connected.
    """

    watches: bool
    attends: bool
    left: int
    message_cost: int
    byte_shift: int
    subprotocol: str | None
    offered: str | None
    principal: Principal

    def admits(self, message: str | bytes) -> bool:
        """Whether the handler gets a message that has been counted. May hold back the reading, or close."""

    def ended(self) -> None:
        """Know that nothing of the connection runs any more. Called once."""
