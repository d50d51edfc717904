"""Page "About": what this is, whom to cite, what happens with data, what the words mean, and which versions run."""

from __future__ import annotations

import panel as pn

from ..analyses import about
from ..state import State
from ..words import TIPS
from .parts import MARKDOWN_STYLE, TABLE_STYLE, card, follow, heading, prose, table

WRAPPED = TABLE_STYLE + "td { white-space: normal; text-align: left; vertical-align: top; } th { text-align: left; }"


def page(state: State) -> pn.viewable.Viewable:
    def sheet() -> pn.pane.HTML:
        return pn.pane.HTML("", stylesheets=[WRAPPED], sizing_mode="stretch_width", margin=(0, 8))

    models, words, versions = sheet(), sheet(), sheet()
    words.object = table(("Word", "Meaning"), list(TIPS.items()), "As in the heads of the tables", tips={})
    versions.object = table(("Part", "Version"), about.versions(), "For a report or a methods section", tips={})

    def draw() -> None:
        head = ("Model", "Predicts", "Knows the recordings")
        models.object = table(head, about.model_rows(), "Bundled with the app, or trained here", tips={})

    follow(state, ["spec"], draw, page="about")
    return pn.Column(
        card(prose("about", stylesheets=[MARKDOWN_STYLE, "li { max-width: 80ch } p { max-width: 84ch }"])),
        card(heading("Models"), models),
        card(heading("Words"), words),
        card(heading("Versions"), versions),
        sizing_mode="stretch_width",
        margin=0,
    )
