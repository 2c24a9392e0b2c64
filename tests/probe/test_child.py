"""A server that the probe starts: how it ended, and what it had."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import threading
from pathlib import Path

import psutil
import pytest

from roomful.probe import child as child_module
from roomful.probe.child import Child
from roomful.probe.errors import UsageError
from tests.integration.waiting import until

LEAP_BYTES = 300 << 20


async def test_the_kernel_tells_how_much_memory_it_had() -> None:
    """Also when it was killed in the moment in which it grew."""
    script = f"import os; held = b'x' * {LEAP_BYTES}; os.kill(os.getpid(), 9)"
    child = await Child.start([sys.executable, "-c", script])
    assert await child.ended(timeout_s=20)
    await child.stop()
    report = child.report()
    assert (report["exit_code"], report["stopped_by_probe"]) == (-9, False)
    peak = report["peak_rss_bytes"]
    assert isinstance(peak, int)
    assert LEAP_BYTES < peak < 2 * LEAP_BYTES


async def test_what_the_probe_has_had_is_not_told_as_the_programs() -> None:
    """The kernel counts the memory of a parent for its children too."""
    grown = b"x" * LEAP_BYTES
    child = await Child.start([sys.executable, "-c", "pass"])
    del grown
    assert await child.ended(timeout_s=20)
    await child.stop()
    peak = child.report()["peak_rss_bytes"]
    assert isinstance(peak, int)
    assert 1 << 20 < peak < LEAP_BYTES / 2


async def test_who_waits_for_it_may_be_killed() -> None:
    """Then it goes too, and its end is told."""
    child = await Child.start([sys.executable, "-c", "import time; time.sleep(60)"])
    waiter = psutil.Process(child.pid).parent()
    assert waiter is not None
    waiter.kill()
    assert await child.ended(timeout_s=20)
    await child.stop()
    assert (child.report()["exit_code"], child.report()["peak_rss_bytes"]) == (-9, None)
    assert child.report()["stopped_by_probe"]
    await until(lambda: not _lives(child.pid))


async def test_who_stops_programs_by_their_command_line_stops_the_command_alone() -> None:
    """What waits for it has the same words in its own."""
    script = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print('ready')\n"
        "while True: signal.pause()"
    )
    child = await Child.start([sys.executable, "-c", script])
    await until(lambda: "ready" in str(child.report()["log_tail"]))
    process = psutil.Process(child.pid)
    waiter = process.parent()
    assert waiter is not None
    for each in (waiter, process):
        each.terminate()
    assert await child.ended(timeout_s=20)
    await child.stop()
    assert (child.report()["exit_code"], child.report()["stopped_by_probe"]) == (7, False)


async def test_that_nothing_can_be_started_is_not_the_commands_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    false = shutil.which("false") or ""
    monkeypatch.setattr(sys, "executable", false)
    with pytest.raises(UsageError, match=f"{false}, which was to start it, ended with exit code 1"):
        await Child.start(["echo"])


async def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match=r"'/no/such' cannot be started: No such file"):
        await Child.start(["/no/such"])


async def test_one_that_is_stopped_has_not_ended_by_itself() -> None:
    """Waiting for its end is bounded."""
    child = await Child.start([sys.executable, "-c", "import time; time.sleep(60)"])
    assert not await child.ended(timeout_s=0.01)
    await child.stop()
    assert (child.report()["exit_code"], child.report()["stopped_by_probe"]) == (-15, True)


@pytest.mark.parametrize(
    "command", [[sys.executable, "-c", "import time; time.sleep(60)"], ["/no/such/program"]]
)
async def test_a_start_that_is_cancelled_leaves_nothing(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that starts the command cannot be stopped, so what it started is stopped when it is there."""
    begun, go_on = threading.Event(), threading.Event()
    started: list[int] = []
    launch = child_module._launch

    def slow(*args: object) -> object:
        begun.set()
        go_on.wait(10)
        launched = launch(*args)  # type: ignore[arg-type]  # as they came
        started.extend((launched.pid, launched.waiter.pid))
        return launched

    monkeypatch.setattr(child_module, "_launch", slow)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    starting = asyncio.create_task(Child.start(command))
    await until(begun.is_set)
    starting.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == []
    assert len(started) == 2 * (command[0] == sys.executable)
    assert not any(map(_lives, started))


def _lives(pid: int) -> bool:
    """A process that ended, and that nobody has waited for, does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
