"""What of a lesson and of a round of guessing is in the address."""

from __future__ import annotations

import re
from dataclasses import dataclass

LESSONS = ("raster", "neuron", "region", "future", "choice", "mixing", "scores")  # in the order they are taught
MOST_STEPS = 20
ACTIVITY, REGION = "activity", "region"
MOST_ROUNDS = 99_999
_PLACE = re.compile(r"([a-z]{1,16})\.([0-9]{1,2})")
_ROUND = re.compile(r"([a-z]{1,16})\.([0-9]{1,5})")


@dataclass(frozen=True)
class Place:
    """An open lesson and its step, counted from 1; no lesson is open where the name is empty."""

    lesson: str = ""
    step: int = 1


@dataclass(frozen=True)
class Round:
    """What is guessed, and which round of it: the same number is the same question for everybody."""

    what: str = ACTIVITY
    number: int = 1


def place_text(place: Place) -> str:
    return f"{place.lesson}.{place.step}"


def parse_place(text: str) -> Place:
    """The place that a text stands for; raises ValueError for any other text."""
    match = _PLACE.fullmatch(text)
    if match is None or match[1] not in LESSONS or not 1 <= int(match[2]) <= MOST_STEPS:
        raise ValueError(text)
    return Place(match[1], int(match[2]))


def round_text(one: Round) -> str:
    return f"{one.what}.{one.number}"


def parse_round(text: str) -> Round:
    """The round that a text stands for; raises ValueError for any other text."""
    match = _ROUND.fullmatch(text)
    if match is None or match[1] not in (ACTIVITY, REGION) or int(match[2]) < 1:
        raise ValueError(text)
    return Round(match[1], int(match[2]))
