"""Publishing without an event loop: for views, task queues, cron and the shell, over redis-py.

Each thread of each process is a producer of its own, because a server knows a repeated push by its producer's last
number: two threads that share one could overtake each other, and the later push would be taken for a repeated one.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from typing import Any, Final, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ...core.errors import LayerAway, LayerError, PushInDoubt
from ...core.names import RoomName
from ...core.ports import Receipt
from ...core.positions import Position
from .address import Address
from .keys import Keys
from .library import SOURCE, function
from .publisher import Bounds

__all__ = ("BlockingPublisher",)

_PAUSE_S: Final = 0.05
_SOCKET_TIMEOUT_S: Final = 2.0


class _Producer(threading.local):
    """The producer of one thread; a process that was forked has another."""

    def __init__(self) -> None:
        self.process = 0
        self.name = ""
        self.number = 0

    def next(self) -> tuple[str, int]:
        if self.process != os.getpid():
            self.process, self.name, self.number = os.getpid(), secrets.token_hex(8), 0
        self.number += 1
        return self.name, self.number


class BlockingPublisher:
    """Publishes and waits for the answer. Any thread may use it, also after a fork.

    Args:
        address: The server.
        keys: The names of keys.
        bounds: How long a push may take, and what the server remembers.
    """

    def __init__(self, address: Address, keys: Keys, bounds: Bounds) -> None:
        self._address = address
        self._keys = keys
        self._bounds = bounds
        self._producer = _Producer()
        self._identity = b""
        tls: dict[str, Any] = dict(address.tls or {})
        if "ssl_check_hostname" in tls:
            tls["ssl_check_hostname"] = tls["ssl_check_hostname"].lower() in {"1", "true", "yes"}
        where: dict[str, Any] = (
            {"unix_socket_path": address.path}
            if address.path
            else {"host": address.host, "port": address.port, "ssl": address.tls is not None, **tls}
        )
        # redis-py would send a command again whose answer was lost; whether that is right is decided here.
        self._redis = redis.Redis(
            db=address.database,
            username=address.username or None,
            password=address.password or None,
            socket_timeout=_SOCKET_TIMEOUT_S,
            socket_connect_timeout=_SOCKET_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            **where,
        )

    def close(self) -> None:
        """Close its connections."""
        self._redis.close()

    def publish(self, room: RoomName, payload: bytes, *, key: str | None, keep: str) -> Receipt:
        """Publish; ask again for an answer that was lost.

        Raises:
            LayerAway: The server was not reached within `Bounds.hold_s`; the push had no effect.
            PushInDoubt: It was sent, and its answer was lost for good.
            LayerError: The server has refused it.
        """
        producer, number = self._producer.next()
        keys = self._keys.room(room)
        names = [keys.meta, keys.stream, keys.producer(producer)]
        if key is not None:
            names.append(keys.key(key))
        bounds = self._bounds
        times = (int(s * 1000) for s in (bounds.idle_room_s, bounds.producer_ttl_s, bounds.key_ttl_s))
        until = time.monotonic() + bounds.hold_s
        since = b""
        tail = (keep, *times, number, payload)
        while True:
            try:
                identity = self._identity or self._learn()
                if not since:
                    until = time.monotonic() + bounds.answer_timeout_s
                known, since = since, since or identity
                answer = self._redis.fcall(
                    function("publish"), len(names), *names, keys.channel, known, *tail
                )
                epoch, first, is_known, last_known, is_again = cast(
                    "tuple[bytes, int, int, int, int]", answer
                )
                offset = first if is_again or not is_known else last_known
                return Receipt(Position(epoch.decode(), offset), duplicate=bool(is_known) and not is_again)
            except redis.ResponseError as error:
                if "Function not found" not in str(error):
                    raise self._explained(error) from None
                self._learn()
            except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
                self._identity = b""
                if isinstance(error, redis.AuthenticationError):
                    raise LayerError(f"{self._address} asks for another user name or password") from None
                if time.monotonic() >= until:
                    raise self._given_up(was_sent=bool(since)) from None
                time.sleep(_PAUSE_S)

    def _learn(self) -> bytes:
        for attempt in range(2):
            try:
                self._identity = cast("bytes", self._redis.fcall(function("hello"), 0))
                break
            except redis.ResponseError as error:
                if attempt or "Function not found" not in str(error):
                    raise LayerError(f"{self._address} cannot be used: {error}") from None
            try:
                self._redis.function_load(SOURCE, replace=True)
            except redis.ResponseError as error:
                raise LayerError(
                    f"{self._address} takes no functions ({error}); expected Redis 7 or Valkey 8"
                ) from None
        return self._identity

    def _explained(self, error: redis.ResponseError) -> LayerError:
        if str(error).startswith("DOUBT"):
            return self._given_up(was_sent=True)
        return LayerError(f"push was refused: server says: {error}")

    def _given_up(self, *, was_sent: bool) -> LayerError:
        if was_sent:
            return PushInDoubt(
                f"push may have taken effect; {self._address} went away before it had answered"
            )
        return LayerAway(f"push was refused, {self._address} is away")
