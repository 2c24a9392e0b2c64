"""`roomful push`: what is wrong with its arguments is said before anybody is asked."""

import pytest

from roomful.cli import main


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_key_that_cannot_be_one_is_wrong_usage(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and what was expected."""
    code = main(["push", "redis://127.0.0.1:1", "room", '{"type":"post"}', "--key", key])

    assert code == 2
    assert "roomful push: key is" in capsys.readouterr().err
