"""What `websockets` makes of a client's bytes, in the words of our parser: the judge of the equivalence tests.

`websockets` gives frames, and leaves joining and decoding to its user; that is done here in the plainest way. Where it
departs from RFC 6455 the departure is named, and the judge answers as the RFC does.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field

from websockets.exceptions import PayloadTooBig
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from roomful.server.ordinary import take_message, take_only
from roomful.server.parser import Close, Event, Parser, Ping, Pong, ProtocolError

__all__ = ("Verdict", "judge", "parse", "parse_as_wire")


@dataclass
class Verdict:
    """What became of a stream: its events, then the code that it was refused with, if it was."""

    events: list[Event] = field(default_factory=list)
    refused: int | None = None
    reason: str = field(default="", compare=False)
    unjudged: bool = False
    """Whether `websockets` is wrong from here on, so that only the events until here count."""


def judge(data: bytes, max_bytes: int) -> Verdict:
    """Return what `websockets` says."""
    protocol = ServerProtocol(state=OPEN, max_size=max_bytes)
    protocol.receive_data(data)
    verdict = Verdict()
    opcode, pieces, decoder = 0, [], None
    for frame in protocol.events_received():
        assert isinstance(frame, Frame)
        payload = bytes(frame.data)
        if frame.opcode is Opcode.PING:
            verdict.events.append(Ping(payload))
        elif frame.opcode is Opcode.PONG:
            verdict.events.append(Pong(payload))
        elif frame.opcode is Opcode.CLOSE:
            verdict.events.append(_close(protocol))
            return verdict
        else:
            if frame.opcode is not Opcode.CONT:
                opcode, pieces = frame.opcode, []
                decoder = codecs.getincrementaldecoder("utf-8")() if opcode is Opcode.TEXT else None
            pieces.append(payload)
            if decoder is not None:
                try:
                    decoder.decode(payload, frame.fin)
                    _check_begun(decoder.getstate()[0])
                except UnicodeDecodeError:
                    verdict.refused = 1007
                    return verdict
            if frame.fin:
                whole = b"".join(pieces)
                verdict.events.append(whole.decode() if opcode is Opcode.TEXT else whole)
    error = protocol.parser_exc
    if error is not None:
        assert protocol.close_sent is not None
        verdict.refused = protocol.close_sent.code
        if str(error) == "incomplete fragmented message":
            # §5.5: a close frame is a control frame, and those may stand between fragments.
            verdict.events.append(_close(protocol))
            verdict.refused = None
        elif isinstance(error, PayloadTooBig):
            # It counts control frames against what is left of a message's size.
            verdict.unjudged = (error.size or 0) <= 125
    return verdict


def _check_begun(begun: bytes) -> None:
    """Raise if no further bytes make a character of what has begun; the decoder misses surrogates."""
    tails = [bytes([byte]) * count for byte in (0x80, 0x9F, 0xBF) for count in range(4)]
    if begun and all(_is_invalid(begun + tail) for tail in tails):
        begun.decode()


def _is_invalid(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return False


def _close(protocol: ServerProtocol) -> Close:
    received = protocol.close_rcvd
    assert received is not None
    return Close(None if received.code == 1005 else int(received.code), received.reason)


def parse(slices: list[bytes], max_bytes: int) -> Verdict:
    """Return what our parser says of the same bytes in slices."""
    parser, verdict = Parser(max_bytes), Verdict()
    for data in slices:
        parser.feed(data)
        if _drain(parser, verdict):
            return verdict
    return verdict


def parse_as_wire(slices: list[bytes], max_bytes: int) -> Verdict:
    """Return what our parser says with the short ways in front of it, as `wire` reads."""
    parser: Parser | None = None
    verdict = Verdict()
    for data in slices:
        start = 0
        if parser is None:
            if (only := take_only(data, max_bytes)) is not None:
                verdict.events.append(only)
                continue
            while (found := take_message(data, start, max_bytes)) is not None:
                message, start = found
                verdict.events.append(message)
            if start == len(data):
                continue
            parser = Parser(max_bytes)
        parser.feed(data[start:])
        if _drain(parser, verdict):
            return verdict
        if parser.idle:
            parser = None
    return verdict


def _drain(parser: Parser, verdict: Verdict) -> bool:
    """Take all events; return whether the stream has ended."""
    try:
        while (event := parser.next_event()) is not None:
            verdict.events.append(event)
            if isinstance(event, Close):
                return True
    except ProtocolError as error:
        verdict.refused = error.code
        verdict.reason = error.reason
        return True
    return False
