"""The four evaluation tasks of MtM (arXiv 2407.14668, section 4.2) as questions to a model: hide this, predict those.

co_smoothing        each neuron from all others, one question per neuron
forward_prediction  the last tenth of the window from what came before, causally
intra_region        each neuron from the other neurons of its region
inter_region        each region from the other regions

Scores stream: memory depends on the number of neurons, not on neurons times trials.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray

from ..checkpoint import Checkpoint
from ..masking import Mask, hold_out_future, hold_out_neuron, hold_out_region, hold_out_within_region, region_codes
from ..predict import predict
from ..session import Trials, identity
from .metrics import SpikeSums
from .score import Neurons, TaskScore, task_score

TASKS = ("co_smoothing", "forward_prediction", "intra_region", "inter_region")
FUTURE_SHARE = 10  # forward prediction scores the last tenth of the bins, as MtM does


@dataclass(frozen=True)
class Question:
    """One pass through a model: a mask for all trials, and the neurons whose target entries it answers for."""

    mask: Mask
    neurons: ndarray  # positions


@dataclass(frozen=True)
class Progress:
    """How far a task is; `score` covers the neurons asked so far."""

    task: str
    done: int
    total: int
    score: TaskScore


def n_future_bins(n_bins: int) -> int:
    return max(1, n_bins // FUTURE_SHARE)


def eligible(task: str, regions: ndarray) -> Bool[ndarray, "N"]:
    """Neurons that can be a target: the region tasks need a known region, intra-region a second neuron in it."""
    if task == "intra_region":
        return region_codes(regions, min_neurons=2).numpy() >= 0
    if task == "inter_region":
        return region_codes(regions).numpy() >= 0
    return np.ones(len(regions), dtype=bool)


def questions(task: str, trials: Trials) -> Iterator[Question]:
    """All questions of a task; their number is `n_questions`."""
    shape, codes = trials.counts.shape, region_codes(trials.regions)
    able = np.flatnonzero(eligible(task, trials.regions))
    if task == "co_smoothing":
        yield from (Question(hold_out_neuron(shape, int(n)), np.array([n])) for n in able)
    elif task == "forward_prediction":
        yield Question(hold_out_future(shape, n_future_bins(shape[1])), able)
    elif task == "intra_region":
        yield from (Question(hold_out_within_region(shape, codes, int(n)), np.array([n])) for n in able)
    elif task == "inter_region":
        for region in range(int(codes.max()) + 1):
            yield Question(hold_out_region(shape, codes, region), np.flatnonzero(codes.numpy() == region))
    else:
        raise ValueError(f"unknown task {task!r}; the tasks are {', '.join(TASKS)}")


def n_questions(task: str, trials: Trials) -> int:
    if task == "forward_prediction":
        return 1
    able = eligible(task, trials.regions)
    return len(np.unique(trials.regions[able])) if task == "inter_region" else int(able.sum())


def target_entries(task: str, part: Trials) -> Bool[ndarray, "K T 1"]:
    """The scored bins of a task, those without data left out."""
    first = part.n_bins - n_future_bins(part.n_bins) if task == "forward_prediction" else 0
    return (part.valid & (np.arange(part.n_bins) >= first))[:, :, None]


def train_means(trials: Trials) -> Float[ndarray, "N"]:
    """Mean counts per bin over the valid bins of the training trials: the null that no test trial has touched."""
    train = trials.select("train")
    return train.counts[train.valid].mean(axis=0, dtype=np.float64)


def neurons_of(task: str, trials: Trials) -> Neurons:
    return Neurons(trials.unit_ids, trials.regions, eligible(task, trials.regions), train_means(trials))


def score_task(model: Checkpoint, trials: Trials, task: str, split: str = "test") -> Iterator[Progress]:
    """Ask a model all questions of a task; stop iterating to cancel. Every Progress has a usable score.

    trials: the whole session, with its splits; raises ValueError if the model was trained with another split of it.
    """
    check_protocol(model, trials)
    part, neurons = trials.select(split), neurons_of(task, trials)
    if part.n_trials == 0:
        raise ValueError(f"session {trials.session_id} has no {split} trials; choose another split")
    sums, total = SpikeSums.empty(trials.n_neurons), n_questions(task, part)
    about = protocol(trials, task, split, {"model": model.manifest["hash"], "path": model.path.name})
    if total == 0:  # a region task where no region is known
        yield Progress(task, 0, 0, task_score(task, sums, neurons, about, complete=True))
    for done, question in enumerate(questions(task, part), start=1):
        rates = predict(model, part, question.mask, question.neurons)
        add_scored(sums, part, rates, question)
        yield Progress(task, done, total, task_score(task, sums, neurons, about, done == total))


def add_scored(sums: SpikeSums, part: Trials, rates: Float[ndarray, "K T n"], question: Question) -> None:
    """Add the target entries of the question's neurons; bins without data are no target."""
    target = question.mask.restrict(torch.as_tensor(part.valid)).target[:, :, question.neurons].numpy()
    sums.add(part.counts[:, :, question.neurons], rates, target, question.neurons)


def check_protocol(model: Checkpoint, trials: Trials) -> None:
    """Refuse to score trials of which the model may have seen some in training."""
    known = {about["session"]: about for about in model.manifest["data"]}
    about = identity(trials)
    trained = known.get(trials.session_id)
    if trained is not None and trained["split_sha256"] != about["split_sha256"]:
        raise ValueError(
            f"session {trials.session_id}: this split is not the one {model.path.name} was trained with, so test "
            "trials may have been training trials; use the event, window, bin size and split of the checkpoint"
        )


def protocol(trials: Trials, task: str, split: str, predictor: dict[str, Any]) -> dict[str, Any]:
    """What two scores must share to be compared."""
    about = identity(trials)
    prompts = {"co_smoothing": "neuron", "forward_prediction": "causal"}
    return {
        **{name: about[name] for name in ("session", "event", "window", "bin_size", "region_level", "split_sha256")},
        "split": split,
        "n_trials": about["n_per_split"].get(split, 0),
        "unit_filter": "none",
        "prompt": prompts.get(task, task),
        "exact": True,
        **predictor,
    }
