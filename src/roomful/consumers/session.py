"""A session: one consumer at work on one connection. It finds each message's handler and turns errors into replies.

It implements the port `Handler`; one message at a time is the connection's doing, not its own.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final

from ..core.errors import ConnectionClosed, InvalidMessage, ReplyError
from ..core.ports import MessageId

if TYPE_CHECKING:
    from ..core.ports import Link
    from .consumer import ConsumerBase, Scope
    from .plan import Plan

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

    __slots__ = ("_consumer", "_link", "_plan", "_scope")

    def __init__(self, consumer: ConsumerBase, link: Link, plan: Plan, scope: Scope | None) -> None:
        self._consumer = consumer
        self._link = link
        self._plan = plan
        self._scope = scope if plan.keeps_scope else None

    def handle(self, message: str | bytes) -> Awaitable[None] | None:
        """Handle one message; see `Handler.handle`."""
        return self._handle(message)

    def closed(self, code: int) -> Awaitable[None] | None:
        """Run `disconnect`; see `Handler.closed`."""
        if self._plan.definition.disconnect is None:
            return None
        return self._disconnect(code)

    async def _handle(self, message: str | bytes) -> None:
        reply_to: MessageId | None = None
        try:
            plan = self._plan
            inbound = None
            if plan.events and (plan.takes_binary_events or isinstance(message, str) or plan.receive is None):
                try:
                    inbound = plan.codec.read(message)
                    reply_to = inbound.id
                except InvalidMessage as error:
                    if plan.receive is None or error.code == "reserved_type":
                        raise
            if inbound is not None and (event := plan.events.get(inbound.type)) is not None:
                args = () if event.decode is None else (event.decode(inbound),)
                result = await event.call(self._consumer, args, self._scope)
                if reply_to is not None:
                    self._link.reply(reply_to, result)
            elif plan.receive is not None:
                reply_to = (
                    None  # what `receive` gets is the application's own; an id in it means nothing here
                )
                await plan.receive.call(self._consumer, (plan.receive.decode(message),), self._scope)
            elif inbound is not None:
                raise InvalidMessage(
                    "unknown_type", f"type {inbound.type[:100]!a} is not known here", id=inbound.id
                )
            else:
                raise self._not_listening(message)
        except InvalidMessage as error:
            self._link.error(error.code, error.message, reply_to=error.id if reply_to is None else reply_to)
        except ReplyError as error:
            self._link.error(error.code, error.message, reply_to=reply_to)
        except ConnectionClosed:
            logger.debug("connection %s: its handler met a closed connection", self._link.id, exc_info=True)
            # Most often its own, which gets nothing any more; if it was another's, this client still gets an answer.
            self._link.error("internal", _FAILED, reply_to=reply_to)
        except Exception:
            logger.exception("connection %s: handler failed", self._link.id)
            self._link.error("internal", _FAILED, reply_to=reply_to)

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
