"""Pushing from anywhere in a Django project: views, signals, commands, Celery, a shell.

Where the process has a hub at work, its own hub pushes; elsewhere a producer of the same layer does.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import SyncToAsync
from django.core.signals import setting_changed
from django.db import transaction
from django.dispatch import receiver

from ..assembly import Producer
from ..core.errors import InvalidState, LayerError
from ..core.events import Event
from .conf import configuration
from .runtime import get_hub

if TYPE_CHECKING:
    from ..core.names import ConnectionId
    from ..core.ports import Addressed, Receipt

__all__ = ("apush", "push", "push_on_commit")

TIMEOUT_S: Final = 30.0
"""Time for which a thread waits for the hub of its process. It answers at once unless its loop is blocked."""

_lock = threading.Lock()
_producer: Producer | None = None


def push(
    room: str,
    message: Event | str | bytes,
    *,
    exclude: ConnectionId | Addressed | None = None,
    key: str | None = None,
    conflate: str = "",
) -> Receipt:
    """Push to every member of a room, and wait for the receipt. For sync code, in any thread.

    Args:
        room: The room's name; a room without members is no error, and keeps the event if its policy says so.
        message: An event; or a text or bytes, which every member gets as they are.
        exclude: A connection that gets the position alone.
        key: An idempotency key; see `Hub.push`.
        conflate: What the event replaces in the outbox of a slow member; see `Hub.push`.

    Returns:
        The position, and whether the push was a duplicate.

    Raises:
        RoomNameError, PushKeyError, NotEncodable, PolicyError: As `Hub.push`.
        LayerError: The layer did not take the push, or it reaches no other process and this one has no hub at work.
        InvalidState: An event loop runs in this thread; use `await apush(…)`.
    """
    if _running_loop() is not None:
        raise InvalidState("push would stop the event loop of this thread; use `await apush(…)`")
    options: dict[str, Any] = {"exclude": _id_of(exclude), "key": key, "conflate": conflate}
    loop = _loop_of_hub()
    if loop is not None:
        return _wait_for(get_hub().push(room, message, **options), loop)
    producer = _get_producer()
    if producer is not None:
        return producer.push(room, message, **options)
    # An ASGI server runs sync views in threads beside its loop, also before the first connection has come.
    loop = getattr(SyncToAsync.threadlocal, "main_event_loop", None)
    if loop is not None and loop.is_running():
        return _wait_for(get_hub().push(room, message, **options), loop)
    raise LayerError(
        "this process has no hub at work, and without a layer none can be reached; name one: "
        "ROOMFUL = {'LAYER': 'redis://…'}"
    )


async def apush(
    room: str,
    message: Event | str | bytes,
    *,
    exclude: ConnectionId | Addressed | None = None,
    key: str | None = None,
    conflate: str = "",
) -> Receipt:
    """Push to every member of a room. As `push`, for async code on any event loop."""
    options: dict[str, Any] = {"exclude": _id_of(exclude), "key": key, "conflate": conflate}
    loop = _loop_of_hub()
    if loop is asyncio.get_running_loop():
        return await get_hub().push(room, message, **options)
    if loop is not None:
        pushing = asyncio.run_coroutine_threadsafe(get_hub().push(room, message, **options), loop)
        return await asyncio.wrap_future(pushing)
    producer = _get_producer()
    if producer is not None:
        # Its own connection stays with this loop; a thread's does with the process.
        return await asyncio.to_thread(producer.push, room, message, **options)
    return await get_hub().push(room, message, **options)


def push_on_commit(
    room: str,
    message: Event | str | bytes,
    *,
    using: str | None = None,
    exclude: ConnectionId | Addressed | None = None,
    key: str | None = None,
    conflate: str = "",
) -> None:
    """Push once the transaction that is under way has been committed; without one, at once. For sync code.

    Nobody sees what was rolled back, and nobody asks the database for what is not there yet. A push that fails then is
    logged by Django: the transaction is committed, and nobody could take it back.

    Args:
        using: Which database.
        room: As for `push`, and so the others.
        message: See `push`.
        exclude: See `push`.
        key: See `push`.
        conflate: See `push`.
    """

    # A function, because Django names it when it logs what it raised.
    def push_committed() -> None:
        push(room, message, exclude=exclude, key=key, conflate=conflate)

    transaction.on_commit(push_committed, using=using, robust=True)


def _wait_for(pushing: Coroutine[Any, Any, Receipt], loop: asyncio.AbstractEventLoop) -> Receipt:
    future = asyncio.run_coroutine_threadsafe(pushing, loop)
    try:
        return future.result(TIMEOUT_S)
    except TimeoutError:
        future.cancel()
        raise LayerError(
            f"hub of this process did not answer within {TIMEOUT_S:g} s; its event loop is blocked"
        ) from None


def _loop_of_hub() -> asyncio.AbstractEventLoop | None:
    loop = get_hub().engine.loop
    return loop if loop is not None and loop.is_running() and not get_hub().engine.is_closing else None


def _get_producer() -> Producer | None:
    global _producer  # noqa: PLW0603 -- one for each process, as the hub
    layer = configuration().hub["layer"]
    if not isinstance(layer, str) or not layer.startswith(("redis://", "rediss://", "unix://")):
        return None
    with _lock:
        if _producer is None:
            _producer = Producer(layer, rooms=configuration().hub["rooms"])
        return _producer


def _id_of(exclude: ConnectionId | Addressed | None) -> ConnectionId | None:
    return exclude if exclude is None or isinstance(exclude, str) else exclude.id


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


@receiver(setting_changed)
def _forget(*, setting: str, **_: object) -> None:
    global _producer  # noqa: PLW0603 -- as above
    if setting == "ROOMFUL":
        _producer = None
