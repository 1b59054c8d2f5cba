"""Progress is on stderr: lines off a terminal, JSON where asked for, nothing when quiet."""

from __future__ import annotations

import json

import pytest

from jobs.tune_progress import tuning_shown


def test_a_line_begins_and_ends_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    with tuning_shown(quiet=False, log_format="text") as show:
        for done in range(1, 1001):
            show("screening", done, 1000)
        show("running caption", 5, 5)
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "screening: 1 of 1,000",
        "screening: 1,000 of 1,000",
        "running caption: 5 of 5",
    ]
    assert not out


def test_json_and_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with tuning_shown(quiet=False, log_format="json") as show:
        show("screening", 2, 2)
    assert json.loads(capsys.readouterr().err) == {"event": "screening", "done": 2, "of": 2}
    with tuning_shown(quiet=True, log_format="text") as show:
        show("screening", 2, 2)
    assert capsys.readouterr().err == ""
