"""The pump: the carrier in C. It reads and compares; what is new or odd comes to the members in Python."""

from __future__ import annotations

import ctypes
import select
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from bench.load.carrier import LogEntry, Member, open_sockets, pong_frame
from bench.load.stream import Stream
from bench.native import build_pump

__all__ = ("PumpCarrier",)

_ENTRY = struct.Struct("qqq")

_READ = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)
_TICK = ctypes.CFUNCTYPE(ctypes.c_int32)


class _Pump(ctypes.Structure):
    """`struct pump` of `native/pump.c`."""

    _fields_ = (
        ("stream", ctypes.c_void_p),
        ("stream_size", ctypes.POINTER(ctypes.c_int64)),
        ("fds", ctypes.POINTER(ctypes.c_int32)),
        ("places", ctypes.POINTER(ctypes.c_int64)),
        ("slow", ctypes.POINTER(ctypes.c_uint8)),
        ("log", ctypes.c_void_p),
        ("log_size", ctypes.c_int64),
        ("log_count", ctypes.c_int64),
        ("busy_ns", ctypes.c_int64),
        ("tick_ns", ctypes.c_int64),
        ("poll_fd", ctypes.c_int32),
        ("read", _READ),
        ("tick", _TICK),
    )


class PumpCarrier:
    """Carries by blocking sockets that the C code reads.

    Args:
        stream: What the members are compared with.
        log_size: How many reads are noted with their time; see `log`.

    Raises:
        OSError: The C code cannot be built here; see `is_there`.
    """

    @staticmethod
    def is_there() -> bool:
        """Whether the C code could be built."""
        return build_pump() is not None

    def __init__(self, stream: Stream, *, log_size: int = 0) -> None:
        built = build_pump()
        if built is None:
            raise OSError("the pump needs a C compiler")
        self._library = ctypes.CDLL(str(built))
        self._stream = stream
        self._members: Sequence[Member] = ()
        self._sockets: list[socket.socket] = []
        self._waiting: dict[int, bytearray] = {}
        self._error: BaseException | None = None
        self._size = ctypes.c_int64(0)
        self._poll = select.epoll()
        self._log = ctypes.create_string_buffer(log_size * _ENTRY.size)
        self._pump = _Pump()
        self._pump.stream = ctypes.addressof(ctypes.c_char.from_buffer(stream.data))
        self._pump.stream_size = ctypes.pointer(self._size)
        self._pump.log = ctypes.addressof(self._log) if log_size else None
        self._pump.log_size = log_size
        self._pump.poll_fd = self._poll.fileno()
        self._pump.read = self._read_callback = _READ(self._read)

    async def connect(self, ports: Sequence[int], paths: Sequence[str], members: Sequence[Member]) -> None:
        """Open a connection for each member, some at a time."""
        self._members = members
        count = len(members)
        self._places = (ctypes.c_int64 * count)()
        self._slow = (ctypes.c_uint8 * count)()
        self._fds = (ctypes.c_int32 * count)()
        self._pump.places, self._pump.slow, self._pump.fds = self._places, self._slow, self._fds
        for index, (sock, rest) in enumerate(open_sockets(ports, paths)):
            member = members[index]
            self._sockets.append(sock)
            self._fds[index] = sock.fileno()
            member.pong = partial(self._answer, index)
            if rest:
                member.feed(rest)
            self._settle(index)
            if self._library.pump_add(ctypes.byref(self._pump), ctypes.c_int64(index)):
                raise OSError("epoll_ctl failed")

    def write(self, index: int, data: bytes) -> None:
        """Write for one member; what its socket does not take now goes out in `run`."""
        if index not in self._waiting:
            try:
                sent = self._sockets[index].send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return  # it has ended, which the member learns by reading
            if sent == len(data):
                return
            self._waiting[index] = bytearray()
            data = data[sent:]
        self._waiting[index] += data

    async def run(self, tick: Callable[[], bool], *, every_s: float = 0.001) -> None:
        """Feed the members until `tick` returns False. It blocks the event loop meanwhile."""

        def stop_or_go() -> int:
            try:
                for index in list(self._waiting):
                    self.write(index, bytes(self._waiting.pop(index)))
                return int(self._error is None and bool(tick()))
            except BaseException as error:  # noqa: BLE001 -- it must not go through C; it is raised below
                self._error = error
                return 0

        for index, member in enumerate(self._members):
            self._slow[index] = member.is_slow
        self._pump.tick = callback = _TICK(stop_or_go)
        self._pump.tick_ns = round(every_s * 1e9)
        self._library.pump_run(ctypes.byref(self._pump))
        del callback
        if self._error is not None:
            raise self._error

    def busy_s(self) -> float:
        """Return how long something was to be done until now."""
        return float(self._pump.busy_ns) / 1e9

    def behind(self) -> int:
        """Return how many bytes lie between the quickest and the slowest member."""
        return int(max(self._places) - min(self._places))

    def sync(self) -> None:
        """Let the members know how far they have got."""
        for member, place in zip(self._members, self._places, strict=True):
            member.at = place

    def log(self) -> Iterator[LogEntry]:
        """Return the reads that were noted.

        Raises:
            OverflowError: There were more than could be noted.
        """
        if 0 < self._pump.log_size == self._pump.log_count:
            raise OverflowError(f"the log holds {self._pump.log_size} reads at most; make the round shorter")
        size = self._pump.log_count * _ENTRY.size
        return _ENTRY.iter_unpack(self._log.raw[:size])

    def close(self) -> None:
        """End all connections."""
        for sock in self._sockets:
            sock.close()
        self._poll.close()
        # The buffer cannot be freed while a pointer into it is held.
        self._pump = _Pump()

    def _read(self, index: int, address: int, size: int) -> None:
        member = self._members[index]
        try:
            member.at = self._places[index]
            if size:
                member.feed(ctypes.string_at(address, size))
            else:
                member.ended()
            self._settle(index)
        except BaseException as error:  # noqa: BLE001 -- as above
            self._error = error

    def _settle(self, index: int) -> None:
        member = self._members[index]
        self._places[index] = member.at
        self._slow[index] = member.is_slow
        self._size.value = self._stream.size

    def _answer(self, index: int, payload: bytes) -> None:
        self.write(index, pong_frame(payload))
