"""The page "About": models and versions are those that are here, and whatever a file calls itself stays text."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from app.analyses import about as facts
from app.analyses.models import ModelFacts
from app.pages import about
from app.spec import Spec
from app.state import State
from app.words import TIPS, plain
from app.work import Work


@pytest.fixture
def visitor():
    nothing = Work(lambda spec: spec, lambda spec: iter([spec]))
    state = State(nothing, pages=("explore", "about"), spec=Spec(page="about"))
    state.close()  # it computes nothing
    return state


def sheets(page):
    return " ".join(card.objects[1].object for card in page.objects[1:])


def test_the_models_that_are_bundled_are_listed_with_what_they_predict_and_know(visitor):
    rows = {row[0].split(" · ")[0]: row[1:] for row in facts.model_rows()}
    assert rows["simulated-mtm"] == (facts.MTM, "simulated-1, simulated-2, simulated-3, simulated-4")
    assert rows["simulated-neds"][0] == facts.NEDS and rows["steinmetz-trunk"][1] == "none: to be fine-tuned"
    shown = sheets(about.page(visitor))
    assert all(name in shown for name in rows) and all(word in shown for word in TIPS)


def test_versions_are_those_installed():
    told = dict(facts.versions())
    assert told["torch"] == version("torch") and told["panel"] == version("panel") and told["models run on"]


def test_a_model_with_a_hostile_name_is_shown_as_text(visitor, monkeypatch):
    hostile = "<img src=x onerror=alert(1)>"
    monkeypatch.setattr(facts, "models", lambda: {"x": None})
    found = ModelFacts(plain(hostile), (plain(hostile),) * 6, "", False, False)
    monkeypatch.setattr(facts, "model_facts", lambda name: found)
    assert facts.model_rows()[0][2].endswith("and 2 more")
    assert "<img" not in sheets(about.page(visitor))
