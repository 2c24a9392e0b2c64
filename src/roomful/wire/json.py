"""JSON: encoding what applications push and decoding what clients send, by `msgspec`.

Pydantic models are known by their methods, so that pydantic itself is not needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import msgspec

from ..core.errors import ConsumerError, InvalidMessage, NotEncodable

__all__ = ("decoder", "encode")


@runtime_checkable
class _Model(Protocol):
    """A pydantic model, as far as it is used."""

    def model_dump(self, *, mode: str) -> dict[str, Any]: ...


def _encode_unknown(value: object) -> object:
    if isinstance(value, _Model):
        return value.model_dump(mode="json")
    raise NotImplementedError(type(value).__name__)  # as msgspec asks for


_encoder = msgspec.json.Encoder(enc_hook=_encode_unknown)


def encode(value: object) -> bytes:
    """Return `value` as JSON in UTF-8.

    Raises:
        NotEncodable: It has a part that JSON or msgspec does not know.
    """
    try:
        return _encoder.encode(value)
    except NotImplementedError as error:
        raise NotEncodable(f"data of type {error} cannot be written as JSON") from None
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        # The text of the error may show a value, its type does not.
        raise NotEncodable(
            f"data of type {type(value).__name__} cannot be written as JSON ({type(error).__name__})"
        ) from None


def _decode_unknown(type_: type, value: object) -> object:
    if type_ is object:
        return value  # as in `dict[str, object]`; what msgspec calls Any
    validate = getattr(type_, "model_validate", None)
    if validate is None:
        raise NotImplementedError(f"{type_.__name__} cannot be decoded")
    try:
        return validate(value)
    except ValueError as error:
        # Pydantic's own text repeats the input; field and rule are enough.
        problems: list[dict[str, Any]] = getattr(error, "errors", list)()
        text = "; ".join(f"{'.'.join(map(str, p['loc'])) or 'value'}: {p['msg']}" for p in problems)
        raise ValueError(text or "value does not fit") from None


def decoder(annotation: object) -> Callable[[bytes | str, str], object]:
    """Return a function of JSON and a prefix for the path of a field that is wrong.

    Raises:
        ConsumerError: Nothing can be decoded to `annotation`.
    """
    if annotation is object:
        annotation = Any  # what msgspec calls it
    try:
        decode = msgspec.json.Decoder(annotation, dec_hook=_decode_unknown).decode
    except TypeError as error:
        raise ConsumerError(f"messages cannot be decoded to {annotation!r}: {error}") from None
    custom = (
        isinstance(annotation, type)
        and msgspec.inspect.type_info(annotation).__class__ is msgspec.inspect.CustomType
    )
    if custom and not hasattr(annotation, "model_validate"):
        raise ConsumerError(
            f"messages cannot be decoded to {annotation!r}; use a dict, Struct, dataclass or model"
        )

    def decoded(data: bytes | str, where: str) -> object:
        try:
            return decode(data)
        except msgspec.ValidationError as error:
            # msgspec names the path from `$`, the root of what it decoded.
            raise InvalidMessage("invalid_message", f"{where}: {error}".replace("`$", f"`{where}")) from None
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise InvalidMessage("invalid_json", f"{where} is not valid JSON: {error}") from None

    return decoded
