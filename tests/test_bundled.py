"""The bundled checkpoint is worth looking at: on held-out trials well above ridge and near the true rates."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from mtm_core.checkpoint import load_checkpoint
from mtm_core.data.catalogue import open_session
from mtm_core.evaluation.answers import answers
from mtm_core.evaluation.baselines import score_baseline
from mtm_core.evaluation.metrics import SpikeSums
from mtm_core.evaluation.questions import questions
from mtm_core.evaluation.tasks import add_answer, check_protocol
from mtm_core.paths import assets_dir

EVERY = 4  # of the neurons: enough for the mean, and four times as fast


@pytest.mark.slow
@pytest.mark.parametrize("session_id", ["simulated-1", "simulated-3"])
def test_bundled_model_reaches_most_of_the_ceiling(session_id):
    checkpoint = load_checkpoint(assets_dir() / "checkpoints" / "simulated-mtm")
    trials = open_session(session_id).align()
    check_protocol(checkpoint, trials)
    part = trials.select("test")
    sums = SpikeSums.empty(part.n_trials, part.n_neurons)
    for answer in answers(checkpoint.model, part, islice(questions("co_smoothing", part), 0, None, EVERY)):
        add_answer(sums, part, answer)
    model = sums.total().bits_per_spike()[::EVERY]

    def baseline(name: str) -> np.ndarray:
        per_neuron = score_baseline(name, trials, ["co_smoothing"])["co_smoothing"].per_neuron
        return np.array(list(per_neuron.values()), dtype=float)[::EVERY]

    assert model.mean() >= 0.7 * baseline("true_rates").mean()
    assert model.mean() >= 1.2 * baseline("ridge").mean()
