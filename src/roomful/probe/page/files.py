"""Results from files, and pages into files; errors say which file, and what it is instead."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from roomful.probe.errors import UsageError
from roomful.probe.page.buffers import BUFFERS_SCHEMA
from roomful.probe.results import SCHEMA
from roomful.probe.terminal import say

__all__ = ("Loaded", "read_result", "write_view")

Loaded = dict[str, object]
"""The JSON of a result, of a schema that was checked."""

_MOST_BYTES: Final = 1 << 30


def read_result(path: str, *, schemas: tuple[str, ...] = (SCHEMA, BUFFERS_SCHEMA)) -> Loaded:
    """Return the result in a file; `-` is standard input.

    Raises:
        UsageError: there is none, or it is of a schema that this version does not read.
    """
    name = "standard input" if path == "-" else path
    try:
        if path != "-" and Path(path).stat().st_size > _MOST_BYTES:
            raise UsageError(f"{name} is larger than any result")
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
        loaded = json.loads(text)
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        # Not UTF-8 is a ValueError too.
        raise UsageError(f"{name} is not a result of roomful probe: it is no JSON") from error
    schema = loaded.get("schema") if isinstance(loaded, dict) else None
    if not isinstance(loaded, dict) or not isinstance(schema, str):
        raise UsageError(f"{name} is not a result of roomful probe: it has no schema")
    if schema not in schemas:
        raise UsageError(_refusal(name, schema, schemas))
    return loaded


def _refusal(name: str, schema: str, schemas: tuple[str, ...]) -> str:
    read = " and ".join(schemas)
    for known in (SCHEMA, BUFFERS_SCHEMA):
        kind, _, number = known.rpartition("/")
        found, _, version = schema.rpartition("/")
        if kind == found and version.isdigit() and int(version) > int(number):
            return f"{name} has schema {schema!r}, which is newer than this version reads ({read}): update roomful"
    return f"{name} has schema {schema[:100]!r}; expected {read}"


def write_view(path: str, text: str) -> bool:
    """Write a file, or standard output for `-`; say so on standard error when it cannot be done.

    A reader, or a full disk, never finds half a file under the name that was asked for.
    """
    if path == "-":
        say(text.removesuffix("\n"), sys.stdout)
        return True
    target = Path(path).resolve()
    # A device or a pipe is written to; it must not be replaced by a file.
    is_special = target.exists() and not target.is_file()
    part = target if is_special else target.with_name(f"{target.name}.part")
    try:
        # What a result holds may be no valid text, as a lone surrogate is in JSON.
        part.write_text(text, encoding="utf-8", errors="replace")
        if not is_special:
            part.replace(target)
    except OSError as error:
        if not is_special:
            with suppress(OSError):
                part.unlink(missing_ok=True)
        say(f"roomful probe: {path} cannot be written: {error.strerror}", sys.stderr)
        return False
    return True
