"""Tables of trials under the names of the IBL, whoever wrote them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy import ndarray

from ..alf import UnreadableFile
from ..validation import Findings
from .files import Files

EVENT = "stimOn_times"  # what everything in the app is aligned to unless told otherwise
FIRST_CHOICES = (EVENT, "event_times", "events")
LIKELY = ("stim", "onset", "cue", "start", "intervals_0")
MARGIN = 60.0  # s around the spikes within which events may lie
# the IBL's names in NWB files (DANDI 000409) and in those of BrainWideBench
NAMES = {
    "start_time": "intervals_0",
    "stop_time": "intervals_1",
    "start": "intervals_0",
    "end": "intervals_1",
    "gabor_stimulus_onset_time": EVENT,
    "stim_on_time": EVENT,
    "stim_off_time": "stimOff_times",
    "go_cue_time": "goCue_times",
    "feedback_time": "feedback_times",
    "response_time": "response_times",
    "choice_registration_time": "response_times",
    "wheel_movement_onset_time": "firstMovement_times",
    "movement_onset_time": "firstMovement_times",
    "mouse_wheel_choice": "choice",
    "probability_left": "probabilityLeft",
    "contrast_left": "contrastLeft",
    "contrast_right": "contrastRight",
    "feedback_type": "feedbackType",
}
WORDS = {
    "left": 1.0,
    "right": -1.0,
    "no-go": 0.0,
    "nogo": 0.0,
    "no_go": 0.0,
    "none": 0.0,
    "true": 1.0,
    "false": 0.0,
    "correct": 1.0,
    "incorrect": -1.0,
}


def numeric(table: pd.DataFrame, where: str, findings: Findings) -> pd.DataFrame:
    """The columns that hold numbers, or words that stand for some, as float64 under the IBL's names.

    A choice of left is +1, right -1, none 0. Other columns are left out, and said.
    """
    columns: dict[str, ndarray] = {}
    left_out = []
    for name, column in table.items():
        values = _numbers(column)
        if values is None:
            left_out.append(str(name))
            continue
        columns.setdefault(NAMES.get(str(name), str(name)), values)
    if left_out:
        shown = ", ".join(left_out[:6]) + (", ..." if len(left_out) > 6 else "")
        findings.notes.append(f"{where}: what holds no numbers was left out (columns {shown})")
    return pd.DataFrame(columns)


def _numbers(column: pd.Series) -> ndarray | None:
    if column.dtype.kind in "biuf":
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    words = column.astype(str).str.strip().str.lower()
    known = words.map(WORDS)
    if len(words) and (known.notna() | words.isin(["", "nan"])).all() and known.notna().any():
        return known.to_numpy(dtype=np.float64)
    values = pd.to_numeric(words, errors="coerce")
    if len(values) and (values.notna() | words.isin(["", "nan"])).all() and values.notna().any():
        return values.to_numpy(dtype=np.float64)
    return None


def trials_file(files: Files, findings: Findings) -> pd.DataFrame:
    """The table of trials beside a sorting: trials.csv, .tsv or .pqt, or one whose name says so."""
    for pattern in (r"trials\.(csv|tsv|pqt|parquet)", r".*(trial|event).*\.(csv|tsv|pqt|parquet)"):
        for name in files.named(pattern):
            try:
                return numeric(files.table(name), name, findings)
            except UnreadableFile as error:
                findings.fatal.append(str(error))
                return pd.DataFrame()
    return pd.DataFrame()


def event_columns(trials: pd.DataFrame, first: float, last: float) -> dict[str, int]:
    """Columns that may be times of events -> trials that have one, the most likely first.

    Times of events lie where spikes are (first..last, s), and hardly ever go back from one trial to the next.
    """
    found = {}
    for name, column in trials.items():
        values = column.to_numpy(dtype=np.float64)
        values = values[np.isfinite(values)]
        inside = (values >= first - MARGIN) & (values <= last + MARGIN)
        if not len(values) or inside.mean() < 0.5 or len(np.unique(values)) < len(values) / 2:
            continue
        if len(values) > 1 and (np.diff(values) > 0).mean() < 0.9:
            continue
        found[str(name)] = len(values)
    return dict(sorted(found.items(), key=lambda item: _rank(item[0])))


def _rank(name: str) -> tuple[int, int, str]:
    if name in FIRST_CHOICES:
        return 0, FIRST_CHOICES.index(name), name
    likely = [place for place, word in enumerate(LIKELY) if word in name.lower()]
    return (1, likely[0], name) if likely else (2 if "time" in name.lower() else 3, 0, name)
