"""The task and behavior of a simulated mouse: IBL's decision task, wheel, whiskers, pupil and arousal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy import ndarray
from numpy.random import Generator
from scipy.signal import lfilter

CONTRASTS = (0.0, 0.0625, 0.125, 0.25, 1.0)
UNBIASED = 90  # trials at the start with a left stimulus in half of them
BLOCK_LENGTH = (20, 100)  # trials
GAP = (4.6, 5.6)  # s from stimulus to stimulus; more than any window
SENSITIVITY, PRIOR_WEIGHT, LAPSE = 12.0, 0.6, 0.05


@dataclass(frozen=True, eq=False)
class Behavior:
    """On one regular grid over the whole session: S bins from time 0."""

    task: ndarray  # (S, 4) responses to stimulus, choice, movement and reward, of order one
    arousal: ndarray  # (S, 2) slow states shared by all regions, variance about one
    streams: dict[str, tuple[ndarray, ndarray]]

    @property
    def n_bins(self) -> int:
        return len(self.task)


def simulate_trials(rng: Generator, n_trials: int, bin_size: float) -> pd.DataFrame:
    """Trials table with the columns of the IBL; stimuli begin on the grid of bins."""
    # On the grid, so that latents and behaviors, which live on it, need no interpolation.
    stimulus = 5.0 + np.rint(np.cumsum(rng.uniform(*GAP, n_trials)) / bin_size) * bin_size
    prior = _blocks(rng, n_trials)
    left = rng.random(n_trials) < prior
    contrast = rng.choice(CONTRASTS, n_trials)
    signed = np.where(left, -contrast, contrast)
    choice = _choices(rng, signed, prior)
    moved = stimulus + 0.13 + rng.lognormal(np.log(0.22 - 0.08 * contrast), 0.35)
    response = moved + rng.uniform(0.12, 0.3, n_trials)
    # A mouse that does not answer moves nothing until the time is up.
    moved = np.where(choice == 0, np.nan, moved)
    response = np.where(choice == 0, stimulus + 4.0, response)
    # Without a stimulus the rewarded side is drawn, as `left` was.
    right_answer = choice == np.where(left, 1, -1)
    return pd.DataFrame(
        {
            "stimOn_times": stimulus,
            "goCue_times": stimulus + 0.002,
            "firstMovement_times": moved,
            "response_times": response,
            "feedback_times": response + 0.005,
            "choice": choice,
            "contrastLeft": np.where(left, contrast, np.nan),
            "contrastRight": np.where(left, np.nan, contrast),
            "probabilityLeft": prior,
            "feedbackType": np.where(right_answer, 1.0, -1.0),
            "rewardVolume": np.where(right_answer, 1.5, 0.0),
            "intervals_0": stimulus - 0.55,
            "intervals_1": np.maximum(response + 0.5, stimulus + 1.6),
        }
    )


def _blocks(rng: Generator, n_trials: int) -> ndarray:
    """Probability of a left stimulus per trial: 0.5 at first, then blocks of 0.2 and 0.8 in turn."""
    values, side = [0.5] * UNBIASED, rng.choice([0.2, 0.8])
    while len(values) < n_trials:
        values += [side] * int(rng.integers(BLOCK_LENGTH[0], BLOCK_LENGTH[1] + 1))
        side = 1.0 - side
    return np.round(values[:n_trials], 1)


def _choices(rng: Generator, signed: ndarray, prior: ndarray) -> ndarray:
    """+1 left, -1 right, 0 no answer. Logistic in what the mouse sees and, with it, expects; some lapses."""
    evidence = -SENSITIVITY * signed / (1 + 2 * np.abs(signed)) + PRIOR_WEIGHT * np.log(prior / (1 - prior))
    p_left = LAPSE + (1 - 2 * LAPSE) / (1 + np.exp(-evidence))
    choice = np.where(rng.random(len(signed)) < p_left, 1.0, -1.0)
    return np.where(rng.random(len(signed)) < 0.015, 0.0, choice)


def simulate_behavior(rng: Generator, trials: pd.DataFrame, bin_size: float) -> Behavior:
    """Task responses, arousal and behavior streams on bins of bin_size (s) from 0 to after the last trial."""
    n_bins = int(np.ceil((trials["stimOn_times"].iloc[-1] + 6.0) / bin_size))
    task = _task_responses(trials, n_bins, bin_size)
    moving = task[:, 2]
    arousal = np.column_stack([_slow(rng, n_bins, 2.0 / bin_size), _slow(rng, n_bins, 0.6 / bin_size)])
    arousal[:, 1] = 0.8 * arousal[:, 1] + 0.6 * moving / moving.std()
    arousal = (arousal - arousal.mean(axis=0)) / arousal.std(axis=0)
    centers = (np.arange(n_bins) + 0.5) * bin_size
    fidget = np.exp(0.8 * _slow(rng, n_bins, 0.15 / bin_size) + 0.4 * arousal[:, 0] - 2.5)
    wheel = np.abs(4.0 * moving * (1 + 0.2 * _slow(rng, n_bins, 0.1 / bin_size)) + fidget)
    whiskers = np.exp(0.45 * arousal[:, 1] + 0.25 * arousal[:, 0] + 0.25 * _slow(rng, n_bins, 0.08 / bin_size))
    pupil = 30 + 4 * _lag(arousal[:, 0] + 0.5 * arousal[:, 1], 0.5 / bin_size) + 0.3 * rng.normal(size=n_bins)
    streams = {
        "wheel_speed": wheel,
        "whisker_motion_energy": 8 * whiskers,
        "pupil": pupil,
    }
    return Behavior(task, arousal, {name: (centers, values.astype(np.float32)) for name, values in streams.items()})


def _task_responses(trials: pd.DataFrame, n_bins: int, bin_size: float) -> ndarray:
    """Events weighted by what happened, filtered by the shape of the response: (S, 4)."""
    contrast = trials["contrastRight"].fillna(0) - trials["contrastLeft"].fillna(0)
    choice, stimulus, moved = trials["choice"], trials["stimOn_times"], trials["firstMovement_times"]
    # Event time (s), weight, rise and decay (s). Contrast saturates; the choice builds up before the movement.
    events = (
        (stimulus + 0.05, np.sign(contrast) * np.sqrt(np.abs(contrast)), 0.03, 0.12),
        ((moved - 0.12).fillna(0), choice, 0.06, 0.25),
        ((moved - 0.02).fillna(0), np.abs(choice), 0.05, 0.15),
        (trials["feedback_times"], trials["feedbackType"], 0.06, 0.4),
    )
    task = np.zeros((n_bins, len(events)))
    for column, (times, weights, rise, decay) in enumerate(events):
        impulses = np.zeros(n_bins)
        np.add.at(impulses, (times.to_numpy() / bin_size).astype(np.int64), weights.to_numpy())
        shape = np.exp(-np.arange(0, 2, bin_size) / decay) - np.exp(-np.arange(0, 2, bin_size) / rise)
        task[:, column] = np.convolve(impulses, shape / shape.max())[:n_bins]
    return task


def _lag(signal: ndarray, time_constant: float) -> ndarray:
    """Exponential smoothing into the past; time_constant in bins."""
    decay = np.exp(-1 / time_constant)
    return lfilter([1 - decay], [1, -decay], signal)


def _slow(rng: Generator, n_bins: int, time_constant: float) -> ndarray:
    """Ornstein-Uhlenbeck noise of variance one; time_constant in bins."""
    decay = np.exp(-1 / time_constant)
    return lfilter([np.sqrt(1 - decay**2)], [1, -decay], rng.normal(size=n_bins))
