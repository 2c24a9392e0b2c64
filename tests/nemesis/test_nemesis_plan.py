"""The plan: the same seed says the same, and among many visits everything happens."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from roomful.testing.nemesis import POLICIES, Act, Ending, Plan, Visit
from roomful.testing.nemesis.plan import HALLS

plans = st.builds(
    Plan,
    seed=st.integers(),
    clients=st.integers(1, 100),
    small_rooms=st.integers(0, 5000),
    kills=st.integers(0, 10),
    inbound=st.booleans(),
)


@given(plans, st.integers(0, 99), st.integers(0, 50))
def test_plan_says_the_same_again(plan: Plan, client: int, number: int) -> None:
    """What a client does on a visit, and when the server ends, follows from the plan alone."""
    again = replace(plan)

    assert again.visit(client, number) == plan.visit(client, number)
    assert again.killings() == plan.killings()


def test_plan_says_the_same_in_another_process() -> None:
    """No chance of a process's own, such as the order of a set, comes in."""
    program = "from roomful.testing.nemesis import Plan; print([Plan(seed=7).visit(3, n) for n in range(20)])"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == str([Plan(seed=7).visit(3, number) for number in range(20)])


@given(plans)
def test_server_ends_as_often_as_wanted(plan: Plan) -> None:
    """In order, and neither at the very beginning nor at the very end."""
    places = [killing.at for killing in plan.killings()]

    assert len(places) == plan.kills
    assert places == sorted(places)
    assert all(0 < place < 1 for place in places)


def test_visits_of_different_clients_differ() -> None:
    """Neither the client nor the number nor the seed is left out."""
    visits = [
        Plan(seed=seed).visit(client, number)
        for seed in range(3)
        for client in range(3)
        for number in range(3)
    ]

    assert len({str(visit) for visit in visits}) == len(visits)


def test_everything_happens_among_some_visits() -> None:
    """Every act, every ending, connections with and without a proxy, fresh ones, thousands of rooms."""
    plan = Plan(seed=1)
    visits: list[Visit] = [plan.visit(client, number) for client in range(30) for number in range(30)]
    rooms = {room for visit in visits for room in visit.rooms}

    assert {step.act for visit in visits for step in visit.steps} == set(Act)
    assert {visit.ending for visit in visits} == set(Ending)
    assert {visit.script is None for visit in visits} == {True, False}
    assert {visit.forgets for visit in visits} == {True, False}
    assert len(rooms) > 500
    assert {f"{room.partition(':')[0]}:*" for room in rooms} == {*POLICIES, "bare:*"}
    assert set(HALLS) <= rooms


def test_plan_without_inbound_sends_nothing_again() -> None:
    """A server that remembers no ids is not asked to."""
    plan = Plan(seed=1, inbound=False)

    acts = {step.act for number in range(60) for step in plan.visit(0, number).steps}

    assert acts == set(Act) - {Act.AGAIN}
