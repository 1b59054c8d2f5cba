"""What a point of a calibration costs: the three measures there are. Needs neither torch nor numpy."""

from __future__ import annotations

from typing import Literal

By = Literal["flops", "work", "time"]
"""FLOPs of rows as if each ran alone; FLOPs of a job, which shares what rows have in common; measured time. All with
checks, over full depth."""

IN_WORDS: dict[By, str] = {"flops": "the FLOPs", "work": "a job's FLOPs", "time": "the time"}
