"""Marks are found wherever they come back, and show what was damaged."""

import json
import re
import string
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomful.core.ledger import digest, find_marks, mark

NAMES = st.text(string.ascii_letters + string.digits + "_:@-", min_size=1, max_size=64)
FIELDS = st.tuples(NAMES, NAMES, st.integers(0, 2**62), st.floats(-1e9, 4e9))


@given(FIELDS, st.none() | st.integers(0, 300) | st.sampled_from([65_535, 65_536, 65_537, 200_000]))
def test_mark_comes_back_as_it_was_made(fields: tuple[str, str, int, float], more: int | None) -> None:
    """Every field survives, and the size is exact."""
    run, stream, seq, at = fields
    shortest = len(mark(*fields).data)
    made = mark(*fields, None if more is None else shortest + more + 6)
    assert more is None or len(made.data) == shortest + more + 6
    (found,) = find_marks(made.data)
    assert (run, stream, seq, len(made.data)) == (found.run, found.stream, found.seq, found.size)
    assert abs(found.at - at) <= 1e-6
    assert found.intact
    assert made.digest == found.digest < 2**63


def test_mark_is_safe_in_text_json_and_html() -> None:
    text = mark("r1", "chat:lobby", 7, 1.5, 100_000).data.decode("ascii")
    assert json.dumps(text) == f'"{text}"'
    assert escape(text) == text
    assert re.fullmatch(r"[A-Za-z0-9_:@.~-]+", text)


@pytest.mark.parametrize(
    "wrap",
    [
        "Server received: {}".format,
        lambda text: json.dumps({"type": "posté", "data": {"text": text}}),
        lambda text: f"~m1.{text}~m1.",
        lambda text: f"~~m1~m1.r.s.1.2.3.00000000~{text}",
        lambda text: f"\udc80{text}",
        lambda text: text.encode(),
        lambda text: bytearray(text.encode()),
        lambda text: memoryview(b"\xff\xd8" + text.encode() + b"\x00"),
    ],
)
def test_mark_is_found_inside_anything(wrap: object) -> None:
    """A server may put what it likes around a mark."""
    made = mark("r", "s", 3, 9.25, 200)
    (found,) = find_marks(wrap(made.data.decode()))  # type: ignore[operator] # functions of several types
    assert (3, 9.25, made.digest) == (found.seq, found.at, found.digest)


def test_several_marks_are_found_in_order() -> None:
    data = b",".join(mark("r", "s", seq, 0, 80 + seq).data for seq in range(5))
    assert [(seq, 80 + seq, True) for seq in range(5)] == [
        (m.seq, m.size, m.intact) for m in find_marks(data)
    ]


def test_damaged_or_truncated_filler_changes_the_digest() -> None:
    """The mark is still found, since its header says whose it is, but it is not what was pushed."""
    made = mark("r", "s", 3, 0, 120)
    damaged = made.data[:-1] + b"\x00"
    for data in (damaged, made.data[:-1], made.data[:-1] + b"~m1.", made.data[:-40]):
        (found,) = find_marks(data)
        assert not found.intact
        assert made.digest != found.digest
        assert (found.seq, found.size) == (3, 120)


def test_mark_behind_a_truncated_one_is_found() -> None:
    cut = mark("r", "s", 1, 0, 150).data[:-30]
    assert [(m.seq, m.intact) for m in find_marks(cut + mark("r", "s", 2, 0).data)] == [(1, False), (2, True)]


@given(st.integers(0, 49), st.integers(1, 255))
def test_mark_with_a_damaged_header_is_never_taken_for_another(place: int, flip: int) -> None:
    """Whatever one byte becomes, no mark of another identity is found."""
    made = mark("r", "s", 123_456_789, 1_700_000_000.5)
    data = bytearray(made.data)
    data[place % len(data)] ^= flip
    assert find_marks(data) == []


def test_fillers_differ_from_message_to_message() -> None:
    """Bodies that were swapped between two marks are seen."""
    one, two = mark("r", "s", 1, 0, 200).data, mark("r", "s", 2, 0, 200).data
    assert not find_marks(one[:100] + two[100:])[0].intact


def test_forged_size_builds_no_large_filler() -> None:
    """A size far beyond what came is answered by its length alone."""
    made = mark("r", "s", 1, 0, 10**6)
    (found,) = find_marks(made.data[:100])
    assert (found.size, found.intact) == (10**6, False)


def test_find_marks_in_nothing() -> None:
    assert [] == find_marks(b"") == find_marks("") == find_marks("no mark ~m2.r.s")


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        (("", "s", 0, 0), "mark name is ''"),
        (("r", "a.b", 0, 0), "mark name is 'a.b'"),
        (("r", "ä", 0, 0), "mark name is 'ä'"),
        (("r", "s" * 65, 0, 0), "1 to 64"),
        (("r", "s", -1, 0), "sequence -1 at 0 s does not fit"),
        (("r", "s", 2**63 - 1, 0), "does not fit"),
        (("r", "s", 0, 1e15), "does not fit"),
        (("r", "s", 0, -1e15), "does not fit"),
        (("r", "s", 0, 0, 10), "size is 10 bytes; this header alone needs 24"),
    ],
)
def test_mark_refuses_what_it_cannot_carry(fields: tuple[str, str, int, float], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        mark(*fields)


def test_shortest_mark_has_the_length_that_it_states() -> None:
    """The header holds the size of the whole, whose own digits are part of it (98 is where they become three)."""
    for length in range(1, 65):
        for digits in (1, 18):
            data = mark("r", "s" * length, 10 ** (digits - 1), 0).data
            assert len(data) == find_marks(data)[0].size


def test_digest_is_of_the_content() -> None:
    """Text counts as UTF-8, and any buffer as its bytes."""
    assert (
        digest("é")
        == digest("é".encode())
        == digest(bytearray("é".encode()))
        == digest(memoryview("é".encode()))
    )
    assert digest("a") != digest("b")
    assert 0 <= digest(b"") < 2**64
    with pytest.raises(UnicodeEncodeError):
        digest("\udc80")
