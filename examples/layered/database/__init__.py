"""The repository, on SQLite or whatever else SQLAlchemy's async API speaks to."""

from .connect import OpenRooms, open_database
from .rooms import SqlRooms

__all__ = ("OpenRooms", "SqlRooms", "open_database")
