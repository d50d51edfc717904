"""Named arrays in one .npz file, or as .npy files of these names in a folder.

| name                              | shape | meaning                                             |
|-----------------------------------|-------|-----------------------------------------------------|
| spike_times                       | (S,)  | s (samples if sampling_rate is there and it is whole) |
| spike_units (or spike_clusters)   | (S,)  | whose spike; any whole numbers from 0               |
| unit_ids                          | (N,)  | the numbers in spike_units; without it 0..largest   |
| unit_regions, unit_depths, unit_quality, unit_names | (N,) | acronyms, um, 0..1, text         |
| trials_<column>, or event_times   | (K,)  | the table of trials                                 |
| behavior_<name>_times, behavior_<name>_values | (n,) | a stream, in s and its own unit          |
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy import ndarray

from ..alf import UnreadableFile
from ..validation import Findings, RawProbe
from .arrays import NUMBERS, TEXT, Archive
from .files import Files
from .found import Found, Tell
from .trial_tables import numeric, trials_file

UNITS = ("spike_units", "spike_clusters")
EVENTS = ("event_times", "events", "stimOn_times")
REGIONS = ("unit_regions", "regions")


class _Arrays:
    """An archive, or the .npy files of a folder, as one mapping of names."""

    def __init__(self, files: Files) -> None:
        archives = files.named(r".*\.npz")
        if len(archives) > 1:
            shown = ", ".join(archives[:3])
            raise ValueError(f"{files.root.name} holds {len(archives)} .npz files ({shown}); give the file itself")
        self.files = files
        self.archive = Archive(files.files[archives[0]], archives[0]) if archives else None
        loose = {name.rsplit("/", 1)[-1].removesuffix(".npy"): name for name in files.named(r".*\.npy")}
        self.names = list(self.archive.members) if self.archive else list(loose)
        self._loose = loose

    def get(self, name: str, kinds: str = NUMBERS) -> ndarray | None:
        if name not in self.names:
            return None
        return self.archive.array(name, kinds) if self.archive else self.files.array(self._loose[name], kinds)

    def first(self, names: tuple[str, ...], kinds: str = NUMBERS) -> ndarray | None:
        return next((self.get(name, kinds) for name in names if name in self.names), None)


def read_npz(files: Files, tell: Tell) -> Found:
    """Raises ValueError in one sentence where the arrays of spikes are missing or cannot be read."""
    arrays, findings = _Arrays(files), Findings(notes=list(files.notes))
    tell(0.1, "Reading spikes")
    times, spike_units = arrays.get("spike_times"), arrays.first(UNITS)
    if times is None or spike_units is None:
        there = ", ".join(sorted(arrays.names)[:6]) or "nothing"
        raise ValueError(f"{files.root.name} needs arrays spike_times and spike_units; it has {there}")
    times, spike_units = times.ravel(), spike_units.ravel()
    tell(0.5, "Reading units and trials")
    rate = arrays.get("sampling_rate")
    samples = float(rate.ravel()[0]) if rate is not None and rate.size and not np.any(times % 1) else 0.0
    rows, units, own = _units(arrays, spike_units, findings)
    name = arrays.archive.path.stem if arrays.archive else files.root.name
    return Found(
        "npz",
        name,
        [RawProbe("probe00", times, rows, units)],
        _trials(arrays, files, findings),
        findings,
        subject=name,
        behaviors=_behaviors(arrays, findings),
        own_uuids=own,
        sampling_rate=samples,
    )


def _units(arrays: _Arrays, spike_units: ndarray, findings: Findings) -> tuple[ndarray, pd.DataFrame, bool]:
    """Row of every spike, the table of units, and whether the file names them."""
    ids = arrays.get("unit_ids")
    regions, names = arrays.first(REGIONS, TEXT), arrays.get("unit_names", TEXT)
    if ids is not None:
        ids = ids.ravel()
        order = np.argsort(ids, kind="stable")
        place = np.minimum(np.searchsorted(ids[order], spike_units), max(len(ids) - 1, 0))
        known = ids[order][place] == spike_units if len(ids) else np.zeros(len(spike_units), bool)
        n_units = len(ids)
        rows = np.where(known, order[place] if len(ids) else 0, n_units)  # n_units: beyond the table, which is reported
    else:
        rows = spike_units
        largest = np.nanmax(spike_units) if len(spike_units) and np.isfinite(spike_units).any() else -1
        n_units = len(regions) if regions is not None else int(min(max(largest + 1, 0), 100_000))
    columns = {
        "uuid": [f"probe00/{row}" for row in range(n_units)] if names is None else names,
        "region": np.full(n_units, "root") if regions is None else regions,
        "depth": arrays.get("unit_depths"),
        "quality": arrays.get("unit_quality"),
    }
    for name, values in columns.items():
        if values is None:
            columns[name] = np.full(n_units, np.nan)
        elif len(values) != n_units:
            raise UnreadableFile(f"unit arrays differ in length: {name} has {len(values)}, the units are {n_units}")
    table = pd.DataFrame({"probe": "probe00", **{name: list(np.ravel(values)) for name, values in columns.items()}})
    if regions is None:
        findings.notes.append("unit_regions is missing, so the regions are not known; all units are labelled root")
    table = table.astype({"uuid": str, "region": str, "depth": float, "quality": float}).astype({"region": object})
    return rows, table, names is not None


def _trials(arrays: _Arrays, files: Files, findings: Findings) -> pd.DataFrame:
    columns: dict[str, ndarray] = {}
    for name in arrays.names:
        if said := re.fullmatch(r"trials?[_.](.+)", name):
            columns[said[1][:64]] = arrays.get(name).ravel()
    events = arrays.first(EVENTS)
    if events is not None:
        columns.setdefault("stimOn_times", events.ravel())
    if not columns:
        return trials_file(files, findings)
    main = columns.get("stimOn_times", next(iter(columns.values())))
    wrong = {name: len(values) for name, values in columns.items() if len(values) != len(main)}
    for name, length in wrong.items():
        findings.notes.append(f"trials_{name} has {length} entries for {len(main)} trials; it was left out")
    table = pd.DataFrame({name: values for name, values in columns.items() if name not in wrong})
    return numeric(table, "trials", findings)


def _behaviors(arrays: _Arrays, findings: Findings) -> dict[str, tuple[ndarray, ndarray]]:
    found = {}
    for name in arrays.names:
        said = re.fullmatch(r"behavior_(\w{1,48})_times", name)
        if not said or f"behavior_{said[1]}_values" not in arrays.names:
            continue
        times, values = arrays.get(name).ravel(), arrays.get(f"behavior_{said[1]}_values").ravel()
        if len(times) == len(values) and not np.any(np.diff(times) < 0):
            found[said[1]] = (times.astype(np.float64), values.astype(np.float64))
        else:
            findings.notes.append(f"behavior {said[1]} needs as many values as times, in order; it was left out")
    return found
