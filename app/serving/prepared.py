"""Pages that are built while nobody asks for anything, so that a class that opens a link at once finds them ready.

Building a page takes the event loop several times as long as handing one out, and 32 of them in a row would keep the
last visitor waiting. What Panel offers for this (`--reuse-sessions`) shows one and the same page to several visitors.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bokeh.document import Document
from bokeh.events import DocumentEvent
from bokeh.server.contexts import ApplicationContext, _RequestProxy
from bokeh.server.session import ServerSession
from bokeh.util.token import generate_jwt_token, generate_session_id
from panel.io.state import set_curdoc
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import IOLoop

from ..arrival import Ahead, Arrived
from . import rendered
from .admission import PROMISE_S

RIPE_S = 3.0  # from building a page until it is handed out: what was computed for it is drawn by then
NAMED = ("bokeh-session-id", "bokeh-token")  # who asks for a session by name gets that one


@dataclass(frozen=True)
class _Page:
    context: ApplicationContext
    session: ServerSession
    begun: Ahead
    built: float

    def drawn(self) -> bool:
        """Whether everything that was computed for it is on it."""
        return self.begun.ready() and time.monotonic() - self.built >= RIPE_S


class Prepared:
    """Pages of the app that nobody has opened yet; at most `most`."""

    def __init__(self, server: Any, most: int) -> None:
        self.most = most
        self._server = server
        self._pages: deque[_Page] = deque()
        self._handed_out: dict[str, ServerSession] = {}  # whose visitors have not left yet
        self._strangers: set[ApplicationContext] = set()  # whose pages do not know how to wait for a visitor

    def __len__(self) -> int:
        return len(self._pages)

    async def build(self, contexts: Iterable[ApplicationContext]) -> None:
        """Build one more page of the first application whose pages can wait, unless there are enough."""
        context = next((each for each in contexts if each not in self._strangers), None)
        if context is None or len(self) >= self.most:
            return
        server = self._server
        name = generate_session_id(secret_key=server.secret_key, signed=server.sign_sessions)
        # A request that nobody made: pages read their address from it.
        session = await context.create_session_if_needed(name, HTTPServerRequest("GET", context._url))
        if not session.document.callbacks.event_callbacks_for_event_name(Arrived.event_name):
            self._strangers.add(context)
            session.request_expiration()
            return
        session.block_expiration()
        begun = Ahead()
        await session.with_document_locked(_tell, session.document, begun)
        self._pages.append(_Page(context, session, begun, time.monotonic()))

    async def finish(self) -> bool:
        """Render what the browser is sent first, of one page that is drawn by now; whether there was one."""
        drawn = (page.session for page in self._pages if page.drawn())
        session = next((each for each in drawn if not rendered.is_rendered(each)), None)
        if session is not None:
            await session.with_document_locked(rendered.render, session, self._server)
        return session is not None

    async def take(self, page: Any) -> ServerSession | None:
        """A page for the request of this handler, if one is ripe."""
        request = page.request
        if not self._pages or any(name in request.arguments or name in request.headers for name in NAMED):
            return None
        first = self._pages[0]
        if first.context is not page.application_context or not first.drawn():
            return None
        session = self._pages.popleft().session
        self._sign_over(session, request, page._generate_token_payload())
        self._handed_out[session.id] = session
        IOLoop.current().call_later(PROMISE_S, self.release, session.id)
        await session.with_document_locked(_tell, session.document, Arrived())
        return session

    def release(self, name: str) -> None:
        """From now on Bokeh may discard the session of this name: its visitor has left, or had the time to connect."""
        if name in self._handed_out:
            self._handed_out.pop(name).unblock_expiration()

    def _sign_over(self, session: ServerSession, request: HTTPServerRequest, payload: dict[str, Any]) -> None:
        """From now on the session is the one that this request asked for, as Bokeh makes them."""
        server = self._server
        token = generate_jwt_token(
            session.id,
            secret_key=server.secret_key,
            signed=server.sign_sessions,
            expiration=server.session_token_expiration,
            extra_payload=payload,
        )
        proxy = _RequestProxy(
            request, arguments=request.arguments, cookies=payload.get("cookies"), headers=payload.get("headers")
        )
        made_for = session.document.session_context
        session._token = made_for._token = token
        made_for._request = proxy


def _tell(document: Document, event: DocumentEvent) -> None:
    with set_curdoc(document):
        document.callbacks.trigger_event(event)
