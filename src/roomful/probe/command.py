"""The command `roomful probe`: from arguments to exit code.

It alone reads the command line, catches Ctrl-C and writes files; whatever happens, what was measured is written.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from roomful.probe.arguments import Arguments, parse
from roomful.probe.child import Child
from roomful.probe.diagnosis import diagnose
from roomful.probe.errors import ExitCode, ProbeError, Unmeasurable, Unreachable
from roomful.probe.findings import Diagnosis
from roomful.probe.intervention.knobs import setting_of
from roomful.probe.intervention.rounds import Plan, intervene
from roomful.probe.options import Options
from roomful.probe.page import render, summarise
from roomful.probe.page.command import ACTIONS, run_saved
from roomful.probe.page.files import write_view
from roomful.probe.results import Result, to_json
from roomful.probe.run import ProbeRun, run_clock, run_until_done
from roomful.probe.target import check_allowed
from roomful.probe.terminal import make_view, say, show_verdict

__all__ = ("add_parser", "main", "run")

_T = TypeVar("_T")
_DYING_S = 2.0


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `probe` to a command line; its own arguments are read by `run`, and `--help` too."""
    # No character begins an option here, so that all words reach `run` in their order, `--` among them.
    parser = subparsers.add_parser(
        "probe", help="load a WebSocket server and find where it breaks", prefix_chars="\0", add_help=False
    )
    parser.add_argument("argv", nargs=argparse.REMAINDER)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command with the arguments that `add_parser` left; return the exit code."""
    argv: list[str] = args.argv
    return main(argv)


def main(argv: Sequence[str]) -> int:
    """Run the command; return the exit code."""
    try:
        if argv and argv[0] in ACTIONS:
            return run_saved(argv)
        arguments = parse(argv)
        if arguments.action == "buffers":
            if sys.platform != "linux":
                raise Unmeasurable("the experiment reads Linux's socket counters; this is another system")
            # Only this needs it, and only Linux has what it imports.
            from roomful.probe.buffers.command import run_buffers  # noqa: PLC0415  # see above

            return asyncio.run(run_buffers(arguments))
        return asyncio.run(_probe(arguments))
    except ProbeError as error:
        say(f"roomful probe: {error}", sys.stderr)
        return int(error.exit_code)
    except KeyboardInterrupt:
        return int(ExitCode.INCONCLUSIVE)


async def _probe(arguments: Arguments) -> int:
    options = arguments.options
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    child: Child | None = None
    try:
        if arguments.action == "run":
            if options.target.url:
                check_allowed(options.target, allowed=options.allowed)
            setting = setting_of(arguments.command, [(knob, knob.a) for knob in arguments.knobs])
            child = await Child.start(setting.command, setting.environment)
            url = await _unless(stop, _url_of(child, arguments))
            options = replace(options, target=replace(options.target, url=url), pid=child.pid, stacks=True)
        return await _run(arguments, options, child, stop)
    finally:
        if child is not None:
            await child.stop()


async def _url_of(child: Child, arguments: Arguments) -> str:
    """Wait until the child listens; return its URL."""
    target = arguments.options.target
    if not target.url:
        return await child.find_url(arguments.path, timeout_s=arguments.start_timeout_s)
    await child.wait_listening(target, timeout_s=arguments.start_timeout_s)
    return target.url


async def _unless(stop: asyncio.Event, waiting: Coroutine[None, None, _T]) -> _T:
    """Wait for something, unless the command is stopped first."""
    task = asyncio.ensure_future(waiting)
    stopper = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((task, stopper), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Unmeasurable("stopped before anything was measured")
        return task.result()
    finally:
        task.cancel()
        stopper.cancel()


async def _run(arguments: Arguments, options: Options, child: Child | None, stop: asyncio.Event) -> int:
    clock = run_clock()
    result = _empty_result(arguments, options)
    view = make_view(plain=arguments.plain, quiet=arguments.quiet, clock=clock)
    probe = ProbeRun(options, result, view, clock=clock)
    failure: ProbeError | None = None
    try:
        await run_until_done(probe, stop)
    except ProbeError as error:
        failure = error
        result.stopped_by = str(error)
    finally:
        view.close()
    if child is not None:
        if isinstance(failure, Unreachable) or not result.reachable:
            # Its sockets are closed before it has quite ended, and how it ended is evidence.
            await child.ended(timeout_s=_DYING_S)
        result.evidence["child"] = child.report()
    result.diagnosis = await _diagnose(arguments, result, child, stop, clock)
    if failure is not None:
        result.verdict |= {"outcome": type(failure).__name__.lower(), "exit_code": int(failure.exit_code)}
        sentences = result.verdict.setdefault("sentences", [])
        assert isinstance(sentences, list), "verdict.conclude makes it"
        sentences.append(f"Stopped: {failure}.")
    if failure is None or result.trials:
        paths = (arguments.json_path, arguments.html_path, arguments.markdown_path)
        show_verdict(result, sys.stderr if "-" in paths else sys.stdout)
    written = _write(result, arguments)
    if failure is not None:
        say(f"roomful probe: {failure}", sys.stderr)
        return int(failure.exit_code)
    code = result.verdict["exit_code"]
    assert isinstance(code, int), "verdict.conclude makes it"
    return code if written or code else int(ExitCode.INCONCLUSIVE)


async def _diagnose(
    arguments: Arguments, result: Result, child: Child | None, stop: asyncio.Event, clock: Callable[[], float]
) -> Diagnosis:
    """Say what the cause is, and prove it where there are knobs."""
    measured = to_json(result)
    assert isinstance(measured, dict), "a result becomes an object"
    diagnosis = diagnose(measured)
    if child is None or not arguments.knobs or not diagnosis.causes or stop.is_set():
        return diagnosis
    # It is started anew for each round, and two at a time would disturb each other.
    await child.stop()
    plan = Plan(
        command=arguments.command,
        options=arguments.options,
        path=arguments.path,
        start_timeout_s=arguments.start_timeout_s,
        knobs=arguments.knobs,
        placebo=arguments.placebo,
        rounds=arguments.rounds,
    )

    def told(text: str) -> None:
        if not arguments.quiet:
            say(text, sys.stderr)

    try:
        return await _unless(stop, intervene(diagnosis, result, plan, say=told, clock=clock))
    except Unmeasurable:
        # It was stopped; what was found without it stands.
        return diagnosis


def _write(result: Result, arguments: Arguments) -> bool:
    """Write the result and its views; say so on standard error when it cannot be done."""
    found = to_json(result)
    views = [
        (arguments.json_path, _as_json),
        (arguments.html_path, render),
        (arguments.markdown_path, summarise),
    ]
    # One that cannot be written does not keep the others from it.
    written = [write_view(path, view(found)) for path, view in views if path]
    return all(written)


def _as_json(found: object) -> str:
    return json.dumps(found, separators=(",", ":"), allow_nan=False) + "\n"


def _empty_result(arguments: Arguments, options: Options) -> Result:
    target = options.target
    return Result(
        command=arguments.action,
        # Values of headers, and the query of the URL, may be secrets.
        target={
            "url": target.shown,
            "headers": [name for name, _ in target.headers],
            "subprotocols": list(target.subprotocols),
            "sources": list(target.sources),
        },
        machine=_machine(),
        options={
            "payload": options.payload,
            "sizes": list(options.sizes),
            "clients": list(options.clients),
            "rates": list(options.rates),
            "shape": options.shape,
            "burst": options.burst,
            "duration_s": options.duration_s,
            "budget_s": options.budget_s,
            "adapter": options.adapter,
            "max_size": options.max_size,
            "max_burst": options.max_burst,
            "deadline_s": options.goals.deadline_s,
            "max_bad_fraction": options.goals.bad_fraction,
            "max_p99_s": options.goals.p99_s,
            "max_closes": options.goals.closes,
            "max_growth": options.goals.growth,
            "max_generator_late_s": options.goals.late_limit_s,
        },
        started=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def _machine() -> dict[str, object]:
    model = None
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(
            (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None
        )
    except OSError:
        pass
    return {
        "system": platform.system(),
        "release": platform.release(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }
