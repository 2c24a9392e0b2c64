r"""A path that loses packets; the server behind it is sound.

Broken: the server lives in a network namespace of its own. Its clients reach it through a tunnel, both ends of which
are this program's, and of the packets between them it forgets some, as a bad link does.
Signature: segments are sent again, and even without load a handshake takes 200 ms, one second or more now and then;
no message is lost.
Cure: look at the path.
Knob: LOSS_PERCENT, of packets in either direction.

It needs Linux and root. So that nothing of it touches this machine's network, the probe gets a namespace too:
`unshare --net roomful probe run --url ws://198.18.0.2:8000/ws --i-may-load-this-host -- \
python -m examples.broken.lossy_network`.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import random
import select
import struct
import subprocess
import sys
import threading

from fastapi import FastAPI, WebSocket

from examples.broken.serving import number, serve

LOSS = number("LOSS_PERCENT", 5) / 100
# RFC 2544 §C.2.2: addresses for tests of networks, which nobody has.
CLIENTS, SERVER = "198.18.0.1", "198.18.0.2"
# In a namespace of one's own every port is free.
PORT = 8000
# linux/if_tun.h and linux/sched.h
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
CLONE_NEWNET = 0x40000000
PACKET_BYTES = 65536

app = FastAPI()


@app.websocket("/ws")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket.iter_text():
        await websocket.send_text(message)


def open_end(own: str, other: str) -> int:
    """Make one end of the tunnel in the namespace of this process; it goes with the process."""
    end = os.open("/dev/net/tun", os.O_RDWR)
    made = fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", b"lossy%d", IFF_TUN | IFF_NO_PI))
    name = made[:16].rstrip(b"\0").decode()
    for words in (f"address add {own} peer {other} dev {name}", f"link set {name} up"):
        subprocess.run(["ip", *words.split()], check=True, capture_output=True, text=True)  # noqa: S603, S607  # our own words; where ip is differs
    return end


def leave_namespace() -> None:
    """Go on in a network namespace of our own, with its own loopback."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "a network namespace cannot be made; it needs root")


def forward(one: int, other: int) -> None:
    """Carry packets both ways, and forget some; this is the fault."""
    chance = random.Random(7)  # noqa: S311  # chance, and no secret
    across = {one: other, other: one}
    while True:
        for end in select.select([one, other], [], [])[0]:
            packet = os.read(end, PACKET_BYTES)
            if chance.random() >= LOSS:
                os.write(across[end], packet)


if __name__ == "__main__":
    try:
        outside = open_end(CLIENTS, SERVER)
        leave_namespace()
        inside = open_end(SERVER, CLIENTS)
    except OSError as error:
        sys.exit(f"no tunnel: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"no tunnel: {' '.join(error.cmd)}: {error.stderr.strip()}")
    threading.Thread(target=forward, args=(outside, inside), daemon=True).start()
    serve(app, host=SERVER, port=PORT)
