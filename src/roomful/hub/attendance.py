"""Attendance: who is in which room through this process, and what of it has not been said yet.

Pure: connections come and go, time passes, and it answers what is to be told. Somebody is present from the first of
their connections on, until the last one has gone and the room's grace time has passed.
"""

from __future__ import annotations

import heapq
from itertools import islice
from typing import TypeAlias

from ..core.names import RoomName

__all__ = ("Attendance", "News")

News: TypeAlias = tuple[RoomName, str, bytes | None]
"""A room, a name, and what it says of itself, or None when it has gone."""

_Key: TypeAlias = tuple[RoomName, str]


class _Somebody:
    __slots__ = ("count", "info", "is_in_doubt", "is_looked_at", "told", "until")

    def __init__(self) -> None:
        self.count = 0
        self.info: bytes | None = None
        self.told: bytes | None = None
        self.is_in_doubt = False
        self.until = 0.0
        self.is_looked_at = False


class Attendance:
    """Counts connections by room and name.

    What is to be told is not an event but a state: of somebody who came and went while the layer was away nothing is
    told, and whatever fails is told later as it is then.
    """

    __slots__ = ("_known", "_looks", "_news", "_telling")

    def __init__(self) -> None:
        self._known: dict[_Key, _Somebody] = {}
        self._news: dict[_Key, None] = {}
        self._telling: set[_Key] = set()
        # When to look whether somebody's grace time has passed; everybody stands there at most once.
        self._looks: list[tuple[float, _Key]] = []

    def __len__(self) -> int:
        return sum(one.info is not None for one in self._known.values())

    @property
    def has_news(self) -> bool:
        """Whether something is to be told."""
        return bool(self._news)

    @property
    def next_look(self) -> float | None:
        """When `look` has something to do, or None for never."""
        return self._looks[0][0] if self._looks else None

    def is_told(self, room: RoomName) -> bool:
        """Whether all that is known of a room has been told."""
        return not any(key[0] == room for key in (*self._news, *self._telling))

    def enter(self, room: RoomName, who: str, info: bytes) -> None:
        """Count a connection in; what it says of itself replaces what was said before."""
        key = room, who
        one = self._known.get(key)
        if one is None:
            one = self._known[key] = _Somebody()
        one.count += 1
        one.info = info
        self._compare(key, one)

    def describe(self, room: RoomName, who: str, info: bytes) -> None:
        """Replace what somebody who is in the room says of itself."""
        one = self._known[room, who]
        one.info = info
        self._compare((room, who), one)

    def leave(self, room: RoomName, who: str, until: float) -> None:
        """Count a connection out; after the last one somebody is still present `until` a time."""
        key = room, who
        one = self._known[key]
        one.count -= 1
        if not one.count:
            one.until = until
            self._look_at(key, one)

    def look(self, now: float) -> None:
        """Know that time has passed."""
        while self._looks and self._looks[0][0] <= now:
            _, key = heapq.heappop(self._looks)
            one = self._known[key]
            one.is_looked_at = False
            if one.count:
                continue  # it came back, and is looked at when it goes again
            if one.until > now:
                self._look_at(key, one)
            else:
                one.info = None
                self._compare(key, one)

    def take(self, limit: int) -> list[News]:
        """Return what is to be told now, of each somebody at most one thing until `told` or `failed` has answered."""
        keys = list(islice(self._news, limit))
        news: list[News] = []
        for key in keys:
            del self._news[key]
            self._telling.add(key)
            news.append((*key, self._known[key].info))
        return news

    def told(self, news: News) -> None:
        """Know that something has been told."""
        key, one = self._answered(news)
        one.told = news[2]
        one.is_in_doubt = False
        self._compare(key, one)

    def failed(self, news: News) -> None:
        """Know that something could not be told, or that nobody knows whether it was; it is news again."""
        key, one = self._answered(news)
        one.is_in_doubt = True
        self._compare(key, one)

    def _answered(self, news: News) -> tuple[_Key, _Somebody]:
        key = news[0], news[1]
        self._telling.remove(key)
        return key, self._known[key]

    def _compare(self, key: _Key, one: _Somebody) -> None:
        if key in self._telling:
            return  # compared again with the answer
        if one.info != one.told or one.is_in_doubt:
            self._news[key] = None
            return
        self._news.pop(key, None)
        if one.info is None and not one.count:
            del self._known[key]

    def _look_at(self, key: _Key, one: _Somebody) -> None:
        if not one.is_looked_at:
            one.is_looked_at = True
            heapq.heappush(self._looks, (one.until, key))
