"""Guess in which region a neuron lies, from what its spikes look like."""

from __future__ import annotations

import math

import panel as pn
import panel_material_ui as pmui

from ...analyses.guess_region import AnswerRegion, AskedRegion, PlayRegion
from ...plots.guess_region import draw_courses, make_courses
from ...state import State
from ...theme import look
from ...words import count
from ..parts import TABLE_STYLE, Announce, button, card, explained, flexible, follow, heading, table

PAGE = "guess"
HUES = ("choice", "reward")  # of the theme, for the two responses
WHO = {"you": "You", "firing": "Linear probe, firing statistics", "embedding": "Linear probe, MtM's embedding"}
TIPS = {
    WHO[
        "firing"
    ]: "A linear classifier of rate, regularity, response and autocorrelation, taught by all other neurons.",
    WHO["embedding"]: "The same from the numbers that the model keeps for each neuron.",
    "Right so far": "Share of your rounds, every round of a region drawn by lot; below it the 95 % interval (Wilson).",
}
Key = tuple[str, str, int]


class RegionView:
    """A guess is final: the answer is shown with it."""

    def __init__(self, state: State) -> None:
        self.state, self.play, self.shown = state, None, None
        self.said: dict[Key, str] = {}  # what the visitor said, by round
        self.right: dict[Key, dict[str, bool]] = {}
        self.about = Announce(margin=(2, 8), styles={"font-weight": "600"})
        self.responses = make_courses("Mean response, training trials", "time from stimulus (s)", "rate (Hz)")
        self.rhythm = make_courses("Its rhythm beside the average of each region", "lag (s)", "autocorrelation")
        self.choice = pmui.RadioButtonGroup(label="Region", options=[], size="small", margin=(4, 8))
        self.reveal = button(
            state, "This is my guess: reveal", self.commit, variant="contained", color="secondary", disabled=True
        )
        self.answer = Announce(margin=(2, 8), styles={"font-weight": "600"})
        self.scores = pn.pane.HTML("", stylesheets=[TABLE_STYLE], sizing_mode="stretch_width", margin=(2, 8))
        self.result = card(heading("Where it was"), self.answer, self.scores)
        self.place = pn.Column(sizing_mode="stretch_width", margin=0)
        self.part = self._parts()
        self.choice.param.watch(lambda _: self.update(), "value")
        follow(state, ["dark"], self.paint, page=PAGE)

    def view(self) -> pn.viewable.Viewable:
        return self.part

    def _parts(self) -> pn.viewable.Viewable:
        figures = [flexible(each.figure, 320) for each in (self.responses, self.rhythm)]
        return pn.Column(
            card(
                self.about,
                pn.FlexBox(*figures, sizing_mode="stretch_width"),
                heading("In which region does it lie?"),
                pn.FlexBox(self.choice, self.reveal, align_items="center"),
            ),
            self.place,
            explained("What is shown here, and what are the others?", "guess_region"),
            sizing_mode="stretch_width",
            margin=0,
        )

    @property
    def key(self) -> Key | None:
        asked = self.play.asked if self.play is not None else None
        return None if asked is None else (asked.session, asked.model, asked.number)

    def show(self, play: PlayRegion) -> None:
        self.play = play
        if play.asked is not None and self.shown is not play.asked:
            self.shown = play.asked
            self.ask(play.asked)
        self.update()

    def ask(self, asked: AskedRegion) -> None:
        self.about.text = (
            f"Round {asked.number}: a neuron that fires at {asked.mean_hz:.1f} Hz in the training trials. "
            "Its responses are on the left, its rhythm (thick) on the right."
        )
        self.choice.param.update(options=list(asked.regions), value=self.said.get(self.key))
        self.paint()

    def paint(self) -> None:
        if (asked := self.shown) is None:
            return
        colours = look(self.state.dark)
        hues = [colours.modalities[name] for name in HUES[: len(asked.responses)]]
        draw_courses(self.responses, asked.times, asked.responses, colours, hues)
        lines = {"this neuron": asked.rhythm, **dict(zip(asked.regions, asked.usual, strict=True))}
        draw_courses(self.rhythm, asked.lags, lines, colours, list(asked.colours))

    def commit(self) -> None:
        answer = self.play.answer if self.play is not None else None
        if answer is None or self.choice.value is None or self.key in self.said:
            return
        self.said[self.key] = self.choice.value
        guesses = {"you": self.choice.value, "firing": answer.firing, "embedding": answer.embedding}
        self.right[self.key] = {name: said == answer.region for name, said in guesses.items()}
        self.update()

    def update(self) -> None:
        done = self.key in self.said
        ready = self.play is not None and self.play.answer is not None
        self.choice.disabled = done
        self.reveal.disabled = done or not ready or self.choice.value is None
        self.place.objects = [self.result] if done and ready else []
        if done and ready:
            self.tell(self.play.asked, self.play.answer)

    def tell(self, asked: AskedRegion, answer: AnswerRegion) -> None:
        mine = self.said[self.key]
        told = "You were right" if mine == answer.region else f"You said {mine}"
        self.answer.text = f"It was neuron {answer.neuron} of {answer.region}. {told}."
        guesses = {"you": mine, "firing": answer.firing, "embedding": answer.embedding}
        rows = [(WHO[name], said, _share([one[name] for one in self.right.values()])) for name, said in guesses.items()]
        chance = f"{1 / len(asked.regions):.0%}"
        self.scores.object = table(
            ("Who", "Says", "Right so far"),
            rows,
            f"{count(len(self.right), 'round')} so far. Guessing blindly is right in {chance}.",
            TIPS,
        )


def _share(right: list[bool]) -> tuple[str, str]:
    """3 of 5, and Wilson's 95 % interval of the share."""
    n, p, z = len(right), sum(right) / len(right), 1.96
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return f"{sum(right)} of {n}", f"{max(0.0, middle - half):.0%} to {min(1.0, middle + half):.0%}"
