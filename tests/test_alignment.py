from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtm_core.data import alignment
from mtm_core.data.behaviors import sample_stream, trial_behaviors
from mtm_core.data.binning import Grid
from mtm_core.data.ibl import read_session
from mtm_core.session import Coverage, Session, TrueRates


def make_session(**changes):
    """Two neurons, three trials at 10, 20 and 30 s; a spike of neuron 0 every 10 ms, in the middle of its bin."""
    times = np.arange(0.005, 40, 0.01)
    units = pd.DataFrame({"uuid": ["a", "b"], "region": ["VISa2/3", "nowhere"], "probe": "p"})
    trials = pd.DataFrame({"stimOn_times": [10.0, 20.0, 30.0], "response_times": [10.513, np.nan, 31.0]})
    session = Session("s", "m", "d", 1, "ibl", times, np.zeros(len(times), np.int32), units, trials)
    session = replace(session, **changes)
    for array in (session.spike_times, session.spike_units):
        array.setflags(write=False)
    return session


COVERED = Coverage("stimOn_times", -0.2, 0.4, 0.01)


def test_counts_regions_and_axes_of_a_plain_recording():
    trials = make_session().align(window=(-0.5, 1.5), bin_size=0.02)
    assert trials.counts.shape == (3, 100, 2)
    assert (trials.counts[:, :, 0] == 2).all()
    assert not trials.counts[:, :, 1].any()
    assert trials.valid.all()
    assert trials.regions.tolist() == ["VISa", "nowhere"]
    assert trials.unit_ids.tolist() == ["a", "b"]
    assert trials.excluded == {}
    assert trials.bin_starts[25] == pytest.approx(0)


def test_trials_without_the_event_are_left_out_with_their_number():
    trials = make_session().align("response_times", (0, 0.2), 0.02)
    assert trials.excluded == {"no time of response_times": 1}
    assert trials.table.index.tolist() == [0, 2]


def test_bins_outside_the_coverage_hold_no_data():
    trials = make_session(coverage=COVERED).align(window=(-0.5, 0.5), bin_size=0.1)
    assert trials.valid[0].tolist() == [False] * 3 + [True] * 6 + [False]
    assert trials.counts[0, :, 0].tolist() == [0] * 3 + [10] * 6 + [0]


def test_a_bin_that_the_coverage_cuts_holds_no_data():
    trials = make_session(coverage=COVERED).align(window=(-0.2, 0.7), bin_size=0.18)
    assert trials.valid[0].tolist() == [True] * 3 + [False] * 2


def test_a_recording_ends_with_its_last_spike():
    session = make_session(trials=pd.DataFrame({"stimOn_times": [10.0, 39.0, 50.0]}))
    trials = session.align(window=(0, 2), bin_size=0.5)
    assert trials.valid.tolist() == [[True] * 4, [True, True, False, False]]
    assert trials.excluded == {"no recorded bin in the window": 1}


def test_another_event_moves_to_the_nearest_native_bin():
    session = make_session(coverage=replace(COVERED, start=0.0, end=1.0))
    trials = session.align("response_times", (0, 0.2), 0.02)
    # 10.513 s is 51.3 native bins after the stimulus: the grid begins at bin 51, where counts are exact.
    assert (trials.counts[0, :, 0] == 2).all()
    assert trials.excluded == {"no time of response_times": 1, "no recorded bin in the window": 1}


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"event": "nonsense"}, "no event 'nonsense'; choose one of stimOn_times, response_times"),
        ({"window": (0, 0.405)}, "choose a window of a whole number of bins"),
        ({"window": (1.0, 0.0)}, "is empty"),
        ({"window": (0.0, np.nan)}, "is empty"),
        ({"bin_size": 0.0}, "is empty"),
        ({"window": (0.0, 0.3), "bin_size": 0.005}, "bins of 10 ms only"),
        ({"window": (0.0, 0.3), "bin_size": 0.015}, "multiple of that, not 15 ms"),
        ({"window": (0.005, 0.205)}, "cuts through the recording's own bins"),
        ({"window": (1.0, 2.0)}, "has data from -0.2 to 0.4 s around stimOn_times"),
        ({"region_level": "swanson"}, "region level 'swanson' is not known"),
    ],
)
def test_impossible_requests_are_refused_in_one_sentence(request_, sentence):
    with pytest.raises(ValueError, match=sentence.replace("(", r"\(")):
        make_session(coverage=COVERED).align(**request_)


def test_an_event_that_never_happened_is_refused():
    trials = pd.DataFrame({"stimOn_times": [10.0], "response_times": [np.nan]})
    with pytest.raises(ValueError, match="no trial of session s has a time of response_times"):
        make_session(trials=trials).align("response_times")


def test_too_large_a_request_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr(alignment, "LARGEST", 100)
    with pytest.raises(ValueError, match="3 trials x 100 bins x 2 neurons"):
        make_session().align()


def test_true_rates_are_summed_to_the_grid():
    rates = np.arange(3 * 40 * 2, dtype=np.float32).reshape(3, 40, 2)
    session = make_session(coverage=COVERED, true_rates=TrueRates(rates, "stimOn_times", -0.2, 0.01))
    trials = session.align(window=(-0.1, 0.1), bin_size=0.02)
    np.testing.assert_allclose(trials.true_rates, rates[:, 10:30].reshape(3, 10, 2, 2).sum(axis=2) * 0.01, rtol=1e-6)
    assert session.align(window=(-0.3, 0.1), bin_size=0.02).true_rates is None
    assert session.align("response_times", (-0.4, 0.4), 0.02).true_rates is None


def test_a_straight_line_is_sampled_at_bin_centers():
    times = np.arange(0, 20, 0.013)
    grid = Grid(np.array([3.0, 7.5]), 0.02, 50)
    np.testing.assert_allclose(sample_stream(times, 2 * times, grid), 2 * grid.centers, rtol=1e-6)


def test_data_are_not_invented_in_a_gap_or_beyond_the_ends():
    times = np.concatenate([np.arange(1.0, 2.0, 0.01), np.arange(3.0, 4.0, 0.01)])
    found = sample_stream(times, np.ones(len(times)), Grid(np.zeros(1), 0.1, 50))[0]
    expected = np.zeros(50, bool)
    expected[10:20] = expected[30:40] = True
    np.testing.assert_array_equal(np.isfinite(found), expected)


def test_one_dropped_frame_is_bridged_and_nan_counts_as_absent():
    times = np.arange(100) * 0.016
    values = np.where(np.arange(100) == 40, np.nan, times)
    grid = Grid(np.array([0.5]), 0.005, 60)
    np.testing.assert_allclose(sample_stream(times, values, grid), grid.centers, rtol=1e-5)
    values[40:44] = np.nan
    assert np.isnan(sample_stream(times, values, grid)).any()


def test_a_sample_at_the_very_center_counts_at_the_border_of_a_gap():
    centers = 10 + (np.arange(10) + 0.5) * 0.02
    found = sample_stream(centers, np.arange(10.0), Grid(np.array([10.0]), 0.02, 10))
    np.testing.assert_allclose(found[0], np.arange(10.0), atol=1e-6)


def test_streams_without_a_sample_are_unknown():
    assert np.isnan(sample_stream(np.zeros(0), np.zeros(0), Grid(np.zeros(1), 0.1, 3))).all()
    one = sample_stream(np.array([0.15]), np.array([7.0]), Grid(np.zeros(1), 0.1, 3))
    np.testing.assert_array_equal(one, [[np.nan, 7.0, np.nan]])


def test_trial_behaviors_follow_the_conventions():
    nan = np.nan
    table = pd.DataFrame(
        {
            "stimOn_times": [1.0, 2.0, 3.0],
            "response_times": [1.5, nan, 3.25],
            "choice": [1.0, 0.0, nan],
            "contrastLeft": [0.5, nan, nan],
            "contrastRight": [nan, 0.25, nan],
            "probabilityLeft": [0.5, 0.2, 0.8],
            "feedbackType": [1.0, -1.0, nan],
        }
    )
    expected = {
        "choice": [1, 0, nan],
        "block": [0.5, 0.2, 0.8],
        "contrast": [-0.5, 0.25, 0],
        "reward": [1, 0, nan],
        "response_time": [0.5, nan, 0.25],
    }
    found = trial_behaviors(table)
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], np.array(values, np.float32))
    assert set(trial_behaviors(table[["stimOn_times", "contrastLeft"]])) == set()


def test_a_real_session_gives_its_behaviors_where_they_were_recorded(recordings_dir):
    session = read_session(recordings_dir, "e2aeb948-135a-4665-b449-9f371b08af91")
    trials = session.align(window=(-1.0, 3.0), bin_size=0.02)
    assert trials.valid.sum(axis=1).tolist() == [20] * trials.n_trials
    assert trials.counts.sum() == len(session.spike_times)
    inside = (trials.bin_starts > -0.501) & (trials.bin_starts < 1.979)
    for name in ("wheel_speed", "whisker_motion_energy", "pupil"):
        assert np.isfinite(trials.behaviors[name][:, inside]).all()
        assert np.isnan(trials.behaviors[name][:, ~inside]).mean() > 0.9  # neighbouring windows may reach in
