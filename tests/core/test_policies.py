"""Room policies: the first pattern that matches a name holds."""

from __future__ import annotations

import fnmatch
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomful.core.policies import Policies, RoomPolicy

MATCHED = RoomPolicy(history=1)


@given(st.text("ab*", min_size=1, max_size=8), st.text("ab*", max_size=12))
def test_a_star_stands_for_any_characters(pattern: str, name: str) -> None:
    """Several of them, side by side or at an end, do too."""
    policies = Policies({pattern: MATCHED})
    assert (policies.of(name) is MATCHED) == fnmatch.fnmatchcase(name, pattern)


@pytest.mark.parametrize("name", ["a.b", "a\nb", "axb"])
def test_everything_else_stands_for_itself(name: str) -> None:
    """A dot is a dot; a star takes line feeds too."""
    assert (Policies({"a.b": MATCHED}).of(name) is MATCHED) == (name == "a.b")
    assert Policies({"a*b": MATCHED}).of(name) is MATCHED


def test_no_name_takes_long() -> None:
    """Clients choose names; trying every place for every star would take days for this one."""
    policies = Policies({"*-" * 10 + "z": MATCHED})
    start = time.process_time()
    assert policies.of("-" * 200) is not MATCHED
    assert time.process_time() - start < 1
