"""Every neuron with its scores; a click looks at it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui

from ...analyses.score_tables import TaskTables
from ...state import State
from ...words import TASK_NAMES, TIPS, count
from ..grid import Column, Grid
from ..parts import Announce, bind, follow, offer
from .by_region import file_name
from .choices import choose
from .found import found, shown_task

COLUMNS = {
    "neuron": Column("Neuron", "Its number in the recording. Click a row to look at it.", 0),
    "region": Column("Region", "Acronym of the Allen atlas."),
    "status": Column("Status", "Scored, silent, excluded, or not asked yet."),
    "bits_per_spike": Column("Bits per spike", TIPS["Null: test mean"], 3),
    "low": Column("95 % low", TIPS["95 % interval"], 3),
    "high": Column("95 % high", TIPS["95 % interval"], 3),
    "bits_per_spike_train_null": Column("Training null", TIPS["Null: training mean"], 3),
    "poisson_d2": Column("D²", TIPS["D²"], 3),
    "difference": Column("Minus baseline", TIPS["Minus baseline"], 3),
    "n_spikes": Column("Spikes", "In the scored entries.", 0),
    "rate_hz": Column("Rate (Hz)", "Mean over the training trials.", 2),
    "uuid": Column("Unit", "The identity of the unit in its file."),
}


def neuron_table(one: TaskTables, baseline: str, region: str) -> pd.DataFrame:
    """The table that is shown: the neurons of a region, or all of them."""
    other = one.against.get(baseline)
    found = one.neurons.assign(difference=np.nan if other is None else other.neurons)
    return (found[found.region == region] if region else found)[list(COLUMNS)]


def view(state: State) -> pn.viewable.Viewable:
    grid = Grid(state, COLUMNS, lambda row: state.look_at(int(row.neuron)))
    about = Announce(label="note", margin=(2, 4))
    region = pmui.Select(label="Region", options={"all regions": ""}, width=180, size="small", margin=(6, 4))
    bind(state, region, lambda spec: spec.scoring.region, lambda value: choose(state, region=value))
    drawn: list[object] = []

    def draw() -> None:
        one, looked = shown_task(state), state.spec.scoring
        if one is None:
            return
        names = list(one.regions.region)
        offer(region, {"all regions": "", **{name: name for name in names}})
        chosen = looked.region if looked.region in names else ""
        # While a task runs, the table stays as it is: sorting and scrolling in rows that move is no use to anybody.
        if one.complete or not grid_is_of(drawn, one) or found(state).label != "Partial, still running":
            if drawn != [one, looked.against, chosen]:
                drawn[:] = [one, looked.against, chosen]
                grid.show(neuron_table(one, looked.against, chosen), file_name(state, one, "neurons"))
        rows = len(grid.widget.value)
        about.text = f"{TASK_NAMES[one.task]}, {found(state).label.lower()}: {count(rows, 'neuron')} of " + (
            f"{chosen}." if chosen else "all regions."
        )

    follow(state, ["jobs", "views", "spec"], draw, page="scores")
    return pn.Column(
        pn.FlexBox(region, about, align_items="center"), grid.widget, grid.file, sizing_mode="stretch_width"
    )


def grid_is_of(drawn: list[object], one: TaskTables) -> bool:
    return bool(drawn) and drawn[0].task == one.task
