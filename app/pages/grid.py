"""A sortable table whose rows can be clicked, and the same table as a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import panel as pn
from bokeh.models import CellFormatter, NumberFormatter, StringFormatter

from ..state import State
from .parts import download, guarded

PAGE = 15  # rows
# As dense as the other tables; the first class outweighs the style sheets of the theme.
DENSE = """
.pnx-tabulator.tabulator { font-size: 13px; font-variant-numeric: tabular-nums; }
.pnx-tabulator.tabulator .tabulator-header .tabulator-col .tabulator-col-content { padding: 5px 8px; }
.pnx-tabulator.tabulator .tabulator-row { min-height: 28px; cursor: pointer; }
.pnx-tabulator.tabulator .tabulator-row .tabulator-cell { height: 28px; padding: 4px 8px; }
"""
FORMULA = ("=", "+", "-", "@")  # a spreadsheet would run a cell of text that begins so


@dataclass(frozen=True)
class Column:
    """Title and tip are constants of the app: Tabulator renders them as HTML."""

    title: str
    tip: str
    digits: int | None = None  # of a number; None: text

    @property
    def width(self) -> int:
        """px: room for the title with its arrow, and for numbers like -0.123 or 12,345."""
        return max(30 + round(6.5 * len(self.title)), 70)

    @property
    def formatter(self) -> CellFormatter:
        if self.digits is None:
            return StringFormatter()
        places = "." + "0" * self.digits if self.digits else ""
        return NumberFormatter(format="0,0" + places, nan_format="–")


def csv_text(table: pd.DataFrame) -> str:
    """A table as CSV; text that a spreadsheet would take for a formula is quoted."""
    safe = table.copy()
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = [f"'{cell}" if str(cell).startswith(FORMULA) else cell for cell in safe[name]]
    return safe.to_csv(index=False, float_format="%.6g", lineterminator="\n")


class Grid:
    """Columns of a data frame as a table; what is shown is what is downloaded."""

    def __init__(
        self, state: State, columns: Mapping[str, Column], act: Callable[[pd.Series], None], paged: bool = True
    ) -> None:
        self.state, self.columns = state, dict(columns)
        self.widget = pn.widgets.Tabulator(
            pd.DataFrame({name: [] for name in columns}),
            titles={name: column.title for name, column in columns.items()},
            header_tooltips={name: column.tip for name, column in columns.items()},
            formatters={name: column.formatter for name, column in columns.items()},
            text_align={name: "left" if column.digits is None else "right" for name, column in columns.items()},
            widths={name: column.width for name, column in columns.items()},
            show_index=False,
            disabled=True,  # no cell can be edited
            selectable=False,
            pagination="local" if paged else None,
            page_size=PAGE,
            layout="fit_data",
            stylesheets=[DENSE],
            sizing_mode="stretch_width",
            margin=(4, 0),
        )
        self.file = download("Download CSV", "table.csv", self._csv, disabled=True)  # until there are rows
        self.widget.on_click(guarded(state, lambda event: act(self.widget.value.iloc[event.row])))

    def show(self, table: pd.DataFrame, name: str) -> None:
        """Show these rows; `name` is that of the file."""
        self.widget.value = table[list(self.columns)].reset_index(drop=True)
        self.file.param.update(filename=f"{name}.csv", disabled=not len(table))

    def clear(self) -> None:
        if not self.file.disabled:  # an empty table set again would be sent again
            self.widget.value = self.widget.value.iloc[:0]
            self.file.disabled = True

    def _csv(self) -> str:
        shown: Any = self.widget.current_view
        titles = {name: column.title for name, column in self.columns.items()}
        return csv_text(shown.rename(columns=titles))
