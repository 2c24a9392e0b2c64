"""Consumers that come, go and change groups in thousands lose nothing and leave nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.examples.serving import ROOT


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_is_lost_in_silence_and_the_second_wave_needs_no_more_memory() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.django.churn"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    first, second = json.loads(ran.stdout)
    for wave in (first, second):
        assert wave["faults"] == {}
        assert wave["full"] == 0
        assert wave["left"] == 0
    assert second["sent"] > 100_000
    assert second["peak_kb"] <= first["peak_kb"] * 1.1
