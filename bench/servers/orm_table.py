"""The table of the programs that ask a database: a thousand rows, in a SQLite file of each server or in a PostgreSQL.

Both know `pg_sleep`, for the query that takes a second.
"""

from __future__ import annotations

import atexit
import os
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

__all__ = ("ROWS", "SLOW", "SLOW_SQL", "Cursor", "fill", "make_table", "postgres")

ROWS = 1000
SLOW = "slow"
"""A message that begins so asks what takes a second."""
SLOW_SQL = "select pg_sleep(1)"


class Cursor(Protocol):
    """What drivers of databases have (PEP 249)."""

    def execute(self, statement: Any, /) -> object:
        """Run a statement."""

    def executemany(self, statement: Any, rows: Sequence[tuple[int, str]], /) -> object:
        """Run a statement for each row."""


def postgres() -> str | None:
    """Return the folder of the socket of the PostgreSQL that is to be asked, or None for SQLite."""
    return os.environ.get("BENCH_POSTGRES")


def make_table() -> str:
    """Make it in SQLite; return the path of the file, which ends with the server."""
    folder = tempfile.TemporaryDirectory(prefix="bench-orm-")
    atexit.register(folder.cleanup)
    path = str(Path(folder.name) / "table.sqlite3")
    with sqlite3.connect(path) as connection:
        fill(connection.cursor(), "?")
    connection.close()
    return path


def fill(cursor: Cursor, mark: str) -> None:
    """Make the table in a database. `mark` is what its driver puts parameters for."""
    cursor.execute("create table items_item (id integer primary key, name text not null)")
    cursor.executemany(
        f"insert into items_item values ({mark}, {mark})",
        [(number, f"item {number}") for number in range(ROWS)],
    )
