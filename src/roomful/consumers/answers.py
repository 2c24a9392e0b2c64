"""Answers: what a client's message was answered with, kept for a while for a client that sends it again.

A message is claimed before it is handled, in the layer's keyed state, so that it is handled once whichever process gets
its copies. Nothing is kept for clients without a name, or of messages without an id.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..core.errors import LayerError

if TYPE_CHECKING:
    from ..core.capabilities import KeyedState
    from ..core.limits import Limits
    from ..core.ports import MessageId

__all__ = ("IN_DOUBT", "Answers", "ClientAnswers", "pack_error")

logger: logging.Logger = logging.getLogger("roomful.consumers")

_MEMORY: Final = "roomful.memory"
_MEMORY_TTL_S: Final = 366 * 24 * 3600.0
_MAX_CLIENTS: Final = 10_000  # whose answers are counted; those of others end by their time alone
_POLL_S: Final = 0.05  # between two looks at what another process has to say

_PENDING: Final = b"?"
_DONE: Final = b"="


def pack_error(code: str, message: str) -> bytes:
    """Return an answer that is an error."""
    return json.dumps({"error": [code, message]}).encode()


IN_DOUBT: Final = pack_error("in_doubt", "nobody can know whether the first copy of this message took effect")
_TOO_LONG: Final = pack_error(
    "answer_too_long", "the message was handled; its answer was too long to be kept"
)


class Answers:
    """The answers of one hub.

    Args:
        state: Where they are kept.
        limits: For how long, and how many.
        clock: A monotonic time in seconds.

    Attributes:
        ttl_s: Seconds for which an answer is kept.
        repeated: How many answers were given again.
        in_doubt: How many messages were answered as in doubt.
    """

    def __init__(
        self, state: KeyedState, limits: Limits, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.ttl_s: float = limits.answer_ttl_s
        self.repeated: int = 0
        self.in_doubt: int = 0
        self._state = state
        self._limits = limits
        self._clock = clock
        self._process = secrets.token_bytes(8)
        self._running: dict[str, asyncio.Future[bytes]] = {}
        self._kept: OrderedDict[str, deque[tuple[float, str]]] = OrderedDict()

    async def memory(self) -> str:
        """Return what this memory is called: a client that has seen another name has been forgotten.

        Raises:
            LayerError: The state cannot be read.
        """
        while (name := await self._state.get(_MEMORY)) is None:
            await self._state.put_once(_MEMORY, secrets.token_urlsafe(9).encode(), ttl_s=_MEMORY_TTL_S)
        return name.decode()

    def of(self, client: str, *, principal: str, place: str) -> ClientAnswers:
        """Return the answers of one client.

        Args:
            client: What it calls itself.
            principal: Who it is: another principal that uses the same name has other answers.
            place: What handles its messages.
        """
        return ClientAnswers(self, json.dumps([principal, place, client]))

    async def claim(self, key: str) -> bytes | None:
        """Return the answer to an earlier copy of a message, waiting for it; or None for whoever is to handle it.

        Who gets None calls `settle` in the end.

        Raises:
            LayerError: The state cannot be reached; nobody handles the message.
        """
        running = self._running.get(key)
        if running is not None and running.get_loop() is asyncio.get_running_loop():
            return self._again(await asyncio.shield(running))
        # Before anything is awaited, so that a second copy finds it.
        running = self._running[key] = asyncio.get_running_loop().create_future()
        try:
            answer = await self._claim(key)
        except BaseException:
            self.settle(key, IN_DOUBT)
            raise
        if answer is not None:
            self.settle(key, answer)
            return self._again(answer)
        return None

    async def keep(self, client: str, key: str, answer: bytes) -> None:
        """Keep an answer. What cannot be kept leaves later copies in doubt."""
        if len(answer) > self._limits.max_answer_bytes:
            answer = _TOO_LONG
        try:
            await self._state.put(key, _DONE + answer, ttl_s=self.ttl_s)
            for old in self._exceeding(client, key):
                await self._state.take_once(old)
        except LayerError as error:
            logger.debug("an answer cannot be kept: %s", error)  # a layer says itself that it is away

    def settle(self, key: str, answer: bytes) -> None:
        """Give an answer to those in this process that wait for it, and end the claim here."""
        running = self._running.pop(key, None)
        if running is not None and not running.done():
            running.set_result(answer)

    async def _claim(self, key: str) -> bytes | None:
        give_up_at = self._clock() + self._limits.in_doubt_after_s
        while not await self._state.put_once(key, _PENDING + self._process, ttl_s=self.ttl_s):
            value = await self._state.get(key)
            if value is None:
                continue  # its time has come between the two questions
            if value.startswith(_DONE):
                return value[len(_DONE) :]
            # A claim of this process that nobody works on was cut short, and another's may have died.
            if value == _PENDING + self._process or self._clock() >= give_up_at:
                return IN_DOUBT
            await asyncio.sleep(_POLL_S)
        return None

    def _again(self, answer: bytes) -> bytes:
        if answer == IN_DOUBT:
            self.in_doubt += 1
        else:
            self.repeated += 1
        return answer

    def _exceeding(self, client: str, key: str) -> list[str]:
        """Count an answer of a client; return those that are to be forgotten for it."""
        now = self._clock()
        kept = self._kept.setdefault(client, deque())
        self._kept.move_to_end(client)
        while len(self._kept) > _MAX_CLIENTS:
            self._kept.popitem(last=False)
        while kept and kept[0][0] <= now:
            kept.popleft()
        kept.append((now + self.ttl_s, key))
        return [kept.popleft()[1] for _ in range(len(kept) - self._limits.max_answers_per_client)]


class ClientAnswers:
    """The answers to one client's messages, by their ids."""

    __slots__ = ("_answers", "_client")

    def __init__(self, answers: Answers, client: str) -> None:
        self._answers = answers
        self._client = client

    def name_of(self, id: MessageId) -> str:
        """Return what a message is called among all: it tells nothing of the client and cannot be guessed."""
        return hashlib.sha256(json.dumps([self._client, id]).encode()).hexdigest()[:40]

    async def claim(self, id: MessageId) -> bytes | None:
        """Return the answer to an earlier copy, or None; see `Answers.claim`."""
        return await self._answers.claim(self._key(id))

    async def keep(self, id: MessageId, answer: bytes) -> None:
        """Keep an answer, and give it to those that wait for it."""
        try:
            await self._answers.keep(self._client, self._key(id), answer)
        finally:
            self._answers.settle(self._key(id), answer)

    def abandon(self, id: MessageId) -> None:
        """Know that there will be no answer: later copies are in doubt."""
        self._answers.settle(self._key(id), IN_DOUBT)

    def _key(self, id: MessageId) -> str:
        return f"answer:{self.name_of(id)}"
