"""The pages: what they are served with, and that they need nothing that the policy forbids."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from examples.pages import add_page
from tests.examples.serving import ROOT

PAGES = sorted((ROOT / "examples").glob("*/page/index.html"))


class Inline(HTMLParser):
    """Collects what a strict policy would not let run, and what would be fetched from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found += [name for name in given if name.startswith("on") or name == "style"]
        self.found += [tag] if tag == "style" or (tag == "script" and "src" not in given) else []
        self.found += [url for name in ("src", "href") if ":" in (url := given.get(name) or "")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parts[-3])
def test_page_needs_nothing_inline_and_nothing_from_elsewhere(page: Path) -> None:
    """No handler, script or style in the HTML, and no address with a scheme."""
    inline = Inline()
    inline.feed(page.read_text(encoding="utf-8"))

    assert inline.found == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parts[-3])
def test_page_sets_texts_only_as_text(page: Path) -> None:
    """No script turns a text into HTML or into a program."""
    for script in page.parent.glob("*.js"):
        source = script.read_text(encoding="utf-8")
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
        ):
            assert word not in source, (script, word)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parts[-3])
def test_page_is_served_with_a_strict_policy(page: Path) -> None:
    """Each file comes with its own type and the headers; anything else is not found."""
    app = FastAPI()
    add_page(app, page.parent)
    with TestClient(app) as client:
        for path in (
            "/",
            "/base.css",
            "/icon.svg",
            *(f"/{script.name}" for script in page.parent.glob("*.js")),
        ):
            response = client.get(path)
            assert response.status_code == 200
            assert "default-src 'none'" in response.headers["content-security-policy"]
            assert "unsafe" not in response.headers["content-security-policy"]
            assert response.headers["x-content-type-options"] == "nosniff"
        assert client.get("/").headers["content-type"] == "text/html; charset=utf-8"
        for path in ("/nothing", "/app.py", "/../app.py", "/%2e%2e/app.py", "/page/index.html"):
            assert client.get(path).status_code == 404
