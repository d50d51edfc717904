"""Mean responses by condition: recorded above, predicted below."""

from __future__ import annotations

import html

import numpy as np
import panel as pn

from ...analyses.single_neuron import SMOOTHING, Judged, Psths
from ...plots.psth import Course, colours, draw_psth, make_psth_figure, recolour_psth, top_of
from ...state import State
from ...theme import look
from ...words import count
from ..parts import heading
from .shown import drawn_card

MOST = 5  # groupings: choice, block, side, contrast, feedback
WIDTH = 185  # px below which a panel takes a line of its own
# Side by side, keys of one, two or three lines must leave the figures at one height.
KEY_STYLE = """
b { font-size: 13px; }
.key { display: flex; flex-wrap: wrap; gap: 0 10px; font-size: 12px; align-content: flex-start; min-height: 54px; }
@media (max-width: 700px) { .key { min-height: 0; } }
"""


class Panel:
    """The two figures of one grouping, and the words above them."""

    def __init__(self) -> None:
        self.words = pn.pane.HTML("", stylesheets=[KEY_STYLE], sizing_mode="stretch_width", margin=0)
        self.figures = {name: make_psth_figure(name, label) for name, label in _LABELS.items()}
        panes = [pn.pane.Bokeh(f.figure, sizing_mode="stretch_width", margin=0) for f in self.figures.values()]
        self.view = pn.Column(self.words, *panes, margin=(0, 4), visible=False)
        self.view.styles = {"flex": f"1 1 {WIDTH}px", "min-width": "0"}


_LABELS = {"recorded": "", "predicted": "time from stimulus (s)"}


def view(state: State) -> pn.viewable.Viewable:
    panels = [Panel() for _ in range(MOST)]
    left_out = pn.pane.HTML("", sizing_mode="stretch_width", margin=(2, 8))

    def draw(judged: Judged) -> None:
        for panel, group in zip(panels, (*judged.psths, *[None] * MOST), strict=False):
            panel.view.visible = group is not None
            if group is not None:
                draw_panel(panel, judged, group, state.dark)
        left_out.object = f"<span style='font-size:12.5px;opacity:.8'>{html.escape(said(judged))}</span>"

    grid = pn.FlexBox(*(panel.view for panel in panels), sizing_mode="stretch_width", align_items="flex-start")
    return drawn_card(state, heading("Mean responses (PSTH)"), grid, left_out, draw=draw)


def draw_panel(panel: Panel, judged: Judged, group: Psths, dark: bool) -> None:
    conditions = group.conditions
    courses = {
        "recorded": [Course(c.label, c.recorded, c.recorded_sem) for c in conditions],
        "predicted": [Course(c.label, c.predicted, c.predicted_sem) for c in conditions],
    }
    top = max(top_of(each) for each in courses.values())
    times = edges(judged)
    for name, shown in panel.figures.items():
        draw_psth(shown, times, courses[name], top, dark)
        recolour_psth(shown, look(dark))
    shades = colours([c.label for c in conditions], dark)
    panel.words.object = _key(group.by, [(c.label, c.n_trials) for c in conditions], shades)


def edges(judged: Judged) -> np.ndarray:
    """Of the bins, s."""
    starts, size = judged.trials.bin_starts, judged.trials.bin_size
    return np.append(starts, starts[-1] + size)


def _key(by: str, labels: list[tuple[str, int]], shades: list[str]) -> str:
    """The grouping and its conditions in their colors."""
    pieces = [
        f"<span style='white-space:nowrap'><b style='color:{shade}'>▬</b> {html.escape(label)} "
        f"<span style='opacity:.65'>({n})</span></span>"
        for (label, n), shade in zip(labels, shades, strict=True)
    ]
    title = html.escape(by[:1].upper() + by[1:])
    return f"<b>{title}</b><div class='key'>{''.join(pieces)}</div>"


def said(judged: Judged) -> str:
    """What the pictures show and what they leave out."""
    dropped = [f"{group.by} {label} ({n})" for group in judged.psths for label, n in group.left_out.items()]
    unknown = [f"{group.by} ({count(group.n_unknown, 'trial')})" for group in judged.psths if group.n_unknown]
    text = "Mean ± s.e.m. over held-out trials (numbers in brackets), each trial smoothed with a Gaussian of "
    text += f"{SMOOTHING * 1e3:g} ms. Recorded and predicted share a scale."
    if dropped:
        text += f" Left out for having fewer than three trials: {', '.join(dropped)}."
    return text + (f" Not known: {', '.join(unknown)}." if unknown else "")
