"""Sizes, times and rates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomful.probe.errors import UsageError
from roomful.probe.units import format_bytes, format_rate, format_s, parse_bytes, parse_rate, parse_s


@pytest.mark.parametrize(
    ("text", "expected"),
    [("128", 128), ("64KiB", 65536), ("4MB", 4_000_000), ("1.5 MiB", 1_572_864), ("2k", 2000), (".5kb", 500)],
)
def test_parse_bytes_knows_both_kinds_of_units(text: str, expected: int) -> None:
    """KB is 1,000 and KiB is 1,024."""
    assert parse_bytes(text) == expected


def test_parse_s_and_rate_take_units() -> None:
    """A bare number is seconds, or messages a second."""
    assert [parse_s(text) for text in ("10", "200ms", "2min", "500 us")] == [10, 0.2, 120, 5e-4]
    assert [parse_rate(text) for text in ("50", "50/s", "1.5k")] == [50, 50, 1500]


@pytest.mark.parametrize("text", ["", "x", "-1", "4 parsecs", "1e9", "nan"])
@pytest.mark.parametrize("parse", [parse_bytes, parse_s, parse_rate])
def test_parse_refuses_what_is_no_quantity(parse: object, text: str) -> None:
    """An error says what was expected."""
    assert callable(parse)
    with pytest.raises(UsageError, match="expected a number with a unit"):
        parse(text)


@given(st.integers(0, 2**40))
def test_round_sizes_are_shown_exactly(size: int) -> None:
    """What is shown without a fraction is exact."""
    shown = format_bytes(size)
    number, unit = shown.split()
    if "." not in number and "e" not in number and size < 1000:
        assert parse_bytes(number + unit) == size


def test_formats_for_people() -> None:
    """Three digits are enough."""
    assert format_bytes(1 << 20) == "1 MiB"
    assert [format_s(value) for value in (0.00025, 0.0123, 2.5)] == ["250 µs", "12.3 ms", "2.5 s"]
    assert [format_rate(value) for value in (12345.6, 3.14159)] == ["12,346/s", "3.14/s"]
