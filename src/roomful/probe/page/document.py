"""The frame of every page: head, style sheet, sections. Nothing in it asks a network for anything, nor may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from roomful.probe.page.headline import Figure
from roomful.probe.page.markup import Child, Markup, el, join, plain, prose

__all__ = ("Section", "cover", "document")

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page.

    Attributes:
        title: Its heading.
        about: What it shows, in a sentence or two.
        children: What it holds; a section without any is left out.
    """

    title: str
    about: Child
    children: Sequence[Child]


@cache
def _style() -> Markup:
    return Markup(files("roomful.probe.page").joinpath("page.css").read_text(encoding="utf-8"))


def cover(
    above: Child,
    status: str,
    tone: str,
    sentence: str,
    *,
    more: str = "",
    parts: Sequence[tuple[str, str, str]] = (),
    figures: Sequence[Figure] = (),
    below: Sequence[Child] = (),
) -> Markup:
    """Return the beginning of a page: where, status, the verdict, the figures that carry it.

    Args:
        above: What was looked at.
        status: The status in words.
        tone: `good`, `bad` or `warn`.
        sentence: The verdict.
        more: What is said beside it.
        parts: Status, tone and sentence of each thing that is wrong, when there are several.
        figures: The figures.
        below: What else must be known at once.
    """
    listed = el(
        "ol",
        [el("li", el("span", word, class_=f"chip {part}"), el("p", said)) for word, part, said in parts],
        class_="verdicts",
    )
    numbers = el(
        "dl",
        [el("div", el("dd", figure.value), el("dt", figure.label)) for figure in figures],
        class_="figures",
    )
    return el(
        "header",
        el("p", above, class_="eyebrow"),
        el("p", el("span", status, class_=f"chip {tone}"), class_="status"),
        el("h1", sentence),
        el("p", prose(more), class_="more") if more else None,
        listed if parts else None,
        numbers if figures else None,
        below,
        class_=f"cover {tone}",
    )


def document(title: str, beginning: Markup, sections: Sequence[Section], *, footer: Child = None) -> str:
    """Return a whole HTML document.

    Args:
        title: Of the window.
        beginning: What `cover` made.
        sections: What follows.
        footer: The end.
    """
    shown = [(number, each) for number, each in enumerate(sections, 1) if any(map(bool, each.children))]
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        el("meta", name="color-scheme", content="light dark"),
        el("title", plain(title)),
        el("style", _style()),
    )
    body = el(
        "body",
        el("a", "To the evidence", href=f"#s{shown[0][0]}", class_="skip") if shown else None,
        beginning,
        el("main", [_section(number, each) for number, each in shown]),
        el("footer", footer) if footer else None,
    )
    return f"<!DOCTYPE html>\n{el('html', head, body, lang='en')}\n"


def _section(number: int, section: Section) -> Markup:
    heading = el("div", el("h2", section.title), el("p", section.about), class_="aside")
    return el("section", heading, el("div", join(*section.children), class_="content"), id=f"s{number}")
