"""Our own folder of imported recordings: one folder each, written in one step, checked by hash when opened.

<folder>/<id>/recording.json        what it is, its units, and the hash of the arrays
<folder>/<id>/arrays.safetensors    spike_times (s), spike_units, trials.<column>, behavior.<name>.times and .values
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy import ndarray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ...atomic import json_sha256, sha256, write_bytes, write_json
from ...regions import NEVER_TARGET, map_regions, sort_regions
from ...session import Coverage, Session
from ..validation import RecordingError
from .found import Tell, silent
from .report import SOURCE, Report

VARIABLE = "MTM_IMPORTS"
ABOUT, ARRAYS = "recording.json", "arrays.safetensors"
VERSION = 1
LARGEST_ABOUT = 64 * 2**20  # bytes
ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


def imports_dir() -> Path:
    """MTM_IMPORTS, else a folder of the user's; not created here."""
    if given := os.environ.get(VARIABLE):
        return Path(given).absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "mtm-explorer" / "recordings"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "mtm-explorer" / "recordings"


def imports_stamp() -> tuple[str, int]:
    """Changes when a recording is kept or removed."""
    folder = imports_dir()
    try:
        return str(folder), folder.stat().st_mtime_ns
    except OSError:
        return str(folder), 0


def keep(report: Report, tell: Tell = silent, replaced: bool = False) -> str:
    """Write the recording of a report into our folder; its id. What was read stays as it is.

    Raises ValueError if the report forbids it, or if the same spikes were kept with other choices (unless `replaced`):
    one would be trained on, the other tested with. OSError if the disk refuses; there is then no half recording.
    """
    session = report.session
    if session is None:
        raise ValueError(f"{report.name} cannot be kept: {report.fatal[0]}")
    twins = [row for row in map(_about, _ids()) if row.get("fingerprint") == report.fingerprint]
    others = [str(row["id"]) for row in twins if row["id"] != session.id]
    if others and not replaced:
        raise ValueError(f"the same spikes are in the list as {others[0]}, with other choices; replace or remove it")
    target = imports_dir() / session.id
    if not target.exists():
        _write(target, session, report, tell)
    for other in others:
        remove(other)
    return session.id


def _write(target: Path, session: Session, report: Report, tell: Tell) -> None:
    staging_root = imports_dir() / ".staging"
    staging_root.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=staging_root))
    try:
        tell(0.1, "Packing")
        data = save(_arrays(session))
        about = _facts(session, report) | {"arrays_sha256": sha256(data)}
        tell(0.5, "Writing")
        write_bytes(staging / ARRAYS, data)
        write_json(staging / ABOUT, about | {"hash": json_sha256(about)})
        os.rename(staging, target)
    except OSError:
        if not (target / ABOUT).is_file():  # else somebody kept the same recording at this moment
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    tell(1.0, "Kept")


def _arrays(session: Session) -> dict[str, ndarray]:
    found = {
        "spike_times": session.spike_times.astype(np.float64),
        "spike_units": session.spike_units.astype(np.int32),
        "depth": session.units["depth"].to_numpy(dtype=np.float64),
        "quality": session.units["quality"].to_numpy(dtype=np.float64),
    }
    found |= {f"trials.{name}": column.to_numpy(dtype=np.float64) for name, column in session.trials.items()}
    for name, (times, values) in session.behaviors.items():
        found[f"behavior.{name}.times"] = np.asarray(times, dtype=np.float64)
        found[f"behavior.{name}.values"] = np.asarray(values, dtype=np.float64)
    return {name: np.ascontiguousarray(values) for name, values in found.items()}


def _facts(session: Session, report: Report) -> dict[str, Any]:
    coverage = session.coverage
    return {
        "version": VERSION,
        "id": session.id,
        "subject": session.subject,
        "date": session.date,
        "number": session.number,
        "lab": report.lab,
        "n_trials": session.n_trials,
        "duration": report.duration,
        "window": [coverage.start, coverage.end, coverage.bin_size] if coverage else None,
        "event": coverage.event if coverage else "",
        "units": {name: session.units[name].astype(str).tolist() for name in ("uuid", "region", "probe")},
        "behaviors": list(session.behaviors),
        "trials": list(map(str, session.trials.columns)),
        "problems": list(session.problems),
        "format": report.format,
        "name": report.name,
        "choices": vars(report.choices),
        "fingerprint": report.fingerprint,
    }


def remove(session_id: str) -> None:
    """Forget our copy of an imported recording; ValueError for an id that is none."""
    folder = _folder(session_id)
    aside = imports_dir() / ".staging" / f"removed-{folder.name}-{os.getpid()}"
    aside.parent.mkdir(exist_ok=True)
    os.rename(folder, aside)  # out of the list in one step
    shutil.rmtree(aside, ignore_errors=True)


def is_kept(session_id: str) -> bool:
    return bool(ID.fullmatch(session_id)) and (imports_dir() / session_id / ABOUT).is_file()


def _folder(session_id: str) -> Path:
    if not is_kept(session_id):
        raise ValueError(f"there is no imported recording {session_id[:64]!r} any more")
    return imports_dir() / session_id


def kept_ids() -> list[str]:
    """Ids of all imported recordings, sorted."""
    return [path.name for path in _ids()]


def _ids() -> list[Path]:
    folder = imports_dir()
    return sorted(path for path in folder.iterdir() if is_kept(path.name)) if folder.is_dir() else []


def _about(folder: Path) -> dict[str, Any]:
    """What recording.json says, once it matches its own hash; {"id", "problem"} otherwise."""
    try:
        file = folder / ABOUT
        if file.stat().st_size > LARGEST_ABOUT:
            raise ValueError("too large")
        found = json.loads(file.read_bytes())
        claimed = found.pop("hash")
        if found["version"] != VERSION:
            raise ValueError("another version")
        if claimed != json_sha256(found) or found["id"] != folder.name:
            raise ValueError("changed")
        return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = "was written by another version" if "version" in str(error) else "is damaged"
        return {"id": folder.name, "problem": f"the imported copy {reason}; remove it and import it again"}


def kept_rows() -> list[dict[str, Any]]:
    """Rows for `catalogue.list_sessions`, without loading spikes."""
    return [_row(_about(folder)) for folder in _ids()]


def _row(about: dict[str, Any]) -> dict[str, Any]:
    regions = about.get("units", {}).get("region", [])
    window = about.get("window")
    return {
        "id": about["id"],
        "subject": about.get("subject", about["id"]),
        "date": about.get("date", ""),
        "number": about.get("number", 1),
        "n_neurons": len(regions),
        "n_trials": about.get("n_trials", 0),
        "regions": sort_regions(set(map_regions(regions, "beryl").tolist()) - NEVER_TARGET),
        "source": SOURCE,
        "window": tuple(window[:2]) if window else None,
        "bin_size": window[2] if window else None,
        "same_recording_as": "",
        "problem": about.get("problem", ""),
        "lab": about.get("lab", ""),
        "duration": about.get("duration", np.nan),
    }


def open_kept(session_id: str) -> Session:
    """An imported recording; RecordingError if its files are damaged, ValueError for an unknown id."""
    folder = _folder(session_id)
    about = _about(folder)
    try:
        if "problem" in about:
            raise RecordingError(session_id, [about["problem"]])
        data = (folder / ARRAYS).read_bytes()
        if sha256(data) != about["arrays_sha256"]:
            raise RecordingError(session_id, ["the imported copy is damaged; remove it and import it again"])
        arrays = load(data)
    except (OSError, SafetensorError) as error:
        raise RecordingError(session_id, [f"the imported copy cannot be read ({error}); import it again"]) from error
    units = {name: np.array(about["units"][name], dtype=object) for name in ("uuid", "region", "probe")}
    window = about["window"]
    return Session(
        id=session_id,
        subject=about["subject"],
        date=about["date"],
        number=about["number"],
        source=SOURCE,
        spike_times=arrays["spike_times"],
        spike_units=arrays["spike_units"],
        units=pd.DataFrame({**units, "depth": arrays["depth"], "quality": arrays["quality"]}),
        trials=pd.DataFrame({name: arrays[f"trials.{name}"] for name in about["trials"]}),
        behaviors={
            name: (arrays[f"behavior.{name}.times"], arrays[f"behavior.{name}.values"]) for name in about["behaviors"]
        },
        coverage=Coverage(about["event"], *window) if window else None,
        problems=tuple(about["problems"]),
    )
