"""What a run has reported so far, read from the end of its progress file: only what is new, whenever asked."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .folder import PROGRESS

LONGEST_READ = 8 * 2**20  # bytes per update; a long run is caught up with over several


@dataclass(frozen=True)
class Point:
    """One line of the progress file."""

    step: int
    share: float  # of the budget, 0..1
    seconds_left: float  # s
    elapsed: float  # s of training
    loss: float  # nats per target entry
    validation: dict[str, float] | None  # bits per spike by scheme label, and "mean"
    is_best: bool


@dataclass
class Progress:
    """The points of one run. A run that was killed repeats some steps when it goes on: the later ones count."""

    folder: Path
    points: list[Point] = field(default_factory=list)
    read_to: int = 0  # bytes

    def update(self) -> bool:
        """Read what is new; whether there was anything."""
        try:
            with (self.folder / PROGRESS).open("rb") as file:
                if file.seek(0, 2) < self.read_to:  # another file than before
                    self.points, self.read_to = [], 0
                file.seek(self.read_to)
                new = file.read(LONGEST_READ)
        except OSError:
            return False
        whole, newline, _ = new.rpartition(b"\n")  # the last line may be half written
        self.read_to += len(whole) + len(newline)
        points = [point for line in whole.split(b"\n") if (point := _point(line)) is not None]
        for point in points:
            while self.points and self.points[-1].step >= point.step:
                self.points.pop()
            self.points.append(point)
        return bool(points)

    @property
    def last(self) -> Point | None:
        return self.points[-1] if self.points else None

    @property
    def best(self) -> Point | None:
        """The validation whose weights are kept."""
        return next((point for point in reversed(self.points) if point.is_best and point.validation), None)


def _point(line: bytes) -> Point | None:
    """None for a line that a killed process left incomplete."""
    try:
        value = json.loads(line)
        return Point(
            step=int(value["step"]),
            share=min(1.0, max(0.0, float(value["progress"]))),
            seconds_left=_number(value.get("seconds_left")),
            elapsed=_number(value.get("elapsed")),
            loss=_number(value.get("loss")),
            validation=_scores(value.get("validation")),
            is_best=bool(value.get("is_best")),
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _scores(value: Any) -> dict[str, float] | None:
    return {str(name): _number(score) for name, score in value.items()} if value else None
