"""Whatever saves an alarm (the admin, a command, a task), the pages of its user show it once it is committed."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models.signals import post_save
from django.dispatch import receiver

from roomful import Event
from roomful.channels.layers import get_channel_layer
from roomful.django import push_on_commit

from .models import Alarm

__all__ = ("tell",)


@receiver(post_save, sender=Alarm)
def tell(instance: Alarm, **_: Any) -> None:
    push_on_commit(f"alarms.{instance.user_id}", Event("alarm", instance.as_dict()))

    def dispatch() -> None:
        message = {"type": "alarm.raised", "alarm": instance.as_dict()}
        async_to_sync(get_channel_layer().group_send)(f"alarms.{instance.user_id}", message)

    transaction.on_commit(dispatch)
