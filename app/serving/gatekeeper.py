"""The one place that every request passes: under which name it asks, with which key, and whether there is room."""

from __future__ import annotations

import hmac
import logging
import math
import secrets
import time
from collections import Counter
from functools import cache
from typing import Any

from bokeh.server.tornado import BokehTornado
from bokeh.server.views.doc_handler import DocHandler
from bokeh.server.views.session_handler import SessionHandler
from bokeh.server.views.ws import WSHandler
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import PeriodicCallback
from tornado.web import RequestHandler

from ..garbage import give_back, sweep
from ..gate import GATE
from ..limits import HOSTS, KEY, LIMITS
from .admission import Admission
from .headers import Headed, page_policy, with_nonce
from .pages import TICKET, Health, Line, Live, Opened, Refused
from .prepared import Prepared
from .socket import GuardedSocket

log = logging.getLogger(__name__)
IDLE_CHECK_MS, GIVE_BACK_MS = 30_000, 5_000
# Nobody has asked for anything for so long: time to build a page ahead. Longer while somebody looks at a page.
LULL_S, READING_S, LULL_CHECK_MS = 2.0, 20.0, 100
KEY_NAME = "key"  # in the address that a desktop opens
Target = tuple[type[RequestHandler], dict[str, Any]]


class GuardedSession(Headed):
    """Comes before the handlers that make a session."""

    ticket = ""

    def initialize(self, ticket: str = "", **options: Any) -> None:
        self.ticket = ticket
        super().initialize(**options)

    async def get_session(self) -> Any:
        """Hold a place while the page is made, and until it connects."""
        admission, making = self.application.admission, object()
        admission.promise(making, self.ticket)
        try:
            session = await self.find_session()
            admission.promise(session.id, self.ticket)
        finally:
            admission.withdraw(making)
        if LIMITS.visitors < math.inf:
            self.set_cookie(TICKET, self.ticket, httponly=True, samesite="Lax")
        return session

    async def find_session(self) -> Any:
        return await super().get_session()


class GuardedPage(GuardedSession):
    """Comes before Panel's handler of the page."""

    nonce = ""

    async def find_session(self) -> Any:
        return await self.application.prepared.take(self) or await super().find_session()

    def policy(self) -> dict[str, str]:
        self.nonce = self.nonce or secrets.token_urlsafe(16)
        return {"Content-Security-Policy": page_policy(self.nonce)}

    def write(self, chunk: Any) -> None:
        super().write(with_nonce(chunk, self.nonce) if isinstance(chunk, str) else chunk)


@cache
def guarded(handler: type[RequestHandler]) -> type[RequestHandler]:
    """A handler that sends our headers, and asks first where it makes or joins a session."""
    first = next((guard for kind, guard in _GUARDS if issubclass(handler, kind)), Headed)
    return handler if issubclass(handler, first) else type(handler.__name__, (first, handler), {})


_GUARDS = ((WSHandler, GuardedSocket), (DocHandler, GuardedPage), (SessionHandler, GuardedSession))


class Gatekeeper(BokehTornado):
    """Bokeh's Tornado application behind a gate."""

    def __init__(self, applications: Any, extra_patterns: Any = None, **options: Any) -> None:
        self.admission = Admission(LIMITS.visitors)
        self._refused: Counter[str] = Counter()
        self._sockets: set[GuardedSocket] = set()
        self._key, self._cookie = KEY, secrets.token_urlsafe(32)
        ours = [("/live", Live), ("/health", Health)]
        super().__init__(applications, extra_patterns=[*ours, *(extra_patterns or [])], **options)
        self.prepared = Prepared(self, LIMITS.pages_ahead)
        self._asked = time.monotonic()  # when somebody last asked for anything
        periods = {self._close_idle: IDLE_CHECK_MS, self._prepare: LULL_CHECK_MS, give_back: GIVE_BACK_MS}
        self._checks = [PeriodicCallback(check, period) for check, period in periods.items()]

    def start(self) -> None:
        super().start()
        for check in self._checks:
            check.start()

    def stop(self, wait: bool = True) -> None:
        for check in self._checks:
            check.stop()
        super().stop(wait)

    def health(self) -> dict[str, Any]:
        """Numbers for /health."""
        sessions = sum(len(list(context.sessions)) for context in self._applications.values())
        return {
            "visitors": self.admission.visitors,
            "places": None if math.isinf(LIMITS.visitors) else LIMITS.visitors,
            "in_line": self.admission.waiting,
            "connections": len(self._sockets),
            "sessions": sessions - len(self.prepared),
            "pages_ahead": len(self.prepared),
            "refused": dict(self._refused),
        }

    # --- every request ------------------------------------------------------------------------------------------------

    def get_handler_delegate(
        self, request: HTTPServerRequest, target_class: type[RequestHandler], target_kwargs: Any = None, **path: Any
    ) -> Any:
        """Tornado asks here who shall answer a request, after it found the route."""
        if not issubclass(target_class, Health | Live):
            self._asked = time.monotonic()
        chosen = self._refuse(request) or self._admit(request, target_class, target_kwargs)
        return super().get_handler_delegate(request, *chosen, **path)

    def _refuse(self, request: HTTPServerRequest) -> Target | None:
        host = request.headers.get("Host", "")
        if HOSTS and host not in HOSTS:
            # A name of somebody else that leads here: its pages could talk to the app as if they were its own.
            return self._no("unknown host", 403, "Open the app under the address that mtm app printed.")
        if len(request.uri or "") > LIMITS.address_chars:
            return self._no("long address", 414, f"The address is longer than {LIMITS.address_chars} characters.")
        return self._ask_for_key(request) if KEY and request.path != "/live" else None

    def _ask_for_key(self, request: HTTPServerRequest) -> Target | None:
        """The key opens once and becomes a cookie, so that an address somebody copied opens nothing."""
        name = f"mtm_{request.headers.get('Host', '').rpartition(':')[2]}"  # cookies do not tell ports apart
        shown = request.cookies.get(name)
        if shown is not None and hmac.compare_digest(shown.value.encode(), self._cookie.encode()):
            return None
        given = request.arguments.get(KEY_NAME, [b""])[-1]
        if self._key and hmac.compare_digest(given, self._key.encode()):
            self._key = ""
            return Opened, {"cookie": name, "secret": self._cookie, "to": request.path}
        return self._no("no key", 403, "This window belongs to somebody else; start your own with mtm app --desktop.")

    def _admit(self, request: HTTPServerRequest, handler: type[RequestHandler], options: Any) -> Target:
        """The handler of the route; where that makes a session and the class is full, the line."""
        if not issubclass(handler, SessionHandler):
            return guarded(handler), options
        shown = request.cookies.get(TICKET)
        position, ticket = self.admission.ask(shown.value[:64] if shown is not None else "")
        if not position:
            return guarded(handler), {**options, "ticket": ticket}
        self.count_refused("the class is full")
        return Line, {"position": position, "ticket": ticket, "places": self.admission.places}

    def _no(self, reason: str, status: int, sentence: str) -> Target:
        self.count_refused(reason)
        return Refused, {"status": status, "sentence": sentence}

    def count_refused(self, reason: str) -> None:
        self._refused[reason] += 1

    # --- every socket -------------------------------------------------------------------------------------------------

    def socket_opened(self, socket: GuardedSocket) -> None:
        self._sockets.add(socket)
        self.admission.connected(socket.session_id)

    def socket_closed(self, socket: GuardedSocket) -> None:
        if socket in self._sockets:
            self._sockets.remove(socket)
            self.admission.left(socket.session_id)
            self.prepared.release(socket.session_id)

    def _close_idle(self) -> None:
        for socket in list(self._sockets):
            if time.monotonic() - socket.heard > LIMITS.idle_seconds:
                self.count_refused("idle")
                socket.close(1001, "idle")

    # --- while nobody asks --------------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        """Tidy up or build a page ahead; never while somebody works, as that would wait for it."""
        heard = max((socket.heard for socket in self._sockets), default=0.0)
        lull = READING_S if self._sockets else LULL_S
        if time.monotonic() - max(self._asked, heard) < lull or not GATE.idle:
            return
        if sweep() or not self.prepared.most:
            return
        room = self.admission.places - self.admission.visitors - len(self.prepared)
        try:
            if not await self.prepared.finish() and room > 0:
                await self.prepared.build(self._applications.values())
                give_back()
        except Exception:  # pages are built when they are asked for, and the failure is told to who asks
            self.prepared.most = 0
            log.exception("no pages are built ahead")
