"""The tree of errors: what each one is, and what its text says."""

from typing import Any

import pytest

from roomful.core import errors
from roomful.core.errors import (
    ConnectionClosed,
    HubClosed,
    InvalidMessage,
    InvalidState,
    Refuse,
    ReplyError,
    RoomfulError,
    TooManyRooms,
    UnknownConnection,
    WrongLoop,
)


def test_every_error_is_in_the_tree() -> None:
    """Whatever Roomful raises on purpose is a `RoomfulError`, is exported, and is drawn in the tree."""
    drawn = errors.__doc__ or ""
    found = [value for value in vars(errors).values() if isinstance(value, type)]

    assert {error.__name__ for error in found} == set(errors.__all__)
    assert [error for error in found if not issubclass(error, RoomfulError)] == []
    assert [error.__name__ for error in found if error.__name__ not in drawn] == []


def test_tree_names_the_base_of_each_error() -> None:
    """The drawn tree says truly which builtin each error is beside being Roomful's own."""
    for line in (errors.__doc__ or "").splitlines():
        if "(" in line and ("├" in line or "└" in line):
            name, base = line.split("── ")[1].split(")")[0].split(" (")
            assert base in {b.__name__ for b in getattr(errors, name).__mro__}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionClosed(), "connection is closed"),
        (ConnectionClosed(4000), "connection is closed with code 4000"),
        (TooManyRooms(3), "connection is in 3 rooms already (Limits.max_rooms_per_connection)"),
        (HubClosed(), "hub is closed; make a new one, or enter it again with `async with hub`"),
        (WrongLoop(), "hub is in use by another running event loop; use push_threadsafe from other threads"),
        (UnknownConnection("é\n"), r"no connection has the id '\xe9\n'; it may have ended"),
        (InvalidMessage("invalid_json", "message is not valid JSON", id=7), "message is not valid JSON"),
        (ReplyError("taken"), "taken"),
        (ReplyError("taken", "this name is taken"), "taken: this name is taken"),
        (Refuse(), "403"),
        (Refuse(404, "no such room"), "404 no such room"),
    ],
)
def test_text_is_made_from_the_fields(error: Exception, text: str) -> None:
    """The text of an error says what was wrong, from its own fields."""
    assert str(error) == text


def test_fields_are_kept() -> None:
    """A program reads an error's fields, not its text."""
    invalid = InvalidMessage("unknown_type", "type 'x' is not known here", id="7")
    refuse = Refuse(429, "slow down", headers={"Retry-After": "30"})

    assert (invalid.code, invalid.message, invalid.id) == ("unknown_type", "type 'x' is not known here", "7")
    assert (refuse.status, refuse.reason, refuse.headers) == (429, "slow down", {"Retry-After": "30"})
    assert ConnectionClosed(1001).code == 1001
    assert TooManyRooms(3).limit == 3
    assert UnknownConnection("a").connection_id == "a"
    assert (ReplyError("taken", "no").code, ReplyError("taken", "no").message) == ("taken", "no")
    assert issubclass(TooManyRooms, InvalidState)


def test_refuse_copies_its_headers() -> None:
    """Headers that the caller changes later do not change the refusal."""
    headers = {"a": "1"}
    refuse = Refuse(403, headers=headers)
    headers["b"] = "2"

    assert refuse.headers == {"a": "1"}


@pytest.mark.parametrize("texts", [{"reason": "\ud800"}, {"headers": {"x": "☃"}}, {"headers": {"☃": "x"}}])
def test_refuse_wants_texts_that_can_be_written(texts: dict[str, Any]) -> None:
    """What cannot be sent is found where it is raised, and not when the response is written."""
    with pytest.raises(ValueError, match="can't encode character"):
        Refuse(403, **texts)


@pytest.mark.parametrize("status", [200, 399, 600, -1])
def test_refuse_wants_an_error_status(status: int) -> None:
    """A refusal that looks like a success to HTTP is a mistake of the caller."""
    with pytest.raises(
        ValueError, match=f"refusal status is {status}; expected an HTTP status from 400 to 599"
    ):
        Refuse(status)
