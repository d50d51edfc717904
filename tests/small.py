"""Small trials and models that several test modules share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from mtm_core.models.mtm import MtM, MtMConfig
from mtm_core.models.tables import AnimalTables
from mtm_core.session import Trials
from mtm_core.training.build import build_model

SIZE = MtMConfig(width=16, n_layers=2, n_heads=2)
SPLIT = ("train", "train", "test", "train", "validation")
REGIONS = ("CA1", "VISp", "LP")


def regions_of(n_neurons: int) -> np.ndarray:
    """Neighbouring neurons share a region; the last neuron's is not known."""
    names = [REGIONS[i * len(REGIONS) // n_neurons] for i in range(n_neurons)]
    return np.array([*names[:-1], "root"])


def small_trials(session_id: str = "a", shape: tuple[int, int, int] = (30, 12, 12), seed: int = 0, **changes) -> Trials:
    """Trials in which two latents drive all neurons; any field may be changed."""
    n_trials, n_bins, n_neurons = shape
    rng = np.random.default_rng(seed)
    latents = rng.normal(size=(n_trials, n_bins, 2)).cumsum(axis=1) / np.sqrt(n_bins)
    rates = np.exp(0.7 * latents @ rng.normal(size=(2, n_neurons)) - 0.5).clip(0.05, 10)
    trials = Trials(
        session_id=session_id,
        counts=rng.poisson(rates).astype(np.uint8),
        valid=np.ones((n_trials, n_bins), dtype=bool),
        bin_size=0.02,
        window=(-0.1, -0.1 + 0.02 * n_bins),
        event="stimOn_times",
        unit_ids=np.array([f"{session_id}-{n}" for n in range(n_neurons)]),
        regions=regions_of(n_neurons),
        region_level="beryl",
        behaviors={"choice": rng.choice([-1.0, 1.0], n_trials)},
        table=pd.DataFrame({"stimOn_times": 3.0 * np.arange(n_trials)}),
        excluded={},
        split=np.array(SPLIT)[np.arange(n_trials) % len(SPLIT)],
        true_rates=rates.astype(np.float32),
    )
    return replace(trials, **changes)


def small_model(*sessions: Trials, seed: int = 0, **size) -> MtM:
    """A model of these sessions, in evaluation mode, in which every parameter matters: none is zero or tiny."""
    model = build_model(replace(SIZE, **size), list(sessions), seed)
    return shaken(model, seed)


def shaken(model: AnimalTables, seed: int) -> AnimalTables:
    """The model in evaluation mode, its parameters moved so that each matters."""
    rng = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale = 0.1 if name.startswith("units.readout") else 0.3
            parameter += scale * torch.randn(parameter.shape, generator=rng)
    return model.eval()
