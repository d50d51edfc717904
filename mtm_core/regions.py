"""Brain regions: Allen acronyms, their Beryl and Cosmos parents, Allen colours and Allen order.

The lookup tables come from iblatlas, which ships them in its wheel: no network, read once on first use. Two things
differ from its own `acronym2acronym`, which silently drops unknown names and sends every label coarser than the
requested level to root:
* an unknown acronym maps to itself (`unknown_acronyms` lists them), so neurons and labels stay in step;
* a label coarser than the level (TH or ACA at Beryl, grey at Cosmos) stays as it is: "somewhere in the thalamus" is
  information. Fibre tracts and ventricles, which have no part at the level, do become root.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

if TYPE_CHECKING:
    from iblatlas.regions import BrainRegions

LEVELS = ("allen", "beryl", "cosmos")
NEVER_TARGET = frozenset({"root", "void"})  # "somewhere in the brain" and "outside it": no region to predict
NO_REGION_COLOR = "#b0b0b0"  # root is white in the Allen table, which cannot be seen on a page


def map_regions(acronyms: Iterable[str], level: str) -> ndarray:
    """Acronyms (N,) at level "allen", "beryl" or "cosmos", as an array of str (N,)."""
    if level not in LEVELS:
        raise ValueError(f"region level {level!r} is not known; choose one of {', '.join(LEVELS)}")
    parents = _parents(level)
    return np.array([parents.get(str(acronym), str(acronym)) for acronym in acronyms], dtype=np.str_)


def unknown_acronyms(acronyms: Iterable[str]) -> tuple[str, ...]:
    """The acronyms that the Allen atlas does not hold, sorted, each once."""
    return tuple(sorted({str(acronym) for acronym in acronyms} - _rows().keys()))


def acronyms_from_ids(ids: Iterable[int] | ndarray) -> ndarray:
    """Allen acronyms (N,) of structure ids (N,); a negative id is the left hemisphere of the same structure.

    An id that the atlas does not hold becomes "ccf-<id>", which `unknown_acronyms` reports.
    """
    atlas = _atlas()
    known = dict(zip(np.abs(atlas.id).tolist(), atlas.acronym.tolist(), strict=True))
    return np.array([known.get(abs(int(i)), f"ccf-{abs(int(i))}") for i in ids], dtype=np.str_)


def region_color(acronym: str) -> str:
    """Allen colour of a region as "#rrggbb"; grey for root, void and unknown acronyms."""
    row = _rows().get(acronym)
    if row is None or acronym in NEVER_TARGET:
        return NO_REGION_COLOR
    return "#{:02x}{:02x}{:02x}".format(*_atlas().rgb[row])


def sort_regions(acronyms: Iterable[str]) -> tuple[str, ...]:
    """The distinct acronyms in Allen order; void, root and unknown ones (by name) come last."""
    rows, order = _rows(), _atlas().order
    labels = {str(acronym) for acronym in acronyms}
    placed = {label for label in labels if label in rows and label not in NEVER_TARGET}
    return (*sorted(placed, key=lambda label: order[rows[label]]), *sorted(labels - placed))


@lru_cache(maxsize=1)
def _atlas() -> BrainRegions:
    # Imported on first use: importing this module must stay quick and touch no disk.
    from iblatlas.regions import BrainRegions

    return BrainRegions()


@lru_cache(maxsize=1)
def _rows() -> dict[str, int]:
    """Acronym -> row of the atlas tables. Both hemispheres carry the same acronym; the first row serves for both."""
    acronyms = _atlas().acronym.tolist()
    return dict(zip(reversed(acronyms), reversed(range(len(acronyms))), strict=True))


@lru_cache(maxsize=len(LEVELS))
def _parents(level: str) -> dict[str, str]:
    """Acronym -> acronym at the level."""
    atlas, rows = _atlas(), _rows()
    mapped = atlas.acronym[atlas.mappings[level.capitalize()]]
    coarser = _ancestors([row for row in rows.values() if mapped[row] not in NEVER_TARGET])
    keeps_name = {label for label, row in rows.items() if row in coarser and mapped[row] == "root"}
    return {label: label if label in keeps_name else str(mapped[row]) for label, row in rows.items()}


def _ancestors(rows: list[int]) -> set[int]:
    """Rows of every structure that contains one of the rows."""
    atlas = _atlas()
    row_of = {int(i): row for row, i in reversed(list(enumerate(atlas.id.tolist())))}
    above: set[int] = set()
    for row in rows:
        parent = atlas.parent[row]
        while np.isfinite(parent) and (up := row_of[int(parent)]) not in above:
            above.add(up)
            parent = atlas.parent[up]
    return above
