"""The tables. A row is not a room: the domain's class knows rules, this one knows columns."""

from __future__ import annotations

from sqlalchemy import JSON
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = ("Base", "RoomRow")


class Base(DeclarativeBase):
    """The registry of all tables."""


class RoomRow(Base):
    """A room and the names of its members."""

    __tablename__ = "rooms"

    id: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    capacity: Mapped[int]
    is_open: Mapped[bool]
    members: Mapped[list[str]] = mapped_column(JSON)
    version: Mapped[int] = mapped_column()

    # Every UPDATE asks for the version that was read and raises it; of two use cases that read the same
    # version, the second finds no row to change.
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 -- SQLAlchemy reads it, nobody changes it
