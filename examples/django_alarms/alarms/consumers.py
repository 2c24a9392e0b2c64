"""Two ways to the same alarms: a consumer of Roomful, and one that came from Channels by a change of its imports."""

from __future__ import annotations

from typing import Any

from roomful import Event, Refuse
from roomful.channels.generic.websocket import AsyncJsonWebsocketConsumer
from roomful.django import Consumer

from .models import Alarm

__all__ = ("AlarmConsumer", "Alarms")

RECENT = 20


class Alarms(Consumer):
    """Gives a user's alarms to a page. One that was offline gets what it missed, from the room's history."""

    async def connect(self) -> None:
        # By its own id, which nobody can choose.
        user_id = self.principal.id
        if not user_id:
            raise Refuse(401, "log in")
        joined = await self.join(f"alarms.{user_id}")
        if not joined.recovered:
            # After the join, so that none falls between the two; the page knows an alarm by its id.
            recent = Alarm.objects.filter(user_id=user_id)[:RECENT]
            await self.send(Event("alarms", [alarm.as_dict() async for alarm in recent]))


class AlarmConsumer(AsyncJsonWebsocketConsumer):
    """The same for clients of the old address: a group, without history."""

    async def connect(self) -> None:
        user = self.scope.get("user")
        if user is None or not user.is_authenticated or str(user.pk) != self._asked_for():
            await self.close()
            return
        self.group_name = f"alarms.{user.pk}"
        await self.channel_layer.group_add(self.group_name, self.channel_name)
        await self.accept()

    async def alarm_raised(self, event: dict[str, Any]) -> None:
        await self.send_json(event["alarm"])

    async def disconnect(self, code: int) -> None:
        if hasattr(self, "group_name"):
            await self.channel_layer.group_discard(self.group_name, self.channel_name)

    def _asked_for(self) -> str:
        user_id: str = self.scope["url_route"]["kwargs"]["user_id"]
        return user_id
