"""A server of development begins anew when a file changes, whatever its sockets do, and clients come back."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from tests.examples.serving import ROOT

_WITHIN_S = 25

_SETTINGS = """
SECRET_KEY = "not-a-secret"
DEBUG = True
ALLOWED_HOSTS = ["*"]
DATABASES = {}
INSTALLED_APPS = ["roomful.django"]
ASGI_APPLICATION = "site_asgi.application"
CHANNEL_LAYERS = {"default": {"BACKEND": "roomful.django.ChannelLayer"}}
"""
_MANAGE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
_ASGI = """
import asyncio, os, time
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
from asgiref.sync import sync_to_async
from django.core.asgi import get_asgi_application
http = get_asgi_application()
from channels.routing import ProtocolTypeRouter
from roomful.channels.generic.websocket import AsyncWebsocketConsumer

class Busy(AsyncWebsocketConsumer):
    async def connect(self):
        await self.channel_layer.group_add("all", self.channel_name)
        await self.accept()
        await self.send("VERSION")

    async def receive(self, text_data=None, bytes_data=None):
        await self.send("begun")
        if text_data == "in a thread":
            await sync_to_async(time.sleep)(600)
        await asyncio.Event().wait()

application = ProtocolTypeRouter({"http": http, "websocket": Busy.as_asgi()})
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _runserver(port: int) -> list[str]:
    return [sys.executable, "manage.py", "runserver", f"127.0.0.1:{port}"]


def _serve(port: int) -> list[str]:
    return [
        sys.executable, "-m", "roomful", "serve", "site_asgi:application", "--reload", "--port", str(port),
    ]  # fmt: skip


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[None]:
    """Run a server with its children, and end all of them."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT))),
        "PYTHONUNBUFFERED": "1",
    }
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


async def come_back(port: int, version: str) -> ClientConnection:
    """Connect as a page does that tries again until it is let in; return once the server has this version."""
    async with asyncio.timeout(_WITHIN_S):
        while True:
            try:
                client = await connect(f"ws://127.0.0.1:{port}/", proxy=None)
                if await client.recv() == version:
                    return client
                await client.wait_closed()
            except (OSError, InvalidMessage, InvalidStatus, ConnectionClosed):
                await asyncio.sleep(0.05)


async def closed_after_a_change(path: Path, *clients: ClientConnection) -> None:
    """Return when the server has let its clients go. It looks for changes once a second, at first for what is there."""
    closing = asyncio.gather(*(client.wait_closed() for client in clients))
    async with asyncio.timeout(_WITHIN_S):
        while not closing.done():
            path.touch()  # noqa: ASYNC240 -- nothing else runs meanwhile
            await asyncio.wait((closing,), timeout=2)


@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    ("command_of", "work"),
    [
        (_runserver, "in the loop"),
        (_runserver, "in a thread"),
        (_serve, "in the loop"),
        (_serve, "in a thread"),
    ],
)
async def test_a_change_ends_the_sockets_and_what_comes_back_has_it(
    command_of: Callable[[int], list[str]], work: str, tmp_path: Path
) -> None:
    (tmp_path / "site_settings.py").write_text(_SETTINGS)
    (tmp_path / "manage.py").write_text(_MANAGE)
    (tmp_path / "site_asgi.py").write_text(_ASGI.replace("VERSION", "first"))
    port = free_port()
    with running(command_of(port), tmp_path):
        quiet, busy = await come_back(port, "first"), await come_back(port, "first")
        await busy.send(work)
        assert await busy.recv() == "begun"
        for version in ("second", "third"):
            (tmp_path / "site_asgi.py").write_text(_ASGI.replace("VERSION", version))
            await closed_after_a_change(tmp_path / "site_asgi.py", quiet, busy)
            quiet, busy = await come_back(port, version), await come_back(port, version)
            await busy.send(work)
            assert await busy.recv() == "begun"
        await quiet.close()
        await busy.close()
