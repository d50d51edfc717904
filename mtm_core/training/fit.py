"""A whole training run in one call: steps until the budget is used up, the best averaged weights, calibration."""

from __future__ import annotations

from collections.abc import Callable

from ..models.tables import AnimalTables
from ..session import Trials
from .calibration import Group, calibrated
from .config import TrainConfig
from .loop import Step, Trainer, best_model, new_run


def fit(
    model: AnimalTables, sessions: list[Trials], config: TrainConfig, watch: Callable[[Step], None] = lambda step: None
) -> Trainer:
    """Train `model` (in place) on the training trials of the sessions; `watch` sees every step and may raise to stop.

    The `best` of the trainer's run are the weights that scored best in validation, not yet calibrated: see `finished`.
    """
    trainer = Trainer(new_run(model, config), sessions, config)
    for step in trainer.steps():
        watch(step)
    return trainer


def finished(trainer: Trainer) -> tuple[AnimalTables, list[Group]]:
    """The model that a run ends with, its best averaged weights calibrated on the validation trials, and how."""
    return calibrated(best_model(trainer.run), trainer.sessions, trainer.validation)
