"""JSON: what can be written, what can be read, and what the errors give away."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, TypedDict

import msgspec
import pydantic
import pytest

from roomful.core.errors import ConsumerError, InvalidMessage, NotEncodable
from roomful.wire import json


class Colour(enum.Enum):
    RED = "red"


class Point(msgspec.Struct):
    x: int
    y: int = 0


@dataclasses.dataclass
class Post:
    text: str
    points: list[Point] = dataclasses.field(default_factory=list)


class Typed(TypedDict):
    name: str


class Model(pydantic.BaseModel):
    name: str
    when: datetime.date | None = None
    points: list[int] = []


class Opaque:
    def __repr__(self) -> str:
        return "secret"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, b"null"),
        ({"a": [1, 2.5, True]}, b'{"a":[1,2.5,true]}'),
        ({1: "a"}, b'{"1":"a"}'),
        ("é☃", '"é☃"'.encode()),
        (Point(1), b'{"x":1,"y":0}'),
        (Post("hi", [Point(1, 2)]), b'{"text":"hi","points":[{"x":1,"y":2}]}'),
        (Colour.RED, b'"red"'),
        (datetime.date(2026, 1, 2), b'"2026-01-02"'),
        (uuid.UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
        (Decimal("1.50"), b'"1.50"'),
        (Model(name="a", when=datetime.date(2026, 1, 2)), b'{"name":"a","when":"2026-01-02","points":[]}'),
        ([Model(name="a")], b'[{"name":"a","when":null,"points":[]}]'),
        (2**70, b"1180591620717411303424"),
        (float("nan"), b"null"),
    ],
)
def test_encode_writes_what_applications_have(value: object, expected: bytes) -> None:
    """Dicts, structs, dataclasses, pydantic models and the usual scalars become JSON in UTF-8."""
    assert json.encode(value) == expected


def _endless() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": Opaque()}, "data of type Opaque cannot be written as JSON"),
        (Opaque, "data of type type cannot be written as JSON"),
        (Model, "data of type ModelMetaclass cannot be written as JSON (TypeError)"),
        ("secret \ud800", "data of type str cannot be written as JSON (UnicodeEncodeError)"),
        (_endless(), "data of type list cannot be written as JSON (RecursionError)"),
        ({None: 1}, "data of type NoneType cannot be written as JSON"),
    ],
)
def test_encode_of_what_json_does_not_know(value: object, text: str) -> None:
    """The error names a type and never shows a value."""
    with pytest.raises(NotEncodable) as caught:
        json.encode(value)

    assert str(caught.value) == text
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("annotation", "data", "expected"),
    [
        (dict, '{"a":1}', {"a": 1}),
        (dict[str, int], b'{"a":1}', {"a": 1}),
        (dict[str, object], '{"a":[1]}', {"a": [1]}),
        (object, '{"a":1}', {"a": 1}),
        (Any, "[1]", [1]),
        (int | str, '"a"', "a"),
        (Point, '{"x":1}', Point(1)),
        (Post, '{"text":"hi","points":[{"x":1}]}', Post("hi", [Point(1)])),
        (Typed, '{"name":"a"}', {"name": "a"}),
        (Colour, '"red"', Colour.RED),
        (datetime.date, '"2026-01-02"', datetime.date(2026, 1, 2)),
        (Model, '{"name":"a","when":"2026-01-02"}', Model(name="a", when=datetime.date(2026, 1, 2))),
        (list[Model], '[{"name":"a"}]', [Model(name="a")]),
        (Annotated[int, msgspec.Meta(ge=3)], "3", 3),
    ],
)
def test_decoder_reads_what_handlers_ask_for(annotation: object, data: str | bytes, expected: object) -> None:
    """An annotation decides what a handler gets."""
    assert json.decoder(annotation)(data, "data") == expected


@pytest.mark.parametrize(
    ("annotation", "data", "code", "text"),
    [
        (Point, '{"y":1}', "invalid_message", "data: Object missing required field `x`"),
        (Point, '{"x":"secret"}', "invalid_message", "data: Expected `int`, got `str` - at `data.x`"),
        (
            Post,
            '{"text":"","points":[{"x":1},{"x":[]}]}',
            "invalid_message",
            "data: Expected `int`, got `array` - at `data.points[1].x`",
        ),
        (int, '"secret"', "invalid_message", "data: Expected `int`, got `str`"),
        (Annotated[int, msgspec.Meta(ge=3)], "2", "invalid_message", "data: Expected `int` >= 3"),
        (
            Model,
            '{"name":5,"points":["secret"]}',
            "invalid_message",
            (
                "data: name: Input should be a valid string; "
                "points.0: Input should be a valid integer, unable to parse string as an integer"
            ),
        ),
        (list[Model], "[{}]", "invalid_message", "data: name: Field required - at `data[0]`"),
        (dict, "{", "invalid_json", "data is not valid JSON: Input data was truncated"),
        (dict, "", "invalid_json", "data is not valid JSON: Input data was truncated"),
    ],
)
def test_decoder_says_field_and_rule_and_no_value(
    annotation: object, data: str, code: str, text: str
) -> None:
    """What a client sends wrongly is answered with the field and the rule, without repeating the input."""
    with pytest.raises(InvalidMessage) as caught:
        json.decoder(annotation)(data, "data")

    assert (caught.value.code, caught.value.message) == (code, text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("data", ["[" * 100_000, "[" * 100_000 + "]" * 100_000, '"\ud800"', b'"\xff"', "NaN"])
def test_decoder_of_hostile_input(data: str | bytes) -> None:
    """Deep nesting, lone surrogates, bytes that are no UTF-8 and words that are no JSON are errors like any other."""
    with pytest.raises(InvalidMessage) as caught:
        json.decoder(object)(data, "message")

    assert caught.value.code == "invalid_json"


class Validating:
    """What decodes by a method of pydantic's name, and raises what pydantic would not."""

    @classmethod
    def model_validate(cls, value: object) -> object:
        raise ValueError(f"secret: {value}")


def test_decoder_of_another_model_shows_nothing_of_its_error() -> None:
    """An error without pydantic's list of problems is not repeated to the client."""
    with pytest.raises(InvalidMessage) as caught:
        json.decoder(Validating)('"secret"', "data")

    assert caught.value.message == "data: value does not fit"


class Model2(pydantic.BaseModel):
    @pydantic.model_validator(mode="after")
    def refuse(self) -> Model2:
        raise ValueError("never fits")


def test_decoder_names_a_rule_of_the_whole_model() -> None:
    """A rule that belongs to no field is told as one of the value."""
    with pytest.raises(InvalidMessage, match="data: value: Value error, never fits"):
        json.decoder(Model2)("{}", "data")


@pytest.mark.parametrize(
    "annotation", [Opaque, complex, "Post", lambda x: x, dict[Opaque, int] | dict[str, int]]
)
def test_decoder_for_what_nothing_decodes_to(annotation: object) -> None:
    """A handler that nobody could ever call is a mistake of its author, found when its class is made ready."""
    with pytest.raises(ConsumerError, match="messages cannot be decoded to"):
        json.decoder(annotation)


def test_decoder_for_what_is_found_out_late() -> None:
    """A type inside another is only met with its first value; the error is the author's and no client's."""
    decode: Callable[[bytes | str, str], object] = json.decoder(list[Opaque])

    with pytest.raises(NotImplementedError, match="Opaque cannot be decoded"):
        decode("[1]", "data")
