"""All recordings that can be opened, for the table of the page "Recordings"."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mtm_core.data.importing import remove

from ..recordings import listed, models
from ..words import plain
from .models import model_facts

KINDS = {"simulated": "bundled", "imported": "imported", "ibl": "ONE folder"}


@dataclass(frozen=True)
class Row:
    """One recording, in harmless words and numbers."""

    id: str
    animal: str
    date: str
    lab: str
    regions: tuple[str, ...]  # in Allen order
    n_units: int
    n_trials: int
    duration: float  # s, NaN where it is not known
    kind: str  # of KINDS
    models: tuple[str, ...]  # labels of those that were trained on it
    problem: str  # why it cannot be opened, or ""
    twin: str  # id of another record of the same data, or ""


def rows() -> list[Row]:
    """Every recording, imported ones first."""
    known = _known_by()
    found = [
        Row(
            id=row["id"],
            animal=plain(row["subject"]),
            date=plain(row["date"]),
            lab=plain(row["lab"]),
            regions=tuple(plain(name) for name in row["regions"]),
            n_units=int(row["n_neurons"]),
            n_trials=int(row["n_trials"]),
            duration=float(row["duration"]),
            kind=KINDS.get(row["source"], plain(row["source"])),
            models=tuple(known.get(row["id"], ())),
            problem=plain(row["problem"]),
            twin=_short(row["same_recording_as"]),
        )
        for row in listed()
    ]
    return sorted(found, key=lambda row: row.kind != "imported")


def _short(session_id: str) -> str:
    """The first part of a uuid; other ids whole."""
    return plain(session_id)[:8] if session_id.count("-") == 4 and len(session_id) == 36 else plain(session_id)


def _known_by() -> dict[str, list[str]]:
    """Recording -> labels of the models that were trained on it."""
    found: dict[str, list[str]] = {}
    for name in models():
        facts = model_facts(name)
        for session in facts.sessions:
            found.setdefault(session, []).append(facts.label)
    return found


def minutes(seconds: float) -> str:
    """41 min; a dash where it is not known."""
    return "–" if math.isnan(seconds) else f"{max(1, round(seconds / 60))} min"


def forget(session_id: str) -> None:
    """Remove our copy of an imported recording; what it was made of stays."""
    remove(session_id)
