"""Which page a result has: one for each schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from roomful.probe.page.buffers import BUFFERS_SCHEMA, render_buffers, summarise_buffers
from roomful.probe.page.report import render
from roomful.probe.page.summary import summarise
from roomful.probe.results import SCHEMA

__all__ = ("html_of", "markdown_of")

_VIEWS: Final[dict[str, tuple[Callable[[object], str], Callable[[object], str]]]] = {
    SCHEMA: (render, summarise),
    BUFFERS_SCHEMA: (render_buffers, summarise_buffers),
}


def html_of(result: dict[str, object]) -> str:
    """Return the page of a result whose schema was checked."""
    return _VIEWS[str(result["schema"])][0](result)


def markdown_of(result: dict[str, object]) -> str:
    """Return its Markdown."""
    return _VIEWS[str(result["schema"])][1](result)
