"""The page: a pure function of the JSON, whole whatever is missing, and safe whatever is inside."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomful.probe.page import render, summarise
from roomful.probe.page.courses import bucketed
from roomful.probe.page.markup import Markup, el, join
from roomful.probe.page.scales import linear, logarithmic
from tests.probe.page_reader import EVIL, Page
from tests.probe.page_results import diagnosed, loaded, searched

STRANGE: Final[tuple[object, ...]] = (
    *(None, "word", -1, 0, [], {}, [None], {"a": 1}, True, "9" * 400),
    *(1e308, -1e308, float("inf"), float("nan"), 10**400),
)
MAKERS: tuple[Callable[[], dict[str, Any]], ...] = (
    searched,
    loaded,
    diagnosed,
    lambda: diagnosed(findings=3),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the way to everything in a result but the many samples."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, each in value.items():
            if key not in ("samples", "rows"):
                yield from places(each, (*path, key))
    elif isinstance(value, list):
        for number, each in enumerate(value[:2]):
            yield from places(each, (*path, number))


def changed(result: dict[str, Any], path: tuple[Any, ...], value: object) -> dict[str, Any]:
    found = copy.deepcopy(result)
    inner: Any = found
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return found


def poisoned(value: Any) -> Any:
    """Return the same with a hostile text for every text, those of keys too."""
    if isinstance(value, dict):
        return {(EVIL if key.isdigit() else key): poisoned(each) for key, each in value.items()}
    if isinstance(value, list):
        return [poisoned(each) for each in value]
    return f"{value} {EVIL}" if isinstance(value, str) else value


@pytest.mark.parametrize("make", MAKERS)
def test_the_same_result_gives_the_same_page(make: Callable[[], dict[str, Any]]) -> None:
    """Nothing of the moment is in it, and the result is not touched."""
    result = make()
    before = json.dumps(result)
    assert render(result) == render(make())
    assert json.dumps(result) == before


@pytest.mark.parametrize("make", MAKERS)
def test_nothing_is_asked_of_a_network(make: Callable[[], dict[str, Any]]) -> None:
    """No script, no address but those within the page, and a policy that forbids the rest."""
    text = render(make())
    page = Page(text)
    assert page.named("script", "link", "img", "iframe", "object", "base") == []
    addresses = [each.get(name) for _, each in page.elements for name in ("src", "href", "xlink:href")]
    assert all(address is None or address.startswith("#") for address in addresses)
    assert "url(" not in text
    assert "@import" not in text
    policies = [each["content"] for each in page.named("meta") if each.get("http-equiv")]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"]


@pytest.mark.parametrize("make", MAKERS)
def test_hostile_text_stays_text(make: Callable[[], dict[str, Any]]) -> None:
    """A server may say what it likes in a close reason, a log line or a name."""
    clean, hostile = Page(render(make())), Page(render(poisoned(make())))
    assert hostile.named("script", "img") == []
    assert not any(name.startswith("on") for _, each in hostile.elements for name in each)
    assert {tag for tag, _ in hostile.elements} <= {tag for tag, _ in clean.elements} | {
        "details",
        "summary",
        "pre",
    }
    assert "<img src=x onerror=alert(1)>" in hostile.text
    assert "\x1b" not in hostile.text
    assert "\u202e" not in hostile.text


@pytest.mark.parametrize("make", MAKERS)
def test_a_hostile_text_is_no_markdown_either(make: Callable[[], dict[str, Any]]) -> None:
    """No HTML element but our own, and no link, image or mention."""
    evil = "<b>x</b> [a](https://evil.example) ![](x) @everyone | `x`\n# big\n- item"

    def poison(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: poison(each) for key, each in value.items()}
        return (
            [poison(each) for each in value]
            if isinstance(value, list)
            else evil
            if isinstance(value, str)
            else value
        )

    text = summarise(poison(make()))
    assert not re.search(r"(?<!\\)<(?!/?sub>)", text)
    assert not re.search(r"(?<!\\)\[", text)
    assert "://" not in text
    assert not re.search(r"@\w", text)
    assert not re.search(r"^# big|^- item", text, re.MULTILINE)


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("make", [diagnosed, loaded])
def test_whatever_is_missing_the_page_is_whole(make: Callable[[], dict[str, Any]], step: int) -> None:
    """Each value in turn, or every seventh, is missing, or of a type that nobody expects."""
    result = make()
    # What holds for two samples or trials holds for all.
    for source, samples in result["evidence"]["samples"].items():
        result["evidence"]["samples"][source] = samples[:2]
    result["trials"] = result["trials"][:2]
    for number, path in list(enumerate(places(result)))[::step]:
        strange = STRANGE[number % len(STRANGE)]
        broken = changed(result, path, strange)
        assert Page(render(broken)).text, path
        assert summarise(broken), path


@pytest.mark.parametrize(
    "result", [{}, None, [], {"schema": "roomful.probe/1"}, {"trials": [{}], "cells": [{}]}]
)
def test_an_empty_result_has_a_page(result: object) -> None:
    """It says that nothing was measured."""
    page = Page(render(result))
    assert len(page.named("h1")) == 1
    assert summarise(result).startswith("## ")


def test_the_verdict_comes_first() -> None:
    """Before every section: the status, the sentence, and the figures that carry it; then why, and why nothing else."""
    text = Page(render(diagnosed())).text
    order = [
        "cause proven",
        "A queue of 64 messages drops what comes on top.",
        "messages lost on connections that stayed open",
        "What was seen",
        "Predicted before.",
        "Other causes of the same symptom",
        "A full TCP receive buffer",
        "Highest good rate",
        "Ping against echo",
        "Every message was marked and followed.",
        "A CPU, 2 cores",
    ]
    assert [text.find(each) for each in order] == sorted(text.find(each) for each in order)
    assert -1 not in [text.find(each) for each in order]


def test_several_findings_are_listed_at_the_top() -> None:
    """The sentence says how many; each follows with its own status."""
    page = Page(render(diagnosed(findings=3)))
    assert "Three things are wrong." in page.text
    assert page.text.index("Three things") < page.text.index("What was seen")


def test_a_long_verdict_is_a_heading_and_a_paragraph() -> None:
    """A heading that fills the screen is none: it ends where its first thought does."""
    long = (
        "A queue drops the newest: of each sender the first 33 came. Nothing else was seen, "
        + "and so on, " * 8
    )
    result = diagnosed()
    result["diagnosis"]["sentence"] = f"{long}`await queue.put()`."
    text = render(result)
    assert "<h1>A queue drops the newest.</h1>" in text
    assert "Of each sender the first 33 came. Nothing else" in text
    assert "<code>await queue.put()</code>." in text
    assert summarise(result).startswith("## ❌ A queue drops the newest.\n\nOf each sender")


def test_without_a_diagnosis_only_what_was_measured_is_said() -> None:
    """No cause, no rivals; but a lost message is never called a pass."""
    page = Page(render(searched()))
    assert "With messages of 1 KiB from 10 clients it takes 120/s; at 140/s: 4 lost." in page.text
    assert "messages are lost" in page.text
    assert "Rivals" not in page.text


def test_a_partial_result_says_so_at_once() -> None:
    """Ctrl-C leaves what was measured, and the page says that it is not all."""
    result = searched() | {"complete": False, "stopped_by": "interrupt", "cells": [], "baselines": []}
    text = Page(render(result)).text
    assert text.index("The run ended early (interrupt)") < text.index("Where it breaks")
    assert "**Partial**: interrupt" in summarise(result)


def test_what_could_not_be_seen_stands_there_with_its_reason() -> None:
    """So that nobody takes silence for health."""
    text = Page(render(searched())).text
    assert "stacks not seen 0 not asked for" in text
    assert "Not seen in this run: open descriptors." in text
    assert "not reachable: refused" in text


@pytest.mark.parametrize("make", MAKERS)
def test_the_page_can_be_read_without_seeing_it(make: Callable[[], dict[str, Any]]) -> None:
    """One h1, no level left out, a caption for each table, words for each chart, a language, headings of columns."""
    page = Page(render(make()))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(late - early <= 1 for early, late in pairwise(levels))
    assert len(page.named("table")) == len(page.named("caption"))
    assert all(each.get("scope") for each in page.named("th"))
    assert page.named("html") == [{"lang": "en"}]
    told = [each["aria-label"] for each in page.named("svg") if each.get("role") == "img"]
    assert len(told) >= 6
    assert all(told)
    assert len(page.named("title")) > 20


@given(st.text(), st.text())
def test_every_text_is_escaped(inside: str, attribute: str) -> None:
    """Whatever it is, it comes back as text."""
    parser = Page(el("p", inside, title=attribute))
    assert [tag for tag, _ in parser.elements] == ["p"]


def test_markup_is_taken_as_it_is() -> None:
    """Elements nest; `None` leaves no trace; names that Python keeps lose their mark."""
    inner = el("b", "a & b", class_="x", hidden=True, id=None)
    assert el("p", [inner, None], " <") == '<p><b class="x" hidden>a &amp; b</b> &lt;</p>'
    assert isinstance(join(inner), Markup)


@given(st.floats(0, 1e9), st.floats(1e-6, 1e9), st.sampled_from(["", "s", "bytes", "1/s"]))
def test_a_linear_scale_holds_its_values(low: float, span: float, unit: str) -> None:
    """Both ends lie within, and there are a few ticks, in order."""
    scale = linear(low, low + span, unit)
    assert scale.low <= low * (1 + 1e-9)
    assert scale.high >= (low + span) * (1 - 1e-9)
    assert 2 <= len(scale.ticks) <= 12
    assert list(scale.ticks) == sorted(scale.ticks)
    assert 0 <= scale.at(low) <= scale.at(low + span) <= 1


@given(st.lists(st.floats(0, 1e6), max_size=20))
def test_a_logarithmic_scale_holds_its_values(values: list[float]) -> None:
    """Zero and what is less than the floor lie at its beginning."""
    scale = logarithmic(values, "s", floor=1e-5)
    assert scale.low < scale.high
    assert all(0 <= scale.at(value) <= 1 for value in values)
    assert scale.at(scale.high) == pytest.approx(1)


def test_a_short_trouble_is_not_averaged_away() -> None:
    """Each stretch shows its worst; a stretch in which nothing was seen breaks the line."""
    line = bucketed([(t / 100, 1.0) for t in range(500)] + [(2.003, 9.0), (9.9, 1.0)], 10.0)
    assert max(value for _, value in line if value is not None) == 9.0
    assert [value for _, value in line].count(None) == 1
    assert len(line) <= 202
