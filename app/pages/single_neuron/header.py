"""Who the neuron is, how well it is predicted, and the way to other neurons."""

from __future__ import annotations

import html

import panel as pn
import panel_material_ui as pmui

from ...analyses.neuron_scores import MEANINGS, ScoreRow, notes, score_rows, tested_on
from ...analyses.single_neuron import OneNeuron
from ...spec import HAND, Hide
from ...state import State
from ...theme import Look, look
from ...words import TASK_NAMES, number, plain
from ..parts import TABLE_STYLE, Announce, CopyLink, bind, button, card, follow
from .bars import bar
from .shown import PAGE, newest

MORE_STYLE = """
th:nth-child(n), td:nth-child(n) { text-align: left; }
svg { display: block; } td { vertical-align: middle; }
ul { margin: 6px 0 0; padding-left: 18px; font-size: 12.5px; opacity: .85; }
@media (max-width: 700px) {
  th, td { white-space: normal; padding: 4px 3px; font-size: 12px; } caption { white-space: normal; }
  th:nth-child(2), td:nth-child(2) { display: none; }
}
"""
HEADS = ("Score", "", "This prediction", "Ceiling", "If Poisson")


def view(state: State) -> pn.viewable.Viewable:
    who = Announce(css_classes=["neuron"], margin=(2, 0, 6, 4))
    who.styles = {"font-weight": "600", "font-size": "15px"}
    scores = pn.pane.HTML("", stylesheets=[TABLE_STYLE, MORE_STYLE], sizing_mode="stretch_width", margin=(6, 4, 0, 4))

    def draw() -> None:
        result = newest(state)
        if result is None:
            who.text = who.text or "Predicting the held-out trials…"
            return
        who.text = identity(result)
        scores.object = score_table(result, look(state.dark))

    follow(state, ["views", "dark"], draw, page=PAGE)
    return card(_controls(state), who, scores)


def identity(result: OneNeuron) -> str:
    """Number, region, place, rate and uuid. Text from files goes through `plain`."""
    opened, n = result.recording, result.neuron
    unit = opened.units.iloc[n]
    facts = [f"Neuron {n}", plain(opened.region_names[n])]
    if number(float(unit["depth"]), 0) != "–":
        facts.append(f"{plain(unit['probe'])} at {number(float(unit['depth']), 0)} µm from the tip")
    if result.judged is not None:
        trials = result.judged.trials
        facts.append(f"{number(trials.train_mean / trials.bin_size, 1)} Hz in training trials")
    if number(float(unit["quality"]), 2) != "–":
        facts.append(f"quality {number(float(unit['quality']), 2)}")
    return " · ".join([*facts, plain(unit["uuid"])])


def score_table(result: OneNeuron, colours: Look) -> str:
    """An HTML table in which every number explains itself to the pointer; all text is escaped."""
    if result.judged is None:
        return f"<p>There is no prediction to judge: {html.escape(plain_sentence(result.problem))}</p>"
    rows = score_rows(result.judged)
    head = "".join(f"<th scope='col'>{_explained(name, MEANINGS.get(name, ''))}</th>" for name in HEADS)
    body = "".join(f"<tr>{_cells(row, colours)}</tr>" for row in rows)
    missing = "".join(f"<li>{html.escape(note)}</li>" for note in notes(rows))
    task = TASK_NAMES[result.task]
    return (
        f"<table><caption>{html.escape(task)}: {html.escape(tested_on(result.judged))}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" + (f"<ul>{missing}</ul>" if missing else "")
    )


def plain_sentence(text: str) -> str:
    """A reason of any length without markup."""
    return "".join(c if c.isprintable() else " " for c in text)


def _cells(row: ScoreRow, colours: Look) -> str:
    name = _explained(row.name, row.meaning)
    rest = "".join(f"<td>{_together(text)}</td>" for text in (row.value, row.ceiling, row.if_poisson))
    return f"<td>{name}</td><td>{bar(row, colours)}</td>{rest}"


def _together(text: str) -> str:
    """Lines break before an interval, not within."""
    value, bracket, interval = html.escape(text).partition(" (")
    return f"{value} <span style='white-space:nowrap'>({interval}</span>" if bracket else value


def _explained(text: str, meaning: str) -> str:
    text = html.escape(text)
    return f"<abbr tabindex='0' title='{html.escape(meaning)}'>{text}</abbr>" if meaning else text


# --- controls ---------------------------------------------------------------------------------------------------------


def _controls(state: State) -> pn.viewable.Viewable:
    picker = pmui.IntInput(label="Neuron", start=0, step=1, width=110, size="small", margin=(4, 6))
    task = pmui.Select(
        label="Predicted by",
        options={name: key for key, name in TASK_NAMES.items()},
        width=190,
        size="small",
        margin=(4, 6),
    )
    bind(state, task, lambda spec: spec.scoring.task, lambda value: look_in(state, value))
    before = button(state, "◀ Previous", lambda: step(state, -1))
    after = button(state, "Next ▶", lambda: step(state, 1))
    hide = button(state, "Hide it in Explore", lambda: hide_in_explore(state))

    def draw() -> None:
        if (result := newest(state)) is not None:
            picker.end = result.recording.trials.n_neurons - 1
            picker.value = result.neuron

    follow(state, ["views"], draw, page=PAGE)
    picker.param.watch(lambda event: _look_at(state, event.new), "value")
    return pn.FlexBox(
        before, picker, after, task, hide, CopyLink(margin=(4, 3)), align_items="center", sizing_mode="stretch_width"
    )


def _look_at(state: State, neuron: int | None) -> None:
    result = newest(state)
    if result is not None and neuron is not None and neuron != result.neuron:
        state.go(neuron=max(0, neuron))


def step(state: State, by: int) -> None:
    """The neuron before or after, round the end."""
    if (result := newest(state)) is not None:
        state.go(neuron=(result.neuron + by) % result.recording.trials.n_neurons)


def look_in(state: State, task: str) -> None:
    """Look at the prediction in another task; the page of scores shows the same task."""
    state.go(scoring=type(state.spec.scoring)(**{**vars(state.spec.scoring), "task": task}))


def hide_in_explore(state: State) -> None:
    """Only this neuron hidden, in the page that shows trials one by one."""
    if (result := newest(state)) is not None:
        state.go(page="explore", neuron=result.neuron, hide=Hide(scheme=HAND, neurons=(result.neuron,)))
