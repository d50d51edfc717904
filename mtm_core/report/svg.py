"""Small pieces of an SVG: scales, ticks and marks. Pure functions; every text and number is escaped by `Markup.format`.

Colours are classes of the page's style sheet, so that one drawing serves light, dark and print. Lengths are in px of
the drawing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from .words import MINUS

TICK_ROOM = 36  # px between two ticks


@dataclass(frozen=True)
class Scale:
    """Values low..high to pixels start..end; values beyond the ends land on them."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 1)

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def ticks(self) -> list[float]:
        """Values to label, as many as have room."""
        room = max(2, int(abs(self.end - self.start) / TICK_ROOM))
        return log_ticks(self.low, self.high) if self.log else nice_ticks(self.low, self.high, room)


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten within low..high: as many as there can be up to `most`."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for step in (power, 2 * power, 5 * power, 10 * power, 20 * power):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    return [round(i * step, 12) for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten within low..high; with 2 and 5 between them over less than two powers."""
    decades = math.log10(high / low)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1, math.ceil(max(decades, 1) / 8))
    steps = (1, 2, 5) if decades < 2 else (1,)
    values = (step * 10.0**power for power in powers for step in steps)
    return [value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]


def label(value: float) -> str:
    """A tick as short as it can be."""
    return f"{value:g}".replace("-", MINUS)


def text(x: float, y: float, content: str, kind: str = "", anchor: str = "start") -> Markup:
    return Markup('<text x="{}" y="{}" class="{}" text-anchor="{}">{}</text>').format(x, y, kind, anchor, content)


def line(start: tuple[float, float], end: tuple[float, float], kind: str) -> Markup:
    """From (x, y) to (x, y)."""
    return Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>').format(*start, *end, kind)


def circle(x: float, y: float, radius: float, kind: str) -> Markup:
    return Markup('<circle cx="{}" cy="{}" r="{}" class="{}"/>').format(x, y, radius, kind)


def square(x: float, y: float, half: float, kind: str) -> Markup:
    """Centred on (x, y)."""
    where = [round(v, 1) for v in (x - half, y - half, 2 * half, 2 * half)]
    return Markup('<rect x="{}" y="{}" width="{}" height="{}" class="{}"/>').format(*where, kind)


def dots(places: Iterable[tuple[float, float]], color: str) -> Markup:
    """Many small round marks of one color, as two paths: a rim that shows on any background, and the dots on it."""
    path = "".join(f"M{x:g} {y:g}h0" for x, y in places)
    return Markup('<path d="{}" class="rim"/><path d="{}" class="dots" stroke="{}"/>').format(path, path, color)


def arrow(x: float, y: float, to: str) -> Markup:
    """A triangle at the edge of the axes, pointing "left", "right", "up" or "down" to a value beyond it."""
    shape = {"left": "l6 -4v8z", "right": "l-6 -4v8z", "up": "l-4 6h8z", "down": "l-4 -6h8z"}[to]
    return Markup('<path d="M{} {}{}" class="beyond"/>').format(x, y, shape)


def axis_x(scale: Scale, top: float, bottom: float, title: str) -> Markup:
    """Grid lines from top to bottom, tick labels and the title below."""
    parts = [line((scale(v), top), (scale(v), bottom), "zero" if v == 0 else "grid") for v in scale.ticks()]
    parts += [text(scale(v), bottom + 15, label(v), "tick", "middle") for v in scale.ticks()]
    parts.append(text((scale.start + scale.end) / 2, bottom + 31, title, "axis", "middle"))
    return Markup("").join(parts)


def axis_y(scale: Scale, left: float, right: float, title: str) -> Markup:
    """Grid lines from left to right, tick labels and the title beside them."""
    parts = [line((left, scale(v)), (right, scale(v)), "zero" if v == 0 else "grid") for v in scale.ticks()]
    parts += [text(left - 6, scale(v) + 4, label(v), "tick", "end") for v in scale.ticks()]
    x, y = 12, (scale.start + scale.end) / 2
    turned = Markup('<text transform="translate({} {}) rotate(-90)" class="axis" text-anchor="middle">{}</text>')
    return Markup("").join([*parts, turned.format(x, y, title)])


def drawing(size: tuple[float, float], title: str, parts: Sequence[Markup]) -> Markup:
    """An inline SVG of (width, height) that shrinks with the page; the title is what a screen reader says."""
    head = Markup('<svg viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">{}</svg>')
    return head.format(*size, *size, title, Markup("").join(parts))
