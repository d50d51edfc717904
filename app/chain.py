"""Chain: where a visitor of the page "masking" stands in the steps from spikes to a guess; and its text, "5.2.0.3"."""

from __future__ import annotations

import re
from dataclasses import dataclass

STEPS = ("counts", "mask", "read", "tokens", "attention", "rates", "sample")
MOST_LAYER, MOST_HEAD, MOST_DRAW = 100, 16_384, 999
_TEXT = re.compile(r"([0-9]{1,2})\.([0-9]{1,3})\.([0-9]{1,5})\.([0-9]{1,3})")


@dataclass(frozen=True)
class Chain:
    step: int = 1  # of STEPS, counted from 1
    layer: int = 1  # whose attention is shown, counted from 1
    head: int = 1  # counted from 1; 0: the mean of all heads
    draw: int = 0  # which Poisson sample


def chain_text(value: Chain) -> str:
    return f"{value.step}.{value.layer}.{value.head}.{value.draw}"


def parse_chain(text: str) -> Chain:
    """The place that a text stands for; raises ValueError for any other text."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(text)
    found = Chain(*map(int, match.groups()))
    within = 1 <= found.step <= len(STEPS) and 1 <= found.layer <= MOST_LAYER and found.head <= MOST_HEAD
    if not within:
        raise ValueError(text)
    return found
