"""Translation: what the page "translate" hides from the model, and what is supposed of the behavior; and its text.

The text is one field of the address, `spikes.choice~10-25~choice.1~wheel_speed.100.0.0.150.0.0.0.0.0.0`: the hidden
modalities, the hidden bins, and what is supposed of single behaviors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mtm_core.modality import BEHAVIORS, SPIKES

MODALITIES = (SPIKES.name, *BEHAVIORS)
TABLE = {SPIKES.name: SPIKES, **BEHAVIORS}
N_KNOTS = 9  # of a bent trace, evenly over the trial
MOST_PERCENT = 300
MOST_BEND = 500  # hundredths of a standard deviation
MOST_BINS = 20_000
_SPAN = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
_SUPPOSED = re.compile(r"([a-z_]{1,32})((?:\.-?[0-9]{1,3})+)")


@dataclass(frozen=True)
class Bend:
    """A trace other than recorded: scaled, and moved by a line through knots."""

    percent: int = 100
    knots: tuple[int, ...] = (0,) * N_KNOTS  # hundredths of a standard deviation of the trace


AS_RECORDED = Bend()


@dataclass(frozen=True)
class Translation:
    """hidden: names of modalities; span: the bins in which spikes and traces among them are hidden, empty for all."""

    hidden: tuple[str, ...] = (SPIKES.name,)
    span: tuple[int, int] = (0, 0)  # end excluded
    classes: tuple[tuple[str, int], ...] = ()  # what if: behavior -> class number
    bends: tuple[tuple[str, Bend], ...] = ()  # what if: trace -> how it is bent

    @property
    def supposes(self) -> bool:
        return bool(self.classes or self.bends)

    @property
    def supposed(self) -> tuple[str, ...]:
        """The behaviors that are not as recorded."""
        return tuple(name for name, _ in (*self.classes, *self.bends))


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Modalities in the order of the table, each once; raises ValueError for one that does not exist."""
    chosen = set(names)
    if strange := chosen.difference(MODALITIES):
        raise ValueError(f"there is no modality {min(strange)!r}")
    return tuple(name for name in MODALITIES if name in chosen)


def with_class(now: Translation, name: str, number: int | None) -> Translation:
    """Suppose a class of a behavior; None: as recorded."""
    classes = {key: value for key, value in now.classes if key != name}
    if number is not None:
        classes[name] = number
    return Translation(now.hidden, now.span, _sorted(classes), now.bends)


def with_bend(now: Translation, name: str, bend: Bend) -> Translation:
    """Suppose another course of a trace."""
    bends = {key: value for key, value in now.bends if key != name}
    if bend != AS_RECORDED:
        bends[name] = bend
    return Translation(now.hidden, now.span, now.classes, _sorted(bends))


def _sorted(supposed: dict) -> tuple:
    return tuple((name, supposed[name]) for name in MODALITIES if name in supposed)


# --- text -------------------------------------------------------------------------------------------------------------


def translation_text(value: Translation) -> str:
    parts = [".".join(value.hidden)]
    if value.span != (0, 0):
        parts.append(f"{value.span[0]}-{value.span[1]}")
    parts += [f"{name}.{number}" for name, number in value.classes]
    parts += [".".join(map(str, (name, bend.percent, *bend.knots))) for name, bend in value.bends]
    return "~".join(parts)


def parse_translation(text: str) -> Translation:
    """The translation that a text stands for; raises ValueError for any other text."""
    first, *rest = text.split("~")
    found = Translation(in_order(first.split(".")) if first else ())
    if rest and (span := _SPAN.fullmatch(rest[0])):
        low, high = int(span[1]), int(span[2])
        if not low < high <= MOST_BINS:
            raise ValueError(rest[0])
        found, rest = Translation(found.hidden, (low, high)), rest[1:]
    for part in rest:
        match = _SUPPOSED.fullmatch(part)
        if match is None or match[1] not in BEHAVIORS or match[1] in found.supposed:
            raise ValueError(part)
        found = _supposing(found, match[1], [int(number) for number in match[2][1:].split(".")])
    return found


def _supposing(found: Translation, name: str, numbers: list[int]) -> Translation:
    modality = BEHAVIORS[name]
    if modality.static:
        if len(numbers) != 1 or not 0 <= numbers[0] < len(modality.classes):
            raise ValueError(name)
        return with_class(found, name, numbers[0])
    percent, *knots = numbers
    if len(knots) != N_KNOTS or not 0 <= percent <= MOST_PERCENT or max(map(abs, knots)) > MOST_BEND:
        raise ValueError(name)
    return with_bend(found, name, Bend(percent, tuple(knots)))
