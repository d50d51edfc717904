"""Questions of the information map to a model, and what an answer is worth: hide this, move that, score those."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from ...checkpoint import Checkpoint
from ...masking import Mask, Scheme
from ...models.mtm import MtM
from ...predict import predict
from ...regions import NEVER_TARGET, sort_regions
from ...session import Trials
from ..bootstrap import interval
from ..metrics import SpikeSums
from .null import with_moved

TRIALS_PER_STEP = 32  # a step of a small model takes well under a second
OWN_GROUPS = 5  # a fifth of a region is hidden at a time, less than the 30 % of neuron masking in training


@dataclass(frozen=True)
class Excluded:
    """A region that is neither source nor target, and why."""

    region: str
    n_neurons: int
    reason: str


@dataclass(frozen=True, eq=False)
class Groups:
    """The regions of a map in Allen order, with the positions of their neurons."""

    regions: tuple[str, ...]
    members: tuple[Int[ndarray, " _"], ...]
    excluded: tuple[Excluded, ...]
    n_neurons: int  # of the whole session

    def flags(self, *regions: int) -> Bool[ndarray, "N"]:
        """The neurons of some regions."""
        chosen = np.zeros(self.n_neurons, dtype=bool)
        for region in regions:
            chosen[self.members[region]] = True
        return chosen

    def own(self, region: int) -> list[Int[ndarray, " _"]]:
        """The neurons of a region in up to OWN_GROUPS groups, each of which the rest of the region can predict."""
        members = self.members[region]
        if len(members) < 2:
            return []
        return [members[first::OWN_GROUPS] for first in range(min(OWN_GROUPS, len(members)))]


def groups_of(trials: Trials, min_neurons: int = 2) -> Groups:
    """Regions that can be source and target; raises ValueError if there is none."""
    found, excluded = [], []
    for region in sort_regions(trials.regions):
        members = np.flatnonzero(trials.regions == region)
        if region in NEVER_TARGET:
            excluded.append(Excluded(region, len(members), "no region of the brain is known for these neurons"))
        elif len(members) < min_neurons:
            excluded.append(Excluded(region, len(members), f"fewer than {min_neurons} neurons"))
        else:
            found.append((region, members))
    if not found:
        raise ValueError(
            f"session {trials.session_id} has no known region with at least {min_neurons} neurons; ask for fewer"
        )
    regions, members = zip(*found, strict=True)
    return Groups(regions, members, tuple(excluded), trials.n_neurons)


@dataclass(frozen=True, eq=False)
class Question:
    """One pass over all trials.

    hidden: neurons that the model cannot read, in any bin. scored: positions of some of them, in the order of the
    answer. moved: visible neurons that show what they did `shift` trials earlier.
    """

    hidden: Bool[ndarray, "N"]
    scored: Int[ndarray, " n"]
    prompt: Scheme
    moved: Bool[ndarray, "N"] | None = None
    shift: int = 0

    def __post_init__(self) -> None:
        if not self.hidden[self.scored].all():
            raise ValueError("a scored neuron is visible to the model; hide what is scored")


def ask(model: Checkpoint | MtM, part: Trials, questions: Sequence[Question]) -> Iterator[None]:
    """Answer questions that score different neurons, in steps of TRIALS_PER_STEP trials.

    Returns SpikeSums (K, N) in which the neurons that no question scores have no entries.
    """
    sums = SpikeSums.empty(part.n_trials, part.n_neurons)
    for question in questions:
        for start in range(0, part.n_trials, TRIALS_PER_STEP):
            _add_answer(sums, model, part, question, start)
            yield
    return sums


def _add_answer(sums: SpikeSums, model: Checkpoint | MtM, part: Trials, question: Question, start: int) -> None:
    """One question about the trials from position `start`."""
    rows = np.arange(start, min(start + TRIALS_PER_STEP, part.n_trials))
    nobody = np.zeros(part.n_neurons, dtype=bool)
    moved = nobody if question.moved is None else question.moved & ~question.hidden
    piece, missing = with_moved(part, rows, moved, question.shift)
    hidden, scored = torch.as_tensor(missing | question.hidden), question.scored
    rates = predict(model, piece, Mask(hidden, hidden, question.prompt), scored)
    place = slice(start, start + len(rows))
    sums.add(piece.counts[:, :, scored], rates, piece.valid[:, :, None], trials=place, neurons=scored)


def n_steps(part: Trials) -> int:
    """Steps of one question."""
    return -(-part.n_trials // TRIALS_PER_STEP)


@dataclass(frozen=True)
class Gain:
    """How much better one answer predicts than another, in bits per spike, with 95 % over resampled trials."""

    mean: float  # over the neurons that fired
    low: float
    high: float
    pooled: float  # summed gain over summed spikes
    pooled_low: float
    pooled_high: float


def bits_gained(better: SpikeSums, worse: SpikeSums) -> Float[ndarray, "... n"]:
    """Difference in bits per spike per neuron, NaN where silent. Both have the same null, so none is left in it."""
    return better.bits_per_spike() - worse.bits_per_spike()


def mean_over_neurons(bits: Float[ndarray, "R n"]) -> Float[ndarray, "R"]:
    """Mean over the neurons that fired in each resample; NaN where none did."""
    known = np.isfinite(bits)
    n = known.sum(axis=1)
    return np.divide(np.where(known, bits, 0.0).sum(axis=1), n, out=np.full(len(bits), np.nan), where=n > 0)


def mean_gain(better: SpikeSums, worse: SpikeSums) -> float:
    """Mean over neurons; NaN where all are silent. Both of shape (K, n)."""
    return float(mean_over_neurons(bits_gained(better.total(), worse.total())[None])[0])


def gain(better: SpikeSums, worse: SpikeSums, weights: Float[ndarray, "R K"]) -> Gain:
    """Both of shape (K, n), of the same trials and neurons: the trials are resampled in pairs."""
    total, resampled = (better.total(), worse.total()), (better.total(weights), worse.total(weights))
    low, high = interval(mean_over_neurons(better.resampled_bits(weights) - worse.resampled_bits(weights)))
    pooled_low, pooled_high = interval(resampled[0].pooled() - resampled[1].pooled())
    pooled = total[0].pooled() - total[1].pooled()
    return Gain(mean_gain(better, worse), float(low), float(high), pooled, float(pooled_low), float(pooled_high))
