"""The three figures of the report, one drawing per task side by side: numbers of the result in, SVG out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from ..regions import region_color, sort_regions
from .svg import Scale, arrow, axis_x, axis_y, circle, dots, drawing, line, square, text
from .words import CEILING, MODEL, ORACLES, baseline_name, count, interval, number, pair, plain, real, task_name

WIDTH = 300  # px; one drawing fits a phone
ROW, LABELS, FOOT, HEAD, RIGHT = 26, 118, 40, 8, 26  # px: a row, room for its label, below, above and to the right
BPS = "bits per spike"
SHARE = (0.01, 0.99)  # quantiles of the neurons that the axes hold; the others are drawn at the edge
SLOWEST = 1e-6  # Hz; nothing slower has a place on a log axis
STACK = 4.0  # px along the axis within which dots are drawn beside one another


@dataclass(frozen=True)
class Panel:
    """One drawing: the task above it, and what cannot be seen in it."""

    task: str
    picture: Markup
    note: str = ""


@dataclass(frozen=True)
class Dot:
    """A neuron with a score."""

    region: str
    bits: float
    rate: float | None  # Hz


# --- scores of model and baselines ------------------------------------------------------------------------------------


def scores(result: Mapping[str, Any], tasks: Sequence[str], baselines: Sequence[str]) -> list[Panel]:
    """Mean and pooled score with interval, of the model and of every baseline; one axis for all tasks."""
    rows = {task: _rows(result, task, baselines) for task in tasks}
    values = [v for each in rows.values() for _, _, s in each for v in _numbers(s)]
    if not values:
        return []
    high = max(0.01, *values)
    # One very bad baseline must not squeeze all others into a corner; the model itself is always inside.
    own = [v for task in tasks for v in _numbers(result["tasks"][task])]
    scale = _padded(max(min(0.0, *values), min([-2 * high, *own])), high, LABELS, WIDTH - RIGHT)
    return [Panel(task_name(task), _score_rows(task, rows[task], scale)) for task in tasks if rows[task]]


def _rows(result: Mapping[str, Any], task: str, baselines: Sequence[str]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """(name, class, score) from the top down."""
    own = result["tasks"][task]
    rows = [(MODEL, "model", own)]
    for name in baselines:
        score = ((result.get("baselines") or {}).get(name, {}).get("tasks") or {}).get(task)
        if score is not None:
            rows.append((baseline_name(name), "oracle" if name in ORACLES else "baseline", score))
    ceiling = own.get("ceiling") or {}
    if CEILING not in baselines and real(ceiling.get("mean")) is not None:
        rows.append((baseline_name(CEILING), "oracle", ceiling))
    return rows


def _numbers(score: Mapping[str, Any]) -> list[float]:
    single = [real(score.get(kind)) for kind in ("mean", "pooled")]
    ends = [end for kind in ("mean_ci", "pooled_ci") for end in pair(score.get(kind)) or ()]
    return [value for value in (*single, *ends) if value is not None]


def _score_rows(task: str, rows: list[tuple[str, str, Mapping[str, Any]]], scale: Scale) -> Markup:
    bottom = HEAD + ROW * len(rows)
    parts = [axis_x(scale, HEAD, bottom, BPS)]
    for i, (name, kind, score) in enumerate(rows):
        y = HEAD + ROW * (i + 0.5)
        parts.append(text(LABELS - 10, y + 4, plain(name, 20), "label strong" if kind == "model" else "label", "end"))
        if not _numbers(score):
            parts.append(text(scale(0.0) + 6, y + 4, "no score", "tick"))
        for measure, offset in (("mean", -4.5), ("pooled", 4.5)):
            parts += _estimate(score, measure, (scale, y + offset), kind)
    said = "; ".join(
        f"{plain(name)} {number(s.get('mean'))} {interval(s.get('mean_ci'))}".strip() for name, _, s in rows
    )
    return drawing((WIDTH, bottom + FOOT), f"{task_name(task)}, mean bits per spike: {said}", parts)


def _estimate(score: Mapping[str, Any], measure: str, at: tuple[Scale, float], kind: str) -> list[Markup]:
    """Interval and mark of one number: a disc is the mean over neurons, an open square is pooled."""
    (scale, y), value, ends = at, real(score.get(measure)), pair(score.get(f"{measure}_ci"))
    if value is None:
        return []
    parts = [] if ends is None else [line((scale(ends[0]), y), (scale(ends[1]), y), f"whisker {kind}")]
    if not scale.holds(value):
        edge = "left" if value < scale.low else "right"
        return [*parts, arrow(scale(value), y, edge), text(scale(value) + 10, y + 3.5, number(value, 2), "tick")]
    mark = (
        circle(scale(value), y, 4, f"mark {kind}") if measure == "mean" else square(scale(value), y, 3, f"open {kind}")
    )
    return [*parts, mark]


# --- neurons by region ------------------------------------------------------------------------------------------------


def by_region(result: Mapping[str, Any], tasks: Sequence[str]) -> list[Panel]:
    """One row of dots per region in Allen order, its median as a bar; one axis for all tasks."""
    scored = {task: _dots(result["tasks"][task]) for task in tasks}
    if not any(scored.values()):
        return []
    limits = _held(dot.bits for each in scored.values() for dot in each)
    panels = []
    for task in tasks:
        regions = sort_regions(result["tasks"][task].get("per_region") or {dot.region for dot in scored[task]})
        if scored[task]:
            picture = _region_rows(task, regions, scored[task], _padded(*limits, 62, WIDTH - RIGHT))
            panels.append(Panel(task_name(task), picture, _beyond(scored[task], limits)))
    return panels


def _region_rows(task: str, regions: Sequence[str], scored: list[Dot], scale: Scale) -> Markup:
    row = 22
    bottom = HEAD + row * len(regions)
    parts = [axis_x(scale, HEAD, bottom, BPS)]
    for i, region in enumerate(regions):
        y, bits = HEAD + row * (i + 0.5), sorted(dot.bits for dot in scored if dot.region == region)
        parts.append(text(56, y + 4, plain(region, 8), "label", "end"))
        parts.append(text(WIDTH - 2, y + 4, str(len(bits)), "tick", "end"))
        parts.append(dots(_stacked(bits, scale, y, row / 2 - 2.5), region_color(region)))
        if bits:
            middle = scale(float(np.median(bits)))
            parts.append(line((middle, y - row / 2 + 2), (middle, y + row / 2 - 2), "median"))
        parts += _edges(bits, scale, y)
    said = f"{task_name(task)}: bits per spike of {count(len(scored), 'neuron')} in {count(len(regions), 'region')}"
    return drawing((WIDTH, bottom + FOOT), said, parts)


def _stacked(bits: Sequence[float], scale: Scale, y: float, room: float) -> list[tuple[float, float]]:
    """Places of the dots within the axes: those that would cover one another step aside, up and down in turn."""
    stacks: dict[int, list[float]] = defaultdict(list)
    for value in bits:
        if scale.holds(value):
            stacks[round(scale(value) / STACK)].append(scale(value))
    most = max(map(len, stacks.values()), default=1)
    step = min(STACK, room / max(most // 2, 1))
    sides = [(i + 1) // 2 * (1 if i % 2 else -1) for i in range(most)]
    return [(x, round(y + step * side, 1)) for xs in stacks.values() for x, side in zip(xs, sides, strict=False)]


def _edges(bits: Sequence[float], scale: Scale, y: float) -> list[Markup]:
    """A triangle at the edge that neurons lie beyond."""
    low = [arrow(scale.start, y, "left")] if any(b < scale.low for b in bits) else []
    return low + ([arrow(scale.end, y, "right")] if any(b > scale.high for b in bits) else [])


# --- neurons by firing rate -------------------------------------------------------------------------------------------


def by_rate(result: Mapping[str, Any], tasks: Sequence[str]) -> list[Panel]:
    """Bits per spike against the firing rate in training trials; one pair of axes for all tasks."""
    scored = {task: [d for d in _dots(result["tasks"][task]) if d.rate] for task in tasks}
    everyone = [dot for each in scored.values() for dot in each]
    if not everyone:
        return []
    limits = _held(dot.bits for dot in everyone)
    rates = [dot.rate for dot in everyone]
    x = Scale(min(rates) / 1.3, max(rates) * 1.3, 46, WIDTH - 6, log=True)
    y = _padded(*limits, 210, HEAD)
    return [Panel(task_name(t), _rate_dots(t, scored[t], x, y), _beyond(scored[t], limits)) for t in tasks if scored[t]]


def _rate_dots(task: str, scored: list[Dot], x: Scale, y: Scale) -> Markup:
    parts = [axis_x(x, y.end, y.start, "firing rate (Hz, log scale)"), axis_y(y, x.start, x.end, BPS)]
    for region in sort_regions(dot.region for dot in scored):
        inside = [dot for dot in scored if dot.region == region and y.holds(dot.bits)]
        parts.append(dots(((x(dot.rate), y(dot.bits)) for dot in inside), region_color(region)))
    beyond = [dot for dot in scored if not y.holds(dot.bits)]
    parts += [arrow(x(d.rate), y(d.bits), "down" if d.bits < y.low else "up") for d in beyond]
    said = f"{task_name(task)}: bits per spike against firing rate of {count(len(scored), 'neuron')}"
    return drawing((WIDTH, y.start + FOOT), said, parts)


# --- shared -----------------------------------------------------------------------------------------------------------


def _dots(score: Mapping[str, Any]) -> list[Dot]:
    rows = ((row, real(row.get("bits_per_spike"))) for row in score.get("neurons") or ())
    return [Dot(str(row.get("region")), bits, _positive(row.get("rate_hz"))) for row, bits in rows if bits is not None]


def _positive(rate: Any) -> float | None:
    """A rate that a log axis can show."""
    found = real(rate)
    return found if found is not None and found > SLOWEST else None


def _held(bits: Iterable[float]) -> tuple[float, float]:
    """Limits that hold 0 and nearly all neurons: single near-silent neurons reach -10 and beyond."""
    low, high = np.quantile(list(bits), SHARE)
    return min(0.0, float(low)), max(0.01, float(high))


def _padded(low: float, high: float, start: float, end: float) -> Scale:
    room = 0.04 * (high - low)
    return Scale(low - room, high + room, start, end)


def _beyond(scored: list[Dot], limits: tuple[float, float]) -> str:
    """How many neurons are drawn at the edge."""
    scale = _padded(*limits, 0, 1)
    below, above = (sum(d.bits < scale.low for d in scored), sum(d.bits > scale.high for d in scored))
    worst, best = min(d.bits for d in scored), max(d.bits for d in scored)
    parts = [f"{below} below (lowest {number(worst, 2)})"] if below else []
    parts += [f"{above} above (highest {number(best, 2)})"] if above else []
    return f"Beyond the axis, as triangles: {', '.join(parts)}." if parts else ""
