"""The bundled checkpoint is worth looking at: on held-out trials well above ridge and near the true rates."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from mtm_core.checkpoint import load_checkpoint
from mtm_core.commands.evaluate import trials_of
from mtm_core.data.catalogue import open_session
from mtm_core.evaluation.answers import answers
from mtm_core.evaluation.baselines import score_baseline
from mtm_core.evaluation.metrics import SpikeSums
from mtm_core.evaluation.questions import questions
from mtm_core.evaluation.tasks import add_answer, check_protocol
from mtm_core.evaluation.translation.encoders import encode
from mtm_core.evaluation.translation.scores import encoding_score
from mtm_core.evaluation.translation.session_scores import ALL, score_model
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


@pytest.mark.slow
@pytest.mark.parametrize("session_id", ["simulated-1", "simulated-4"])
def test_bundled_neds_translates_both_ways_better_than_a_psth_and_a_guess(session_id):
    checkpoint = load_checkpoint(assets_dir() / "checkpoints" / "simulated-neds")
    trials = trials_of(checkpoint, session_id, None)
    found = {(way, what): score for way, what, score in score_model(checkpoint, trials)}
    psth = encoding_score(encode(trials, "psth"), trials).summary.pooled
    assert found["encoding", ALL].summary.pooled >= 1.5 * psth > 0
    assert found["decoding", "choice"].measures["balanced_accuracy"].value > 0.9
    assert found["decoding", "wheel_speed"].measures["r2_residual"].value > 0.5
