"""Small answers of the server itself: refusals, the line in front of a full class, and how the server is."""

from __future__ import annotations

import gc
import html
import os
import secrets
import time
from pathlib import Path
from typing import Any

from bokeh.document import Document

from ..gate import GATE
from .headers import Headed

RETRY_S = 5
TICKET = "mtm_visitor"  # the cookie that keeps a place, also in line
LOOPBACK = ("127.0.0.1", "::1")
_STARTED = time.monotonic()
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">{head}
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title} – MtM Explorer</title>
<style nonce="{nonce}">:root {{ color-scheme: light dark }}
body {{ font: 18px/1.5 system-ui, sans-serif; max-width: 34em; margin: 18vh auto; padding: 0 1.2em }}</style>
</head><body><main role="status"><h1>{title}</h1><p>{text}</p></main></body></html>"""


class Said(Headed):
    """A page of one heading and one paragraph."""

    nonce = ""

    def initialize(self, **_: Any) -> None:
        """Also stands in for handlers that take arguments."""

    def policy(self) -> dict[str, str]:
        self.nonce = self.nonce or secrets.token_urlsafe(16)
        return {
            "Content-Security-Policy": f"default-src 'none'; style-src 'nonce-{self.nonce}'; frame-ancestors 'none'"
        }

    def say(self, title: str, text: str, head: str = "") -> None:
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        safe = {"title": html.escape(title), "text": html.escape(text)}
        self.finish(_PAGE.format(head=head, nonce=self.nonce, **safe))


class Refused(Said):
    """An answer of one sentence to a request that is not let in."""

    def initialize(self, status: int = 403, sentence: str = "", **_: Any) -> None:
        self._status, self._sentence = status, sentence

    def prepare(self) -> None:
        self.set_status(self._status)
        self.say("Not opened", self._sentence)


class Line(Said):
    """The class is full: the position in line, and asking again by itself. The address, and so the choices, stay."""

    def initialize(self, position: int = 1, ticket: str = "", places: int = 0, **_: Any) -> None:
        self._position, self._ticket, self._places = position, ticket, places

    def get(self, *_: str) -> None:
        self.set_status(503)
        self.set_header("Retry-After", str(RETRY_S))
        self.set_cookie(TICKET, self._ticket, httponly=True, samesite="Lax")
        text = f"The class is full: all {self._places} places are taken, position {self._position} in line. "
        text += f"This page asks again every {RETRY_S} s and opens as soon as a place is free; keep it open."
        self.say("The class is full", text, f'<meta http-equiv="refresh" content="{RETRY_S}">')


class Opened(Headed):
    """The key of a desktop's address was right: from now on a cookie opens the app, and the address forgets it."""

    def initialize(self, cookie: str = "", secret: str = "", to: str = "", **_: Any) -> None:
        self._cookie, self._secret, self._to = cookie, secret, to

    def get(self, *_: str) -> None:
        self.set_cookie(self._cookie, self._secret, httponly=True, samesite="Strict")
        self.redirect(self._to, status=303)


class Live(Headed):
    """Whether the server answers at all; for supervisors. Says nothing else."""

    def get(self) -> None:
        self.finish("ok\n")


class Health(Headed):
    """How the server is, as JSON, for whoever sits at this machine."""

    def get(self) -> None:
        if not self._asked_from_here():
            self.set_status(403)
            self.finish("asked from this machine only\n")
            return
        self.set_header("Cache-Control", "no-store")
        self.finish({**self.application.health(), **self._process()})

    def _asked_from_here(self) -> bool:
        """Not through a proxy, and from an address of this machine: the loopback, or the one the server listens on."""
        forwarded = {"X-Forwarded-For", "X-Real-Ip", "Forwarded"} & set(self.request.headers)
        ours = self.request.connection.stream.socket.getsockname()[0]
        return not forwarded and self.request.remote_ip in (*LOOPBACK, ours)

    def _process(self) -> dict[str, Any]:
        found = {
            "turns_waiting": GATE.waiting,
            "turns_refused": GATE.refused,
            "memory_mb": memory_mb(),
            "cpu_s": round(time.process_time(), 2),
            "up_s": round(time.monotonic() - _STARTED),
        }
        if self.get_argument("documents", ""):  # walks through all objects
            gc.collect()
            found["documents"] = sum(type(each) is Document for each in gc.get_objects())
        return found


def memory_mb() -> float | None:
    """Resident memory of this process in MB; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
    except (OSError, ValueError):
        return None
