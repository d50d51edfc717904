"""The drawing: bars that follow the pointer, or two sliders."""

from __future__ import annotations

from typing import Any

import numpy as np
import panel as pn
import panel_material_ui as pmui

from ...analyses.guess import Asked
from ...plots.guess import (
    draw_answer,
    draw_axis,
    draw_companions,
    draw_drawing,
    make_companions,
    make_guess,
    recolour_companions,
    recolour_guess,
)
from ...recordings import recording
from ...sentences import trial_sentence
from ...state import State
from ...theme import look
from ..parts import Announce, button, card, follow, guarded, heading
from .game import Game

PAGE = "guess"


class DrawingView:
    def __init__(self, state: State, game: Game) -> None:
        self.state, self.game, self.quiet, self.shown = state, game, False, None
        self.about = Announce(margin=(2, 8), styles={"font-weight": "600"})
        self.plot, self.others = make_guess(), make_companions()
        self.moment = pmui.IntSlider(label="Moment", start=1, end=2, value=1, size="small", width=230, margin=(8, 14))
        self.rate = pmui.IntSlider(label="Rate (Hz)", start=0, end=20, size="small", width=230, margin=(8, 14))
        self.reveal = button(state, "Reveal", game.reveal, variant="contained", color="secondary")
        self.undo = button(state, "Undo", game.undo)
        self.again = button(state, "Start again", game.flatten)
        self.drag = pmui.Switch(label="Draw with the pointer", value=state.drag, size="small", margin=(6, 4))
        self.drag.param.watch(lambda event: setattr(state, "drag", event.new), "value")
        self.plot.seen.on_change("data", lambda attr, old, new: guarded(state, self.drawn)(new))
        self.moment.param.watch(guarded(state, lambda _: self._label()), "value")
        self.rate.param.watch(guarded(state, lambda event: self.slid(event.new)), "value_throttled")
        game.watch(follow(state, ["drag"], self.draw, page=PAGE))
        follow(state, ["dark"], self.paint, page=PAGE)

    def view(self) -> pn.viewable.Viewable:
        keys = pn.FlexBox(self.reveal, self.undo, self.again, self.drag, align_items="center")
        sliders = pn.FlexBox(self.moment, self.rate, align_items="center")
        return card(
            self.about,
            heading("Neurons that usually go along with it, in this trial"),
            pn.pane.Bokeh(self.others.figure, sizing_mode="stretch_width", margin=0),
            heading("Your guess of the hidden neuron: draw over the bars, or use the sliders"),
            pn.pane.Bokeh(self.plot.figure, sizing_mode="stretch_width", margin=0),
            sliders,
            keys,
        )

    # --- acts ---------------------------------------------------------------------------------------------------------

    def drawn(self, data: dict[str, Any]) -> None:
        """The pointer was lifted."""
        if self.quiet:
            return
        self.game.draw(np.asarray(data["hz"], dtype=np.float64))

    def slid(self, hz: int | None) -> None:
        if self.quiet or hz is None or not self.game.drawn.size:
            return
        drawing = self.game.drawn.copy()
        drawing[self.moment.value - 1] = hz
        self.game.draw(drawing)

    # --- pictures -----------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        asked = self.game.asked
        if asked is None:
            return
        self.quiet = True
        try:
            if self.shown is not asked:
                self.shown = asked
                self._ask(asked)
            self._update(asked)
        finally:
            self.quiet = False
        self._label()

    def _ask(self, asked: Asked) -> None:
        facts = trial_sentence(recording(asked.session, asked.model), asked.trial)
        self.about.text = (
            f"Round {asked.number}: a neuron of {asked.region} that fires at {asked.mean_hz:.1f} Hz in the training "
            f"trials. How fast does it fire in this trial? {facts}"
        )
        draw_companions(self.others, asked.times, asked.companions, asked.names)
        draw_axis(self.plot, asked.top_hz)
        self.moment.param.update(end=len(asked.moments) - 1, value=1)
        self.rate.end = int(asked.top_hz)

    def _update(self, asked: Asked) -> None:
        answer, scored = self.game.answer, self.game.scored
        size = float(asked.times[1] - asked.times[0])
        rates = {} if answer is None else {name: r / size for name, r in answer.rates.items() if name != "mean"}
        draw_answer(self.plot, asked.times, None if answer is None else answer.counts, rates)
        shown = self.game.drawn if scored is None else scored.drawn
        draw_drawing(self.plot, asked.edges, shown, scored is None and self.state.drag)
        self.reveal.disabled = not self.game.can_reveal
        self.reveal.label = "Reveal" if scored or self.game.can_reveal else "Reveal (others are still guessing)"
        self.undo.disabled = not self.game.past or scored is not None
        for each in (self.again, self.moment, self.rate):
            each.disabled = scored is not None
        self.drag.value = self.state.drag

    def _label(self) -> None:
        """What the sliders are at."""
        asked, place = self.game.asked, self.moment.value - 1
        if asked is None or not 0 <= place < self.game.drawn.size:
            return
        start, end = asked.edges[place : place + 2]
        self.quiet = True
        try:
            self.moment.label = f"Moment: {start:.2f} to {end:.2f} s"
            self.rate.value = round(float(self.game.drawn[place]))
        finally:
            self.quiet = False

    def paint(self) -> None:
        recolour_guess(self.plot, look(self.state.dark))
        recolour_companions(self.others, look(self.state.dark))
