"""An alarm of a user."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models

__all__ = ("Alarm",)


class Alarm(models.Model):
    class Level(models.TextChoices):
        INFO = "info"
        WARNING = "warning"
        DANGER = "danger"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="alarms")
    level = models.CharField(max_length=10, choices=Level.choices, default=Level.INFO)
    text = models.CharField(max_length=200)
    raised_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.level}: {self.text}"

    def as_dict(self) -> dict[str, Any]:
        """Return what pages get."""
        return {"id": self.pk, "level": self.level, "text": self.text, "at": self.raised_at.isoformat()}
