"""The page that a browser is sent first, rendered before anybody asks for it.

Panel looks up the files of every component it knows for every visitor anew, which takes three quarters of handing out
a page that is built. What it finds depends on the page and not on the visitor, but for the token.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from bokeh.document import Document
from bokeh.server.session import ServerSession
from bokeh.server.tornado import BokehTornado
from panel.io import server as panel_server
from panel.io.resources import Resources
from panel.io.state import set_curdoc

OF_THE_VISITOR = ("theme",)  # arguments of an address by which Panel renders another page

_render = panel_server.server_html_page_for_session
_rendered: WeakKeyDictionary[Document, tuple[str, str]] = WeakKeyDictionary()


def install() -> None:
    panel_server.server_html_page_for_session = page_for_session


def render(session: ServerSession, server: BokehTornado) -> None:
    """Keep the page of a session until it is asked for."""
    document = session.document
    with set_curdoc(document):
        page = _render(
            session,
            resources=Resources.from_bokeh(server.resources()),
            title=document.title,
            token=session.token,
            template=document.template,
            template_variables=document.template_variables,
        )
    _rendered[document] = page, session.token


def is_rendered(session: ServerSession) -> bool:
    return session.document in _rendered


def page_for_session(session: ServerSession, *args: Any, **options: Any) -> str:
    """Stands in for Panel's function of the same arguments."""
    page, token = _rendered.pop(session.document, ("", ""))
    asked = session.document.session_context.request.arguments
    if not page or any(name in asked for name in OF_THE_VISITOR):
        return _render(session, *args, **options)
    return page.replace(token, options.get("token") or session.token)
