"""Channels' helpers for database calls, as they are."""

from channels.db import DatabaseSyncToAsync, aclose_old_connections, database_sync_to_async

__all__ = ("DatabaseSyncToAsync", "aclose_old_connections", "database_sync_to_async")
