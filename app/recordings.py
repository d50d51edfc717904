"""The recordings and models a visitor can pick, opened once for all visitors."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.linalg import eigh

from mtm_core import list_sessions, open_session
from mtm_core.checkpoint import NAME, Checkpoint, load_checkpoint
from mtm_core.data.importing import imports_stamp
from mtm_core.device import pick_device
from mtm_core.installed import installed_models
from mtm_core.masking import region_codes
from mtm_core.regions import map_regions, region_color, sort_regions
from mtm_core.runs import Run, list_runs, runs_dir
from mtm_core.session import Trials

from .limits import refuse_large
from .words import plain

TRANSLATES = "neds"  # as mtm_core.checkpoint names models between spikes and behavior
RUNS_FRESH = 0.5  # s
_runs_read: dict[str, Any] = {}  # the runs, and when they were read
MAX_TEST_TRIALS = 32  # of the scores shown while one plays; the page of scores uses all
NEW_SESSION_WINDOW = (-0.5, 1.5)  # s
NEW_SESSION_BIN = 0.02  # s; the bin of the published models, for sessions no model prescribes one
SIMILARITY_BIN = 5  # bins summed before correlating: single 20 ms bins are mostly noise


@dataclass(frozen=True)
class Entry:
    """One line of the list of recordings, ready to be shown."""

    id: str
    subject: str
    date: str
    n_neurons: int
    n_trials: int
    regions: tuple[str, ...]
    simulated: bool
    window: tuple[float, float]  # s around the stimulus
    bin_size: float  # s, for a model that does not know the session
    problem: str  # why it cannot be opened, or ""

    @property
    def label(self) -> str:
        size = f"{self.n_neurons} neurons · {self.n_trials} trials"
        name = self.id if self.simulated else self.id[:8]
        return " · ".join([name, self.subject, self.date, size, ", ".join(self.regions) or self.problem])


@dataclass(frozen=True, eq=False)
class Recording:
    """A session cut into trials the way the chosen model reads it."""

    entry: Entry
    trials: Trials
    units: pd.DataFrame  # of the session, one row per neuron: uuid, region, probe, depth (um), quality
    model: str
    known: bool  # the model was trained on this session
    test: np.ndarray  # positions of held-out trials, at most MAX_TEST_TRIALS
    region_names: np.ndarray  # per neuron, harmless text
    colours: np.ndarray  # per neuron, of its region
    regions: tuple[str, ...]  # names in the order of the Allen table
    high_hz: float  # top of the rate scale

    @lru_cache(maxsize=3)  # noqa: B019 (recordings live as long as the process)
    def order(self, sort: str) -> np.ndarray:
        """Neurons in display order, from the bottom row to the top row."""
        return _ORDERS[sort](self.trials)[::-1]

    @property
    def times(self) -> np.ndarray:
        """Left edges of the bins and the right edge of the last, s."""
        return self.trials.window[0] + self.trials.bin_size * np.arange(self.trials.n_bins + 1)

    def trial(self, chosen: int) -> int:
        """A valid trial position for what the address says."""
        if chosen < 0:
            return int(self.test[0]) if self.test.size else 0
        return min(chosen, self.trials.n_trials - 1)

    def neuron(self, chosen: int) -> int:
        """A valid neuron for what the address says: the busiest in training if it says none that exists."""
        return chosen if 0 <= chosen < self.trials.n_neurons else int(self.order("rate")[-1])


def listed() -> list[dict[str, Any]]:
    """The library's rows of all recordings; read again after one was imported or removed."""
    return _catalogue(imports_stamp())[0]


def catalogue() -> dict[str, Entry]:
    """Every recording by id: simulated ones, real ones below MTM_CACHE_DIR, and imported ones."""
    return _catalogue(imports_stamp())[1]


@lru_cache(maxsize=1)
def _catalogue(stamp: tuple[str, int]) -> tuple[list[dict[str, Any]], dict[str, Entry]]:
    rows = list_sessions().to_dict("records")
    return rows, {
        row["id"]: Entry(
            id=row["id"],
            subject=plain(row["subject"]),
            date=plain(row["date"]),
            n_neurons=int(row["n_neurons"]),
            n_trials=int(row["n_trials"]),
            regions=tuple(plain(name) for name in row["regions"]),
            simulated=row["source"] == "simulated",
            window=_given(row["window"], NEW_SESSION_WINDOW),
            bin_size=max(NEW_SESSION_BIN, _given(row["bin_size"], 0.0)),
            problem=plain(row["problem"]),
        )
        for row in rows
    }


def _given(value: Any, default: Any) -> Any:
    """A cell of the table, or the default where it is empty (None or NaN)."""
    if isinstance(value, Sequence):
        return tuple(float(edge) for edge in value)
    return default if value is None or value != value else value


def device_name() -> str:
    return pick_device().type.upper()


def models() -> dict[str, Path]:
    """Checkpoint folders by name: the bundled ones, those below MTM_CHECKPOINTS, and results of runs that have ended.

    A name never gets other weights, as results are kept by it: a run that may go on is not listed, ids are not reused.
    """
    return {**{run.id: run.folder for run in runs_now() if run.has_result}, **_installed()}


def predictors() -> dict[str, Path]:
    """The models that predict neurons from neurons; a folder that cannot be read is among them, and says so."""
    return {name: folder for name, folder in models().items() if not str(_kind(folder)).startswith(TRANSLATES)}


def translators() -> dict[str, Path]:
    """The models that translate between spikes and behavior."""
    return {name: folder for name, folder in models().items() if _kind(folder) == TRANSLATES}


def _kind(folder: Path) -> Any:
    return manifest_of(folder).get("model", "")


def manifest_of(folder: Path) -> dict[str, Any]:
    """The manifest of a model as it is, unverified: good enough for a label."""
    file = folder / f"{NAME}.json"
    try:
        return _manifest(file, file.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=256)
def _manifest(file: Path, stamp: int) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
        return {name: found[name] for name in ("model", "data", "label", "session_ids") if name in found}
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def runs_now() -> list[Run]:
    """All training runs, the newest first, read at most every RUNS_FRESH seconds however many visitors ask."""
    now, folder = time.monotonic(), runs_dir()
    if _runs_read.get("folder") != folder or now - _runs_read["at"] > RUNS_FRESH:
        _runs_read.update(folder=folder, at=now, runs=list_runs())
    return _runs_read["runs"]


def runs_changed() -> None:
    """What is known of the runs is out of date."""
    _runs_read.clear()


@cache
def _installed() -> dict[str, Path]:
    """Models that were there when the server began."""
    return installed_models()


@lru_cache(maxsize=4)
def checkpoint(model: str) -> Checkpoint:
    """The model of that name, on the GPU if there is one."""
    if model not in models():
        raise ValueError(f"there is no model named {plain(model)}; pick one from the list")
    return load_checkpoint(models()[model], pick_device())


@lru_cache(maxsize=6)
def recording(session: str, model: str) -> Recording:
    """Open a session as `model` reads it, or with settings of its own if the model does not know it."""
    if session not in catalogue():
        raise ValueError(f"there is no recording named {plain(session)}; pick one from the list")
    entry = catalogue()[session]
    trained = {about["session"]: about for about in checkpoint(model).manifest.get("data", ())}
    known, opened = session in trained, open_session(session)
    if known:
        about = trained[session]
        settings = (about["event"], tuple(about["window"]), about["bin_size"], about["region_level"])
        trials = opened.align(*settings)
    else:
        trials = opened.align(window=entry.window, bin_size=entry.bin_size)
    test = _spread(np.flatnonzero(trials.split == "test"), MAX_TEST_TRIALS)
    refuse_large(trials.n_neurons, trials.n_bins, test.size)
    names = trials.regions.astype(str)
    colours = {name: region_color(name) for name in np.unique(names)}
    return Recording(
        entry=entry,
        trials=trials,
        units=opened.units,
        model=model,
        known=known,
        test=test,
        region_names=np.array([plain(name) for name in names]),
        colours=np.array([colours[name] for name in names]),
        regions=tuple(plain(name) for name in sort_regions(names)),
        high_hz=_high_hz(trials),
    )


def trials_at(opened: Recording, level: str) -> Trials:
    """The trials with regions of another level; "": as the model was trained."""
    if level in ("", opened.trials.region_level):
        return opened.trials
    return replace(opened.trials, regions=map_regions(opened.units["region"], level), region_level=level)


def _spread(positions: np.ndarray, n: int) -> np.ndarray:
    """At most n positions, evenly spread over all of them."""
    if positions.size <= n:
        return positions
    return positions[np.linspace(0, positions.size - 1, n).round().astype(int)]


def _training(trials: Trials) -> np.ndarray:
    """Counts (K, T, N) that order and scales of the pictures may know: not the trials the model is judged on."""
    train = trials.split == "train"
    return trials.counts[train] if train.any() else trials.counts


def _high_hz(trials: Trials) -> float:
    """Rate below which nearly all training rates lie, as 1, 2 or 5 times a power of ten."""
    typical = np.quantile(_training(trials).mean(0, dtype=np.float64) / trials.bin_size, 0.99)
    steps = np.outer(10.0 ** np.arange(-1, 4), [1, 2, 5]).ravel()
    return float(steps[min(np.searchsorted(steps, typical), steps.size - 1)])


# --- orders of neurons --------------------------------------------------------------------------------------------


def _mean_rate(trials: Trials) -> np.ndarray:
    return _training(trials).mean((0, 1), dtype=np.float64)


def _by_region(trials: Trials) -> np.ndarray:
    """Regions in the order of the Allen table, busy neurons of each first."""
    rank = {name: i for i, name in enumerate(sort_regions(trials.regions.astype(str)))}
    return np.lexsort([-_mean_rate(trials), np.array([rank[name] for name in trials.regions.astype(str)])])


def _by_rate(trials: Trials) -> np.ndarray:
    return np.argsort(-_mean_rate(trials), kind="stable")


def _by_similarity(trials: Trials) -> np.ndarray:
    """Neurons by their angle in the plane of the two leading components of their correlations."""
    counts = _training(trials)
    n_bins = counts.shape[1] // SIMILARITY_BIN * SIMILARITY_BIN or counts.shape[1]
    blocks = (counts.shape[0], -1, min(SIMILARITY_BIN, n_bins), counts.shape[2])
    table = counts[:, :n_bins].astype(np.float32).reshape(blocks).sum(2).reshape(-1, counts.shape[2])
    table = (table - table.mean(0)) / np.maximum(table.std(0), 1e-6)
    n_neurons = table.shape[1]
    if n_neurons < 2:
        return np.arange(n_neurons)
    _, plane = eigh(table.T @ table / len(table), subset_by_index=[n_neurons - 2, n_neurons - 1])
    return np.argsort(np.arctan2(plane[:, 1], plane[:, 0]), kind="stable")


_ORDERS = {"region": _by_region, "rate": _by_rate, "similarity": _by_similarity}


def codes(trials: Trials) -> torch.Tensor:
    return region_codes(trials.regions)
