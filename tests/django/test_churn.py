"""Consumers that come, go and change groups in thousands lose nothing and leave nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack

import pytest

from tests.examples.serving import ROOT
from tests.layers.servers import BINARIES, Server


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("on", ["memory", *BINARIES])
def test_nothing_is_lost_in_silence_and_the_next_wave_needs_no_more_memory(on: str) -> None:
    with ExitStack() as stack:
        where = [] if on == "memory" else [stack.enter_context(Server(BINARIES[on])).url]
        command = [sys.executable, "-m", "tests.django.churn", *where]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    waves = json.loads(ran.stdout)
    for wave in waves:
        assert wave["faults"] == {}
        assert (wave["full"], wave["lost"]) == (0, 0)
        assert wave["left"] == 0
    assert waves[1]["sent"] > 100_000
    peaks = [wave["peak_kb"] for wave in waves]
    assert peaks[-1] <= peaks[-2] * 1.1, f"peaks of {peaks} kB"
