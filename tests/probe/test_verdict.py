"""What is said of borders and cells, in sentences and on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from types import SimpleNamespace
from typing import cast

import pytest

from roomful.probe.goals import Goals
from roomful.probe.options import Options
from roomful.probe.page.borders import borders
from roomful.probe.page.reading import Node
from roomful.probe.results import Cell, Cliff, Outcome, Result, Trial, TrialSpec
from roomful.probe.searches import Searches
from roomful.probe.target import Target
from roomful.probe.verdict import sentence_of_cell, sentence_of_cliff


def a_cliff(good: int | None, bad: int | None, *, exact: bool = False, given_up: bool = False) -> Cliff:
    return Cliff("burst", "messages", good, bad, exact, given_up, 100, None, "", (), ())


def a_cell(kind: str, limited_by: str | None, *reasons: str) -> Cell:
    return Cell("text", 128, 1, None, None, kind, limited_by, reasons, ())


def on_the_page(cells: Sequence[Cell] = (), cliffs: Sequence[Cliff] = ()) -> str:
    return "".join(
        map(str, borders(Node({"cells": list(map(asdict, cells)), "cliffs": list(map(asdict, cliffs))})))
    )


@pytest.mark.parametrize(
    ("cliff", "says"),
    [
        (a_cliff(2, 3, exact=True), "2 messages; one with 3 fails."),
        (a_cliff(2, 9), "2 messages; one with 9 fails, the border lies between."),
        (a_cliff(2, 3), "2 messages; one with 3 fails, not confirmed."),
        (
            a_cliff(2, 3, given_up=True),
            "2 messages; one with 3 fails, not confirmed; the trials said no more.",
        ),
        (a_cliff(None, 1), "none; one with 1 fails."),
        (a_cliff(8, None), "at least 8 messages; no larger one was tried."),
        (a_cliff(8, None, given_up=True), "at least 8 messages; the trials said no more."),
        (a_cliff(None, None, given_up=True), "not known; the trials said no more."),
    ],
)
def test_a_border_is_not_told_as_more_than_it_is(cliff: Cliff, says: str) -> None:
    assert sentence_of_cliff(cliff) == f"Largest burst that passes: {says}"


@pytest.mark.parametrize("cliff", [a_cliff(2, 3, given_up=True), a_cliff(8, None, given_up=True)])
def test_the_page_says_that_a_border_was_given_up(cliff: Cliff) -> None:
    page = on_the_page(cliffs=[cliff])
    assert "The trials said no more." in page
    assert "No larger one was tried" not in page
    assert "lies between" not in page


def test_a_cell_of_which_nothing_is_known_says_why() -> None:
    starved = a_cell("invalid", "machine")
    said = "no trial said anything; the machine was too busy to say more"
    assert sentence_of_cell(starved) == f"128 B from 1 client: {said}."
    assert "the machine was too busy to say more" in on_the_page([starved])
    refused = a_cell("invalid", None, "refused")
    assert sentence_of_cell(refused) == "128 B from 1 client: no trial said anything (refused)."


async def test_a_search_that_a_busy_machine_never_lets_begin_says_so() -> None:
    """No trial has an outcome, from the first on."""
    starved = SimpleNamespace(
        number=1,
        outcome=Outcome.INVALID,
        began_at_s=0.0,
        ended_at_s=1.0,
        served_rate=100.0,
        growth=None,
        counts={},
        reasons=("generator late",),
        generator=SimpleNamespace(cpu=0.1),
    )

    async def trial(spec: TrialSpec, *, goals: Goals | None = None) -> Trial:
        return cast(Trial, starved)

    options = Options(
        Target("ws://127.0.0.1/"), sizes=(128,), clients=(1,), max_size=0, max_burst=100, budget_s=1.0
    )
    result = Result("", {}, {}, {}, "")
    await Searches(options, result, clock=lambda: 0.0, step=lambda text: None, trial=trial).run()
    [cell], [cliff] = result.cells, result.cliffs
    assert (cell.kind, cell.limited_by) == ("invalid", "machine")
    assert (cliff.good, cliff.given_up) == (None, True)
