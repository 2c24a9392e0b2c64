"""Every error of the probe, each with the exit code that it ends the command with.

    ProbeError
    ├── UsageError (ValueError)       an option or its combination does not make sense        2
    ├── NotAllowed                    the address is not this machine and nobody said yes     2
    ├── Unreachable                   no WebSocket could be opened there                      3
    └── Unmeasurable                  it was reached, but says nothing that can be measured   4

The tree has a root of its own: the probe imports nothing of the library but its ledger.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ("ExitCode", "NotAllowed", "ProbeError", "Unmeasurable", "Unreachable", "UsageError")


class ExitCode(IntEnum):
    """How the command ends."""

    PASS = 0
    BREACHED = 1
    USAGE = 2
    UNREACHABLE = 3
    INCONCLUSIVE = 4


class ProbeError(Exception):
    """The root: everything that the probe raises on purpose."""

    exit_code = ExitCode.INCONCLUSIVE


class UsageError(ProbeError, ValueError):
    """An option, or a combination of options, does not make sense."""

    exit_code = ExitCode.USAGE


class NotAllowed(ProbeError):
    """The address is not this machine, and nobody said that it may be loaded.

    Attributes:
        host: The host of the address.
    """

    exit_code = ExitCode.USAGE

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__(
            f"{host} is not this machine; a load can take a server down: "
            "add --i-may-load-this-host if you have its owner's permission"
        )


class Unreachable(ProbeError):
    """No WebSocket could be opened.

    Attributes:
        reason: A stable word for programs: `refused`, `timeout`, `tls`, `status`, `not_websocket`, `dns`, `closed`,
            `address` or `descriptors`.
        status: The HTTP status of the answer, when there was one.
    """

    exit_code = ExitCode.UNREACHABLE

    def __init__(self, reason: str, text: str, *, status: int | None = None) -> None:
        self.reason = reason
        self.status = status
        super().__init__(text)


class Unmeasurable(ProbeError):
    """The server was reached, but nothing that it says can be measured."""

    exit_code = ExitCode.INCONCLUSIVE
