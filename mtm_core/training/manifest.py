"""What a checkpoint says of its training: which sessions, trials and units were used, which were refused, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..session import SPLITS, Trials, identity
from .config import TrainConfig
from .loop import Run


def used(trials: Trials) -> dict[str, Any]:
    """One session: identity of data and split, numbers of the trials of each split, what was left out and why."""
    numbers = {name: trials.table.index[trials.split == name].tolist() for name in SPLITS}
    return {**identity(trials), "trials": numbers, "trials_left_out": dict(trials.excluded)}


def facts(
    run: Run, sessions: list[Trials], config: TrainConfig, refused: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """refused: session -> why it was not used. The units of `data` are the checkpoint's unit_ids, in this order."""
    settings = config.to_json()
    return {
        "data": [used(trials) for trials in sessions],
        "refused": dict(refused or {}),
        "schemes": settings["schemes"],
        "origin": run.origin,
        "training": {
            **settings,
            "steps_done": run.step,
            "seconds": round(run.elapsed, 1),
            "best_step": run.best_step,
            "best_validation": run.best_score if run.best else None,
            "n_skipped": run.n_skipped,
            "history": run.history,
        },
    }
