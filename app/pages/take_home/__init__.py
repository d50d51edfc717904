"""Take home: the present view as a link, a script, a notebook, a report, and its figures and tables as files.

One button in the header serves every page: the browser finds the figures and tables that can be seen and makes their
files itself; the rest comes as text from `analyses`. Nothing is written on the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import panel as pn
import param
from panel.custom import JSComponent

from ...analyses.models import model_facts
from ...analyses.notebook import notebook_text
from ...analyses.score_report import has_report, report_text
from ...analyses.scripts import Script, script_of
from ...spec import Spec
from ...state import State
from ..parts import follow, guarded

HERE = Path(__file__).parent
SAVED = "Saved in the folder of your downloads."
NOT_MADE = "This file could not be made: {}."


class TakeHome(JSComponent):
    """The button and its dialog. Python answers `send_msg` with new parameters, or with a file as text."""

    page = param.String(doc="name of the open page, for the names of files")
    caption = param.String(doc="what all files are about")
    code = param.String(doc="the script of the page; empty if there is none")
    why = param.String(doc="why there is no script, or what it takes")
    report = param.Boolean(doc="whether there is an HTML report")
    dark = param.Boolean()

    _esm = "".join((HERE / name).read_text("utf-8") for name in ("figures.js", "dialog.js"))
    _stylesheets = [(HERE / "dialog.css").read_text("utf-8")]


@dataclass(frozen=True)
class Asked:
    """What a click asks for, and the address it was made at."""

    what: str
    link: str

    @classmethod
    def of(cls, data: Any) -> Asked:
        """Messages come from browsers: anything may be in them."""
        given = data if isinstance(data, Mapping) else {}
        return cls(str(given.get("what"))[:16], str(given.get("link", ""))[:10_000])


@dataclass(frozen=True)
class File:
    name: str
    type: str
    text: str


def view(state: State, titles: Mapping[str, str]) -> TakeHome:
    """titles: of the pages, by name."""
    shown = TakeHome(margin=0, page=state.spec.page)

    def answer(event: Any) -> None:
        asked, spec, doc = Asked.of(event.data), state.spec, pn.state.curdoc

        def tell(change: Any) -> None:
            doc.add_next_tick_callback(guarded(state, change))  # answers arrive outside the lock of the document

        if asked.what == "open":
            state.ask(lambda: _facts(spec), lambda facts: tell(lambda: shown.param.update(**facts)))
        elif asked.what in MAKERS:
            title = titles.get(spec.page, spec.page)
            state.ask(lambda: _made(spec, asked, title), lambda found: tell(lambda: shown._send_msg(found)))

    def draw() -> None:
        model = model_facts(state.spec.translator or state.spec.model).label
        about = f"{titles.get(state.spec.page, state.spec.page)}: recording {state.spec.session}, model {model}"
        # The script belongs to the choice before; the new one comes when the dialog opens.
        shown.param.update(page=state.spec.page, caption=about, code="", why="", report=False)

    shown.on_msg(guarded(state, answer))
    follow(state, ["spec"], draw)
    follow(state, ["dark"], lambda: shown.param.update(dark=state.dark))
    return shown


def _facts(spec: Spec) -> dict[str, Any]:
    """Parameters of the dialog."""
    script = _script(spec)
    return {"code": script.numbers, "why": script.why, "report": has_report(spec)}


def _script(spec: Spec) -> Script:
    try:
        return script_of(spec)
    except (ValueError, OSError) as error:  # no such recording or model here: the page says so as well
        return Script(why=str(error))


def _made(spec: Spec, asked: Asked, title: str) -> dict[str, str]:
    """A file as the browser gets it, or a sentence why there is none."""
    try:
        file = MAKERS[asked.what](spec, asked, title)
    except (ValueError, OSError) as error:
        return {"name": "", "said": NOT_MADE.format(str(error).rstrip("."))}
    return {"name": file.name, "type": file.type, "text": file.text, "said": SAVED}


def _notebook(spec: Spec, asked: Asked, title: str) -> File:
    text = notebook_text(spec, _script(spec), title, asked.link)
    return File(f"mtm-{spec.page}-{spec.session}.ipynb", "application/x-ipynb+json", text)


def _report(spec: Spec, asked: Asked, title: str) -> File:
    return File(f"mtm-report-{spec.session}.html", "text/html", report_text(spec))


MAKERS = {"notebook": _notebook, "report": _report}
