"""A session in the ALF layout: a folder of an IBL-style cache, or loose `spikes.*`, `clusters.*` and `trials.*` files.

The readers of ONE caches do the work (`probes`, `ibl`, `streams`), on files that were checked first.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy import ndarray

from ..alf import REVISION, UnreadableFile
from ..ibl import read_trials
from ..probes import CLUSTER_FILES, probe_collections, read_units
from ..streams import read_behaviors
from ..validation import Findings, RawProbe
from .arrays import TEXT
from .files import Files
from .found import Found, Tell
from .trial_tables import numeric, trials_file

SPIKES = r"(_\w+_)?spikes\.times(\.[0-9a-f-]{36})?\.npy"
UUID = re.compile(r"\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?=\.[a-z]+$)")
PLACE = re.compile(r"(?:^|/)(?P<subject>[^/]+)/(?P<date>\d{4}-\d{2}-\d{2})/(?P<number>\d{1,3})(?:/alf)?$")
LAB = re.compile(r"(?:^|/)(?P<lab>[^/]+)/Subjects/")


def read_alf(files: Files, tell: Tell) -> Found:
    """Raises ValueError in one sentence for a folder of several sessions or of none."""
    session, findings = _session(files), Findings()
    findings.notes.extend(files.notes)
    probes, own = [], True
    collections = probe_collections(session)
    for place, collection in enumerate(collections):
        tell(place / len(collections), f"Reading {collection}")
        probe, named = _read_probe(session, collection, findings)
        own &= named
        probes += [probe] if probe is not None else []
    trials = read_trials(session, findings)
    trials = numeric(trials, "trials", findings) if len(trials) else trials_file(files, findings)
    tell(0.95, "Reading behavior")
    behaviors, missing = read_behaviors(session)
    findings.notes.extend(missing)
    found = Found("alf", files.root.name, probes, trials, findings, behaviors=behaviors, own_uuids=own)
    return replace(found, **place_of(files.root))


def place_of(root: Path) -> dict:
    """subject, date, number and lab as far as the path says them."""
    path = root.as_posix()
    where, lab = PLACE.search(path), LAB.search(path)
    found = {"lab": lab["lab"]} if lab else {}
    if where:
        found |= {"subject": where["subject"], "date": where["date"], "number": int(where["number"])}
    return found


def _session(files: Files) -> Files:
    """The files of the one session, under names that begin with alf/, without revisions and dataset ids."""
    names: dict[str, tuple[str, Path]] = {}
    for rel, path in sorted(files.files.items()):  # of several revisions the last stays
        plain = UUID.sub("", REVISION.sub("", rel))
        names[plain] = (rel, path)
    prefixes = {name[:at] for name in names if (at := ("/" + name).find("/alf/")) >= 0 and _is_spikes(name)}
    if len(prefixes) > 1:
        shown = ", ".join(sorted(prefix.strip("/") for prefix in prefixes)[:3])
        raise ValueError(
            f"{files.root.name} holds {len(prefixes)} sessions ({shown}, ...); give the folder of one, or open the "
            "whole cache by setting MTM_CACHE_DIR to it"
        )
    prefix = next(iter(prefixes), "")
    if prefixes:
        kept = {name[len(prefix) :].lstrip("/"): path for name, (_, path) in names.items() if name.startswith(prefix)}
    else:
        kept = {f"alf/{name}": path for name, (_, path) in names.items()}
    return replace(files, files=kept)


def _is_spikes(name: str) -> bool:
    return re.fullmatch(SPIKES, name.rsplit("/", 1)[-1]) is not None


def _read_probe(session: Files, collection: str, findings: Findings) -> tuple[RawProbe | None, bool]:
    """A probe, and whether its files name the neurons."""
    name = collection.split("/")[1] if "/" in collection else collection
    try:
        times = session.array(f"{collection}/spikes.times.npy").ravel()
        clusters = session.array(f"{collection}/spikes.clusters.npy").ravel()
    except KeyError as missing:
        findings.fatal.append(f"{missing.args[0]} is missing; copy it into the folder")
        return None, True
    except UnreadableFile as error:
        findings.fatal.append(str(error))
        return None, True
    if any(f"{collection}/{file}" in session for file in CLUSTER_FILES):
        units = read_units(session, collection, "", findings)
    else:
        units = _without_tables(session, collection, clusters, findings)
    if units is None:
        return None, True
    named = f"{collection}/clusters.uuids.csv" in session
    # read_units names them "<id>/<probe>/<row>" of an id that does not exist yet
    units["uuid"] = [str(uuid).lstrip("/") for uuid in units["uuid"]]
    return RawProbe(name, times, clusters, units), named


def _without_tables(session: Files, collection: str, clusters: ndarray, findings: Findings) -> pd.DataFrame | None:
    """Units that only their spikes tell of: ids 0 to the largest."""
    name = collection.split("/")[1] if "/" in collection else collection
    regions = _acronyms(session, collection, findings)
    largest = int(np.nanmax(clusters)) + 1 if len(clusters) and np.isfinite(clusters).any() else 0
    n_units = len(regions) if regions is not None else min(max(largest, 0), 100_000)
    notes = ["its regions are not known"] if regions is None else []
    findings.notes.append("; ".join([f"{name}: there are no tables of clusters", *notes]))
    return pd.DataFrame(
        {
            "uuid": [f"{name}/{row}" for row in range(n_units)],
            "region": "root" if regions is None else regions,
            "probe": name,
            "depth": np.full(n_units, np.nan),
            "quality": np.full(n_units, np.nan),
        }
    )


def _acronyms(session: Files, collection: str, findings: Findings) -> ndarray | None:
    """Names of regions as text per cluster, which some exports have instead of atlas ids."""
    file = f"{collection}/clusters.brainLocationAcronyms_ccf_2017.npy"
    if file not in session:
        return None
    try:
        return session.array(file, TEXT).astype(str).astype(object)
    except UnreadableFile as error:
        findings.fatal.append(str(error))
        return None
