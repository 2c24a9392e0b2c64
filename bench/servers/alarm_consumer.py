"""The consumer of Channels that is measured: the same class on Channels' base and on ours."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from bench.programs import Program
from bench.servers.serving import ROOM_NAME_BYTES, Options

__all__ = ("consumer_class",)


def consumer_class(base: Any, options: Options) -> Any:
    """Return the consumer on a base class."""

    class Consumer(base):  # type: ignore[misc] # channels has no types
        """Does what the program says."""

        async def connect(self) -> None:
            """Join."""
            query = parse_qs(self.scope["query_string"].decode())
            self.names = query.get("rooms", ["room"])[0].split(",")
            for name in self.names:
                await self.channel_layer.group_add(name, self.channel_name)
            await self.accept()

        async def disconnect(self, code: int) -> None:
            """Leave."""
            for name in self.names:
                await self.channel_layer.group_discard(name, self.channel_name)

        async def receive(self, text_data: str = "", bytes_data: bytes | None = None) -> None:
            """Push, or reply."""
            if options.program in (Program.ECHO, Program.EVENT):
                await self.send(text_data)
                return
            name = text_data[:ROOM_NAME_BYTES] if options.program == Program.ROOMS else "room"
            await self.channel_layer.group_send(name, {"type": "push", "text": text_data})
            if options.program == Program.REPLY:
                await self.send("ok")

        async def push(self, event: dict[str, Any]) -> None:
            """Take what the group got."""
            await self.send(event["text"])

    return Consumer
