"""The page "Explore": hide something, see what the model makes of it."""

from __future__ import annotations

import panel as pn
import panel_material_ui as pmui

from ...sentences import Tally, status, tallies
from ...spec import TABS
from ...state import State
from ...theme import look
from ..compare import pinned
from ..parts import Announce, CopyLink, button, card, follow, prose
from . import help as help_part
from . import hidden_scores, leak, neuron, session
from .rasters import Rasters

TAB_NAMES = ("Scores and neuron", "Whole session", "Leak check", "Help")
ONE_LINE = {"& .MuiToggleButton-root": {"whiteSpace": "nowrap", "padding": "4px 8px"}}
MARKS = "left strip: region · grey bars: rows and bins with hidden entries · dashed: stimulus"
CLICKS = {"hides a neuron": "neuron", "hides a region": "region", "looks at a neuron": "look"}


def page(state: State) -> pn.viewable.Viewable:
    rasters = Rasters(state)
    top = card(
        prose("intro"),
        _status(state),
        _legend(state),
    )
    return pn.Column(
        top,
        card(_toolbar(state, rasters), rasters.view()),
        _tabs(state),
        sizing_mode="stretch_width",
        margin=0,
    )


def _status(state: State) -> pn.viewable.Viewable:
    line = Announce(css_classes=["status"], margin=(4, 0))
    line.styles = {"font-weight": "600"}

    def draw() -> None:
        line.text = (
            status(state.picture, state.scores, state.working)
            if state.picture is not None
            else "Opening the recording…"
        )

    follow(state, ["picture", "views", "working"], draw, page="explore")
    return line


def _legend(state: State) -> pn.viewable.Viewable:
    """What is seen, hidden and scored, with counts. Numbers only, so HTML is safe."""
    pane = pn.pane.HTML("", sizing_mode="stretch_width", margin=0)

    def draw() -> None:
        if (picture := state.picture) is None:
            return
        groups, colours = tallies(picture), look(state.dark)
        n_bins, n_neurons = picture.counts.shape
        kinds = {
            "seen": (colours.rates_seen, "the model sees"),
            "scored": (colours.rates_scored, "hidden and scored"),
            "unscored": (colours.rates_unscored, "hidden, not scored"),
        }
        pieces = [_piece(*kinds[kind], group, colours.faint) for kind, group in groups.items()]
        total = f"sum {n_bins * n_neurons:,} = {n_neurons:,} neurons × {n_bins:,} bins"
        pane.object = (
            "<div style='display:flex;flex-wrap:wrap;gap:4px 22px;font-size:13px'>"
            + "".join(pieces)
            + f"<span style='opacity:.75'>{total}</span><span style='opacity:.75'>{MARKS}</span></div>"
        )

    follow(state, ["picture", "dark"], draw, page="explore")
    return pane


def _piece(ramp: tuple[str, ...], name: str, group: Tally, border: str) -> str:
    shades = ",".join(ramp[::9])
    swatch = "display:inline-block;width:30px;height:11px;margin-right:6px;vertical-align:-1px;"
    swatch += f"border:1px solid {border};background:linear-gradient(90deg,{shades})"
    detail = f" ({group.neurons:,} neurons, {group.bins:,} bins)" if group.entries else ""
    return f"<span><span style='{swatch}'></span>{name}: <b>{group.entries:,}</b> entries{detail}</span>"


def _toolbar(state: State, rasters: Rasters) -> pn.viewable.Viewable:
    clicks = pmui.RadioButtonGroup(options=CLICKS, value="neuron", size="small", margin=(4, 8, 4, 4), sx=ONE_LINE)
    clicks.param.watch(lambda event: setattr(rasters, "action", event.new), "value")
    undo = button(state, "Undo", state.undo)
    redo = button(state, "Redo", state.redo)
    clear = button(state, "Show everything", lambda: state.go(hide=type(state.spec.hide)(scheme="hand")))

    def draw() -> None:
        undo.disabled, redo.disabled = not state.can_undo, not state.can_redo

    follow(state, ["spec"], draw, page="explore")
    drag = pmui.Switch(label="A drag hides a box", value=state.drag, size="small", margin=(6, 2, 4, 8))
    drag.param.watch(lambda event: setattr(state, "drag", event.new), "value")
    follow(state, ["drag"], lambda: setattr(drag, "value", state.drag))
    label = pn.pane.HTML("<span style='font-size:13px'>A click</span>", margin=(4, 2, 0, 4))
    zoom = button(state, "Zoom to hidden", rasters.show_hidden)
    whole = button(state, "All neurons", rasters.show_all)
    return pn.FlexBox(
        label,
        clicks,
        drag,
        undo,
        redo,
        clear,
        zoom,
        whole,
        *pinned.toolbar(state),
        CopyLink(margin=(4, 3)),
        align_items="center",
        sizing_mode="stretch_width",
    )


def _tabs(state: State) -> pn.viewable.Viewable:
    """Only the open tab is built, and only the open tab is redrawn."""
    builders = {
        "scores": lambda: _side_by_side(hidden_scores.view(state), neuron.view(state)),
        "session": lambda: session.view(state),
        "leak": lambda: leak.view(state),
        "help": lambda: help_part.view(state),
    }
    places = {name: pn.Column(sizing_mode="stretch_width") for name in TABS}
    tabs = pmui.Tabs(*zip(TAB_NAMES, places.values(), strict=True), dynamic=True, sizing_mode="stretch_width")

    def build() -> None:
        if state.picture is None and not state.message:
            return  # below the first screen, and without a picture there is nothing to show: the page is there sooner
        place = places[state.spec.tab]
        if not place.objects:
            place.objects = [builders[state.spec.tab]()]
        if tabs.active != TABS.index(state.spec.tab):
            tabs.active = TABS.index(state.spec.tab)

    follow(state, ["spec", "picture", "message"], build, page="explore")
    tabs.param.watch(lambda event: state.go(tab=TABS[event.new]), "active")
    return tabs


def _side_by_side(left: pn.viewable.Viewable, right: pn.viewable.Viewable) -> pn.viewable.Viewable:
    left.styles, right.styles = {"flex": "1 1 340px", "min-width": "0"}, {"flex": "2 1 460px", "min-width": "0"}
    return pn.FlexBox(left, right, gap="12px", align_items="flex-start", sizing_mode="stretch_width")
