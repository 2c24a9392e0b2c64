"""Stacks of a Python server's threads, taken by `py-spy` without stopping it."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Final

__all__ = ("take_stacks",)

_TIMEOUT_S: Final = 5.0
_MAX_FRAMES: Final = 30


async def take_stacks(pid: int) -> list[dict[str, object]]:
    """Return the threads of a process, each with its frames, the innermost first.

    Raises:
        OSError: py-spy is not installed, or may not look; the text is the reason.
    """
    beside = Path(sys.executable).with_name("py-spy")
    program = str(beside) if beside.exists() else shutil.which("py-spy")
    if program is None:
        raise OSError("py-spy is not installed")
    process = await asyncio.create_subprocess_exec(
        program, "dump", "--json", "--nonblocking", "--pid", str(pid),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            output, errors = await process.communicate()
    except TimeoutError as error:
        raise OSError(f"py-spy did not answer within {_TIMEOUT_S:g} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        lines = errors.decode(errors="replace").strip().splitlines()
        raise OSError(f"py-spy failed: {lines[0][:200] if lines else process.returncode}")
    return [
        {
            "thread": thread.get("thread_name") or str(thread.get("thread_id")),
            "active": thread.get("active"),
            "gil": thread.get("owns_gil"),
            "frames": [
                f"{frame.get('name')} ({Path(frame.get('filename') or '?').name}:{frame.get('line')})"
                for frame in (thread.get("frames") or [])[:_MAX_FRAMES]
            ],
        }
        for thread in json.loads(output)
    ]
