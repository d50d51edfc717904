"""Which recordings a command trains on: opened, aligned, and refused with a reason."""

from __future__ import annotations

import argparse
from typing import Any

from ..data.catalogue import list_sessions, open_session
from ..session import Session, Trials

WIDEST_WINDOW = (-0.5, 1.5)  # s around the event; as in MtM


def default_window(session: Session) -> tuple[float, float]:
    """MtM's window, as far as the recording holds spikes."""
    if session.coverage is None:
        return WIDEST_WINDOW
    return max(WIDEST_WINDOW[0], session.coverage.start), min(WIDEST_WINDOW[1], session.coverage.end)


def open_trials(session_id: str, options: argparse.Namespace) -> Trials:
    """One session, aligned as the options say; raises ValueError naming what is wrong with it."""
    session = open_session(session_id, options.cache_dir)
    for problem in session.problems:
        print(f"{session.id}: {problem}")
    window = tuple(options.window) if options.window else default_window(session)
    trials = session.align(options.event, window, options.bin_size, options.region_level)
    excluded = "".join(f", {n} trials left out: {reason}" for reason, n in trials.excluded.items())
    span = f"{trials.window[0]:g} to {trials.window[1]:g} s"
    print(f"{session.id} {session.subject}: {trials.n_trials} trials, {span}, {trials.n_neurons} neurons{excluded}")
    return trials


def refuse_twins(session_ids: list[str], cache_dir: str | None) -> None:
    """Two entries of one recording would train on each other's test trials; raises ValueError."""
    twins = twins_of(cache_dir)
    chosen = [full for full in twins if any(full.startswith(session_id) for session_id in session_ids)]
    for one in chosen:
        if twins[one] in chosen:
            raise ValueError(f"sessions {one} and {twins[one]} are one recording; train on one of them")


def twins_of(cache_dir: str | None) -> dict[str, str]:
    """Session -> another entry of the same recording, or ""; in both directions."""
    rows = list_sessions(cache_dir).to_dict("records")
    twins: dict[str, str] = {row["id"]: row["same_recording_as"] for row in rows}
    return {**twins, **{other: one for one, other in twins.items() if other}}


def of_subjects(subjects: list[str], cache_dir: str | None) -> list[str]:
    """All sessions of the animals; raises ValueError for an animal without any."""
    table = list_sessions(cache_dir)
    unknown = sorted(set(subjects) - set(table["subject"]))
    if unknown:
        raise ValueError(f"no recording of {', '.join(unknown)}; animals: {', '.join(sorted(set(table['subject'])))}")
    return table["id"][table["subject"].isin(subjects)].tolist()


def open_usable(session_ids: list[str], options: argparse.Namespace) -> tuple[list[Trials], dict[str, str]]:
    """The sessions that can be used together, and why each other one cannot; raises ValueError if none can."""
    twins, found, refused = twins_of(options.cache_dir), [], {}
    for session_id in session_ids:
        used: Any = {trials.session_id for trials in found}
        if twins.get(session_id) in used:
            refused[session_id] = f"the same recording as {twins[session_id]}"
            continue
        try:
            trials = open_trials(session_id, options)
            if trials.session_id in used or twins.get(trials.session_id) in used:
                refused[session_id] = f"the same recording as {trials.session_id} or its twin, already used"
            elif not {"train", "validation"} <= set(trials.split):
                refused[session_id] = f"{trials.n_trials} trials are too few to train and to validate"
            else:
                found.append(trials)
        except ValueError as error:
            refused[session_id] = str(error)
    for session_id, reason in refused.items():
        print(f"not used: {session_id}: {reason}")
    if not found:
        raise ValueError("none of the sessions can be used; the reasons are above")
    return found, refused
