"""The audit log: one line for each event, escaped, and no flood of them."""

from __future__ import annotations

import pytest

from roomful.auth import audit


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(audit, "_throttle", audit.Throttle())
    caplog.set_level("INFO", "roomful.audit")


def test_fields_stand_in_the_line_and_beside_it(caplog: pytest.LogCaptureFixture) -> None:
    """For people, and for a formatter that writes JSON."""
    audit.admitted("c1", "ada", "192.0.2.1")

    [record] = caplog.records
    assert record.message == "admitted connection='c1' principal='ada' address='192.0.2.1'"
    assert record.audit == {  # type: ignore[attr-defined] # set by the log
        "event": "admitted",
        "connection": "c1",
        "principal": "ada",
        "address": "192.0.2.1",
    }


def test_what_comes_from_outside_is_escaped(caplog: pytest.LogCaptureFixture) -> None:
    """A path cannot begin a line of its own (CWE-117)."""
    audit.refused(404, "no", {"path": "/a\nadmitted connection='x'" + "é" * 500, "client": ("::1", 1)})

    [record] = caplog.records
    assert "\n" not in record.message
    assert record.message.isascii()
    assert len(record.message) < 1500
    assert "address='::1'" in record.message


def test_flood_is_cut_and_counted(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty lines a second of each kind, then how many were left out."""
    now = [100.0]
    monkeypatch.setattr(audit, "_throttle", audit.Throttle(clock=lambda: now[0]))
    for _ in range(70):
        audit.limited("c", "ada", "held back")
    audit.renewed("c", "ada")
    now[0] = 101.0
    audit.expired("c", "ada")

    events = [record.audit["event"] for record in caplog.records]  # type: ignore[attr-defined] # set by the log
    assert events == ["limited"] * 50 + ["renewed", "left_out", "expired"]
    assert caplog.records[-2].audit == {"event": "left_out", "limited": 20}  # type: ignore[attr-defined] # likewise
