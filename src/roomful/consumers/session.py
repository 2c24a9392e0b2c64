"""A session: one consumer at work on one connection. It finds each message's handler and turns errors into replies.

It implements the port `Handler`; one message at a time is the connection's doing, not its own.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final

from ..core.deed import CURRENT, Deed
from ..core.dispatched import Dispatched, Missed
from ..core.errors import (
    ConnectionClosed,
    Forbidden,
    InvalidMessage,
    LayerError,
    ReplyError,
    RoomFull,
    RoomNameError,
    TooManyRooms,
)
from ..core.ports import Inbound, MessageId
from .answers import ClientAnswers, pack_error

if TYPE_CHECKING:
    from ..core.ports import Link
    from .consumer import ConsumerBase, Scope
    from .plan import EventPlan, Plan

__all__ = ("Session",)

logger: logging.Logger = logging.getLogger("roomful.consumers")

_FAILED: Final = "the server failed to handle this message"


class Session:
    """Implements `Handler` for a consumer.

    Args:
        consumer: The consumer, bound to its link.
        link: The connection.
        plan: What the consumer's class does with messages.
        scope: The handshake's scope, kept only where `Plan.keeps_scope`.
    """

    __slots__ = ("_answers", "_consumer", "_link", "_plan", "_scope")

    def __init__(self, consumer: ConsumerBase, link: Link, plan: Plan, scope: Scope | None) -> None:
        self._consumer = consumer
        self._link = link
        self._plan = plan
        self._scope = scope if plan.keeps_scope else None
        self._answers: ClientAnswers | None = None

    def remember(self, answers: ClientAnswers) -> None:
        """Answer a message that the client sends again as the first time; called by the endpoint before any message."""
        self._answers = answers

    async def handle(self, message: str | bytes) -> None:
        """Handle one message; see `Handler.handle`."""
        reply_to: MessageId | None = None
        plan = self._plan
        try:
            if message.__class__ is plan.verbatim:
                assert plan.verbatim_method is not None  # it comes with the type
                await plan.verbatim_method(self._consumer, message)
                return
            inbound = self._event(message)
            if inbound is None:
                # What `receive` gets is the application's own; an id in it means nothing here.
                await self._receive(message)
                return
            reply_to = inbound.id
            event = plan.events[inbound.type]
            if reply_to is not None and self._answers is not None:
                await self._handle_once(self._answers, reply_to, event, inbound)
                return
            if event.method is not None and event.decode is not None:
                result = await event.method(self._consumer, event.decode(inbound))
            else:
                args = () if event.decode is None else (event.decode(inbound),)
                result = await event.call(self._consumer, args, self._scope)
            if reply_to is not None:
                while (crowded := self._link.room_to_write()) is not None:
                    await crowded
                self._link.reply(reply_to, result)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # It awaited something that was cancelled, and was not itself.
            await self._answer_with(error, reply_to)
        except Exception as error:  # noqa: BLE001 -- logged where it is no answer
            await self._answer_with(error, reply_to)

    async def _handle_once(
        self, answers: ClientAnswers, id: MessageId, event: EventPlan, inbound: Inbound
    ) -> None:
        # What cannot be decoded takes no effect, so it is not remembered either.
        args = () if event.decode is None else (event.decode(inbound),)
        try:
            answer = await answers.claim(id)
        except LayerError as error:
            logger.debug("connection %s: a message cannot be claimed: %s", self._link.id, error)
            raise ReplyError("unavailable", "the message was not handled; try again") from None
        if answer is None:
            deed = Deed(answers.name_of(id))
            token = CURRENT.set(deed)
            try:
                answer = await self._first_answer(event, args)
            except BaseException:
                answers.abandon(id)
                raise
            finally:
                deed.end()
                CURRENT.reset(token)
            await answers.keep(id, answer)
        await self._room_to_write()
        said = json.loads(answer)
        if "error" in said:
            self._link.error(*said["error"], reply_to=id)
        else:
            self._link.reply(id, said["data"])

    async def _first_answer(self, event: EventPlan, args: tuple[object, ...]) -> bytes:
        try:
            return self._plan.codec.pack_value({"data": await event.call(self._consumer, args, self._scope)})
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return pack_error(*self._error_of(error))
        except Exception as error:  # noqa: BLE001 -- logged where it is no answer
            return pack_error(*self._error_of(error))

    def dispatched(self, item: Dispatched | Missed) -> Awaitable[None] | None:
        """Handle a dispatch, or tell `on_gap`; see `Handler.dispatched`."""
        return self._missed(item) if isinstance(item, Missed) else self._dispatched(item)

    async def _dispatched(self, item: Dispatched) -> None:
        plan = self._plan
        try:
            inbound = plan.codec.unpack(item.envelope.form, item.envelope.body)
            event = plan.dispatches.get(inbound.type)
            if event is None:
                logger.debug(
                    "connection %s: nothing handles the dispatch %r to group %r",
                    self._link.id,
                    inbound.type,
                    item.group,
                )
                return
            args = () if event.decode is None else (event.decode(inbound),)
            await event.call(self._consumer, args, self._scope)
        except ConnectionClosed:
            logger.debug("connection %s: a handler of dispatches met a closed connection", self._link.id)
        except Exception:
            logger.exception("connection %s: dispatch to group %r failed", self._link.id, item.group)

    async def _missed(self, missed: Missed) -> None:
        spec = self._plan.definition.on_gap
        if spec is None:
            # Whoever found the gap has said so already, once a second at most.
            logger.debug(
                "connection %s: dispatches to group %r are missing (%s), and its consumer has no on_gap",
                self._link.id,
                missed.group,
                missed.gap.reason,
            )
            return
        try:
            await spec.function(self._consumer, missed.group, missed.gap)
        except ConnectionClosed:
            logger.debug("connection %s: on_gap met a closed connection", self._link.id)
        except Exception:
            logger.exception("connection %s: on_gap failed", self._link.id)

    def closed(self, code: int) -> Awaitable[None] | None:
        """Run `disconnect`; see `Handler.closed`."""
        if self._plan.definition.disconnect is None:
            return None
        return self._disconnect(code)

    def _event(self, message: str | bytes) -> Inbound | None:
        """Return an event that has a handler, or None for a message that `receive` takes."""
        plan = self._plan
        if not plan.events and plan.receive is None:
            raise self._not_listening(message)
        if not plan.events or (isinstance(message, bytes) and plan.receive and not plan.takes_binary_events):
            return None
        try:
            inbound = plan.codec.read(message)
        except InvalidMessage as error:
            if plan.receive is None or error.code == "reserved_type":
                raise
            return None
        if inbound.type in plan.events:
            return inbound
        if plan.receive is None:
            raise InvalidMessage(
                "unknown_type", f"type {inbound.type[:100]!a} is not known here", id=inbound.id
            )
        return None

    async def _receive(self, message: str | bytes) -> None:
        receive = self._plan.receive
        assert receive is not None  # or `_event` had raised
        await receive.call(self._consumer, (receive.decode(message),), self._scope)

    async def _room_to_write(self) -> None:
        # A client that asks faster than it reads is held back by its own inbox, and loses nothing.
        while (crowded := self._link.room_to_write()) is not None:
            await crowded

    async def _answer_with(self, error: BaseException, reply_to: MessageId | None) -> None:
        if isinstance(error, InvalidMessage) and reply_to is None:
            reply_to = error.id
        code, text = self._error_of(error)
        await self._room_to_write()
        self._link.error(code, text, reply_to=reply_to)

    def _error_of(self, error: BaseException) -> tuple[str, str]:
        """Return code and text of what a client is told of an error."""
        code, text = "internal", _FAILED
        match error:
            case InvalidMessage():
                code, text = error.code, error.message
            case RoomNameError():
                code, text = "invalid_room", str(error)  # the name came with the message
            case RoomFull():
                code, text = "room_full", str(error)
            case TooManyRooms():
                code, text = "too_many_rooms", str(error)
            case ReplyError():
                code, text = error.code, error.message
            case Forbidden():
                code, text = "forbidden", error.message
            case ConnectionClosed():
                # Most often its own, which gets nothing any more; if it was another's, this client gets an answer.
                logger.debug(
                    "connection %s: its handler met a closed connection", self._link.id, exc_info=error
                )
            case _:
                logger.error("connection %s: handler failed", self._link.id, exc_info=error)
        return code, text

    def _not_listening(self, message: str | bytes) -> InvalidMessage:
        try:
            id_ = self._plan.codec.read(message).id
        except InvalidMessage as error:
            id_ = error.id
        return InvalidMessage(
            "not_listening", "this connection only listens; messages have no effect", id=id_
        )

    async def _disconnect(self, code: int) -> None:
        spec = self._plan.definition.disconnect
        assert spec is not None  # or `closed` had returned
        try:
            await (
                spec.function(self._consumer, code)
                if self._plan.disconnect_takes_code
                else spec.function(self._consumer)
            )
        except ConnectionClosed:
            logger.debug("connection %s: disconnect used the connection", self._link.id)
        except Exception:
            logger.exception("connection %s: disconnect failed", self._link.id)
