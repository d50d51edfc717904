"""What can be opened: the simulated cohort, the sessions of a local ONE cache if one is given, and imported ones.

The cache folder is `cache_dir`, else the environment variable MTM_CACHE_DIR, else there is none.
"""

from __future__ import annotations

import math
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from ..regions import NEVER_TARGET, map_regions, sort_regions
from ..session import Session
from . import ibl, simulate
from .alf import Folder, open_folder
from .importing import kept
from .probes import probe_collections, read_units
from .validation import Findings

CACHE_VARIABLE = "MTM_CACHE_DIR"


def list_sessions(cache_dir: str | Path | None = None) -> pd.DataFrame:
    """One row per session, without loading spikes: id, subject, date, number, n_neurons, n_trials, regions, source,
    window, bin_size, same_recording_as, problem, lab, duration.

    regions: tuple of Beryl acronyms in Allen order. window and bin_size (s): where spikes exist around the stimulus and
    how finely, None for a continuous recording. same_recording_as: id of another session with the same data (never
    train on one and test on the other), else "". problem: why the session cannot be opened, else "".
    duration: s from the first to the last spike, NaN if unknown.
    Raises FileNotFoundError if the cache folder holds no ONE tables.
    """
    rows = [_simulated_row(session_id) for session_id in simulate.SIMULATED_IDS]
    if folder := _cache_dir(cache_dir):
        windows = ibl.read_windows(folder)
        rows += [
            _recorded_row(folder, session_id, windows.get(session_id, {})) for session_id in ibl.session_ids(folder)
        ]
    return pd.DataFrame(rows + _imported_rows(rows))


def open_session(session_id: str, cache_dir: str | Path | None = None) -> Session:
    """The session of this id, or of the only id that begins so. The last few sessions are kept in memory.

    Raises ValueError for an unknown or ambiguous id, RecordingError (a ValueError) for a recording that cannot be used.
    """
    if session_id in simulate.SIMULATED_IDS or kept.is_kept(session_id):
        return _open(session_id, None)
    folder = _cache_dir(cache_dir)
    ids = [*simulate.SIMULATED_IDS, *(ibl.session_ids(folder) if folder else []), *kept.kept_ids()]
    found = [known for known in ids if known == session_id] or [known for known in ids if known.startswith(session_id)]
    if len(found) != 1 or not session_id:
        what = f"matches {len(found)} sessions" if found else "is not the id of a session"
        hint = "" if folder else f" (set {CACHE_VARIABLE} to a ONE cache for recordings)"
        raise ValueError(f"{session_id!r} {what}; choose one of {', '.join(found or ids)}{hint}")
    return _open(found[0], None if kept.is_kept(found[0]) else folder)


@lru_cache(maxsize=4)
def _open(session_id: str, folder: str | None) -> Session:
    if session_id in simulate.SIMULATED_IDS:
        return simulate.simulated_session(session_id)
    if folder is None:
        return kept.open_kept(session_id)
    return ibl.read_session(folder, session_id)


def _cache_dir(cache_dir: str | Path | None) -> str | None:
    return str(cache_dir or os.environ.get(CACHE_VARIABLE) or "") or None


def _simulated_row(session_id: str) -> dict:
    animal = simulate.ANIMALS[session_id]
    return {
        "id": session_id,
        "subject": animal.subject,
        "date": simulate.DATE,
        "number": 1,
        "n_neurons": sum(animal.neurons.values()),
        "n_trials": simulate.N_TRIALS,
        "regions": sort_regions(animal.neurons),
        "source": "simulated",
        "window": simulate.WINDOW,
        "bin_size": simulate.BIN,
        "same_recording_as": "",
        "problem": "",
        "lab": "",
        "duration": simulate.duration(session_id),
    }


def _recorded_row(cache_dir: str, session_id: str, window: dict) -> dict:
    found, folder = Findings(), open_folder(cache_dir, session_id)
    collections = probe_collections(folder)
    if not collections:
        found.fatal.append("no probe with spikes was found; a recording needs spikes.times and spikes.clusters")
    tables = [read_units(folder, collection, session_id, found) for collection in collections]
    units = pd.concat([pd.DataFrame({"region": []}), *(table for table in tables if table is not None)])
    trials = ibl.read_trials(folder, found)
    coverage, twin = ibl.coverage_of(window), window.get("same_recording_as")
    return {
        "id": session_id,
        **ibl.describe(cache_dir, session_id),
        "n_neurons": len(units),
        "n_trials": len(trials),
        "regions": sort_regions(set(map_regions(units["region"], "beryl").tolist()) - NEVER_TARGET),
        "source": "ibl",
        "window": (coverage.start, coverage.end) if coverage else None,
        "bin_size": coverage.bin_size if coverage else None,
        "same_recording_as": twin if isinstance(twin, str) else "",
        "problem": " ".join(found.fatal),
        "lab": ibl.lab_of(cache_dir, session_id),
        "duration": _duration(folder, collections),
    }


def _duration(folder: Folder, collections: list[str]) -> float:
    """s from the first to the last spike of a probe, the longest of them; the files are not read in between."""
    lasting = [math.nan]
    for collection in collections:
        try:
            times = np.load(folder.files[f"{collection}/spikes.times.npy"], mmap_mode="r", allow_pickle=False).ravel()
            lasting.append(float(times[-1] - times[0]))
        except (KeyError, ValueError, OSError, IndexError, EOFError):
            continue  # opening the session says what is wrong
    return float(np.fmax.reduce(lasting))


def _imported_rows(others: list[dict]) -> list[dict]:
    """Imported recordings; one of the same animal, day and number as another is taken to be the same."""
    known = {(row["subject"].lower(), row["date"], row["number"]): row["id"] for row in others if row["date"]}
    rows = kept.kept_rows()
    for row in rows:
        row["same_recording_as"] = known.get((row["subject"].lower(), row["date"], row["number"]), "")
        known.setdefault((row["subject"].lower(), row["date"], row["number"]), row["id"])
    return rows
