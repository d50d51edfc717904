"""NWB files: a table of units and any table of intervals; with the extras of the IBL's files (DANDI 000409)."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy import ndarray

from ..alf import UnreadableFile
from ..validation import Findings, RawProbe
from .files import Files
from .found import MOST_SPIKES, Found, Tell
from .hdf5 import Tree, opened
from .trial_tables import numeric

REGIONS = re.compile(r".*(region|acronym|location|brain_area|structure).*", re.IGNORECASE)
QUALITY = ("ibl_quality_score", "quality", "group", "KSLabel", "label", "default_qc")
GOOD = {"good": 1.0, "pass": 1.0, "sua": 1.0, "mua": 0.0, "noise": 0.0, "fail": 0.0, "bad": 0.0, "unsorted": 0.0}
CHANNELS = ("max_electrode", "electrodes", "electrode", "peak_channel_id")
ELECTRODES = "general/extracellular_ephys/electrodes"
STREAMS = {  # name of a time series, anywhere in `processing` -> name here
    "WheelVelocitySmoothed": "wheel_speed",
    "LeftCameraMotionEnergy": "whisker_motion_energy",
    "LeftPupilDiameterSmoothed": "pupil",
}


def read_nwb(files: Files, tell: Tell) -> Found:
    """Raises ValueError in one sentence for a file without units, or for several files."""
    names = files.named(r".*\.(nwb|h5|hdf5)")
    if len(names) != 1:
        shown = f"{len(names)} NWB files ({', '.join(names[:3])})" if names else "no NWB file"
        raise ValueError(f"{files.root.name} holds {shown}; give the file itself")
    findings = Findings(notes=list(files.notes))
    with opened(files.files[names[0]], names[0]) as tree:
        tell(0.1, "Reading spikes")
        times, units = _spikes(tree)
        tell(0.6, "Reading units and trials")
        n_units = len(tree.numbers("units/spike_times_index"))
        columns = _region_columns(tree, n_units)
        table, own = _units(tree, columns, n_units)
        if not columns:
            findings.notes.append("the units have no column of regions; all are labelled root")
        return Found(
            "nwb",
            files.files[names[0]].stem,
            [RawProbe("units", times, units, table)],
            _trials(tree, findings),
            findings,
            subject=_one(tree, "general/subject/subject_id") or files.files[names[0]].stem[:48],
            date=_one(tree, "session_start_time")[:10],
            lab=_one(tree, "general/lab"),
            behaviors=_behaviors(tree),
            region_columns=columns,
            own_uuids=own,
        )


def _spikes(tree: Tree) -> tuple[ndarray, ndarray]:
    """Times (s) and rows of units; sorted, as the file holds one neuron after the other."""
    times, ends = tree.numbers("units/spike_times"), tree.numbers("units/spike_times_index")
    if times is None or ends is None:
        raise UnreadableFile(f"{tree.name} has no table of units with spike times; only sorted recordings can be used")
    if len(times) > MOST_SPIKES:
        raise UnreadableFile(f"{tree.name} holds {len(times):,} spikes; at most {MOST_SPIKES:,} can be read")
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    counts = ends.astype(np.int64) - starts
    if (counts < 0).any() or counts.sum() != len(times):
        raise UnreadableFile(f"{tree.name}: spike_times_index does not fit the spike times; export it again")
    order = np.argsort(times, kind="stable")
    return times[order].astype(np.float64), np.repeat(np.arange(len(ends)), counts)[order]


def _region_columns(tree: Tree, n_units: int) -> dict[str, ndarray]:
    """Columns of the units that name regions; then those of the electrodes that the units point to."""
    found = {}
    for name in tree.names("units"):
        if REGIONS.fullmatch(name) and (texts := tree.texts(f"units/{name}")) is not None and len(texts) == n_units:
            found[name] = texts
    rows = _electrode_of_unit(tree, n_units)
    for name in tree.names(ELECTRODES) if rows is not None else []:
        texts = tree.texts(f"{ELECTRODES}/{name}") if REGIONS.fullmatch(name) else None
        if texts is not None and len(texts) and rows.max(initial=-1) < len(texts):
            found[f"electrodes.{name}"] = np.where(rows >= 0, texts[np.maximum(rows, 0)], "root")
    return {name: np.array([text.strip() or "root" for text in texts], object) for name, texts in found.items()}


def _electrode_of_unit(tree: Tree, n_units: int) -> ndarray | None:
    """Row of the electrodes table for every unit, -1 where it has none; None where the file does not say."""
    name = next((name for name in CHANNELS if tree.numbers(f"units/{name}") is not None), None)
    if name is None:
        return None
    values, ends = tree.numbers(f"units/{name}").ravel(), tree.numbers(f"units/{name}_index")
    rows = values.astype(np.float64)
    if ends is not None and len(ends) == n_units:  # several per unit: the first stands for it
        starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
        some = (ends > starts) & (starts < len(values))
        rows = np.where(some, rows[np.minimum(starts, len(values) - 1)] if len(values) else -1, -1)
    if name == "peak_channel_id":  # an id, not a row
        ids = tree.numbers(f"{ELECTRODES}/id")
        place = {int(i): row for row, i in enumerate(ids)} if ids is not None else {}
        rows = np.array([place.get(int(value), -1) if np.isfinite(value) else -1 for value in rows])
    return np.nan_to_num(rows, nan=-1).astype(np.int64) if len(rows) == n_units else None


def _units(tree: Tree, columns: dict[str, ndarray], n_units: int) -> tuple[pd.DataFrame, bool]:
    """Table of units, and whether the file names them."""
    uuids = next((t for name in ("cluster_uuid", "uuid") if (t := tree.texts(f"units/{name}")) is not None), None)
    own = uuids is not None and len(uuids) == n_units
    probes = tree.texts("units/probe_name")
    table = {
        "uuid": uuids if own else [f"units/{row}" for row in range(n_units)],
        "region": next(iter(columns.values()), np.full(n_units, "root", object)),
        "probe": probes if probes is not None and len(probes) == n_units else "units",
        "depth": np.full(n_units, np.nan),
        "quality": _quality(tree, n_units),
    }
    return pd.DataFrame(table), own


def _quality(tree: Tree, n_units: int) -> ndarray:
    for name in QUALITY:
        numbers, texts = tree.numbers(f"units/{name}"), tree.texts(f"units/{name}")
        if numbers is not None and numbers.shape == (n_units,):
            return numbers.astype(np.float64)
        if texts is not None and len(texts) == n_units:
            return np.array([GOOD.get(text.strip().lower(), np.nan) for text in texts])
    return np.full(n_units, np.nan)


def _trials(tree: Tree, findings: Findings) -> pd.DataFrame:
    """intervals/trials, or the first other table of intervals."""
    tables = tree.names("intervals")
    name = "trials" if "trials" in tables else next(iter(tables), "")
    start = tree.numbers(f"intervals/{name}/start_time") if name else None
    if start is None:
        return pd.DataFrame()
    if name != "trials":
        findings.notes.append(f"there is no table of trials; the intervals called {name[:40]} stand for them")
    columns = _columns(tree, f"intervals/{name}", start.shape)
    contrast, side = columns.pop("gabor_stimulus_contrast", None), columns.pop("gabor_stimulus_side", None)
    table = numeric(pd.DataFrame(columns), f"intervals/{name}", findings)
    if contrast is not None and side is not None:  # percent on one side; the IBL's other columns: 0..1 on both
        for where in ("left", "right"):
            there = np.char.lower(side.astype(str)) == where
            table[f"contrast{where.title()}"] = np.where(there, contrast / 100.0, np.nan)
    if "is_mouse_rewarded" in table:
        table["feedbackType"] = np.where(table.pop("is_mouse_rewarded") > 0, 1.0, -1.0)
    return table


def _columns(tree: Tree, place: str, shape: tuple[int, ...]) -> dict[str, ndarray]:
    """Columns of numbers or text with one entry per row."""
    found: dict[str, ndarray] = {}
    for name in tree.names(place):
        for values in (tree.numbers(f"{place}/{name}"), tree.texts(f"{place}/{name}")):
            if values is not None and values.shape == shape and name != "id":
                found[name[:64]] = values
    return found


def _behaviors(tree: Tree) -> dict[str, tuple[ndarray, ndarray]]:
    found = {}
    for module in tree.names("processing"):
        for container in tree.names(f"processing/{module}"):
            place = f"processing/{module}/{container}"
            for path in (place, *(f"{place}/{name}" for name in tree.names(place))):
                name = STREAMS.get(path.rsplit("/", 1)[-1])
                stream = _stream(tree, path) if name else None
                if stream is not None:
                    times, values = stream
                    found[name] = (times, np.abs(values) if name == "wheel_speed" else values)
    return found


def _stream(tree: Tree, path: str) -> tuple[ndarray, ndarray] | None:
    """Times and values of a time series with timestamps, or a start and a rate."""
    values, times = tree.numbers(f"{path}/data"), tree.numbers(f"{path}/timestamps")
    if values is None or values.ndim != 1 or not len(values):
        return None
    if times is None:
        rate, start = tree.attribute(f"{path}/starting_time", "rate"), tree.numbers(f"{path}/starting_time")
        if rate is None or start is None or not float(rate) > 0:
            return None
        times = float(start) + np.arange(len(values)) / float(rate)
    if len(times) != len(values) or np.any(np.diff(times) < 0):
        return None
    return times.astype(np.float64), values.astype(np.float64)


def _one(tree: Tree, path: str) -> str:
    texts = tree.texts(path)
    return str(texts[0])[:48] if texts is not None and len(texts) else ""
