"""The servers of `examples/broken`, each probed for real: the cause that is named is the one that was planted."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.probe.bench.matrix import Named, judge, read, run_one
from tests.probe.broken import BROKEN, Broken, missing

BY_NAME = {broken.name: broken for broken in BROKEN}
# Long enough for every symptom, and a third of what --quick takes.
SHORT = ("--time", "6s")
# A busy machine needs longer for some of them.
LONGER = ("--time", "16s")
# So little is left to us of a machine with many busy programs that its searches end with the time, undecided.
PATIENT = ("--time", "60s")
# Many bytes from the beginning: otherwise a slow machine has done its searches before memory is full.
LARGE = ("--time", "16s", "--size", "1MiB", "--max-size", "0", "--max-burst", "0")
NOTHING_BUT_QUESTIONS = ("--time", "1s", "--max-size", "0", "--max-burst", "0", "--storm", "0")


def check(named: Named, broken: Broken) -> None:
    """Assert what must hold: nothing wrong is named, neither from here nor from another machine."""
    assert "wrong" not in (named.verdict, named.elsewhere), named
    assert set(named.proven) <= broken.causes | broken.also


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_a_planted_fault_is_named(broken: Broken) -> None:
    """With more time where the machine is busy; a wrong one never."""
    if why := missing(broken):
        pytest.skip(why)
    large = LARGE[2:] if broken.name == "memory" else ()
    for extra in (SHORT, LONGER + large, PATIENT + large):
        named = run_one(broken, extra=extra)
        check(named, broken)
        if named.verdict == "right":
            return
    pytest.fail(f"not named: {named}")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "extra"), [("size_limit", SHORT), ("memory", LARGE)])
def test_a_knob_proves_the_cause(name: str, extra: tuple[str, ...]) -> None:
    """It moves as was predicted, and the placebo does not."""
    broken = BY_NAME[name]
    named = run_one(broken, extra=extra, knobs=True)
    check(named, broken)
    assert set(named.proven) == broken.causes, named


def test_a_blocking_call_is_proven() -> None:
    """The whole way once: questions, cause, prediction, rounds, proof."""
    broken = BY_NAME["blocking_call"]
    named = run_one(broken, extra=NOTHING_BUT_QUESTIONS, knobs=True)
    check(named, broken)
    assert named.causes == ("blocking",), named


def test_the_matrix_tells_right_from_wrong() -> None:
    """What is also true is not wrong; what is missing is undetermined."""
    keepalive, both = BY_NAME["keepalive"], BY_NAME["two_faults"]
    assert judge(keepalive, {"keepalive", "slow_handler"}) == "right"
    assert judge(keepalive, {"keepalive", "cpu"}) == "wrong"
    assert judge(both, {"blocking"}) == "undetermined"
    assert judge(BY_NAME["healthy_roomful"], set()) == "right"
    assert judge(BY_NAME["healthy_roomful"], {"cpu"}) == "wrong"


def test_a_server_that_cannot_run_here_says_why() -> None:
    """It is left out of the matrix, and not called wrong."""
    assert missing(BY_NAME["healthy_fastapi"]) is None
    nowhere = replace(BY_NAME["lossy_network"], before=("no-such-program",))
    assert missing(nowhere) == "no-such-program is not installed"
    assert "in a network namespace" in (missing(replace(nowhere, before=("false",))) or "")


def test_the_matrix_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """What was written is read as it was."""
    one = Named("memory", ("memory",), (), "supported", 9.5, "right", "undetermined")
    path = tmp_path / "matrix.json"
    assert read(path) == []
    path.write_text(json.dumps([asdict(one)]))
    assert read(path) == [one]
