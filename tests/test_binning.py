from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtm_core.data.binning import Grid, count_spikes

NS = 10**9


def read_only(*arrays):
    for array in arrays:
        array.setflags(write=False)
    return arrays


def count(times, units, n_units, grid):
    """Count with inputs that nobody may write to."""
    return count_spikes(*read_only(np.asarray(times, float), np.asarray(units, np.int32)), n_units, grid)


def brute_force(spikes, starts, width, shape):
    """Counts (K, T, N) from exact whole nanoseconds, one comparison at a time; spikes are (tick, unit)."""
    counts, n_bins = np.zeros(shape, dtype=int), shape[1]
    for k, start in enumerate(starts):
        for t in range(n_bins):
            for tick, unit in spikes:
                counts[k, t, unit] += start + t * width <= tick < start + (t + 1) * width
    return counts


# Instants as they occur: whole milliseconds (on edges), whole nanoseconds, samples of a 30 kHz clock.
instants = st.one_of(
    st.integers(0, 400).map(lambda k: Fraction(k, 1000)),
    st.integers(0, 400_000_000).map(lambda k: Fraction(k, NS)),
    st.integers(0, 12_000).map(lambda k: Fraction(k, 30_000)),
)


@given(
    spikes=st.lists(st.tuples(instants, st.integers(0, 2)), max_size=60),
    starts=st.lists(instants, min_size=1, max_size=4),
    width=st.sampled_from([1_000_000, 10_000_000, 20_000_000, 33_333]),
    n_bins=st.integers(1, 12),
    hour=st.sampled_from([0, 3600, 90_000]),
)
def test_counts_equal_brute_force_in_whole_nanoseconds(spikes, starts, width, n_bins, hour):
    spikes = sorted((hour + time, unit) for time, unit in spikes)
    times, units = [float(time) for time, _ in spikes], [unit for _, unit in spikes]
    ticks = [(round(time * NS), unit) for time, unit in spikes]
    (edges,) = read_only(np.array([float(hour + start) for start in starts]))
    found = count(times, units, 3, Grid(edges, width / NS, n_bins))
    expected = brute_force(ticks, [round((hour + start) * NS) for start in starts], width, found.shape)
    np.testing.assert_array_equal(found, expected)


def test_spike_on_an_edge_is_in_the_bin_that_begins_there():
    # 0.1 + 0.2 is above 0.3 and 0.7 + 0.1 below 0.8 in floats; both mean the edge.
    found = count([0.1 + 0.2, 0.7 + 0.1], [0, 0], 1, Grid(np.zeros(1), 0.1, 10))
    assert np.flatnonzero(found).tolist() == [3, 8]


def test_times_of_a_sample_clock_fall_like_whole_samples():
    samples = np.arange(0, 30_000)
    found = count(samples / 30_000, np.zeros(30_000), 1, Grid(np.arange(5) * 0.1, 0.02, 5))
    assert (found == 600).all()


def test_shift_by_whole_bins_shifts_the_counts():
    rng = np.random.default_rng(0)
    times, units = np.sort(rng.uniform(0, 100, 5000)), rng.integers(0, 7, 5000)
    starts = rng.uniform(10, 90, 20)
    shifted = count(times, units, 7, Grid(starts + 3 * 0.02, 0.02, 40))
    np.testing.assert_array_equal(shifted[:, :-3], count(times, units, 7, Grid(starts, 0.02, 40))[:, 3:])


def test_touching_windows_conserve_the_number_of_spikes():
    rng = np.random.default_rng(1)
    times = np.sort(rng.uniform(0, 10, 4000))
    found = count(times, rng.integers(0, 5, 4000), 5, Grid(np.arange(10.0), 0.02, 50))
    assert found.sum() == 4000


def test_overlapping_windows_count_a_spike_in_each():
    assert count([1.5], [0], 1, Grid(np.array([1.0, 1.4]), 0.1, 10)).sum(axis=(1, 2)).tolist() == [1, 1]


def test_equals_numpy_histogram():
    rng = np.random.default_rng(2)
    times = np.sort(rng.uniform(0, 50, 20_000))
    found = count(times, np.zeros(20_000), 1, Grid(np.zeros(1), 0.0005, 100_000))
    np.testing.assert_array_equal(found[0, :, 0], np.histogram(times, 100_000, (0, 50))[0])


@pytest.mark.parametrize(
    ("n_spikes", "dtype"), [(255, np.uint8), (256, np.uint16), (65_535, np.uint16), (65_536, np.uint32)]
)
def test_counts_widen_and_never_wrap(n_spikes, dtype):
    # The busy bin is in the second of three trials: the first must survive the widening.
    times = np.concatenate([[0.5], np.full(n_spikes, 1.5), [2.5]])
    found = count(times, np.zeros(n_spikes + 2), 1, Grid(np.arange(3.0), 1.0, 1))
    assert found.dtype == dtype
    assert found.ravel().tolist() == [1, n_spikes, 1]


def test_no_spikes_give_zeros():
    found = count([], [], 3, Grid(np.arange(2.0), 0.1, 4))
    assert found.shape == (2, 4, 3)
    assert not found.any()


def test_units_out_of_range_and_other_lengths_are_refused(unchecked):
    grid = Grid(np.zeros(1), 0.1, 4)
    with pytest.raises(ValueError, match=r"from 0 to 3; expected 0\.\.2"):
        count([0.1, 0.2], [0, 3], 3, grid)
    with pytest.raises(ValueError, match="from -1 to 0"):
        count([0.1, 0.2], [-1, 0], 3, grid)
    with pytest.raises(ValueError, match="2 spike times but 1 unit"):
        count([0.1, 0.2], [0], 3, grid)


def test_grid_needs_finite_starts_and_real_bins():
    with pytest.raises(ValueError, match="finite"):
        Grid(np.array([0.0, np.nan]), 0.1, 4)
    with pytest.raises(ValueError, match="at least one bin"):
        Grid(np.zeros(1), 0.0, 4)
