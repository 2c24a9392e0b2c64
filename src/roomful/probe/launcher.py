"""Starts a server for the probe, waits for its end, and tells what the kernel says of it.

To the kernel a program has had whatever memory its parent has ever had, and a probe may have had more than the server.
So this small program is its parent. It is run by its file and imports next to nothing.
"""

from __future__ import annotations

import os
import signal
import sys

__all__ = ("main",)


def main() -> None:
    """Start the command behind the number of a pipe, in a process group of its own, and write two lines to the pipe.

    The first is the process id, or an error number below zero when there is no such command; the second is the wait
    status and the most memory, as in getrusage(2).
    """
    pipe, command = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(pipe, False)
    # What Python ignores for itself.
    defaults = (signal.SIGPIPE, signal.SIGXFSZ)
    try:
        pid = os.posix_spawnp(command[0], command, os.environ, setpgroup=0, setsigdef=defaults)
    except OSError as error:
        os.write(pipe, b"-%d\n" % (error.errno or 0))
        return
    # Its command line holds the server's, so whoever stops that by its name means the server.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.write(pipe, b"%d\n" % pid)
    _, status, usage = os.wait4(pid, 0)
    os.write(pipe, b"%d %d\n" % (status, usage.ru_maxrss))


if __name__ == "__main__":
    main()
