"""What a folder holds, and reading it as that."""

from __future__ import annotations

import re
from pathlib import Path

from ..alf import UnreadableFile
from .files import Files, gather
from .found import MOST_SPIKES, MOST_UNITS, Found, Tell, silent
from .from_alf import SPIKES, read_alf
from .from_bwb import is_bwb, read_bwb
from .from_npz import read_npz
from .from_nwb import read_nwb
from .from_phy import CLUSTERS, TIMES, read_phy
from .hdf5 import opened

READERS = {"alf": read_alf, "nwb": read_nwb, "phy": read_phy, "npz": read_npz, "bwb": read_bwb}
FORMATS = tuple(READERS)
NAMES = {
    "alf": "ALF (IBL)",
    "nwb": "NWB",
    "phy": "Kilosort / Phy",
    "npz": "NumPy arrays",
    "bwb": "BrainWideBench",
}


def inspect(path: str | Path, format_name: str = "", tell: Tell = silent) -> Found:
    """Read a recording as it is, without judging or changing it.

    format_name: one of FORMATS, "" to find out. Raises ValueError in one sentence (what, where, what to do) for what
    cannot be read at all; what is merely wrong with it is in the findings.
    """
    if format_name and format_name not in READERS:
        raise ValueError(f"format {format_name[:20]!r} is not known; choose one of {', '.join(FORMATS)}")
    tell(0.0, "Looking at the files")
    files = gather(path)
    chosen = format_name or _format_of(files)
    try:
        found = READERS[chosen](files, tell)
    except (MemoryError, RecursionError) as error:
        raise ValueError(f"{files.root.name} needs more memory than there is; give fewer probes at once") from error
    if found.n_spikes > MOST_SPIKES or found.n_units > MOST_UNITS:
        size = f"{found.n_spikes:,} spikes of {found.n_units:,} units"
        limit = f"{MOST_SPIKES:,} spikes of {MOST_UNITS:,} units"
        raise ValueError(f"{found.name} holds {size}; at most {limit} can be used, so give fewer probes at once")
    return found


def _format_of(files: Files) -> str:
    """The format whose files are there; ValueError if there is none."""
    names = {name.rsplit("/", 1)[-1] for name in files.files}
    hdf5 = files.named(r".*\.(h5|hdf5)")
    tests = {
        "phy": TIMES in names and bool({CLUSTERS, "spike_templates.npy", "params.py"} & names),
        "alf": any(re.fullmatch(SPIKES, name) for name in names),
        "nwb": bool(files.named(r".*\.nwb")),
        "npz": bool(files.named(r".*\.npz")) or {"spike_times.npy", "spike_units.npy"} <= names,
        "bwb": len(hdf5) == 1 and _holds_bwb(files, hdf5[0]),
    }
    found = next((name for name, there in tests.items() if there), None)
    if found is None and len(hdf5) == 1:
        return "nwb"
    if found is None:
        shown = ", ".join(sorted(names)[:4]) + (", ..." if len(names) > 4 else "")
        raise ValueError(
            f"{files.root.name} holds no recording that is known here (found: {shown}); give a folder in the ALF, NWB, "
            "Kilosort/Phy or NPZ format"
        )
    return found


def _holds_bwb(files: Files, name: str) -> bool:
    try:
        with opened(files.files[name], name) as tree:
            return is_bwb(tree)
    except UnreadableFile:
        return False  # the reader says why
