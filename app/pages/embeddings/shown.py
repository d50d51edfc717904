"""What the page shows: the plane of neurons, what the probe found, and a table of all neurons."""

from __future__ import annotations

import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui

from ...analyses.embeddings import READS, ShownUnits
from ...plots.embeddings import Dots, draw_units, make_unit_figure, recolour_units
from ...state import State
from ...theme import look
from ...work import Job
from ..grid import Column, Grid
from ..levels import level_select
from ..parts import TABLE_STYLE, Announce, bind, button, flexible, guarded
from .said import about, keys, probe_table, recall_table, verdict

KIND = "embeddings"
COLUMNS = {
    "neuron": Column("Neuron", "Its number in its recording. Click a row to look at it.", 0),
    "region": Column("Region", "Acronym of the Allen atlas."),
    "session": Column("Recording", "The recording that the neuron is of."),
    "x": Column("Map 1", "Place on the map, first axis.", 2),
    "y": Column("Map 2", "Place on the map, second axis.", 2),
    "uuid": Column("Unit", "The identity of the unit in its file."),
}
TEXT_WIDTHS = {"region": 90, "session": 290, "uuid": 290}  # px
KEY_STYLE = ":host { font-size: 12.5px; line-height: 1.9; }"


class Shown:
    """What the colours stand for is only a way of looking, so it is not in the address."""

    def __init__(self, state: State) -> None:
        self.state, self.units = state, make_unit_figure()
        self.figure = flexible(self.units.figure, 440, visible=False)
        self.colour = pmui.RadioButtonGroup(
            options={"Region": "region", "Recording": "session"}, value="region", size="small", margin=(4, 3)
        )
        self.level = level_select()
        bind(state, self.level, lambda spec: spec.level, lambda value: state.go(level=value))
        self.start = button(state, "Map the neurons", lambda: state.run(KIND), variant="contained")
        self.about, self.verdict = Announce(margin=(6, 4)), Announce(margin=(6, 4))
        self.note = Announce(label="note", margin=(2, 4))
        self.keys = pn.pane.HTML("", stylesheets=[KEY_STYLE], sizing_mode="stretch_width", margin=(2, 4))
        self.probe, self.recall = (
            pn.pane.HTML("", stylesheets=[TABLE_STYLE], sizing_mode="stretch_width", margin=(4, 4)) for _ in range(2)
        )
        self.grid = Grid(state, COLUMNS, self.look_at)
        self.grid.widget.widths = {**self.grid.widget.widths, **TEXT_WIDTHS}
        self.units.dots.selected.on_change("indices", self.tapped)
        self.colour.param.watch(guarded(state, lambda _: self.draw()), "value")
        self.drawn: list[object] = []

    @property
    def job(self) -> Job | None:
        """The newest job about the chosen model and level, whatever the recording."""
        job, spec = self.state.jobs.get(KIND), self.state.spec
        return job if job is not None and all(getattr(job.spec, n) == getattr(spec, n) for n in READS) else None

    @property
    def found(self) -> ShownUnits | None:
        """From this visitor's job, or complete from another visitor's."""
        kept = self.state.views.get(KIND)
        return self.job.result if kept is None and self.job is not None else kept

    # --- drawing ------------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        found = self.found
        found = found if found is not None and len(found.table) else None
        self.about.text = about(found, self.job)
        self.start.disabled = self.state.running is not None or (found is not None and found.complete)
        placed = found is not None and bool(found.axes[0])
        self.units.figure.visible = self.figure.visible = placed
        self.verdict.text = "" if found is None else verdict(found)
        self.probe.object = "" if found is None else probe_table(found)
        self.recall.object = "" if found is None else recall_table(found)
        if not placed:
            self.keys.object, self.note.text = "", ""
            self.drawn.clear()
            self.grid.clear()
            return
        self.draw_map(found)

    def draw_map(self, found: ShownUnits) -> None:
        """Only when something of it changed: the probe goes on for minutes beside the map."""
        by, session = self.colour.value, self.state.spec.session
        wanted = [id(found.table), by, session]
        if self.drawn == wanted:
            return
        self.drawn[:] = wanted
        colours = found.regions if by == "region" else found.sessions
        own = (found.table.session == session).to_numpy()
        draw_units(self.units, _dots(found, colours, by, own))
        self.keys.object = keys(colours)
        here = f"Large dots: the {int(own.sum())} neurons of this recording. " if not own.all() else ""
        self.note.text = f"{here}Click a dot to look at the neuron."
        self.grid.show(found.table, f"{self.state.spec.model}_{found.level}_units")

    def recolour(self) -> None:
        recolour_units(self.units, look(self.state.dark))

    # --- acts ---------------------------------------------------------------------------------------------------------

    def tapped(self, attr: str, old: list[int], new: list[int]) -> None:
        if new:
            dots = self.units.dots
            dots.selected.indices = []
            row = {name: dots.data[name][new[0]] for name in ("session", "neuron", "region")}
            guarded(self.state, self.look_at)(pd.Series(row))

    def look_at(self, row: pd.Series) -> None:
        """The page of a neuron of the present recording; of another one, its name."""
        if str(row.session) == self.state.spec.session:
            self.state.look_at(int(row.neuron))
        else:
            self.note.text = (
                f"Neuron {int(row.neuron)} ({row.region}) is of recording {row.session}: choose that recording to look "
                "at it."
            )


def _dots(found: ShownUnits, colours: dict[str, str], by: str, own: np.ndarray) -> Dots:
    table = found.table
    columns = {name: table[name].to_numpy() for name in ("x", "y", "neuron", "uuid", "region", "session")}
    return Dots(columns, [colours[name] for name in table[by]], own, found.axes)
