"""What a person sees: a live display on a terminal, plain lines elsewhere. It shows; it decides nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from roomful.probe.findings import Diagnosis
from roomful.probe.results import Outcome, Result, Trial
from roomful.probe.traffic import Traffic
from roomful.probe.units import format_bytes, format_rate, format_s

__all__ = ("LiveView", "PlainView", "QuietView", "make_view", "say", "show_verdict")

_BAR = 30
_STYLES = {Outcome.GOOD: "green", Outcome.BAD: "red", Outcome.INVALID: "yellow"}


def say(text: str, stream: TextIO) -> None:
    """Write a line and let it be seen at once."""
    stream.write(text + "\n")
    stream.flush()


def trial_line(trial: Trial) -> str:
    """Return one line about a trial."""
    spec = trial.spec
    latency = f"p99 {format_s(trial.latency.p99_s)}" if trial.latency else "nothing came"
    what = f"{format_bytes(spec.size)} × {spec.clients}"
    rate = {"burst": f"{spec.burst} at once", "window": f"{spec.burst} under way"}.get(
        spec.shape, format_rate(spec.rate)
    )
    word = trial.outcome.value
    if spec.purpose == "estimate":
        word = f"about {format_rate(trial.served_rate)}"
    line = f"{spec.purpose:<8} {what:<16} {rate:<14} {word:<8} {trial.arrived:>8,} came  {latency}"
    return f"{line}  {'; '.join(trial.reasons)}" if trial.reasons else line


class QuietView:
    """Show nothing until the verdict."""

    def step(self, text: str, *, share: float) -> None:
        """Show nothing."""

    def traffic(self, traffic: Traffic | None) -> None:
        """Show nothing."""

    def trial(self, trial: Trial) -> None:
        """Show nothing."""

    def close(self) -> None:
        """End the display."""


class PlainView(QuietView):
    """One line for each trial, for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def trial(self, trial: Trial) -> None:
        """Show a line about the trial."""
        say(trial_line(trial), self._stream)


class LiveView(QuietView):
    """Progress, time left, what is under way, and the trials so far."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._step = "start"
        self._share = 0.0
        self._share_at = 0.0
        self._traffic: Traffic | None = None
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=5, transient=True)
        self._live.start()

    def step(self, text: str, *, share: float) -> None:
        """Show what begins."""
        self._step, self._share, self._share_at = text, max(share, self._share), self._clock()

    def traffic(self, traffic: Traffic | None) -> None:
        """Show what is under way."""
        self._traffic = traffic

    def trial(self, trial: Trial) -> None:
        """Show a line about the trial."""
        self._live.console.print(
            Text(trial_line(trial), style=_STYLES[trial.outcome], overflow="ellipsis", no_wrap=True)
        )

    def close(self) -> None:
        """End the display."""
        self._live.stop()

    def _render(self) -> Group:
        now = self._clock()
        filled = int(self._share * _BAR)
        bar = Text.assemble(("━" * filled, "green"), ("━" * (_BAR - filled), "dim"), f"  {now:.0f} s")
        if self._share > 0.02:
            bar.append(f"  about {format_s(max(self._share_at / self._share - now, 0.0))} left")
        lines = [bar, Text(self._step)]
        traffic = self._traffic
        if traffic is not None:
            under_way = max(traffic.expected - traffic.arrived, 0)
            text = f"{traffic.offered:,} sent  {traffic.arrived:,} came  {under_way:,} under way"
            if traffic.backlog_s > 0.01:
                text += f"  the sockets take no more since {format_s(traffic.backlog_s)}"
            lines.append(Text(text))
        for line in lines:
            # A line that breaks would stay behind when the display is drawn again.
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines)


def make_view(*, plain: bool, quiet: bool, clock: Callable[[], float]) -> QuietView:
    """Return the display that fits the terminal; it writes to standard error."""
    if quiet:
        return QuietView()
    if plain or not sys.stderr.isatty():
        return PlainView(sys.stderr)
    return LiveView(Console(stderr=True), clock)


def show_verdict(result: Result, stream: TextIO) -> None:
    """Write the verdict's sentences."""
    target = result.target
    mode = f", {target['mode']}" if target.get("mode") else ""
    say(f"\n{target.get('url', '')}{mode}", stream)
    sentences = result.verdict.get("sentences")
    assert isinstance(sentences, list), "verdict.conclude makes it"
    for sentence in sentences:
        say(f"  {sentence}", stream)
    if result.diagnosis is not None:
        _show_diagnosis(result.diagnosis, stream)
    say(f"{result.verdict['outcome']} after {result.duration_s:.1f} s", stream)


def _show_diagnosis(diagnosis: Diagnosis, stream: TextIO) -> None:
    say(f"Diagnosis: {diagnosis.status.value}", stream)
    if not diagnosis.findings:
        say(f"  {diagnosis.sentence}", stream)
    for finding in diagnosis.findings:
        say(f"  {finding.sentence}", stream)
        if finding.cure is not None:
            say(f"    Cure: {finding.cure}", stream)
        if finding.intervention is not None:
            say(
                f"    Intervention ({finding.intervention.outcome.value}): {finding.intervention.because}",
                stream,
            )
        for rival in finding.rivals:
            say(f"    {rival.state.value}: {rival.title}: {rival.because}", stream)
    for note in diagnosis.notes:
        say(f"  {note}", stream)
