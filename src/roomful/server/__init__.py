"""The interface server: uvicorn with a WebSocket class that lets a hub take the socket over.

`uvicorn app:app --ws roomful.server:WebSocketProtocol` serves any ASGI application. HTTP stays uvicorn's.
"""

from .adoption import EXTENSION, Adoption
from .frames import FRAMING, BytesFraming
from .protocol import WebSocketProtocol

__all__ = ("EXTENSION", "FRAMING", "Adoption", "BytesFraming", "WebSocketProtocol")
