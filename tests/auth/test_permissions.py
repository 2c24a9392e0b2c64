"""Permissions: what no pattern allows is forbidden."""

from __future__ import annotations

from typing import Any

import pytest

from roomful import Event, Permissions, Principal

ADA = Principal("ada")


async def test_what_nothing_allows_is_forbidden() -> None:
    """Without rules, and without a pattern that fits."""
    permissions = Permissions()
    assert not await permissions.may_join(ADA, "lobby")
    permissions.allow("lobby")

    assert await permissions.may_join(ADA, "lobby")
    assert not await permissions.may_push(ADA, "lobby", "x")
    assert not await permissions.may_join(ADA, "lobby2")
    assert not await permissions.may_join(ADA, "a lobby")
    assert not await permissions.may_join(ADA, "lobby\n")


async def test_rule_gets_the_parts_of_the_name() -> None:
    """By their names, text as it stands there."""
    permissions = Permissions()

    @permissions.join("alarms:{user_id}")
    def own(principal: Principal, user_id: str) -> bool:
        return principal.id == user_id

    @permissions.push("doc:{team}:{rest:path}")
    async def of_team(principal: Principal, message: object, team: str, rest: str) -> bool:
        return team == "x" and rest == "a:b" and isinstance(message, Event)

    assert await permissions.may_join(ADA, "alarms:ada")
    assert not await permissions.may_join(ADA, "alarms:bob")
    assert not await permissions.may_join(ADA, "alarms:")
    assert not await permissions.may_join(ADA, "alarms:ada:x")
    assert await permissions.may_push(ADA, "doc:x:a:b", Event("e"))
    assert not await permissions.may_push(ADA, "doc:x:a:b", "e")


async def test_first_pattern_that_fits_decides() -> None:
    """A later one does not open what it has closed."""
    permissions = Permissions()
    permissions.join("secret:{x}")(lambda principal, x: False)
    permissions.allow("{any:path}")

    assert not await permissions.may_join(ADA, "secret:1")
    assert await permissions.may_join(ADA, "open:1")


@pytest.mark.parametrize("answer", [1, "yes", object(), None, [True]])
async def test_only_true_allows(answer: Any) -> None:
    """A rule that returns something else by mistake forbids."""
    permissions = Permissions()
    permissions.join("r")(lambda principal: answer)

    assert not await permissions.may_join(ADA, "r")


async def test_rule_that_raises_allows_nothing() -> None:
    """The error is the program's."""
    permissions = Permissions()

    @permissions.join("r")
    def broken(principal: Principal) -> bool:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        await permissions.may_join(ADA, "r")


@pytest.mark.parametrize("pattern", ["", "{", "a}", "{a}{b", "{1}", "{a:int}", "{a}:{a}"])
def test_pattern_that_is_none_is_refused(pattern: str) -> None:
    """A mistake is found when the program starts."""
    with pytest.raises(ValueError, match="pattern"):
        Permissions().allow(pattern)


def test_rule_that_cannot_be_called_is_refused() -> None:
    """Its parameters are those of its pattern."""
    with pytest.raises(ValueError, match=r"does not take \(principal, user\)"):
        Permissions().join("a:{user}")(lambda principal, name: True)
    with pytest.raises(ValueError, match=r"does not take \(principal, message\)"):
        Permissions().push("a")(lambda principal: True)


async def test_pattern_takes_letters_literally() -> None:
    """A dot is a dot."""
    permissions = Permissions()
    permissions.allow("a.b[c]*")

    assert await permissions.may_join(ADA, "a.b[c]*")
    assert not await permissions.may_join(ADA, "axb[c]*")
