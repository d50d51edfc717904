"""What every answer tells the browser: load and run nothing but what this server sent.

The page's policy is the least that Bokeh and Panel run with:
* script: files of this server, inline scripts with the nonce of this very answer (event handlers in markup and
  injected scripts have none), and `blob:`, which is how Panel loads its components. 'unsafe-eval' is for Bokeh's
  CustomJS and for Panel's compiled templates.
* style: 'unsafe-inline', as Bokeh writes style elements into every component.
* pictures from data: and blob:, which canvases and downloads use.
"""

from __future__ import annotations

from typing import Any

from tornado.web import RequestHandler

COMMON = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # the address holds what was looked at
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
NOTHING = "default-src 'none'; frame-ancestors 'none'"  # for answers that are no page


def page_policy(nonce: str) -> str:
    """The content security policy of a page whose own inline scripts carry this nonce."""
    parts = {
        "default-src": "'self'",
        "script-src": f"'self' 'nonce-{nonce}' blob: 'unsafe-eval'",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self' data: blob:",
        "worker-src": "'self' blob:",
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'self'",
    }
    return "; ".join(f"{name} {value}" for name, value in parts.items())


def with_nonce(page: str, nonce: str) -> str:
    """A page in which every script has the nonce.

    Whatever comes from a visitor or a file is in the page as JSON without "<" (Bokeh escapes it) or arrives later
    through the socket, so every "<script" in it is the server's own.
    """
    return page.replace("<script", f'<script nonce="{nonce}"')


class Headed(RequestHandler):
    """A handler of an answer that is no page."""

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.clear_header("Server")
        for name, value in {**COMMON, **self.policy()}.items():
            self.set_header(name, value)

    def policy(self) -> dict[str, str]:
        return {"Content-Security-Policy": NOTHING}

    def data_received(self, chunk: bytes) -> Any:  # abstract in Tornado; nothing streams here
        raise NotImplementedError
