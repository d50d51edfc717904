"""One neuron on held-out trials: what it did, what was expected of it, and what one needs to judge that.

Everything here describes a prediction on trials that the model has not seen. What is compared with it, the PSTH and the
mean rate, comes from training trials; its smoothing is tuned on validation trials.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Num
from numpy import ndarray

from ...checkpoint import Checkpoint
from ...session import Trials
from ..answers import answers
from ..metrics import SMALLEST_RATE
from ..psth import tuned_psth
from ..questions import only_about, questions
from ..tasks import EXACT, Asking, check_protocol, part_of, target_entries, train_means


@dataclass(frozen=True, eq=False)
class NeuronTrials:
    """One neuron in the K trials of one split, with a prediction. Entries that are not scored are never looked at."""

    unit_id: str
    region: str
    task: str
    counts: Num[ndarray, "K T"]  # spikes per bin
    rates: Float[ndarray, "K T"]  # expected spikes per bin
    scored: Bool[ndarray, "K T"]
    psth: Float[ndarray, " T"]  # expected spikes per bin, from training trials
    train_mean: float  # spikes per bin, from training trials
    bin_size: float  # s
    bin_starts: Float[ndarray, " T"]  # s from the event
    behaviors: dict[str, ndarray]  # name -> (K,) or (K, T), NaN where unknown
    table: pd.DataFrame  # the trials' rows; the index is the trial number in the recording
    true_rates: Float[ndarray, "K T"] | None  # expected spikes per bin of a simulated session

    @property
    def n_trials(self) -> int:
        return len(self.counts)

    @property
    def n_spikes(self) -> int:
        """In the scored entries."""
        return int(self.counts[self.scored].sum(dtype=np.int64))

    @property
    def oracle(self) -> NeuronTrials | None:
        """The same trials predicted by the true rates, where there are any: the ceiling of every score."""
        if self.true_rates is None:
            return None
        return replace(self, rates=np.maximum(self.true_rates, SMALLEST_RATE).astype(np.float64))

    def hz(self, per_bin: ndarray) -> ndarray:
        """Spikes per bin as spikes per second, NaN where not scored."""
        return np.where(self.scored, per_bin, np.nan) / self.bin_size


def neuron_trials(
    trials: Trials, neuron: int, rates: Float[ndarray, "K T"], task: str = "co_smoothing", split: str = "test"
) -> NeuronTrials:
    """One neuron (a position) of a session with any prediction of it.

    trials: the whole session, with its splits; rates: expected counts per bin in the trials of `split`, as `task`
    allows. Raises ValueError for no such neuron, no such trials, and rates of another shape.
    """
    if not 0 <= neuron < trials.n_neurons:
        raise ValueError(f"no neuron {neuron} among {trials.n_neurons}; count from 0")
    alone = one_neuron(trials, neuron)
    part = part_of(alone, split)
    if np.shape(rates) != part.counts.shape[:2]:
        raise ValueError(f"rates of shape {np.shape(rates)} for {part.counts.shape[:2]} {split} trials and bins")
    return NeuronTrials(
        unit_id=str(trials.unit_ids[neuron]),
        region=str(trials.regions[neuron]),
        task=task,
        counts=part.counts[:, :, 0],
        rates=np.maximum(np.asarray(rates, dtype=np.float64), SMALLEST_RATE),
        scored=target_entries(task, part)[:, :, 0],
        psth=tuned_psth(alone)[:, 0],
        train_mean=float(train_means(alone)[0]),
        bin_size=trials.bin_size,
        bin_starts=trials.bin_starts,
        behaviors=part.behaviors,
        table=part.table,
        true_rates=None if part.true_rates is None else part.true_rates[:, :, 0],
    )


def predicted_trials(
    model: Checkpoint, trials: Trials, neuron: int, task: str = "co_smoothing", asking: Asking = EXACT
) -> NeuronTrials:
    """One neuron as the model predicts it in one evaluation task, by default from all other neurons.

    asking: which split, whether likely duplicates of the neuron are hidden too, and the precision.

    Raises ValueError if the model was trained with another split of these trials, or if the neuron is no target of the
    task; UnknownSessionError for a session the model does not know.
    """
    check_protocol(model, trials)
    part = part_of(trials, asking.split)
    asked = (question for question in questions(task, part, asking) if neuron in question.neurons)
    if (question := next(asked, None)) is None:
        raise ValueError(f"neuron {neuron} is not scored in {task}: its region is unknown or has no other neuron")
    asked_alone = [only_about(question, np.array([neuron]))]
    rates = np.concatenate([answer.rates for answer in answers(model.model, part, asked_alone, asking.bf16)])[:, :, 0]
    return neuron_trials(trials, neuron, rates, task, asking.split)


def one_neuron(trials: Trials, neuron: int) -> Trials:
    """The session with this neuron alone, so that its PSTH costs no more than it must."""
    one = slice(neuron, neuron + 1)
    return replace(
        trials,
        counts=trials.counts[:, :, one],
        unit_ids=trials.unit_ids[one],
        regions=trials.regions[one],
        true_rates=None if trials.true_rates is None else trials.true_rates[:, :, one],
    )
