"""Prediction files for BrainWideBench's scorer (package ibl-bwb-eval 0.1.0, task suite 2).

    <out>/<label>/ts2-<task>/<recording>/seed_<seed>.safetensors         what the model predicts
    <out>/ground_truth/ts2-<task>/<recording>/ground_truth.safetensors   what was recorded, so that it can be scored

    predictions         log expected counts, float32: (windows, 50, held-out units) or (windows, 5, units)
    window_timestamps   start of each window in the recording's time, s, float64; the scorer matches these exactly
    unit_ids            uuids of the last axis as rows of ASCII bytes, uint8
    targets             counts, float32 (ground truth only)

Co-smoothing hides the benchmark's tenth of the units and scores it; forecasting hides the last tenth of a second and
scores all units there, with the causal prompt. A window is 1 s in bins of 20 ms and the model reads nothing else.

Exported are the windows of whole seconds that follow one another in each test trial, from the trial window's start, and
only those with data throughout. The benchmark itself scores every window of its own test blocks, with its own selection
of units: for a submission the model has to be asked about those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from safetensors.numpy import save

from ..atomic import write_bytes
from ..checkpoint import Checkpoint
from ..masking import Mask, hold_out_future
from ..predict import predict
from ..session import Trials
from .held_out_sets import brain_wide_bench, hold_out
from .metrics import SMALLEST_RATE
from .tasks import check_protocol

SECONDS, BIN_SIZE = 1.0, 0.02  # s
N_BINS, N_FUTURE = 50, 5
SEEDS = (43, 44, 45, 46, 47)  # of the benchmark's own training runs
GROUND_TRUTH = "ground_truth"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")  # one folder, whatever the system


class BenchTask(str, Enum):
    """The tasks of the suite, by the names the benchmark gives them."""

    CO_SMOOTHING = "co_smoothing"
    FORECASTING = "forecasting"

    @property
    def folder(self) -> str:
        return f"ts2-{self.value}"


@dataclass(frozen=True)
class Submission:
    """What is written, and where to."""

    task: BenchTask
    label: str  # the submission's name, a folder
    out: Path
    seeds: tuple[int, ...]  # one file each

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.label) or self.label == GROUND_TRUTH:
            raise ValueError(f"label {self.label!r}: give letters, digits, '.', '_' and '-' that can name a folder")
        if not self.seeds or min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds {list(self.seeds)}: give one or more different numbers from 0 on")


@dataclass(frozen=True, eq=False)
class Predictions:
    """What the scorer compares: entries of both arrays are (window, bin, unit) of the scored part."""

    log_rates: Float[ndarray, "W t n"]
    counts: Float[ndarray, "W t n"]
    timestamps: Float[ndarray, " W"]  # s
    unit_ids: ndarray  # (n,)


def submit(model: Checkpoint, trials: Trials, wanted: Submission) -> tuple[Predictions, list[Path]]:
    """Predict the test windows and write the files; returns what was predicted and the files, the ground truth last.

    trials: the whole session with its splits. Raises ValueError where no whole second of test data exists, and OSError
    where a file cannot be written; each file is the old one or the new one, never a part of it.
    """
    if not NAME.fullmatch(trials.session_id):
        raise ValueError(f"session id {trials.session_id!r} cannot name a folder; give the session another id")
    found = predictions(model, trials, wanted.task)
    about = {
        "task": wanted.task.folder,
        "recording_id": trials.session_id,
        "bin_size": str(BIN_SIZE),
        "context_window": str(SECONDS),
        "model": str(model.manifest.get("hash", "")),
    }
    ids = encode_ids(found.unit_ids)
    own = {"predictions": found.log_rates, "window_timestamps": found.timestamps, "unit_ids": ids}
    truth = {"targets": found.counts, "window_timestamps": found.timestamps, "unit_ids": ids}
    files = []
    for seed in wanted.seeds:
        file = wanted.out / wanted.label / wanted.task.folder / trials.session_id / f"seed_{seed}.safetensors"
        files.append(_write(file, own, about | {"label": wanted.label, "seed": str(seed)}))
    file = wanted.out / GROUND_TRUTH / wanted.task.folder / trials.session_id / f"{GROUND_TRUTH}.safetensors"
    return found, [*files, _write(file, truth, about)]


def _write(file: Path, tensors: dict[str, ndarray], about: dict[str, str]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    # safetensors reads the buffer as it lies in memory, so a view would be written scrambled.
    write_bytes(file, save({name: np.ascontiguousarray(value) for name, value in tensors.items()}, about))
    return file


def predictions(model: Checkpoint, trials: Trials, task: BenchTask) -> Predictions:
    """What the model predicts of the scored part of each test window."""
    check_protocol(model, trials)
    held_out = brain_wide_bench(trials.unit_ids)
    scored = held_out if task is BenchTask.CO_SMOOTHING else np.arange(trials.n_neurons)
    bins = slice(None) if task is BenchTask.CO_SMOOTHING else slice(N_BINS - N_FUTURE, N_BINS)
    log_rates, counts, timestamps = [], [], []
    for window, starts in whole_seconds(trials.select("test")):
        rates = predict(model, window, _mask(task, window.counts.shape, held_out), scored)[:, bins]
        log_rates.append(np.log(np.maximum(rates, SMALLEST_RATE)).astype(np.float32))
        counts.append(window.counts[:, bins][:, :, scored].astype(np.float32))
        timestamps.append(starts)
    joined = np.concatenate(timestamps) if timestamps else np.empty(0)
    if len(joined) == 0:
        raise ValueError(f"session {trials.session_id}: no test trial has a whole second of data; nothing to export")
    if len(np.unique(joined)) < len(joined):
        raise ValueError(f"session {trials.session_id}: two windows start at the same time; the scorer needs one each")
    return Predictions(np.concatenate(log_rates), np.concatenate(counts), joined, trials.unit_ids[scored])


def _mask(task: BenchTask, shape: tuple[int, int, int], held_out: Int[ndarray, " n"]) -> Mask:
    return hold_out(shape, held_out) if task is BenchTask.CO_SMOOTHING else hold_out_future(shape, N_FUTURE)


def whole_seconds(part: Trials) -> Iterator[tuple[Trials, Float[ndarray, " W"]]]:
    """The trials cut to one second after the other, those with data throughout, and where each window starts (s)."""
    if abs(part.bin_size - BIN_SIZE) > 1e-9 or part.n_bins < N_BINS:
        raise ValueError(
            f"session {part.session_id}: BrainWideBench scores windows of 1 s in bins of 20 ms, these trials have "
            f"{part.n_bins} bins of {1e3 * part.bin_size:g} ms; train with --bin-size 0.02 and a --window of 1 s or "
            "longer, where the recording has it"
        )
    for first in range(0, part.n_bins - N_BINS + 1, N_BINS):
        bins = slice(first, first + N_BINS)
        start = part.window[0] + first * part.bin_size
        window = replace(
            part,
            counts=part.counts[:, bins],
            valid=part.valid[:, bins],
            window=(start, start + SECONDS),
            behaviors={},
            true_rates=None,
        ).select(part.valid[:, bins].all(axis=1))
        if window.n_trials:
            yield window, window.table[part.event].to_numpy(dtype=np.float64) + start


def encode_ids(unit_ids: ndarray) -> UInt8[ndarray, "n width"]:
    """uuids as rows of ASCII bytes, shorter ones filled with 0; raises ValueError for other characters."""
    try:
        rows = [str(uuid).encode("ascii") for uuid in unit_ids]
    except UnicodeEncodeError as error:
        raise ValueError(f"unit id {error.object!r} is not ASCII, which the scorer expects") from error
    width = max(len(row) for row in rows)
    return np.frombuffer(b"".join(row.ljust(width, b"\0") for row in rows), dtype=np.uint8).reshape(len(rows), width)
