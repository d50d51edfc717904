"""From a session to trials: spikes, behaviors and regions on one grid of bins around an event.

Where a source holds binned counts around an event only (`Coverage`), the grid must sit on the source's own bins, and
bins beyond them are marked as holding no data. Silence and absence are different things to a model and to a score.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy import ndarray

from ..regions import map_regions
from ..session import Coverage, Session, Trials
from .behaviors import sample_stream, trial_behaviors
from .binning import Grid, count_spikes
from .splits import interleaved_blocks, trial_groups

LARGEST = 4 * 2**30  # bytes of counts; beyond it a laptop swaps
TOLERANCE = 1e-6  # of a bin; window and bin size are decimal numbers in binary floats


def align(session: Session, event: str, window: tuple[float, float], bin_size: float, region_level: str) -> Trials:
    """Trials of the session cut at window (s) around a column of the trials table, in bins of bin_size (s).

    Left out, with reason and number in `excluded`: trials without a time of the event, trials without any recorded bin.
    The split is `interleaved_blocks`; see `splits.with_split` for others. Raises ValueError in one sentence for an
    unknown event, a window that is no whole number of bins or off the native grid, a bin size finer than or no multiple
    of the native bin, no trial with data, or counts beyond 4 GB.
    """
    _check_event(session, event)
    n_bins = _number_of_bins(window, bin_size)
    _check_native_grid(session.coverage, window, bin_size)
    starts = _event_times(session, event) + window[0]
    valid = _recorded(session, starts, bin_size, n_bins)
    keep = valid.any(axis=1)
    if not keep.any():
        raise ValueError(_no_data(session, event, window))
    _check_size(int(keep.sum()), n_bins, session.n_neurons)
    grid, valid, table = Grid(starts[keep], bin_size, n_bins), valid[keep], session.trials[keep]
    counts = count_spikes(session.spike_times, session.spike_units, session.n_neurons, grid)
    counts[~valid] = 0
    return Trials(
        session_id=session.id,
        counts=counts,
        valid=valid,
        bin_size=bin_size,
        window=(float(window[0]), float(window[1])),
        event=event,
        unit_ids=session.units["uuid"].to_numpy(dtype=np.str_),
        regions=map_regions(session.units["region"], region_level),
        region_level=region_level,
        behaviors=_behaviors(session, table, grid),
        table=table,
        excluded=_excluded(event, starts, keep),
        split=interleaved_blocks(trial_groups(table, event, window)),
        true_rates=_true_counts(session, event, grid, keep),
    )


def _check_event(session: Session, event: str) -> None:
    if event not in session.trials:
        times = [name for name in session.trials.columns if name.endswith("_times")]
        raise ValueError(f"session {session.id} has no event {event!r}; choose one of {', '.join(times)}")


def _number_of_bins(window: tuple[float, float], bin_size: float) -> int:
    start, end = window
    if not (np.isfinite([start, end, bin_size]).all() and start < end and bin_size > 0):
        raise ValueError(
            f"window {start}..{end} s in bins of {bin_size} s is empty; the window must end after it starts "
            "and bins must be longer than 0 s"
        )
    exact = (end - start) / bin_size
    if abs(exact - round(exact)) > TOLERANCE * exact or round(exact) < 1:
        raise ValueError(
            f"window {start}..{end} s is {exact:.3f} bins of {bin_size} s; choose a window of a whole number of bins"
        )
    return round(exact)


def _check_native_grid(coverage: Coverage | None, window: tuple[float, float], bin_size: float) -> None:
    if coverage is None or coverage.bin_size == 0:
        return
    native = coverage.bin_size
    if bin_size < native * (1 - TOLERANCE) or not _is_whole(bin_size / native):
        raise ValueError(
            f"spikes of this recording are known in bins of {native * 1e3:g} ms only; choose a bin size which is a "
            f"multiple of that, not {bin_size * 1e3:g} ms"
        )
    if not _is_whole((window[0] - coverage.start) / native):
        raise ValueError(
            f"a window from {window[0]:g} s cuts through the recording's own bins of {native * 1e3:g} ms; start it a "
            f"whole number of such bins from {coverage.start:g} s"
        )


def _is_whole(ratio: float) -> bool:
    return abs(ratio - round(ratio)) < TOLERANCE * max(1.0, abs(ratio))


def _event_times(session: Session, event: str) -> Float[ndarray, " K"]:
    """Times of the event, s, NaN where it did not happen.

    Where spikes are known in bins around another event, the time is moved to the nearest edge of these bins, by at most
    half of one: finer timing does not exist there, and behaviors move along.
    """
    times = session.trials[event].to_numpy(dtype=np.float64)
    coverage = session.coverage
    if coverage is None or coverage.bin_size == 0 or event == coverage.event:
        return times
    anchor = session.trials[coverage.event].to_numpy(dtype=np.float64)
    return anchor + np.rint((times - anchor) / coverage.bin_size) * coverage.bin_size


def _recorded(session: Session, starts: ndarray, bin_size: float, n_bins: int) -> Bool[ndarray, "K T"]:
    """Bins for which the recording holds data; none for a trial without event (start is NaN).

    Without coverage the recording is continuous and lasts from its first to its last spike.
    """
    left = starts[:, None] + np.arange(n_bins) * bin_size
    right, margin = left + bin_size, TOLERANCE * bin_size
    coverage = session.coverage
    if coverage is None:
        return (right > session.spike_times[0]) & (left <= session.spike_times[-1])
    anchor = session.trials[coverage.event].to_numpy(dtype=np.float64)[:, None]
    return (left >= anchor + coverage.start - margin) & (right <= anchor + coverage.end + margin)


def _no_data(session: Session, event: str, window: tuple[float, float]) -> str:
    coverage = session.coverage
    if not np.isfinite(session.trials[event]).any():
        return f"no trial of session {session.id} has a time of {event}; choose another event"
    where = "between its first and last spike"
    if coverage is not None:
        where = f"from {coverage.start:g} to {coverage.end:g} s around {coverage.event}"
    return f"session {session.id} holds no spikes at {window[0]:g}..{window[1]:g} s around {event}; it has data {where}"


def _check_size(n_trials: int, n_bins: int, n_neurons: int) -> None:
    size = n_trials * n_bins * n_neurons
    if size > LARGEST:
        raise ValueError(
            f"{n_trials} trials x {n_bins} bins x {n_neurons} neurons need {size / 2**30:.1f} GB, the limit is "
            f"{LARGEST / 2**30:.0f} GB; choose a shorter window or longer bins"
        )


def _excluded(event: str, starts: ndarray, keep: ndarray) -> dict[str, int]:
    missing = np.isnan(starts)
    reasons = {f"no time of {event}": missing, "no recorded bin in the window": ~missing & ~keep}
    return {reason: int(trials.sum()) for reason, trials in reasons.items() if trials.any()}


def _behaviors(session: Session, table: pd.DataFrame, grid: Grid) -> dict[str, ndarray]:
    streams = {name: sample_stream(times, values, grid) for name, (times, values) in session.behaviors.items()}
    return streams | trial_behaviors(table)


def _true_counts(session: Session, event: str, grid: Grid, keep: ndarray) -> Float[ndarray, "K T N"] | None:
    """Expected counts per bin of a simulated session; None if its rates are not known on this very grid."""
    truth = session.true_rates
    if truth is None or event != truth.event:
        return None
    # Every trial has the same offset to its event, so the first one tells where the grid lies.
    first = (grid.starts[0] - session.trials[event].to_numpy()[keep][0] - truth.start) / truth.bin_size
    factor = grid.bin_size / truth.bin_size
    # Event times of an hour carry rounding errors of 1e-12 s: far below a thousandth of a bin.
    if max(abs(first - round(first)), abs(factor - round(factor))) > 1e-3:
        return None
    begin, end = round(first), round(first) + round(factor) * grid.n_bins
    if begin < 0 or end > truth.rates_hz.shape[1]:
        return None
    rates = truth.rates_hz[keep, begin:end]
    return rates.reshape(len(rates), grid.n_bins, round(factor), -1).sum(axis=2) * np.float32(truth.bin_size)
