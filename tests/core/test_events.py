"""Events: which types an application may use."""

import pytest

from roomful.core.errors import EventTypeError
from roomful.core.events import Event, check_event_type


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (None, "event type is of type NoneType; expected str"),
        (7, "event type is of type int; expected str"),
        ("", "event type '' is empty or not printable"),
        ("a\tb", r"event type 'a\tb' is empty or not printable"),
        ("\ud800", r"event type '\ud800' is empty or not printable"),
        ("é" * 101, "event type is 202 bytes; the limit is 200"),
        (
            "roomful.gap",
            "event type 'roomful.gap' is reserved; types that begin with 'roomful.' are Roomful's own",
        ),
    ],
)
def test_event_type_that_is_no_name_or_reserved_is_refused(type_: object, text: str) -> None:
    """An event's type is a printable name that does not begin with `roomful.`; the error says which rule was broken."""
    with pytest.raises(EventTypeError) as caught:
        Event(type_)  # type: ignore[arg-type] # bad input is the point

    assert str(caught.value) == text


@pytest.mark.parametrize("type_", ["post", "roomful", "a b", "été", "é" * 100])
def test_event_type_may_be_any_other_name(type_: str) -> None:
    """Any printable name of up to 200 bytes is a type, also one that merely resembles a reserved one."""
    assert check_event_type(type_) == type_
    assert Event(type_, 1) == Event(type_, 1)


def test_event_repr_hides_its_data() -> None:
    """Logs and tracebacks show an event's type and never its data."""
    assert repr(Event("post", {"password": "x"})) == "Event('post', …)"


def test_event_data_is_nothing_by_default() -> None:
    """A type alone is an event."""
    assert Event("ping").data is None
