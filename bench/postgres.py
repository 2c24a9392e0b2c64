"""A PostgreSQL of the bench's own: a cluster in a temporary folder, on a Unix socket, that ends with the block."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.servers.orm_table import fill

__all__ = ("Missing", "Postgres", "running_postgres")

_START_S = 30


class Missing(Exception):
    """PostgreSQL cannot be had here; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A server that runs: the folder of its socket, and its version."""

    folder: str
    version: str


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start it, with the table of `orm_table` in the database `bench`, and stop it behind the block.

    Raises:
        Missing: Its programs, its driver or a user that may run it are not there.
    """
    try:
        import psycopg  # noqa: PLC0415 -- optional
    except ImportError:
        raise Missing("psycopg is not installed; requirements/bench.txt names it") from None
    programs, user = _programs(), _user()
    # A server that could not be stopped may still write there.
    with tempfile.TemporaryDirectory(prefix="bench-postgres-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        data = folder / "data"

        def run(program: str, *arguments: str) -> None:
            command = [str(programs / program), *arguments]
            ran = subprocess.run(
                command,
                capture_output=True,
                text=True,
                cwd=folder,
                check=False,
                user=None if user is None else user.pw_uid,
                group=None if user is None else user.pw_gid,
                extra_groups=None if user is None else (),
            )
            if ran.returncode:
                raise Missing(f"{program} failed: {ran.stderr.strip()[-300:]}")

        run("initdb", "-D", str(data), "-U", "bench", "-A", "trust", "--no-sync")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off -c max_connections=50"
        log = str(folder / "log")
        try:
            run("pg_ctl", "-D", str(data), "-l", log, "-w", "-t", str(_START_S), "-o", options, "start")
            with psycopg.connect(host=name, user="bench", dbname="postgres", autocommit=True) as connection:
                connection.execute("create database bench")
            with psycopg.connect(host=name, user="bench", dbname="bench") as connection:
                fill(connection.cursor(), "%s")
                version = connection.info.parameter_status("server_version") or "of an unknown version"
            yield Postgres(name, version)
        finally:
            # What went wrong before counts more than that it cannot be stopped, or never ran.
            with suppress(Missing):
                run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")


def _programs() -> Path:
    found = shutil.which("pg_ctl")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    for folder in reversed(folders):
        if (folder / "initdb").exists():
            return folder
    raise Missing("PostgreSQL is not installed (Debian: apt-get install postgresql)")


def _user() -> pwd.struct_passwd | None:
    """Return the user that it runs as, or None for whoever runs this: it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Missing("it does not run as root, and there is neither a user postgres nor nobody")
