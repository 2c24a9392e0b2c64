"""Channels' names: `channels.` replaced by `roomful.channels.` in a project's imports is the whole migration.

The consumers are ours; routing, sessions, authentication, origin checks, database helpers and communicators are those
of the `channels` package, which this one requires.
"""

from channels import DEFAULT_CHANNEL_LAYER

__all__ = ("DEFAULT_CHANNEL_LAYER",)
