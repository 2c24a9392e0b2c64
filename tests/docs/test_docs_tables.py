"""Tables of the reference hold what the code holds."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import textwrap
from itertools import pairwise
from pathlib import Path

from roomful import Admission, CloseCode, Limits
from roomful.auth import admission
from roomful.consumers.definition import RESERVED_NAMES
from roomful.core import close_codes, limits
from roomful.core.close_codes import close_code_for_status, may_come_back
from roomful.layers.memory import MemoryLayer

from .pages import ROOT

LIMITS_PAGE = ROOT / "docs/reference/limits.md"
CODES_PAGE = ROOT / "docs/reference/close-codes.md"
WIRE_PAGE = ROOT / "docs/reference/wire.md"


def test_limits_are_those_of_the_code() -> None:
    """Each limit has a row, in their order, with its default, its unit and its reason."""
    expected = [
        [f"`{field.name}`", _amount(field.name, field.default), _docstrings(limits)[field.name]]
        for field in dataclasses.fields(Limits)
    ]

    rows = _rows(LIMITS_PAGE, "Of a hub and its connections")

    assert [row[:3] for row in rows] == expected
    assert all(row[3] for row in rows)


def test_limits_at_the_door_are_those_of_the_code() -> None:
    """Each setting has a row, in their order, with its default and its reason."""
    expected = [
        [
            f"`{field.name}`",
            f"{field.default:g} s" if isinstance(field.default, float) else str(field.default or "none"),
            _docstrings(admission)[field.name],
        ]
        for field in dataclasses.fields(Admission)
    ]

    assert _rows(ROOT / "docs/reference/security.md", "Limits at the door") == expected


def test_fixed_limits_are_those_of_the_code() -> None:
    """What cannot be set has the value that its page says."""
    for name, value, _beyond in _rows(LIMITS_PAGE, "Fixed"):
        module, _, constant = name.strip("`").rpartition(".")
        number = getattr(importlib.import_module(f"roomful.{module}"), constant)
        assert value == _amount(constant.lower(), number), name


def test_limits_of_the_memory_layer_are_those_of_the_code() -> None:
    """Each parameter has a row with its default."""
    parameters = inspect.signature(MemoryLayer).parameters.values()
    expected = [
        [f"`{parameter.name}`", _amount(parameter.name, parameter.default)]
        for parameter in parameters
        if isinstance(parameter.default, int | float)
    ]

    assert [row[:2] for row in _rows(LIMITS_PAGE, "Of the memory layer")] == expected


def test_close_codes_are_those_of_the_code() -> None:
    """Each code has a row, with its name and whether to come back; ours begin with what the code says of them."""
    rows = _rows(CODES_PAGE, "Close codes")
    expected = [
        [str(int(code)), f"`{code.name}`", "yes" if may_come_back(code) else "no"] for code in CloseCode
    ]

    assert [[code, name, back] for code, name, _, back in rows] == expected
    meanings = {name.strip("`"): meaning for _, name, meaning, _ in rows}
    for name, docstring in _docstrings(close_codes).items():
        if name in CloseCode.__members__:
            assert meanings[name].startswith(docstring)


def test_refusals_become_the_codes_of_the_code() -> None:
    """The table of statuses says what `close_code_for_status` does."""
    for status, code in _rows(CODES_PAGE, "What a refusal becomes"):
        example = {"another 4xx": 418, "another 5xx": 502}.get(status) or int(status)
        assert close_code_for_status(example) == int(code)


def test_error_codes_are_those_of_the_code() -> None:
    """Every error code that the library answers with stands in the table, and no other."""
    paths = (ROOT / "src/roomful").rglob("*.py")
    # Servers that the library tests itself with answer as they like.
    sources = "".join(path.read_text() for path in paths if "testing" not in path.parts)
    answered = set(
        re.findall(r'(?:InvalidMessage\(|ReplyError\(|pack_error\(|code, text =)\s*"(\w+)"', sources)
    )

    rows = {row[0].strip("`") for row in _rows(WIRE_PAGE, "Errors")}

    assert {code for code in rows if " " not in code} - {"http_"} == answered


def test_reserved_names_are_those_of_the_code() -> None:
    """Each name that a consumer must not redefine stands in the page."""
    page = (ROOT / "docs/reference/consumers.md").read_text()
    named = set(re.findall(r"`(?:await )?(?:self\.)?(\w+)(?:\(.*?\))?`", page))

    assert named >= RESERVED_NAMES


def _rows(page: Path, heading: str) -> list[list[str]]:
    """Return the cells of the first table under a heading."""
    text = page.read_text()
    section = re.split(rf"^#+ {re.escape(heading)}$", text, maxsplit=1, flags=re.MULTILINE)[1]
    table = re.search(r"^\|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", section, re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table[1].splitlines()]


def _amount(name: str, value: object) -> str:
    """Return a default as the page writes it, its unit taken from the name."""
    assert isinstance(value, int | float)
    if name.endswith("_s"):
        return f"{value:g} s"
    if name.endswith("_bytes"):
        for unit, size in (("MiB", 1024 * 1024), ("KiB", 1024)):
            if value % size == 0:
                return f"{value // size} {unit}"
        return f"{value} bytes"
    # max_outbox_messages, max_rooms_per_connection, max_id_characters: the unit is the last plural.
    return f"{value} {[word for word in name.split('_') if word.endswith('s')][-1]}"


def _docstrings(module: object) -> dict[str, str]:
    """Return the text below each assignment of a module, on one line."""
    assert inspect.ismodule(module)
    found = {}
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        for assignment, below in pairwise(body):
            if isinstance(assignment, ast.AnnAssign):
                target: ast.expr = assignment.target
            elif isinstance(assignment, ast.Assign):
                target = assignment.targets[0]
            else:
                continue
            if (
                isinstance(target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                found[target.id] = " ".join(textwrap.dedent(below.value.value).split())
    return found
