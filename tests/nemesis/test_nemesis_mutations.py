"""The nemesis finds what is broken: one rule of the library at a time."""

from __future__ import annotations

import pytest

from roomful.core.ledger import Verdict
from roomful.testing.nemesis import Plan, torture

from .mutations import MUTATIONS
from .subjects import subject

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", MUTATIONS)
async def test_mutation_is_found(name: str) -> None:
    """Each is found within some seconds, and called what it is."""
    _, found_as = MUTATIONS[name]
    is_interrupted = "sequencer" in name
    plan = Plan(
        seed=1,
        deliveries=15_000,
        clients=40,
        replies_last=not is_interrupted,
        calm_s=3,
        longest_s=15,
    )

    async with subject("interrupted" if is_interrupted else "fast", mutation=name) as server:
        report = await torture(server, plan)

    if isinstance(found_as, Verdict):
        assert found_as in {**report.outbound.faults, **report.inbound.faults}, str(report)
    elif found_as == "stuck":
        assert report.stuck, str(report)
    else:
        assert any(found_as in text for text in report.contradictions), str(report)
    with pytest.raises(AssertionError, match="repeat with Plan\\(seed=1"):
        report.assert_clean()
