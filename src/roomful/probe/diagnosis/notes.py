"""Notes beside a diagnosis: limits that are no fault, and what could not be seen. Pure."""

from __future__ import annotations

from roomful.probe.diagnosis.reading import Json, items, number, part
from roomful.probe.units import format_bytes

__all__ = ("notes_of",)


def notes_of(result: Json) -> tuple[str, ...]:
    """Return the notes of a result in its JSON form."""
    notes: list[str] = []
    cliff = next((each for each in items(result, "cliffs") if each.get("dimension") == "size"), None)
    sizes = part(result, "options").get("sizes")
    largest = (
        max((size for size in sizes if isinstance(size, int)), default=0) if isinstance(sizes, list) else 0
    )
    good = None if cliff is None else number(cliff, "good")
    if cliff is not None and good is not None and number(cliff, "close_code") is not None and good >= largest:
        notes.append(
            f"The server takes messages of up to {format_bytes(int(good))}; that is more than was asked for, so it "
            "is a limit and no fault."
        )
    if any(each.get("limited_by") == "generator" for each in items(result, "cells")):
        notes.append("Where a cell says that the generator can no more, the server may do better than that.")
    questions = part(result, "questions")
    if "error" in questions:
        notes.append(f"Not all questions could be asked: {questions['error']}.")
    elif questions and "lone" not in questions:
        notes.append("No message was sent alone, so slow handlers were not looked for.")
    unseen = [
        f"{each.get('name')} ({each.get('reason')})"
        for each in items(part(result, "evidence"), "sources")
        if not each.get("available") and each.get("reason") and each.get("name") not in ("redis", "stacks")
    ]
    if unseen:
        notes.append(f"Not seen: {'; '.join(unseen)}.")
    return tuple(notes)
