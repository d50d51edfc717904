"""All lessons, each with what it is about and how long it takes."""

from __future__ import annotations

import html

import panel as pn

from ...lessons import Lesson, lessons
from ...teaching import Place, place_text
from ..parts import card, prose

STYLE = """
ol { list-style: none; margin: 0; padding: 0; display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); }
li { border: 1px solid rgba(128, 136, 145, .35); border-radius: 10px; padding: 12px 14px; line-height: 1.45; }
a { font-size: 16px; font-weight: 600; color: inherit; text-underline-offset: 3px; }
a:focus-visible { outline: 2px solid currentColor; outline-offset: 3px; }
p { margin: 6px 0 0; font-size: 14px } small { opacity: .8; font-size: 12.5px }
"""


def listing() -> pn.viewable.Viewable:
    cells = "".join(_cell(number, one) for number, one in enumerate(lessons(), 1))
    table = pn.pane.HTML(f"<ol>{cells}</ol>", stylesheets=[STYLE], sizing_mode="stretch_width", margin=(6, 0, 0, 0))
    return card(prose("learn_intro"), table)


def _cell(number: int, one: Lesson) -> str:
    link = f"?page=learn&lesson={place_text(Place(one.name))}"
    about = f"{one.minutes} minutes · {len(one.steps)} steps · for {one.audience}"
    return (
        f"<li><a href='{html.escape(link)}'>{number}. {html.escape(one.title)}</a>"
        f"<p>{html.escape(one.goal)}</p><small>{html.escape(about)}</small></li>"
    )
