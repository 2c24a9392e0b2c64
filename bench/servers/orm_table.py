"""The table of the programs that ask a database: a SQLite file with a thousand rows, made anew by each server."""

from __future__ import annotations

import atexit
import sqlite3
import tempfile
from pathlib import Path

__all__ = ("ROWS", "make_table")

ROWS = 1000


def make_table() -> str:
    """Make it; return the path of the file, which ends with the server."""
    folder = tempfile.TemporaryDirectory(prefix="bench-orm-")
    atexit.register(folder.cleanup)
    path = str(Path(folder.name) / "table.sqlite3")
    with sqlite3.connect(path) as connection:
        connection.execute("create table items_item (id integer primary key, name text not null)")
        connection.executemany(
            "insert into items_item values (?, ?)", [(number, f"item {number}") for number in range(ROWS)]
        )
    connection.close()
    return path
