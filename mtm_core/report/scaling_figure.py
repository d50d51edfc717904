"""Bits per spike of a held-out animal against the number of sessions of others a model learned from, as an SVG file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from .svg import Scale, axis_y, circle, label, line, text
from .words import MEASURES, TASKS

WIDTH, HEIGHT = 300, 230  # px of a panel
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 26, 44
NOTES = ("solid: fine-tuned; dashed: from scratch", "whiskers: 95 % interval of the gain, paired over targets")
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2933; } .tick { font-size: 11px; fill: #5d6875; }
.title { font-weight: 600; } .grid { stroke: #e4e8ec; } .zero { stroke: #aab4bf; } svg { background: #ffffff; }
.tuned { stroke: #a3307e; stroke-width: 2; fill: #a3307e; } .whisker { stroke: #a3307e; }
.fresh { stroke: #4f5b68; stroke-width: 2; stroke-dasharray: 5 4; }
"""


def scaling_figure(gains: Sequence[Mapping[str, Any]]) -> Markup:
    """A file with one panel per task and measure; gains: as `mtm_core.experiments.gains.gains` lists them.

    Whiskers are the intervals of the gain over training from scratch, set upon the line from scratch.
    """
    tasks, measures = (list(dict.fromkeys(each[name] for each in gains)) for name in ("task", "measure"))
    panels = []
    for row, measure in enumerate(measures):
        for column, task in enumerate(tasks):
            chosen = [each for each in gains if (each["task"], each["measure"]) == (task, measure)]
            if chosen:
                place = Markup('<g transform="translate({} {})">{}</g>')
                panels.append(place.format(column * WIDTH, row * HEIGHT, _panel(chosen)))
    size = (WIDTH * max(1, len(tasks)), HEIGHT * max(1, len(measures)) + 40)
    head = Markup('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" width="{}" height="{}">')
    style = Markup("<style>") + Markup(STYLE) + Markup("</style>")  # noqa: S704 (ours)
    foot = Markup("").join(text(LEFT, size[1] - 8 - 16 * (1 - i), note, "tick") for i, note in enumerate(NOTES))
    return head.format(*size, *size) + style + Markup("").join(panels) + foot + Markup("</svg>\n")


def _ends(each: Mapping[str, Any]) -> tuple[float, float]:
    """The interval of the gain where the tuned score is drawn."""
    low, high = each["interval"] or (each["gain"], each["gain"])
    return each["fresh"] + low, each["fresh"] + high


def _panel(gains: Sequence[Mapping[str, Any]]) -> Markup:
    gains = sorted(gains, key=lambda each: each["n_sessions"])
    values = [v for each in gains for v in (each["fresh"], each["tuned"], *_ends(each))]
    pad = 0.08 * (max(values) - min(values)) or 0.01
    y = Scale(min(values) - pad, max(values) + pad, HEIGHT - BOTTOM, TOP)
    numbers = [each["n_sessions"] for each in gains]
    x = Scale(min(numbers) / 1.3, max(numbers) * 1.3, LEFT, WIDTH - RIGHT, log=True)
    first = gains[0]
    title = f"{TASKS.get(first['task'], first['task'].capitalize())}, {MEASURES[first['measure']]}"
    parts = [text(LEFT, TOP - 10, title, "title"), axis_y(y, LEFT, WIDTH - RIGHT, "bits per spike")]
    points = [(x(each["n_sessions"]), y(each["tuned"])) for each in gains]
    parts += [line(a, b, "tuned") for a, b in zip(points, points[1:], strict=False)]
    # A size that only some animals have other sessions for speaks of their targets alone, so this is no constant.
    fresh = [(LEFT, y(first["fresh"])), *((px, y(each["fresh"])) for each, (px, _) in zip(gains, points, strict=True))]
    parts += [line(a, b, "fresh") for a, b in zip(fresh, fresh[1:], strict=False)]
    for each, (px, py) in zip(gains, points, strict=True):
        low, high = _ends(each)
        name = "all" if each["size"] == "all" else label(each["n_sessions"])
        parts += [line((px, y(low)), (px, y(high)), "whisker"), circle(px, py, 3.5, "tuned")]
        parts.append(text(px, HEIGHT - BOTTOM + 15, name, "tick", "middle"))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 32, "sessions pre-trained on", "", "middle"))
    return Markup("").join(parts)
