"""Sessions of BrainWideBench: HDF5 in the layout of brainsets, one file per session, from a public bucket."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy import ndarray

from ..alf import UnreadableFile
from ..validation import Findings, RawProbe
from .files import Files
from .found import MOST_SPIKES, Found, Tell
from .hdf5 import Tree, opened
from .trial_tables import numeric

REGIONS = ("region_allen", "region_beryl", "region_cosmos", "acronym")
STREAMS = {  # dataset -> name here
    "wheel/wheel_speed": "wheel_speed",
    "whisker/whisker_motion_energy": "whisker_motion_energy",
    "paws/left_paw_speed": "paw_speed",
    "licks/licking_rate": "licking_rate",
}
CHOICES = {1: 1.0, 0: -1.0, 2: 0.0}  # left, right, none -> the IBL's signs
# labels of the benchmark, in codes of its own; what they are made of is in other columns
CODED = ("block_prior", "stimulus_side", "stimulus_contrast", "trial_index", "reward")


def is_bwb(tree: Tree) -> bool:
    return "timestamps" in tree.names("spikes") and "unit_index" in tree.names("spikes")


def read_bwb(files: Files, tell: Tell) -> Found:
    """Raises ValueError in one sentence for a file without spikes, or for several files."""
    names = files.named(r".*\.(h5|hdf5)")
    if len(names) != 1:
        raise ValueError(f"{files.root.name} holds {len(names)} HDF5 files; give the file itself")
    path, findings = files.files[names[0]], Findings(notes=list(files.notes))
    with opened(path, names[0]) as tree:
        tell(0.1, "Reading spikes")
        times, units = tree.numbers("spikes/timestamps"), tree.numbers("spikes/unit_index")
        if times is None or units is None:
            raise UnreadableFile(f"{names[0]} has no spikes/timestamps and spikes/unit_index; it is no such session")
        if len(times) > MOST_SPIKES:
            raise UnreadableFile(f"{names[0]} holds {len(times):,} spikes; at most {MOST_SPIKES:,} can be read")
        tell(0.6, "Reading units and trials")
        table, columns = _units(tree)
        return Found(
            "bwb",
            path.stem,
            [RawProbe("units", times.astype(np.float64), units, table)],
            _trials(tree, findings),
            findings,
            subject=_attribute(tree, "subject", "id") or path.stem[:8],
            date=_attribute(tree, "session", "recording_date")[:10],
            lab=_attribute(tree, "", "lab"),
            behaviors=_behaviors(tree),
            region_columns=columns,
            own_uuids=True,
        )


def _units(tree: Tree) -> tuple[pd.DataFrame, dict[str, ndarray]]:
    ids = tree.texts("units/id")
    if ids is None:
        raise UnreadableFile(f"{tree.name} has no units/id; it is no session of BrainWideBench")
    n_units = len(ids)
    columns = {
        name: np.array(texts, object)
        for name in REGIONS
        if (texts := tree.texts(f"units/{name}")) is not None and len(texts) == n_units
    }
    depth, label, probe = tree.numbers("units/depths"), tree.numbers("units/label"), tree.texts("units/probe_id")
    table = {
        "uuid": ids,
        "region": next(iter(columns.values()), np.full(n_units, "root", object)),
        "probe": probe if probe is not None and len(probe) == n_units else "units",
        "depth": depth if depth is not None and depth.shape == (n_units,) else np.nan,
        "quality": label if label is not None and label.shape == (n_units,) else np.nan,
    }
    return pd.DataFrame(table).astype({"depth": float, "quality": float}), columns


def _trials(tree: Tree, findings: Findings) -> pd.DataFrame:
    start = tree.numbers("trials/start")
    if start is None:
        return pd.DataFrame()
    columns = {}
    for name in tree.names("trials"):
        values = tree.numbers(f"trials/{name}")
        if values is not None and values.shape == start.shape and name not in CODED:
            columns[name] = values
    table = numeric(pd.DataFrame(columns), "trials", findings)
    if "choice" in table:
        table["choice"] = table["choice"].map(CHOICES)
    return table


def _behaviors(tree: Tree) -> dict[str, tuple[ndarray, ndarray]]:
    """Streams on a regular grid: a rate (Hz) and the start of the domain (s), or times of their own."""
    found = {}
    for path, name in STREAMS.items():
        group = path.split("/", 1)[0]
        values, times = tree.numbers(path), tree.numbers(f"{group}/timestamps")
        rate, start = tree.attribute(group, "sampling_rate"), tree.numbers(f"{group}/domain/start")
        if values is None or values.ndim != 1:
            continue
        if times is None and rate is not None and start is not None and len(start) and float(rate) > 0:
            times = float(start[0]) + np.arange(len(values)) / float(rate)
        if times is not None and times.shape == values.shape and not np.any(np.diff(times) < 0):
            found[name] = (times.astype(np.float64), values.astype(np.float64))
    return found


def _attribute(tree: Tree, group: str, name: str) -> str:
    value = tree.attribute(group, name)
    return str(value)[:48] if value is not None else ""
