"""The picture: an SVG of a run, one panel for each case. Pure. It opens with its bias."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from bench.cases import CASES, Case
from bench.results import Spread, spread
from bench.rows import row_named
from bench.run import CaseResult

__all__ = ("svg",)

_WIDTH = 860
_LEFT = 250
_RIGHT = 90
_BAR = 15
_GAP = 4
_HEAD = 74
_PANEL_HEAD = 34
_PANEL_FOOT = 14
_OURS = "#0b6e4f"
_OTHERS = "#8a94a6"
_BIAS = (
    "Written by Roomful's authors. One machine, loopback, one core for a server; ratios count, not figures."
)


def svg(results: Sequence[CaseResult], *, machine: str) -> str:
    """Return the picture: bars of each case's first figure, the less the better, on a logarithmic scale."""
    by_name = {result.case: result for result in results}
    panels = []
    top = _HEAD
    for case in CASES:
        bars = _bars(case, by_name[case.name]) if case.name in by_name else []
        if len(bars) > 1:
            panels.append(_panel(case, bars, top))
            top += _PANEL_HEAD + len(bars) * (_BAR + _GAP) + _PANEL_FOOT
    size = f'viewBox="0 0 {_WIDTH} {top}" width="{_WIDTH}" height="{top}"'
    legend = "Bars: median, on a logarithmic scale, the less the better; lines: least and most."
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{top}" fill="#ffffff"/>',
        _text(16, 26, _BIAS, weight="600"),
        _text(16, 44, machine, colour="#555c68"),
        _text(16, 60, legend, colour="#555c68"),
    ]
    return "\n".join([*head, *panels, "</svg>"]) + "\n"


def _bars(case: Case, result: CaseResult) -> list[tuple[str, Spread]]:
    """Return the rows that have a figure above zero, the least first."""
    found = [(row, spread(samples, case.columns[0].figure)) for row, samples in result.samples.items()]
    return sorted(
        ((row, figure) for row, figure in found if figure is not None and figure.least > 0),
        key=lambda bar: bar[1].median,
    )


def _panel(case: Case, bars: Sequence[tuple[str, Spread]], top: int) -> str:
    column = case.columns[0]
    low = min(figure.least for _, figure in bars) / 2
    high = max(figure.most for _, figure in bars)

    def place(value: float) -> float:
        share = math.log(value / low) / math.log(high / low)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    parts = [_text(16, top + 20, f"{case.title}: {column.title}", weight="600")]
    for number, (row, figure) in enumerate(bars):
        y = top + _PANEL_HEAD + number * (_BAR + _GAP)
        middle = y + _BAR / 2
        colour = _OURS if row.startswith("roomful") else _OTHERS
        end, least, most = place(figure.median), place(figure.least), place(figure.most)
        parts += [
            _text(_LEFT - 8, y + 12, row_named(row).title, anchor="end"),
            f'<rect x="{_LEFT}" y="{y}" width="{end - _LEFT:.1f}" height="{_BAR}" rx="2" fill="{colour}"/>',
            f'<path d="M{least:.1f} {middle}H{most:.1f}" stroke="#20242c" stroke-width="1.2"/>',
            _text(max(end, most) + 6, y + 12, f"{figure.median * column.scale:,.{column.digits}f}"),
        ]
    return "\n".join(parts)


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", weight: str = "400", colour: str = "#20242c"
) -> str:
    look = f'text-anchor="{anchor}" font-weight="{weight}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y}" {look}>{escape(text)}</text>'
