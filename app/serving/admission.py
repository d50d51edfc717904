"""How many visitors there are, and who is next. No network here: times and tickets come in.

A visitor is a browser, known by the ticket in its cookie. It holds its place with every session that is connected, on
its way to the browser, or was lost a moment ago.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

PROMISE_S = 120.0  # a page that was sent and has not connected holds its place so long, as Bokeh keeps it
GRACE_S = 10.0  # who reloads or loses the network for a moment keeps the place
SEEN_S = 20.0  # who waits in line asks every few seconds; who does not has gone
MOST_PAGES = 4  # of one visitor
LONGEST_LINE = 256


@dataclass
class _Session:
    visitor: str
    until: float  # when it stops to hold a place if nothing is connected
    connections: int = 0


class Admission:
    """Places for visitors."""

    def __init__(self, places: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.places, self._clock = places, clock
        self._sessions: dict[Hashable, _Session] = {}
        self._line: dict[str, float] = {}  # ticket -> last seen; in order

    @property
    def visitors(self) -> int:
        return len(set(self._holders()))

    @property
    def waiting(self) -> int:
        self._forget()
        return len(self._line)

    def ask(self, ticket: str) -> tuple[int, str]:
        """The position in line, 0 to come in, and the ticket to show next time.

        Who asks for the first time gets a ticket but no place in line: programs that never come back must not block
        it. A free place is for the first in line, even while a newcomer asks.
        """
        holders = self._holders()
        if ticket in holders:
            return (0 if holders.count(ticket) < MOST_PAGES else self.waiting + 1), ticket
        free = self.places - len(set(holders))
        if not ticket or (ticket not in self._line and len(self._line) >= LONGEST_LINE):
            position = 0 if free > len(self._line) else len(self._line) + 1
            return position, ticket or secrets.token_urlsafe(16)
        self._line[ticket] = self._clock()
        position = list(self._line).index(ticket) + 1
        if position > free:
            return position, ticket
        del self._line[ticket]
        return 0, ticket

    def promise(self, session: Hashable, visitor: str) -> None:
        """A page is being made for this session."""
        self._sessions[session] = _Session(visitor, self._clock() + PROMISE_S)

    def withdraw(self, session: Hashable) -> None:
        self._sessions.pop(session, None)

    def may_connect(self, session: Hashable) -> bool:
        """Whether a browser may connect: its page was sent, or it comes back and nobody waits for the place."""
        self._forget()
        return session in self._sessions or self.places - self.visitors > len(self._line)

    def connected(self, session: Hashable) -> None:
        self._sessions.setdefault(session, _Session(str(session), 0.0)).connections += 1

    def connections_of(self, session: Hashable) -> int:
        return self._sessions[session].connections if session in self._sessions else 0

    def left(self, session: Hashable) -> None:
        if session in self._sessions:
            self._sessions[session].connections -= 1
            self._sessions[session].until = self._clock() + GRACE_S

    def _holders(self) -> list[str]:
        """The visitor of each session that holds a place."""
        self._forget()
        return [session.visitor for session in self._sessions.values()]

    def _forget(self) -> None:
        now = self._clock()
        for name in [name for name, each in self._sessions.items() if not each.connections and each.until <= now]:
            del self._sessions[name]
        for ticket in [ticket for ticket, seen in self._line.items() if now - seen >= SEEN_S]:
            del self._line[ticket]
