"""What a training run says about itself: means over steps, in memory and in metrics.jsonl."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mue_model.training.batches import Task


@dataclass(frozen=True)
class Report:
    """Means over the steps since the last report."""

    step: int
    """Steps done."""
    loss: float
    cross_entropy: dict[str, list[float]]
    """By task, one entry per decoder layer; a task without a batch is absent."""
    learning_rate: float
    rows: int
    step_s: float
    """Seconds per step."""

    def document(self) -> dict[str, Any]:
        """Return the line of metrics.jsonl."""
        return {"event": "training", **vars(self)}


@dataclass
class Window:
    """Sums since the last report. A checkpoint holds them: a resumed run reports what an undisturbed one does."""

    losses: list[float] = field(default_factory=list)
    cross_entropy: dict[str, list[list[float]]] = field(default_factory=dict)
    rows: int = 0
    seconds: float = 0.0

    def add(self, loss: float, cross_entropy: Mapping[Task, list[float]], rows: int, seconds: float) -> None:
        """Count one step; `cross_entropy` by task."""
        self.losses.append(loss)
        for task, layers in cross_entropy.items():
            self.cross_entropy.setdefault(task, []).append(layers)
        self.rows += rows
        self.seconds += seconds

    def report(self, step: int, learning_rate: float) -> Report:
        """Return the means."""
        return Report(
            step=step,
            loss=float(np.mean(self.losses)),
            cross_entropy={task: np.mean(rows, axis=0).tolist() for task, rows in sorted(self.cross_entropy.items())},
            learning_rate=learning_rate,
            rows=self.rows,
            step_s=self.seconds / len(self.losses),
        )


class MetricsFile:
    """JSON lines, each with its `step`; no step is there twice for one event."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, document: dict[str, Any]) -> None:
        """Add one line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(document) + "\n")

    def drop_after(self, step: int) -> None:
        """Forget what was said about later steps, and a line that a kill cut off: those steps are taken again."""
        kept = [document for document in self.read() if document["step"] <= step]
        temporary = self.path.with_name(f".{self.path.name}.tmp")
        temporary.write_text("".join(json.dumps(document) + "\n" for document in kept), "utf-8")
        os.replace(temporary, self.path)

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield every whole line; none where there is no file."""
        if not self.path.is_file():
            return
        for line in self.path.read_text("utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                return  # cut off by a kill, so the last
