"""Alarms for whoever is on call: the program of the page."""

from roomful import Consumer, Event, Gap, Hub, InboxFull, on_dispatch

hub = Hub()


class OnCall(Consumer):
    async def connect(self, region: str) -> None:
        self.region = region
        await self.join_group("alarms")

    @on_dispatch("raised")
    async def raised(self, alarm: dict[str, str]) -> None:
        if alarm["region"] == self.region:
            await self.send(Event("alarm", alarm))

    async def on_gap(self, group: str, gap: Gap) -> None:
        await self.send(Event("look-yourself", {"group": group, "why": gap.reason}))


async def raise_alarm(region: str, text: str) -> None:
    await hub.dispatch("alarms", Event("raised", {"region": region, "text": text}))


async def raise_or_say(region: str, text: str) -> int:
    """Return how many consumers could not take it."""
    alarm = Event("raised", {"region": region, "text": text})
    try:
        await hub.dispatch("alarms", alarm, on_full="refuse")
    except InboxFull as error:
        return error.full
    return 0
