"""The information map as tables and files."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy import ndarray

from .null import q_values
from .questions import Excluded, Gain

# A spreadsheet takes text that begins like this for a formula (OWASP, "CSV injection").
FORMULA = ("=", "+", "-", "@", "\t", "\r")

ALPHA = 0.05  # false discovery rate below which a cell is a finding


@dataclass(frozen=True)
class Cell:
    """What one source adds to one target."""

    gain: Gain
    control: float  # gain of the shifted source, bits per spike, mean over neurons; NaN without shifts
    p: float  # real against shifted source, one-sided


@dataclass(frozen=True, eq=False)
class InformationMap:
    """All cells known so far. Rows are sources, columns targets, both in the order of `regions` (Allen)."""

    session: str
    kind: str
    regions: tuple[str, ...]
    n_neurons: tuple[int, ...]
    n_silent: tuple[int, ...]  # without a spike in these trials: such a target neuron has no score
    excluded: tuple[Excluded, ...]
    cells: dict[tuple[int, int], Cell]
    protocol: dict[str, Any]
    complete: bool

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per source and target, R * R rows; NaN where not measured yet. Gains in bits per spike."""
        n = len(self.regions)
        rows = [self._row(source, target) for source in range(n) for target in range(n)]
        table = pd.DataFrame(rows)
        table.insert(table.columns.get_loc("p") + 1, "q", q_values(table["p"].to_numpy(dtype=float)))
        return table

    def matrix(self, column: str) -> Float[ndarray, "R R"]:
        """A column of the table as sources by targets."""
        n = len(self.regions)
        return self.table[column].to_numpy(dtype=float).reshape(n, n)

    @property
    def found(self) -> Bool[ndarray, "R R"]:
        """Sources that surely add something: better than their own activity of other trials, and a gain above 0.

        Both are needed. A shifted source can do harm, by contradicting other regions, so a source that adds nothing
        may well be better than that; and a gain above 0 alone may come from hiding more than training ever did.
        """
        return (self.matrix("q") < ALPHA) & (self.matrix("ci_low") > 0)

    def _row(self, source: int, target: int) -> dict[str, Any]:
        cell = self.cells.get((source, target), _UNKNOWN)
        return {
            "source": self.regions[source],
            "target": self.regions[target],
            "gain_mean": cell.gain.mean,
            "gain_pooled": cell.gain.pooled,
            "ci_low": cell.gain.low,
            "ci_high": cell.gain.high,
            "pooled_low": cell.gain.pooled_low,
            "pooled_high": cell.gain.pooled_high,
            "control": cell.control,
            "p": cell.p,
            "n_neurons_source": self.n_neurons[source],
            "n_neurons_target": self.n_neurons[target],
            "n_silent": self.n_silent[target],
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values; matrices are lists of rows (sources), null where unknown."""
        columns = {"gain": "gain_mean", "pooled": "gain_pooled", "low": "ci_low", "high": "ci_high"}
        same = ("pooled_low", "pooled_high", "control", "p", "q")
        named = {**columns, **{name: name for name in same}}
        return {
            "session": self.session,
            "protocol": self.protocol,
            "kind": self.kind,
            "unit": "bits per spike",
            "regions": list(self.regions),
            **{name: _rows(self.matrix(column)) for name, column in named.items()},
            "n_neurons": list(self.n_neurons),
            "n_silent": list(self.n_silent),
            "excluded": [asdict(each) for each in self.excluded],
            "complete": self.complete,
        }

    def to_csv(self) -> str:
        """The table as text, with the session, the kind and whether it is complete in every row."""
        table = self.table.assign(session=self.session, kind=self.kind, complete=self.complete)
        return csv_text(table)


def csv_text(table: pd.DataFrame) -> str:
    """A table as CSV that a spreadsheet does not take for formulas: such text gets an apostrophe in front."""
    safe = table.copy()
    for name in safe.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in safe.dtypes]]:
        safe[name] = [f"'{text}" if str(text).startswith(FORMULA) else text for text in safe[name]]
    buffer = io.StringIO()
    safe.to_csv(buffer, index=False, lineterminator="\n")
    return buffer.getvalue()


def _rows(matrix: Float[ndarray, "R R"]) -> list[list[float | None]]:
    """JSON has no NaN."""
    return [[float(x) if np.isfinite(x) else None for x in row] for row in matrix]


_UNKNOWN = Cell(Gain(*(float("nan"),) * 6), float("nan"), float("nan"))
