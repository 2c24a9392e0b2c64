from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from roomful import Limits, RoomPolicy
from roomful.django import get_hub
from roomful.django.conf import configuration
from roomful.django.runtime import get_lanes, get_limits


def test_without_the_setting_everything_has_its_default() -> None:
    assert configuration().hub["limits"] == Limits()
    assert configuration().hub["layer"] is None
    assert configuration().database_threads == 8


def test_rooms_and_limits_are_written_as_dicts_or_as_what_they_are() -> None:
    given = {
        "ROOMS": {"a.*": {"history": 5}, "b.*": RoomPolicy(history=7)},
        "LIMITS": {"max_message_bytes": 100},
        "DATABASE_THREADS": 3,
    }
    with override_settings(ROOMFUL=given):
        assert configuration().hub["rooms"] == {"a.*": RoomPolicy(history=5), "b.*": RoomPolicy(history=7)}
        assert get_limits().max_message_bytes == 100
        assert get_hub().limits.max_message_bytes == 100
        assert len(get_lanes()) == 3
        assert get_hub() is get_hub()
    assert get_limits() == Limits()


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("redis://x", "ROOMFUL is of type str"),
        ({"LAYERS": 1}, "has the key 'LAYERS'; expected LAYER, ROOMS"),
        ({"ROOMS": 7}, r"ROOMFUL\['ROOMS'\] is 7"),
        ({"ROOMS": {"x": {"history": -1}}}, r"ROOMFUL\['ROOMS'\]\['x'\] cannot work: history is -1"),
        ({"ROOMS": {"x": {"histroy": 1}}}, r"ROOMFUL\['ROOMS'\]\['x'\] cannot work: .*histroy"),
        ({"LIMITS": {"max_message_bytes": 0}}, r"ROOMFUL\['LIMITS'\] cannot work: max_message_bytes is 0"),
        ({"LIMITS": {"nothing": 0}}, r"ROOMFUL\['LIMITS'\] cannot work"),
        ({"DATABASE_THREADS": 0}, r"ROOMFUL\['DATABASE_THREADS'\] is 0"),
        ({"DATABASE_THREADS": True}, r"ROOMFUL\['DATABASE_THREADS'\] is True"),
        ({"AUTH": "no.such.thing"}, r"ROOMFUL\['AUTH'\] is 'no.such.thing'"),
    ],
)
def test_what_cannot_work_is_told_by_name_and_by_check(given: Any, error: str) -> None:
    with override_settings(ROOMFUL=given):
        with pytest.raises(ImproperlyConfigured, match=error):
            configuration()
        assert [found.id for found in run_checks(tags=["roomful"])] == ["roomful.E001"]


def test_check_tells_a_layer_that_does_not_exist() -> None:
    with override_settings(ROOMFUL={"LAYER": "carrier-pigeon://x"}):
        [found] = run_checks(tags=["roomful"])
    assert found.id == "roomful.E002"
    assert "carrier-pigeon" in found.msg


@pytest.mark.parametrize(
    ("given", "is_debug", "ids"),
    [({}, False, ["roomful.W001"]), ({}, True, []), ({"SHARED": False}, False, [])],
)
def test_check_warns_of_rooms_that_reach_one_process(
    given: dict[str, Any], is_debug: bool, ids: list[str]
) -> None:
    with override_settings(ROOMFUL=given, DEBUG=is_debug):
        assert [found.id for found in run_checks(tags=["roomful"])] == ids
