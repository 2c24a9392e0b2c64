"""Knobs: what may be changed about a command before it is started. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from roomful.probe.errors import UsageError
from roomful.probe.findings import Knob

__all__ = ("PLACEBO", "Setting", "parse_knob", "setting_of")

_FORM: Final = re.compile(r"(env|arg|limit):([^=\s]+)=([^,]+),([^,]+)")
_LIMITS: Final = {"nofile": "-n", "memory": "-v"}
"""What may be limited, and the flag of `ulimit`; memory in KiB of address space."""

PLACEBO: Final = Knob("env", "ROOMFUL_PROBE_PLACEBO", "0", "1")
"""A variable that nobody reads."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A command as it is to be started, and what is added to its environment."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    text: str


def parse_knob(text: str) -> Knob:
    """Read `env:NAME=A,B`, `arg:--flag=A,B` or `limit:nofile=A,B`.

    Raises:
        UsageError: it is none of them.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None or (found[1] == "limit" and found[2] not in _LIMITS):
        raise UsageError(
            f"knob is {text!r}; expected env:NAME=A,B, arg:--flag=A,B, limit:nofile=A,B or limit:memory=A,B (KiB)"
        )
    if found[3] == found[4]:
        raise UsageError(f"knob {text!r} has the same value twice")
    if found[1] == "limit" and not (found[3].isdigit() and found[4].isdigit()):
        raise UsageError(f"knob {text!r} limits to what is no whole number")
    return Knob(found[1], found[2], found[3], found[4])


def setting_of(command: Sequence[str], values: Sequence[tuple[Knob, str]]) -> Setting:
    """Return a command with knobs set to values."""
    made = list(command)
    environment: dict[str, str] = {}
    limits: list[str] = []
    for knob, value in values:
        if knob.kind == "env":
            environment[knob.name] = value
        elif knob.kind == "arg":
            made = _with_argument(made, knob.name, value)
        else:
            limits.append(f"ulimit {_LIMITS[knob.name]} {value}")
    if limits:
        made = ["/bin/sh", "-c", f'{" && ".join(limits)} && exec "$@"', "sh", *made]
    text = " ".join(f"{knob.name}={value}" for knob, value in values)
    return Setting(tuple(made), environment, text)


def _with_argument(command: list[str], flag: str, value: str) -> list[str]:
    for place, word in enumerate(command):
        if word == flag and place + 1 < len(command):
            return [*command[: place + 1], value, *command[place + 2 :]]
        if word.startswith(f"{flag}="):
            return [*command[:place], f"{flag}={value}", *command[place + 1 :]]
    return [*command, flag, value]
