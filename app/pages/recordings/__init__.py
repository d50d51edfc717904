"""The page "Recordings": everything that can be opened, and how to add to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import panel as pn
import panel_material_ui as pmui

from ...analyses import catalogue
from ...analyses.catalogue_errands import NOT_HERE, Errand, Looked, allowed
from ...limits import CLASS
from ...spec import Spec
from ...state import State
from ...words import seconds
from ..controls import open_session
from ..parts import Announce, button, card, explained, follow, guarded, heading, prose, repeat
from . import said
from .importing import ReportView
from .sources import bench_form, folder_form, one_form
from .table import RecordingTable

WAYS = {"From a folder": "folder", "BrainWideBench": "bench", "IBL through ONE": "one"}
ONE_LINE = {"& .MuiToggleButton-root": {"whiteSpace": "nowrap", "padding": "4px 9px"}}
EVERY = 300  # ms between looks at an errand
COLUMNS = [
    ["Animal", "animal"],
    ["Date", "date"],
    ["Lab", "lab"],
    ["Regions", "regions"],
    ["Units", "number"],
    ["Trials", "number"],
    ["Duration", "number duration"],
    ["Models that know it", "models"],
    ["From", "kind"],
]


def page(state: State) -> pn.viewable.Viewable:
    listing = Listing(state)
    parts = [card(heading("Recordings"), listing.view(), explained("What do these columns say?", "recordings"))]
    if not CLASS:  # a class looks, and adds nothing
        parts.append(Adding(state, listing).view() if allowed() else card(heading("Add"), _sentence(NOT_HERE)))
    return pn.Column(*parts, sizing_mode="stretch_width", margin=0)


def _sentence(text: str) -> Announce:
    return Announce(text=text, label="note", margin=(4, 8))


class Listing:
    """The catalogue."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.table = RecordingTable(columns=COLUMNS, sizing_mode="stretch_width", margin=(2, 4))
        self.table.on_msg(guarded(state, self.act))
        self.redraw = follow(state, ["spec"], self.draw, page="recordings")

    def view(self) -> pn.viewable.Viewable:
        return self.table

    def draw(self) -> None:
        may = not CLASS and allowed()
        rows = [self._row(row, may) for row in catalogue.rows()]
        if rows != self.table.rows:
            self.table.rows = rows

    def _row(self, row: catalogue.Row, may: bool) -> dict[str, Any]:
        regions, models = " ".join(row.regions), ", ".join(row.models) or "none"
        duration = row.duration if row.duration == row.duration else -1.0
        cells = [row.animal, row.date or "–", row.lab or "–", regions or "–", f"{row.n_units:,}", f"{row.n_trials:,}"]
        return {
            "id": row.id,
            "cells": [*cells, catalogue.minutes(row.duration), models, row.kind],
            "sort": [row.animal, row.date, row.lab, regions, row.n_units, row.n_trials, duration, models, row.kind],
            "note": row.problem or (f"the same recording as {row.twin}" if row.twin else ""),
            "more": row.id,
            "state": "broken" if row.problem else "here" if row.id == self.state.spec.session else "",
            "acts": [*([] if row.problem else ["open"]), *(["remove"] if may and row.kind == "imported" else [])],
        }

    def act(self, event: Any) -> None:
        """What a browser sent: it may be anything."""
        asked = event.data if isinstance(event.data, dict) else {}
        row = next((row for row in self.table.rows if row["id"] == asked.get("id")), None)
        if row is None or asked.get("act") not in row["acts"]:
            raise ValueError("there is no such recording any more; choose another")
        if asked["act"] == "open":
            self.open(row["id"])
            return
        if CLASS or not allowed():
            raise ValueError(NOT_HERE)
        catalogue.forget(row["id"])
        if row["id"] == self.state.spec.session:
            open_session(self.state, Spec().session)
        self.draw()

    def open(self, session: str) -> None:
        open_session(self.state, session)
        self.state.go(page="explore", tab=Spec().tab)


class Adding:
    """Forms, the errand that one of them began, and its report."""

    def __init__(self, state: State, listing: Listing) -> None:
        self.state, self.listing = state, listing
        self.errand: Errand | None = None
        self.kept = ""  # id of what was kept last
        self.report = ReportView(state, self.begin)
        self.said = Announce(margin=(4, 8))
        self.bar = pmui.LinearProgress(
            value=0, variant="determinate", sizing_mode="stretch_width", styles={"flex": "1 1 160px"}, margin=(12, 8)
        )
        self.stop = button(state, "Cancel", self.cancel, color="secondary")
        self.open = button(state, "Open it in Explore", self.open_kept, variant="contained", visible=False)
        self.show_steps: Callable[[list], None] = lambda steps: None  # until the form of ONE is there
        pn.state.on_session_destroyed(lambda _: self.cancel())
        repeat(state, self.poll, EVERY, page="recordings")

    def view(self) -> pn.viewable.Viewable:
        self.strip = pn.FlexBox(self.bar, self.stop, align_items="center", visible=False, sizing_mode="stretch_width")
        places = {name: pn.Column(sizing_mode="stretch_width", margin=0, visible=False) for name in WAYS.values()}
        pick = pmui.RadioButtonGroup(options=WAYS, value="folder", size="small", margin=(4, 0, 8, 0), sx=ONE_LINE)

        def show(_: object = None) -> None:
            for name, place in places.items():
                if name == pick.value and not place.objects:
                    place.objects = self.way(name)
                place.visible = name == pick.value

        pick.param.watch(show, "value")
        show()
        found = pn.FlexBox(self.said, self.open, align_items="center", sizing_mode="stretch_width")
        parts = [heading("Add a recording"), pick, *places.values(), self.strip, found, self.report.view()]
        return card(*parts)

    def way(self, name: str) -> list[pn.viewable.Viewable]:
        """The form of one of WAYS, built when it is first wanted."""
        if name == "bench":
            return [prose("recordings_bench"), bench_form(self.state, self.begin)]
        if name == "one":
            form, self.show_steps = one_form(self.state, self.begin)
            return [prose("recordings_one"), form]
        return [folder_form(self.state, self.begin), explained("Which files are understood?", "recordings_formats")]

    # --- errands ------------------------------------------------------------------------------------------------------

    def begin(self, work: Callable, fresh: bool = True) -> None:
        """Start an errand; a fresh one is not about the report that is shown, which goes."""
        if CLASS or not allowed():
            raise ValueError(NOT_HERE)
        if self.errand is not None and not self.errand.done:
            raise ValueError("one thing at a time: wait for what is under way, or cancel it")
        if fresh:
            self.report.show(None)
            self.report.subject.value = ""
        self.errand, self.kept = Errand(work), ""
        self.errand.wait(0.05)  # small files are there before anybody sees a bar
        self.poll()

    def cancel(self) -> None:
        if self.errand is not None:
            self.errand.cancel()

    def poll(self) -> None:
        errand = self.errand
        if errand is None:
            return
        self.strip.visible = not errand.done
        if not errand.done:
            left = errand.seconds_left
            self.bar.value = round(100 * errand.share)
            self.said.text = f"{errand.said}{f', about {seconds(left)} left' if left else ''}."
            return
        self.errand = None
        self._finished(errand)

    def _finished(self, errand: Errand) -> None:
        self.open.visible = False
        if errand.error:
            self.said.text = said.sentence(errand.error)
            self.report.refused(errand.error)
        elif isinstance(errand.result, Looked):
            self.report.show(errand.result)
            self.said.text = self._verdict(errand.result)
        elif isinstance(errand.result, str):
            self._kept(errand.result)
        elif isinstance(errand.result, list):
            self.show_steps(errand.result)
            self.said.text = ""
        else:
            self.said.text = "Cancelled; nothing was kept. A download goes on where it stopped when asked for again."

    def _verdict(self, looked: Looked) -> str:
        report = looked.report
        if report.fatal:
            more = f" and {len(report.fatal) - 1} more" if len(report.fatal) > 1 else ""
            return f"This recording cannot be kept as it is: {said.sentence(report.fatal[0])[:-1]}{more}."
        return "This recording can be kept. Look at the report and the choices, then keep it."

    def _kept(self, session: str) -> None:
        self.kept = session
        self.report.show(None)
        self.said.text = f"Kept as {session}. It is in the list above, for every page."
        self.open.visible = True
        self.listing.draw()
        self.state.param.trigger("spec")  # the lists of recordings on other pages

    def open_kept(self) -> None:
        if self.kept:
            self.listing.open(self.kept)
