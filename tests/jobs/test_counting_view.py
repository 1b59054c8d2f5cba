"""Counting is shown on a terminal only."""

from __future__ import annotations

import pytest

from jobs.counting_view import counting_shown


@pytest.mark.parametrize("quiet", [False, True])
def test_it_is_silent_off_a_terminal(quiet: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with counting_shown(quiet=quiet) as on_counted:
        on_counted(1, 2)
    assert capsys.readouterr() == ("", "")


def test_it_says_how_many_of_how_many_on_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    with counting_shown(quiet=False) as on_counted:
        on_counted(3, 7)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "3/7" in shown.err
