"""Waiting: what waits for one handler, its client's messages and what was dispatched to it, in one order.

It runs nothing: whoever derives from it is told that there is something to do.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from ..core.dispatched import Missed
from .dispatch_inbox import DispatchInbox
from .inbox import Inbox

if TYPE_CHECKING:
    from ..core.limits import Limits
    from .dispatch_inbox import Item
    from .statistics import Counters

__all__ = ("Waiting",)


class Waiting:
    """The half of a connection's turns that keeps what cannot be handled yet.

    Attributes:
        inbox: What waits, or None while nothing does.
    """

    __slots__ = ("_counters", "_dispatches", "_limits", "inbox")

    def __init__(self, limits: Limits, counters: Counters) -> None:
        self._limits = limits
        self._counters = counters
        self.inbox: Inbox | None = None
        self._dispatches: DispatchInbox | None = None

    @property
    @abstractmethod
    def _takes_dispatches(self) -> bool:
        """Whether a handler is there for what is dispatched."""

    @abstractmethod
    def _wake(self) -> None:
        """Know that something waits that was not there before; nothing is run before this has returned."""

    def dispatch(self, item: Item, *, note: bool) -> bool:
        """Queue what was dispatched, behind all that waits. Returns False when it is not taken, which `note` has told.

        It never runs a handler before it returns: a dispatcher that is a handler itself would run its like inside it.
        """
        if not self._takes_dispatches:
            return True  # nobody is left to be told
        if self._dispatches is None:
            self._dispatches = DispatchInbox(
                max_messages=self._limits.max_dispatch_messages, max_bytes=self._limits.max_dispatch_bytes
            )
        turns = len(self._dispatches)
        if isinstance(item, Missed):
            self._dispatches.miss(item)
            is_taken = True
        else:
            is_taken = self._dispatches.offer(item)
            if not is_taken and note:
                self._dispatches.note(item)
        for _ in range(len(self._dispatches) - turns):
            inbox = self._new_inbox() if self.inbox is None else self.inbox
            inbox.put_turn()
            self._wake()
        return is_taken

    def _new_inbox(self) -> Inbox:
        limits = self._limits
        self.inbox = Inbox(max_messages=limits.max_inbox_messages, max_bytes=limits.max_inbox_bytes)
        return self.inbox

    def _drop_messages(self) -> int:
        """Drop what waits; return how many messages that were, which are counted."""
        dropped = 0 if self.inbox is None else self.inbox.messages
        self._counters.unhandled += dropped
        self.inbox = None
        return dropped

    def _drop_dispatches(self) -> None:
        # The end overtakes them: whoever dispatches to a consumer that has gone has nobody to tell.
        if self._dispatches is not None:
            self._counters.undispatched += self._dispatches.dispatches
            self._dispatches = None
