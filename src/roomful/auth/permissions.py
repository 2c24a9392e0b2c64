"""Permissions: what a principal may do in which rooms, by patterns of their names.

What no pattern allows is forbidden. Server code is not asked: `hub.push` and `hub.join` do what they are told.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar

from ..core.access import Principal
from ..core.events import Event

__all__ = ("Permissions",)

Rule: TypeAlias = Callable[..., bool | Awaitable[bool]]

R = TypeVar("R", bound=Rule)

_PARAMETER: Final = re.compile(r"\{([^{}]*)\}")


class Permissions:
    """Rules for rooms, asked in the order in which they were written; the first whose pattern fits decides.

        permissions = Permissions()
        permissions.allow("news:{topic}")

        @permissions.join("alarms:{user_id}")
        def own_alarms(principal: Principal, user_id: str) -> bool:
            return principal.id == user_id

    A pattern is a room's name in which `{name}` stands for one or more characters other than a colon, and `{name:path}`
    for any. The rule gets the principal, for `push` also the message, and the parts by their names. It may be
    `async def`. A rule that raises forbids nothing and allows nothing: the error reaches whoever asked.
    """

    __slots__ = ("_join", "_push")

    def __init__(self) -> None:
        self._join: list[tuple[re.Pattern[str], Rule]] = []
        self._push: list[tuple[re.Pattern[str], Rule]] = []

    def __repr__(self) -> str:
        return f"<Permissions join={len(self._join)} push={len(self._push)}>"

    def join(self, pattern: str) -> Callable[[R], R]:
        """Mark a rule for joining rooms.

        Raises:
            ValueError: The pattern is malformed, or the rule does not take its parts.
        """
        return _adder(self._join, pattern, ("principal",))

    def push(self, pattern: str) -> Callable[[R], R]:
        """Mark a rule for pushing to rooms.

        Raises:
            ValueError: The pattern is malformed, or the rule does not take its parts.
        """
        return _adder(self._push, pattern, ("principal", "message"))

    def allow(self, pattern: str, *, join: bool = True, push: bool = False) -> None:
        """Let everybody join rooms, or push to them.

        Raises:
            ValueError: The pattern is malformed.
        """
        for wanted, rules in ((join, self._join), (push, self._push)):
            if wanted:
                rules.append((_compile(pattern)[0], _always))

    async def may_join(self, principal: Principal, room: str) -> bool:
        """Whether a principal may become a member of a room."""
        return await _ask(self._join, room, principal)

    async def may_push(self, principal: Principal, room: str, message: Event | str | bytes) -> bool:
        """Whether a principal may push this to a room."""
        return await _ask(self._push, room, principal, message)


async def _ask(rules: list[tuple[re.Pattern[str], Rule]], room: str, *values: object) -> bool:
    for pattern, rule in rules:
        found = pattern.fullmatch(room)
        if found is not None:
            answer = rule(*values, **found.groupdict())
            # Only True allows: a coroutine that somebody forgot to await would be true too.
            return (await answer if inspect.isawaitable(answer) else answer) is True
    return False


def _adder(
    rules: list[tuple[re.Pattern[str], Rule]], pattern: str, values: tuple[str, ...]
) -> Callable[[R], R]:
    compiled, names = _compile(pattern)

    def add(rule: R) -> R:
        try:
            inspect.signature(rule).bind(*values, **dict.fromkeys(names))
        except TypeError as error:
            expected = ", ".join((*values, *names))
            raise ValueError(f"rule for {pattern!r} does not take ({expected}): {error}") from None
        rules.append((compiled, rule))
        return rule

    return add


def _compile(pattern: str) -> tuple[re.Pattern[str], list[str]]:
    regex, names, end = "", [], 0
    for found in _PARAMETER.finditer(pattern):
        name, _, kind = found[1].partition(":")
        if not name.isidentifier() or kind not in ("", "path") or name in names:
            raise ValueError(
                f"pattern {pattern!r} has the part {found[0]!r}; expected {{name}} or {{name:path}}"
            )
        names.append(name)
        regex += re.escape(pattern[end : found.start()]) + f"(?P<{name}>{'(?s:.+)' if kind else '[^:]+'})"
        end = found.end()
    rest = pattern[end:]
    if not pattern or "{" in _PARAMETER.sub("", pattern) or "}" in _PARAMETER.sub("", pattern):
        raise ValueError(f"pattern {pattern!r} is empty or has a brace without its partner")
    return re.compile(regex + re.escape(rest)), names


def _always(*_values: object, **_parts: str) -> bool:
    return True
