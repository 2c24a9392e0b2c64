"""The stream of a room and its followers: whatever comes, in whatever slices, is judged as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.frames import client_frame, read_head, server_frame, unmask
from bench.load.judge import judge
from bench.load.stream import Follower, Stream
from roomful.core.ledger import mark

PING = b"\x89\x02hi"


def marked(seq: int, sender: str = "p") -> tuple[bytes, int]:
    data, digest = mark("b", sender, seq, 0.0, 128)
    return server_frame(data), digest


FRAMES, DIGESTS = zip(*(marked(seq) for seq in range(1, 11)), strict=True)
ALL = b"".join(FRAMES)


def feed(follower: Follower, data: bytes, sizes: list[int]) -> None:
    for size in sizes:
        if data[:size]:
            follower.feed(data[:size])
        data = data[size:]
    if data:
        follower.feed(data)


sizes = st.lists(st.integers(1, 400), max_size=30)


@given(sizes, sizes)
def test_slices_do_not_matter(first: list[int], second: list[int]) -> None:
    """Two members that get the same bytes are level, however the bytes were cut."""
    stream = Stream(1 << 14)
    one, two = Follower(stream), Follower(stream)
    feed(one, ALL, first)
    feed(two, ALL, second)
    assert (one.is_level, two.is_level, len(stream.ends)) == (True, True, 10)
    assert judge({"p": DIGESTS}, stream, [one, two]) == {}


@given(sizes, st.integers(0, 9))
def test_pings_between_frames_are_answered_and_change_nothing(cuts: list[int], place: int) -> None:
    """A ping is no frame of the room."""
    stream = Stream(1 << 14)
    one, two = Follower(stream), Follower(stream)
    pongs: list[bytes] = []
    two.pong = pongs.append
    feed(one, ALL, cuts)
    feed(two, b"".join([*FRAMES[:place], PING, *FRAMES[place:]]), cuts)
    assert (pongs, two.is_level) == ([b"hi"], True)
    assert judge({"p": DIGESTS}, stream, [one, two]) == {}


@pytest.mark.parametrize(
    ("frames", "faults"),
    [
        (FRAMES[:4] + FRAMES[5:], {"lost": 1}),
        (FRAMES[:7], {"lost": 3}),
        (FRAMES[:5] + FRAMES[4:], {"duplicate": 1}),
        ((*FRAMES[:4], FRAMES[5], FRAMES[4], *FRAMES[6:]), {"reordered": 1}),
        ((*FRAMES[:4], server_frame(b"x" * 128), *FRAMES[4:]), {"foreign": 1}),
        ((*FRAMES[:9], FRAMES[9].replace(FRAMES[9][-20:], b"!" * 20)), {"corrupted": 1}),
    ],
)
def test_whoever_differs_is_judged_for_itself(frames: tuple[bytes, ...], faults: dict[str, int]) -> None:
    """Each kind of fault at one member is found, and counted once."""
    stream = Stream(1 << 14)
    good, odd, late = Follower(stream), Follower(stream), Follower(stream)
    for follower, data in ((good, ALL), (odd, b"".join(frames)), (late, ALL)):
        feed(follower, data, [100] * 30)
    assert judge({"p": DIGESTS}, stream, [good, odd, late]) == faults


def test_what_all_members_miss_counts_for_each_of_them() -> None:
    """The stream is judged once, and what is wrong with it is wrong at all who share it."""
    stream = Stream(1 << 14)
    members = [Follower(stream) for _ in range(3)]
    for member in members:
        member.feed(b"".join(FRAMES[:8]))
    assert judge({"p": DIGESTS}, stream, members) == {"lost": 6}


def test_replies_are_the_members_own() -> None:
    """A reply is counted and is no frame of the room."""
    stream = Stream(1 << 14)
    poster, other = Follower(stream, reply=b"ok"), Follower(stream)
    for frame in FRAMES:
        poster.feed(frame + server_frame(b"ok"))
    other.feed(ALL)
    assert (poster.replies, poster.is_level, other.is_level) == (10, True, True)


def test_a_close_is_noted_with_its_code() -> None:
    """The code of a close frame, or 1006 when the socket ended without one."""
    closed, cut = Follower(Stream(64)), Follower(Stream(64))
    closed.feed(b"\x88\x02\x0f\xa0")
    closed.ended()
    cut.ended()
    assert (closed.closed, cut.closed) == (4000, 1006)


def test_a_stream_that_is_full_says_so() -> None:
    """The place of its bytes never changes, so it cannot grow."""
    with pytest.raises(OverflowError, match="64 bytes at most"):
        Follower(Stream(64)).feed(FRAMES[0])


@given(st.binary(max_size=70_000), st.binary(min_size=4, max_size=4))
def test_frames_are_read_as_they_were_made(payload: bytes, key: bytes) -> None:
    """Heads of all three lengths, and a mask that comes off again."""
    frame = server_frame(payload)
    head = read_head(frame, 0)
    assert head is not None
    assert (frame[head.payload_at : head.end], head.end) == (payload, len(frame))
    assert unmask(unmask(payload, key), key) == payload
    assert len(client_frame(payload)) == len(frame) + 4
