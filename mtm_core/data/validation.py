"""What can be wrong with a recording, and what is done about it: everything is said, nothing is silently dropped.

| found                                              | consequence                                            |
|----------------------------------------------------|--------------------------------------------------------|
| file missing or unreadable that spikes need        | fatal                                                  |
| spikes.times and spikes.clusters differ in length  | fatal: nobody knows which spikes are whose             |
| NaN or infinite spike times                        | fatal: such spikes have no place on the time line      |
| times that look like samples, or too large         | fatal: the unit of time is not known                   |
| cluster ids negative, fractional or without a row  | fatal: the neuron and its region are not known         |
| cluster tables of different lengths                | fatal: labels would shift from one neuron to the next  |
| duplicate uuid                                     | fatal: model weights are keyed by uuid                 |
| no probe, no spike at all, no trial                | fatal                                                  |
| unsorted spike times                               | sorted together with their clusters, and said          |
| spike times in 32 bits, or before 0                | kept, and said (with the resolution that is left)      |
| trials column of another length                    | left out, and said                                     |
| trial that ends before its stimulus                | kept, and said                                         |
| empty probe                                        | its neurons stay as silent rows, and said              |
| unknown acronym, unknown region, depth or quality  | kept as it is (region root, NaN), and said             |
| missing behaviour                                  | absent from Session.behaviors, and said                |

All fatal problems of one recording come together in one `RecordingError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy import ndarray

from ..regions import unknown_acronyms

LONGEST_S = 1e6  # s; eleven days: no recording of one session lasts so long
SHORTEST_SAMPLES = 1e5  # whole-number times beyond this are sample numbers (3 s at 30 kHz), not seconds (28 h)


class RecordingError(ValueError):
    """A recording that cannot be used. `problems` holds one sentence each: what, where, what to do."""

    def __init__(self, recording: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"- {problem}" for problem in self.problems)
        super().__init__(f"recording {recording} cannot be used; {len(self.problems)} problem(s):\n{lines}")


@dataclass(frozen=True, eq=False)
class RawProbe:
    """One probe as it lies on disk. units has one row per cluster: uuid, region, depth (um), quality (0..1)."""

    name: str
    spike_times: ndarray  # (S,), should be seconds
    spike_clusters: ndarray  # (S,), should be rows of units
    units: pd.DataFrame


@dataclass(frozen=True)
class Findings:
    """Sentences: fatal ones forbid the use of the recording, notes say what was found and done."""

    fatal: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_problems(probes: Sequence[RawProbe], trials: pd.DataFrame) -> Findings:
    """Every problem of a recording's raw parts; see the table at the top of this module."""
    findings = Findings()
    if not probes:
        findings.fatal.append("no probe with spikes was found; a recording needs spikes.times and spikes.clusters")
    elif not any(len(probe.spike_times) for probe in probes):
        findings.fatal.append("no probe holds a spike; check that the spike files are complete")
    for probe in probes:
        _check_times(probe, findings)
        _check_clusters(probe, findings)
        _check_units(probe, findings)
    _check_uuids(probes, findings)
    _check_trials(trials, findings)
    return findings


def _check_times(probe: RawProbe, findings: Findings) -> None:
    times, where = np.asarray(probe.spike_times), f"{probe.name}: spikes.times"
    if not len(times):
        findings.notes.append(f"{probe.name} holds no spike; its {len(probe.units)} neurons are kept as silent ones")
        return
    n_bad = int(np.count_nonzero(~np.isfinite(times)))
    if n_bad:
        findings.fatal.append(f"{where} holds {n_bad} NaN or infinite times; export the spikes again")
        times = times[np.isfinite(times)]
    if len(times):
        _check_unit_of_time(times, where, findings)
        _check_order(times, where, findings)


def _check_unit_of_time(times: ndarray, where: str, findings: Findings) -> None:
    first, last = float(times.min()), float(times.max())
    if last > SHORTEST_SAMPLES and np.array_equal(times, np.rint(times)):
        findings.fatal.append(
            f"{where} holds whole numbers up to {last:.0f}, which look like samples; divide by the sampling rate"
        )
    elif last > LONGEST_S:
        findings.fatal.append(f"{where} reaches {last:.3g}, too large for seconds; give times in seconds")
    if first < 0:
        findings.notes.append(f"{where} begins at {first:.3f} s, before 0; the spikes are kept")
    if times.dtype == np.float32:
        findings.notes.append(
            f"{where} is stored in 32 bits, which leaves {np.spacing(np.float32(last)) * 1e3:.2g} ms at the end; kept"
        )


def _check_order(times: ndarray, where: str, findings: Findings) -> None:
    n_back = int(np.count_nonzero(np.diff(times) < 0))
    if n_back:
        findings.notes.append(f"{where} goes back in time at {n_back} places; spikes were sorted by time")


def _check_clusters(probe: RawProbe, findings: Findings) -> None:
    ids, n_units, where = np.asarray(probe.spike_clusters), len(probe.units), f"{probe.name}: spikes.clusters"
    if len(ids) != len(probe.spike_times):
        findings.fatal.append(
            f"{where} has {len(ids)} entries but spikes.times has {len(probe.spike_times)}; export both again"
        )
    n_fractional = int(np.count_nonzero(ids != np.rint(ids)))
    if n_fractional:
        findings.fatal.append(f"{where} holds {n_fractional} entries that are no whole number; export the ids again")
    if n_negative := int(np.count_nonzero(ids < 0)):
        findings.fatal.append(f"{where} holds {n_negative} negative ids; remove or relabel these spikes")
    if n_unknown := int(np.count_nonzero(ids >= n_units)):
        findings.fatal.append(
            f"{where} has {n_unknown} spikes of clusters beyond the {n_units} rows of the cluster tables; "
            "use spikes and clusters of one sorting"
        )


def _check_units(probe: RawProbe, findings: Findings) -> None:
    unknown = unknown_acronyms(probe.units["region"])
    if unknown:
        shown = ", ".join(name[:64] for name in unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        findings.notes.append(
            f"{probe.name}: {len(unknown)} region names are not in the Allen atlas ({shown}); kept as they are"
        )
    for column, meaning in (("depth", "depths"), ("quality", "quality labels")):
        if len(probe.units) and probe.units[column].isna().all():
            findings.notes.append(f"{probe.name}: the {meaning} of the neurons are not known")


def _check_uuids(probes: Sequence[RawProbe], findings: Findings) -> None:
    uuids = pd.concat([probe.units["uuid"] for probe in probes]) if probes else pd.Series(dtype=object)
    twice = uuids[uuids.duplicated()].unique()
    if len(twice):
        findings.fatal.append(
            f"clusters.uuids: {len(twice)} uuids occur twice, the first is {twice[0]}; give each neuron its own"
        )


def _check_trials(trials: pd.DataFrame, findings: Findings) -> None:
    if trials.empty:
        findings.fatal.append("the trials table holds no trial; check _ibl_trials.table.pqt")
        return
    if {"stimOn_times", "intervals_1"} <= set(trials.columns):
        n_late = int((trials["stimOn_times"] > trials["intervals_1"]).sum())
        if n_late:
            findings.notes.append(f"trials: {n_late} trials end before their stimulus (intervals_1); kept")
