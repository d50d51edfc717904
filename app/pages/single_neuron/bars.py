"""A score and its ceiling as a small picture in a line of the table. Numbers only, so the markup is safe."""

from __future__ import annotations

from ...analyses.neuron_scores import ScoreRow
from ...theme import Look

WIDTH, HEIGHT = 190, 18  # px
MARGIN = 4


def bar(row: ScoreRow, look: Look) -> str:
    """Dot and line: the score and its interval. Bar and shade: the ceiling and its interval. From 0 to 1, or beyond."""
    if row.measured.value is None:
        return ""
    ends = [1.0 if row.best is None else 2 * row.best, *(_high(m) for m in (row.measured, row.ceiling_measured))]
    low = min(0.0, *(_low(m) for m in (row.measured, row.ceiling_measured)))
    low, end = max(low, -1.0), min(max(ends), 4.0)

    def x(value: float) -> float:
        place = (min(max(value, low), end) - low) / (end - low)
        return round(MARGIN + place * (WIDTH - 2 * MARGIN), 1)

    parts = [_line(x(low), x(end), look.faint, 1, 0.5), _tick(x(0.0), look.faint, 5)]
    if row.best is not None:
        parts.append(_tick(x(row.best), look.faint, 8))
    best = row.ceiling_measured
    if best is not None and best.value is not None:
        if best.interval is not None:
            parts.append(_line(x(best.interval[0]), x(best.interval[1]), look.truth, 9, 0.22))
        parts.append(_tick(x(best.value), look.truth, 8, 2.5))
    if row.measured.interval is not None:
        parts.append(_line(x(row.measured.interval[0]), x(row.measured.interval[1]), look.accent, 2))
    parts.append(f"<circle cx='{x(row.measured.value)}' cy='{HEIGHT / 2}' r='4' fill='{look.accent}'/>")
    label = "" if end <= 1.0 else f"<text x='{WIDTH}' y='7' text-anchor='end'>{end:.1f}</text>"
    style = f"fill='{look.faint}' font-size='8' aria-hidden='true'"
    return f"<svg width='{WIDTH}' height='{HEIGHT}' {style}>{''.join(parts)}{label}</svg>"


def _high(measured: object) -> float:
    value = getattr(measured, "value", None)
    return 0.0 if value is None else (measured.interval or (value, value))[1]


def _low(measured: object) -> float:
    value = getattr(measured, "value", None)
    return 0.0 if value is None else (measured.interval or (value, value))[0]


def _line(start: float, end: float, colour: str, width: float, opacity: float = 1.0) -> str:
    ends = f"x1='{start}' x2='{end}' y1='{HEIGHT / 2}' y2='{HEIGHT / 2}'"
    return f"<line {ends} stroke='{colour}' stroke-width='{width}' stroke-opacity='{opacity}'/>"


def _tick(x: float, colour: str, reach: float, width: float = 1.0) -> str:
    ends = f"x1='{x}' x2='{x}' y1='{HEIGHT / 2 - reach}' y2='{HEIGHT / 2 + reach}'"
    return f"<line {ends} stroke='{colour}' stroke-width='{width}'/>"
