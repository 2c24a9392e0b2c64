"""The pages of the documentation, with their blocks of code and what is said of each.

It knows no page's content; a comment above a block says what the block is:
`file: PATH`, `part of: PATH`, `run`, `program: NAME`, `transcript: PATH ADDRESS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ("DOCS", "PAGES", "ROOT", "Block", "blocks", "code_spans", "prose")

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"

PAGES: Final = [
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
    # The probe's pages are held to the probe's own tests.
    if "probe" not in path.name
]

_FENCE: Final = re.compile(
    r"^(?:<!-- (?P<mark>.+?) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
_SPAN: Final = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        page: The page, from the root of the repository.
        line: Where it begins.
        language: What stands behind the fence.
        kind: What the comment above says that it is, or empty.
        argument: What follows in the comment.
        code: What it holds.
    """

    page: str
    line: int
    language: str
    kind: str
    argument: str
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*kinds: str) -> list[Block]:
    """Return the blocks of these kinds, or all."""
    found = [block for page in PAGES for block in _of(page)]
    return [block for block in found if not kinds or block.kind in kinds]


def prose(page: str) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", (ROOT / page).read_text())


def code_spans(page: str) -> Iterator[str]:
    """Yield what stands between backticks in a page's prose."""
    for match in _SPAN.finditer(prose(page)):
        yield match[1].replace("\\|", "|")


def _of(page: str) -> Iterator[Block]:
    text = (ROOT / page).read_text()
    for match in _FENCE.finditer(text):
        kind, _, argument = (match["mark"] or "").partition(":")
        line = text.count("\n", 0, match.start()) + 1
        yield Block(page, line, match["language"], kind, argument.strip(), match["code"])
