"""The live display, on a terminal of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable

import pytest

COLUMNS = 50
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(command: list[str], *, interrupt_at: str | None = None) -> tuple[int, str]:
    """Run a command on a narrow terminal; return its exit code and all that it wrote."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, COLUMNS, 0, 0))
    # What would tell rich of another width, or of no terminal at all.
    known = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    written = b""
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=known | {"TERM": "xterm"}
    ) as process:
        os.close(theirs)
        try:
            while data := os.read(ours, 65536):
                written += data
                if interrupt_at is not None and interrupt_at in written.decode(errors="replace"):
                    process.send_signal(signal.SIGINT)
                    interrupt_at = None
        except OSError:
            pass  # Linux' way of saying that nobody writes there any more
        finally:
            os.close(ours)
        return process.wait(20), written.decode()


@pytest.mark.parametrize(
    ("seconds", "interrupt_at", "code"), [("1s", None, 0), ("30s", "50/s of 128 bytes", 4)]
)
def test_the_live_display_fits_and_leaves_the_terminal_as_it_was(
    planted: Callable[..., str], seconds: str, interrupt_at: str | None, code: int
) -> None:
    """It shows what is under way, no line is too long, and the cursor is back, also after Ctrl-C."""
    options = ["--rate", "50", "--duration", seconds, "--clients", "2", "--no-questions", "--no-evidence"]
    command = [sys.executable, "-m", "roomful.probe", planted(), "--mode", "echo", *options]
    exit_code, text = on_a_terminal(command, interrupt_at=interrupt_at)
    assert exit_code == code, text
    assert text.index(HIDE) < text.rindex(SHOW)
    display, verdict = text[: text.rindex(SHOW)], text[text.rindex(SHOW) :]
    lines = [_CONTROL.sub("", line) for line in re.split(r"[\r\n]+", display)]
    assert any(" sent  " in line and " under way" in line for line in lines)
    assert any(line.startswith("baseline") for line in lines)
    assert max(map(len, lines)) <= COLUMNS
    assert HIDE not in verdict
    assert "of 128 B from 2" in verdict
