"""Outlines of Swanson's flat map of the brain (Swanson 2004, Brain Maps III), if their file is at hand.

iblatlas draws the flat map from a file of outlines, `swansonpaths.json`, that is not in its wheel. It is looked for
where MTM_SWANSON says and beside iblatlas; nothing is downloaded. Without it the page shows the heat map only.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mtm_core.regions import map_regions

log = logging.getLogger(__name__)
FILE = "swansonpaths.json"
LARGEST = 2**25  # bytes; the published file has less than a tenth of it
Ring = tuple[list[float], list[float]]  # x, y; y grows downwards


@dataclass(frozen=True)
class Outline:
    """One region of the flat map: polygons, each an outer ring and the rings of its holes."""

    region: str  # at the level asked for
    polygons: tuple[tuple[Ring, ...], ...]


def outlines(level: str) -> tuple[Outline, ...]:
    """All outlines with the region that each belongs to at an Allen level; none if there is no readable file."""
    path = _path()
    return _read(path, path.stat().st_mtime_ns, level) if path is not None else ()


def _path() -> Path | None:
    import iblatlas

    given = os.environ.get("MTM_SWANSON")
    places = [Path(given)] if given else [Path(iblatlas.__file__).parent / FILE]
    return next((place for place in places if place.is_file() and place.stat().st_size <= LARGEST), None)


@lru_cache(maxsize=4)
def _read(path: Path, changed: int, level: str) -> tuple[Outline, ...]:
    try:
        entries = json.loads(path.read_text("utf-8"))
        acronyms = _acronyms([entry["thisID"] for entry in entries])
        shapes = [_polygons(entry) for entry in entries]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        log.warning("%s: not a file of outlines (%s)", path, error)
        return ()
    regions = map_regions(acronyms, level)
    return tuple(Outline(str(region), shape) for region, shape in zip(regions, shapes, strict=True))


def _acronyms(rows: list[int]) -> list[str]:
    """The file names a region by its row in the table of iblatlas."""
    from iblatlas.regions import BrainRegions

    names = BrainRegions().acronym
    return [str(names[int(row)]) for row in rows]


def _polygons(entry: dict[str, Any]) -> tuple[tuple[Ring, ...], ...]:
    parts = entry["coordsReg"]
    rings = [_ring(part) for part in ([parts] if isinstance(parts, dict) else parts)]
    return (tuple(rings),) if entry.get("hole") else tuple((ring,) for ring in rings)


def _ring(part: dict[str, Any]) -> Ring:
    x, y = (np.asarray(part[axis], dtype=float) for axis in "xy")
    if x.shape != y.shape or x.ndim != 1 or not np.isfinite([x, y]).all():
        raise ValueError("an outline needs as many finite x as y")
    return x.tolist(), y.tolist()
