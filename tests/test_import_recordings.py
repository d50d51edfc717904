"""Recordings in folders of users: what is read, what is refused, and that nothing is written there."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from import_folders import EVENTS, MAKERS, N_SPIKES, N_TRIALS, N_UNITS, PHY_IDS, REGIONS, alf, npz, nwb, phy, spikes

from mtm_core.__main__ import main
from mtm_core.data.alf import UnreadableFile
from mtm_core.data.catalogue import list_sessions, open_session
from mtm_core.data.importing import Choices, inspect, keep, kept_rows, open_kept, prepare, remove
from mtm_core.data.importing.arrays import read_npy
from mtm_core.data.importing.windows import spike_window
from mtm_core.data.validation import RecordingError


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("MTM_IMPORTS", str(tmp_path / "kept"))
    monkeypatch.delenv("MTM_CACHE_DIR", raising=False)


def report(folder, **choices):
    return prepare(inspect(folder), Choices(**choices))


def refusal(folder, format_name: str = "") -> str:
    """The one sentence with which a folder is refused, or the first problem that forbids keeping it."""
    try:
        found = prepare(inspect(folder, format_name))
    except ValueError as error:
        return str(error)
    assert found.fatal and found.session is None
    return found.fatal[0]


def state_of(folder: Path) -> dict:
    """Every file with its time of change and hash, and those of the folders."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        content = sha256(path.read_bytes()).hexdigest() if path.is_file() else sorted(p.name for p in path.iterdir())
        found[str(path)] = (path.stat().st_mtime_ns, content)
    return found


# --- what is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MAKERS)
def test_every_format_is_found_out_and_read(kind, tmp_path):
    found = inspect(MAKERS[kind](tmp_path / "mine"))
    session = prepare(found).session
    assert found.format == kind
    times, units = spikes()
    mine = units != 1 if kind == "phy" else np.ones(N_SPIKES, bool)  # Phy's second cluster is noise
    expected = np.rint(times * 30_000) / 30_000 if kind == "phy" else times
    np.testing.assert_allclose(session.spike_times, expected[mine], atol=1e-9)
    rows = np.unique(units[mine], return_inverse=True)[1]
    np.testing.assert_array_equal(session.spike_units, rows)
    assert session.units["region"].tolist() == [r for i, r in enumerate(REGIONS) if i in set(units[mine])]
    np.testing.assert_array_equal(session.trials["stimOn_times"], EVENTS)
    assert session.trials["choice"].iloc[:2].tolist() == [1.0, -1.0]
    assert session.units["uuid"].is_unique


@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_kept_opens_as_it_was_reported(kind, tmp_path):
    made = prepare(inspect(MAKERS[kind](tmp_path / "mine")))
    session = open_session(keep(made))
    for name in ("spike_times", "spike_units"):
        np.testing.assert_array_equal(getattr(session, name), getattr(made.session, name))
    pd.testing.assert_frame_equal(session.units, made.session.units, check_dtype=False)
    pd.testing.assert_frame_equal(session.trials, made.session.trials, check_dtype=False)
    assert set(session.behaviors) == set(made.session.behaviors)
    row = list_sessions().set_index("id").loc[session.id]
    assert (row.n_neurons, row.n_trials, row.source) == (session.n_neurons, session.n_trials, "imported")
    assert session.align(window=(-0.5, 1.0)).counts.sum() > 0


@pytest.mark.parametrize("kind", MAKERS)
def test_the_folder_of_the_user_is_not_touched(kind, tmp_path):
    folder = MAKERS[kind](tmp_path / "mine")
    before = state_of(folder)
    keep(report(folder, good_only=kind != "alf"))
    assert state_of(folder) == before


@pytest.mark.parametrize("kind", MAKERS)
def test_a_read_only_folder_can_be_imported(kind, tmp_path):
    folder = MAKERS[kind](tmp_path / "mine")
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    try:
        assert keep(report(folder))
    finally:
        folder.chmod(0o755)


def test_params_py_is_read_as_text_and_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert inspect(phy(tmp_path / "mine")).sampling_rate == 30_000
    assert not list(tmp_path.rglob("owned"))


def test_noise_is_left_out_and_good_units_can_be_chosen(tmp_path):
    folder = phy(tmp_path / "mine")
    everything, good = report(folder), report(folder, good_only=True)
    assert (everything.n_units, good.n_units, good.n_good) == (N_UNITS - 1, N_UNITS - 2, N_UNITS - 2)
    _, units = spikes()
    assert good.n_spikes == np.isin(PHY_IDS[units], [3, 21, 50, 90]).sum()
    assert any("called noise" in note for note in everything.notes)


def test_another_event_becomes_time_zero(tmp_path):
    made = report(nwb(tmp_path / "mine"), event="intervals_0")
    np.testing.assert_array_equal(made.session.trials["stimOn_times"], EVENTS - 1)
    np.testing.assert_array_equal(made.session.trials["stimOnRecorded_times"], EVENTS)
    assert list(made.events)[0] == "stimOn_times"


def test_regions_come_from_the_chosen_column(tmp_path):
    folder = MAKERS["bwb"](tmp_path / "mine")
    assert report(folder, regions="region_cosmos").session.units["region"].tolist()[0] == "HPF"
    assert "no column of regions" in report(folder, regions="nothing").fatal[0]


def test_streams_keep_their_times(tmp_path):
    times, speed = report(nwb(tmp_path / "mine")).session.behaviors["wheel_speed"]
    assert times[[0, 1]] == pytest.approx([2.0, 2.1]) and (speed == 1).all()  # |velocity|
    times, _ = report(MAKERS["bwb"](tmp_path / "other")).session.behaviors["wheel_speed"]
    assert times[[0, 1]] == pytest.approx([1.5, 1.52])


def test_incomplete_trials_can_be_left_out(tmp_path):
    events, choice = EVENTS.copy(), np.ones(N_TRIALS)
    events[3], choice[5] = np.nan, np.nan
    folder = npz(tmp_path / "mine", trials_stimOn_times=events, trials_choice=choice)
    assert report(folder).session.n_trials == N_TRIALS
    assert report(folder, complete_trials=True).session.n_trials == N_TRIALS - 2


def test_spikes_without_a_time_are_fatal_until_they_are_left_out(tmp_path):
    times, _ = spikes()
    times[[10, 20]] = np.nan, np.inf
    folder = npz(tmp_path / "mine", spike_times=times)
    assert "2 NaN or infinite" in refusal(folder)
    made = report(folder, drop_bad_spikes=True)
    assert made.n_spikes == N_SPIKES - 2 and made.n_bad_spikes == 2


def test_samples_are_refused_until_a_rate_is_given(tmp_path):
    times, _ = spikes()
    folder = npz(tmp_path / "mine", spike_times=np.rint(times * 20_000))
    found = report(folder)
    assert "look like samples" in found.fatal[0] and found.in_samples
    made = report(folder, sampling_rate=20_000.0)
    np.testing.assert_allclose(made.session.spike_times, times, atol=1e-4)


def test_a_recording_cut_to_trials_gets_its_window():
    rng = np.random.default_rng(0)
    within = rng.uniform(-0.2, 0.8, (N_TRIALS, 200))
    assert spike_window(np.sort((EVENTS[:, None] + within).ravel()), EVENTS) == (-0.2, 0.8)
    assert spike_window(spikes()[0], EVENTS) is None


def test_real_recordings_are_read_as_from_their_cache(recordings_dir):
    from mtm_core.data.ibl import describe, read_session, session_ids

    windows = pd.read_csv(recordings_dir / "windows.csv").set_index("eid")
    for eid in session_ids(recordings_dir)[:4]:
        who = describe(recordings_dir, eid)
        place = f"*/Subjects/{who['subject']}/{who['date']}/{who['number']:03d}"
        made, known = report(next(recordings_dir.glob(place))), read_session(recordings_dir, eid)
        np.testing.assert_array_equal(made.session.spike_times, known.spike_times)
        np.testing.assert_array_equal(made.session.spike_units, known.spike_units)
        assert made.session.units["uuid"].tolist() == known.units["uuid"].tolist()
        assert made.session.units["region"].tolist() == known.units["region"].tolist()
        assert (made.session.subject, made.session.date) == (known.subject, known.date)
        window = windows.loc[eid]
        assert (made.session.coverage.start, made.session.coverage.end) == (window.spike_start_s, window.spike_end_s)


# --- the list ---------------------------------------------------------------------------------------------------------


def test_the_same_spikes_with_other_choices_must_replace_the_old(tmp_path):
    folder = npz(tmp_path / "mine")
    first = keep(report(folder))
    assert keep(report(folder)) == first
    with pytest.raises(ValueError, match="the same spikes are in the list"):
        keep(report(folder, good_only=True))
    second = keep(report(folder, good_only=True), replaced=True)
    assert [row["id"] for row in kept_rows()] == [second] and second != first


def test_a_removed_recording_is_gone_and_ids_cannot_leave_the_folder(tmp_path):
    session_id = keep(report(npz(tmp_path / "mine")))
    remove(session_id)
    assert kept_rows() == [] and (tmp_path / "mine/session.npz").is_file()
    for name in ("../mine", "..", "", session_id, "a/b"):
        with pytest.raises(ValueError, match="no imported recording"):
            remove(name)


@pytest.mark.parametrize("file", ["recording.json", "arrays.safetensors"])
def test_a_damaged_copy_is_noticed(file, tmp_path):
    session_id = keep(report(npz(tmp_path / "mine")))
    path = tmp_path / "kept" / session_id / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(RecordingError, match="import it again"):
        open_kept(session_id)
    assert session_id in set(list_sessions()["id"])


def test_a_full_disk_leaves_no_half_recording(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mtm_core.data.importing.kept.write_json", full)
    with pytest.raises(OSError, match="No space"):
        keep(report(npz(tmp_path / "mine")))
    assert kept_rows() == [] and list((tmp_path / "kept/.staging").iterdir()) == []


# --- broken and hostile files -----------------------------------------------------------------------------------------


def header(text: str, length: int | None = None) -> bytes:
    raw = text.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw) if length is None else length) + raw


SHAPES = {
    "huge": header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n"),
    "negative": header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }\n"),
    "float": header("{'descr': '<f8', 'fortran_order': False, 'shape': (2.5,), }\n"),
    "nested": header("(" * 9000),
    "long header": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31 - 1) + b" " * 100,
    "no header": b"\x93NUMPY",
    "empty": b"",
    "text": b"spikes, spikes",
    "objects": header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n") + b"\x80\x04K\x01.",
    "complex": header("{'descr': '<c16', 'fortran_order': False, 'shape': (1,), }\n") + b"\0" * 16,
    "structured": header("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }\n") + b"\0" * 8,
    "overflow": header("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }\n"),
    "call": header("__import__('os').mkdir('owned')"),
}


@pytest.mark.parametrize("data", SHAPES.values(), ids=SHAPES)
def test_an_impossible_array_is_refused_before_memory_is_taken(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.npy").write_bytes(data)
    with pytest.raises(UnreadableFile, match=r"^x\.npy [^\n]*$"):
        read_npy(tmp_path / "x.npy", "x.npy")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("kind", ["<f4", ">f8", ">i2", "<u8", "?"])
def test_arrays_of_any_byte_order_and_layout_are_read(kind, order, tmp_path):
    array = np.asarray(np.arange(12).reshape(3, 4) % 2, dtype=kind, order=order)
    np.save(tmp_path / "x.npy", array)
    found = read_npy(tmp_path / "x.npy", "x.npy")
    np.testing.assert_array_equal(found, array)
    assert found.dtype.isnative


@pytest.mark.parametrize("kind", ["npz", "nwb", "bwb", "phy", "alf"])
def test_a_truncated_file_is_one_sentence(kind, tmp_path):
    folder = MAKERS[kind](tmp_path / "mine")
    path = max(folder.iterdir(), key=lambda path: path.stat().st_size)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    said = refusal(folder, kind)
    assert path.name.split(".")[0] in said and "again" in said and "\n" not in said


def test_every_single_byte_cut_of_a_small_archive_is_refused_in_words(tmp_path):
    whole = (npz(tmp_path / "mine") / "session.npz").read_bytes()
    for size in range(0, len(whole), len(whole) // 40):
        (tmp_path / "mine/session.npz").write_bytes(whole[:size])
        assert "session.npz" in refusal(tmp_path / "mine")


@pytest.mark.parametrize("kind", ["nwb", "bwb"])
def test_flipped_bytes_never_break_a_reader(kind, tmp_path):
    folder = MAKERS[kind](tmp_path / "mine")
    path, rng = next(folder.iterdir()), np.random.default_rng(0)
    whole = path.read_bytes()
    for _ in range(40):
        data = bytearray(whole)
        for place in rng.integers(0, min(len(data), 8000), 4):
            data[place] = rng.integers(0, 256)
        path.write_bytes(data)
        try:
            prepare(inspect(folder, kind))
        except ValueError as error:
            assert "\n" not in str(error)


def test_zip_bombs_and_double_names_are_refused(tmp_path):
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("spike_times.npy", b"\0" * 80 * 2**20)
    (tmp_path / "bomb.npz").write_bytes(bomb.getvalue())
    assert "times its size" in refusal(tmp_path / "bomb.npz")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "twice.npz", "w") as archive:
        archive.writestr("spike_times.npy", b"")
        archive.writestr("spike_times.npy", b"")
    assert "two arrays of one name" in refusal(tmp_path / "twice.npz")


def test_objects_in_an_archive_are_refused(tmp_path):
    folder = npz(tmp_path / "mine", spike_times=np.array([{"a": 1}], dtype=object))
    assert "Python objects" in refusal(folder)


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    folder = alf(tmp_path / "mine")
    secret = tmp_path / "secret"
    secret.mkdir()
    (folder / "spikes.times.npy").rename(secret / "spikes.times.npy")
    (folder / "spikes.times.npy").symlink_to(secret / "spikes.times.npy")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    assert "no recording" in refusal(folder)
    (folder / "inside.npy").symlink_to("spikes.clusters.npy")
    (folder / "spikes.times.npy").unlink()
    os.link(secret / "spikes.times.npy", folder / "spikes.times.npy")
    assert any("not followed (loop)" in note for note in report(folder).notes)


def test_hdf5_files_cannot_name_other_files(tmp_path):
    import h5py

    folder = nwb(tmp_path / "mine")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.arange(N_SPIKES)
    with h5py.File(folder / "session.nwb", "a") as file:
        del file["units/spike_times"]
        file["units/spike_times"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "x")
    assert "lies in another file" in refusal(folder)
    with h5py.File(folder / "session.nwb", "a") as file:
        del file["units/spike_times"]
        file["units/spike_times"] = h5py.SoftLink("/units/spike_times")
    assert "links without end" in refusal(folder)
    with h5py.File(folder / "session.nwb", "a") as file:
        del file["units/spike_times"]
        file.create_dataset("units/spike_times", (N_SPIKES,), "f8", external=[(str(tmp_path / "raw"), 0, 8 * N_SPIKES)])
    assert "lies in another file" in refusal(folder)


def test_an_hdf5_array_larger_than_memory_is_refused(tmp_path):
    import h5py

    folder = nwb(tmp_path / "mine")
    with h5py.File(folder / "session.nwb", "a") as file:
        del file["units/spike_times"]
        file.create_dataset("units/spike_times", (10**12,), "f8", chunks=(10**6,))
    assert "GB" in refusal(folder)


def test_names_of_files_stay_text_of_bounded_length(tmp_path):
    names = np.array(["<script>x</script>", "=cmd()", "../..", "a" * 10_000, "\u202eevil\n", ""])
    made = report(npz(tmp_path / "mine", unit_regions=names))
    assert all(len(region) <= 64 and region.isprintable() for region in made.session.units["region"])
    assert made.session.units["region"].iloc[-1] == "root"
    assert open_session(keep(made)).units["region"].tolist() == made.session.units["region"].tolist()
    assert [path.name for path in (tmp_path / "kept").iterdir() if not path.name.startswith(".")] == [made.session.id]


BROKEN = {
    "lengths": ({"spike_units": np.zeros(5, int)}, "entries but"),
    "negative units": ({"spike_units": np.full(N_SPIKES, -1)}, "negative"),
    "fractional units": ({"spike_units": np.full(N_SPIKES, 0.5)}, "no whole number"),
    "large units": ({"spike_units": np.full(N_SPIKES, 2**40)}, "beyond"),
    "no spikes": ({"spike_times": np.zeros(0), "spike_units": np.zeros(0, int)}, "holds a spike"),
    "far times": ({"spike_times": np.linspace(0, 1e9, N_SPIKES)}, "too large for seconds"),
    "no trials": ({"trials_stimOn_times": None, "trials_choice": None}, "no table of trials"),
    "no event": ({"trials_stimOn_times": np.full(N_TRIALS, np.nan)}, "no column of the trials"),
    "events elsewhere": ({"trials_stimOn_times": EVENTS + 1e5}, "no column of the trials"),
    "region lengths": ({"unit_regions": np.array(["CA1"])}, "differ in length"),
    "no arrays": ({"spike_times": None}, "needs arrays spike_times"),
    "same names": ({"unit_names": np.array(["a"] * N_UNITS)}, "uuids occur twice"),
}


@pytest.mark.parametrize(("changes", "says"), BROKEN.values(), ids=BROKEN)
def test_a_broken_recording_is_refused_in_a_sentence(changes, says, tmp_path):
    assert says in refusal(npz(tmp_path / "mine", **changes))


def test_one_spike_one_unit_and_one_trial_are_a_recording(tmp_path):
    arrays = {"spike_times": np.array([5.2]), "spike_units": np.array([0]), "unit_regions": np.array(["CA1"])}
    arrays |= {"trials_stimOn_times": np.array([5.0]), "trials_choice": np.array([1.0]), "unit_quality": np.ones(1)}
    made = report(npz(tmp_path / "mine", **arrays))
    assert (made.n_spikes, made.n_units, made.n_trials, made.fatal) == (1, 1, 1, ())
    assert open_session(keep(made)).align(window=(0.0, 0.4)).counts.sum() == 1


def test_unsorted_spikes_are_sorted_with_their_units(tmp_path):
    times, units = spikes()
    order = np.random.default_rng(1).permutation(N_SPIKES)
    made = report(npz(tmp_path / "mine", spike_times=times[order], spike_units=units[order]))
    np.testing.assert_array_equal(made.session.spike_times, times)
    np.testing.assert_array_equal(made.session.spike_units, units)
    assert any("sorted" in note for note in made.notes)


@pytest.mark.parametrize(
    ("given", "says"),
    [("nothing", "no such folder"), ("empty", "holds no file"), ("notes", "no recording that is known")],
)
def test_a_folder_without_a_recording_is_refused_in_a_sentence(given, says, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/readme.txt").write_text("hello")
    assert says in refusal(tmp_path / given)


def test_a_folder_of_several_sessions_asks_for_one(tmp_path):
    for day in ("2024-01-01", "2024-01-02"):
        alf(tmp_path / "lab/Subjects/m" / day / "001/alf/probe00")
    assert "holds 2 sessions" in refusal(tmp_path)
    made = report(tmp_path / "lab/Subjects/m/2024-01-02/001")
    assert (made.session.subject, made.session.date, made.lab) == ("m", "2024-01-02", "lab")


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_reports_and_keeps(tmp_path, capsys):
    folder, out = phy(tmp_path / "mine"), tmp_path / "report.json"
    assert main(["import", str(folder), "--json", str(out)]) == 0
    assert "nothing was kept" in capsys.readouterr().out and kept_rows() == []
    facts = json.loads(out.read_text())
    assert (facts["n_units"], facts["n_trials"], facts["format"]) == (N_UNITS - 1, N_TRIALS, "phy")
    assert main(["import", str(folder), "--good-only", "--keep", "--subject", "Mouse <1>"]) == 0
    session_id = kept_rows()[0]["id"]
    assert session_id.startswith("mouse-1-") and f"mtm train --session {session_id}" in capsys.readouterr().out
    assert main(["sessions"]) == 0
    assert session_id in capsys.readouterr().out


def test_the_command_refuses_in_one_line(tmp_path, capsys):
    folder = npz(tmp_path / "mine", spike_units=np.full(N_SPIKES, -1))
    assert main(["import", str(folder), "--keep"]) == 1
    assert "PROBLEM: probe00: spikes.clusters" in capsys.readouterr().out and kept_rows() == []
    assert main(["import", str(tmp_path / "nothing")]) == 1
    assert capsys.readouterr().err.count("\n") == 2  # progress, and the sentence
    assert main(["import"]) == 1
