"""The nemesis against our own server, for a few seconds each; `make nemesis` does the same for minutes."""

from __future__ import annotations

import pytest

from roomful.testing.nemesis import Plan, torture

from .subjects import LATE, subject


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("name", "kills"), [("fast", 1), ("plain", 1), ("uvicorn", 0), ("interrupted", 0)])
async def test_everything_is_delivered_once_or_told(name: str, kills: int) -> None:
    """Connections break, members stall, handlers fail, the server dies; nothing is lost in silence or comes twice."""
    plan = Plan(
        seed=1,
        deliveries=8000,
        clients=30,
        kills=kills,
        replies_last=name not in LATE,
        longest_s=60,
    )

    async with subject(name) as server:
        report = await torture(server, plan)

    report.assert_clean(at_least=5000)
    assert report.lives == kills + 1
    assert report.breaks
    assert report.recoveries.get(True, 0) > 20
    assert report.notices
