"""HTML and SVG from values: an element is made here and nowhere else, so that nothing is forgotten to be escaped.

Text that comes from a result, and so perhaps from a hostile server, becomes text and never markup.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final, TypeAlias

__all__ = ("Child", "Markup", "el", "join", "plain", "prose", "table")

_VOID: Final = frozenset({"meta", "link", "br", "hr"})
_MAX_TEXT: Final = 2_000


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


Child: TypeAlias = "str | Markup | Iterable[Child] | None"


def plain(text: str) -> str:
    """Return text that shows what it is: control and direction characters, which can disguise it, are replaced."""
    shown = text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "…"
    if shown.isascii() and shown.isprintable():
        return shown
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Co") and each not in "\n\t"
        else each
        for each in shown
    )


def join(*children: Child) -> Markup:
    """Return the children one after the other, escaped where they are not markup."""
    parts: list[str] = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(escape(plain(child), quote=False))
        else:
            parts.append(join(*child))
    return Markup("".join(parts))


def el(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """Return an element.

    Args:
        name: Its name.
        children: What is inside.
        attributes: Its attributes: `None` and `False` are left out, `True` stands alone, a `_` is a `-`, and the one
            at the end of a name that Python keeps for itself (`class_`) is dropped. Names with capitals, as SVG has
            some, are kept. Markup stands as it is, as a path of any length does.
    """
    shown = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        label = key.removesuffix("_").replace("_", "-")
        if value is True:
            shown.append(f" {label}")
        else:
            text = f"{value:g}" if isinstance(value, float) else str(value)
            shown.append(f' {label}="{text if isinstance(value, Markup) else escape(plain(text))}"')
    start = f"<{name}{''.join(shown)}>"
    return Markup(start if name in _VOID else f"{start}{join(*children)}</{name}>")


def prose(text: str) -> Markup:
    """Return text in which what stands between backticks is code."""
    return join(*(el("code", part) if place % 2 else part for place, part in enumerate(text.split("`"))))


def table(
    caption: Child,
    head: Sequence[str],
    rows: Iterable[Sequence[Child]],
    *,
    label: str,
    numeric: frozenset[int] = frozenset(),
    class_: str | None = None,
) -> Markup:
    """Return a table whose first column heads its rows, in a box that scrolls by itself where it is too wide.

    Args:
        caption: What it shows.
        head: One heading for each column.
        rows: Cells, as many as there are headings.
        label: The box's name, for those who cannot see it.
        numeric: Columns that are aligned to the right.
        class_: For the style sheet.
    """

    def side(place: int) -> str | None:
        return "n" if place in numeric else None

    body = [
        el(
            "tr",
            [
                el("th", cell, scope="row", class_=side(place))
                if place == 0
                else el("td", cell, class_=side(place))
                for place, cell in enumerate(row)
            ],
        )
        for row in rows
    ]
    heading = el("tr", [el("th", each, scope="col", class_=side(place)) for place, each in enumerate(head)])
    whole = el(
        "table", el("caption", el("div", caption)), el("thead", heading), el("tbody", body), class_=class_
    )
    # Whoever uses a keyboard scrolls what has the focus.
    return el("div", whole, class_="scroll", tabindex=0, role="region", aria_label=label)
