"""The nemesis finds what is broken: one rule of the library at a time."""

from __future__ import annotations

import pytest

from roomful.core.ledger import Verdict
from roomful.testing.nemesis import Plan, Report, torture

from .mutations import MUTATIONS
from .subjects import subject

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_ROUNDS = 4


def is_found(report: Report, found_as: Verdict | str) -> bool:
    if isinstance(found_as, Verdict):
        return found_as in {**report.outbound.faults, **report.inbound.faults}
    if found_as == "stuck":
        return bool(report.stuck)
    return any(found_as in text for text in report.contradictions)


async def play(plan: Plan, *, mutation: str = "") -> Report:
    name = "fast" if plan.replies_last else "interrupted"
    async with subject(name, mutation=mutation) as server:
        return await torture(server, plan)


@pytest.mark.parametrize("name", MUTATIONS)
async def test_mutation_is_found(name: str) -> None:
    """Each is found within some seconds, and called what it is.

    A plan does not say how the deeds of many clients interleave, so a round may miss what a rule is for; then there is
    another one, with another seed and twice as many deliveries.
    """
    _, found_as = MUTATIONS[name]
    reports: list[Report] = []

    while len(reports) < _ROUNDS and not (reports and is_found(reports[-1], found_as)):
        plan = Plan(
            seed=len(reports) + 1,
            deliveries=15_000 << len(reports),
            clients=40,
            replies_last="sequencer" not in name,
            calm_s=3,
            longest_s=15 << len(reports),
        )
        reports.append(await play(plan, mutation=name))

    assert is_found(reports[-1], found_as), "\n".join(map(str, reports))
    with pytest.raises(AssertionError, match=f"repeat with Plan\\(seed={len(reports)},"):
        reports[-1].assert_clean()
