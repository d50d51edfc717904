"""Films of trainings: one validation trial as the model predicted it at ever later steps, and how good that was."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from mtm_core.evaluation.metrics import SpikeSums
from mtm_core.paths import assets_dir
from mtm_core.regions import region_color, sort_regions
from mtm_core.training.film import NAME, Film, read_film

from ..recordings import runs_now
from ..words import PROMPT_NAMES, plain

BUNDLED = "bundled"
TYPICAL = 0.99  # quantile of the last frame's rates that has the last shade


@dataclass(frozen=True, eq=False)
class Shown:
    """One scheme of a film, rows in the order of the regions. Arrays are (rows, T) but for those per frame."""

    labels: list[str]
    colours: list[str]
    names: np.ndarray  # region of each row
    times: np.ndarray  # edges of the bins, s
    counts: np.ndarray
    hidden: np.ndarray
    target: np.ndarray
    rates: np.ndarray  # (F, rows, T), Hz
    high: float  # Hz
    steps: np.ndarray  # (F,)
    bits: np.ndarray  # (F,) bits per spike over the training mean, pooled over the scored entries of this trial


def films() -> dict[str, str]:
    """Label -> name of every film there is: the bundled one first, then those of runs, the newest first."""
    found = {"Bundled: a small model on simulated-1": BUNDLED} if (_bundled() / f"{NAME}.json").is_file() else {}
    for run in runs_now():
        if (run.folder / f"{NAME}.json").is_file():
            label = plain(run.title)
            found[f"{label} ({run.id})" if label in found else label] = run.id
    return found


def schemes(name: str) -> dict[str, str]:
    """Label -> masking scheme of the scenes of a film."""
    return {PROMPT_NAMES[scheme].capitalize(): scheme for scheme in _film(name).scenes if scheme in PROMPT_NAMES}


def shown(name: str, scheme: str) -> Shown:
    """Raises ValueError with a sentence for a film that is not there or cannot be trusted."""
    return _shown(_film(name), scheme)


def _bundled() -> Path:
    return assets_dir() / "films" / "simulated-1"


def _film(name: str) -> Film:
    folder = _bundled() if name == BUNDLED else next((run.folder for run in runs_now() if run.id == name), None)
    if folder is None or not (folder / f"{NAME}.json").is_file():
        raise ValueError("this training has not been filmed; choose another one")
    return _read(folder, (folder / f"{NAME}.json").stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _read(folder: Path, stamp: int) -> Film:
    return read_film(folder)


@lru_cache(maxsize=16)
def _shown(film: Film, scheme: str) -> Shown:
    if scheme not in film.scenes:
        raise ValueError("this training has not been filmed with that masking scheme; choose another one")
    scene, regions = film.scenes[scheme], np.array(film.regions)
    rank = {name: i for i, name in enumerate(sort_regions(regions))}
    order = np.lexsort([-film.mean, np.array([rank[each] for each in regions])])
    rates = scene.rates.astype(np.float32)
    names = np.array([plain(each) for each in regions])[order]
    hertz = rates.transpose(0, 2, 1)[:, order] / np.float32(film.bin_size)
    return Shown(
        labels=[f"{n} · {region}" for n, region in zip(order, names, strict=True)],
        colours=[region_color(each) for each in regions[order]],
        names=names,
        times=np.append(film.bin_starts, film.bin_starts[-1] + film.bin_size),
        counts=film.counts.T[order],
        hidden=scene.hidden.T[order],
        target=scene.target.T[order],
        rates=hertz,
        high=max(1.0, float(np.quantile(hertz[-1], TYPICAL))) if len(hertz) else 1.0,
        steps=film.steps,
        bits=np.array([_bits(film, scheme, frame) for frame in rates]),
    )


def _bits(film: Film, scheme: str, rates: np.ndarray) -> float:
    sums = SpikeSums.empty(1, len(film.regions))
    sums.add(film.counts[None], rates[None], film.scenes[scheme].target[None])
    return sums.total().pooled(film.mean.astype(np.float64))
