"""The websocket of a visitor: from a page of ours only, no faster than a person clicks, and closed when left alone."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

from bokeh.protocol.exceptions import ProtocolError
from bokeh.util.token import check_token_signature, get_session_id

from ..limits import HOSTS, LIMITS
from ..pace import Pace
from .headers import Headed

MOST_CONNECTIONS = 4  # of one session; a browser opens one
FRAMES = 3  # of the smallest message
ORIGINS = frozenset(f"{scheme}://{host}" for scheme in ("http", "https") for host in HOSTS)


class GuardedSocket(Headed):
    """Comes before Panel's handler of the socket."""

    session_id = ""
    heard = 0.0  # when the last message came

    async def prepare(self) -> None:
        if reason := self._refusal():
            self.application.count_refused(reason)
            self.set_status(403)
            self.finish(reason)
            return
        await super().prepare()

    def _refusal(self) -> str:
        """Why this socket is not opened.

        Every browser names its origin. Tornado lets in who names none, and compares hosts only; Bokeh knows patterns.
        """
        if HOSTS and self.request.headers.get("Origin") not in ORIGINS:
            return "another origin"
        # Also for a server that does not sign: what is no token at all would end in a traceback.
        token = self.request.headers.get("Sec-WebSocket-Protocol", "").partition(",")[2].strip()
        server = self.application
        try:
            valid = check_token_signature(token, signed=server.sign_sessions, secret_key=server.secret_key)
            self.session_id = get_session_id(token)
        except Exception:  # anything may be in it
            valid = False
        if not valid:
            return "not a session of this server"
        if server.admission.connections_of(self.session_id) >= MOST_CONNECTIONS:
            return "too many connections"
        return "" if server.admission.may_connect(self.session_id) else "the class is full"

    def check_origin(self, origin: str) -> bool:
        """Where the names are known, `_refusal` has decided."""
        return bool(HOSTS) or super().check_origin(origin)

    def open(self, *arguments: Any, **options: Any) -> Any:
        self.pace = Pace(LIMITS.messages_per_second * FRAMES, LIMITS.burst * FRAMES)
        self.heard = time.monotonic()
        self.application.socket_opened(self)
        return super().open(*arguments, **options)

    async def on_message(self, fragment: str | bytes) -> None:
        # Tornado reads no further frame before this returns, so a flood waits in the sender's own buffers.
        if wait := self.pace.wait():
            await asyncio.sleep(wait)
        self.heard = time.monotonic()
        await super().on_message(fragment)

    def on_close(self) -> None:
        self.application.socket_closed(self)
        # Bokeh's keep-alive can find a socket closed first; the connection has no session then, and Bokeh would fail.
        if self.connection is None or self.connection._session is not None:
            super().on_close()
        if HOSTS:
            self._let_go()

    def _let_go(self) -> None:
        """Free what the page held: it does not connect again (`app/pages/connection.py`)."""
        with suppress(ProtocolError):  # it is gone already
            session = self.application_context.get_session(self.session_id)
            if session.connection_count == 0:
                session.request_expiration()
