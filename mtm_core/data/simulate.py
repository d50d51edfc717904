"""A simulated cohort with known truth: four mice, five regions, no file needed.

Each session is a pure function of its id. A mouse does the IBL task (psychometric choice with a block prior); the
neurons of a region share a few latents:
    latents of a region = own damped oscillation + latents of the region before it, some bins earlier + task responses
    log rate = base + region latents . loadings + global arousal . loadings + drift over the session
    spikes   ~ Poisson(rate), uniform within bins of 20 ms
So other neurons, other regions and the past all tell something about a neuron, and `Session.true_rates` is the ceiling
of what any model can reach.

Measured on the test trials, mean over neurons, in the four sessions: the true rates score .51 to .59 bits per spike, a
leave-one-out ridge regression on smoothed counts 54 to 59 % of that, and inference with the true loadings and the
latents' covariance 86 to 88 % of it. Oscillations and the exponential are what a linear, smoothing model misses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy import ndarray
from numpy.random import Generator
from scipy.signal import lfilter

from ..session import Coverage, Session, TrueRates
from .simulate_task import Behavior, simulate_behavior, simulate_trials

BIN = 0.02  # s
WINDOW = (-0.5, 1.5)  # s around the stimulus
N_BINS = 100
N_TRIALS = 320
DATE = "2025-01-01"
HIGHEST_RATE = 150.0  # Hz


@dataclass(frozen=True)
class Region:
    """Dynamics of the latents of a region; the coupling goes from the region before it in the table."""

    n_latents: int
    time_constant: float  # s, of the damping
    frequency: float  # Hz
    lag: int  # bins by which the region follows the one that drives it
    stimulus: float  # gains of task responses, in standard deviations of the latents
    choice: float
    movement: float
    reward: float


# Driver first: visual thalamus -> parietal cortex -> somatosensory thalamus -> hippocampus.
REGIONS = {
    "LP": Region(2, 0.25, 5.0, 0, stimulus=3.5, choice=0.0, movement=1.0, reward=0.0),
    "VISa": Region(3, 0.30, 6.0, 2, stimulus=2.5, choice=2.5, movement=1.5, reward=0.0),
    "PO": Region(2, 0.35, 7.0, 1, stimulus=0.8, choice=1.2, movement=3.5, reward=0.8),
    "CA1": Region(2, 0.40, 8.0, 3, stimulus=0.5, choice=0.0, movement=1.5, reward=2.5),
    "DG": Region(2, 0.30, 8.0, 2, stimulus=0.0, choice=0.8, movement=1.2, reward=3.0),
}


@dataclass(frozen=True)
class Animal:
    """One session of one animal: how many neurons in which regions."""

    subject: str
    seed: int
    neurons: dict[str, int]


ANIMALS = {
    "simulated-1": Animal("sim-A", 11, {"PO": 45, "LP": 55, "DG": 40, "CA1": 60, "VISa": 60}),
    "simulated-2": Animal("sim-B", 12, {"PO": 40, "LP": 35, "DG": 35, "CA1": 45, "VISa": 65}),
    "simulated-3": Animal("sim-C", 13, {"PO": 60, "LP": 45, "DG": 50, "CA1": 75, "VISa": 70}),
    "simulated-4": Animal("sim-D", 14, {"PO": 35, "LP": 65, "DG": 45, "CA1": 50, "VISa": 45}),
}
SIMULATED_IDS = tuple(ANIMALS)

LATENT_SCALE = 0.7  # standard deviation that the region's latents add to a log rate
AROUSAL_SCALE = 0.28
DRIFT_SCALE = 0.15
COUPLING = 0.75  # share of a latent's standard deviation that comes from the driving region
BASE_MEDIAN, BASE_SPREAD = 5.0, 0.8  # Hz, and standard deviation of the log


def simulated_session(session_id: str) -> Session:
    """The session of this id, always the same. Raises KeyError for an id that is not in SIMULATED_IDS."""
    animal = ANIMALS[session_id]
    rng = np.random.default_rng(animal.seed)
    trials = simulate_trials(rng, N_TRIALS, BIN)
    behavior = simulate_behavior(rng, trials, BIN)
    units = _units(rng, session_id, animal)
    rates = _rates(rng, units, trials, behavior)
    times, fired_by = _spikes(rng, rates, trials["stimOn_times"].to_numpy() + WINDOW[0])
    return Session(
        id=session_id,
        subject=animal.subject,
        date=DATE,
        number=1,
        source="simulated",
        spike_times=times,
        spike_units=fired_by,
        units=units.drop(columns="base"),
        trials=trials,
        behaviors=behavior.streams,
        coverage=Coverage("stimOn_times", *WINDOW, BIN),
        true_rates=TrueRates(rates, "stimOn_times", WINDOW[0], BIN),
    )


def duration(session_id: str) -> float:
    """s from the first to the last bin of a session, without simulating its spikes."""
    trials = simulate_trials(np.random.default_rng(ANIMALS[session_id].seed), N_TRIALS, BIN)
    return float(np.ptp(trials["stimOn_times"]) + WINDOW[1] - WINDOW[0])


def _units(rng: Generator, session_id: str, animal: Animal) -> pd.DataFrame:
    """Units table with the base rate (log Hz) of each neuron."""
    regions = np.repeat(list(animal.neurons), list(animal.neurons.values()))
    n_units = len(regions)
    base = rng.normal(np.log(BASE_MEDIAN), BASE_SPREAD, n_units)
    return pd.DataFrame(
        {
            "uuid": [f"{session_id}-{row:03d}" for row in range(n_units)],
            "region": regions.astype(object),
            "probe": "probe00",
            # One probe from the tip in PO up to VISa, as at the IBL's repeated site.
            "depth": np.sort(rng.uniform(20, 3800, n_units)),
            "quality": 1.0,
            "base": np.clip(base, np.log(0.5), np.log(20.0)),
        }
    )


def _rates(rng: Generator, units: pd.DataFrame, trials: pd.DataFrame, behavior: Behavior) -> ndarray:
    """True rates (K, T, N) in Hz, float32."""
    first = np.rint((trials["stimOn_times"].to_numpy() + WINDOW[0]) / BIN).astype(np.int64)
    bins = first[:, None] + np.arange(N_BINS)
    log_rates = np.empty((len(trials), N_BINS, len(units)), dtype=np.float32)
    arousal = behavior.arousal[bins]
    driver = None
    for name, region in REGIONS.items():
        latents = driver = _latents(rng, region, behavior, driver)
        members = np.flatnonzero(units["region"] == name)
        shared = np.concatenate([latents[bins], arousal], axis=-1).astype(np.float32)
        loadings = np.concatenate(
            [
                _loadings(rng, latents.shape[1], len(members), LATENT_SCALE),
                _loadings(rng, arousal.shape[-1], len(members), AROUSAL_SCALE),
            ]
        )
        log_rates[:, :, members] = shared @ loadings.astype(np.float32)
    log_rates += units["base"].to_numpy(dtype=np.float32) + _drift(rng, len(trials), len(units))[:, None]
    np.minimum(log_rates, np.float32(np.log(HIGHEST_RATE)), out=log_rates)
    return np.exp(log_rates, out=log_rates)


def _latents(rng: Generator, region: Region, behavior: Behavior, driver: ndarray | None) -> ndarray:
    """Latents of a region over the whole session (S, D), each of variance about one."""
    shape = (behavior.n_bins, region.n_latents)
    own = _standard(_noise(rng, region, shape))
    if driver is not None:
        weights = rng.normal(size=(driver.shape[1], region.n_latents))
        driven = _standard(np.roll(driver, region.lag, axis=0) @ weights)
        own = np.sqrt(1 - COUPLING**2) * own + COUPLING * driven
    gains = np.array([region.stimulus, region.choice, region.movement, region.reward])
    directions = rng.normal(size=(4, region.n_latents)) / np.sqrt(region.n_latents)
    return _standard(own + behavior.task @ (gains[:, None] * directions))


def _noise(rng: Generator, region: Region, shape: tuple[int, int]) -> ndarray:
    """Damped oscillation driven by noise, with the region's frequency and time constant."""
    decay = np.exp(-BIN / region.time_constant)
    poles = [1, -2 * decay * np.cos(2 * np.pi * region.frequency * BIN), decay**2]
    return lfilter([1], poles, rng.normal(size=shape), axis=0)


def _standard(signals: ndarray) -> ndarray:
    return (signals - signals.mean(axis=0)) / signals.std(axis=0)


def _loadings(rng: Generator, n_latents: int, n_neurons: int, scale: float) -> ndarray:
    """Loadings (D, N); every neuron follows the latents equally strongly, each in its own mixture."""
    loadings = rng.normal(size=(n_latents, n_neurons))
    return scale * loadings / np.linalg.norm(loadings, axis=0)


def _drift(rng: Generator, n_trials: int, n_neurons: int) -> ndarray:
    """Slow change of each neuron's log rate over the session (K, N): a random phase of half a period, plus a trend."""
    session = np.linspace(0, 1, n_trials)[:, None]
    phase = rng.uniform(0, 2 * np.pi, n_neurons)
    return (DRIFT_SCALE * np.sqrt(2) * np.sin(np.pi * session + phase)).astype(np.float32)


def _spikes(rng: Generator, rates: ndarray, starts: ndarray) -> tuple[ndarray, ndarray]:
    """Sorted spike times and units of a Poisson process with these rates (K, T, N), windows beginning at starts (s).

    The number of spikes is drawn first and then the cell (trial, bin, neuron) of each: given their number, the spikes
    of a Poisson process are independent draws in proportion to the rate. It is the same law as one Poisson draw per
    cell and faster, because most cells are empty.
    """
    ends = np.cumsum(rates, dtype=np.float64)
    n_spikes = rng.poisson(ends[-1] * BIN)
    # Partial sums of exponential gaps are sorted uniform numbers, and sorted keys are quick to search for.
    gaps = np.cumsum(rng.standard_exponential(n_spikes + 1))
    cells = np.searchsorted(ends, gaps[:-1] / gaps[-1] * ends[-1], side="right")
    place, unit = np.divmod(np.minimum(cells, ends.size - 1), rates.shape[2])
    trial, time_bin = np.divmod(place, rates.shape[1])
    # Off the edges by a thousandth of a bin, so that rounding of a time cannot move a spike to another bin.
    times = starts[trial] + (time_bin + rng.uniform(0.001, 0.999, n_spikes)) * BIN
    order = np.argsort(times, kind="stable")
    return times[order], unit[order].astype(np.int32)
