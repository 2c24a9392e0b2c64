"""What every test shares: where the browser is, and how hypothesis behaves.

No fixture that only some tests need lives here.
"""

import os
import shutil

import hypothesis
import pytest

NO_BROWSER = "no Chromium was found (Debian: apt install chromium; or name one in ROOMFUL_CHROMIUM)"

# No deadline: on a machine that is busy with other tests a slow example is not a wrong one.
hypothesis.settings.register_profile("roomful", deadline=None)
hypothesis.settings.load_profile("roomful")


def find_chromium() -> str | None:
    """Return the path of a Chromium of this machine, or None."""
    named = os.environ.get("ROOMFUL_CHROMIUM")
    if named:
        return shutil.which(named)
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Give the path of Chromium, for tests that are marked `browser`."""
    path = find_chromium()
    if path is None:
        pytest.skip(NO_BROWSER)
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the browser tests where there is no browser."""
    if find_chromium() is None:
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.skip(reason=NO_BROWSER))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line, not one per file, that browser tests were skipped."""
    skipped = [
        report
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple) and NO_BROWSER in report.longrepr[2]
    ]
    if skipped:
        terminalreporter.write_line(f"browser tests skipped ({len(skipped)}): {NO_BROWSER}", yellow=True)
