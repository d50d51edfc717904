"""What all pages share: the table of pages, drawing only what is open, the navigation and the progress."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import panel as pn
import pytest
from bokeh.models import ColumnDataSource

from app.contents import PAGES, job_names, work
from app.pages import frame, parts
from app.pages.controls import choose_scheme
from app.spec import PAGES as NAMES
from app.spec import Spec
from app.state import State
from app.words import TIPS
from app.work import Job, View, Work


def quiet(**params) -> State:
    """A state that computes nothing."""
    state = State(Work(lambda spec: spec, lambda spec: iter([spec])), pages=("explore", "scores", "neuron"), **params)
    state.close()
    return state


def test_the_address_knows_every_page_and_the_navigation_has_its_order():
    names = [page.name for page in PAGES]
    assert names == [name for name in NAMES if name in names] and names[:2] == ["explore", "scores"]
    assert len({page.title for page in PAGES}) == len(PAGES)


def test_every_job_has_one_page_and_a_name():
    kinds = [kind for page in PAGES for kind in page.jobs]
    assert len(set(kinds)) == len(kinds) and set(job_names()) == set(kinds) == set(work().jobs)
    assert all(job_names().values())


def test_a_view_reads_fields_that_exist():
    for page in PAGES:
        if page.view is not None:
            assert isinstance(page.view, View) and set(page.view.reads) <= set(vars(Spec()))


def test_a_part_is_drawn_while_its_page_is_open_and_catches_up_when_it_opens_again():
    state, drawn = quiet(), []
    parts.follow(state, ["message"], lambda: drawn.append(state.message), page="scores")
    assert drawn == []
    state.message = "one"
    state.go(page="scores")
    assert drawn == [""], "the sentence went with the choice that it was about"
    state.message = "two"
    assert drawn == ["", "two"]
    state.go(page="explore")
    state.go(page="scores")
    state.go(trial=3)
    assert drawn == ["", "two", ""], "missed once, drawn once; nothing changed since"


def test_a_tab_is_a_part_of_explore():
    state, drawn = quiet(spec=Spec(page="scores", tab="leak")), []
    parts.follow(state, ["dark"], lambda: drawn.append(state.dark), tab="leak")
    state.dark = True
    assert drawn == []
    state.go(page="explore")
    assert drawn == [True]
    state.go(tab="help")
    state.dark = False
    assert drawn == [True]
    state.go(tab="leak")
    assert drawn == [True, False]


def test_one_broken_part_becomes_a_sentence():
    state = quiet()
    parts.follow(state, ["dark"], lambda: 1 / 0)
    assert state.message.startswith("Something went wrong")


def test_a_page_is_built_once_and_only_when_it_is_opened():
    state, built = quiet(), []

    def builder(name):
        return lambda state: built.append(name) or pn.pane.Str(name)

    column = frame.places(state, {name: builder(name) for name in ("explore", "scores")})
    assert built == ["explore"]
    for page in ("scores", "explore", "scores"):
        state.go(page=page)
        assert [place.visible for place in column] == [page == "explore", page == "scores"]
    assert built == ["explore", "scores"]


def test_back_and_forward_lead_only_to_what_exists():
    state = quiet()
    address = frame.address(state, lambda spec: spec.session == "simulated-1")
    (heard,) = address._msg__callbacks
    heard(SimpleNamespace(data="?trial=5&page=scores"))
    assert (state.spec.trial, state.spec.page) == (5, "scores") and address.search == "?trial=5&page=scores"
    heard(SimpleNamespace(data="?session=elsewhere"))
    assert state.spec.session == "simulated-1" and address.search == "?trial=5&page=scores"
    heard(SimpleNamespace(data=None))
    assert state.spec == Spec() and address.search == ""


def test_going_to_another_page_is_no_act_to_undo_but_looking_at_a_neuron_is():
    state = quiet()
    state.go(page="scores")
    assert not state.can_undo
    state.look_at(7)
    assert (state.spec.page, state.spec.neuron) == ("neuron", 7) and state.can_undo
    state.undo()
    assert (state.spec.page, state.spec.neuron) == ("neuron", -1)
    state.pages = ("explore", "scores")
    state.look_at(8)
    assert (state.spec.page, state.spec.tab, state.spec.neuron) == ("explore", "scores", 8)


def test_the_navigation_takes_no_page_that_does_not_exist(monkeypatch):
    monkeypatch.setattr(pn.state, "onload", lambda act: act())
    state = quiet()
    (heard,) = frame.navigation(state, {"explore": "Explore", "scores": "Scores"})._msg__callbacks
    for name in ("admin", 3, None, "map"):
        heard(SimpleNamespace(data=name))
    assert state.spec == Spec()
    heard(SimpleNamespace(data="scores"))
    assert state.spec == Spec(page="scores")


def test_the_strip_says_what_runs_and_is_gone_when_nothing_does():
    state = quiet()
    strip = frame.progress(state, {"scores": "Scoring the session"})
    assert not strip.visible
    job = Job("scores", Spec(), share=0.25, seconds_left=30.0)
    state.jobs = {"scores": job}
    assert strip.visible
    assert frame.progress_text("Scoring the session", job) == "Scoring the session: 25% done, about 30 s left."
    state.cancel()
    assert not strip.visible and state.jobs["scores"].state == "cancelled"


def test_new_names_for_choices_reach_the_browser_without_another_choice():
    state, sent = quiet(), []
    widget = parts.bind(state, pn.widgets.Select(options={"own": ""}, value=""), lambda spec: "", sent.append)
    shown = []
    widget.param.watch(lambda event: shown.append(event.new), "value", onlychanged=False)
    parts.offer(widget, {"own (neuron)": ""})
    parts.offer(widget, {"own (neuron)": ""})
    assert shown == [""] and widget.value == ""


def test_a_tapped_dot_leads_to_its_neuron_every_time():
    state, looked = quiet(), []
    dots = ColumnDataSource({"x": [0, 1], "neuron": [4, 9]})
    parts.on_tap(state, dots, looked.append)
    for index in (1, 1, 0):
        dots.selected.indices = [index]
        assert dots.selected.indices == []
    assert looked == [9, 9, 4]


def test_a_table_escapes_what_it_shows_and_explains_what_it_knows():
    text = parts.table(["Mean"], [[("<b>1</b>", "0 to <2>")], ["ridge"]], "a < b", TIPS | {"ridge": "linear <model>"})
    assert "<b>" not in text and "<2>" not in text and "<model>" not in text and "a &lt; b" in text
    assert "<small>0 to &lt;2&gt;</small>" in text and text.count("<abbr") == 2


def test_a_scheme_keeps_the_prompt_that_was_chosen():
    state = quiet(spec=replace(Spec(), hide=replace(Spec().hide, prompt="causal")))
    choose_scheme(state, "neuron")
    assert (state.spec.hide.scheme, state.spec.hide.prompt) == ("neuron", "causal")


@pytest.mark.parametrize("name", [page.name for page in PAGES])
def test_every_page_can_be_built_before_anything_is_computed(name):
    state = quiet(spec=Spec(page=name))
    builder = next(page.build for page in PAGES if page.name == name)
    assert builder(state) is not None and not state.message
