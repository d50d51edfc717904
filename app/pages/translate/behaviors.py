"""The behavior of the trial, recorded and predicted: a card per class, a line per trace."""

from __future__ import annotations

import html

import numpy as np
import panel as pn

from ...analyses.translate import Shown, Static, Trace
from ...plots.traces import Lines, TraceFigure, draw_trace, make_trace, recolour_trace
from ...state import State
from ...theme import Look, look
from ...translation import TABLE
from ...words import number
from ..parts import follow, heading
from .shown import PAGE, drawn, label

STYLE = """
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 8px; font-size: 13px; }
.one { border: 1px solid rgba(128, 136, 145, .35); border-radius: 8px; padding: 6px 9px; border-left-width: 5px; }
.one h4 { margin: 0 0 3px; font-size: 13px; display: flex; justify-content: space-between; gap: 6px; }
.said { font-weight: 400; font-size: 12px; opacity: .85; }
.row { display: grid; grid-template-columns: minmax(66px, auto) 1fr 38px; gap: 6px; align-items: center; }
.row b { font-weight: 600; } .row .p { text-align: right; font-variant-numeric: tabular-nums; }
.bar { height: 9px; border-radius: 3px; background: rgba(128, 136, 145, .18); overflow: hidden; }
.bar i { display: block; height: 100%; border-radius: 3px; }
"""
TRACES = tuple(name for name, modality in TABLE.items() if name != "spikes" and not modality.static)


def view(state: State) -> pn.viewable.Viewable:
    cards = pn.pane.HTML("", stylesheets=[STYLE], sizing_mode="stretch_width", margin=(2, 0, 6, 0))
    marks = pn.pane.HTML("", sizing_mode="stretch_width", margin=(2, 4))
    figures = {name: make_trace(TABLE[name].unit) for name in TRACES}
    places = {
        name: pn.Column(
            pn.pane.Bokeh(shown.figure, sizing_mode="stretch_width", margin=0),
            visible=False,
            margin=0,
            sizing_mode="stretch_width",
        )
        for name, shown in figures.items()
    }

    def draw(shown: Shown) -> None:
        colours = look(state.dark)
        cards.object = cards_html(shown.statics, colours)
        for name, place in places.items():
            trace = next((each for each in shown.traces if each.name == name), None)
            place.visible = trace is not None
            if trace is not None:
                _draw_trace(figures[name], shown, trace)
                recolour_trace(figures[name], colours, colours.modalities[name])

    def recolour() -> None:
        marks.object = _marks(look(state.dark))

    drawn(state, draw, and_colours=True)
    follow(state, ["dark"], recolour, page=PAGE)
    return pn.Column(heading("Behavior"), cards, marks, *places.values(), sizing_mode="stretch_width", margin=0)


def _draw_trace(figure: TraceFigure, shown: Shown, trace: Trace) -> None:
    predicted = np.where(trace.hidden, trace.predicted, np.nan)
    lines = Lines(shown.recording.times, trace.recorded, predicted, trace.hidden)
    score = shown.measures.get((trace.name, "r2"))
    said = "shown to the model" if not trace.hidden.any() else "hidden" if trace.hidden.all() else "hidden in part"
    said += f" · R² in this trial {number(score)}" if score is not None else ""
    draw_trace(figure, lines, f"{label(trace.name)}: {said}")


def _marks(colours: Look) -> str:
    """Constants only, so HTML is safe."""
    line = "display:inline-block;width:22px;border-top:{} solid {};margin-right:6px;vertical-align:3px"
    box = f"display:inline-block;width:22px;height:10px;background:{colours.unscored};opacity:.35;margin-right:6px"
    pieces = (
        f"<span><span style='{line.format('2px', colours.recorded)}'></span>recorded</span>",
        f"<span><span style='{line.format('3px', colours.modalities['wheel_speed'])}'></span>predicted</span>",
        f"<span><span style='{box}'></span>hidden from the model</span>",
    )
    return f"<div style='display:flex;flex-wrap:wrap;gap:2px 18px;font-size:12.5px;opacity:.9'>{''.join(pieces)}</div>"


# --- classes ----------------------------------------------------------------------------------------------------------


def cards_html(statics: tuple[Static, ...], colours: Look) -> str:
    return f"<div class='cards'>{''.join(_card(static, colours.modalities[static.name]) for static in statics)}</div>"


def _card(static: Static, colour: str) -> str:
    """A prediction of what the model was shown would mean nothing: it never learned to give one."""
    classes = TABLE[static.name].classes
    said = verdict(static)
    rows = (
        f"<div>{_class_name(_named(static), True)}</div>"
        if not static.hidden
        else "".join(
            f"<div class='row'>{_class_name(name, number == static.recorded)}"
            f"<span class='bar'><i style='width:{100 * share:.1f}%;background:{colour}'></i></span>"
            f"<span class='p'>{share:.0%}</span></div>"
            for number, (name, share) in enumerate(zip(classes, static.probabilities, strict=True))
        )
    )
    title = html.escape(label(static.name))
    return (
        f"<div class='one' style='border-left-color:{colour}'><h4><span>{title}</span>"
        f"<span class='said'>{html.escape(said)}</span></h4>{rows}</div>"
    )


def _class_name(name: str, recorded: bool) -> str:
    text = html.escape(name)
    return f"<b title='recorded'>● {text}</b>" if recorded else f"<span>○ {text}</span>"


def _named(static: Static) -> str:
    return TABLE[static.name].classes[static.recorded] if static.recorded >= 0 else "unknown"


def verdict(static: Static) -> str:
    """Whether the prediction is right, or why nothing can be said."""
    if not static.hidden:
        return "shown"
    return {True: "✓ right", False: "✗ wrong", None: "not recorded"}[static.right]
