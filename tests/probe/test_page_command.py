"""`roomful probe report`, `roomful probe compare`, and the pages that a run writes itself."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from roomful.probe.command import main
from roomful.probe.page.files import write_view
from tests.probe.page_reader import Page
from tests.probe.page_results import searched

BUFFERS = {
    "schema": "roomful.probe.buffers/1",
    "limits": {"rmem_max": 212992, "tcp_rmem": [4096, 131072, 6291456], "moderate": True},
    "runs": [
        {
            "title": "buffers tuned by the kernel",
            "taken": 4 << 20,
            "sent": 5 << 20,
            "received": 5 << 20,
            "intact": True,
            "waited_s": 0.5,
            "counters": {"TcpExt.TCPRcvQDrop": 3},
            "samples": [
                {
                    "t_s": 0.1 * step,
                    "snd_wnd": 65536 - 600 * step,
                    "receive_queue": 600 * step,
                    "notsent_bytes": None,
                }
                for step in range(20)
            ],
        }
    ],
    "server": {
        "messages": 60,
        "size": 10**6,
        "pause_s": 3.0,
        "offered_while_unread": 14,
        "counts": {"delivered": 60, "lost": 0},
        "samples": [{"t_s": 0.1 * step, "offered": step, "arrived": 0} for step in range(20)],
    },
    "answer": "A receive buffer that is full loses nothing.",
    "exit_code": 0,
}


def saved(folder: Path, result: object, name: str = "result.json") -> str:
    path = folder / name
    path.write_text(result if isinstance(result, str) else json.dumps(result))
    return str(path)


def test_report_makes_a_page_beside_the_result(tmp_path: Path) -> None:
    """Without options the page gets the result's name; with them, both views go where they are wanted."""
    path = saved(tmp_path, searched())
    assert main(["report", path]) == 0
    assert Page((tmp_path / "result.html").read_text()).named("h1")
    markdown = tmp_path / "summary.md"
    assert main(["report", path, "--markdown", str(markdown)]) == 0
    assert markdown.read_text().startswith("## ")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["result.html", "result.json", "summary.md"]


def test_report_reads_and_writes_pipes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`-` is standard input, and standard output."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(searched())))
    assert main(["report", "-", "--markdown", "-"]) == 0
    assert capsys.readouterr().out.startswith("## ")


def test_report_shows_the_experiment_with_buffers_too(tmp_path: Path) -> None:
    """Its schema is another, and so is its page."""
    path = saved(tmp_path, BUFFERS)
    assert (
        main(["report", path, "--html", str(tmp_path / "b.html"), "--markdown", str(tmp_path / "b.md")]) == 0
    )
    page = Page((tmp_path / "b.html").read_text())
    assert "A receive buffer that is full loses nothing." in page.text
    assert "60 of 60" in page.text
    assert "TCPRcvQDrop +3" in page.text
    assert len([each for each in page.named("svg") if each.get("role") == "img"]) == 2
    assert "60 of 60" in (tmp_path / "b.md").read_text()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (searched() | {"schema": "roomful.probe/2"}, "newer than this version reads (roomful.probe/1"),
        (BUFFERS | {"schema": "roomful.probe.buffers/12"}, "newer than this version reads"),
        (searched() | {"schema": "roomful.probe/0"}, "expected roomful.probe/1"),
        (searched() | {"schema": "something else"}, "expected roomful.probe/1"),
        (searched() | {"schema": 7}, "it has no schema"),
        ([], "it has no schema"),
        ("{", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
    ],
)
@pytest.mark.parametrize("action", ["report", "compare"])
def test_what_is_no_result_is_refused(
    action: str, content: object, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one line that says which file and what it is instead, and nothing is written."""
    path = saved(tmp_path, content)
    assert main([action, path] if action == "report" else [action, path, path]) == 2
    errors = capsys.readouterr().err
    assert text in errors
    assert path in errors
    assert errors.count("\n") == 1
    assert [each.name for each in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("report",), "required: RESULT"),
        (("report", "nowhere.json"), "nowhere.json cannot be read: No such file"),
        (("report", "-"), "add --html FILE"),
        (("report", "a.json", "--html", "x", "--markdown", "x"), "both name x"),
        (("compare", "a.json"), "required: B"),
        (("compare", ",", "a.json"), "a side has no file"),
        (("ws://127.0.0.1:1/", "--json", "x", "--html", "x"), "name the same file"),
        (("buffers", "--html", "x"), "roomful probe report"),
    ],
)
def test_usage_errors(
    arguments: tuple[str, ...],
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, and what was expected."""
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert text in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit code 4, no half of a file, and the other view is written all the same."""
    path = saved(tmp_path, searched())
    nowhere = tmp_path / "no" / "folder.html"
    markdown = tmp_path / "s.md"
    assert main(["report", path, "--html", str(nowhere), "--markdown", str(markdown)]) == 4
    assert f"{nowhere} cannot be written" in capsys.readouterr().err
    assert markdown.exists()


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="the system has no full device")
def test_a_full_disk_is_said_and_a_device_stays_one(capsys: pytest.CaptureFixture[str]) -> None:
    """A file takes the place of another file only: not of a device, nor of what a link leads to."""
    assert not write_view("/dev/full", "text" * 10_000)
    assert "/dev/full cannot be written: No space left on device" in capsys.readouterr().err
    assert Path("/dev/full").is_char_device()


def test_a_link_is_followed(tmp_path: Path) -> None:
    """What it leads to is written."""
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert write_view(str(tmp_path / "link"), "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "text"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_compare_says_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the terminal, and in files; worse is an error only when it is asked to be."""
    a, b = saved(tmp_path, searched(), "a.json"), saved(tmp_path, searched(good=60.0, bad=70.0), "b.json")
    files = ["--html", str(tmp_path / "c.html"), "--markdown", str(tmp_path / "c.md")]
    assert main(["compare", a, b, *files]) == 0
    assert "B is worse in 1 of 3 measures." in capsys.readouterr().out
    assert "B is worse" in (tmp_path / "c.html").read_text()
    assert "B is worse" in (tmp_path / "c.md").read_text()
    assert main(["compare", a, b, "--fail-if-worse"]) == 1
    assert main(["compare", b, a, "--fail-if-worse"]) == 0
    assert main(["compare", f"{a},{a},{a}", f"{b},{b},{b}"]) == 0


def test_compare_refuses_another_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 with all that differs, unless it is forced; nothing in common is exit code 4."""
    other = searched()
    other["machine"]["cpu"] = "Another CPU"
    a, b = saved(tmp_path, searched(), "a.json"), saved(tmp_path, other, "b.json")
    assert main(["compare", a, b]) == 2
    assert "machine, cpu: A CPU and Another CPU; --force compares" in capsys.readouterr().err
    assert main(["compare", a, b, "--force"]) == 0
    empty = saved(tmp_path, searched() | {"cells": [], "cliffs": [], "trials": []}, "empty.json")
    assert main(["compare", a, empty]) == 4


def test_a_run_writes_its_page_and_its_markdown(
    planted: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real run: the page of what it measured is the page of its JSON."""
    load = ["--rate", "100", "--duration", "300ms", "--clients", "2", "--quiet", "--max-late", "5s"]
    load += ["--deadline", "20s", "--max-growth", "100"]
    files = {name: tmp_path / f"result.{name}" for name in ("json", "html")}
    views = ["--json", str(files["json"]), "--html", str(files["html"]), "--markdown", "-"]
    assert main([planted(), *load, *views]) == 0
    assert capsys.readouterr().out.startswith("## ")
    page = Page(files["html"].read_text())
    assert "Ledger" in page.text
    again = tmp_path / "again.html"
    assert main(["report", str(files["json"]), "--html", str(again)]) == 0
    assert again.read_text() == files["html"].read_text()
