"""Statistics are a copy."""

import dataclasses

import pytest

from roomful.hub.statistics import Counters, Statistics


def test_statistics_cannot_change() -> None:
    """Who holds statistics holds one moment."""
    values: dict[str, object] = {f.name: 0 for f in dataclasses.fields(Statistics)}
    statistics = Statistics(**{**values, "let_go": {}})  # type: ignore[arg-type] # all are numbers but one

    with pytest.raises(dataclasses.FrozenInstanceError):
        statistics.pushes = 1  # type: ignore[misc] # frozen is the point


def test_counters_of_two_hubs_are_apart() -> None:
    """No counter is shared by default."""
    first, second = Counters(), Counters()
    first.let_go["slow"] = 1

    assert second.let_go == {}
