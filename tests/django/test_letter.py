from __future__ import annotations

from typing import Any

import pytest

from roomful.django.letter import MAX_DEPTH, Letter, Message


@pytest.mark.parametrize("message", [{"n": 1}, {"n": [1]}])
def test_each_that_opens_it_gets_a_copy_of_what_was_sent(message: Message) -> None:
    letter = Letter(message, deadline=1.0)
    message["n"] = 2
    first = letter.open()
    first["more"] = True
    assert letter.open() in ({"n": 1}, {"n": [1]})
    assert letter.open() is not letter.open()


def test_what_lies_deep_in_it_is_copied_too() -> None:
    deep = {"list": [1]}
    letter = Letter({"deep": deep}, deadline=1.0)
    deep["list"].append(2)
    letter.open()["deep"]["list"].append(3)
    assert letter.open() == {"deep": {"list": [1]}}


def test_its_size_is_that_of_its_texts_and_bytes_at_any_depth() -> None:
    message: Message = {"text": "xyz", "data": {"b": b"12", "l": ["ab", ("c", b"d")]}}
    assert Letter(message, deadline=1.0).size == len("textdatabl") + 3 + 2 + 2 + 1 + 1


def nested(depth: int, *, in_key: bool = False) -> Message:
    value: Any = ()
    for _ in range(depth - 2):
        value = (value,) if in_key else [value]
    return {"x": {value: 1} if in_key else value}


@pytest.mark.parametrize("in_key", [False, True])
def test_what_is_nested_too_deep_is_no_letter(in_key: bool) -> None:
    deepest = nested(MAX_DEPTH - in_key, in_key=in_key)
    assert Letter(deepest, deadline=1.0).open() == deepest
    with pytest.raises(ValueError, match=f"message is nested deeper than {MAX_DEPTH}"):
        Letter(nested(MAX_DEPTH + 1, in_key=in_key), deadline=1.0)


def test_what_holds_itself_is_no_letter() -> None:
    message: Message = {}
    message["me"] = message
    with pytest.raises(ValueError, match="nested deeper"):
        Letter(message, deadline=1.0)
