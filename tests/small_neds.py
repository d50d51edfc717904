"""Small trials with behaviors, and small NEDS models, that several test modules share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from small import shaken, small_trials

from mtm_core.models.neds import Neds, NedsConfig
from mtm_core.session import Trials
from mtm_core.training.build import build_model

NEDS_SIZE = NedsConfig(width=16, n_layers=2, n_heads=2)
CONTRASTS = np.array([-1.0, -0.25, 0.0, 0.25, 1.0])


def neds_trials(
    session_id: str = "a",
    shape: tuple[int, int, int] = (40, 10, 12),
    seed: int = 0,
    without: tuple[str, ...] = (),
    **changes,
) -> Trials:
    """Trials with all behaviors but those in `without`, traces and choice correlated with the neurons' rates."""
    n_trials, n_bins, _ = shape
    trials = small_trials(session_id, shape, seed)
    rng = np.random.default_rng(seed + 100)
    drive = np.log(trials.true_rates) @ rng.normal(size=shape[2]) / np.sqrt(shape[2])
    noise = rng.normal(size=(4, n_trials, n_bins))
    evidence = drive.mean(1) - np.median(drive.mean(1))
    choice = np.where(evidence + 0.1 * rng.normal(size=n_trials) > 0, 1.0, -1.0)
    contrast = -choice * np.abs(rng.choice(CONTRASTS, n_trials))
    found = {
        "choice": choice,
        "block": rng.choice(np.array([0.2, 0.5, 0.8]), n_trials),
        "contrast": contrast,
        "reward": rng.choice([0.0, 1.0], n_trials),
        "response_time": rng.uniform(0.2, 2.0, n_trials),
        "wheel_speed": 3.0 + 2.0 * drive + 0.3 * noise[0],
        "whisker_motion_energy": 40.0 - 8.0 * drive + 2.0 * noise[1],
        "pupil": 30.0 + drive.cumsum(1) + noise[2],
        "paw_speed": np.exp(0.3 * noise[3]),
    }
    behaviors = {name: values.astype(np.float32) for name, values in found.items() if name not in without}
    return replace(trials, behaviors=behaviors, **changes)


def small_neds(*sessions: Trials, seed: int = 0, **size) -> Neds:
    """A model of these sessions, in evaluation mode, in which every parameter matters: none is zero or tiny."""
    model = build_model(replace(NEDS_SIZE, **size), list(sessions), seed)
    return shaken(model, seed)
