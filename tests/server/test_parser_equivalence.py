"""Our parser against `websockets`: any bytes in any slices give the same events, or the same refusal."""

import random

from hypothesis import example, given
from hypothesis import strategies as st

from tests.server.reference import Verdict, judge, parse, parse_as_wire
from tests.server.serving import masked
from tests.server.streams import MAX_BYTES, cut, random_stream


def assert_equivalent(ours: Verdict, data: bytes) -> None:
    """Compare with the judge; refusing earlier than it is right if it refuses in the end."""
    theirs = judge(data, MAX_BYTES)
    if theirs.unjudged:
        common = min(len(ours.events), len(theirs.events))
        assert ours.events[:common] == theirs.events[:common]
        return
    if ours.reason == "control frame is too long":
        # §5.2 and §5.5: a length up to 125 has one form. `websockets` takes the others for control frames too.
        assert ours.events == theirs.events[: len(ours.events)]
        return
    if ours.refused is not None and theirs.refused is None:
        # We refuse on the head of a frame, they on its last byte. So complete the frame; zeros say nothing new.
        assert ours.events == theirs.events
        theirs = judge(data + bytes(MAX_BYTES + 14), MAX_BYTES)
    assert (ours.events, ours.refused) == (theirs.events, theirs.refused)


@given(st.integers(min_value=0))
@example(0)
def test_likely_streams(seed: int) -> None:
    """Streams of frames, with one thing or another wrong."""
    rng = random.Random(seed)
    data = random_stream(rng)
    slices = cut(rng, data)
    assert_equivalent(parse(slices, MAX_BYTES), data)
    assert_equivalent(parse_as_wire(slices, MAX_BYTES), data)


@given(st.binary(max_size=400), st.randoms(use_true_random=False))
@example(masked("text", b"\xf4\x90", final=False), random.Random(0))
def test_any_bytes(data: bytes, rng: random.Random) -> None:
    """Bytes that nobody meant as frames."""
    slices = cut(rng, data)
    assert_equivalent(parse(slices, MAX_BYTES), data)
    assert_equivalent(parse_as_wire(slices, MAX_BYTES), data)


@given(st.integers(min_value=0), st.randoms(use_true_random=False))
def test_slices_make_no_difference(seed: int, rng: random.Random) -> None:
    """TCP keeps no boundaries, so none may show."""
    data = random_stream(random.Random(seed))
    assert parse(cut(rng, data), MAX_BYTES) == parse([data], MAX_BYTES)
