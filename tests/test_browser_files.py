"""`roomful.browser.app`: which requests it answers, and how."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from roomful import browser
from roomful.routing import ProtocolTypeRouter, URLRouter, mount
from tests.examples.serving import ROOT

SIZE_LIMIT_BYTES = 16 * 1024
TSC = os.environ.get("ROOMFUL_TSC", "tsc")

# The ways of mounting that README and docs name, each with what stands before the file's name.
SITES: list[tuple[Any, str]] = [
    (browser.app, ""),
    (Starlette(routes=[Mount("/roomful", app=browser.app)]), "/roomful"),
    (Starlette(routes=[Mount("/a/{team}", routes=[Mount("/b", app=browser.app)])]), "/a/x/b"),
    (ProtocolTypeRouter({"http": URLRouter([mount("/roomful", browser.app)])}), "/roomful"),
]
SITE_NAMES = ("bare", "mounted", "mounted deeply", "routed")


@pytest.fixture(params=SITES, ids=SITE_NAMES)
def site(request: pytest.FixtureRequest) -> tuple[TestClient, str]:
    app, prefix = request.param
    return TestClient(app), prefix


@pytest.mark.parametrize(
    ("name", "path", "media_type"),
    [
        ("roomful.js", browser.SCRIPT, "text/javascript; charset=utf-8"),
        ("roomful.d.ts", browser.TYPES, "text/plain; charset=utf-8"),
    ],
)
def test_file_comes_whole_with_its_type(
    site: tuple[TestClient, str], name: str, path: Any, media_type: str
) -> None:
    """Under every mount the same bytes, which any page may import and no browser may take for something else."""
    client, prefix = site

    got = client.get(f"{prefix}/{name}")

    assert got.status_code == 200
    assert got.content == path.read_bytes()
    assert {
        "content-type": media_type,
        "content-length": str(len(got.content)),
        "cache-control": "no-cache",
        "x-content-type-options": "nosniff",
        "access-control-allow-origin": "*",
        "etag": got.headers["etag"],
    } == dict(got.headers)


def test_head_says_what_get_would_send(site: tuple[TestClient, str]) -> None:
    """The headers of `GET`, and no body."""
    client, prefix = site

    got, head = (client.request(method, f"{prefix}/roomful.js") for method in ("GET", "HEAD"))

    assert (200, got.headers, b"") == (head.status_code, head.headers, head.content)


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
def test_file_that_is_known_is_not_sent_again(site: tuple[TestClient, str], form: str) -> None:
    """A browser that has this very file gets 304, in every form of asking (RFC 9110 §13.1.2)."""
    client, prefix = site
    etag = client.get(f"{prefix}/roomful.js").headers["etag"]

    again = client.get(f"{prefix}/roomful.js", headers={"If-None-Match": form.format(etag)})

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == etag
    assert again.headers["cache-control"] == "no-cache"
    assert "content-length" not in again.headers


@pytest.mark.parametrize("given", ["", '"other"', "nonsense", '"', ",,"])
def test_other_file_is_sent(site: tuple[TestClient, str], given: str) -> None:
    """A tag that is another's, or none, changes nothing; the two files have different ones."""
    client, prefix = site

    script = client.get(f"{prefix}/roomful.js", headers={"If-None-Match": given})

    assert (200, browser.SCRIPT.read_bytes()) == (script.status_code, script.content)
    assert script.headers["etag"] != client.get(f"{prefix}/roomful.d.ts").headers["etag"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_refused(site: tuple[TestClient, str], method: str) -> None:
    """405 says which methods there are (RFC 9110 §15.5.6)."""
    client, prefix = site

    refused = client.request(method, f"{prefix}/roomful.js")

    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/x",
        "/__init__.py",
        "/files.py",
        "/x/roomful.js",
        "/roomful.js/",
        "/%2e%2e/files.py",
        "/ROOMFUL.JS",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_nothing_else_can_be_had(site: tuple[TestClient, str], path: str, method: str) -> None:
    """Neither the package's other files nor a path that only ends like one."""
    client, prefix = site

    assert client.request(method, prefix + path).status_code == 404


async def ask(**scope: Any) -> list[Any]:
    """Send one scope to the application; return what it sends."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("the application asked for a message")

    await browser.app({"type": "http", "method": "GET", "headers": [], **scope}, receive, send)
    return sent


@pytest.mark.parametrize(
    ("root_path", "path"),
    [
        ("", "/roomful.js"),
        ("/roomful", "/roomful/roomful.js"),
        ("/roomful", "/roomful.js"),
        ("/a/", "/a/roomful.js"),
    ],
)
async def test_root_path_may_stand_in_the_path_or_not(root_path: str, path: str) -> None:
    """Servers and frameworks differ in it (Starlette changed in 0.33)."""
    sent = await ask(path=path, root_path=root_path)

    assert sent[0]["status"] == 200


async def test_scope_without_root_path_is_served() -> None:
    """ASGI lets a server leave it out."""
    assert (await ask(path="/roomful.js"))[0]["status"] == 200


async def test_lifespan_is_not_known() -> None:
    """An error is how an application says that it has none."""
    with pytest.raises(ValueError, match="lifespan"):
        await ask(type="lifespan")


def test_websocket_is_refused() -> None:
    """Nobody talks here."""
    with pytest.raises(WebSocketDisconnect), TestClient(browser.app).websocket_connect("/roomful.js"):
        pass


def test_module_stays_small() -> None:
    """It is read and served as it is, without a build step that would shrink it."""
    assert len(browser.SCRIPT.read_bytes()) <= SIZE_LIMIT_BYTES


@pytest.mark.skipif(
    shutil.which(TSC) is None,
    reason="no TypeScript compiler (npm install -g typescript; or name one in ROOMFUL_TSC)",
)
def test_types_allow_what_works_and_refuse_what_does_not() -> None:
    """A strict program that uses all of them compiles, and each line that is meant to be refused is."""
    options = "--noEmit --strict --exactOptionalPropertyTypes --target es2022 --lib es2022,dom"
    modules = "--module esnext --moduleResolution bundler"
    ran = subprocess.run(
        [TSC, *options.split(), *modules.split(), "tests/browser/types/uses.ts"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )

    assert (ran.returncode, ran.stdout) == (0, "")
