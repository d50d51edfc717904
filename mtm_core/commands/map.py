"""`mtm map`: what each source region adds to the prediction of each target region, on held-out trials."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ..atomic import write_bytes, write_json
from ..checkpoint import Checkpoint, load_checkpoint
from ..data.catalogue import open_session
from ..device import describe, pick_device
from ..evaluation.information.map import Kind, Settings, information_map
from ..evaluation.information.table import ALPHA, InformationMap
from ..session import Trials
from .console import ProgressLine
from .evaluate import trials_of

MEANING = {
    "lost": "what the target loses when the source is hidden as well (diagonal: what the rest of the region adds)",
    "alone": "what the source tells when nothing else is visible; off the diagonal the model is not trained for it",
}


def at_level(trials: Trials, level: str | None, cache_dir: str | None) -> Trials:
    """The same trials with regions of another Allen level; None: as the checkpoint was trained."""
    if level in (None, trials.region_level):
        return trials
    session = open_session(trials.session_id, cache_dir)
    return session.align(trials.event, trials.window, trials.bin_size, level)


def measure(checkpoint: Checkpoint, trials: Trials, settings: Settings) -> InformationMap:
    shown = ProgressLine()
    for share, found in information_map(checkpoint, trials, settings):
        n = len(found.regions) ** 2
        shown.show(f"information map: {len(found.cells)} of {n} cells ({100 * share:.0f} %)", share)
    shown.end()
    return found


def table(found: InformationMap) -> str:
    """Rows of sources, columns of targets; * marks findings."""
    gain, marked = found.matrix("gain_mean"), found.found
    width = max(9, *(len(region) + 2 for region in found.regions))
    lines = ["".join([f"{'source':<{width}}", *(f"{region:>{width}}" for region in found.regions)])]
    for source, region in enumerate(found.regions):
        marks = np.where(marked[source], "*", " ")
        cells = [f"{g:.3f}{m}" if np.isfinite(g) else "- " for g, m in zip(gain[source], marks, strict=True)]
        lines.append("".join([f"{region:<{width}}", *(f"{cell:>{width}}" for cell in cells)]))
    counts = "".join(f"{n - silent:>{width}}" for n, silent in zip(found.n_neurons, found.n_silent, strict=True))
    return "\n".join([*lines, f"{'scored':<{width}}{counts}"])


def run(options: argparse.Namespace) -> int:
    device = pick_device(options.device)
    for path in filter(None, (options.json, options.csv)):
        Path(path).parent.mkdir(parents=True, exist_ok=True)  # refused now, not after minutes of scoring
    checkpoint = load_checkpoint(options.checkpoint, device)
    trials = at_level(trials_of(checkpoint, options.session, options.cache_dir), options.level, options.cache_dir)
    settings = Settings(Kind(options.kind), options.split, options.min_neurons, options.nulls, options.seed)
    n_trials = int((trials.split == options.split).sum())
    print(f"session {trials.session_id}, {n_trials} {options.split} trials, on {describe(device)}")
    found = measure(checkpoint, trials, settings)
    print(f"bits per spike of the target, mean over neurons: {MEANING[options.kind]}")
    print(table(found))
    if settings.nulls:
        print(f"*: interval above 0, and better than the source's activity of other trials, q < {ALPHA}")
    for each in found.excluded:
        print(f"left out: {each.region}, {each.n_neurons} neurons: {each.reason}")
    if options.json:
        write_json(Path(options.json), found.to_json())
        print(f"matrices: {options.json}")
    if options.csv:
        write_bytes(Path(options.csv), found.to_csv().encode())
        print(f"one row per source and target: {options.csv}")
    return 0
