"""`roomful probe buffers`: run the experiments, show them, and say what they answer."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path

from roomful.probe.arguments import Arguments
from roomful.probe.buffers.experiment import BufferRun, MachineLimits, fill_and_read, read_limits
from roomful.probe.buffers.through_server import ask_server
from roomful.probe.errors import ExitCode, ProbeError, Unmeasurable
from roomful.probe.terminal import say
from roomful.probe.units import format_bytes

__all__ = ("run_buffers",)

_SCHEMA = "roomful.probe.buffers/1"
_ASKED = 212_992
_SHOWN_ROWS = 6


async def run_buffers(arguments: Arguments) -> int:
    """Run all of it; return 0 when nothing was lost, 1 when something was, 4 when it could not be seen."""
    limits = read_limits()
    out = sys.stderr if arguments.json_path == "-" else sys.stdout
    say(_limits_text(limits), out)
    runs = []
    for title, size, warm_up in (
        ("buffers tuned by the kernel, a reader that stops", None, True),
        ("buffers tuned by the kernel, a reader that never began", None, False),
        (f"SO_RCVBUF set to {_ASKED:,} bytes", _ASKED, True),
    ):
        run = await asyncio.to_thread(fill_and_read, size, warm_up=warm_up)
        runs.append({"title": title, **asdict(run)})
        say(_run_text(title, run), out)
    server: dict[str, object] | None = None
    reason: str | None = None
    try:
        server = await ask_server()
        say(_server_text(server), out)
    except ProbeError as error:
        reason = f"the experiment with FastAPI was left out: {error}"
        say(reason, out)
    lost = [run for run in runs if not run["intact"]]
    counts = server["counts"] if server else {}
    assert isinstance(counts, dict), "ask_server makes it"
    faults = sum(counts.get(name, 0) for name in ("lost", "corrupted", "reordered", "duplicate", "in doubt"))
    code = ExitCode.BREACHED if lost or faults else ExitCode.PASS if server else ExitCode.INCONCLUSIVE
    answer = (
        "A receive buffer that is full loses nothing: the window closes and the sender waits."
        if not lost and not faults
        else "Something was lost: see the samples."
    )
    say(f"\n{answer}", out)
    result = {
        "schema": _SCHEMA,
        "limits": asdict(limits),
        "runs": runs,
        "server": server,
        "server_left_out": reason,
        "answer": answer,
        "exit_code": int(code),
    }
    if arguments.json_path == "-":
        say(json.dumps(result), sys.stdout)
    elif arguments.json_path:
        try:
            # The experiment is over: nothing runs in this loop that a write could hold up.
            Path(arguments.json_path).write_text(json.dumps(result) + "\n")  # noqa: ASYNC240  # see above
        except OSError as error:
            raise Unmeasurable(
                f"the result cannot be written to {arguments.json_path}: {error.strerror}"
            ) from error
    return int(code)


def _limits_text(limits: MachineLimits) -> str:
    lines = ["This machine:"]
    if limits.rmem_max is not None:
        lines.append(
            f"  net.core.rmem_max      {limits.rmem_max:,}  (bounds only what a program asks for itself)"
        )
    if limits.tcp_rmem is not None:
        least, start, most = limits.tcp_rmem
        lines.append(
            f"  net.ipv4.tcp_rmem      {least:,} {start:,} {most:,}  (least, start, most of the kernel's tuning)"
        )
    if limits.tcp_wmem is not None:
        lines.append("  net.ipv4.tcp_wmem      " + " ".join(f"{value:,}" for value in limits.tcp_wmem))
    return "\n".join(lines)


def _run_text(title: str, run: BufferRun) -> str:
    first, last = run.granted
    lines = [
        f"\n{title}:",
        f"  receive buffer {format_bytes(first)} at first, {format_bytes(last)} in the end",
        "  time      sent          window      not sent      receive queue  drops",
    ]
    step = max(1, len(run.samples) // _SHOWN_ROWS)
    shown = [*run.samples[:-2:step], *run.samples[-2:]]
    lines += [
        f"  {_cell(sample, 't_s'):<8}  {_cell(sample, 'sent'):<12}  {_cell(sample, 'snd_wnd'):<10}  "
        f"{_cell(sample, 'notsent_bytes'):<12}  {_cell(sample, 'receive_queue'):<13}  {_cell(sample, 'drops')}"
        for sample in shown
    ]
    counters = ", ".join(f"{name.partition('.')[2]} +{value}" for name, value in run.counters.items())
    lines.append(f"  the kernel took {run.taken:,} bytes, then the sender waited")
    lines.append(f"  counters of the whole machine: {counters or 'none changed'}")
    same = "the same bytes in the same order" if run.intact else "NOT what was sent"
    lines.append(f"  after it read on: {run.received:,} of {run.sent:,} bytes came, {same}")
    return "\n".join(lines)


def _server_text(server: dict[str, object]) -> str:
    counts = server["counts"]
    assert isinstance(counts, dict), "ask_server makes it"
    came = counts.get("delivered", 0)
    return (
        f"\nFastAPI on uvicorn, {server['messages']} messages of {server['size']:,} bytes, not read for "
        f"{server['pause_s']:g} s:\n"
        f"  {server['offered_while_unread']} were handed over while it did not read; the others had to wait\n"
        f"  in the end {came} came back in order, {counts.get('lost', 0)} were lost, "
        f"{counts.get('in doubt', 0)} are in doubt"
    )


def _cell(sample: dict[str, object], name: str) -> str:
    value = sample.get(name)
    return "?" if value is None else f"{value:,}"
