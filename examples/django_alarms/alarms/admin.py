"""The admin: whoever saves an alarm here sees it appear in its user's page."""

from __future__ import annotations

from django.contrib import admin

from .models import Alarm

__all__ = ("AlarmAdmin",)


@admin.register(Alarm)
class AlarmAdmin(admin.ModelAdmin):
    list_display = ("text", "level", "user", "raised_at")
    list_filter = ("level", "user")
