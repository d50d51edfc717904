"""The report on a recording that was read, its choices, and the button that keeps it."""

from __future__ import annotations

from collections.abc import Callable

import panel as pn
import panel_material_ui as pmui

from ...analyses.catalogue_choices import events, regions
from ...analyses.catalogue_errands import Choices, Looked, choose, keep_it
from ...state import State
from ..parts import Announce, button, guarded
from . import said

WIDE = {"size": "small", "margin": (8, 8, 6, 0), "width": 270}


class ReportView:
    """Shows one `Looked` at a time; every choice asks for the report again."""

    def __init__(self, state: State, begin: Callable[[Callable, bool], None]) -> None:
        self.begin, self.looked, self._syncing = begin, None, False
        html = {"sizing_mode": "stretch_width", "margin": (4, 2)}
        self.facts = pn.pane.HTML("", stylesheets=[said.LISTS], **html)
        self.problems = pn.pane.HTML("", stylesheets=[said.LISTS], **html)
        self.event = pmui.Select(label="Time 0 of a trial", options={"–": ""}, **WIDE)
        self.regions = pmui.Select(label="Regions from column", options={"–": ""}, **WIDE)
        self.good = pmui.Checkbox(label="Only units called good", margin=(4, 8))
        self.complete = pmui.Checkbox(label="Leave out trials without event or choice", margin=(4, 8))
        self.finite = pmui.Checkbox(label="Leave out spikes without a finite time", margin=(4, 8))
        self.rate = pmui.FloatInput(label="Samples per second (0: times are in s)", value=0.0, start=0.0, **WIDE)
        self.subject = pmui.TextInput(label="Name of the animal", max_length=48, **WIDE)
        self.keep = button(state, "Keep this recording", self.keep_it, variant="contained", margin=(6, 10, 4, 0))
        self.replace = button(state, "Keep in place of the old one", self.replace_it, visible=False)
        self.outlook = Announce(label="note", margin=(8, 8))
        for widget in (self.event, self.regions, self.good, self.complete, self.finite, self.rate, self.subject):
            widget.param.watch(guarded(state, lambda _: self.choose()), "value")

    def view(self) -> pn.viewable.Viewable:
        row = {"sizing_mode": "stretch_width", "align_items": "center"}
        self.box = pn.Column(
            self.facts,
            self.problems,
            pn.FlexBox(self.event, self.regions, self.subject, self.rate, **row),
            pn.FlexBox(self.good, self.complete, self.finite, **row),
            pn.FlexBox(self.keep, self.replace, self.outlook, **row),
            sizing_mode="stretch_width",
            visible=False,
        )
        return self.box

    def show(self, looked: Looked | None) -> None:
        """Another report, or none."""
        self.looked = looked
        self.box.visible = looked is not None
        if looked is None:
            return
        report = looked.report
        self._syncing = True
        try:
            self._offer(looked)
            self.facts.object, self.problems.object = said.facts(looked), said.problems(report.fatal, report.notes)
            self.keep.disabled = bool(report.fatal)
            self.replace.visible = False
            self.outlook.text = self._outlook()
        finally:
            self._syncing = False

    def _offer(self, looked: Looked) -> None:
        report, chosen = looked.report, looked.report.choices
        for widget, options, value in (
            (self.event, events(looked) or {"–": ""}, chosen.event),
            (self.regions, regions(looked) or {"–": ""}, chosen.regions),
        ):
            there = value if value in options.values() else next(iter(options.values()))
            widget.param.update(options=options, value=there)
            widget.param.trigger("value")
        self.regions.visible = len(report.region_columns) > 1
        self.good.param.update(value=chosen.good_only, visible=report.quality_known)
        self.complete.value = chosen.complete_trials
        self.finite.param.update(value=chosen.drop_bad_spikes, visible=report.n_bad_spikes > 0)
        rate = chosen.sampling_rate or looked.found.sampling_rate
        self.rate.param.update(value=rate, visible=report.in_samples)
        if not self.subject.value:
            self.subject.value = report.session.subject if report.session else looked.found.subject[:48]

    def _outlook(self) -> str:
        if self.looked.report.fatal:
            return "It cannot be kept as it is."
        return "A copy goes into the app's own folder; the files that were read stay as they are."

    # --- acts ---------------------------------------------------------------------------------------------------------

    def choices(self) -> Choices:
        return Choices(
            event=self.event.value or "",
            regions=self.regions.value or "",
            good_only=bool(self.good.value),
            complete_trials=bool(self.complete.value),
            drop_bad_spikes=bool(self.finite.value),
            sampling_rate=float(self.rate.value or 0.0),
            subject=self.subject.value or "",
        )

    def choose(self) -> None:
        if self.looked is not None and not self._syncing:
            self.begin(choose(self.looked, self.choices()), False)

    def keep_it(self) -> None:
        self._keep(False)

    def replace_it(self) -> None:
        self._keep(True)

    def _keep(self, replaced: bool) -> None:
        if self.looked is not None and not self.looked.report.fatal:
            self.begin(keep_it(self.looked, replaced), False)

    def refused(self, error: str) -> None:
        """Keeping failed: perhaps because it is there already with other choices, which may be replaced."""
        if self.looked is not None:
            self.outlook.text, self.replace.visible = said.sentence(error), "with other choices" in error
