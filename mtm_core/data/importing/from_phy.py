"""A folder of Kilosort, with or without Phy's curation. params.py is searched for one number, never executed."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy import ndarray

from ..alf import UnreadableFile
from ..validation import Findings, RawProbe
from .files import Files
from .found import Found, Tell
from .trial_tables import trials_file

TIMES, CLUSTERS = "spike_times.npy", "spike_clusters.npy"
RATE = re.compile(r"^\s*sample_rate\s*=\s*([0-9][0-9_]*\.?[0-9_]*(?:[eE][+-]?[0-9]+)?)", re.MULTILINE)
LIKELY_RATE = (1_000.0, 200_000.0)  # Hz
TABLES = ("cluster_info.tsv", "cluster_group.tsv", "cluster_KSLabel.tsv", "cluster_groups.csv")
GROUPS = ("group", "KSLabel")  # the curator's word before the sorter's
REGIONS = re.compile(r".*(region|acronym|location|brain_area).*", re.IGNORECASE)
NOISE = "noise"


def read_phy(files: Files, tell: Tell) -> Found:
    """Raises ValueError in one sentence for a folder with several sortings or without spikes."""
    place = _place(files)
    findings = Findings(notes=list(files.notes))
    table = _cluster_table(files, place, findings)
    tell(0.1, "Reading spikes")
    rate = _sampling_rate(files, place, findings)
    try:
        times = files.array(place + TIMES).ravel()
        clusters = files.array(place + (CLUSTERS if place + CLUSTERS in files else "spike_templates.npy")).ravel()
    except KeyError as missing:
        raise ValueError(f"{missing.args[0]} is missing; export the sorting again") from missing
    except UnreadableFile as error:
        findings.fatal.append(str(error))
        times, clusters = np.zeros(0), np.zeros(0, np.int64)
    tell(0.6, "Sorting out units")
    probe, regions = _probe(times, clusters, table, findings)
    trials = trials_file(files, findings)
    name = files.root.name
    samples = rate if np.issubdtype(times.dtype, np.integer) else 0.0
    return Found("phy", name, [probe], trials, findings, subject=name, region_columns=regions, sampling_rate=samples)


def _place(files: Files) -> str:
    """Path of the folder with the sorting, "" or ending in a slash."""
    found = [name[: -len(TIMES)] for name in files.named(re.escape(TIMES))]
    if not found:
        raise ValueError(f"{files.root.name} holds no {TIMES}; give the folder that Kilosort or Phy wrote")
    if len(found) > 1:
        shown = ", ".join(place.strip("/") or "." for place in found[:3])
        raise ValueError(f"{files.root.name} holds {len(found)} sortings ({shown}); give the folder of one")
    return found[0]


def _sampling_rate(files: Files, place: str, findings: Findings) -> float:
    """Hz, from params.py; 0 with a note where it does not say."""
    if place + "params.py" not in files:
        findings.notes.append("params.py is missing, so the sampling rate is not known; give it below")
        return 0.0
    said = RATE.search(files.text(place + "params.py", 65_536))
    rate = float(said[1].replace("_", "")) if said else 0.0
    if not LIKELY_RATE[0] <= rate <= LIKELY_RATE[1]:
        findings.notes.append("params.py gives no sample_rate that is likely for spikes; give it below")
        return 0.0
    return rate


def _cluster_table(files: Files, place: str, findings: Findings) -> pd.DataFrame:
    """One row per cluster id, from all tables there are; the curated one wins."""
    merged = pd.DataFrame()
    for name in TABLES:
        if place + name not in files:
            continue
        try:
            table = files.table(place + name)
        except UnreadableFile as error:
            findings.notes.append(f"{error}; it was left out")
            continue
        if list(table.columns) and "\t" in str(table.columns[0]):  # cluster_groups.csv of old versions
            table = pd.read_csv(files.files[place + name], sep="\t")
        key = next((column for column in ("cluster_id", "id") if column in table), None)
        if key is None:
            findings.notes.append(f"{place}{name} has no column cluster_id and was left out")
            continue
        table = table[pd.to_numeric(table[key], errors="coerce").notna()].drop_duplicates(key).set_index(key)
        table.index = table.index.astype(np.int64)
        merged = merged.combine_first(table)
    return merged


def _probe(
    times: ndarray, clusters: ndarray, table: pd.DataFrame, findings: Findings
) -> tuple[RawProbe, dict[str, ndarray]]:
    """Cluster ids have gaps: units are the ids that occur, in ascending order, without those called noise."""
    ids = np.unique(clusters[np.isfinite(clusters)]) if len(clusters) else np.zeros(0, np.int64)
    whole = bool(len(ids) == 0 or (np.all(ids == np.rint(ids)) and ids.min() >= 0 and ids.max() < 2**31))
    if not whole:
        findings.fatal.append(f"{CLUSTERS} holds ids that are no whole numbers from 0; export the sorting again")
        ids, times, clusters = np.zeros(0, np.int64), times[:0], clusters[:0]
    ids = ids.astype(np.int64)
    about = table.reindex(ids)
    groups = _groups(about)
    noise = (groups == NOISE).to_numpy()
    if noise.any() and len(times) == len(clusters):
        keep = ~np.isin(clusters, ids[noise])
        n_lost = int(len(times) - keep.sum())
        findings.notes.append(f"{int(noise.sum())} clusters called noise, with {n_lost:,} spikes, were left out")
        times, clusters = times[keep], clusters[keep]
        ids, about, groups = ids[~noise], about[~noise], groups[~noise]
    if groups.eq("").all() and len(ids):
        findings.notes.append("no table says which units are good; all are taken")
    quality = groups.map({"good": 1.0, "mua": 0.0}).to_numpy(dtype=np.float64)
    depths = pd.to_numeric(about["depth"], errors="coerce") if "depth" in about else pd.Series(np.nan, about.index)
    named = [column for column in about.columns if REGIONS.fullmatch(str(column))]
    columns = {str(column): about[column].fillna("root").astype(str).to_numpy() for column in named}
    units = pd.DataFrame(
        {
            "uuid": [f"probe00/{i}" for i in ids],
            "region": next(iter(columns.values()), np.full(len(ids), "root")).astype(object),
            "probe": "probe00",
            "depth": depths.to_numpy(dtype=np.float64),
            "quality": quality,
        }
    )
    return RawProbe("probe00", times, np.searchsorted(ids, clusters), units), columns


def _groups(about: pd.DataFrame) -> pd.Series:
    """The word for each unit: group where somebody curated, else the sorter's label, else ""."""
    words = pd.Series("", index=about.index, dtype=object)
    for column in reversed(GROUPS):
        if column in about:
            said = about[column].fillna("").astype(str).str.lower()
            words = words.where(said.isin(["", "unsorted", "nan"]), said)
    return words
