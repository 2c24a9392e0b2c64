"""A PostgreSQL of the bench's own: a cluster in a temporary folder, on a Unix socket, that ends with the block."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.servers.orm_table import fill

__all__ = ("Missing", "running_postgres")

_START_S = 30


class Missing(Exception):
    """PostgreSQL cannot be had here; the text says what is missing."""


@contextmanager
def running_postgres() -> Iterator[str]:
    """Start it, with the table of `orm_table` in the database `bench`; give the folder of its socket.

    Raises:
        Missing: Its programs, its driver or a user that may run it are not there.
    """
    try:
        import psycopg  # noqa: PLC0415 -- optional
    except ImportError:
        raise Missing("psycopg is not installed; requirements/bench.txt names it") from None
    programs, user = _programs(), _user()
    with tempfile.TemporaryDirectory(prefix="bench-postgres-") as name:
        folder = Path(name)
        if user is not None:
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        folder.chmod(0o755)
        data = folder / "data"

        def run(program: str, *arguments: str) -> None:
            command = [str(programs / program), *arguments]
            ran = subprocess.run(command, capture_output=True, text=True, user=user, cwd=folder, check=False)
            if ran.returncode:
                raise Missing(f"{program} failed: {ran.stderr.strip()[-300:]}")

        run("initdb", "-D", str(data), "-U", "bench", "-A", "trust", "--no-sync")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off -c max_connections=50"
        run(
            "pg_ctl",
            "-D",
            str(data),
            "-l",
            str(folder / "log"),
            "-w",
            "-t",
            str(_START_S),
            "-o",
            options,
            "start",
        )
        try:
            with psycopg.connect(host=name, user="bench", dbname="postgres", autocommit=True) as connection:
                connection.execute("create database bench")
            with psycopg.connect(host=name, user="bench", dbname="bench") as connection:
                fill(connection.cursor(), "%s")
            yield name
        finally:
            run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")


def _programs() -> Path:
    found = shutil.which("pg_ctl")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    for folder in reversed(folders):
        if (folder / "initdb").exists():
            return folder
    raise Missing("PostgreSQL is not installed (Debian: apt-get install postgresql)")


def _user() -> str | None:
    """Return the user that it runs as, or None for whoever runs this: it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise Missing("it does not run as root, and there is neither a user postgres nor nobody")
