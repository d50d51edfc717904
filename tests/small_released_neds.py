"""A small network like the released one of NEDS, with random weights, its files, and where the authors' outputs are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from mtm_core.models.released_neds import CLASSES, MODALITIES, ReleasedNeds, ReleasedNedsConfig

ROWS = ("aaaa-1", "bbbb-2", "cccc-3")  # in the order of their embedding rows
SESSIONS = (("cccc-3", 6), ("bbbb-2", 4))  # with stitchers, of 6 neurons both
N_BINS = 5


def small_config(**changes) -> ReleasedNedsConfig:
    sizes = {"n_bins": N_BINS, "width": 16, "n_heads": 2, "n_layers": 2, "inter_size": 24, "n_neurons": 6}
    names = {"n_session_embeddings": 7, "session_ids": ROWS, "sessions": SESSIONS}
    return ReleasedNedsConfig(**{**sizes, **names, **changes})


def small_neds(**changes) -> ReleasedNeds:
    """A network in which every parameter matters."""
    model, rng = ReleasedNeds(small_config(**changes)), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=rng))
    return model


def small_inputs(n_trials: int = 4, n_neurons: int = 6, seed: int = 0) -> dict[str, torch.Tensor]:
    """What is recorded of every modality, by its name."""
    rng = np.random.default_rng(seed)
    found = {name: rng.normal(size=(n_trials, N_BINS, 1)) for name in MODALITIES}
    found["spike"] = rng.poisson(1.0, (n_trials, N_BINS, n_neurons))
    found |= {name: rng.integers(0, n, (n_trials, 1)) for name, n in CLASSES.items()}
    return {name: torch.as_tensor(values, dtype=torch.float32) for name, values in found.items()}


def config_json(config: ReleasedNedsConfig) -> str:
    """The file that goes with such weights."""
    sizes = {n: getattr(config, n) for n in ("n_bins", "n_heads", "n_layers", "inter_size", "n_neurons")}
    sessions = [{"eid": session, "n_neurons": n} for session, n in config.sessions]
    names = {"model": "NEDS", "modalities": MODALITIES, "session_ids": config.session_ids, "sessions": sessions}
    more = {"hidden_size": config.width, "n_session_embeddings": config.n_session_embeddings}
    return json.dumps({**sizes, **names, **more})


def parity_folder() -> Path:
    """The folder with outputs of the authors' network; the test is skipped where there is none."""
    default = Path(__file__).resolve().parents[1] / "../shared/parity"
    folder = Path(os.environ.get("MTM_PARITY") or default).resolve() / "neds_small"
    if not (folder / "expected.safetensors").is_file():
        pytest.skip("no outputs of the authors' code: set MTM_PARITY to the folder that holds neds_small")
    return folder
