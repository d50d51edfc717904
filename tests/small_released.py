"""Small networks like the released one, with random weights, and where the authors' own outputs are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from mtm_core.models.released import PROMPTS, ReleasedConfig, ReleasedMtM

SESSIONS = ("aaaa-1", "bbbb-2", "cccc-3", "dddd-4")
N_NEURONS = (("aaaa-1", 6), ("bbbb-2", 4), ("cccc-3", 6))  # the first and the third share a stitcher; one is not known


def small_config(**changes) -> ReleasedConfig:
    sizes = {"n_bins": 10, "width": 16, "n_heads": 2, "n_layers": 2, "inter_size": 24, "n_channels": 5, "mult": 2}
    names = {"prompts": tuple(PROMPTS.values()), "session_ids": SESSIONS, "n_neurons": N_NEURONS}
    return ReleasedConfig(**{**sizes, "n_session_embeddings": 7, **names, **changes})


def small_released(**changes) -> ReleasedMtM:
    """A network in which every parameter matters."""
    model, rng = ReleasedMtM(small_config(**changes)), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=rng))
    return model


def config_json(config: ReleasedConfig) -> str:
    """The file that goes with such weights."""
    sizes = {n: getattr(config, n) for n in ("n_bins", "n_heads", "n_layers", "inter_size", "n_channels", "mult")}
    names = {"prompts": config.prompts, "session_ids": config.session_ids, "model": "NDT1", "act": "softsign"}
    sessions = [{"eid": session, "n_neurons": n} for session, n in config.n_neurons]
    more = {"hidden_size": config.width, "n_session_embeddings": config.n_session_embeddings, "sessions": sessions}
    return json.dumps({**sizes, **names, **more})


def parity_folder() -> Path:
    """The folder with outputs of the authors' network; the test is skipped where there is none."""
    default = Path(__file__).resolve().parents[1] / "../shared/parity"
    folder = Path(os.environ.get("MTM_PARITY") or default).resolve() / "mtm_ndt1_small"
    if not (folder / "expected.safetensors").is_file():
        pytest.skip("no outputs of the authors' code: set MTM_PARITY to the folder that holds mtm_ndt1_small")
    return folder
