"""The principal: who is connected, and what of it is shown."""

from __future__ import annotations

import pytest

from roomful.core.access import ANONYMOUS, Principal


def test_principal_shows_its_id_alone() -> None:
    """Its claims may be private."""
    assert repr(Principal("ada", {"email": "ada@example.com"})) == "Principal('ada', …)"


def test_nobody_is_anonymous() -> None:
    """An empty id is nobody's."""
    assert ANONYMOUS.is_anonymous
    assert not Principal("ada").is_anonymous


@pytest.mark.parametrize("id_", ["a\nb", "\x1b[31m", "\u202e", "x" * 256, "\ud800"])
def test_id_fits_into_a_log_line(id_: str) -> None:
    """It comes from a token, and must not begin a line of its own."""
    with pytest.raises(ValueError, match="principal id is not a printable text"):
        Principal(id_)


def test_principals_can_stand_in_sets() -> None:
    """Claims are a mapping, which has no hash; the id has one."""
    assert {Principal("ada", {"a": 1}), Principal("ada", {"a": 1})} == {Principal("ada", {"a": 1})}
