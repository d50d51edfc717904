"""What the guess was worth, beside others on the same spikes, in this trial and over all rounds so far."""

from __future__ import annotations

import panel as pn

from ...analyses.guess_scores import OTHERS, SHAPE, YOU, Total, total
from ...state import State
from ...words import count, interval, number
from ..parts import TABLE_STYLE, Announce, card, follow, heading, table
from .game import Game

NAMES = {
    YOU: "You",
    SHAPE: "Your shape alone",
    "model": "MtM",
    "ridge": "Ridge regression",
    "psth": "PSTH",
    "mean": "Flat line at the training mean",
    "true": "True rate",
}
TIPS = {
    "You": "Your drawing as it is; rates below 0.5 Hz count as 0.5 Hz.",
    "Your shape alone": "Your drawing scaled to the neuron's mean rate in the training trials.",
    "MtM": "The bundled or chosen model: it saw all other neurons, and nothing of this one in this trial.",
    "Ridge regression": "Linear regression on the same neurons, fitted on training trials.",
    "PSTH": "The average over training trials, the same guess in every trial.",
    "Flat line at the training mean": "The null that all scores are measured from: 0 by definition.",
    "True rate": "What the simulation drew the spikes from. Nothing is better on average; in one trial, luck is.",
    "This trial": "Bits per spike above the flat line at the training mean, in this one trial. Very noisy.",
    "All rounds": "Mean over your rounds, every round weighing the same; below it the 95 % interval (Student's t).",
    "Minus MtM": "Mean over your rounds of the difference from MtM in the same trial; above 0 is better than MtM.",
}


class ResultView:
    def __init__(self, state: State, game: Game) -> None:
        self.state, self.game = state, game
        self.said = Announce(margin=(2, 8), styles={"font-weight": "600"})
        self.scores = pn.pane.HTML("", stylesheets=[TABLE_STYLE], sizing_mode="stretch_width", margin=(2, 8))
        self.noise = Announce(margin=(2, 8))
        self.box = card(heading("What it was worth"), self.said, self.scores, self.noise)
        self.place = pn.Column(sizing_mode="stretch_width", margin=0)
        game.watch(follow(state, ["dark"], self.draw, page="guess"))

    def view(self) -> pn.viewable.Viewable:
        return self.place

    def draw(self) -> None:
        answer, scored = self.game.answer, self.game.scored
        self.place.objects = [self.box] if scored is not None and answer is not None else []
        if scored is None or answer is None:
            return
        asked = self.game.asked
        self.said.text = (
            f"It was neuron {asked.neuron} in trial {asked.trial}, which fired {count(answer.n_spikes, 'spike')}. "
            + verdict(scored.bits)
        )
        rounds = [one.bits for one in self.game.rounds.values()]
        self.scores.object = table(
            ("Bits per spike", "This trial", "All rounds", "Minus MtM"),
            [_row(name, scored.bits, rounds) for name in (YOU, SHAPE, *OTHERS) if name in scored.bits],
            f"Over the training mean. {count(len(rounds), 'round')} so far.",
            TIPS,
        )
        low, high = answer.usual
        self.noise.text = (
            f"How noisy is one trial? Over the {count(answer.n_trials, 'held-out trial')} of this neuron the score of "
            f"MtM alone goes from {number(low)} to {number(high)} (the middle 80 %). Who is better shows only over "
            "many rounds."
        )


def verdict(bits: dict[str, float]) -> str:
    """Who was better in this trial, in a sentence."""
    mine, model = bits[YOU], bits["model"]
    if mine != mine:
        return "Without a spike in this trial there is no score per spike, so the round does not count."
    if mine > bits.get("true", float("inf")):
        return "You were better than the true rate: in one trial, that is luck."
    if mine > model:
        return "You were better than MtM in this trial."
    if mine > bits["psth"]:
        return "You were better than the average response, and MtM was better than you."
    return "The average response was better than you in this trial." if mine < bits["psth"] else "A tie with the PSTH."


def _row(name: str, bits: dict[str, float], rounds: list[dict[str, float]]) -> tuple[object, ...]:
    have = [one for one in rounds if name in one]
    over = total([one[name] for one in have])
    difference = total([one[name] - one["model"] for one in have])
    return NAMES[name], number(bits[name]), _cell(over), "–" if name == "model" else _cell(difference)


def _cell(value: Total) -> object:
    shown = number(value.mean)
    return shown if value.interval is None else (shown, interval(value.interval, 2))
