"""The library of functions that runs inside the server: `roomful.lua`, under a name that tells its content.

Two versions of Roomful can use one server: each calls its own library. They share rooms as long as the keys are of one
form, which the prefix of the keys names.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Final

__all__ = ("LIBRARY", "SOURCE", "function")

_TEXT: Final = files(__package__).joinpath("roomful.lua").read_text("utf-8")

LIBRARY: Final = f"roomful_{hashlib.sha256(_TEXT.encode()).hexdigest()[:12]}"
"""Its name."""

SOURCE: Final = f"#!lua name={LIBRARY}\n" + _TEXT.replace("NAME_", f"{LIBRARY}_")
"""What `FUNCTION LOAD` takes."""


def function(name: str) -> str:
    """Return what a function of the library is called in the server."""
    return f"{LIBRARY}_{name}"
