"""WebSocket consumers, as Channels has them: `connect`, `receive`, `disconnect`, and methods for messages of groups.

Whoever calls `send` of a client that reads too slowly waits; what comes for it meanwhile waits in its channel, within
the layer's capacity.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from asgiref.sync import async_to_sync

from ..consumer import AsyncConsumer, SyncConsumer
from ..desk import Event
from ..exceptions import AcceptConnection, DenyConnection, StopConsumer
from .events import accept_event, check_groups, close_event, error_text, received, send_event, text_of

__all__ = (
    "AsyncJsonWebsocketConsumer",
    "AsyncWebsocketConsumer",
    "JsonWebsocketConsumer",
    "WebsocketConsumer",
)

Headers = Iterable[Any]


class AsyncWebsocketConsumer(AsyncConsumer):
    """Handles one WebSocket.

    Attributes:
        groups: Groups that each connection is in from its beginning to its end.
    """

    groups: ClassVar[Sequence[str] | None] = None

    def __init__(self, *args: object, **kwargs: object) -> None:
        if self.groups is None:
            self.groups = []  # type: ignore[misc] # of each consumer, as Channels has it

    async def websocket_connect(self, message: Event) -> None:
        """Join the groups and call `connect`."""
        del message
        for group in self._groups():
            await self.channel_layer.group_add(group, self.channel_name)
        try:
            await self.connect()
        except AcceptConnection:
            await self.accept()
        except DenyConnection:
            await self.close()

    async def connect(self) -> None:
        """Accept the connection. Override it; raise `DenyConnection` or call `close` to refuse."""
        await self.accept()

    async def accept(self, subprotocol: str | None = None, headers: Headers | None = None) -> None:
        """Accept the connection.

        Args:
            subprotocol: One of those that the client offers.
            headers: Pairs of bytes for the response.
        """
        await super().send(accept_event(subprotocol, headers))

    async def websocket_receive(self, message: Event) -> None:
        """Call `receive`."""
        await self.receive(**received(message))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take a message of the client: one of the two is given."""

    async def send(  # type: ignore[override] # as Channels has it: `AsyncConsumer.send` takes an event
        self,
        text_data: str | None = None,
        bytes_data: bytes | None = None,
        close: int | bool = False,  # noqa: FBT001, FBT002 -- as Channels has it
    ) -> None:
        """Send a message to the client, and close the connection if `close` is true or a code."""
        await self.base_send(send_event(text_data, bytes_data))
        if close:
            await self.close(close)

    async def close(self, code: int | bool | None = None, reason: str | None = None) -> None:  # noqa: FBT001 -- as Channels has it
        """Close the connection, or refuse it when it has not been accepted."""
        await super().send(close_event(code, reason))

    async def websocket_disconnect(self, message: Event) -> None:
        """Leave the groups, call `disconnect`, and end."""
        for group in self._groups():
            await self.channel_layer.group_discard(group, self.channel_name)
        await self.disconnect(message["code"])
        raise StopConsumer

    async def disconnect(self, code: int) -> None:
        """Know that the connection has ended. Called once, for whatever reason it did."""

    def _groups(self) -> list[str]:
        groups = list(self.groups or ())
        check_groups(groups, self.channel_layer, self.channel_layer_alias)
        return groups


class WebsocketConsumer(SyncConsumer):
    """`AsyncWebsocketConsumer` for methods written with `def`; see there.

    Attributes:
        groups: Groups that each connection is in from its beginning to its end.
    """

    groups: ClassVar[Sequence[str] | None] = None

    def __init__(self, *args: object, **kwargs: object) -> None:
        if self.groups is None:
            self.groups = []  # type: ignore[misc] # of each consumer, as Channels has it

    def websocket_connect(self, message: Event) -> None:
        """Join the groups and call `connect`."""
        del message
        for group in self._groups():
            async_to_sync(self.channel_layer.group_add)(group, self.channel_name)
        try:
            self.connect()
        except AcceptConnection:
            self.accept()
        except DenyConnection:
            self.close()

    def connect(self) -> None:
        """Accept the connection. Override it; raise `DenyConnection` or call `close` to refuse."""
        self.accept()

    def accept(self, subprotocol: str | None = None, headers: Headers | None = None) -> None:
        """Accept the connection; see `AsyncWebsocketConsumer.accept`."""
        super().send(accept_event(subprotocol, headers))

    def websocket_receive(self, message: Event) -> None:
        """Call `receive`."""
        self.receive(**received(message))

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take a message of the client: one of the two is given."""

    def send(  # type: ignore[override] # as in `AsyncWebsocketConsumer`
        self,
        text_data: str | None = None,
        bytes_data: bytes | None = None,
        close: int | bool = False,  # noqa: FBT001, FBT002 -- as Channels has it
    ) -> None:
        """Send a message to the client; see `AsyncWebsocketConsumer.send`."""
        super().send(send_event(text_data, bytes_data))
        if close:
            self.close(close)

    def close(self, code: int | bool | None = None, reason: str | None = None) -> None:  # noqa: FBT001 -- as Channels has it
        """Close or refuse the connection."""
        super().send(close_event(code, reason))

    def websocket_disconnect(self, message: Event) -> None:
        """Leave the groups, call `disconnect`, and end."""
        for group in self._groups():
            async_to_sync(self.channel_layer.group_discard)(group, self.channel_name)
        self.disconnect(message["code"])
        raise StopConsumer

    def disconnect(self, code: int) -> None:
        """Know that the connection has ended. Called once, for whatever reason it did."""

    def _groups(self) -> list[str]:
        groups = list(self.groups or ())
        check_groups(groups, self.channel_layer, self.channel_layer_alias)
        return groups


class AsyncJsonWebsocketConsumer(AsyncWebsocketConsumer):
    """`AsyncWebsocketConsumer` whose messages are JSON texts: `receive_json`, `send_json`."""

    async def receive(  # type: ignore[override] # as Channels has it
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: object
    ) -> None:
        """Decode a message and call `receive_json`.

        Raises:
            ValueError: It is binary, empty, or no JSON.
        """
        await self.receive_json(await self.decode_json(text_of(text_data)), **kwargs)

    async def receive_json(self, content: Any, **kwargs: object) -> None:
        """Take a decoded message."""

    async def send_json(self, content: Any, close: int | bool = False) -> None:  # noqa: FBT001, FBT002 -- as Channels has it
        """Encode a value and send it."""
        await super().send(text_data=await self.encode_json(content), close=close)

    async def unknown_type(self, message: Event) -> None:
        """Log it as every consumer does, and tell the client."""
        await super().unknown_type(message)
        await self.send_json(error_text(message))

    @classmethod
    async def decode_json(cls, text_data: str) -> Any:
        """Decode a message."""
        return json.loads(text_data)

    @classmethod
    async def encode_json(cls, content: Any) -> str:
        """Encode a message."""
        return json.dumps(content)


class JsonWebsocketConsumer(WebsocketConsumer):
    """`AsyncJsonWebsocketConsumer` for methods written with `def`."""

    def receive(  # type: ignore[override] # as Channels has it
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: object
    ) -> None:
        """Decode a message and call `receive_json`; see `AsyncJsonWebsocketConsumer.receive`."""
        self.receive_json(self.decode_json(text_of(text_data)), **kwargs)

    def receive_json(self, content: Any, **kwargs: object) -> None:
        """Take a decoded message."""

    def send_json(self, content: Any, close: int | bool = False) -> None:  # noqa: FBT001, FBT002 -- as Channels has it
        """Encode a value and send it."""
        super().send(text_data=self.encode_json(content), close=close)

    def unknown_type(self, message: Event) -> None:  # type: ignore[override] # as in `SyncConsumer`
        """Log it as every consumer does, and tell the client."""
        super().unknown_type(message)
        self.send_json(error_text(message))

    @classmethod
    def decode_json(cls, text_data: str) -> Any:
        """Decode a message."""
        return json.loads(text_data)

    @classmethod
    def encode_json(cls, content: Any) -> str:
        """Encode a message."""
        return json.dumps(content)
