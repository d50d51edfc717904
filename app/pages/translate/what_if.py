"""What if the behavior had been another: the change in the predicted spikes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import panel as pn
import panel_material_ui as pmui
from bokeh.models import Range1d

from ...analyses.suppose import Supposed
from ...analyses.translate import Shown
from ...plots.difference import UNIT, draw_difference, make_difference, recolour_difference
from ...plots.raster import STRIP, TOP, draw_strips, label_bands
from ...state import State
from ...theme import look
from ...translation import TABLE, with_class
from ...words import number
from ..explore.rasters import rows_of
from ..parts import Announce, button, card, flexible, guarded, heading, offer, prose
from .bend import BendView
from .shown import drawn, label, listed, newest

AS_IT_WAS = -1  # the option of a select that supposes nothing
BANNER = {"border-left": "4px solid #d98e04", "background": "rgba(217, 142, 4, .12)", "padding": "6px 12px"}
STATICS = tuple(name for name, modality in TABLE.items() if modality.static)


def view(state: State) -> pn.viewable.Viewable:
    controls = pn.Column(
        Classes(state).view(),
        BendView(state).view(),
        styles={"flex": "2 1 330px", "min-width": "0"},
        margin=0,
    )
    both = pn.FlexBox(controls, _difference(state), gap="12px", align_items="flex-start", sizing_mode="stretch_width")
    return card(
        heading("What if: change the behavior"),
        pn.Column(prose("translate_what_if"), styles=BANNER, sizing_mode="stretch_width", margin=(2, 0, 8, 0)),
        both,
    )


class Classes:
    """Another choice, block, side or reward; a button for the most obvious of them."""

    def __init__(self, state: State) -> None:
        self.state, self.quiet = state, False
        self.flip = button(state, "Flip the choice", self.flip_choice, variant="contained")
        self.reset = button(state, "Back to what was recorded", self.forget)
        self.selects = {
            name: pmui.Select(
                label=label(name), options={"recorded": AS_IT_WAS}, size="small", width=200, margin=(6, 8, 2, 0)
            )
            for name in STATICS
        }
        for name, select in self.selects.items():
            select.param.watch(guarded(state, lambda event, name=name: self.choose(name, event.new)), "value")
        drawn(state, self.draw)

    def view(self) -> pn.viewable.Viewable:
        buttons = pn.FlexBox(self.flip, self.reset)
        return pn.Column(buttons, pn.FlexBox(*self.selects.values()), sizing_mode="stretch_width", margin=0)

    def choose(self, name: str, chosen: Any) -> None:
        if not self.quiet and chosen is not None:
            supposed = None if chosen == AS_IT_WAS else int(chosen)
            self.state.go(translation=with_class(self.state.spec.translation, name, supposed))

    def flip_choice(self) -> None:
        shown = newest(self.state).shown
        if shown is None:
            return
        now = self.state.spec.translation
        recorded = next((each.recorded for each in shown.statics if each.name == "choice"), 0)
        flipped = "choice" in dict(now.classes)
        self.state.go(translation=with_class(now, "choice", None if flipped else int(recorded == 0)))

    def forget(self) -> None:
        self.state.go(translation=replace(self.state.spec.translation, classes=(), bends=()))

    def draw(self, shown: Shown) -> None:
        recorded = {static.name: static.recorded for static in shown.statics}
        supposed = dict(shown.translation.classes)
        self.flip.disabled, self.reset.disabled = "choice" not in recorded, not shown.translation.supposes
        self.quiet = True
        try:
            for name, select in self.selects.items():
                select.disabled = name not in recorded
                classes = TABLE[name].classes
                was = classes[recorded[name]] if recorded.get(name, -1) >= 0 else "unknown"
                offer(select, {f"recorded: {was}": AS_IT_WAS, **{each: i for i, each in enumerate(classes)}})
                select.value = supposed.get(name, AS_IT_WAS)
        finally:
            self.quiet = False


def _difference(state: State) -> pn.viewable.Viewable:
    x_range, y_range = Range1d(-1, 1), Range1d(0, 1)
    raster = make_difference("Predicted rate: what-if minus as recorded", (x_range, y_range))
    figure = flexible(raster.figure, 360, visible=False)
    said = Announce(label="status", css_classes=["what-if"], margin=(2, 4), styles={"font-weight": "600"})

    def draw(shown: Shown) -> None:
        said.text = sentence(shown)
        raster.figure.visible = figure.visible = shown.supposed is not None
        if shown.supposed is None:
            return
        times, rows = shown.recording.times, rows_of(shown)
        rows = replace(rows, layer=np.zeros_like(rows.layer))  # nothing is hidden by the row here: all spikes are
        x_range.update(start=times[0] - STRIP * (times[-1] - times[0]), end=times[-1])
        y_range.update(start=0, end=shown.order.size * (1 + TOP))
        hz = shown.supposed.difference / np.float32(shown.recording.trials.bin_size)
        draw_difference(raster, rows, hz.T[shown.order])
        draw_strips(raster, rows, look(state.dark))
        label_bands(raster.figure, rows.bands)
        recolour_difference(raster, look(state.dark))

    drawn(state, draw, and_colours=True)
    return pn.Column(said, figure, styles={"flex": "3 1 400px", "min-width": "0"}, margin=0)


def sentence(shown: Shown) -> str:
    """What was changed, what the model read, and how large the change is."""
    if shown.supposed is None:
        return "Nothing is changed yet: flip the choice, pick another class, or drag a point of a trace."
    return (
        f"{changes(shown)} The model reads {listed(shown.supposed.read)}, and no spikes. {_size(shown, shown.supposed)}"
    )


def changes(shown: Shown) -> str:
    recorded = {static.name: static.recorded for static in shown.statics}
    parts = []
    for name, supposed in shown.translation.classes:
        if name in recorded:
            classes, was = TABLE[name].classes, recorded[name]
            parts.append(f"{label(name)}: {classes[was] if was >= 0 else 'unknown'} → {classes[supposed]}")
    for name, bend in shown.translation.bends:
        if name not in shown.absent:
            scaled = f"{bend.percent} %" if bend.percent != 100 else ""
            parts.append(f"{label(name)}: {' and '.join(filter(None, [scaled, 'dragged' if any(bend.knots) else '']))}")
    return f"{'; '.join(parts)}." if parts else "What is changed is not known to this model."


def _size(shown: Shown, supposed: Supposed) -> str:
    size, times = shown.recording.trials.bin_size, shown.recording.times
    if not supposed.difference.any():
        return "No predicted rate changes."
    before, after = (value / size for value in supposed.expected)
    largest = np.unravel_index(np.abs(supposed.difference).argmax(), supposed.difference.shape)
    change, name = supposed.difference[largest] / size, shown.recording.region_names[largest[1]]
    return (
        f"Mean over all neurons and bins: {number(before)} → {number(after)} {UNIT}. Largest change: neuron "
        f"{largest[1]} ({name}), {'+' if change > 0 else ''}{number(float(change))} {UNIT} at "
        f"{number(float(times[largest[0]]))} s."
    )
