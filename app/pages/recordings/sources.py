"""Where a recording may come from: a folder of this machine, BrainWideBench, or the IBL through ONE."""

from __future__ import annotations

from collections.abc import Callable

import panel as pn
import panel_material_ui as pmui

from ...analyses.catalogue_errands import connection_check, fetch_bench, fetch_one, known_sessions, look
from ...state import State
from ..parts import Announce, button
from .said import FORMATS, LISTS, sentence
from .said import steps as step_list

Begin = Callable[[Callable], None]
ROW = {"align_items": "flex-start", "sizing_mode": "stretch_width", "gap": "0 10px"}
FIELD = {"size": "small", "margin": (8, 4, 6, 0)}
GROW = {"styles": {"flex": "1 1 320px", "min-width": "0", "max-width": "640px"}, "sizing_mode": "stretch_width"}
BUILDS = {"Well isolated units": "selected_units", "All units (a few GB)": "all_units"}
REGIMES = {"evaluation set": "eval", "pre-training set": "pretrain"}
OTHER = ""


def folder_form(state: State, begin: Begin) -> pn.viewable.Viewable:
    """The path of a folder or file; Enter or the button reads it."""
    path = pmui.TextInput(label="Folder (or .nwb, .npz, .h5 file) on this computer", **FIELD, **GROW)
    formats = {"Find out": "", **{name: key for key, name in FORMATS.items()}}
    kind = pmui.Select(label="Format", options=formats, value="", width=190, **FIELD)

    def act() -> None:
        begin(look(path.value_input or path.value or "", kind.value or ""))

    path.param.watch(lambda event: act() if event.new else None, "enter_pressed")
    read = button(state, "Look at it", act, variant="contained", margin=(12, 4))
    return pn.FlexBox(path, kind, read, **ROW)


def bench_form(state: State, begin: Begin) -> pn.viewable.Viewable:
    """Sessions that are known by name, or any by its id."""
    sessions = {f"{name[:8]}… ({regime})": name for name, regime in known_sessions().items()}
    pick = pmui.Select(label="Session", options={**sessions, "another, by its id": OTHER}, width=230, **FIELD)
    other = pmui.TextInput(label="Id of the session", placeholder="0802ced5-33a3-…", max_length=40, width=340, **FIELD)
    regime = pmui.Select(label="Belongs to", options=REGIMES, width=170, **FIELD)
    build = pmui.Select(label="Units", options=BUILDS, width=200, **FIELD)
    typed = pn.Column(pn.FlexBox(other, regime, **ROW), visible=False, margin=0, sizing_mode="stretch_width")
    pick.param.watch(lambda event: typed.param.update(visible=event.new == OTHER), "value")

    def act() -> None:
        chosen = pick.value or other.value_input or other.value or ""
        begin(fetch_bench(chosen, known_sessions().get(chosen, regime.value), build.value))

    fetch = button(state, "Fetch", act, variant="contained", margin=(12, 4))
    return pn.Column(pn.FlexBox(pick, build, fetch, **ROW), typed, sizing_mode="stretch_width", margin=0)


def one_form(state: State, begin: Begin) -> tuple[pn.viewable.Viewable, Callable[[list], None]]:
    """A connection check, then an id and an account; and what shows the answers of the check."""
    answers = pn.pane.HTML("", stylesheets=[LISTS], margin=(4, 2))
    answers.sizing_mode = "stretch_width"
    said = Announce(margin=(8, 6))
    session = pmui.TextInput(label="Id of the session (eid)", max_length=40, width=340, **FIELD)
    user = pmui.TextInput(label="User name of OpenAlyx", max_length=100, width=200, **FIELD)
    password = pmui.PasswordInput(label="Password", max_length=200, width=220, **FIELD)

    def show(steps: list) -> None:
        answers.object = step_list(steps)
        failed = next((step for step in steps if not step.ok), None)
        said.text = f"{failed.name}: {sentence(failed.said)}" if failed else "Ready: give the session and your account."

    def act() -> None:
        work = fetch_one(session.value_input or "", user.value_input or "", password.value_input or "")
        password.value = password.value_input = ""
        begin(work)

    check = button(state, "Check the connection", lambda: begin(connection_check()), margin=(6, 4))
    fetch = button(state, "Fetch through ONE", act, variant="contained", margin=(12, 4))
    fields = pn.FlexBox(session, user, password, fetch, **ROW)
    return pn.Column(pn.FlexBox(check, said), answers, fields, sizing_mode="stretch_width", margin=0), show
