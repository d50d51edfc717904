"""A whole training run in one call: steps until the budget is used up, the best averaged weights, calibration."""

from __future__ import annotations

from collections.abc import Callable

from ..models.mtm import MtM
from ..session import Trials
from .calibration import calibrated
from .config import TrainConfig
from .loop import Run, Step, Trainer, best_model, new_run


def fit(
    model: MtM, sessions: list[Trials], config: TrainConfig, watch: Callable[[Step], None] = lambda step: None
) -> Run:
    """Train `model` (in place) on the training trials of the sessions; `watch` sees every step and may raise to stop.

    The run's `best` are the weights that scored best in validation, not yet calibrated: see `finished`.
    """
    run = new_run(model, config)
    for step in Trainer(run, sessions, config).steps():
        watch(step)
    return run


def finished(run: Run, sessions: list[Trials], config: TrainConfig) -> MtM:
    """The model that a run ends with: best averaged weights, calibrated on the validation trials."""
    return calibrated(best_model(run), sessions, Trainer(run, sessions, config).validation)[0].eval()
