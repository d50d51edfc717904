"""Whether spikes exist only around trials: between them there is then no data, which is not silence."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

SILENCE = 0.5  # s without a spike of any unit; whole populations are not silent for so long
SHARE = 0.3  # of the recording that must be such silence
FEWEST = 10  # stretches; fewer may be pauses of the rig
ROUNDED = 0.01  # s; windows are given in round numbers
WHOLE = 0.02  # s; of bins that are usual, so that a window of whole bins exists


def spike_window(times: Float[ndarray, " S"], events: Float[ndarray, " K"]) -> tuple[float, float] | None:
    """(start, end) in s around the event that hold all spikes, where a recording was cut to trials; None otherwise.

    times and events are sorted, in s. Stretches of spikes that are parted by long silences are taken to be the trials;
    the window is what covers them all, and must fit at least nine tenths of them to within a tenth of a second.
    """
    events = events[np.isfinite(events)]
    if len(times) < FEWEST or len(events) < FEWEST:
        return None
    after = np.flatnonzero(np.diff(times) > SILENCE)
    starts, ends = times[np.append(0, after + 1)], times[np.append(after, len(times) - 1)]
    silent = (times[-1] - times[0]) - (ends - starts).sum()
    if len(starts) < max(FEWEST, len(events) / 2) or silent < SHARE * (times[-1] - times[0]):
        return None
    middles = (starts + ends) / 2
    right = np.clip(np.searchsorted(events, middles), 1, len(events) - 1)
    nearest = np.where(middles - events[right - 1] <= events[right] - middles, events[right - 1], events[right])
    first, last = starts - nearest, ends - nearest
    start, end = np.floor(first.min() / ROUNDED) * ROUNDED, np.ceil(last.max() / ROUNDED) * ROUNDED
    end = start + np.floor((end - start) / WHOLE + 1e-6) * WHOLE
    fits = (first - start < 0.1) & (end - last < 0.1)
    return (round(float(start), 6), round(float(end), 6)) if fits.mean() >= 0.9 else None
