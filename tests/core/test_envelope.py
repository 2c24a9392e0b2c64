"""The envelope that a layer carries."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomful.core.envelope import Envelope, Form
from roomful.core.errors import LayerError, PolicyError
from roomful.core.names import ConnectionId

ids = st.none() | st.text("abcdef0189_-", min_size=1, max_size=255).map(ConnectionId)


@given(
    st.sampled_from(Form), st.binary(max_size=50), ids, st.text(max_size=20).filter(lambda t: t.isprintable())
)
def test_envelope_reads_back(form: Form, body: bytes, exclude: ConnectionId | None, key: str) -> None:
    """`unpack` reads what `pack` wrote, whatever the body holds."""
    envelope = Envelope(form, body, exclude, key)

    assert Envelope.unpack(envelope.pack()) == envelope


@given(st.binary(max_size=12))
def test_foreign_payload_is_refused(payload: bytes) -> None:
    """What Roomful did not write is a `LayerError` and nothing else, so that one bad payload cannot stop a reader."""
    with contextlib.suppress(LayerError):
        Envelope.unpack(payload)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"", "payload was not written by Roomful"),
        (b"\x02\x00\x00\x00\x00", "payload is of version 2; expected 1"),
        (b"\x01\x00\x05\x00\x01abc", "payload is 8 bytes; its head asks for 11"),
        (b"\x01\x09\x00\x00\x00", "payload was not written by Roomful"),
        (b"\x01\x00\x01\x00\x00\xff", "payload was not written by Roomful"),
    ],
)
def test_foreign_payload_says_why(payload: bytes, text: str) -> None:
    """The error tells another version from a broken payload."""
    with pytest.raises(LayerError) as caught:
        Envelope.unpack(payload)

    assert str(caught.value) == text


@pytest.mark.parametrize("stranger", ["x" * 300, "\ud800", "é" * 200])
def test_excluding_what_is_no_connection_has_no_effect(stranger: str) -> None:
    """An id may come from a client's header; one that no connection can have names nobody and breaks no push."""
    unpacked = Envelope.unpack(Envelope(Form.TEXT, b"body", ConnectionId(stranger)).pack())

    assert unpacked.body == b"body"
    assert unpacked.exclude != stranger


@pytest.mark.parametrize("key", ["x" * 1025, "ü" * 513, "\ud800", "x" * 70_000, 7])
def test_conflation_key_that_cannot_travel_is_refused(key: str) -> None:
    """With an error that does not repeat it."""
    with pytest.raises(PolicyError, match="conflate"):
        Envelope(Form.JSON, b"", None, key).pack()
    assert Envelope.unpack(Envelope(Form.JSON, b"", None, "x" * 1024).pack()).conflate_key == "x" * 1024
