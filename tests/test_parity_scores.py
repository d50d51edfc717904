"""Our bits per spike equal those that the MtM authors' code computed from its own log rates."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from mtm_core.evaluation.metrics import bits_per_spike

PROMPTS = ("neuron", "causal", "inter-region", "intra-region")


@pytest.fixture(scope="module")
def parity() -> tuple[dict, dict[str, np.ndarray]]:
    """Configuration and tensors recorded with the authors' NDT1."""
    default = Path(__file__).resolve().parents[1] / "../shared/parity"
    folder = Path(os.environ.get("MTM_PARITY") or default).resolve() / "mtm_ndt1_small"
    if not (folder / "expected.safetensors").is_file():
        pytest.skip("no outputs of the authors' code: set MTM_PARITY to the folder that holds mtm_ndt1_small")
    return json.loads((folder / "config.json").read_text("utf-8")), load_file(folder / "expected.safetensors")


def test_all_prompts_and_both_sessions_were_recorded(parity):
    config, tensors = parity
    assert sorted(config["prompts"]) == sorted(PROMPTS)
    found = {name.removesuffix(".bits_per_spike") for name in tensors if name.endswith(".bits_per_spike")}
    assert found == {f"session{s}.{prompt}" for s in (0, 1) for prompt in PROMPTS}


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("session", [0, 1])
def test_bits_per_spike_equal_the_recorded_ones(parity, session, prompt):
    _, tensors = parity
    name = f"session{session}.{prompt}"
    expected = tensors[f"{name}.bits_per_spike"]
    rates = np.exp(tensors[f"{name}.log_rates"].astype(np.float64))
    # They score the entries that were hidden; a neuron without a spike there has no score in their code either.
    found = bits_per_spike(rates, tensors[f"session{session}.counts"], target=tensors[f"{name}.hidden"])
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert np.isfinite(expected).any()
