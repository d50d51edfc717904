import numpy as np
import pandas as pd
import pytest

from mtm_core.data.validation import RawProbe, RecordingError, find_problems

TRIALS = pd.DataFrame({"stimOn_times": [1.0, 5.0]})


def units(n=3, **columns):
    table = {"uuid": [f"u{row}" for row in range(n)], "region": "CA1", "probe": "p", "depth": 10.0, "quality": 1.0}
    return pd.DataFrame(table | columns, index=range(n))


def probe(times=(0.1, 0.2, 0.3), clusters=(0, 1, 2), table=None, name="probe00"):
    arrays = [np.asarray(times), np.asarray(clusters)]
    for array in arrays:
        array.setflags(write=False)
    return RawProbe(name, *arrays, units() if table is None else table)


def test_a_sound_recording_has_no_problems():
    found = find_problems([probe()], TRIALS)
    assert (found.fatal, found.notes) == ([], [])


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (probe(clusters=(0, 1)), "spikes.clusters has 2 entries but spikes.times has 3"),
        (probe(times=(0.1, np.nan, np.inf)), "2 NaN or infinite times"),
        (probe(clusters=(0, -1, -2)), "2 negative ids"),
        (probe(clusters=(0, 1, 3)), "1 spikes of clusters beyond the 3 rows"),
        (probe(clusters=(0, 1, 2**33)), "1 spikes of clusters beyond the 3 rows"),
        (probe(clusters=(0.0, 1.5, 2.0)), "1 entries that are no whole number"),
        (probe(times=np.array([30_000, 60_000, 9_000_000])), "look like samples; divide by the sampling rate"),
        (probe(times=(0.5, 1.5, 1e9 + 0.5)), "too large for seconds"),
        (probe(table=units(uuid=["a", "a", "b"])), "1 uuids occur twice, the first is a"),
        (probe(times=(), clusters=()), "no probe holds a spike"),
    ],
)
def test_fatal_problems_say_what_and_where(raw, sentence):
    fatal = find_problems([raw], TRIALS).fatal
    assert len(fatal) == 1
    assert sentence in fatal[0]


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (probe(times=(0.3, 0.1, 0.2)), "goes back in time at 1 places; spikes were sorted"),
        (probe(times=(-0.1, 0.1, 0.2)), "begins at -0.100 s, before 0"),
        (probe(times=np.array([0.1, 0.2, 4000.3], np.float32)), "32 bits, which leaves 0.24 ms"),
        (
            probe(table=units(region=["CA1", "<b>", "nowhere"])),
            "2 region names are not in the Allen atlas (<b>, nowhere)",
        ),
        (probe(table=units(depth=np.nan)), "depths of the neurons are not known"),
        (probe(table=units(quality=np.nan)), "quality labels of the neurons are not known"),
    ],
)
def test_harmless_problems_are_notes(raw, sentence):
    found = find_problems([raw], TRIALS)
    assert not found.fatal
    assert len(found.notes) == 1
    assert sentence in found.notes[0]


def test_whole_clusters_in_floats_and_seconds_that_are_whole_numbers_are_fine():
    assert not find_problems([probe(times=(1.0, 2.0, 3000.0), clusters=(0.0, 1.0, 2.0))], TRIALS).fatal


def test_an_empty_probe_beside_a_full_one_is_a_note():
    empty = probe((), (), units(2, uuid=["x", "y"]), "probe01")
    found = find_problems([probe(), empty], TRIALS)
    assert not found.fatal
    assert found.notes == ["probe01 holds no spike; its 2 neurons are kept as silent ones"]


def test_a_uuid_that_two_probes_share_is_fatal():
    assert "3 uuids occur twice" in find_problems([probe(), probe(name="probe01")], TRIALS).fatal[0]


def test_no_probe_and_no_trial_are_fatal():
    fatal = find_problems([], pd.DataFrame()).fatal
    assert len(fatal) == 2


def test_the_error_lists_every_problem_and_is_a_value_error():
    error = RecordingError("abc", ["first thing", "second thing"])
    assert isinstance(error, ValueError)
    assert error.problems == ("first thing", "second thing")
    assert "abc" in str(error) and "- first thing\n- second thing" in str(error)
