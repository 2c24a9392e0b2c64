"""`parser` alone: the rules of RFC 6455 for what a client may send, and what reading it costs."""

import time
import tracemalloc

import pytest

from roomful.server.ordinary import take_message, take_only
from roomful.server.parser import Close, Event, Parser, Ping, Pong, ProtocolError
from tests.server.serving import masked

MAX = 1000


def events(data: bytes, max_bytes: int = MAX) -> list[Event]:
    parser = Parser(max_bytes)
    parser.feed(data)
    found = []
    while (event := parser.next_event()) is not None:
        found.append(event)
    return found


def refusal(data: bytes, max_bytes: int = MAX) -> tuple[int, str]:
    with pytest.raises(ProtocolError) as caught:
        events(data, max_bytes)
    return int(caught.value.code), caught.value.reason


def test_messages_of_one_frame() -> None:
    assert events(masked("text", "wörld".encode()) + masked("binary", b"\x00") + masked("text")) == [
        "wörld",
        b"\x00",
        "",
    ]


@pytest.mark.parametrize("size", [125, 126, 65535, 65536])
def test_each_form_of_the_length(size: int) -> None:
    assert events(masked("binary", b"x" * size), size) == [b"x" * size]


def test_fragments_with_control_frames_between() -> None:
    """§5.4: control frames may be injected in the middle of a fragmented message."""
    data = (
        masked("text", b"a", final=False)
        + masked("ping", b"p")
        + masked("continuation", "ü".encode()[:1], final=False)
        + masked("pong", b"q")
        + masked("continuation", "ü".encode()[1:])
        + masked("close", b"\x03\xe8bye")
    )
    assert events(data) == [Ping(b"p"), Pong(b"q"), "aü", Close(1000, "bye")]


def test_close_between_fragments_is_a_close() -> None:
    """§5.5: a close frame is a control frame; `websockets` refuses it here, Autobahn 7.1.5 does not."""
    assert events(masked("text", b"a", final=False) + masked("close", b"\x03\xe8")) == [Close(1000, "")]


def test_close_without_a_code() -> None:
    assert events(masked("close")) == [Close(None, "")]


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (b"\x81\x01a", 1002, "frame is not masked"),
        (masked("text", b"a", rsv=4), 1002, "reserved bit is set"),
        (masked("ping", b"a", rsv=1), 1002, "reserved bit is set"),
        (b"\x83\x80", 1002, "unknown opcode"),
        (b"\x8b\x80", 1002, "unknown opcode"),
        (masked("continuation", b"a"), 1002, "continuation of no message"),
        (masked("text", final=False) + masked("text"), 1002, "message begins inside another"),
        (masked("ping", b"a", final=False), 1002, "control frame is fragmented"),
        (masked("ping", b"a" * 126), 1002, "control frame is too long"),
        (masked("close", b"\x03"), 1002, "close frame has half a code"),
        (masked("close", b"\x03\xec"), 1002, "close code is invalid"),
        (masked("close", b"\x03\xe8\xff"), 1007, "text is not UTF-8"),
        (masked("text", b"\xff"), 1007, "text is not UTF-8"),
        (masked("binary", b"a" * 1001), 1009, "message is larger than 1000 bytes"),
    ],
)
def test_what_is_refused(data: bytes, code: int, reason: str) -> None:
    assert refusal(data) == (code, reason)
    assert take_message(data, 0, MAX) is None
    assert take_only(data, MAX) is None


def test_size_is_that_of_the_whole_message() -> None:
    first = masked("binary", b"a" * 600, final=False)
    assert refusal(first + masked("continuation", b"a" * 401)) == (1009, "message is larger than 1000 bytes")
    assert events(first + masked("continuation", b"a" * 400)) == [b"a" * 1000]


def test_size_is_refused_on_the_head_alone() -> None:
    """No payload, not even the mask, has come: nothing is taken into memory on a client's word."""
    assert refusal(b"\x82\xff" + (2**40).to_bytes(8, "big"))[0] == 1009


def test_control_frame_does_not_count_against_the_message() -> None:
    data = masked("binary", b"a" * 1000, final=False) + masked("ping", b"p" * 125) + masked("continuation")
    assert events(data) == [Ping(b"p" * 125), b"a" * 1000]


@pytest.mark.parametrize("bad", [b"\xff", b"\xc0", b"\xed\xa0", b"\xf4\x90", b"\xe0\x80"])
def test_utf8_fails_on_the_first_byte_that_cannot_be(bad: bytes) -> None:
    """§8.1, and at once: the frame announces more, and the message further fragments."""
    whole = masked("text", "κόσμε".encode() + bad + b"more", final=False)
    assert refusal(whole[: -len("more")])[0] == 1007


def test_utf8_sequence_cut_off_by_the_end_of_the_message() -> None:
    assert refusal(masked("text", b"\xf0\x9f", final=False) + masked("continuation", b"\x8e"))[0] == 1007
    assert refusal(masked("text", b"\xf0\x9f", final=False) + masked("continuation"))[0] == 1007


def test_parser_is_idle_between_messages_only() -> None:
    parser = Parser(MAX)
    assert parser.idle
    parser.feed(masked("text", b"a", final=False))
    assert not parser.idle
    assert parser.next_event() is None
    assert not parser.idle
    parser.feed(masked("continuation", b"b") + b"\x81")
    assert parser.next_event() == "ab"
    assert not parser.idle
    assert parser.next_event() is None
    parser.feed(masked("text", b"c")[1:])
    assert parser.next_event() == "c"
    assert parser.idle


@pytest.mark.parametrize(
    "data", [b"", b"\x81", masked("text", b"hello")[:-1], masked("text"), masked("ping", b"abcdef")]
)
def test_short_way_leaves_the_rest_to_the_parser(data: bytes) -> None:
    assert take_message(data, 0, MAX) is None


@pytest.mark.parametrize("size", [1, 125, 126, 65535, 65536])
def test_short_way_reads_frame_after_frame(size: int) -> None:
    text, binary = masked("text", b"x" * size), masked("binary", b"y" * size)
    message, start = take_message(text + binary, 0, size) or ("", 0)
    assert (message, start) == ("x" * size, len(text))
    assert take_message(text + binary, start, size) == (b"y" * size, len(text) + len(binary))


@pytest.mark.parametrize("size", [2, 3, 119, 120, 125, 126, 127, 65535])
def test_shortest_way_reads_what_is_one_frame_alone(size: int) -> None:
    text, binary = masked("text", b"x" * size), masked("binary", b"y" * size)
    assert take_only(text, 70_000) == "x" * size
    assert take_only(binary, 70_000) == b"y" * size


@pytest.mark.parametrize("size", [1, 2, 125, 126, 127, 65535, 65536])
def test_shortest_way_leaves_what_is_not_one_frame_alone(size: int) -> None:
    frame = masked("text", b"x" * size)
    for data in (frame[:-1], frame + b"\x81", frame + frame, b"\x01" + frame[1:], b"\xc1" + frame[1:]):
        assert take_only(data, 70_000) is None
    assert take_only(frame, size - 1) is None
    assert take_only(masked("text", b"\xff" * size), 70_000) is None
    assert take_only(masked("ping", b"x" * 8), 70_000) is None


@pytest.mark.parametrize("size", [0, 1, 124, 125])
def test_shortest_way_is_not_misled_by_a_length_in_a_longer_form(size: int) -> None:
    """§5.2 asks for the shortest form; a client that uses another must be read alike on every way."""
    for form in (b"\xfe" + size.to_bytes(2, "big"), b"\xff" + size.to_bytes(8, "big")):
        data = b"\x82" + form + bytes(4) + b"y" * size
        assert events(data) == [b"y" * size]
        assert take_only(data, MAX) in (b"y" * size, None)


def feed_all(data: bytes, step: int, max_bytes: int) -> list[Event]:
    parser = Parser(max_bytes)
    found: list[Event] = []
    for at in range(0, len(data), step):
        parser.feed(data[at : at + step])
        while (event := parser.next_event()) is not None:
            found.append(event)
    return found


@pytest.mark.parametrize("step", [1, 7])
@pytest.mark.parametrize("kind", ["text", "binary"])
def test_time_is_linear_in_the_bytes(kind: str, step: int) -> None:
    """Four times the bytes in the same slices take about four times as long, not sixteen."""

    def seconds(size: int) -> float:
        data = masked(kind, b"x" * size)
        start = time.process_time()
        assert len(feed_all(data, step, size)) == 1
        return time.process_time() - start

    small, large = (min(seconds(size) for _ in range(3)) for size in (20_000, 80_000))
    assert large < 9 * small


def test_memory_of_a_message_in_single_bytes_is_that_of_its_bytes() -> None:
    """Neither a list of a million pieces nor copies."""
    size = 60_000
    head = masked("binary", b"", final=False)
    piece = masked("continuation", b"x", final=False)
    parser = Parser(size)
    parser.feed(head)
    tracemalloc.start()
    try:
        for _ in range(size):
            parser.feed(piece)
            assert parser.next_event() is None
        assert tracemalloc.get_traced_memory()[1] < 3 * size
    finally:
        tracemalloc.stop()


def test_large_read_is_not_kept_for_its_last_bytes() -> None:
    """Two bytes of a next frame must not keep alive the 256 KiB that they came in."""
    tracemalloc.start()
    try:
        parser = Parser(2**20)
        parser.feed(masked("binary", b"x" * 262_144) + b"\x81\x85")
        assert len(parser.next_event() or b"") == 262_144  # type: ignore[arg-type]
        assert parser.next_event() is None
        assert tracemalloc.get_traced_memory()[0] < 10_000
    finally:
        tracemalloc.stop()
