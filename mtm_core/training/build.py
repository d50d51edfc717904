"""A fresh model for some recordings, with what must be known of their training trials before the first step."""

from __future__ import annotations

import numpy as np
import torch

from ..modality import BEHAVIORS, known, present
from ..models.mtm import MtM, MtMConfig
from ..models.neds import Neds, NedsConfig
from ..models.tables import AnimalTables
from ..session import Trials

MODELS: dict[type, type[AnimalTables]] = {MtMConfig: MtM, NedsConfig: Neds}


def build_model(config: MtMConfig | NedsConfig, sessions: list[Trials], seed: int = 0) -> AnimalTables:
    """A fresh model with a row per neuron, its read-out at the neuron's mean over valid bins of training trials."""
    unit_ids = tuple(str(uuid) for trials in sessions for uuid in trials.unit_ids)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MODELS[type(config)](config, unit_ids, tuple(trials.session_id for trials in sessions))
    for row, trials in enumerate(sessions):
        train = trials.select("train")
        if not train.valid.any():
            raise ValueError(f"session {trials.session_id}: no training trial holds data; choose another window")
        means = torch.as_tensor(train.counts[train.valid].mean(axis=0), dtype=torch.float32)
        model.units.set_means(model.rows(trials.session_id, tuple(trials.unit_ids))[0], means)
        if isinstance(model, Neds):
            _set_behaviors(model, row, train)
    return model


def _set_behaviors(model: Neds, row: int, train: Trials) -> None:
    """Which behaviors the session has, and the scale of its traces, by training trials alone."""
    names = present(train.behaviors, np.arange(train.n_trials))
    scales = {}
    for name in names:
        if not BEHAVIORS[name].static:
            values = train.behaviors[name][known(BEHAVIORS[name], train.behaviors[name])].astype(np.float64)
            scales[name] = (float(values.mean()), float(values.std()))
    model.set_behaviors(row, scales, names)
