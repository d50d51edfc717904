import time

import numpy as np
import pandas as pd
import pytest

from mtm_core.data.binning import Grid, count_spikes
from mtm_core.data.ibl import describe, read_session, session_ids
from mtm_core.data.streams import outside_windows, wheel_speed
from mtm_core.data.validation import RecordingError

AT = "alf/probe00/pykilosort"


def read(cache, files, **kwargs):
    eid = cache.add_session(files, **kwargs)
    return read_session(cache.finish(), eid)


def test_every_recorded_spike_of_every_session_is_counted_once(recordings_dir):
    windows = pd.read_csv(recordings_dir / "windows.csv")
    begin = time.perf_counter()
    for row in windows.itertuples():
        session = read_session(recordings_dir, row.eid)
        n_bins = round((row.spike_end_s - row.spike_start_s) / row.bin_s)
        starts = session.trials["stimOn_times"].to_numpy() + row.spike_start_s
        counts = count_spikes(
            session.spike_times, session.spike_units, session.n_neurons, Grid(starts, row.bin_s, n_bins)
        )
        assert counts.shape == (row.trials, n_bins, row.units)
        assert counts.sum() == row.spikes == len(session.spike_times)
        # Every trial and neuron by itself: the spikes between first and last edge, found another way.
        trial = np.searchsorted(starts - 1e-6, session.spike_times, side="right") - 1
        np.testing.assert_array_equal(counts.sum(axis=(1, 2)), np.bincount(trial, minlength=row.trials))
        np.testing.assert_array_equal(
            counts.sum(axis=(0, 1)), np.bincount(session.spike_units, minlength=session.n_neurons)
        )
    assert time.perf_counter() - begin < 90


def test_recordings_carry_their_coverage_and_behaviors(recordings_dir):
    session = read_session(recordings_dir, "d23a44ef-1402-4ed7-97f5-47e9a7a504d9")
    coverage = session.coverage
    assert (coverage.event, coverage.start, coverage.end, coverage.bin_size) == ("stimOn_times", -0.2, 0.8, 0.02)
    assert set(session.behaviors) == {"wheel_speed", "whisker_motion_energy", "pupil", "paw_speed"}
    assert session.units["uuid"].is_unique
    # Between trial windows the file holds the wheel still; the movement there is not known.
    times, speed = session.behaviors["wheel_speed"]
    assert np.isnan(speed[outside_windows(times, session.trials["stimOn_times"].to_numpy(), -0.2, 0.8)]).all()
    assert np.isfinite(speed).mean() > 0.2


def test_probes_are_merged_with_silent_units_kept(alf_cache):
    one, two = alf_cache.probe_files(seed=1, n_units=4), alf_cache.probe_files("probe01", seed=2)
    one[f"{AT}/spikes.clusters.npy"] = np.resize([0, 3], 50)  # clusters 1 and 2 are silent
    session = read(alf_cache, one | two | alf_cache.trial_files())
    assert session.units["probe"].tolist() == ["probe00"] * 4 + ["probe01"] * 3
    assert session.n_neurons == 7
    assert np.bincount(session.spike_units, minlength=7)[[1, 2]].tolist() == [0, 0]
    assert np.all(np.diff(session.spike_times) >= 0)
    second = np.sort(session.spike_times[session.spike_units >= 4])
    np.testing.assert_array_equal(second, two["alf/probe01/pykilosort/spikes.times.npy"])


def test_regions_follow_the_channels_in_both_hemispheres(alf_cache):
    session = read(alf_cache, alf_cache.probe_files() | alf_cache.trial_files())
    assert session.units["region"].tolist() == ["CA1", "VISp", "root"]


def test_the_default_revision_is_read(alf_cache):
    files = alf_cache.probe_files() | alf_cache.trial_files()
    new = files[f"{AT}/spikes.times.npy"] + 1
    revised = files | {f"{AT}/#2024-06-01#/spikes.times.npy": new}
    session = read(alf_cache, revised, default=frozenset(revised) - {f"{AT}/spikes.times.npy"})
    np.testing.assert_array_equal(session.spike_times, new)
    older = read(alf_cache, revised, number=2, default=frozenset(files))
    np.testing.assert_array_equal(older.spike_times, files[f"{AT}/spikes.times.npy"])


def test_without_a_default_the_last_revision_is_read(alf_cache):
    files = alf_cache.probe_files() | alf_cache.trial_files()
    new = files[f"{AT}/spikes.times.npy"] + 1
    session = read(alf_cache, files | {f"{AT}/#2024-06-01#/spikes.times.npy": new}, default=frozenset())
    np.testing.assert_array_equal(session.spike_times, new)


def test_the_better_sorter_of_a_probe_is_read(alf_cache):
    old, new = alf_cache.probe_files(seed=1), alf_cache.probe_files(sorter="iblsorter", seed=2)
    session = read(alf_cache, old | new | alf_cache.trial_files())
    np.testing.assert_array_equal(session.spike_times, new["alf/probe00/iblsorter/spikes.times.npy"])
    assert session.n_neurons == 3


def test_separate_trial_files_are_joined_and_odd_columns_left_out_aloud(alf_cache):
    trials = {
        "alf/_ibl_trials.stimOn_times.npy": np.arange(4.0),
        "alf/_ibl_trials.choice.npy": np.ones(4),
        "alf/_ibl_trials.intervals.npy": np.array([[0.0, 2.0]] * 4),
        "alf/_ibl_trials.itiDuration.npy": np.ones(3),
    }
    session = read(alf_cache, alf_cache.probe_files() | trials)
    assert set(session.trials.columns) == {"stimOn_times", "choice", "intervals_0", "intervals_1"}
    assert any("trials.itiDuration has 3 entries for 4 trials" in problem for problem in session.problems)
    assert any("1 trials end before their stimulus" in problem for problem in session.problems)


def test_what_is_missing_is_said_and_read_as_unknown(alf_cache):
    files = alf_cache.probe_files() | alf_cache.trial_files()
    for name in ("clusters.depths.npy", "clusters.metrics.pqt", "channels.brainLocationIds_ccf_2017.npy"):
        del files[f"{AT}/{name}"]
    session = read(alf_cache, files)
    assert set(session.units["region"]) == {"root"}
    assert session.units[["depth", "quality"]].isna().all(axis=None)
    text = " ".join(session.problems)
    for what in ("regions are not known", "depths", "quality", "wheel_speed", "whisker_motion_energy", "pupil"):
        assert what in text
    assert session.coverage is None


def test_metrics_that_leave_out_clusters_are_matched_by_id(alf_cache):
    files = alf_cache.probe_files() | alf_cache.trial_files()
    files[f"{AT}/clusters.metrics.pqt"] = pd.DataFrame({"cluster_id": [2, 0], "label": [0.5, 1.0]})
    np.testing.assert_array_equal(read(alf_cache, files).units["quality"], [1.0, np.nan, 0.5])


def test_safe_repairs_are_made_and_said(alf_cache):
    files = alf_cache.probe_files() | alf_cache.probe_files("probe01", seed=3) | alf_cache.trial_files()
    files[f"{AT}/spikes.times.npy"] = files[f"{AT}/spikes.times.npy"][::-1].copy()
    files["alf/probe01/pykilosort/spikes.times.npy"] = np.zeros(0)
    files["alf/probe01/pykilosort/spikes.clusters.npy"] = np.zeros(0, int)
    files["alf/probe01/pykilosort/channels.brainLocationIds_ccf_2017.npy"] = np.array([382, 987654321, 382])
    session = read(alf_cache, files)
    assert session.n_neurons == 6
    assert np.all(np.diff(session.spike_times) >= 0)
    text = " ".join(session.problems)
    for what in ("goes back in time", "probe01 holds no spike; its 3 neurons", "ccf-987654321"):
        assert what in text


def test_all_fatal_problems_come_in_one_message(alf_cache):
    bad = {
        "spikes.times.npy": np.append(np.linspace(0, 50, 48), [np.nan, np.inf]),
        "spikes.clusters.npy": np.append(np.zeros(48, int), [-1, 7, 1]),
    }
    files = alf_cache.probe_files() | {f"{AT}/{name}": values for name, values in bad.items()}
    twin = alf_cache.probe_files("probe01", n_units=2)  # the seed of probe00: the same uuids
    del twin["alf/probe01/pykilosort/clusters.depths.npy"]
    short = alf_cache.probe_files("probe02", seed=5)
    short["alf/probe02/pykilosort/clusters.channels.npy"] = np.arange(2)
    lost = alf_cache.probe_files("probe03", seed=6)
    del lost["alf/probe03/pykilosort/spikes.clusters.npy"]
    with pytest.raises(RecordingError) as caught:
        read(alf_cache, files | twin | short | lost)
    text = str(caught.value)
    for what in (
        "2 NaN or infinite times",
        "51 entries but spikes.times has 50",
        "1 negative ids",
        "1 spikes of clusters beyond the 3 rows",
        "2 uuids occur twice",
        "probe02: cluster files are missing or differ in length",
        "probe03/pykilosort/spikes.clusters.npy is missing",
        "no trial",
    ):
        assert what in text, what
    assert len(caught.value.problems) == 8


def test_a_file_of_python_objects_is_never_unpickled(alf_cache):
    files = alf_cache.probe_files() | alf_cache.trial_files()
    files[f"{AT}/spikes.times.npy"] = np.array([0.5, "x", None], dtype=object)
    with pytest.raises(RecordingError, match=r"spikes\.times\.npy cannot be read"):
        read(alf_cache, files)


def test_a_file_in_the_tables_but_not_on_disk_counts_as_missing(alf_cache):
    eid = alf_cache.add_session(alf_cache.probe_files() | alf_cache.trial_files())
    folder = alf_cache.finish()
    next(folder.rglob("spikes.times.npy")).unlink()
    with pytest.raises(RecordingError, match="no probe with spikes was found"):
        read_session(folder, eid)


def test_reading_changes_no_file(alf_cache):
    eid = alf_cache.add_session(alf_cache.probe_files() | alf_cache.trial_files())
    folder = alf_cache.finish()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    read_session(folder, eid)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_session_is_described_from_the_tables(alf_cache):
    eid = alf_cache.add_session(alf_cache.trial_files(), number=4)
    folder = alf_cache.finish()
    assert session_ids(folder) == [eid]
    assert describe(folder, eid) == {"subject": "mouse", "date": "2024-05-01", "number": 4}


def test_a_folder_without_tables_and_an_unknown_session_are_refused(alf_cache, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no ONE cache"):
        read_session(tmp_path / "nothing", "x")
    alf_cache.add_session(alf_cache.trial_files())
    with pytest.raises(KeyError):
        read_session(alf_cache.finish(), "9a1b1a30-0000-4000-8000-000000000000")


def test_wheel_speed_is_the_absolute_slope_of_a_slow_movement():
    times = np.linspace(0, 20, 4001)
    grid, speed = wheel_speed(times, np.sin(times))
    inner = (grid > 1) & (grid < 19)
    np.testing.assert_allclose(speed[inner], np.abs(np.cos(grid[inner])), atol=2e-3)


def test_a_resting_wheel_has_speed_zero_across_a_gap_and_skips_nan():
    times = np.array([0.0, 1.0, 9.0, 10.0, 11.0])
    position = np.array([0.0, 0.0, 0.0, 0.0, np.nan])
    grid, speed = wheel_speed(times, position)
    assert grid[-1] < 10
    np.testing.assert_allclose(speed, 0, atol=1e-9)


def test_a_wheel_with_broken_times_is_left_out_and_the_session_still_read(alf_cache):
    files = alf_cache.probe_files() | alf_cache.trial_files()
    files |= {"alf/_ibl_wheel.timestamps.npy": np.array([0.0, 1e9]), "alf/_ibl_wheel.position.npy": np.zeros(2)}
    session = read(alf_cache, files)
    assert "wheel_speed" not in session.behaviors
    assert any("cover 1 s to 1 day" in problem for problem in session.problems)


def test_cameras_keep_their_last_times_and_the_left_one_comes_first(alf_cache):
    files = alf_cache.probe_files() | alf_cache.trial_files()
    files |= {
        "alf/_ibl_leftCamera.times.npy": np.arange(12.0),
        "alf/leftCamera.ROIMotionEnergy.npy": np.ones(10),
        "alf/_ibl_rightCamera.times.npy": np.arange(8.0),
        "alf/rightCamera.ROIMotionEnergy.npy": np.zeros(8),
        "alf/_ibl_rightCamera.features.pqt": pd.DataFrame(
            {"pupilDiameter_raw": np.zeros(8), "pupilDiameter_smooth": np.full(8, 3.0)}
        ),
    }
    behaviors = read(alf_cache, files).behaviors
    times, energy = behaviors["whisker_motion_energy"]
    assert times.tolist() == list(range(2, 12))
    assert energy.tolist() == [1.0] * 10
    assert behaviors["pupil"][1].tolist() == [3.0] * 8


def test_two_entries_of_one_recording_are_not_trained_together(recordings_dir, tmp_path, capsys):
    from mtm_core.__main__ import main

    twins = ["b0cda810-3512-4d33-b5b8-4675923e3c46", "b2d90972-3d97-4f11-9bf5-cb879f990225"]
    arguments = ["train", "--session", *twins, "--cache-dir", str(recordings_dir), "--out", str(tmp_path / "run")]
    assert main([*arguments, "--steps", "1"]) == 1
    assert "are one recording; train on one of them" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
