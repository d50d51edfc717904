"""A score with everything one needs to judge it: how many neurons it speaks for, against which null, on which data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from .metrics import SpikeSums


@dataclass(frozen=True)
class Summary:
    """Bits per spike of a group of neurons. None where no neuron of the group could be scored."""

    mean: float | None  # over neurons, as MtM reports it; near-silent neurons weigh as much as any
    median: float | None
    pooled: float | None  # summed gain over summed spikes, as NLB and BrainWideBench report it
    n: int  # neurons scored
    n_silent: int  # targets without a spike in the scored entries: no score exists, none is invented
    n_excluded: int  # never a target of this task: region unknown, or alone in its region


@dataclass(frozen=True)
class TaskScore:
    """Scores of one task. The nulls: "test_mean" is the mean of the scored entries, "train_mean" that of training."""

    task: str
    summary: Summary  # against the test mean
    against_train_mean: Summary
    per_region: dict[str, Summary]
    per_neuron: dict[str, float | None]  # uuid -> bits per spike against the test mean; None: silent or not scored
    protocol: dict[str, Any]
    complete: bool  # False: computed from a part of the task's questions

    def to_json(self) -> dict[str, Any]:
        rest = {name: value for name, value in asdict(self).items() if name != "summary"}
        return {**asdict(self.summary), **rest}


@dataclass(frozen=True)
class Neurons:
    """Who is scored in one task. All of shape (N,)."""

    unit_ids: ndarray
    regions: ndarray
    eligible: Bool[ndarray, "N"]  # can be a target of this task
    train_mean: Float[ndarray, "N"]  # counts per bin


def summarize(sums: SpikeSums, neurons: Neurons, chosen: Bool[ndarray, "N"], null: ndarray | None) -> Summary:
    """Summary over the chosen neurons that have been asked about so far."""
    asked = chosen & (sums.n_entries > 0)
    bits = sums.bits_per_spike(null)[asked]
    scored = bits[~np.isnan(bits)]
    mean, median = (float(scored.mean()), float(np.median(scored))) if len(scored) else (None, None)
    pooled = sums.pooled(null, asked) if len(scored) else None
    n_excluded = int((chosen & ~neurons.eligible).sum())
    return Summary(mean, median, pooled, len(scored), int(asked.sum()) - len(scored), n_excluded)


def task_score(task: str, sums: SpikeSums, neurons: Neurons, protocol: dict[str, Any], complete: bool) -> TaskScore:
    """All summaries of one task from its sums."""
    everyone = np.ones(len(neurons.unit_ids), dtype=bool)
    bits = sums.bits_per_spike()
    return TaskScore(
        task,
        summarize(sums, neurons, everyone, None),
        summarize(sums, neurons, everyone, neurons.train_mean),
        {str(r): summarize(sums, neurons, neurons.regions == r, None) for r in np.unique(neurons.regions)},
        {str(u): None if np.isnan(b) else float(b) for u, b in zip(neurons.unit_ids, bits, strict=True)},
        protocol,
        complete,
    )
