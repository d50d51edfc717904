"""The page "Guess": say what a hidden neuron does or where it lies, then see it, and who else would have known."""

from __future__ import annotations

import panel as pn
import panel_material_ui as pmui

from ...analyses.guess import Play
from ...analyses.guess_region import PlayRegion
from ...state import State
from ...teaching import ACTIVITY, MOST_ROUNDS, REGION, Round
from ..parts import Announce, CopyLink, bind, button, card, explained, follow, prose
from .drawing import DrawingView
from .game import Game
from .region import RegionView
from .result import ResultView

PAGE = "guess"
ONE_LINE = {"& .MuiToggleButton-root": {"whiteSpace": "nowrap"}}
KINDS = {"a neuron's activity": ACTIVITY, "a neuron's region": REGION}


def page(state: State) -> pn.viewable.Viewable:
    missing, place = Announce(margin=(4, 8)), pn.Column(sizing_mode="stretch_width", margin=0)
    made: dict[str, ActivityView | RegionView] = {}  # what is never guessed is never built

    def draw() -> None:
        found: Play | PlayRegion | None = state.views.get(PAGE)
        what = state.spec.guess.what
        if what not in made:
            made[what] = (RegionView if what == REGION else ActivityView)(state)
        if isinstance(found, PlayRegion if what == REGION else Play):
            made[what].show(found)
        missing.text = found.problem if found is not None else ""
        wanted = [] if missing.text else [made[what].view()]
        if place.objects != wanted:
            place.objects = wanted

    follow(state, ["views", "spec"], draw, page=PAGE)
    top = card(prose("guess_intro"), missing, _rounds(state))
    return pn.Column(top, place, sizing_mode="stretch_width", margin=0)


class ActivityView:
    """The drawing, and below it what it was worth."""

    def __init__(self, state: State) -> None:
        self.game = Game(state)
        drawing, result = DrawingView(state, self.game), ResultView(state, self.game)
        parts = (drawing.view(), result.view(), explained("How is this scored?", "guess"))
        self.part = pn.Column(*parts, sizing_mode="stretch_width", margin=0)

    def view(self) -> pn.viewable.Viewable:
        return self.part

    def show(self, play: Play) -> None:
        self.game.show(play)


def _rounds(state: State) -> pn.viewable.Viewable:
    """Which round, the same for everybody who opens it."""
    what = pmui.RadioButtonGroup(label="Guess", options=KINDS, size="small", margin=(4, 6), sx=ONE_LINE)
    bind(state, what, lambda spec: spec.guess.what, lambda value: state.go(guess=Round(value)))
    number = pmui.IntInput(label="Round", start=1, end=MOST_ROUNDS, step=1, width=130, size="small", margin=(4, 6))

    def go(wanted: int | None) -> None:
        if wanted is not None and wanted != state.spec.guess.number:
            state.go(guess=Round(state.spec.guess.what, min(max(int(wanted), 1), MOST_ROUNDS)))

    number.param.watch(lambda event: go(event.new), "value")
    follow(state, ["spec"], lambda: number.param.update(value=state.spec.guess.number), page=PAGE)
    new = button(state, "New round", lambda: go(state.spec.guess.number % MOST_ROUNDS + 1), variant="contained")
    return pn.FlexBox(what, number, new, CopyLink(margin=(4, 3)), align_items="center", sizing_mode="stretch_width")
