"""The curves of the chosen runs, and the scores of the best weights beside each other."""

from __future__ import annotations

import html

import panel as pn
import panel_material_ui as pmui

from ...analyses.learning import SCORES, Curve, Learned, learned
from ...plots.learning import DASHES, Line, colours, draw_learning, make_learning, recolour_learning
from ...spec import SCHEMES
from ...state import State
from ...theme import look
from ...words import number
from ..parts import TABLE_STYLE, Announce, flexible, table

AXES = {"Steps": "steps", "Minutes": "minutes"}
USUAL = SCHEMES[:4]
WIDTH = 320  # px of a panel
MOST_DRAWN = len(DASHES)


class Curves:
    """Every run that is drawn has a slot, which is its colour; it keeps it until it is no longer drawn."""

    def __init__(self, state: State) -> None:
        self.state, self.slots, self.found = state, {}, []
        self.axis = pmui.RadioButtonGroup(options=AXES, value="steps", size="small", margin=(2, 8))
        self.loss = make_learning("Training loss", "nats per entry", dotted=False)
        self.panels = {
            name: make_learning(f"Validation: {words}", unit, dotted=True) for name, (words, unit) in SCORES.items()
        }
        self.panes = {
            "loss": flexible(self.loss.figure, WIDTH),
            **{name: flexible(panel.figure, WIDTH, name in USUAL) for name, panel in self.panels.items()},
        }
        self.empty = Announce(margin=(4, 4))
        self.legend = pn.pane.HTML("", sizing_mode="stretch_width", margin=(4, 8))
        self.table = pn.pane.HTML("", stylesheets=[TABLE_STYLE], sizing_mode="stretch_width", margin=(8, 0, 0, 0))
        self.drawn: tuple = ()

    def view(self) -> pn.viewable.Viewable:
        label = pn.pane.HTML("<span style='font-size:13px'>Drawn over</span>", margin=(4, 2, 0, 4))
        return pn.Column(
            pn.FlexBox(label, self.axis, self.empty, align_items="center", sizing_mode="stretch_width"),
            self.legend,
            pn.FlexBox(*self.panes.values(), sizing_mode="stretch_width", align_items="flex-start"),
            self.table,
            sizing_mode="stretch_width",
            margin=0,
        )

    # --- which runs ---------------------------------------------------------------------------------------------------

    def choose(self, run_id: str) -> None:
        """Draw a run, in place of the one drawn longest if there is no colour left."""
        if run_id not in self.slots:
            if len(self.slots) == MOST_DRAWN:
                del self.slots[next(iter(self.slots))]
            self.slots[run_id] = min(set(range(MOST_DRAWN)) - set(self.slots.values()))

    def toggle(self, run_id: str) -> None:
        if self.slots.pop(run_id, None) is None:
            self.choose(run_id)

    def colour(self, run_id: str) -> str:
        slot = self.slots.get(run_id)
        return "" if slot is None else colours(look(self.state.dark))[slot]

    def dash(self, run_id: str) -> str:
        """As a border of CSS, which knows fewer dashes than the plots."""
        return {"solid": "solid", "dotted": "dotted"}.get(DASHES[self.slots.get(run_id, 0)], "dashed")

    # --- drawing ------------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw what is new; nothing happens if nothing is."""
        self.found = [each for run_id in self.slots if (each := learned(run_id)) is not None]
        now = (self.axis.value, *((each.id, self.slots[each.id], each.loss.steps[-1:].tolist()) for each in self.found))
        if now == self.drawn:
            return
        self.drawn = now
        self._draw_panels()
        scored = [each for each in self.found if each.best_scores]
        self.empty.text = "" if self.found else "Tick a run in the list to see how it learns."
        self.table.object = self._table(scored) if scored else ""
        self._draw_legend()

    def _draw_legend(self) -> None:
        """Which colour is which run; names are escaped, as they come from visitors."""
        pieces = []
        for each in self.found:
            line = f"border-top:3px {self.dash(each.id)} {self.colour(each.id)}"
            swatch = f"<span style='display:inline-block;width:30px;margin-right:7px;vertical-align:4px;{line}'></span>"
            pieces.append(f"<span>{swatch}{html.escape(each.name)}</span>")
        best = "<span style='opacity:.75'>★ the weights that are kept</span>" if pieces else ""
        flex = "display:flex;flex-wrap:wrap;gap:4px 22px;font-size:13px"
        self.legend.object = f"<div style='{flex}'>{''.join(pieces)}{best}</div>"

    def _draw_panels(self) -> None:
        axis, colour = self.axis.value, look(self.state.dark)
        draw_learning(self.loss, [self._line(each, each.loss, False) for each in self.found], axis, colour)
        for name, panel in self.panels.items():
            lines = [self._line(each, each.scores[name], True) for each in self.found if name in each.scores]
            draw_learning(panel, lines, axis, colour)
            # Before there is a score, those of MtM are promised.
            waiting = name in USUAL and not any(each.scores for each in self.found)
            panel.figure.visible = self.panes[name].visible = bool(lines) or waiting

    def _line(self, each: Learned, curve: Curve, marked: bool) -> Line:
        best = each.best if marked else None
        return Line(self.slots[each.id], each.name, curve.steps, curve.minutes, curve.values, best)

    def _table(self, scored: list[Learned]) -> str:
        tasks = [name for name in SCORES if any(name in each.best_scores for each in scored)]
        rows = [
            [each.name, f"{each.best[0]:,}", *(number(each.best_scores.get(name), 3) for name in (*tasks, "mean"))]
            for each in scored
            if each.best is not None
        ]
        units = {unit for name, (_, unit) in SCORES.items() if name in tasks}
        of_spikes = "bits per spike, pooled over neurons, against the training mean"
        others = [unit for unit in ("AUC", "R²") if unit in units]
        caption = f"Best weights so far, in validation: {', '.join([of_spikes, *others])}"
        return table(["Run", "At step", *(SCORES[name][0] for name in tasks), "mean of trained"], rows, caption)

    def recolour(self) -> None:
        for panel in (self.loss, *self.panels.values()):
            recolour_learning(panel, look(self.state.dark))
        self._draw_legend()
