"""What spikes alone say about a neuron, whatever the model: the baseline of the region probe.

Regions differ in how fast and how regularly their neurons fire, so a part of what an embedding tells about the region
could be had from an afternoon with the spike trains. All numbers come from training trials: counts in their valid bins,
and intervals between spikes that lie within one training trial. Waveforms and places on the probe are not used.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from ..session import Session, Trials

N_BLOCKS = 10  # of the PSTH
LAGS = 5  # bins of the autocorrelation
ISI_EDGES = np.geomspace(0.001, 1.0, 11)  # s; shorter and longer intervals have a bin each
RATE_FLOOR = 0.01  # Hz; a silent neuron's rate in logarithms
FANO_FLOOR = 0.05
FEATURES = (
    "log rate (Hz)",
    "log Fano factor of spikes per trial",
    "share of silent bins",
    *(f"PSTH block {block + 1} of {N_BLOCKS} (share of the mean)" for block in range(N_BLOCKS)),
    "PSTH modulation (standard deviation over mean)",
    "PSTH peak (share of the window)",
    *(f"autocorrelation at {lag} bins" for lag in range(1, LAGS + 1)),
    "intervals below 1 ms (share)",
    *(f"intervals of {1000 * low:.0f} to {1000 * high:.0f} ms (share)" for low, high in pairwise(ISI_EDGES)),
    "intervals above 1 s (share)",
    "local variation of intervals",
)


def firing_features(session: Session, trials: Trials) -> Float[ndarray, "N F"]:
    """The features above of every neuron of `trials`, float64, finite also for silent neurons.

    `trials` are those of `session`, all splits; raises ValueError if none of them are for training.
    """
    train = trials.select("train")
    if train.n_trials == 0:
        raise ValueError(f"session {trials.session_id} has no training trials to describe its neurons by")
    return np.concatenate([_of_counts(train), _of_intervals(session, train)], axis=1)


def _of_counts(train: Trials) -> Float[ndarray, "N C"]:
    """Rate, variability, PSTH and autocorrelation from counts in valid bins."""
    valid = train.valid[:, :, None]
    counts = np.where(valid, train.counts, 0).astype(np.float32)
    n_valid = max(int(train.valid.sum()), 1)
    mean = counts.sum(axis=(0, 1), dtype=np.float64) / n_valid
    silent = ((counts == 0) & valid).sum(axis=(0, 1)) / n_valid
    psth = counts.sum(axis=0, dtype=np.float64) / np.maximum(train.valid.sum(axis=0), 1)[:, None]
    columns = [np.log(np.maximum(mean / train.bin_size, RATE_FLOOR)), np.log(_fano(train, counts)), silent]
    return np.column_stack([*columns, *_psth_shape(psth), _autocorrelation(counts, psth, train.valid)])


def _fano(train: Trials, counts: Float[ndarray, "K T N"]) -> Float[ndarray, " N"]:
    """Variance over mean of spikes per trial, of trials that are valid throughout; 1 (Poisson) where unknown."""
    spikes = counts[train.valid.all(axis=1)].sum(axis=1, dtype=np.float64)
    if len(spikes) < 2:
        return np.ones(counts.shape[2])
    mean = spikes.mean(axis=0)
    fano = np.divide(spikes.var(axis=0, ddof=1), mean, out=np.ones_like(mean), where=mean > 0)
    return np.maximum(fano, FANO_FLOOR)


def _psth_shape(psth: Float[ndarray, "T N"]) -> list[Float[ndarray, " N"]]:
    """Blocks, modulation and place of the peak; a flat PSTH where a neuron is silent."""
    mean = psth.mean(axis=0)
    shape = np.divide(psth, mean, out=np.ones_like(psth), where=mean > 0)
    edges = np.linspace(0, len(psth), N_BLOCKS + 1)
    # of a window of fewer bins than blocks, a block is the bin that it lies in
    ends = [(int(a), max(int(np.ceil(b)), int(a) + 1)) for a, b in pairwise(edges)]
    blocks = [shape[start:stop].mean(axis=0) for start, stop in ends]
    smooth = np.array(blocks)
    return [*blocks, shape.std(axis=0), smooth.argmax(axis=0) / N_BLOCKS]


def _autocorrelation(
    counts: Float[ndarray, "K T N"], psth: Float[ndarray, "T N"], valid: ndarray
) -> Float[ndarray, "N L"]:
    """Correlation of a neuron's counts, less its PSTH, with themselves some bins later; 0 where unknown."""
    residual = np.where(valid[:, :, None], counts - psth.astype(np.float32), 0)
    power = np.einsum("ktn,ktn->n", residual, residual, dtype=np.float64)
    found = np.zeros((counts.shape[2], LAGS))
    for lag in range(1, min(LAGS, counts.shape[1] - 1) + 1):
        shared = np.einsum("ktn,ktn->n", residual[:, lag:], residual[:, :-lag], dtype=np.float64)
        found[:, lag - 1] = np.divide(shared, power, out=np.zeros_like(power), where=power > 0)
    return found


def _of_intervals(session: Session, train: Trials) -> Float[ndarray, "N I"]:
    """Histogram and local variation (Shinomoto, Shima & Tanji 2003) of the intervals between a neuron's spikes."""
    unit, trial, times = _spikes(session, train)
    same = (unit[1:] == unit[:-1]) & (trial[1:] == trial[:-1])
    owner, interval = unit[1:][same], np.diff(times)[same]
    n = train.n_neurons
    place = np.searchsorted(ISI_EDGES, interval, side="right")
    histogram = np.bincount(owner * (len(ISI_EDGES) + 1) + place, minlength=n * (len(ISI_EDGES) + 1)).reshape(n, -1)
    shares = histogram / np.maximum(histogram.sum(axis=1, keepdims=True), 1)
    # two intervals that follow each other: three spikes of one neuron in one trial
    both = same[1:] & same[:-1]
    first, second = np.diff(times)[:-1][both], np.diff(times)[1:][both]
    total = first + second
    change = 3 * np.divide(first - second, total, out=np.zeros_like(total), where=total > 0) ** 2
    n_pairs = np.bincount(unit[2:][both], minlength=n)
    variation = np.bincount(unit[2:][both], weights=change, minlength=n)
    # a Poisson process has a local variation of 1
    return np.column_stack([shares, np.divide(variation, n_pairs, out=np.ones(n), where=n_pairs > 0)])


def _spikes(session: Session, train: Trials) -> tuple[Int[ndarray, " S"], Int[ndarray, " S"], Float[ndarray, " S"]]:
    """Neuron, trial and time (s) of all spikes in the windows of these trials, by neuron, trial, time."""
    starts = train.table[train.event].to_numpy(dtype=np.float64) + train.window[0]
    ends = starts + train.n_bins * train.bin_size
    low, high = np.searchsorted(session.spike_times, starts), np.searchsorted(session.spike_times, ends)
    n = high - low
    trial = np.repeat(np.arange(train.n_trials), n)
    # places of the spikes of all trials, one trial after another
    place = np.repeat(low - np.concatenate([[0], np.cumsum(n)[:-1]]), n) + np.arange(n.sum())
    unit = _column(session, train)[session.spike_units[place]]
    order = np.argsort(unit * train.n_trials + trial, kind="stable")
    order = order[unit[order] >= 0]
    return unit[order], trial[order], session.spike_times[place][order].astype(np.float64)


def _column(session: Session, train: Trials) -> Int[ndarray, " U"]:
    """The neuron of the trials that each unit of the session is; -1: it is none of them."""
    places = {str(unit_id): place for place, unit_id in enumerate(train.unit_ids)}
    return np.array([places.get(str(unit_id), -1) for unit_id in session.units["uuid"]], dtype=np.int64)
