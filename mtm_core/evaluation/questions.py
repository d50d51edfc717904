"""The four evaluation tasks of MtM (arXiv 2407.14668, section 4.2) as questions to a model: hide this, predict those.

co_smoothing        each neuron from all others, one question per neuron
forward_prediction  the last tenth of the window from what came before, causally
intra_region        each neuron from the other neurons of its region
inter_region        each region from the other regions
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool
from numpy import ndarray

from ..masking import Mask, Scheme, region_codes
from ..session import Trials

TASKS = ("co_smoothing", "forward_prediction", "intra_region", "inter_region")
PROMPTS = dict(zip(TASKS, (Scheme.NEURON, Scheme.CAUSAL, Scheme.INTRA_REGION, Scheme.INTER_REGION), strict=True))
FUTURE_SHARE = 10  # forward prediction scores the last tenth of the bins, as MtM does
GROUP, SMALLEST_SHARE = 16, 20  # neurons held out together: 16, but never more than a twentieth of the visible ones


@dataclass(frozen=True, eq=False)
class Asking:
    """How the questions are asked."""

    split: str = "test"
    # Hold out several neurons at once, spread over the regions: many times faster, and hardly another score.
    grouped: bool = False
    # duplicates[m, n]: hide m as well where n is the target; it may be the same cell, split in two by the sorter.
    duplicates: Bool[ndarray, "N N"] | None = None
    bf16: bool | None = None  # None: where the hardware computes it
    prompt: Scheme | None = None  # None: the task's own; another one changes the hint only, not what is hidden


@dataclass(frozen=True, eq=False)
class Question:
    """One pass through a model: what is hidden in all trials, and the neurons whose hidden entries are scored."""

    hidden: Bool[ndarray, "N"]  # neurons hidden in all bins
    first_hidden_bin: int  # from this bin on all neurons are hidden; n_bins: in none
    neurons: ndarray  # positions
    scheme: Scheme
    shape: tuple[int, int, int]

    @property
    def mask(self) -> Mask:
        """The same as a mask for all trials."""
        target = np.zeros(self.shape[2], dtype=bool)
        target[self.neurons] = True
        late = torch.arange(self.shape[1])[:, None] >= self.first_hidden_bin
        hidden = torch.as_tensor(self.hidden) | late
        scored = hidden & torch.as_tensor(target)
        return Mask(hidden.expand(self.shape), scored.expand(self.shape), self.scheme)


def n_future_bins(n_bins: int) -> int:
    return max(1, n_bins // FUTURE_SHARE)


def eligible(task: str, regions: ndarray) -> Bool[ndarray, "N"]:
    """Neurons that can be a target: the region tasks need a known region, intra-region a second neuron in it."""
    if task == "intra_region":
        return region_codes(regions, min_neurons=2).numpy() >= 0
    if task == "inter_region":
        return region_codes(regions).numpy() >= 0
    return np.ones(len(regions), dtype=bool)


def exclusion(task: str, region: str, is_eligible: bool) -> str:
    """Why a neuron is no target of a task, in words; "" if it is one."""
    if is_eligible:
        return ""
    alone = task == "intra_region" and region_codes([region]).item() >= 0
    return "the only neuron of its region" if alone else "its region is not known"


def groups(task: str, regions: ndarray, grouped: bool) -> list[ndarray]:
    """Positions of the neurons that one question asks about."""
    able = np.flatnonzero(eligible(task, regions))
    if task == "inter_region":
        return [able[regions[able] == region] for region in np.unique(regions[able])]
    if not grouped:
        return [np.array([n]) for n in able]
    if task == "co_smoothing":
        return _deal(able[np.argsort(regions[able], kind="stable")])
    return [group for region in np.unique(regions[able]) for group in _deal(able[regions[able] == region])]


def _deal(neurons: ndarray) -> list[ndarray]:
    """Groups of at most GROUP, dealt like cards, so that neighbours come into different groups."""
    size = int(np.clip(len(neurons) // SMALLEST_SHARE, 1, GROUP))
    n_groups = -(-len(neurons) // size)
    return [np.sort(neurons[start::n_groups]) for start in range(n_groups)]


def questions(task: str, trials: Trials, asking: Asking | None = None) -> Iterator[Question]:
    """All questions of a task; their number is `n_questions`. Raises ValueError for an unknown task."""
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}; the tasks are {', '.join(TASKS)}")
    asking = asking or Asking()
    shape, scheme = trials.counts.shape, PROMPTS[task] if asking.prompt is None else asking.prompt
    nothing = np.zeros(shape[2], dtype=bool)
    if task == "forward_prediction":
        yield Question(nothing, shape[1] - n_future_bins(shape[1]), np.arange(shape[2]), scheme, shape)
        return
    for group in groups(task, trials.regions, asking.grouped):
        hidden = nothing.copy()
        hidden[group] = True
        if task == "intra_region":
            hidden |= trials.regions != trials.regions[group[0]]
        if asking.duplicates is not None:
            hidden |= asking.duplicates[:, group].any(axis=1)
        yield Question(hidden, shape[1], group, scheme, shape)


def n_questions(task: str, trials: Trials, asking: Asking | None = None) -> int:
    if task == "forward_prediction":
        return 1
    return len(groups(task, trials.regions, (asking or Asking()).grouped))


def only_about(question: Question, neurons: ndarray) -> Question:
    """The same question, scored for fewer neurons."""
    return replace(question, neurons=np.intersect1d(question.neurons, neurons))
