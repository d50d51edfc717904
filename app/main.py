"""The app, once per visitor: wires state, page and address. Serve with `panel serve app/`."""

from __future__ import annotations

import asyncio
from urllib.parse import urlencode

import panel as pn
import panel_material_ui as pmui

from . import compute
from .pages import controls, explore
from .pages.parts import Width, follow
from .recordings import catalogue, models
from .spec import Spec, decode, encode
from .state import State, Work
from .theme import MATERIAL

pn.extension()

WIDE = 900  # px; below, the sidebar lies over the page instead of beside it
PAGES = {"Explore": explore.page}


def opened_spec() -> tuple[Spec, bool]:
    """The spec of the address this visitor opened, and whether all of it could be used."""
    pairs = [
        (name, value.decode("utf-8", "replace")) for name, values in pn.state.session_args.items() for value in values
    ]
    spec, understood = decode(urlencode(pairs))
    if spec.session not in catalogue() or spec.model not in models():
        first = next(iter(models()), Spec().model)
        spec, understood = Spec(model=spec.model if spec.model in models() else first), not pairs
    return spec, understood


def write_address(state: State) -> None:
    """The whole address each time: keys that went back to their default must go too."""
    query = encode(state.spec)
    pn.state.location.search = f"?{query}" if query else ""


def begin(state: State) -> None:
    """Start computing, unless nobody is there: `panel serve --warm` builds the page once before its loop runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    state.start()


def main() -> None:
    spec, understood = opened_spec()
    work = Work(compute.picture, compute.scores, compute.tasks, compute.leak)
    state = State(work, spec=spec)
    if not understood:
        state.message = "Part of the link could not be read; what was not understood is at its default."
    # Not before the page has arrived: what changes while the browser connects can get lost on the way.
    pn.state.onload(lambda: begin(state))
    pn.state.on_session_destroyed(lambda _: state.close())
    width = Width(margin=0)
    page = pmui.Page(
        title="MtM Explorer",
        main=[width, *(build(state) for build in PAGES.values())],
        sidebar=controls.view(state),
        sidebar_width=320,
        sidebar_open=False,  # on a phone it would cover the page; opened below where there is room
        theme_config=MATERIAL,
        busy_indicator=None,
    )

    def fit(*_: object) -> None:
        page.sidebar_open = width.pixels >= WIDE
        state.drag = width.pixels >= WIDE  # on a phone a drag over the rasters must scroll the page

    # Only once the page is ready: until then changes do not reach the browser.
    width.param.watch(lambda _: pn.state.onload(fit), "pixels")
    page.param.watch(lambda event: setattr(state, "dark", event.new), "dark_theme")
    follow(state, ["spec"], lambda: write_address(state))
    page.servable(title="MtM Explorer")


main()
