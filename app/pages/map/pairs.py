"""All pairs of regions: heat map, one cell in words, files."""

from __future__ import annotations

import json
from typing import Any

import panel as pn
import panel_material_ui as pmui
from bokeh.events import Tap

from ...analyses.information import ShownMap
from ...analyses.swanson import outlines
from ...plots.information import MapCells, cell_at, choose_cell, draw_map, make_map_figure, recolour_map
from ...plots.swanson import draw_swanson, make_swanson_figure, recolour_swanson
from ...spec import HAND, Hide
from ...state import State
from ...theme import look
from ...words import number, plain
from ...work import Job
from ..levels import level_select
from ..parts import Announce, bind, button, download, flexible, follow, guarded
from .said import DIGITS, KINDS, about_map, cell_sentence, chance, interval

JOBS = {"lost": "map", "alone": "map_alone"}
READS = ("session", "model", "level")  # what a map depends on
ONE_LINE = {"& .MuiToggleButton-root": {"whiteSpace": "nowrap", "padding": "4px 8px"}}
WARNING = "In training, a region that is visible alone is never asked about others: read this map as a hint."


class Pairs:
    """The chosen kind and cell are only a way of looking, so they are not in the address."""

    def __init__(self, state: State) -> None:
        self.state, self.shown = state, make_map_figure()
        self.cell: tuple[int, int] | None = None
        self.kind = pmui.RadioButtonGroup(options=KINDS, value="lost", size="small", margin=(4, 3), sx=ONE_LINE)
        self.setting = False  # the two lists are being set to the chosen cell
        self.level = level_select()
        self.ends = [pmui.Select(label=name, options=[], size="small", width=130) for name in ("Source", "Target")]
        self.about, self.sentence = Announce(margin=(6, 4)), Announce(margin=(6, 4))
        self.start = button(state, "Measure the map", lambda: state.run(JOBS[self.kind.value]), variant="contained")
        self.explore = button(state, "Hide these in Explore", self.hide_both)
        self.figure = flexible(self.shown.figure, 380, visible=False)
        self.flat = make_swanson_figure(self.shown.shades)
        self.flat_figure = flexible(self.flat.figure, 300, visible=False)
        self.files = [
            download(f"Download {kind.upper()}", f"information-map.{kind}", text, disabled=True)  # until there is a map
            for kind, text in (("csv", self._csv), ("json", self._json))
        ]

    @property
    def job(self) -> Job | None:
        """The newest job that measured this kind of map of the present recording."""
        job, spec = self.state.jobs.get(JOBS[self.kind.value]), self.state.spec
        fits = job is not None and all(getattr(job.spec, name) == getattr(spec, name) for name in READS)
        return job if fits else None

    @property
    def map(self) -> ShownMap | None:
        """From this visitor's job, or complete from another visitor's."""
        kept = (self.state.views.get("map") or {}).get(self.kind.value)
        return self.job.result if kept is None and self.job is not None else kept

    # --- drawing ------------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        shown = self.map
        warning = f" {WARNING}" if self.kind.value == "alone" else ""
        self.about.text = about_map(shown, self.job) + warning
        self.start.disabled = self.state.running is not None or (shown is not None and shown.found.complete)
        self.shown.figure.visible = self.figure.visible = shown is not None
        for part in (*self.ends, self.explore, self.sentence):
            part.visible = shown is not None
        for file in self.files:
            file.disabled = shown is None
        if shown is None:
            self.cell, self.flat.figure.visible, self.flat_figure.visible = None, False, False
            return
        draw_map(self.shown, _cells(shown))
        self.offer(shown)
        n = len(shown.names)
        self.choose(self.cell if self.cell is not None and max(self.cell) < n else (0, min(1, n - 1)))

    def offer(self, shown: ShownMap) -> None:
        self.setting = True
        for end in self.ends:
            end.options = list(shown.names)
        self.setting = False

    def choose(self, cell: tuple[int, int] | None) -> None:
        """Look at the cell (source, target)."""
        if cell is None or (shown := self.map) is None:
            return
        self.cell = cell
        choose_cell(self.shown, cell)
        self.sentence.text = cell_sentence(shown, *cell)
        self.setting = True
        for end, place in zip(self.ends, cell, strict=True):
            end.value = shown.names[place]
        self.setting = False
        self.draw_flat(shown, cell[0])

    def draw_flat(self, shown: ShownMap, source: int) -> None:
        """What the source adds to every target, where they lie in the brain."""
        shapes = [(plain(each.region), each.polygons) for each in outlines(shown.found.protocol["region_level"])]
        self.flat.figure.visible = self.flat_figure.visible = bool(shapes)
        if shapes:
            gain = dict(zip(shown.names, shown.found.matrix("gain_mean")[source].tolist(), strict=True))
            draw_swanson(self.flat, f"What {shown.names[source]} adds, on the flat map", shapes, gain)

    def recolour(self) -> None:
        recolour_map(self.shown, look(self.state.dark), self.state.dark)
        recolour_swanson(self.flat, look(self.state.dark))

    # --- acts ---------------------------------------------------------------------------------------------------------

    def tap(self, event: Tap) -> None:
        if (shown := self.map) is not None:
            self.choose(cell_at(event.x, event.y, len(shown.names)))

    def pick(self, *_: Any) -> None:
        if not self.setting and (shown := self.map) is not None and all(end.value in shown.names for end in self.ends):
            self.choose(tuple(shown.names.index(end.value) for end in self.ends))

    def hide_both(self) -> None:
        """Explore with source and target hidden."""
        chosen = {end.value for end in self.ends if end.value}
        self.state.go(page="explore", hide=Hide(scheme=HAND, regions=tuple(sorted(chosen))))

    def _csv(self) -> str:
        return self.map.found.to_csv()

    def _json(self) -> str:
        return json.dumps(self.map.found.to_json(), indent=1)


def _cells(shown: ShownMap) -> MapCells:
    found, table = shown.found, shown.found.table
    edges = zip(table["ci_low"], table["ci_high"], strict=True)
    texts = {
        "interval": [interval(low, high) for low, high in edges],
        "pooled": [number(x, DIGITS) for x in table["gain_pooled"]],
        "control": [number(x, DIGITS) for x in table["control"]],
        "p": [chance(p) for p in table["p"]],
        "q": [chance(q) for q in table["q"]],
    }
    return MapCells(shown.names, shown.colours, found.matrix("gain_mean"), found.found, texts)


def view(state: State) -> pn.viewable.Viewable:
    part = Pairs(state)
    part.shown.figure.on_event(Tap, guarded(state, part.tap))
    bind(state, part.level, lambda spec: spec.level, lambda value: state.go(level=value))
    part.kind.param.watch(guarded(state, lambda _: part.draw()), "value")
    for end in part.ends:
        end.param.watch(guarded(state, part.pick), "value")
    follow(state, ["jobs", "views", "spec"], part.draw, page="map")
    follow(state, ["dark"], part.recolour)
    aside = pn.Column(
        part.sentence,
        pn.FlexBox(*part.ends, align_items="center"),
        pn.FlexBox(part.explore, *part.files),
        part.flat_figure,
        styles={"flex": "1 1 300px", "min-width": "0"},
    )
    return pn.Column(
        pn.FlexBox(part.kind, part.level, part.start, align_items="center"),
        part.about,
        pn.FlexBox(part.figure, aside, align_items="flex-start", sizing_mode="stretch_width"),
        sizing_mode="stretch_width",
        margin=0,
    )
