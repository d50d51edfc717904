"""The app, once per visitor: wires state, pages and address. Serve with `panel serve app/`."""

from __future__ import annotations

import asyncio
from urllib.parse import urlencode

import panel as pn
import panel_material_ui as pmui

from .arrival import Ahead, Arrived
from .contents import PAGES, job_names, work
from .pages import controls, frame, take_home
from .pages.accessible import Accessible
from .pages.connection import Connection
from .pages.learn.strip import lesson_strip
from .pages.width import Width
from .recordings import catalogue, predictors
from .spec import Spec, decode
from .state import State
from .theme import MATERIAL

pn.extension("tabulator")

# On a phone the header has room for the pages, but not for the title as well.
NARROW_HEADER = {
    "& .header a:has(.title)": {"display": {"xs": "none !important", "sm": "flex !important"}},
    "& .header .MuiToolbar-root > .MuiBox-root": {"minWidth": 0},
}
UNREAD = "Part of the link could not be read; what was not understood is at its default."
WIDE = 900  # px; below, the sidebar lies over the page instead of beside it


def known(spec: Spec) -> bool:
    """Whether what a spec names exists here."""
    return spec.session in catalogue() and spec.model in predictors() and any(page.name == spec.page for page in PAGES)


def opened_spec() -> tuple[Spec, bool]:
    """The spec of the address this visitor opened, and whether all of it could be used."""
    pairs = [
        (name, value.decode("utf-8", "replace")) for name, values in pn.state.session_args.items() for value in values
    ]
    spec, understood = decode(urlencode(pairs))
    if not known(spec):
        first = next(iter(predictors()), Spec().model)
        spec, understood = Spec(model=spec.model if spec.model in predictors() else first), not pairs
    return spec, understood


def begin(state: State) -> None:
    """Start computing, unless nobody is there: `panel serve --warm` builds the page once before its loop runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    state.start()


def prepare(state: State, event: Ahead) -> None:
    event.ready = lambda: not state.working
    begin(state)


def arrive(state: State) -> None:
    """Take the choices from the address that was opened."""
    spec, understood = opened_spec()
    state.arrive(spec, "" if understood else UNREAD)


def page_of(state: State) -> pmui.Page:
    width, titles = Width(margin=0), {page.name: page.title for page in PAGES}
    page = pmui.Page(
        title="MtM Explorer",
        site_url="?",  # the title leads to the default view, not to the root of the server
        header=[frame.navigation(state, titles), take_home.view(state, titles)],
        main=[
            width,
            Accessible(margin=0),
            Connection(margin=0),
            frame.address(state, known),
            lesson_strip(state, known),
            frame.warning(state),
            frame.progress(state, job_names()),
            frame.places(state, {page.name: page.build for page in PAGES}),
        ],
        sidebar=controls.view(state),
        sidebar_width=320,
        sidebar_open=False,  # on a phone it would cover the page; opened below where there is room
        theme_config=MATERIAL,
        sx=NARROW_HEADER,
        busy_indicator=None,
    )

    def fit(before: int) -> None:
        wide = width.pixels >= WIDE
        if not before or wide != (before >= WIDE):  # otherwise it stays as the visitor left it
            page.sidebar_open = wide
            state.drag = wide  # on a phone a drag over the rasters must scroll the page

    # Only once the page is ready: until then changes do not reach the browser.
    width.param.watch(lambda event: pn.state.onload(lambda: fit(event.old)), "pixels")
    page.param.watch(lambda event: setattr(state, "dark", event.new), "dark_theme")
    return page


def main() -> None:
    state, doc = State(work(), pages=tuple(page.name for page in PAGES)), pn.state.curdoc
    arrive(state)
    doc.on_event(Arrived, lambda _: arrive(state))
    doc.on_event(Ahead, lambda event: prepare(state, event))
    # Not before the page has arrived: what changes while the browser connects can get lost on the way.
    pn.state.onload(lambda: begin(state))
    pn.state.on_session_destroyed(lambda _: state.close())
    frame.leave_nothing(doc)
    page = page_of(state)
    frame.forget_busy(page)
    page.servable(title="MtM Explorer")


main()
