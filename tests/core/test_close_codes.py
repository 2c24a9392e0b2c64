"""The table of close codes."""

import contextlib

import pytest

from roomful.core.close_codes import CloseCode, check_close, close_code_for_status, may_come_back

SENDABLE = {*range(1000, 1015), *range(3000, 5000)} - {1004, 1005, 1006}


def test_only_codes_of_the_rfc_and_of_applications_may_be_sent() -> None:
    """RFC 6455 §7.4: 1004–1006 and 1015 are never on the wire, 0–999 and 2000–2999 are not ours to use."""
    allowed = set()
    for code in range(-1, 5002):
        with contextlib.suppress(ValueError):
            check_close(code, "")
            allowed.add(code)

    assert allowed == SENDABLE
    with pytest.raises(
        ValueError, match="close code is 1006; expected 1000–1014 without 1004–1006, or 3000–4999"
    ):
        check_close(1006, "")


def test_close_reason_fits_a_control_frame() -> None:
    """RFC 6455 §5.5: a reason is at most 123 bytes of UTF-8, whatever the number of its characters."""
    check_close(1000, "é" * 61 + "a")

    with pytest.raises(ValueError, match=r"close reason is 124 bytes; the limit is 123"):
        check_close(1000, "é" * 62)


def test_own_codes_say_come_back_or_stay_away() -> None:
    """4000–4499 ask a client to come back, 4500–4999 to stay away; every code of ours lies in one of the two."""
    ours = [code for code in CloseCode if code >= 3000]

    assert {code.name for code in ours if may_come_back(code)} == {"SLOW", "DRAINED", "GAP", "STALE"}
    assert {code.name for code in ours if not may_come_back(code)} == {
        "UNAUTHORISED",
        "FORBIDDEN",
        "POLICY",
        "NOT_FOUND",
    }


@pytest.mark.parametrize(
    ("code", "back"), [(1000, False), (1001, True), (1006, True), (1009, False), (1012, True)]
)
def test_registered_codes_that_pass_ask_to_come_back(code: int, back: bool) -> None:
    """Of the registered codes those come back that a broken or restarting server leaves behind."""
    assert may_come_back(code) is back


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, CloseCode.POLICY),
        (401, CloseCode.UNAUTHORISED),
        (403, CloseCode.FORBIDDEN),
        (404, CloseCode.NOT_FOUND),
        (429, CloseCode.TRY_AGAIN_LATER),
        (500, CloseCode.INTERNAL_ERROR),
        (503, CloseCode.TRY_AGAIN_LATER),
        (599, CloseCode.INTERNAL_ERROR),
    ],
)
def test_status_has_the_code_that_says_the_same(status: int, code: CloseCode) -> None:
    """A refusal after the handshake closes with the code that matches its HTTP status."""
    assert close_code_for_status(status) is code


def test_every_code_for_a_status_may_be_sent() -> None:
    """No HTTP error leads to a close code that must not be on the wire."""
    for status in range(400, 600):
        check_close(close_code_for_status(status), "")
