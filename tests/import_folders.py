"""Small recordings in the formats that can be imported, written for the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

N_TRIALS, N_UNITS, N_SPIKES, SECONDS = 30, 6, 6000, 200.0
REGIONS = ["CA1", "CA1", "DG", "LP", "PO", "root"]
EVENTS = 5.0 + 6.0 * np.arange(N_TRIALS)


def spikes(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Sorted times (s) without long silences, and units 0..N_UNITS-1."""
    rng = np.random.default_rng(seed)
    return np.sort(rng.uniform(0, SECONDS, N_SPIKES)), rng.integers(0, N_UNITS, N_SPIKES)


def trials() -> pd.DataFrame:
    choice = np.where(np.arange(N_TRIALS) % 2 == 0, 1.0, -1.0)
    return pd.DataFrame({"stimOn_times": EVENTS, "choice": choice, "comment": "fine"})


def npz(folder: Path, **changes: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    times, units = spikes()
    arrays = {
        "spike_times": times,
        "spike_units": units,
        "unit_regions": np.array(REGIONS),
        "unit_quality": np.array([1.0, 0, 1, 1, 0, 1]),
        "trials_stimOn_times": EVENTS,
        "trials_choice": trials()["choice"].to_numpy(),
        "behavior_speed_times": np.arange(0, SECONDS, 0.1),
        "behavior_speed_values": np.ones(2000),
    }
    np.savez(folder / "session.npz", **{name: a for name, a in (arrays | changes).items() if a is not None})
    return folder


PHY_IDS = np.array([3, 7, 20, 21, 50, 90])


def phy(folder: Path) -> Path:
    """Cluster ids with gaps; 7 is noise, 20 mua, the others good. 30 kHz."""
    folder.mkdir(parents=True, exist_ok=True)
    times, units = spikes()
    np.save(folder / "spike_times.npy", np.rint(times * 30_000).astype(np.uint64)[:, None])
    np.save(folder / "spike_clusters.npy", PHY_IDS[units].astype(np.int32))
    (folder / "params.py").write_text("import os\nos.mkdir('owned')\ndat_path = 'raw.bin'\nsample_rate = 30000.\n")
    groups = ["good", "noise", "mua", "good", "good", "good"]
    table = {"cluster_id": PHY_IDS, "group": groups, "depth": 100.0 * np.arange(N_UNITS), "region": REGIONS}
    pd.DataFrame(table).to_csv(folder / "cluster_info.tsv", sep="\t", index=False)
    trials().to_csv(folder / "trials.csv", index=False)
    return folder


def alf(folder: Path) -> Path:
    """Loose ALF files of one probe, without tables of clusters."""
    folder.mkdir(parents=True, exist_ok=True)
    times, units = spikes()
    np.save(folder / "spikes.times.npy", times)
    np.save(folder / "spikes.clusters.npy", units)
    np.save(folder / "clusters.brainLocationAcronyms_ccf_2017.npy", np.array(REGIONS))
    trials().drop(columns="comment").to_parquet(folder / "_ibl_trials.table.pqt")
    return folder


def nwb(folder: Path) -> Path:
    """Units with regions through their electrodes, as most NWB files have them."""
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    times, units = spikes()
    order = np.argsort(units, kind="stable")
    with h5py.File(folder / "session.nwb", "w") as file:
        file["units/spike_times"] = times[order]
        file["units/spike_times_index"] = np.cumsum(np.bincount(units, minlength=N_UNITS))
        file["units/electrodes"] = np.arange(N_UNITS)[::-1]
        file["units/electrodes_index"] = np.arange(1, N_UNITS + 1)
        file["units/quality"] = np.array(["good", "noise", "good", "good", "mua", "good"], dtype=object)
        file["general/extracellular_ephys/electrodes/location"] = np.array(REGIONS[::-1], dtype=object)
        file["general/subject/subject_id"] = "mouse-7"
        file["session_start_time"] = "2024-05-01T10:00:00+00:00"
        file["intervals/trials/start_time"] = EVENTS - 1
        file["intervals/trials/gabor_stimulus_onset_time"] = EVENTS
        file["intervals/trials/mouse_wheel_choice"] = np.array(["left", "right"] * (N_TRIALS // 2), dtype=object)
        wheel = file.create_group("processing/wheel/WheelVelocitySmoothed")
        wheel["data"] = -np.ones(1000)
        wheel["starting_time"] = 2.0
        wheel["starting_time"].attrs["rate"] = 10.0
    return folder


def bench(path: Path) -> Path:
    """A session in the layout of BrainWideBench."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    times, units = spikes()
    with h5py.File(path, "w") as file:
        file["spikes/timestamps"], file["spikes/unit_index"] = times, units
        file["units/id"] = np.array([f"unit-{i}" for i in range(N_UNITS)], dtype=object)
        file["units/region_allen"] = np.array(REGIONS, dtype=object)
        file["units/region_cosmos"] = np.array(["HPF"] * 3 + ["TH"] * 2 + ["root"], dtype=object)
        file["units/label"] = np.array([1.0, 0.3, 1, 1, 0, 1])
        file["trials/start"], file["trials/stim_on_time"] = EVENTS - 1, EVENTS
        file["trials/choice"] = np.array([1, 0, 2] * (N_TRIALS // 3))
        file["trials/stimulus_contrast"] = np.zeros(N_TRIALS)
        file["wheel/wheel_speed"] = np.ones(500)
        file["wheel/domain/start"] = np.array([1.5])
        file["wheel"].attrs["sampling_rate"] = 50.0
        file.create_group("subject").attrs["id"] = "KS014"
    return path


MAKERS = {"npz": npz, "phy": phy, "alf": alf, "nwb": nwb, "bwb": lambda folder: bench(folder / "session.h5").parent}
