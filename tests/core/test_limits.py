"""Limits: each has a sane default, and none that cannot work is taken."""

from dataclasses import fields

import pytest

from roomful.core.errors import LimitError
from roomful.core.limits import Limits

NAMES = [field.name for field in fields(Limits)]


def test_defaults_can_work() -> None:
    """The defaults satisfy the rules that other values are held to."""
    Limits()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_limit_that_is_not_positive_is_refused(name: str, value: float) -> None:
    """A limit that nothing can stay within is a mistake, found when it is made."""
    with pytest.raises(LimitError) as caught:
        Limits(**{name: value})

    assert str(caught.value) == f"{name} is {value}; expected more than 0"


def test_room_names_may_not_outgrow_a_layer() -> None:
    """A room's name must fit a channel's name in every layer."""
    with pytest.raises(LimitError, match="max_room_name_bytes is 201; the most is 200"):
        Limits(max_room_name_bytes=201)


@pytest.mark.parametrize("name", NAMES)
def test_limit_says_its_unit(name: str) -> None:
    """Each name ends with what it counts."""
    assert name.endswith(
        ("_bytes", "_messages", "_frames", "_s", "_threads", "_per_connection", "_per_client")
    )
