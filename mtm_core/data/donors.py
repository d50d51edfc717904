"""Behaviors of all other sessions, cut like the trials of one: what its neurons are tested against."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy import ndarray

from ..session import Session, Trials
from .behaviors import sample_stream, trial_behaviors
from .binning import Grid
from .catalogue import list_sessions, open_session


def donor_ids(session_id: str, cache_dir: str | Path | None = None) -> tuple[str, ...]:
    """Usable sessions of the same source that are other recordings than this one."""
    table = list_sessions(cache_dir).set_index("id")
    own = table.loc[session_id]
    other = (table["source"] == own["source"]) & (table["problem"] == "")
    # The same recording under another id, either way round.
    twin = (table["same_recording_as"] == session_id) | (table.index == own["same_recording_as"])
    return tuple(table.index[other & ~twin & (table.index != session_id)])


def donors(trials: Trials, cache_dir: str | Path | None = None) -> Iterator[dict[str, ndarray]]:
    """Behaviors of the other sessions, one session a step; streams are (K', T) on the bins of `trials`."""
    for session_id in donor_ids(trials.session_id, cache_dir):
        session = open_session(session_id, cache_dir)
        if trials.event in session.trials:
            yield behaviors_around(session, trials)


def behaviors_around(session: Session, trials: Trials) -> dict[str, ndarray]:
    """Behaviors of a session in the window and bins of `trials`, as `Trials.behaviors` would hold them."""
    times = session.trials[trials.event].to_numpy(dtype=np.float64)
    known = np.isfinite(times)
    grid = Grid(times[known] + trials.window[0], trials.bin_size, trials.n_bins)
    streams = {name: sample_stream(*stream, grid) for name, stream in session.behaviors.items()}
    return streams | trial_behaviors(session.trials[known])
