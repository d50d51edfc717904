"""Probes of an ALF session: sorted spikes, and per cluster uuid, region, depth and quality."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy import ndarray

from ..regions import acronyms_from_ids
from .alf import Folder, UnreadableFile
from .validation import Findings, RawProbe

SORTERS = ("iblsorter", "pykilosort")  # preferred in this order; any other sorter comes after them
CLUSTER_FILES = ("clusters.channels.npy", "clusters.depths.npy", "clusters.uuids.csv", "clusters.metrics.pqt")
CHANNEL_REGIONS = "channels.brainLocationIds_ccf_2017.npy"


def probe_collections(folder: Folder) -> list[str]:
    """One collection of sorted spikes per probe: the preferred sorter of each."""
    best: dict[str, str] = {}
    for collection in folder.collections("spikes.times.npy"):
        probe = collection.split("/")[1] if "/" in collection else collection
        best[probe] = min(best.get(probe, collection), collection, key=_sorter_rank)
    return [best[probe] for probe in sorted(best)]


def _sorter_rank(collection: str) -> tuple[int, int]:
    sorter = collection.rsplit("/", 1)[-1]
    return SORTERS.index(sorter) if sorter in SORTERS else len(SORTERS), len(collection)


def read_probes(folder: Folder, session_id: str, found: Findings) -> list[RawProbe]:
    """All probes whose files can be read; the others add fatal problems to `found`."""
    probes = []
    for collection in probe_collections(folder):
        units = read_units(folder, collection, session_id, found)
        try:
            times = folder.array(f"{collection}/spikes.times.npy")
            clusters = folder.array(f"{collection}/spikes.clusters.npy")
        except KeyError as missing:
            found.fatal.append(f"{missing.args[0]} is missing; copy the file into the cache")
        except UnreadableFile as error:
            found.fatal.append(str(error))
        else:
            if units is not None:
                probes.append(RawProbe(_probe_name(collection), times.ravel(), clusters.ravel(), units))
    return probes


def read_units(folder: Folder, collection: str, session_id: str, found: Findings) -> pd.DataFrame | None:
    """Cluster table of a probe: uuid, region, probe, depth, quality.

    None, and a fatal problem in `found`, if the files are broken or do not fit together.
    """
    probe = _probe_name(collection)
    try:
        parts = _read_cluster_files(folder, collection)
    except UnreadableFile as error:
        found.fatal.append(str(error))
        return None
    # Metrics may leave out clusters and carry their ids instead: its length says nothing.
    lengths = {name: len(part) for name, part in parts.items() if name != "clusters.metrics.pqt"}
    if not lengths or len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items()) or "no file"
        found.fatal.append(f"{probe}: cluster files are missing or differ in length ({shown}); export them again")
        return None
    n_units = next(iter(lengths.values()))
    uuids = [f"{session_id}/{probe}/{row}" for row in range(n_units)]
    if "clusters.uuids.csv" in parts:
        uuids = parts["clusters.uuids.csv"].iloc[:, 0].astype(str)
    else:
        found.notes.append(f"{probe}: clusters.uuids is missing; neurons are named by session, probe and row")
    channels = parts.get("clusters.channels.npy")
    regions = None if channels is None else _unit_regions(folder, collection, channels, found)
    if regions is None:
        found.notes.append(f"{probe}: the regions are not known; its {n_units} neurons are labelled root")
    return pd.DataFrame(
        {
            "uuid": np.array(uuids, dtype=object),
            "region": "root" if regions is None else regions,
            "probe": probe,
            "depth": np.array(parts.get("clusters.depths.npy", np.full(n_units, np.nan)), dtype=np.float64),
            "quality": _quality(parts.get("clusters.metrics.pqt"), n_units),
        }
    )


def _read_cluster_files(folder: Folder, collection: str) -> dict[str, ndarray | pd.DataFrame]:
    """The cluster files that exist, by name."""
    names = {name: f"{collection}/{name}" for name in CLUSTER_FILES if f"{collection}/{name}" in folder}
    return {name: folder.array(path) if path.endswith("npy") else folder.table(path) for name, path in names.items()}


def _unit_regions(folder: Folder, collection: str, channels: ndarray, found: Findings) -> ndarray | None:
    """Acronym of each unit through its channel; None where it is not known."""
    # Channels lie with the sorter's output, or one folder up in older caches.
    places = (f"{place}/{CHANNEL_REGIONS}" for place in (collection, collection.rsplit("/", 1)[0]))
    place = next((name for name in places if name in folder), None)
    if place is None:
        return None
    try:
        acronyms = acronyms_from_ids(folder.array(place))
    except UnreadableFile as error:
        found.fatal.append(str(error))
        return None
    n_outside = int(np.count_nonzero((channels < 0) | (channels >= len(acronyms))))
    if n_outside:
        found.fatal.append(
            f"{_probe_name(collection)}: clusters.channels points {n_outside} times outside the {len(acronyms)} "
            "channels that have a region; use clusters and channels of one sorting"
        )
        return None
    return acronyms[channels.astype(np.int64)].astype(object)


def _quality(metrics: pd.DataFrame | None, n_units: int) -> ndarray:
    """IBL label (0..1) per unit, NaN where the metrics do not hold the unit."""
    if metrics is None or "label" not in metrics:
        return np.full(n_units, np.nan)
    labels = metrics.set_index("cluster_id")["label"] if "cluster_id" in metrics else metrics["label"]
    return labels[~labels.index.duplicated()].reindex(range(n_units)).to_numpy(dtype=np.float64)


def merge_spikes(probes: list[RawProbe]) -> tuple[ndarray, ndarray]:
    """Sorted spike times and unit numbers of all probes; units of a probe follow those of the probe before it."""
    offsets = np.cumsum([0] + [len(probe.units) for probe in probes])
    times = np.concatenate([probe.spike_times.astype(np.float64) for probe in probes])
    units = np.concatenate(
        [probe.spike_clusters.astype(np.int32) + np.int32(o) for probe, o in zip(probes, offsets, strict=False)]
    )
    # One sorted probe, the usual case, needs no second copy of its spikes.
    if np.all(times[1:] >= times[:-1]):
        return times, units
    order = np.argsort(times, kind="stable")
    return times[order], units[order]


def _probe_name(collection: str) -> str:
    return collection.split("/")[1] if "/" in collection else collection
