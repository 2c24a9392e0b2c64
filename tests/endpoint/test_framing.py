"""ASGI framing: messages as the dicts that `send` takes."""

from roomful.core.ports import Framing, Message
from roomful.endpoint.framing import ASGI_FRAMING, AsgiFraming

TEXT, BYTES = Message(True, "é".encode()), Message(False, b"\xff")


def test_frame_holds_one_event_for_each_message() -> None:
    """Texts are decoded once, bytes stay; the size counts bytes."""
    framing: Framing = ASGI_FRAMING
    frame = framing.frame((TEXT, BYTES))

    assert frame.data == (
        ({"type": "websocket.send", "text": "é"}, 2),
        ({"type": "websocket.send", "bytes": b"\xff"}, 1),
    )
    assert frame.size == 3


def test_join_keeps_the_order_and_copies_nothing_alone() -> None:
    """One frame is written as it is; several are one after the other."""
    first, second = ASGI_FRAMING.frame((TEXT, BYTES)), ASGI_FRAMING.frame((BYTES,))

    assert ASGI_FRAMING.join([first]) is first.data
    assert ASGI_FRAMING.join([first, second]) == (*first.data, *second.data)  # type: ignore[misc] # tuples


def test_framings_of_all_connections_are_one() -> None:
    """Connections share a kind only if their framings are equal."""
    assert isinstance(ASGI_FRAMING, AsgiFraming)
    assert len({ASGI_FRAMING, ASGI_FRAMING}) == 1
