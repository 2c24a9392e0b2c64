"""A server that the probe starts: how it ended, and what it had."""

from __future__ import annotations

import sys

from roomful.probe.child import Child

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


async def test_what_a_small_program_had_is_not_known() -> None:
    """A new process begins with the memory of the probe, so less than that says nothing of it."""
    child = await Child.start([sys.executable, "-c", "pass"])
    assert await child.ended(timeout_s=20)
    await child.stop()
    assert (child.report()["exit_code"], child.report()["peak_rss_bytes"]) == (0, None)


async def test_one_that_is_stopped_has_not_ended_by_itself() -> None:
    """Waiting for its end is bounded."""
    child = await Child.start([sys.executable, "-c", "import time; time.sleep(60)"])
    assert not await child.ended(timeout_s=0.01)
    await child.stop()
    assert (child.report()["exit_code"], child.report()["stopped_by_probe"]) == (-15, True)
