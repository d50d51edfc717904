"""On simulated coupled neurons a trained model beats every baseline; without training, or without its own trial, none.

60 neurons of the session simulated-4 in bins of 40 ms: about 15 s of training on one core for each of three seeds,
of which two are left out unless asked for with -m long.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mtm_core.checkpoint import Checkpoint
from mtm_core.data.catalogue import open_session
from mtm_core.evaluation.answers import answers
from mtm_core.evaluation.baselines import ORACLES, baseline_names, score_baseline
from mtm_core.evaluation.metrics import spike_sums
from mtm_core.evaluation.questions import TASKS, Asking, questions
from mtm_core.evaluation.tasks import EXACT, neurons_of, score_task, target_entries
from mtm_core.models.mtm import MtMConfig
from mtm_core.session import identity
from mtm_core.training.build import build_model
from mtm_core.training.config import TrainConfig
from mtm_core.training.loop import Trainer, best_model, new_run

SEEDS = (0, 1, 2)
SIZE = MtMConfig(width=64, n_layers=2)
# Bits per spike, pooled, above the best baseline. Measured: .07, .00, .10 and .05. So short a training ties with the
# linear forecasts; nothing is claimed there but that the model does not fall behind them.
MARGINS = {"co_smoothing": 0.05, "forward_prediction": -0.01, "intra_region": 0.06, "inter_region": 0.03}


def coupled_trials():
    whole, some = open_session("simulated-4").align(bin_size=0.04), slice(None, None, 4)
    return replace(
        whole,
        counts=whole.counts[:, :, some],
        unit_ids=whole.unit_ids[some],
        regions=whole.regions[some],
        true_rates=whole.true_rates[:, :, some],
    )


@pytest.fixture(scope="module")
def trials():
    return coupled_trials()


@pytest.fixture(scope="module")
def baselines(trials):
    """task -> name -> pooled bits per spike, oracles left out."""
    names = [name for name in baseline_names(trials) if name not in ORACLES]
    scores = {name: score_baseline(name, trials, TASKS) for name in names}
    return {task: {n: s[task].summary.pooled for n, s in scores.items() if task in s} for task in TASKS}


def predictions(model, trials, task, asking=EXACT):
    """Expected counts per bin of every neuron in the test trials, each as the task allows; 1 where nothing is asked."""
    part = trials.select("test")
    rates = np.ones(part.counts.shape, dtype=np.float32)
    for answer in answers(model.eval(), part, questions(task, part, asking)):
        rates[answer.trials][:, :, answer.question.neurons] = answer.rates
    return rates


def sums_of(rates, trials, task):
    part = trials.select("test")
    target = target_entries(task, part) & neurons_of(task, trials).eligible
    return spike_sums(rates, part.counts, np.broadcast_to(target, part.counts.shape))


@pytest.fixture(
    scope="module",
    params=[pytest.param(s, id=f"seed {s}", marks=() if s == SEEDS[0] else pytest.mark.long) for s in SEEDS],
)
def trained(request, trials):
    torch.set_num_threads(1)
    config = TrainConfig(steps=700, n_validations=4, seed=request.param)
    run = new_run(build_model(SIZE, [trials], config.seed), config)
    for _ in Trainer(run, [trials], config).steps():
        pass
    return best_model(run)


@pytest.fixture(scope="module")
def rates(trained, trials):
    """task -> what the trained model predicts."""
    return {task: predictions(trained, trials, task) for task in TASKS}


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_a_trained_model_beats_the_best_baseline_by_its_margin(rates, trials, baselines, task):
    found, best = sums_of(rates[task], trials, task).pooled(), max(baselines[task].values())
    print(f"\n{task}: {found:.3f}, best of", {name: round(score, 3) for name, score in baselines[task].items()})
    assert found > best + MARGINS[task]


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_predictions_of_other_trials_are_no_better_than_the_psth(rates, trials, baselines, task):
    """What a model knows beyond the PSTH, it knows of the trial at hand."""
    own, rng = sums_of(rates[task], trials, task).pooled(), np.random.default_rng(0)
    moved = [rates[task][rng.permutation(len(rates[task]))] for _ in range(5)]
    others = max(sums_of(each, trials, task).pooled() for each in moved)
    print(f"\n{task}: own {own:.3f}, of other trials {others:.3f}, psth {baselines[task]['psth']:.3f}")
    assert others < baselines[task]["psth"] + 0.01 and others < own


@pytest.mark.slow
def test_the_score_is_that_of_these_predictions(trained, trials, rates):
    checkpoint = Checkpoint(trained, {"hash": "0" * 64, "data": [identity(trials)]}, Path("some/model"))
    *_, last = score_task(checkpoint, trials, "inter_region")
    assert last.score.summary.pooled == pytest.approx(sums_of(rates["inter_region"], trials, "inter_region").pooled())


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("seed", SEEDS)
def test_an_untrained_model_knows_nothing(trials, seed, task):
    rates = predictions(build_model(SIZE, [trials], seed), trials, task, Asking(grouped=True))
    sums = sums_of(rates, trials, task)
    assert sums.pooled() <= 0.02 and np.nanmean(sums.bits_per_spike()) <= 0.02
