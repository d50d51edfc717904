"""Scoring a model on the evaluation tasks: its answers to their questions become sums, the sums a score.

Scores stream: memory depends on trials times neurons, not on bins. Every step gives a usable score of what has been
asked so far, so a person may stop at any time and keep it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from ..checkpoint import Checkpoint
from ..device import has_bf16
from ..masking import Scheme
from ..models.mtm import MtM
from ..session import Trials, identity
from .answers import Answer, answers
from .metrics import SMALLEST_RATE, SpikeSums
from .questions import PROMPTS, Asking, Question, eligible, n_future_bins, only_about, questions
from .score import UNKNOWN_CEILING, Ceiling, Neurons, Score

EXACT = Asking()
HELD_OUT = "held_out_set"
HALF_A_SPIKE = 0.5
N_SAMPLED = 24  # neurons on which the grouped mode is compared with the exact one


@dataclass(frozen=True)
class Progress:
    """How far a task is; `score` covers what has been asked so far."""

    task: str
    done: int
    total: int
    score: Score


def target_entries(task: str, part: Trials) -> Bool[ndarray, "K T 1"]:
    """The scored bins of a task, those without data left out."""
    first = part.n_bins - n_future_bins(part.n_bins) if task == "forward_prediction" else 0
    return (part.valid & (np.arange(part.n_bins) >= first))[:, :, None]


def train_means(trials: Trials) -> Float[ndarray, "N"]:
    """Mean counts per bin over the valid bins of the training trials: the null that no test trial has touched.

    A neuron that never fired in training is taken to fire half a spike in all of it: with a rate of 0, its first spike
    in a test trial would cost any null some twenty nats and lift the score of whatever is compared with it.
    """
    train = trials.select("train")
    mean = train.counts[train.valid].mean(axis=0, dtype=np.float64)
    return np.maximum(mean, HALF_A_SPIKE / max(int(train.valid.sum()), 1))


def neurons_of(task: str, trials: Trials) -> Neurons:
    return Neurons(trials.unit_ids, trials.regions, eligible(task, trials.regions), train_means(trials))


def ceiling_of(task: str, part: Trials, who: Neurons) -> Ceiling:
    """The score of the rates that generated the counts, for simulated sessions."""
    if part.true_rates is None:
        return UNKNOWN_CEILING
    sums = SpikeSums.empty(part.n_trials, part.n_neurons)
    able = np.flatnonzero(who.eligible)
    rates = np.maximum(part.true_rates[:, :, able], SMALLEST_RATE)
    sums.add(part.counts[:, :, able], rates, target_entries(task, part), neurons=able)
    summary = Score(task, sums, who, {}, complete=False).summary
    return Ceiling("true_rates", summary.mean, summary.pooled, "the rates that generated the spikes")


def part_of(trials: Trials, split: str) -> Trials:
    """The trials of a split; raises ValueError if it has none."""
    part = trials.select(split)
    if part.n_trials == 0:
        raise ValueError(f"session {trials.session_id} has no {split} trials; choose another split")
    return part


def score_task(model: Checkpoint, trials: Trials, task: str, asking: Asking = EXACT) -> Iterator[Progress]:
    """Ask a model all questions of a task; stop iterating to cancel. Every Progress has a usable score.

    trials: the whole session, with its splits; raises ValueError if the model was trained with another split of it, and
    UnknownSessionError if it was not trained on the session.
    """
    part = part_of(trials, asking.split)
    asked = list(questions(task, part, asking))
    yield from _ask(model, trials, part, Asked(task, neurons_of(task, trials), asked, asking))


def score_held_out(model: Checkpoint, trials: Trials, neurons: ndarray, asking: Asking = EXACT) -> Iterator[Progress]:
    """Score a set of neurons (positions) that are all hidden at once; the others are no targets. As `score_task`."""
    part = part_of(trials, asking.split)
    held_out = np.zeros(part.n_neurons, dtype=bool)
    held_out[neurons] = True
    who = replace(neurons_of("co_smoothing", trials), eligible=held_out)
    hidden = held_out if asking.duplicates is None else held_out | asking.duplicates[:, held_out].any(axis=1)
    question = Question(hidden, part.n_bins, np.flatnonzero(held_out), Scheme.NEURON, part.counts.shape)
    yield from _ask(model, trials, part, Asked(HELD_OUT, who, [question], asking))


@dataclass(frozen=True)
class Asked:
    """The questions of a task, and whom they are about."""

    task: str
    who: Neurons
    questions: list[Question]
    asking: Asking


def _ask(model: Checkpoint, trials: Trials, part: Trials, asked: Asked) -> Iterator[Progress]:
    check_protocol(model, trials)
    task, who, total, done = asked.task, asked.who, len(asked.questions), 0
    ceiling, about = ceiling_of(task, part, who), model_protocol(model, trials, task, asked.asking)
    sums = SpikeSums.empty(part.n_trials, part.n_neurons)
    if total == 0:  # a region task where no region is known
        yield Progress(task, 0, 0, Score(task, sums, who, about, True, ceiling))
    for answer in answers(model.model, part, asked.questions, asked.asking.bf16):
        add_answer(sums, part, answer)
        done += answer.last
        # A copy of the sums: whoever keeps a partial score must not see it change.
        yield Progress(task, done, total, Score(task, sums.copy(), who, about, done == total, ceiling))


def add_answer(sums: SpikeSums, part: Trials, answer: Answer) -> None:
    """Add the target entries of the question's neurons; bins without data are no target."""
    neurons, some = answer.question.neurons, answer.trials
    scored = part.valid[some] & (np.arange(part.n_bins) >= _first_scored(answer))
    counts = part.counts[some][:, :, neurons]
    sums.add(counts, answer.rates, scored[:, :, None], trials=some, neurons=neurons)


def _first_scored(answer: Answer) -> int:
    """The first scored bin: whole neurons are scored in all bins, a hidden future in its own."""
    question = answer.question
    return question.first_hidden_bin if question.first_hidden_bin < question.shape[1] else 0


@dataclass(frozen=True)
class GroupedDifference:
    """What holding out several neurons at once does to the score: grouped minus exact, on some neurons."""

    n: int
    mean: float  # bits per spike
    rms: float
    largest: float


def grouped_difference(model: Checkpoint, trials: Trials, asking: Asking) -> GroupedDifference:
    """Score some neurons (every so-manieth, whatever their scores) in co-smoothing both ways."""
    part, who = part_of(trials, asking.split), neurons_of("co_smoothing", trials)
    chosen = np.unique(np.linspace(0, part.n_neurons - 1, min(N_SAMPLED, part.n_neurons)).round().astype(int))
    bits = []
    for grouped in (True, False):
        how = replace(asking, grouped=grouped)
        asked = (
            only_about(q, chosen) for q in questions("co_smoothing", part, how) if np.isin(q.neurons, chosen).any()
        )
        sums = SpikeSums.empty(part.n_trials, part.n_neurons)
        for answer in answers(model.model, part, asked, asking.bf16):
            add_answer(sums, part, answer)
        bits.append(Score("co_smoothing", sums, who, {}, complete=False).bits[chosen])
    difference = (bits[0] - bits[1])[np.isfinite(bits[0])]
    if not len(difference):
        return GroupedDifference(0, 0.0, 0.0, 0.0)
    rms, largest = float(np.sqrt((difference**2).mean())), float(np.abs(difference).max())
    return GroupedDifference(len(difference), float(difference.mean()), rms, largest)


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


def model_protocol(model: Checkpoint, trials: Trials, task: str, asking: Asking) -> dict[str, Any]:
    """The protocol of a model's score."""
    device = model.model.device
    bf16 = has_bf16(device) if asking.bf16 is None else asking.bf16
    bf16 = bf16 and isinstance(model.model, MtM)  # released weights always run in float32
    grouped = asking.grouped and task in ("co_smoothing", "intra_region")
    return protocol(trials, task, asking.split, {}) | {
        "prompt": (PROMPTS.get(task, Scheme.NEURON) if asking.prompt is None else asking.prompt).label,
        "duplicates_hidden": asking.duplicates is not None,
        "exact": not grouped,
        "precision": "bfloat16" if bf16 else "float32",
        "model": model.manifest["hash"],
        "path": model.path.name,
    }


def protocol(trials: Trials, task: str, split: str, predictor: dict[str, Any]) -> dict[str, Any]:
    """What two scores must share to be compared, and who predicted."""
    about = identity(trials)
    return {
        **{name: about[name] for name in ("session", "event", "window", "bin_size", "region_level", "split_sha256")},
        "counts_sha256": about["counts_sha256"],
        "split": split,
        "n_trials": about["n_per_split"].get(split, 0),
        "unit_filter": "none",
        "duplicates_hidden": False,
        **predictor,
    }
