"""Spike binning against the way of the MtM and NEDS code, which masks all spikes once per trial.

1,000 units, 10 million spikes, 500 trials, 100 bins of 20 ms. Run: python tests/benchmarks/bench_binning.py
The scan is timed on every 25th trial and multiplied, since each trial costs it the same; counts are compared there.
"""

from __future__ import annotations

import time

import numpy as np

from mtm_core.data.binning import Grid, count_spikes

N_UNITS, N_SPIKES, N_TRIALS, N_BINS, BIN = 1_000, 10_000_000, 500, 100, 0.02
DURATION = 4_000.0  # s
REPEATS, EVERY = 5, 25


def scan(times: np.ndarray, units: np.ndarray, start: float) -> np.ndarray:
    """Counts (T, N) of one trial: a mask over all spikes, then a two-dimensional histogram through bincount."""
    inside = (times >= start) & (times < start + N_BINS * BIN)
    bins = ((times[inside] - start) / BIN).astype(np.int64)
    return np.bincount(bins * N_UNITS + units[inside], minlength=N_BINS * N_UNITS).reshape(N_BINS, N_UNITS)


def main() -> None:
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(0, DURATION, N_SPIKES))
    units = rng.integers(0, N_UNITS, N_SPIKES, dtype=np.int32)
    starts = np.sort(rng.uniform(0, DURATION - 2, N_TRIALS))
    grid = Grid(starts, BIN, N_BINS)
    ours = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        counts = count_spikes(times, units, N_UNITS, grid)
        ours.append(time.perf_counter() - begin)
    begin = time.perf_counter()
    scanned = np.stack([scan(times, units, start) for start in starts[::EVERY]])
    theirs = (time.perf_counter() - begin) * EVERY
    # Spikes within a rounding error of an edge may fall to either side of it in the scan, which divides.
    n_moved = int(np.abs(scanned.astype(int) - counts[::EVERY]).sum())
    print(f"{'method':<28}{'seconds':>10}{'ratio':>8}")
    print(f"{'scan of all spikes per trial':<28}{theirs:>10.2f}{1:>8}")
    print(f"{'count_spikes, median':<28}{np.median(ours):>10.4f}{theirs / np.median(ours):>8.0f}")
    print(f"{'count_spikes, best':<28}{min(ours):>10.4f}{theirs / min(ours):>8.0f}")
    print(f"counts that differ: {n_moved} of {scanned.sum()} spikes")


if __name__ == "__main__":
    main()
