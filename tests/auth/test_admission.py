"""Admission: how many may come, and how fast."""

from __future__ import annotations

from typing import Any

import pytest

from roomful import Admission, LimitError, Refuse
from roomful.auth.admission import Census


def refusal(census: Census, address: str | None = "a", now: float = 0.0) -> tuple[int, str, str]:
    with pytest.raises(Refuse) as caught:
        census.enter(address, now)
    error = caught.value
    return error.status, error.reason, error.headers["Retry-After"]


def test_connections_are_counted_in_and_out() -> None:
    """In all and by address; whoever leaves makes room."""
    census = Census(Admission(max_connections=3, max_per_address=2, retry_after_s=7), 0.0)
    census.enter("a", 0.0)
    census.enter("a", 0.0)

    assert refusal(census, "a") == (429, "too many connections of this address", "7")
    census.enter("b", 0.0)
    assert refusal(census, "c") == (503, "too many connections", "7")
    census.leave("a", "")
    census.enter("a", 0.0)
    assert census.count == 3


def test_principals_are_counted_apart() -> None:
    """Whatever their addresses; the same principal may come again when it has left."""
    census = Census(Admission(max_per_principal=1), 0.0)
    census.enter("a", 0.0)
    census.identify("ada")
    census.enter("b", 0.0)

    with pytest.raises(Refuse) as caught:
        census.identify("ada")
    assert caught.value.status == 429
    census.identify("bob")
    census.leave("a", "ada")
    census.identify("ada")


def test_handshakes_have_a_rate() -> None:
    """Of an address first, so that one address does not use up the rate of all; failed ones count too."""
    census = Census(Admission(handshakes_per_s=10, handshakes_per_s_per_address=1, burst_s=2), 0.0)

    for _ in range(2):
        census.enter("a", 0.0)
        census.leave("a", "")
    assert refusal(census, "a")[:2] == (429, "too many handshakes")
    for number in range(18):
        census.enter(f"b{number}", 0.0)
    assert refusal(census, "c")[:2] == (503, "too many handshakes")
    census.enter("a", 1.0)


def test_client_without_an_address_is_counted_in_all() -> None:
    """There is nothing else to count it by."""
    census = Census(Admission(max_connections=1, max_per_address=1, handshakes_per_s_per_address=1), 0.0)
    census.enter(None, 0.0)

    assert refusal(census, None)[0] == 503
    census.leave(None, "")
    assert census.count == 0


def test_nothing_is_kept_of_those_who_have_left() -> None:
    """A million addresses leave nothing behind."""
    census = Census(Admission(), 0.0)
    for number in range(1000):
        census.enter(str(number), 0.0)
        census.identify(str(number))
        census.leave(str(number), str(number))

    assert repr(census) == "<Census connections=0 addresses=0>"
    assert not census._by_principal


@pytest.mark.parametrize("name", ["max_connections", "messages_per_s", "burst_s", "expiry_warning_s"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_numbers_are_positive(name: str, value: Any) -> None:
    """A limit of nothing is a mistake."""
    with pytest.raises(LimitError, match=name):
        Admission(**{name: value})
