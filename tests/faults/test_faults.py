"""Whatever happens to the server or a node: every event comes in order, once, or its loss is told.

`make faults` runs the same with half a million deliveries each, and prints what was told.
"""

from __future__ import annotations

import pytest

from ..layers.servers import BINARIES
from .faults import FAULTS, Fault, run

QUICK = ("SIGKILL of a node", "SIGKILL of the server, nothing on disk", "CLIENT KILL TYPE pubsub, 3 times")


def _slow(fault: Fault) -> object:
    marks = () if fault.name in QUICK else (pytest.mark.slow,)
    return pytest.param(fault, id=fault.name.replace(" ", "-"), marks=marks)


@pytest.mark.parametrize("fault", [_slow(fault) for fault in FAULTS])
async def test_fault_loses_nothing_in_silence(fault: Fault) -> None:
    """Two nodes in processes of their own, members on both, a real server, and a fault while all push."""
    if not BINARIES:
        pytest.skip("neither Redis nor Valkey is installed")

    outcome = await run(fault, next(iter(BINARIES)), deliveries=6000, short=0.4, members=3)

    assert outcome.problems == ()
    assert outcome.arrivals >= 6000
