"""Comparing: a difference is claimed only beyond the noise, and unlike is not compared with unlike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from roomful.probe.compare import Change, Comparison, Refused, compare
from roomful.probe.page.comparison import comparison_html, comparison_markdown, comparison_text
from tests.probe.page_reader import EVIL, Page
from tests.probe.page_results import loaded, searched


def change_of(comparison: Comparison, measure: str, what: str = "") -> Change:
    [row] = [row for row in comparison.rows if row.measure == measure and what in row.what]
    return row.change


def test_a_result_does_not_differ_from_itself() -> None:
    """All measures that both have, all within the noise."""
    found = compare([searched()], [searched()])
    assert {row.measure for row in found.rows} == {
        "highest good rate",
        "largest message",
        "most messages at once",
    }
    assert not found.worse
    assert not found.better
    assert found.sentence == "B does not differ from A beyond the noise, in 3 measures."


@pytest.mark.parametrize(
    ("good", "bad", "change"),
    [
        (126.0, 147.0, Change.SAME),
        (150.0, 170.0, Change.SAME),
        (240.0, 280.0, Change.BETTER),
        (60.0, 70.0, Change.WORSE),
        (240.0, None, Change.BETTER),
        (60.0, None, Change.SAME),
    ],
)
def test_a_rate_differs_when_the_intervals_lie_apart(good: float, bad: float | None, change: Change) -> None:
    """A lies between 120 and 140, widened for a single run; what nothing bounds may be any higher."""
    assert change_of(compare([searched()], [searched(good=good, bad=bad)]), "highest good rate") is change


def test_three_runs_know_their_own_noise() -> None:
    """A difference that one run cannot claim, three that agree can; one that disagrees takes it back."""
    before, after = [searched()] * 3, [searched(good=150.0, bad=170.0)] * 3
    assert change_of(compare(before[:1], after[:1]), "highest good rate") is Change.SAME
    assert change_of(compare(before, after), "highest good rate") is Change.BETTER
    unsure = [*after[:2], searched(good=118.0, bad=139.0)]
    assert change_of(compare(before, unsure), "highest good rate") is Change.SAME


def test_repeats_within_a_search_widen_its_interval() -> None:
    """A rate that was bad once, although a higher one was good, leaves the border open between them."""
    unsteady = searched(good=120.0, bad=140.0)
    unsteady["trials"][1] |= {"outcome": "bad"}
    [row] = [row for row in compare([unsteady], [unsteady]).rows if row.measure == "highest good rate"]
    assert row.a.low == 0.0
    assert row.a.high == pytest.approx(140.0 * 1.15)


def test_a_size_limit_is_exact() -> None:
    """One byte less is worse, without any noise."""
    smaller = searched()
    smaller["cliffs"][0] |= {"good": 65535, "bad": 65536}
    assert change_of(compare([searched()], [smaller]), "largest message") is Change.WORSE
    assert change_of(compare([smaller], [searched()]), "largest message") is Change.BETTER


def test_loss_differs_when_it_is_no_chance() -> None:
    """One of 100 may be chance, 60 of 100 are not; latencies of single runs need more than a factor."""
    assert change_of(compare([loaded()], [loaded(lost=1)]), "lost", "100/s") is Change.SAME
    assert change_of(compare([loaded()], [loaded(lost=60)]), "lost", "100/s") is Change.WORSE
    assert change_of(compare([loaded()], [loaded(p99_s=0.012)]), "latency, p99", "100/s") is Change.SAME
    assert change_of(compare([loaded()], [loaded(p99_s=0.04)]), "latency, p99", "100/s") is Change.WORSE
    assert change_of(compare([loaded(p99_s=0.04)], [loaded()]), "latency, p99", "100/s") is Change.BETTER


@pytest.mark.parametrize(
    ("part", "name", "value", "text"),
    [
        ("machine", "cpu", "Another CPU", "machine, cpu: A CPU and Another CPU"),
        ("machine", "cores", 64, "machine, cores"),
        ("machine", "memory_bytes", 16 << 30, "machine, memory: 8 GiB and 16 GiB"),
        ("machine", "python", "3.13.0", "machine, python"),
        ("options", "deadline_s", 2.0, "deadline s: 1.0 and 2.0"),
        ("options", "added", 1, "added: None and 1"),
        ("target", "mode", "broadcast", "mode: broadcast and echo"),
    ],
)
def test_unlike_is_not_compared_with_unlike(part: str, name: str, value: object, text: str) -> None:
    """Another machine or setting explains a difference as well as the server does; `force` says so in the notes."""
    other = searched()
    other[part][name] = value
    with pytest.raises(Refused, match=text):
        compare([searched()], [other])
    with pytest.raises(Refused, match=text):
        compare([searched(), other], [searched()])
    notes = compare([searched()], [other], force=True).notes
    assert any(text in note for note in notes)


def test_another_address_is_no_other_setting() -> None:
    """A server that is started anew listens at another port; nor is its memory a byte the same."""
    other = searched()
    other["target"]["url"] = "ws://127.0.0.1:9999/ws"
    other["machine"]["memory_bytes"] += 4096
    assert compare([searched()], [other]).rows


def test_what_one_side_lacks_is_noted() -> None:
    """Nothing is compared with nothing, and nothing in common is no agreement."""
    lacking = searched() | {"cells": [], "complete": False, "stopped_by": "interrupt"}
    found = compare([searched()], [lacking])
    assert any("only A has it" in note for note in found.notes)
    assert any("a run of B ended early (interrupt)" in note for note in found.notes)
    nothing = compare([lacking | {"cliffs": []}], [searched()])
    assert nothing.rows == ()
    assert nothing.sentence == "The results have nothing in common that could be compared."


def test_all_views_say_the_same() -> None:
    """Text, Markdown and page: the sentence, the worse measure first, and how the intervals came about."""
    found = compare([searched()], [searched(good=60.0, bad=70.0)])
    page = Page(comparison_html(found))
    for text in (comparison_text(found), comparison_markdown(found), page.text):
        assert found.sentence in text
        assert "Intervals come from repeats (1 run and 1 run)." in text
        assert text.index("highest good rate") < text.index("largest message")
    assert len(page.named("table")) == len(page.named("caption")) == 1


def test_views_of_a_hostile_result_are_safe() -> None:
    """The address of a server is text too."""
    evil = searched()
    evil["evidence"]["child"]["command"] = [EVIL]
    found = compare([evil], [searched(good=60.0, bad=70.0)])
    assert Page(comparison_html(found)).named("script", "img") == []
    assert "<script" not in comparison_markdown(found).replace("\\<", "")


def test_any_json_can_be_compared() -> None:
    """What is missing is not compared."""
    nothing: dict[str, Any] = {}
    assert compare([nothing], [nothing]).rows == ()
    assert Page(comparison_html(compare([nothing], [nothing]))).text
    assert comparison_text(compare([nothing], [searched()], force=True))


def test_the_reference_names_the_widening() -> None:
    """The page of the reference gives the factors that the code has."""
    text = (Path(__file__).parents[2] / "docs" / "reference" / "probe.md").read_text()
    assert "15 %" in text
    assert "factor of 2" in text
