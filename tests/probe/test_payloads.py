"""Messages: their marks, their exact sizes, their checks; and pictures that are pictures."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomful.probe.adapter import Around
from roomful.probe.errors import UsageError
from roomful.probe.frames import FrameReader, mask_table
from roomful.probe.marks import MARK_BYTES, Marker, find_mark
from roomful.probe.payloads import KINDS, make_recipe
from roomful.probe.template import Template

SIZES = st.one_of(st.integers(1024, 3000), st.sampled_from([65_535, 65_536, 65_537, 66_100, 200_000]))


@given(st.integers(0, 99_999), st.integers(0, 10**10 - 1), st.integers(0, 10**12 - 1), st.binary(max_size=60))
def test_a_mark_is_found_inside_anything(sender: int, seq: int, due_us: int, noise: bytes) -> None:
    """Whose, which and when come back as they were."""
    mark, check = Marker("abc123", sender).mark(seq, due_us)
    assert len(mark) == MARK_BYTES
    data = noise + mark + noise
    place, found = find_mark(data, len(noise), len(data))
    assert (place, found) == (len(noise), (b"abc123", sender, seq, due_us, check))


@given(st.integers(4, MARK_BYTES - 1), st.integers(1, 255))
def test_a_damaged_mark_is_nobodys(place: int, flip: int) -> None:
    """Its check does not hold, so nobody can say whose it was."""
    mark = bytearray(Marker("abc123", 1).mark(2, 3)[0])
    mark[place] ^= flip
    # The last byte ends the mark and is not checked; a check in capitals is the same number.
    if bytes(mark[:-1]).lower() != Marker("abc123", 1).mark(2, 3)[0][:-1]:
        assert find_mark(bytes(mark), 0, len(mark))[1] is None


@settings(max_examples=40)
@given(st.sampled_from(KINDS), SIZES, st.integers(0, 10**9), st.data())
def test_a_message_has_its_size_and_any_change_is_seen(
    kind: str, size: int, seq: int, data: st.DataObject
) -> None:
    """To the byte, and wherever the change is."""
    recipe = make_recipe(kind, size)
    message = recipe.make(Marker("abc123", 7).mark(seq, 10**6)[0])
    place, found = find_mark(message, 0, len(message))
    assert (len(message), recipe.size) == (size, size)
    assert found is not None
    assert recipe.intact(message, place, len(message))
    assert not recipe.intact(message, place, len(message) - 1)
    assert recipe.intact(b"Server received: " + message, place + 17, len(message) + 17)
    changed = bytearray(message)
    changed[data.draw(st.integers(0, size - 1))] ^= data.draw(st.integers(1, 255))
    place_now, found_now = find_mark(bytes(changed), 0, size)
    assert found_now != found or not recipe.intact(bytes(changed), place_now, size)


@settings(max_examples=20)
@given(st.sampled_from(KINDS), SIZES, st.integers(1, 255))
def test_a_frame_is_the_message_masked(kind: str, size: int, key: int) -> None:
    """What was masked ahead and what was masked for this message fit together."""
    recipe = make_recipe(kind, size)
    mark = Marker("abc123", 7).mark(1, 2)[0]
    frame = bytearray(b"".join(Template(recipe, Around(b'{"data":"', b'"}'), key).parts(mark)))
    whole = b'{"data":"' + recipe.make(mark) + b'"}'
    head = len(frame) - len(whole)
    assert bytes(frame[head:]).translate(mask_table(key)) == whole
    # As a server's frame, without the mask, our own reader reads it too.
    frame[1] &= 0x7F
    del frame[head - 4 : head]
    (found,) = FrameReader(max_bytes=1 << 20).feed(bytes(frame))
    assert found[3] - found[2] == len(whole)


@pytest.mark.parametrize("kind", ["png", "jpeg"])
@pytest.mark.parametrize("size", [1024, 1031, 65_537, 212_992, 1_000_000])
def test_a_picture_opens(kind: str, size: int) -> None:
    """A library that knows nothing of the probe decodes it, every checksum included."""
    image = pytest.importorskip("PIL.Image")
    message = make_recipe(kind, size).make(Marker("abc123", 7).mark(3, 4)[0])
    with image.open(io.BytesIO(message)) as picture:
        picture.load()
        assert picture.format == kind.upper()
        assert picture.width * picture.height > size // 3


@pytest.mark.parametrize(("kind", "size"), [("text", 10), ("png", 500), ("gif", 5000)])
def test_an_impossible_message_is_a_usage_error(kind: str, size: int) -> None:
    """It says what is possible."""
    with pytest.raises(UsageError, match=r"expected one of|needs"):
        make_recipe(kind, size)
