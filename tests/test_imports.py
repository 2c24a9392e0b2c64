"""What importing roomful loads, and what its packages export."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import roomful

OPTIONAL = ("django", "fastapi", "jwt", "pydantic", "redis", "starlette", "uvicorn", "uvloop")


def packages() -> list[str]:
    """Return the name of every package of roomful, found as folders, so that nothing is imported yet."""
    root = Path(roomful.__file__).parent
    folders = sorted(path.parent.relative_to(root.parent) for path in root.rglob("__init__.py"))
    return [".".join(folder.parts) for folder in folders]


def test_import_loads_no_optional_dependency() -> None:
    """`import roomful` works where nothing but its one dependency is installed."""
    program = f"import roomful, sys; print(*sorted(sys.modules.keys() & set({OPTIONAL!r})))"

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ran.stdout.split() == []


@pytest.mark.parametrize("name", packages())
def test_package_exports_exist(name: str) -> None:
    """A package lists its exports in a tuple, each once, and each is there."""
    package = importlib.import_module(name)

    assert isinstance(package.__all__, tuple)
    assert len(set(package.__all__)) == len(package.__all__)
    assert [export for export in package.__all__ if not hasattr(package, export)] == []
