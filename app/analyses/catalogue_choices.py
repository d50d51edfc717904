"""The choices of an import as the page offers them."""

from __future__ import annotations

from ..words import plain
from .catalogue_errands import Looked


def events(looked: Looked) -> dict[str, str]:
    """Label -> column of times that may become time 0, the most likely first."""
    n_trials = looked.report.n_trials
    return {f"{plain(name)} ({n:,} of {n_trials:,} trials)": name for name, n in looked.report.events.items()}


def regions(looked: Looked) -> dict[str, str]:
    """Label -> column of the units that names regions."""
    return {plain(name): name for name in looked.report.region_columns}
