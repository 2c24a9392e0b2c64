"""A strict reader of pages, and a text that would do harm if it became markup."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Final

__all__ = ("EVIL", "Page")

VOID: Final = {"meta", "link", "br", "hr"}
EVIL: Final = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x1b[31m\u202e"


class Page(HTMLParser):
    """Reads a page, and complains about elements that are not closed, or in the wrong order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def named(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]
