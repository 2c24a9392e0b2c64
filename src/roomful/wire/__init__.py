"""The wire: what application values look like in WebSocket messages (the codecs), and the kinds of frames.

No socket and no room is known here; bytes of RFC 6455 and ASGI messages are made by a `Framing` from elsewhere.
"""

from .control import AUTHENTICATE, MAX_CONTROL_CHARACTERS, REFRESH, Control, may_be_control, read_control
from .events import EventsCodec
from .kinds import Kind
from .raw import RawCodec

__all__ = (
    "AUTHENTICATE",
    "MAX_CONTROL_CHARACTERS",
    "REFRESH",
    "Control",
    "EventsCodec",
    "Kind",
    "RawCodec",
    "may_be_control",
    "read_control",
)
