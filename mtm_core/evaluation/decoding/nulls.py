"""Behavior that these neurons did not produce, but as slow and as structured as the true one.

Neurons drift over a session and so does behavior. Two slow series go along with each other by chance much more often
than independent trials would, so shuffling trials makes nearly anything significant (Harris 2020, "Nonsense
correlations in neuroscience"). Each null here keeps the order of trials:

other sessions    behavior of other recordings at the same trial numbers (session permutation, or imposter sessions),
                  each once: with fewer than 19 no p could reach .05
drawn sessions    behavior drawn from a model of the IBL task and of this mouse (pseudo-sessions)
shifted trials    the true behavior, moved by some trials against the spikes (linear shift)

Measured on drifting features and unrelated drifting behavior of 200 trials, at p <= .05: shuffled trials reject in 69 %
of simulated sessions, shifted trials in 4 to 7 %. Joining the beginnings and ends of a few other sessions, to get many
nulls out of them, rejects in 27 % with two sessions and still in 10 to 15 % with 14: so none is used twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from numpy.random import Generator

from ...session import Trials
from .behaviors import TWO_SIDED
from .task_model import TASK_BEHAVIORS, fit_task

FEWEST_DONORS = 19
SMALLEST_SHIFT, LARGEST_SHIFT = 5, 1 / 3  # trials; share of the session

Donor = Mapping[str, Float[ndarray, "_ ..."]]  # behaviors of another session, as in `Trials.behaviors`


@dataclass(frozen=True)
class Null:
    """One kind of null for one behavior."""

    kind: str  # in words, for the record
    draws: Callable[[int, Generator], Iterator[Float[ndarray, "K ..."]]]  # at most so many; raw values, NaN if unknown


def choose_null(name: str, trials: Trials, training: Bool[ndarray, "K"], donors: Sequence[Donor]) -> Null:
    """The best null there is for a behavior: many other sessions, else drawn sessions, else shifted trials.

    training: flags of the trials that a model of the mouse may be fitted to.
    """
    values = trials.behaviors[name]
    fitting = [donor[name] for donor in donors if name in donor and donor[name].shape[1:] == values.shape[1:]]
    if len(fitting) >= FEWEST_DONORS:
        return of_other_sessions(trials.n_trials, fitting)
    if name in TWO_SIDED and TASK_BEHAVIORS <= trials.behaviors.keys():
        return of_drawn_sessions(name, trials, training)
    return of_shifts(values)


def of_other_sessions(n_trials: int, donors: Sequence[Float[ndarray, "_ ..."]]) -> Null:
    """Each other session once, its first trials; trials that it does not have are unknown."""

    def draws(n: int, rng: Generator) -> Iterator[ndarray]:
        for chosen in rng.permutation(len(donors))[:n]:
            yield _cut(donors[chosen], n_trials)

    return Null(f"behavior of {len(donors)} other sessions", draws)


def _cut(values: Float[ndarray, "_ ..."], n_trials: int) -> Float[ndarray, "K ..."]:
    found = np.full((n_trials, *values.shape[1:]), np.nan)
    found[: len(values)] = values[:n_trials]
    return found


def of_drawn_sessions(name: str, trials: Trials, training: Bool[ndarray, "K"]) -> Null:
    model = fit_task(trials, training)

    def draws(n: int, rng: Generator) -> Iterator[ndarray]:
        return (model.draw(rng)[name] for _ in range(n))

    return Null("sessions drawn from a model of the task", draws)


def of_shifts(values: Float[ndarray, "K ..."]) -> Null:
    """The true behavior some trials earlier or later, no shift twice; trials that were shifted in are unknown."""
    largest = max(SMALLEST_SHIFT, int(LARGEST_SHIFT * len(values)))
    sizes = np.arange(SMALLEST_SHIFT, largest + 1)

    def draws(n: int, rng: Generator) -> Iterator[ndarray]:
        return (shifted(values, int(shift)) for shift in rng.permutation([*sizes, *-sizes])[:n])

    return Null(f"true behavior shifted by {SMALLEST_SHIFT} to {largest} trials", draws)


def shifted(values: Float[ndarray, "K ..."], n: int) -> Float[ndarray, "K ..."]:
    """Trial k gets the values of trial k + n; NaN where there is none."""
    moved = np.full(values.shape, np.nan)
    source = np.arange(len(values)) + n
    inside = (source >= 0) & (source < len(values))
    moved[inside] = values[source[inside]]
    return moved
