"""Thresholds of the command line."""

import pytest

from roomful.probe.errors import UsageError
from roomful.probe.thresholds import parse_threshold


@pytest.mark.parametrize(
    ("text", "measures", "expected"),
    [
        ("loss>0", {"loss": 0}, False),
        ("loss>0", {"loss": 1}, True),
        ("p99>200ms", {"p99": 0.25}, True),
        ("p99 > 200ms", {"p99": 0.15}, False),
        ("bad>=1%", {"bad": 0.01}, True),
        ("size<1MiB", {"size": 1048576}, False),
        ("rate<1k", {"rate": 900}, True),
        ("in doubt>0", {"in_doubt": 2}, True),
        ("p99>1s", {}, None),
    ],
)
def test_threshold_is_breached_by_its_measure(
    text: str,
    measures: dict[str, float | None],
    expected: bool | None,
) -> None:
    """What was not measured decides nothing."""
    assert parse_threshold(text).breached(measures) is expected


def test_at_least_never_breaches_a_lower_bound() -> None:
    """A search that ended at a bound of its own knows only the lower side."""
    measures: dict[str, float | None] = {"rate": 900.0, "rate_at_least": 1.0}
    assert parse_threshold("rate<1k").breached(measures) is None
    assert parse_threshold("rate<500").breached(measures) is False


@pytest.mark.parametrize("text", ["", "loss", "loss>", "cheese>3", "p99>3 bananas", "loss=>1", "loss>-1"])
def test_what_is_no_threshold_is_refused(text: str) -> None:
    """With a list of what there is."""
    with pytest.raises(UsageError):
        parse_threshold(text)
