"""One neuron on the held-out trials, for the page that judges its prediction. Cached across visitors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mtm_core.evaluation.single_neuron.calibration import Calibration, calibration
from mtm_core.evaluation.single_neuron.conditions import Psths, psths
from mtm_core.evaluation.single_neuron.judge import Judgement, judge
from mtm_core.evaluation.single_neuron.order import TrialOrder, sort_keys, trial_order
from mtm_core.evaluation.single_neuron.pit import Pit, poisson_pit
from mtm_core.evaluation.single_neuron.trials import NeuronTrials, predicted_trials
from mtm_core.evaluation.single_neuron.variability import Variability, variability

from ..recordings import Recording, checkpoint, recording, trials_at
from ..spec import Spec

READS = ("session", "model", "neuron", "level", "scoring")  # what of a spec the page depends on
SMOOTHING = 0.04  # s, standard deviation: PSTHs and residual maps alike
SEED = 0  # of resampling and shuffling: the same choice shows the same intervals


@dataclass(frozen=True, eq=False)
class Judged:
    """All that is known about one prediction."""

    trials: NeuronTrials
    scores: Judgement
    psths: tuple[Psths, ...]
    orders: dict[str, TrialOrder]  # by the name of the key
    calibration: Calibration
    pit: Pit
    variability: Variability


@dataclass(frozen=True, eq=False)
class OneNeuron:
    """The neuron that is looked at; `judged` is None where `problem` says why there is no prediction."""

    recording: Recording
    neuron: int
    task: str
    judged: Judged | None
    problem: str = ""


def one_neuron(spec: Spec) -> OneNeuron:
    """The neuron of the spec, or the busiest one, in the task whose scores are looked at."""
    opened, task = recording(spec.session, spec.model), spec.scoring.task
    neuron = opened.neuron(spec.neuron)
    if not opened.known:
        return OneNeuron(opened, neuron, task, None, "This model has not been trained on this recording.")
    try:
        return OneNeuron(opened, neuron, task, _judged(spec.session, spec.model, spec.level, neuron, task))
    except ValueError as error:  # not a target of this task, or no held-out trials
        return OneNeuron(opened, neuron, task, None, str(error))


@lru_cache(maxsize=64)
def _judged(session: str, model: str, level: str, neuron: int, task: str) -> Judged:
    trials = predicted_trials(checkpoint(model), trials_at(recording(session, model), level), neuron, task)
    rng = np.random.default_rng(SEED)
    return Judged(
        trials=trials,
        scores=judge(trials, rng),
        psths=psths(trials, SMOOTHING),
        orders={key.value: trial_order(trials, key) for key in sort_keys(trials)},
        calibration=calibration(trials, rng),
        pit=poisson_pit(trials, rng),
        variability=variability(trials),
    )
