"""Scores of what is hidden now: in this trial, and in all test trials."""

from __future__ import annotations

import panel as pn

from ...analyses.translate import Newest, Shown
from ...analyses.translation_scores import TestScores
from ...state import State
from ...translation import TABLE
from ...words import interval, number
from ..parts import TABLE_STYLE, Announce, card, follow, heading, table
from .shown import PAGE, label, newest

HEAD = ("Predicted", "Measure", "This trial", "Test trials", "No skill")
SPIKES = {
    "pooled_train": "bits/spike, pooled",
    "pooled_test": "bits/spike, pooled, strict null",
    "mean_test": "bits/spike, mean over neurons, strict null",
}
CLASSES = {"balanced_accuracy": "balanced accuracy"}
TRACES = {"r2": "R²", "r2_residual": "R² beyond the trial average"}
TIPS = {
    "bits/spike, pooled": "Compared with a flat guess at each neuron's mean rate in the training trials. Busy neurons "
    "weigh more.",
    "bits/spike, pooled, strict null": "Compared with a flat guess at each neuron's mean rate in the scored test "
    "entries themselves, which no model may know.",
    "bits/spike, mean over neurons, strict null": "Every neuron weighs the same, however few spikes it fires; compared "
    "with its mean rate in the scored test entries.",
    "ceiling, strict null": "What the rates that generated the spikes score, pooled. Only a simulation knows them.",
    "balanced accuracy": "Share of right trials, averaged over the classes.",
    "R²": "Explained share of the variance. In one trial: around that trial's own mean.",
    "R² beyond the trial average": "The same after the average trace of the training trials was subtracted.",
    "This trial": "Of a class: right if the recorded one is the most probable · its probability.",
    "No skill": "What a flat rate, a constant answer or the mean scores.",
    "Test trials": "All test trials with the same things hidden, and the 95 % interval over resampled trials.",
}


def view(state: State) -> pn.viewable.Viewable:
    said = Announce(label="status", css_classes=["translation-scores"], margin=(2, 4))
    grid = pn.pane.HTML("", stylesheets=[TABLE_STYLE], sizing_mode="stretch_width", margin=(2, 4))

    def draw() -> None:
        now = newest(state)
        if now.shown is not None:
            said.text = progress(now)
            rows = score_rows(now.shown, now.scores)
            grid.object = table(HEAD, rows, "Interval: 95 %, over resampled test trials.", TIPS) if rows else ""

    follow(state, ["views"], draw, page=PAGE)
    return card(heading("Scores of what is hidden"), said, grid)


def progress(now: Newest) -> str:
    if not now.shown.translation.hidden:
        return "Nothing is hidden, so there is nothing to score."
    if now.scores is None:
        return "Scoring the test trials…"
    if not now.scores.measures and now.scores.n_done < now.scores.n_trials:
        return f"Scoring the test trials: {now.scores.n_done} of {now.scores.n_trials}…"
    return f"{now.scores.n_trials} test trials, which training has never touched, with the same hidden in each."


def score_rows(shown: Shown, scores: TestScores | None) -> list[tuple]:
    rows = []
    for name in shown.translation.hidden:
        if name in shown.absent:
            continue
        kinds = SPIKES if name == "spikes" else CLASSES if TABLE[name].static else TRACES
        no_skill = scores.chance.get(name) if scores is not None else None
        rows += [
            (label(name), words, _here(shown, name, kind), _over_test(scores, name, kind), _number_of(name, no_skill))
            for kind, words in kinds.items()
        ]
        if name == "spikes" and scores is not None and scores.ceiling is not None:
            rows.append((label(name), "ceiling, strict null", "–", number(scores.ceiling, 3), ""))
    return rows


def _here(shown: Shown, name: str, kind: str) -> str:
    static = next((each for each in shown.statics if each.name == name), None)
    if static is None:
        return number(shown.measures.get((name, kind)), 3)
    if static.right is None:
        return "unknown"
    return f"{'right' if static.right else 'wrong'} · {static.probabilities[static.recorded]:.0%}"


def _over_test(scores: TestScores | None, name: str, kind: str) -> object:
    measure = None if scores is None else scores.measures.get((name, kind))
    if measure is None:
        return "…"
    return (number(measure.value, 3), interval(measure.ci)) if measure.value is not None else ("–", measure.reason)


def _number_of(name: str, chance: float | None) -> str:
    return "0" if name == "spikes" else "" if chance is None else number(chance)
