import numpy as np
import pytest

from mtm_core.data.catalogue import list_sessions, open_session
from mtm_core.data.simulate import SIMULATED_IDS


@pytest.fixture(autouse=True)
def no_default_cache(monkeypatch):
    monkeypatch.delenv("MTM_CACHE_DIR", raising=False)


def test_without_a_cache_there_are_the_simulated_sessions():
    table = list_sessions()
    assert tuple(table["id"]) == SIMULATED_IDS
    assert table["subject"].is_unique
    assert set(table["source"]) == {"simulated"}


def test_the_list_tells_what_opening_would_give():
    for row in list_sessions().itertuples():
        session = open_session(row.id)
        assert (session.n_neurons, session.n_trials) == (row.n_neurons, row.n_trials)
        assert (session.subject, session.date, session.number) == (row.subject, row.date, row.number)
        assert set(session.units["region"]) == set(row.regions)
        assert (session.coverage.start, session.coverage.end) == row.window


def test_recordings_are_listed_without_their_spikes(recordings_dir):
    table = list_sessions(recordings_dir).set_index("id")
    assert len(table) == 20
    row = table.loc["d23a44ef-1402-4ed7-97f5-47e9a7a504d9"]
    assert (row.n_neurons, row.n_trials, row.window, row.bin_size) == (449, 367, (-0.2, 0.8), 0.02)
    assert row.regions == ("VIS", "CA1", "DG", "LP", "PO")
    twins = ["b0cda810-3512-4d33-b5b8-4675923e3c46", "b2d90972-3d97-4f11-9bf5-cb879f990225"]
    assert table.loc[twins, "same_recording_as"].tolist() == twins[::-1]
    assert (table["problem"] == "").all()


def test_a_session_that_cannot_be_read_is_listed_with_its_problem(alf_cache):
    good = alf_cache.add_session(alf_cache.probe_files() | alf_cache.trial_files())
    files = alf_cache.probe_files(seed=2) | alf_cache.trial_files()
    files["alf/probe00/pykilosort/clusters.channels.npy"] = np.arange(9)
    bad = alf_cache.add_session(files, number=2)
    empty = alf_cache.add_session(alf_cache.trial_files(), number=3)
    table = list_sessions(alf_cache.finish()).set_index("id")
    assert table.loc[good, "problem"] == ""
    assert "differ in length" in table.loc[bad, "problem"]
    assert "no probe" in table.loc[empty, "problem"]
    assert table.loc[good, "window"] is None


def test_the_environment_names_the_cache(alf_cache, monkeypatch):
    eid = alf_cache.add_session(alf_cache.probe_files() | alf_cache.trial_files())
    monkeypatch.setenv("MTM_CACHE_DIR", str(alf_cache.finish()))
    assert eid in set(list_sessions()["id"])
    assert open_session(eid[:5]).id == eid


def test_a_session_opens_by_the_beginning_of_its_id_and_is_kept(alf_cache):
    eid = alf_cache.add_session(alf_cache.probe_files() | alf_cache.trial_files())
    folder = alf_cache.finish()
    assert open_session(eid, folder) is open_session(eid[:8], folder)


@pytest.mark.parametrize(
    ("wanted", "says"), [("nothing", "is not the id"), ("simulated", "matches 4"), ("", "matches")]
)
def test_an_unknown_or_ambiguous_id_lists_what_exists(wanted, says):
    with pytest.raises(ValueError, match=says) as caught:
        open_session(wanted)
    assert "simulated-1, simulated-2" in str(caught.value)
