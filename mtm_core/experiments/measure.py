"""The numbers of one model on one session's test trials, as the tables of experiments show them.

Neurons are held out in groups (`Asking(grouped=True)`), for an experiment scores dozens of models.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..atomic import json_sha256
from ..checkpoint import Checkpoint
from ..evaluation.decoding.behaviors import Target, target_of, too_little
from ..evaluation.decoding.decode import FITTED_ON, Plan, Setting, prepare
from ..evaluation.decoding.features import open_source
from ..evaluation.decoding.measures import BALANCED, Measures
from ..evaluation.decoding.nested import Decoded
from ..evaluation.questions import TASKS, Asking
from ..evaluation.tasks import score_task
from ..masking import Scheme
from ..models.tables import AnimalTables
from ..session import Trials, identity

MEASURES = ("mean", "pooled")  # bits per spike of a session: over neurons, over spikes
QUICK = Asking(grouped=True)
# Column -> behavior and the prompt from whose rates it is decoded: choice with prompt "neuron", motion energy with
# "causal" (arXiv 2407.14668, section 4.3, and the released draw_table.py).
DECODED = {
    "choice": ("choice", Scheme.NEURON),
    "motion_energy": ("whisker_motion_energy", Scheme.CAUSAL),
}
Result = TypeVar("Result")


def as_checkpoint(model: AnimalTables, sessions: Sequence[Trials], name: str) -> Checkpoint:
    """A model in memory as scores want it: with the data it was trained on."""
    data = [identity(trials) for trials in sessions]
    return Checkpoint(model, {"data": data, "hash": json_sha256([name, data])}, Path(name))


def measured_tasks(model: Checkpoint, trials: Trials, tasks: Sequence[str] = TASKS) -> dict[str, dict[str, Any]]:
    """task -> mean over neurons, median, pooled bits per spike, and numbers of scored and silent neurons.

    Raises ValueError if the model was trained with another split of the session.
    """
    found = {}
    for task in tasks:
        *_, last = score_task(model, trials, task, QUICK)
        summary = last.score.summary
        names = ("mean", "median", "pooled", "n", "n_silent", "mean_ci", "pooled_ci")
        found[task] = {name: getattr(summary, name) for name in names}
    return found


def measured_decoding(model: Checkpoint, trials: Trials) -> dict[str, float]:
    """Column of DECODED -> balanced accuracy of a choice, R2 of a stream; what the recording lacks has no entry.

    Decoders are MtM's own (`mtm_protocol.py`), fitted to training and validation trials. The paper reports plain
    accuracy, which a mouse with a favorite side flatters.
    """
    found = {}
    train = np.flatnonzero(np.isin(trials.split, FITTED_ON["test"]))
    setting = Setting(model, trials, (), Plan(protocol="mtm"), train, np.flatnonzero(trials.split == "test"))
    for column, (name, prompt) in DECODED.items():
        if name not in trials.behaviors:
            continue
        target = target_of(name, trials.behaviors[name], train)
        if not too_little(target, train, setting.test):
            decoded = _decode(setting, target, prompt)
            found[column] = _score(decoded, BALANCED if target.two_sided else decoded.measures)
    return found


def _decode(setting: Setting, target: Target, prompt: Scheme) -> Decoded:
    source = replace(open_source("rates", setting.trials), prompt=prompt)
    return _returned(prepare(setting, source)).decode(setting.picked(target))


def _score(decoded: Decoded, measures: Measures) -> float:
    return measures.point(decoded.truth, decoded.predicted)[0]


def _returned(steps: Generator[str, None, Result]) -> Result:
    """What a generator returns once all its steps are done."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value
