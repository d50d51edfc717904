from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtm_core.data.ibl import read_session
from mtm_core.data.simulate import simulated_session
from mtm_core.data.splits import (
    SplitKind,
    interleaved_blocks,
    overlap_groups,
    random_split,
    trial_groups,
    with_split,
)

times_of_trials = st.lists(st.floats(0, 200, allow_nan=False), min_size=1, max_size=80)


def shares(split):
    return {name: int(np.sum(split == name)) for name in ("train", "validation", "test")}


def overlapping(times, length):
    return [(i, j) for i in range(len(times)) for j in range(i) if abs(times[i] - times[j]) < length - 1e-9]


@given(times=times_of_trials, second=st.randoms(use_true_random=False), length=st.floats(0.1, 20))
def test_no_moment_is_ever_in_two_splits(times, second, length):
    other = np.array([second.choice([np.nan, second.uniform(0, 200)]) for _ in times])
    groups = overlap_groups([np.array(times), other], length)
    for split in (interleaved_blocks(groups), random_split(groups, seed=1)):
        for clock in (times, other):
            assert all(split[i] == split[j] for i, j in overlapping(clock, length))


@given(times=times_of_trials, length=st.floats(0.1, 20))
def test_groups_are_the_connected_chains_in_order_of_time(times, length):
    groups = overlap_groups([np.array(times)], length)
    order = np.argsort(times, kind="stable")
    gaps = np.diff(np.array(times)[order]) >= length - 1e-9
    np.testing.assert_array_equal(groups[order], np.concatenate([[0], np.cumsum(gaps)]))


@pytest.mark.parametrize("n_trials", [100, 149, 214, 340, 1000])
def test_shares_are_70_10_20(n_trials):
    for split in (interleaved_blocks(np.arange(n_trials)), random_split(np.arange(n_trials), 0)):
        found = shares(split)
        assert found["train"] == pytest.approx(0.7 * n_trials, abs=3)
        assert found["validation"] == pytest.approx(0.1 * n_trials, abs=3)


def test_blocks_are_contiguous_and_every_split_sees_the_whole_session():
    split = interleaved_blocks(np.arange(400))
    borders = np.flatnonzero(split[1:] != split[:-1]) + 1
    assert np.diff(np.concatenate([[0], borders, [400]])).min() >= 9
    for name in ("train", "validation", "test"):
        places = np.flatnonzero(split == name)
        assert places.min() < 80
        assert places.max() > 320


def test_small_sessions_still_have_all_three_splits():
    assert set(interleaved_blocks(np.arange(10))) == {"train", "validation", "test"}


def test_a_random_split_is_a_function_of_its_seed():
    groups = np.arange(50)
    np.testing.assert_array_equal(random_split(groups, 3), random_split(groups, 3))
    assert (random_split(groups, 3) != random_split(groups, 4)).any()


def test_recorded_onsets_count_for_events_other_than_the_stimulus():
    # 4 s apart on the time line made for them, but the first two responses were recorded 1 s apart.
    table = pd.DataFrame(
        {
            "stimOn_times": [10.0, 14.0, 18.0],
            "stimOnRecorded_times": [5.0, 8.0, 20.0],
            "response_times": [13.0, 15.0, 19.0],
        }
    )
    assert trial_groups(table, "stimOn_times", (-0.5, 1.5)).tolist() == [0, 1, 2]
    assert trial_groups(table, "response_times", (-0.5, 1.5)).tolist() == [0, 0, 1]


def test_trials_can_be_split_anew():
    trials = simulated_session("simulated-2").align()
    random = with_split(trials, SplitKind.RANDOM, seed=5)
    assert (random.split != trials.split).any()
    np.testing.assert_array_equal(with_split(random, SplitKind.BLOCKS).split, trials.split)
    assert replace(random, split=trials.split).counts is trials.counts


def test_overlapping_neighbours_of_a_real_session_stay_together(recordings_dir):
    session = read_session(recordings_dir, "b0cda810-3512-4d33-b5b8-4675923e3c46")
    trials = session.align("stimOn_times", (-0.5, 1.5), 0.02)
    pairs = overlapping(session.trials["stimOnRecorded_times"].to_numpy(), 2.0)
    for kind in SplitKind:
        split = with_split(trials, kind).split
        assert all(split[i] == split[j] for i, j in pairs)
    long = overlapping(session.trials["stimOnRecorded_times"].to_numpy(), 2.5)
    assert len(long) == 38
    wide = session.align("stimOn_times", (-0.5, 2.0), 0.02).split
    assert all(wide[i] == wide[j] for i, j in long)
    assert shares(trials.split) == {"train": 238, "validation": 34, "test": 68}
