"""How much the generator with its ledger sends, beside bare `websockets` and picows clients, on one core.

Bias: the server discards what comes (or echoes it, with --echo) in a process of its own; the bare clients check
nothing, keep no schedule and send one prepared message over and over; ours makes, records and judges each.
Each round runs all three in turn, on one connection; the figure is the median of the rounds' ratios.

    python tests/probe/bench/generator.py [--echo] [--rounds N] [--seconds S]

It needs picows besides the `probe` extra.
"""

# ruff: noqa: T201  # a program prints

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import subprocess
import sys
import time
from statistics import median

import picows
import websockets.asyncio.client

from roomful.probe.adapter import PlainAdapter
from roomful.probe.fleet import Fleet
from roomful.probe.mode import Mode
from roomful.probe.payloads import make_recipe
from roomful.probe.schedule import Window
from roomful.probe.target import Target
from roomful.probe.traffic import Traffic

SIZES = (128, 64 * 1024, 1024 * 1024)
UNDER_WAY = {128: 512, 64 * 1024: 32, 1024 * 1024: 8}


async def serve(*, echo: bool) -> None:
    """Serve on a free port with picows, so that the server is not what limits."""

    class Listener(picows.WSListener):
        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            if frame.msg_type == picows.WSMsgType.PING:
                transport.send_pong(frame.get_payload_as_bytes())
            elif frame.msg_type == picows.WSMsgType.CLOSE:
                transport.disconnect()
            elif echo:
                transport.send(frame.msg_type, frame.get_payload_as_memoryview())

    server = await picows.ws_create_server(
        lambda r: Listener(), "127.0.0.1", 0, websocket_handshake_timeout=5
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def bare_websockets(url: str, size: int, seconds: float, *, echo: bool) -> float:
    """Send with `websockets`; return messages per second of this process's CPU time."""
    payload = "x" * size
    window = UNDER_WAY[size]
    async with websockets.asyncio.client.connect(url, compression=None, max_size=None) as client:
        sent = came = 0
        began, cpu = time.perf_counter(), time.process_time()
        while time.perf_counter() - began < seconds:
            for _ in range(window):
                await client.send(payload)
                sent += 1
            while echo and came < sent - window:
                await client.recv()
                came += 1
        return sent / (time.process_time() - cpu)


async def bare_picows(url: str, size: int, seconds: float, *, echo: bool) -> float:
    """Send with picows; return messages per second of this process's CPU time."""
    payload = b"x" * size
    window = UNDER_WAY[size]
    came = 0
    writable = asyncio.Event()
    writable.set()
    arrived = asyncio.Event()

    class Listener(picows.WSListener):
        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            nonlocal came
            came += 1
            arrived.set()

        def pause_writing(self) -> None:
            writable.clear()

        def resume_writing(self) -> None:
            writable.set()

    transport, _ = await picows.ws_connect(Listener, url)
    sent = 0
    began, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        for _ in range(window):
            transport.send(picows.WSMsgType.TEXT, payload)
            sent += 1
            if not writable.is_set():
                await writable.wait()
        while echo and came < sent - window:
            arrived.clear()
            await arrived.wait()
        await asyncio.sleep(0)
    rate = sent / (time.process_time() - cpu)
    transport.disconnect()
    return rate


async def generator(url: str, size: int, seconds: float, *, echo: bool) -> float:
    """Send with the generator and its ledger; return messages per second of this process's CPU time."""
    fleet = Fleet(Target(url), PlainAdapter(), max_bytes=1 << 24)
    connections = await fleet.open(1)
    traffic: Traffic | None = None
    window = UNDER_WAY[size]
    # Without answers nothing limits but the socket, so as many are due as it takes.
    schedule = Window(
        window if echo else 10**7, lambda: traffic.arrived if traffic else 0, duration_s=seconds, count=10**9
    )
    traffic = Traffic(
        connections, make_recipe("text", size), schedule, mode=Mode.ECHO, run="bench1", deadline_s=60.0,
        adapter=PlainAdapter(),
    )  # fmt: skip
    cpu, began = time.process_time(), time.perf_counter()
    if echo:
        traffic.start(delay_s=0)
        await asyncio.sleep(seconds)
    else:
        # One pump without end would not let the loop run: hand out in portions, as ticks do.
        traffic.start(delay_s=0)
        schedule._returned = lambda: 0
        schedule._size = 0
        while time.perf_counter() - began < seconds:
            if not connections[0].paused:
                schedule._size = traffic.offered + window
                traffic._pump(traffic.now_s)
                await asyncio.sleep(0)
            else:
                await asyncio.sleep(0.0005)
    rate = traffic.offered / (time.process_time() - cpu)
    traffic.finish()
    await fleet.close()
    return rate


async def measure(url: str, *, echo: bool, rounds: int, seconds: float) -> None:
    """Print the ratios."""
    for size in SIZES:
        ratios: dict[str, list[float]] = {"websockets": [], "picows": []}
        rates: dict[str, list[float]] = {"generator": [], "websockets": [], "picows": []}
        for _ in range(rounds):
            ours = await generator(url, size, seconds, echo=echo)
            rates["generator"].append(ours)
            for name, bare in (("websockets", bare_websockets), ("picows", bare_picows)):
                rate = await bare(url, size, seconds, echo=echo)
                rates[name].append(rate)
                ratios[name].append(ours / rate)
        cells = [f"{name} {median(values):10,.0f}/s" for name, values in rates.items()]
        for name, values in ratios.items():
            cells.append(f"of {name}: {median(values):.0%} ({min(values):.0%} to {max(values):.0%})")
        print(f"{size:>9,} B  " + "  ".join(cells), flush=True)


def main() -> None:
    """Start a server beside, measure, stop it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--echo", action="store_true")
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    args = parser.parse_args()
    logging.disable()
    if args.serve:
        asyncio.run(serve(echo=args.echo))
        return
    command = [sys.executable, __file__, "--serve", *(["--echo"] if args.echo else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as server:
        assert server.stdout is not None
        url = f"ws://127.0.0.1:{int(server.stdout.readline())}/"
        try:
            asyncio.run(measure(url, echo=args.echo, rounds=args.rounds, seconds=args.seconds))
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
