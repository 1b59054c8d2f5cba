"""A check stays where it lets rows go, and goes where it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mue_model.config import ExitConfig
from mue_model.tuning.family import NEVER
from mue_model.tuning.worth import worthwhile


def test_checks_that_let_nobody_go_are_dropped(studied: Callable[[str], Any]) -> None:
    screen = studied("decomposed").screen
    asked = ExitConfig(image=(NEVER, 0.99999, NEVER), decoder=(0.99999, -1.0001, NEVER, NEVER))
    kept = (NEVER, -1.0001, NEVER, NEVER)
    assert worthwhile(screen, asked) == ExitConfig(decoder=kept, candidates=kept), "what they shared, each has now"


def test_checks_that_pay_stay_and_nobody_moves(studied: Callable[[str], Any]) -> None:
    screen = studied("decomposed").screen
    middle = float(np.median(screen.cells["caption"].encoder["image"][:, 1]))
    asked = ExitConfig(image=(NEVER, middle, NEVER), text=(NEVER, 1.0, NEVER))
    kept = worthwhile(screen, asked)
    assert kept == ExitConfig(image=(NEVER, middle, NEVER))
    assert screen.spent(screen.of(kept)) == screen.spent(screen.of(asked)) < 1


def test_a_check_that_nobody_reaches_is_dropped(studied: Callable[[str], Any]) -> None:
    screen = studied("decomposed").screen
    asked = ExitConfig(text=(-1.0001, -1.0001, NEVER), decoder=(NEVER, -1.0001, -1.0001, NEVER))
    kept = (NEVER, -1.0001, NEVER, NEVER)
    assert worthwhile(screen, asked) == ExitConfig(text=(-1.0001, NEVER, NEVER), decoder=kept, candidates=kept)


def test_streams_of_another_checkpoint_are_left_out(studied: Callable[[str], Any]) -> None:
    screen = studied("joint").screen
    kept = worthwhile(screen, ExitConfig(image=-1.0001, joint=(NEVER, -1.0001, NEVER)))
    assert kept == ExitConfig(joint=(NEVER, -1.0001, NEVER))
