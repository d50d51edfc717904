"""What one visitor has drawn and revealed. A round is revealed once; its guess stays as it was then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...analyses.guess import Answer, Asked, Play
from ...analyses.guess_scores import SHAPE, YOU, bits_of, floored, shape_of
from ...state import State

MOST_UNDO = 100
Key = tuple[str, str, int]


@dataclass(frozen=True, eq=False)
class Scored:
    """A revealed round."""

    number: int
    drawn: np.ndarray  # (M,) Hz
    bits: dict[str, float]  # bits per spike of this trial, by who predicted


class Game:
    def __init__(self, state: State) -> None:
        self.state = state
        self.play: Play | None = None
        self.past: list[np.ndarray] = []
        self.drawn = np.zeros(0)  # (M,) Hz
        self.rounds: dict[Key, Scored] = {}
        self._drawings: dict[Key, tuple[np.ndarray, list[np.ndarray]]] = {}  # of rounds that were left
        self._key: Key | None = None
        self._watchers: list[Callable[[], None]] = []

    def watch(self, draw: Callable[[], None]) -> None:
        """Call draw after every change; what draws figures comes from `follow`, which waits for the next tick."""
        self._watchers.append(draw)

    def _changed(self) -> None:
        for draw in self._watchers:
            draw()

    @property
    def asked(self) -> Asked | None:
        return self.play.asked if self.play is not None else None

    @property
    def scored(self) -> Scored | None:
        """Of the present round, once it is revealed."""
        return self.rounds.get(self._key) if self._key is not None else None

    @property
    def answer(self) -> Answer | None:
        """What may be shown now: nothing before the round is revealed."""
        return self.play.answer if self.play is not None and self.scored is not None else None

    @property
    def can_reveal(self) -> bool:
        return self.play is not None and self.play.answer is not None and self.scored is None

    def show(self, play: Play | None) -> None:
        """Another round, or more of the same."""
        self.play, asked = play, play.asked if play is not None else None
        key = None if asked is None else (asked.session, asked.model, asked.number)
        if key is not None and key != self._key:
            if self._key is not None:
                self._drawings[self._key] = (self.drawn, self.past)
            self._key = key
            flat = np.full(len(asked.moments) - 1, asked.mean_hz)
            self.drawn, self.past = self._drawings.pop(key, (flat, []))
        self._changed()

    def draw(self, hz: np.ndarray) -> None:
        """Another drawing; what is no drawing, or comes after the answer, changes nothing."""
        asked = self.asked
        if asked is not None and self.scored is None and np.shape(hz) == self.drawn.shape and np.isfinite(hz).all():
            hz = np.clip(hz, 0.0, asked.top_hz)
            if not np.array_equal(hz, self.drawn):
                self.past = [*self.past[-MOST_UNDO:], self.drawn]
                self.drawn = hz
        self._changed()

    def undo(self) -> None:
        if self.past and self.scored is None:
            self.drawn = self.past.pop()
            self._changed()

    def flatten(self) -> None:
        if self.asked is not None:
            self.draw(np.full(self.drawn.shape, self.asked.mean_hz))

    def reveal(self) -> None:
        """One way: the guess is scored and cannot be changed any more."""
        if not self.can_reveal:
            return
        asked, answer = self.play.asked, self.play.answer
        size = float(asked.times[1] - asked.times[0])
        drawn = asked.per_bin(self.drawn)
        mine = {YOU: floored(drawn, size), SHAPE: shape_of(drawn, size, answer.train_mean)}
        bits = {name: bits_of(answer.counts, r, answer.scored, answer.train_mean) for name, r in mine.items()}
        self.rounds[self._key] = Scored(asked.number, self.drawn.copy(), {**bits, **answer.bits})
        self._changed()
