"""Scores by region and against firing rates; a click leads to the neurons."""

from __future__ import annotations

import numpy as np
import pandas as pd
import panel as pn

from ...analyses.score_tables import TaskTables
from ...plots.regions import RegionLine, draw_regions, make_region_figure, recolour_regions
from ...plots.scores import draw_rates, make_rate_figure, recolour_rates
from ...state import State
from ...theme import look
from ...words import TASK_NAMES, TIPS
from ..grid import Column, Grid
from ..parts import Announce, flexible, follow, on_tap
from .baselines import name_of
from .choices import choose
from .found import found, shown_task

COLUMNS = {
    "region": Column("Region", "Click a row to list its neurons below."),
    "n": Column("Scored", TIPS["Scored"], 0),
    "mean": Column("Mean", TIPS["Mean"], 3),
    "low": Column("95 % low", TIPS["95 % interval"], 3),
    "high": Column("95 % high", TIPS["95 % interval"], 3),
    "median": Column("Median", TIPS["Median"], 3),
    "pooled": Column("Pooled", TIPS["Pooled"], 3),
    "poisson_d2": Column("D²", TIPS["D²"], 3),
    "difference": Column("Minus baseline", TIPS["Minus baseline"], 3),
    "difference_low": Column("95 % low ", TIPS["95 % interval"], 3),
    "difference_high": Column("95 % high ", TIPS["95 % interval"], 3),
    "n_silent": Column("Silent", TIPS["Silent"], 0),
    "n_excluded": Column("Excluded", TIPS["Excluded"], 0),
}


def region_table(one: TaskTables, baseline: str) -> pd.DataFrame:
    """The table that is shown; the differences are those to the chosen baseline."""
    other = one.against.get(baseline)
    found = one.regions.set_index("region")
    if other is None:
        found = found.assign(difference=np.nan, difference_low=np.nan, difference_high=np.nan)
    else:
        found = found.join(other.regions.rename(columns={"low": "difference_low", "high": "difference_high"}))
    return found.reset_index()[list(COLUMNS)]


def region_lines(one: TaskTables) -> list[RegionLine]:
    """One line per region with scored neurons."""
    lines = []
    for row in one.regions.itertuples():
        inside = one.neurons[one.neurons.region == row.region]
        scored = inside[inside.status == "scored"]
        if len(inside[inside.status.isin(["scored", "silent"])]):
            interval = (row.low, row.high) if np.isfinite(row.low) else None
            neurons, bits = scored.neuron.to_numpy(), scored.bits_per_spike.to_numpy()
            colour, unscored = one.colours[row.region], len(inside) - len(scored) - row.n_silent
            lines.append(RegionLine(row.region, colour, bits, neurons, row.n_silent, unscored, interval))
    return lines


def rate_columns(one: TaskTables) -> dict[str, np.ndarray]:
    scored = one.neurons[one.neurons.status == "scored"]
    return {
        "rate": scored.rate_hz.to_numpy(),
        "bits": scored.bits_per_spike.to_numpy(),
        "neuron": scored.neuron.to_numpy(),
        "region": scored.region.to_numpy(),
        "colour": np.array([one.colours[region] for region in scored.region]),
    }


def file_name(state: State, one: TaskTables, what: str) -> str:
    return f"{state.spec.session}_{state.spec.model}_{one.task}_{what}"


def view(state: State) -> pn.viewable.Viewable:
    regions, rates = (
        make_region_figure("Neurons (dots), mean (bar) and 95 % (line)"),
        make_rate_figure(),
    )
    for dots in (regions.dots, rates.source):
        on_tap(state, dots, state.look_at)
    grid = Grid(state, COLUMNS, lambda row: choose(state, region=str(row.region)), paged=False)
    about = Announce(label="note", margin=(2, 4))
    figures = [flexible(regions.figure, 380), flexible(rates.figure, 380)]
    drawn: list[object] = []

    def draw() -> None:
        one = shown_task(state)
        if one is None:
            return
        baseline = state.spec.scoring.against
        about.text = (
            f"{TASK_NAMES[one.task]}, {found(state).label.lower()}. Minus baseline: model minus "
            f"{name_of(baseline).lower()}. Click a region to list its neurons, a dot to look at a neuron."
        )
        if drawn != [one, baseline]:
            drawn[:] = [one, baseline]
            draw_regions(regions, region_lines(one))
            draw_rates(rates, rate_columns(one))
            grid.show(region_table(one, baseline), file_name(state, one, "regions"))

    def paint() -> None:
        recolour_regions(regions, look(state.dark))
        recolour_rates(rates, look(state.dark))

    follow(state, ["jobs", "views", "spec"], draw, page="scores")
    follow(state, ["dark"], paint, page="scores")
    box = pn.FlexBox(*figures, gap="12px", align_items="flex-start", sizing_mode="stretch_width")
    return pn.Column(about, box, grid.widget, grid.file, sizing_mode="stretch_width", margin=0)
