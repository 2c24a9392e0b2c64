"""Charts as inline SVG: lines over time, and marks in a plane.

A chart is as wide as its place and keeps its height: across it is measured in percent, down in pixels, so that its
text has the size of text on a telephone too. What is drawn with percent cannot be a path, so lines lie in an inner
drawing that is stretched, with pens that are not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from roomful.probe.page.markup import Child, Markup, el, join
from roomful.probe.page.scales import Scale

__all__ = ("Band", "Mark", "Series", "key", "line_chart", "plane")

_WIDE: Final = 1000
"""Units across of the drawing that is stretched."""
_HOVER_COLUMNS: Final = 80
_LABEL_Y: Final = 4
_AXIS_Y: Final = 18


@dataclass(frozen=True, slots=True)
class Series:
    """One line.

    Attributes:
        name: What it is.
        points: Places and values, in order; `None` breaks the line.
        pen: 1 to 4, which gives its colour and its dashes.
        filled: Whether what is below it is tinted.
    """

    name: str
    points: Sequence[tuple[float, float | None]]
    pen: int
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of time that was special.

    Attributes:
        start, end: Where.
        kind: `bad` or `invalid`.
        text: Why.
    """

    start: float
    end: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark in a plane.

    Attributes:
        x, y: Its place.
        kind: `good`, `bad`, `invalid`, or `pen1` to `pen4`.
        text: What it says.
    """

    x: float
    y: float
    kind: str
    text: str


def line_chart(
    title: str,
    about: Child,
    series: Sequence[Series],
    *,
    x: Scale,
    y: Scale,
    bands: Sequence[Band] = (),
    height: int = 128,
) -> Markup:
    """Return lines over time, with a legend, and with values under the pointer.

    Args:
        title: What is shown.
        about: How to read it, in a sentence.
        series: The lines.
        x: Across.
        y: Up.
        bands: What is marked behind the lines.
        height: In pixels.
    """
    inner: list[Markup] = []
    for band in bands:
        start, end = x.at(band.start) * _WIDE, x.at(band.end) * _WIDE
        inner.append(_column(start, max(end - start, 1.5), height, f"band {band.kind}", band.text))
    for each in series:
        path, area = _path(each, x, y, height)
        if each.filled:
            inner.append(el("path", d=area, class_=f"area pen{each.pen}"))
        inner.append(el("path", d=path, class_=f"line pen{each.pen}"))
    inner += _hovers(series, x, y, height, bands)
    drawing = el(
        "svg",
        inner,
        viewBox=f"0 0 {_WIDE} {height}",
        preserveAspectRatio="none",
        width="100%",
        height=height,
    )
    legend = el("ul", [el("li", key("line", each.pen), each.name) for each in series], class_="legend")
    told = "; ".join(_told(each, x, y) for each in series)
    return _figure(title, about, legend, _frame(f"{title}: {told}", join(drawing), x=x, y=y, height=height))


def plane(
    title: str,
    about: Child,
    marks: Sequence[Mark],
    *,
    x: Scale,
    y: Scale,
    legend: Markup | None = None,
    told: str,
    height: int = 220,
) -> Markup:
    """Return marks in a plane.

    Args:
        title: What is shown.
        about: How to read it.
        marks: The marks; the last lie on top.
        x: Across.
        y: Up.
        legend: What the kinds mean.
        told: The same in words, for those who cannot see it.
        height: In pixels.
    """
    shown = []
    for mark in marks:
        at_x, at_y = f"{x.at(mark.x) * 100:.2f}%", round((1 - y.at(mark.y)) * height, 1)
        if mark.kind == "bad":
            cross = el("path", el("title", mark.text), d="M-4-4L4 4M4-4L-4 4")
            shown.append(el("svg", cross, x=at_x, y=at_y, class_="mark bad", overflow="visible"))
        else:
            shown.append(
                el("circle", el("title", mark.text), cx=at_x, cy=at_y, r=4.5, class_=f"mark {mark.kind}")
            )
    return _figure(
        title, about, legend, _frame(f"{title}: {told}", join(shown), x=x, y=y, height=height, rules=True)
    )


def key(shape: str, pen: int | str) -> Markup:
    """Return the sign that a legend shows: a `line` of a pen, or a `mark` of a kind."""
    if shape == "line":
        drawn = el("line", x1=0, x2=22, y1=6, y2=6, class_=f"line pen{pen}")
    elif pen == "bad":
        drawn = el("path", d="M7 2L15 10M15 2L7 10", class_="mark bad")
    else:
        drawn = el("circle", cx=11, cy=6, r=4.5, class_=f"mark {pen}")
    return el("svg", drawn, width=22, height=12, class_="key", aria_hidden="true")


def _figure(title: str, about: Child, legend: Markup | None, drawing: Markup) -> Markup:
    caption = el("figcaption", el("strong", title), " ", el("span", about), legend)
    return el("figure", caption, drawing, class_="chart")


def _frame(told: str, inside: Markup, *, x: Scale, y: Scale, height: int, rules: bool = False) -> Markup:
    """Return axes with what lies between them."""
    parts = []
    for value in y.ticks:
        place = round((1 - y.at(value)) * height, 1)
        parts.append(el("line", x1=0, x2="100%", y1=place, y2=place, class_="rule"))
        parts.append(el("text", y.show_tick(value), x=-10, y=place + _LABEL_Y, class_="at-y"))
    for place, value in enumerate(x.ticks):
        across = f"{x.at(value) * 100:.2f}%"
        class_ = "at-x spare" if place % 2 else "at-x"
        if rules:
            parts.append(el("line", x1=across, x2=across, y1=0, y2=height, class_="rule"))
        parts.append(el("text", x.show_tick(value), x=across, y=height + _AXIS_Y, class_=class_))
    svg = el("svg", parts, inside, class_="plot", height=height, role="img", aria_label=told)
    return el("div", svg, class_="frame")


def _column(x: float, width: float, height: int, class_: str, text: str) -> Markup:
    """Return a stretch of the whole height that says something under the pointer."""
    return el(
        "rect",
        el("title", text),
        x=round(x, 1),
        y=0,
        width=round(width, 1),
        height=height,
        class_=class_,
    )


def _path(series: Series, x: Scale, y: Scale, height: int) -> tuple[Markup, Markup]:
    """Return a line, and the area below it."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for place, value in series.points:
        if value is None:
            pieces.append([])
            continue
        pieces[-1].append((round(x.at(place) * _WIDE, 1), round((1 - y.at(value)) * height, 1)))
    lines, areas = [], []
    for piece in pieces:
        if not piece:
            continue
        if len(piece) == 1:
            # One point alone would be invisible.
            piece.append((piece[0][0] + 1.0, piece[0][1]))
        line = "L".join(f"{across:g} {down:g}" for across, down in piece)
        lines.append(f"M{line}")
        areas.append(f"M{piece[0][0]:g} {height}L{line}L{piece[-1][0]:g} {height}Z")
    return Markup("".join(lines)), Markup("".join(areas))


def _hovers(series: Sequence[Series], x: Scale, y: Scale, height: int, bands: Sequence[Band]) -> list[Markup]:
    """Return columns that say under the pointer what the lines say there."""
    width = (x.high - x.low) / _HOVER_COLUMNS
    known = [[(place, value) for place, value in each.points if value is not None] for each in series]
    columns = []
    for number in range(_HOVER_COLUMNS):
        start = x.low + number * width
        said = []
        for each, points in zip(series, known, strict=True):
            first = bisect_left(points, start, key=lambda point: point[0])
            inside = [value for place, value in points[first : first + 8] if place < start + width]
            if inside:
                said.append(f"{each.name} {y.show(max(inside))}")
        if said:
            said += [band.text for band in bands if band.start < start + width and start < band.end][:1]
            text = f"{x.show(start + width / 2)}\n" + "\n".join(said)
            width_of_one = _WIDE / _HOVER_COLUMNS
            columns.append(_column(number * width_of_one, width_of_one, height, "hover", text))
    return columns


def _told(series: Series, x: Scale, y: Scale) -> str:
    """Say in words what a line does."""
    known = [(place, value) for place, value in series.points if value is not None]
    if not known:
        return f"{series.name} was not seen"
    lowest = min(value for _, value in known)
    where, highest = max(known, key=lambda point: point[1])
    middle = sorted(value for _, value in known)[len(known) // 2]
    return (
        f"{series.name} from {y.show(lowest)} to {y.show(highest)} (at {x.show(where)}), "
        f"half of the time at most {y.show(middle)}"
    )
