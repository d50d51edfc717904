"""Sessions of the International Brain Laboratory (and of others in its ALF layout) from a local ONE cache.

Reads `<lab>/Subjects/<subject>/<date>/<number>/alf/...`; file names follow the ALF convention of ONE. What is wrong
with a recording is collected first and said together (`validation`), not file by file.

A file `windows.csv` beside the tables may say where spikes exist around a stimulus (columns eid, spike_start_s,
spike_end_s, bin_s; optional behaviour_start_s, behaviour_end_s, same_recording_as), for sources that hold binned counts
around trials only. Without it a recording is taken to be continuous.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy import ndarray

from ..session import Coverage, Session
from .alf import Folder, UnreadableFile, open_cache, open_folder
from .probes import merge_spikes, read_probes
from .streams import Stream, outside_windows, read_behaviors
from .validation import Findings, RecordingError, find_problems

EVENT = "stimOn_times"  # what windows.csv refers to


def read_session(cache_dir: str | Path, session_id: str) -> Session:
    """The session with all probes merged: units are the rows of all cluster tables, one probe after the other.

    Silent clusters keep their row. Raises RecordingError with every problem that forbids its use, FileNotFoundError if
    the folder holds no ONE tables, KeyError if it does not know the session.
    """
    folder = open_folder(str(cache_dir), session_id)
    found = Findings()
    probes = read_probes(folder, session_id, found)
    trials = read_trials(folder, found)
    raw = find_problems(probes, trials)
    if fatal := found.fatal + raw.fatal:
        raise RecordingError(session_id, fatal)
    behaviors, missing = read_behaviors(folder)
    window = read_windows(cache_dir).get(session_id, {})
    times, units = merge_spikes(probes)
    who = describe(cache_dir, session_id)
    return Session(
        id=session_id,
        subject=who["subject"],
        date=who["date"],
        number=who["number"],
        source="ibl",
        spike_times=times,
        spike_units=units,
        units=pd.concat([probe.units for probe in probes], ignore_index=True),
        trials=trials,
        behaviors=_inside_windows(behaviors, trials, window),
        coverage=coverage_of(window),
        problems=(*found.notes, *raw.notes, *missing),
    )


def session_ids(cache_dir: str | Path) -> list[str]:
    """Ids of all sessions of the cache, newest first."""
    return [str(session_id) for session_id in open_cache(str(cache_dir)).search()]


def describe(cache_dir: str | Path, session_id: str) -> dict:
    """subject, date (ISO) and number of a session, from the tables alone."""
    row = open_cache(str(cache_dir)).get_details(session_id)
    return {"subject": str(row["subject"]), "date": str(row["date"]), "number": int(row["number"])}


def lab_of(cache_dir: str | Path, session_id: str) -> str:
    """The lab of a session, "" where the tables do not say."""
    return str(open_cache(str(cache_dir)).get_details(session_id).get("lab") or "")


def read_windows(cache_dir: str | Path) -> dict[str, dict]:
    """Rows of windows.csv by session id; empty without the file. same_recording_as holds both ways."""
    path = Path(cache_dir) / "windows.csv"
    if not path.is_file():
        return {}
    windows = pd.read_csv(path).set_index("eid").to_dict("index")
    for session_id, twin in [(key, row.get("same_recording_as")) for key, row in windows.items()]:
        if twin in windows:
            windows[twin]["same_recording_as"] = session_id
    return windows


def coverage_of(window: dict) -> Coverage | None:
    """Where spikes exist, from a row of windows.csv."""
    if not window:
        return None
    return Coverage(EVENT, window["spike_start_s"], window["spike_end_s"], window["bin_s"])


def read_trials(folder: Folder, found: Findings) -> pd.DataFrame:
    """The trials table; separate trials.* files add the columns which the table lacks. Empty if there is none."""
    columns: dict[str, ndarray] = {}
    paths = [path for path in folder.files if path.rsplit("/", 1)[-1].startswith(("_ibl_trials.", "trials."))]
    # The table first: its columns win. Several task folders: the shortest path, which is alf itself.
    for path in sorted(paths, key=lambda path: (".table." not in path, len(path), path)):
        try:
            new = _trial_columns(folder, path)
        except UnreadableFile as error:
            found.fatal.append(str(error))
            continue
        columns = new | columns
    if not columns:
        return pd.DataFrame()
    main = next((columns[name] for name in (EVENT, "intervals_0") if name in columns), next(iter(columns.values())))
    wrong = {name: len(values) for name, values in columns.items() if len(values) != len(main)}
    for name, length in wrong.items():
        found.notes.append(f"trials.{name} has {length} entries for {len(main)} trials; the column was left out")
    return pd.DataFrame({name: values for name, values in columns.items() if name not in wrong})


def _trial_columns(folder: Folder, path: str) -> dict[str, ndarray]:
    """Columns of one trials file; a two-column array (intervals) becomes name_0 and name_1. Other types are ignored."""
    attribute, extension = path.rsplit("/", 1)[-1].split(".")[-2:]
    if extension == "pqt":
        return {name: column.to_numpy() for name, column in folder.table(path).items()}
    if extension != "npy":
        return {}
    values = folder.array(path)
    if values.ndim == 1:
        return {attribute: values}
    return {f"{attribute}_{column}": values[:, column] for column in range(values.shape[1])}


def _inside_windows(behaviors: dict[str, Stream], trials: pd.DataFrame, window: dict) -> dict[str, Stream]:
    """Behavior that was recorded only around trials is NaN elsewhere: a held wheel position is not a still wheel."""
    if "behaviour_start_s" not in window or EVENT not in trials:
        return behaviors
    events, kept = trials[EVENT].to_numpy(), {}
    for name, (times, values) in behaviors.items():
        outside = outside_windows(times, events, window["behaviour_start_s"], window["behaviour_end_s"])
        kept[name] = (times, np.where(outside, np.nan, values))
    return kept
