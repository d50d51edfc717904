"""Is the model needed? The same score for simpler predictions, and the paired differences."""

from __future__ import annotations

import numpy as np
import panel as pn

from ...analyses.score_tables import Against, TaskTables
from ...analyses.scores import ABOUT
from ...analyses.verdict import verdict
from ...plots.scores import Predictor, draw_predictors, make_predictor_figure
from ...state import State
from ...theme import look
from ...words import BASELINE_NAMES, TASK_NAMES, TIPS, interval, number, p_value, plain
from ..parts import TABLE_STYLE, flexible, follow, table
from .found import found, shown_task

HEAD = ("Prediction", "Mean", "Pooled", "Model minus it, mean", "Model minus it, pooled", "Better / worse", "Sign test")
CEILING = "true_rates"


def name_of(baseline: str) -> str:
    return BASELINE_NAMES.get(baseline, plain(baseline))


def predictors(one: TaskTables) -> list[Predictor]:
    """The model first, then the baselines; those without a score are left out."""
    given = [("Model", "model", one.summary)]
    given += [(name_of(n), "ceiling" if n == CEILING else "other", a.summary) for n, a in one.against.items()]
    return [
        Predictor(name, kind, s.mean, s.mean_ci or (s.mean, s.mean), np.nan if s.pooled is None else s.pooled)
        for name, kind, s in given
        if s.mean is not None
    ]


def rows(one: TaskTables) -> list[tuple]:
    own = one.summary
    first = ("Model", (number(own.mean, 3), interval(own.mean_ci)), (number(own.pooled, 3), interval(own.pooled_ci)))
    return [(*first, "", "", "", ""), *(_row(name_of(name), other) for name, other in one.against.items())]


def _row(name: str, other: Against) -> tuple:
    s, c = other.summary, other.comparison
    scores = (name, (number(s.mean, 3), interval(s.mean_ci)), (number(s.pooled, 3), interval(s.pooled_ci)))
    if c is None:
        return (*scores, ("not compared", ""), "", "", "")
    return (
        *scores,
        (number(c.mean_difference, 3), interval(c.mean_ci)),
        (number(c.pooled_difference, 3), interval(c.pooled_ci)),
        f"{c.n_better} / {c.n_worse}",
        p_value(c.p_sign),
    )


def caption(one: TaskTables) -> str:
    reasons = sorted({other.reason for other in one.against.values() if other.reason})
    why = f" Not compared: {plain(reasons[0])}" if reasons else ""
    what = "Dot and line: mean over neurons with 95 % interval; square: pooled."
    return f"{TASK_NAMES[one.task]}, bits per spike. {what} Differences are paired over neurons and trials.{why}"


def view(state: State) -> pn.viewable.Viewable:
    shown = make_predictor_figure()
    figure = flexible(shown.figure, 300)
    cells = pn.pane.HTML("", stylesheets=[TABLE_STYLE], styles={"flex": "3 1 620px", "min-width": "0"})
    said = pn.pane.HTML("", sizing_mode="stretch_width")

    def draw() -> None:
        one, results = shown_task(state), found(state).results
        if one is None:
            return
        sentences = verdict(results) if one.against else ["The baselines follow when the model is scored."]
        said.object = "<p style='margin:6px 4px'>" + " ".join(map(_plain_sentence, sentences)) + "</p>"
        draw_predictors(shown, predictors(one), look(state.dark))
        cells.object = table(HEAD, rows(one), caption(one), TIPS | {name_of(n): text for n, text in ABOUT.items()})

    follow(state, ["jobs", "views", "spec", "dark"], draw, page="scores")
    return pn.Column(
        said,
        pn.FlexBox(figure, cells, gap="12px", align_items="flex-start", sizing_mode="stretch_width"),
        sizing_mode="stretch_width",
        margin=0,
    )


def _plain_sentence(sentence: str) -> str:
    return "".join(c for c in sentence if c not in "<>&")
