"""Admission: how many may come, how fast, and how much they may send; the settings, and the counting of who is in.

Both are pure: the time is passed in. They close nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields

from ..core.errors import LimitError, Refuse
from .bucket import Bucket, Buckets

__all__ = ("Admission", "Census")


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Who may enter a hub, beside who they are. What is None is not limited.

    Raises:
        LimitError: A number is not positive.
    """

    max_connections: int | None = None
    """Connections of this process in all; beyond it a handshake is refused with 503."""

    max_per_address: int | None = None
    """Connections of one address, of IPv6 one /64; beyond it 429. Set `trusted_proxies` first: behind a proxy that is
    not trusted all clients have its address."""

    max_per_principal: int | None = None
    """Connections of one principal in this process; beyond it 429."""

    handshakes_per_s: float | None = None
    """Handshakes a second in all; beyond it 503."""

    handshakes_per_s_per_address: float | None = None
    """Handshakes a second of one address, failed ones included; beyond it 429. It bounds how fast tokens are tried."""

    messages_per_s: float | None = None
    """Messages a second of one connection; beyond it its socket is not read for a while, and nothing is lost."""

    bytes_per_s: float | None = None
    """Bytes a second of one connection, likewise; of a text its characters. Where both rates are set they add up: a
    message takes its share of the one and its share of the other."""

    burst_s: float = 2.0
    """Seconds' worth of the four rates above that may come at once."""

    close_after_s: float | None = None
    """Time for which a connection may be held back without a pause before it is closed with 4502; None for ever."""

    authentication_timeout_s: float = 10.0
    """Time in which it must be known who connects, a first message included; beyond it 503, or 4500."""

    expiry_warning_s: float = 30.0
    """Time before the end of a token at which its client is told, by `roomful.expiring`."""

    retry_after_s: float = 5.0
    """What a client that is refused for now is told to wait."""

    anonymous: bool = False
    """Whether a handshake without a credential may enter where the hub has an authenticator."""

    tell_browsers: bool = False
    """Whether what is refused is accepted first and then closed with the matching code. A page can read a code; of an
    HTTP response it learns nothing."""

    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks whose `X-Forwarded-For` counts; `unix` for a Unix socket."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and not isinstance(value, bool) and not value > 0:
                raise LimitError(f"{field.name} is {value}; expected more than 0")

    @property
    def retry_after(self) -> dict[str, str]:
        """The header that says when to come back."""
        return {"Retry-After": f"{max(1, round(self.retry_after_s))}"}

    @property
    def limits_messages(self) -> bool:
        """Whether messages are counted."""
        return self.messages_per_s is not None or self.bytes_per_s is not None


class Census:
    """Counts who is in, and how fast they come.

    Args:
        rules: The settings.
        now: The time, monotonic, in seconds.
    """

    __slots__ = ("_by_address", "_by_principal", "_count", "_rate", "_rates", "_rules")

    def __init__(self, rules: Admission, now: float) -> None:
        self._rules = rules
        self._count = 0
        self._by_address: Counter[str] = Counter()
        self._by_principal: Counter[str] = Counter()
        per_s, per_address = rules.handshakes_per_s, rules.handshakes_per_s_per_address
        self._rate = None if per_s is None else Bucket(per_s, max(1.0, per_s * rules.burst_s), now)
        self._rates = (
            None if per_address is None else Buckets(per_address, max(1.0, per_address * rules.burst_s))
        )

    def __repr__(self) -> str:
        return f"<Census connections={self._count} addresses={len(self._by_address)}>"

    @property
    def count(self) -> int:
        """Connections that are in."""
        return self._count

    def enter(self, address: str | None, now: float) -> None:
        """Count a connection in.

        Raises:
            Refuse: One more would be too many, or too fast; nothing is counted but the try.
        """
        rules = self._rules
        if self._rates is not None and address is not None and not self._rates.take(address, now):
            raise self._refusal(429, "too many handshakes")
        if address is not None and _is_at(self._by_address[address], rules.max_per_address):
            raise self._refusal(429, "too many connections of this address")
        if self._rate is not None and not self._rate.take(now):
            raise self._refusal(503, "too many handshakes")
        if _is_at(self._count, rules.max_connections):
            raise self._refusal(503, "too many connections")
        self._count += 1
        if address is not None:
            self._by_address[address] += 1

    def identify(self, principal: str) -> None:
        """Count a connection that is in as this principal's too.

        Raises:
            Refuse: One more would be too many.
        """
        if _is_at(self._by_principal[principal], self._rules.max_per_principal):
            raise self._refusal(429, "too many connections of this principal")
        self._by_principal[principal] += 1

    def leave(self, address: str | None, principal: str) -> None:
        """Count a connection out."""
        self._count -= 1
        for counter, key in ((self._by_address, address), (self._by_principal, principal)):
            if key:
                counter[key] -= 1
                if not counter[key]:
                    del counter[key]

    def _refusal(self, status: int, reason: str) -> Refuse:
        return Refuse(status, reason, headers=self._rules.retry_after)


def _is_at(count: int, limit: int | None) -> bool:
    return limit is not None and count >= limit
