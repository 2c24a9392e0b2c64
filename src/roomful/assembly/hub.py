"""The hub, as applications use it.

It adds nothing to the engine but defaults, names and the life of an application.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import json
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Literal, Self

from ..auth.admission import Admission
from ..auth.gate import Gate
from ..auth.origins import Origins
from ..consumers import Answers, Threads
from ..core.access import Authenticator, Permissions, Principal, Stateful
from ..core.capabilities import Health, KeyedState
from ..core.close_codes import CloseCode, check_close
from ..core.deed import default_key
from ..core.errors import InvalidState
from ..core.events import Event
from ..core.limits import Limits
from ..core.names import ConnectionId
from ..core.policies import Policies, RoomPolicy
from ..core.ports import Addressed, Joined, Layer, Present, Receipt
from ..core.positions import Position
from ..hub import Engine, Statistics
from ..wire import EventsCodec, RawCodec
from .layer_url import default_layer, layer_from_url
from .reach import check_reach, keyed_state
from .workers import announced_workers, count_workers

__all__ = ("Hub",)


class Hub:
    """Rooms and connections of one process, and the way to push to them.

    It belongs to the event loop that first uses it. Enter it with `async with hub`, hand `hub.lifespan` to the
    framework, or just use it: it starts by itself, and then whoever owns the loop should `await hub.close()`.

    Args:
        layer: A layer, or its URL: `redis://…`, `rediss://…`, `unix://…`, `embedded://` or `memory://`. The default is
            what the environment variable `ROOMFUL_LAYER` names, as `roomful serve` does for several workers; else
            memory, which reaches one process.
        rooms: Policies of rooms by pattern, in which `*` stands for any characters; the first that matches a room's
            name holds. Other rooms keep no history, and let slow members go.
        limits: The bounds of each connection.
        auth: Who finds out who connects, such as `JwtAuth` or `Tickets`; several are asked in their order. Without,
            everybody may enter.
        origins: Pages of other hosts that may open a socket, such as `https://app.example.com` or
            `https://*.example.com`; or `Origins`. Pages of the own host always may, and clients that are no browsers.
        permissions: What a client may ask for in which rooms, such as `Permissions`. Without, everything.
        admission: How many may come, how fast, and how much they may send.
        fast_path: Whether connections are adopted from an interface server that offers it. Without, middleware that
            wraps `send` and `receive` sees each message.
        shared: Whether its rooms are to reach every worker process. A layer of one process under several workers is
            then an error at start; False says that each worker has rooms of its own.
    """

    def __init__(
        self,
        layer: Layer | str | None = None,
        *,
        rooms: Mapping[str, RoomPolicy] | None = None,
        limits: Limits | None = None,
        auth: Authenticator | Sequence[Authenticator] = (),
        origins: Origins | Iterable[str] = (),
        permissions: Permissions | None = None,
        admission: Admission | None = None,
        fast_path: bool = True,
        shared: bool = True,
    ) -> None:
        if isinstance(layer, str):
            layer = layer_from_url(layer)
        layer = layer or default_layer(shared=shared)
        self.limits: Limits = limits or Limits()
        self.fast_path: bool = fast_path
        self.codec: EventsCodec = EventsCodec()
        self.raw_codec: RawCodec = RawCodec()
        self.threads: Threads = Threads(self.limits.max_handler_threads)
        self.engine: Engine = Engine(layer, self.codec, self.limits, Policies(rooms or {}))
        authenticators = auth if isinstance(auth, Sequence) else (auth,)
        self.gate: Gate = Gate(
            auth=authenticators,
            origins=origins if isinstance(origins, Origins) else Origins(origins),
            permissions=permissions,
            rules=admission,
        )
        # A layer that keeps no values remembers no answers; whoever resends to such a hub is not told that it may.
        self.answers: Answers | None = Answers(layer, self.limits) if isinstance(layer, KeyedState) else None
        self.engine.tells_browsers = self.gate.rules.tell_browsers
        self.engine.revoke = self._revoke
        stateful = [one for one in authenticators if isinstance(one, Stateful)]
        for one in stateful:
            one.use_state(keyed_state(layer, one))
        # `roomful serve` says how many processes it starts, so this is found before any of them is. What others say
        # may also stand in the environment of a shell, so it counts at start.
        self._check_reach = partial(check_reach, layer, shares_rooms=shared, keeps_state=bool(stateful))
        self._check_reach(announced_workers())

    def __repr__(self) -> str:
        return f"<Hub {self.engine.layer!r}>"

    # ── Life ──

    async def start(self) -> None:
        """Start, once; whoever uses the hub does this by itself.

        Raises:
            LayerError: The layer cannot be reached or used.
            NotShared: The layer reaches one process and the server runs several.
            HubClosed: The hub has been closed.
            WrongLoop: The hub belongs to another running loop.
        """
        self._check_reach(count_workers())
        await self.engine.start()

    async def close(self) -> None:
        """Close every connection with 1001, wait for their consumers within `Limits.close_timeout_s`, and stop.

        A second call does nothing. Consumers may still push while they end.
        """
        if self.engine.is_closing:
            return
        await self.engine.close()
        self.threads.stop()

    async def drain(self, timeout_s: float | None = None, spread_s: float | None = None) -> None:
        """Refuse new connections, let handlers and outboxes finish, then close with *come back* (4001), over some time.

        Returns when all have ended, or `Limits.close_timeout_s` after the last was closed. Pushes go on meanwhile, and
        the hub is to be closed afterwards. On our server this happens by itself when it is told to stop.

        Args:
            timeout_s: Seconds that handlers and outboxes have; by default `Limits.drain_timeout_s`.
            spread_s: Seconds over which the closes are spread; by default `Limits.drain_spread_s`. Few connections take
                less: some 200 are closed a second.
        """
        limits = self.limits
        await self.engine.drain(
            limits.drain_timeout_s if timeout_s is None else timeout_s,
            limits.drain_spread_s if spread_s is None else spread_s,
        )

    async def __aenter__(self) -> Self:
        self.engine.reopen()
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncGenerator[None]:
        """Run the hub as long as an application runs: `FastAPI(lifespan=hub.lifespan)`."""
        del app
        async with self:
            yield

    # ── Use ──

    async def push(
        self,
        room: str,
        message: Event | str | bytes,
        *,
        exclude: ConnectionId | Addressed | None = None,
        key: str | None = None,
        conflate: str = "",
        wait: bool = False,
        timeout_s: float = 10.0,
    ) -> Receipt:
        """Push to every member of a room.

        The members get it in the order of the receipts' positions. Nobody is waited for, unless `wait` asks for it:
        what happens to a member that does not read is the room's policy. When many pushes come in one pass of the loop,
        this gives the loop a turn.

        Args:
            room: The room's name; a room without members is no error.
            message: An event; or a text or bytes, which every member gets as they are.
            exclude: A connection that gets the position alone, usually the one whose message caused the push.
            key: An idempotency key: a second push with the same key takes no effect while the layer remembers it. In
                the handler of a message that its client may send again, the default is derived from the client's name,
                the message's `id`, and how many pushes and dispatches the handler has made before.
            conflate: In rooms with the policy `conflate`, what this event replaces in the outbox of a slow member: the
                older event with the same text here.
            wait: Whether to wait first until the outbox of every member in this process is at most half full. The
                receipt then says how many of these members fell to the room's policy.
            timeout_s: Seconds to wait at most; then the push takes place as without `wait`.

        Returns:
            The position, and whether the push was a duplicate.

        Raises:
            RoomNameError: The name is too long or not printable.
            PushKeyError: The key is empty, not printable, or longer than 200 bytes.
            NotEncodable: The event's data cannot be written as JSON.
            PolicyError: The room may skip events, and a text or bytes cannot say which; or `conflate` is longer than
                1024 bytes.
            LayerError: The layer did not take the push, or nobody can know.
            HubClosed: The hub has been closed.

        Cancellation: a push that is cancelled while it is awaited may have taken effect.
        """
        excluded = _id_of(exclude)
        key = default_key() if key is None else key
        if wait:
            return await self.engine.pushing.push_and_wait(
                room, message, exclude=excluded, key=key, conflate=conflate, timeout_s=timeout_s
            )
        return await self.engine.pushing.push(room, message, exclude=excluded, key=key, conflate=conflate)

    def push_nowait(
        self,
        room: str,
        message: Event | str | bytes,
        *,
        exclude: ConnectionId | Addressed | None = None,
        key: str | None = None,
        conflate: str = "",
    ) -> asyncio.Future[Receipt]:
        """Push without waiting. As `push`, on a hub that has been started.

        Raises:
            InvalidState: The hub has not been started.
        """
        key = default_key() if key is None else key
        return self.engine.pushing.push_nowait(
            room, message, exclude=_id_of(exclude), key=key, conflate=conflate
        )

    def push_threadsafe(
        self,
        room: str,
        message: Event | str | bytes,
        *,
        exclude: ConnectionId | Addressed | None = None,
        key: str | None = None,
        conflate: str = "",
    ) -> concurrent.futures.Future[Receipt]:
        """Push from another thread. As `push`; the future's `result()` waits for the receipt.

        Raises:
            InvalidState: The hub has not been started, its loop has been closed, or this is the loop's own thread, in
                which waiting for the result would wait for ever.
        """
        loop = self.engine.loop
        if loop is not None and _running_loop() is loop:
            raise InvalidState("push_threadsafe is for other threads; await push, or use push_nowait")
        if loop is None or loop.is_closed():
            raise InvalidState(
                "hub is not started; enter it with `async with hub` in the thread of its event loop"
            )
        key = default_key() if key is None else key
        push = self.engine.pushing.push(room, message, exclude=_id_of(exclude), key=key, conflate=conflate)
        return asyncio.run_coroutine_threadsafe(push, loop)

    async def dispatch(
        self,
        group: str,
        event: Event,
        *,
        exclude: ConnectionId | Addressed | None = None,
        key: str | None = None,
        on_full: Literal["tell", "refuse"] = "tell",
    ) -> Receipt:
        """Dispatch an event to the consumers of a group, in whatever process: their `@on_dispatch` methods get it.

        Each consumer gets the dispatches of one dispatcher in their order, one at a time, in turns with what its client
        sends. Nobody is waited for. The inbox of a consumer is bounded (`Limits.max_dispatch_messages` and
        `max_dispatch_bytes`); one that is full does not take the dispatch, whatever the other consumers do.

        Args:
            group: The group's name; a group without consumers is no error. A room of that name is something else.
            event: The event.
            exclude: A connection whose consumer does not get it, usually the one that dispatches.
            key: An idempotency key: a second dispatch with the same key takes no effect while the layer remembers it.
            on_full: Who learns that an inbox was full. `tell`: its consumer, by `on_gap` with the exact range.
                `refuse`: the dispatcher, by `InboxFull`, for the consumers of this process; those of other processes
                are told by `on_gap`, as nothing comes back from there.

        Returns:
            The position in the group's order, and whether the dispatch was a duplicate.

        Raises:
            RoomNameError: The name is too long or not printable.
            PushKeyError: As for `push`.
            NotEncodable: The event's data cannot be written as JSON.
            InboxFull: With `refuse`: so many consumers of this process did not take it. The others have got it.
            LayerError: The layer did not take the dispatch, or nobody can know.
            HubClosed: The hub has been closed.

        Cancellation: a dispatch that is cancelled while it is awaited may have taken effect.
        """
        key = default_key() if key is None else key
        return await self.engine.groups.dispatch(
            group, event, exclude=_id_of(exclude), key=key, on_full=on_full
        )

    async def presence(self, room: str) -> Present:
        """Return who is present in a room, in whatever process.

        The room's policy has to say `presence=True`. `at` stands in the sequence of the room's presence, which is no
        order of the room itself: of the changes that members get, those up to it are counted in.

        Raises:
            RoomNameError: The name is too long or not printable.
            PolicyError: The room has no presence.
            LayerError: The layer cannot say.
            HubClosed: The hub has been closed.
        """
        await self.engine.start()
        occupants = await self.engine.attendants.present(room)
        return Present(occupants.at, {who: json.loads(info) for who, info in occupants.who.items()})

    async def send(self, connection_id: ConnectionId, message: Event | str | bytes) -> None:
        """Send to one connection, of whichever process that shares the layer.

        In this process, it goes behind all that was pushed to the connection's rooms before. To another, messages of
        this hub keep their order; nobody is told when the connection there has ended.

        Raises:
            UnknownConnection: No connection of this process has this id, and no other process can have it.
            ConnectionClosed: The connection is ending.
            NotEncodable: The event's data cannot be written as JSON.
            LayerError: The layer did not take the message for another process, or nobody can know.
        """
        if self.engine.mail.is_for_another(connection_id):
            await self.engine.start()
            await self.engine.mail.send(connection_id, message)
        else:
            self.engine.send(connection_id, message)

    async def join(
        self,
        connection_id: ConnectionId,
        room: str,
        *,
        since: Position | str | None = None,
        who: str | None = None,
        info: object = None,
    ) -> Joined:
        """Make a connection a member of a room, from outside its consumer; see `Consumer.join`.

        Raises:
            UnknownConnection: No connection has this id.
        """
        return await self.engine.residents.find(connection_id).join(room, since=since, who=who, info=info)

    async def leave(self, connection_id: ConnectionId, room: str) -> None:
        """End a connection's membership, from outside its consumer; see `Consumer.leave`.

        Raises:
            UnknownConnection: No connection has this id.
        """
        self.engine.residents.find(connection_id).leave(room)

    async def disconnect(
        self,
        connection_id: ConnectionId | None = None,
        code: int | None = None,
        reason: str = "",
        *,
        principal: Principal | str | None = None,
    ) -> None:
        """Close one connection, or all of a principal, of whichever process, behind what was written.

        A principal whose token still holds may come again: see to it that the authenticator refuses it.

        Args:
            connection_id: Which one.
            code: 1000 by default, for a principal 4500.
            reason: At most 123 bytes of UTF-8; the client sees it.
            principal: Whose connections, instead of one; none is no error.

        Raises:
            UnknownConnection: No connection of this process has this id, and no other process can have it.
            LayerError: The layer did not take the order for other processes, or nobody can know. A principal's
                connections to this process have been closed all the same.
            ValueError: The code must not be sent, or the reason is longer than 123 bytes.
            TypeError: Neither a connection nor a principal is named, or both are.
        """
        if (connection_id is None) == (principal is None):
            raise TypeError("name either a connection or a principal to disconnect")
        if connection_id is not None:
            code = CloseCode.NORMAL if code is None else code
            if self.engine.mail.is_for_another(connection_id):
                check_close(code, reason)
                await self.engine.start()
                await self.engine.mail.close(connection_id, code, reason)
            else:
                self.engine.disconnect(connection_id, code, reason)
            return
        code = CloseCode.UNAUTHORISED if code is None else code
        check_close(code, reason)
        id_ = (principal.id if isinstance(principal, Principal) else principal) or ""
        self._revoke(id_, code, reason)
        if self.engine.layer.shared:
            await self.engine.start()
            await self.engine.orders.revoke(id_, code, reason)

    def _revoke(self, principal: str, code: int, reason: str) -> None:
        for resident in self.gate.find(principal):
            resident.revoke(code, reason)

    def health(self) -> str:
        """Return what is wrong, or nothing: for the check of a load balancer, and `roomful.endpoint.HealthCheck`.

        A hub that has not been started is well, as its first use starts it.
        """
        if not self.engine.takes_connections:
            return "hub takes no more connections"
        return self._layer_problem()

    def _layer_problem(self) -> str:
        layer = self.engine.layer
        return layer.health() if isinstance(layer, Health) and self.engine.is_started else ""

    def statistics(self) -> Statistics:
        """Return what the hub has done and holds."""
        answers = self.answers
        return dataclasses.replace(
            self.engine.statistics(),
            handler_threads=self.threads.running,
            layer_problem=self._layer_problem(),
            repeated=0 if answers is None else answers.repeated,
            in_doubt=0 if answers is None else answers.in_doubt,
        )


def _id_of(exclude: ConnectionId | Addressed | None) -> ConnectionId | None:
    return exclude if exclude is None or isinstance(exclude, str) else exclude.id


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
