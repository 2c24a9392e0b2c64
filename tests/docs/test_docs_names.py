"""What the pages name exists: files, identifiers, links."""

from __future__ import annotations

import ast
import builtins
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from .pages import PAGES, ROOT, blocks, code_spans

SOURCE = ROOT / "src/roomful"

# Classes of others that the pages name.
FOREIGN = {
    "ChannelFull",
    "Depends",
    "ETag",
    "FastAPI",
    "HTTPException",
    "Header",
    "Path",
    "PyJWT",
    "Query",
    "TestClient",
    "TypedDict",
    "Upgrade",
    "WebSocket",
    "WebSocketException",
}

FOREIGN_FILES = (".json", ".toml")

_IDENTIFIER = re.compile(r"(?:await )?(?P<name>[A-Za-z_]\w*(?:\.\w+)*)(?:\(.*\))?")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_names_in_a_page_exist(page: str) -> None:
    """A class, a member, a module or a file between backticks is there."""
    here = [block for block in blocks() if block.page == page]
    shown = "".join(f"{block.argument}\n{block.code}" for block in here)

    unknown = sorted(
        {
            span
            for span in code_spans(page)
            if not _exists(span, strictly="explanation" in page) and span not in shown
        }
    )

    assert unknown == []


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    """A link within the repository leads to a file, and its anchor to a heading there."""
    text = (ROOT / page).read_text()
    dead = [link for link in _LINK.findall(text) if "://" not in link and not _leads(ROOT / page, link)]

    assert dead == []


def test_every_page_is_in_the_index() -> None:
    """Whoever opens the index finds all pages."""
    index = (ROOT / "docs/index.md").read_text()

    missing = [page for page in PAGES if page.startswith("docs/") and f"({page[5:]})" not in index]

    assert missing == ["docs/index.md"]


def _leads(page: Path, link: str) -> bool:
    target, _, anchor = link.partition("#")
    path = (page.parent / target).resolve() if target else page
    if not path.exists():
        return False
    return not anchor or anchor in map(_anchor, _HEADING.findall(path.read_text()))


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _exists(span: str, *, strictly: bool) -> bool:
    if "/" in span and "://" not in span and " " not in span and not span.startswith("/"):
        return (ROOT / span).exists() or (SOURCE / span).exists()
    matched = _IDENTIFIER.fullmatch(span)
    if matched is None or not span.isascii() or span.endswith(FOREIGN_FILES):
        return True  # an expression, a pattern, a text of the wire, a file of the reader's
    head, *rest = matched["name"].split(".")
    if head == "roomful":
        return _importable(matched["name"]) or matched["name"] in _source()
    if head in ("self", "hub") and rest:
        return rest[0] in _members("Consumer" if head == "self" else "Hub")
    if head[0].isupper() and not head.isupper():
        known = head in _classes() or head in FOREIGN or hasattr(builtins, head)
        return known and (not rest or head not in _classes() or rest[0] in _members(head))
    if rest:
        return (
            (SOURCE / head).is_dir()
            or head in ("gc", "msgspec")
            or all(part in _source() for part in (head, *rest))
        )
    return not strictly or head in _names() or head in _source()


def _importable(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    for path, member in ((name, None), (module, attribute)):
        try:
            found = importlib.import_module(path)
        except (ImportError, ValueError):
            continue
        if member is None or hasattr(found, member):
            return True
    return False


@cache
def _trees() -> tuple[ast.Module, ...]:
    return tuple(ast.parse(path.read_text()) for path in SOURCE.rglob("*.py"))


@cache
def _source() -> str:
    return "".join(path.read_text() for path in SOURCE.rglob("*.*") if path.suffix in (".py", ".js", ".ts"))


@cache
def _classes() -> dict[str, tuple[ast.ClassDef, ...]]:
    found: dict[str, tuple[ast.ClassDef, ...]] = {}
    for tree in _trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found[node.name] = (*found.get(node.name, ()), node)
    return found


@cache
def _names() -> frozenset[str]:
    return frozenset(name for tree in _trees() for name in _defined(tree))


def _members(name: str) -> set[str]:
    members: set[str] = set()
    for node in _classes().get(name, ()):
        members.update(_defined(node))
        for base in node.bases:
            plain = base.value if isinstance(base, ast.Subscript) else base
            if isinstance(plain, ast.Name) and plain.id != name:
                members |= _members(plain.id)
    return members


def _defined(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
