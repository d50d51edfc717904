"""The film of a training on a page: the bundled one is there, scores are of the hidden entries, rows are by region."""

from __future__ import annotations

import numpy as np
import pytest

from app import recordings
from app.analyses import films
from app.pages import masking
from app.pages.film import _Screen
from app.spec import Spec
from app.state import State
from app.work import Work
from mtm_core.training.film import read_film


@pytest.fixture(autouse=True)
def no_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("MTM_RUNS", str(tmp_path))
    recordings.runs_changed()


@pytest.fixture
def screen():
    state = State(Work(lambda spec: spec, lambda spec: iter([spec])), pages=("explore",), spec=Spec())
    state.close()  # it computes nothing
    return _Screen(state, "explore")


def test_the_bundled_film_shows_a_model_that_learns():
    assert list(films.films().values()) == [films.BUNDLED]
    shown = films.shown(films.BUNDLED, "neuron")
    assert shown.steps[0] == 1 and shown.steps[-1] == 1500
    assert abs(shown.bits[0]) < 0.05 and shown.bits[-1] > 0.2
    assert set(films.schemes(films.BUNDLED).values()) == {"neuron", "causal", "intra_region", "inter_region"}


def test_the_score_of_a_frame_is_that_of_its_hidden_entries_by_hand():
    film, shown = read_film(films._bundled()), films.shown(films.BUNDLED, "causal")
    scene = film.scenes["causal"]
    y, r = film.counts[scene.target].astype(float), scene.rates[-1].astype(float)[scene.target]
    null = np.broadcast_to(film.mean.astype(float), film.counts.shape)[scene.target]
    gain = (y * np.log(r / null) - (r - null)).sum() / y.sum() / np.log(2)
    assert shown.bits[-1] == pytest.approx(gain, rel=1e-9)
    assert np.isfinite(shown.bits).all()


def test_rows_are_the_same_neurons_in_all_arrays():
    film, shown = read_film(films._bundled()), films.shown(films.BUNDLED, "neuron")
    order = [int(label.split(" · ")[0]) for label in shown.labels]
    assert sorted(order) == list(range(len(film.regions)))
    assert [film.regions[n] for n in order] == list(shown.names)
    assert np.array_equal(shown.counts, film.counts.T[order])
    np.testing.assert_allclose(
        shown.rates[-1], film.scenes["neuron"].rates[-1].T[order].astype(np.float32) / film.bin_size, rtol=1e-6
    )


def test_the_page_shows_the_frame_that_is_chosen_and_says_its_score(screen):
    shown = films.shown(films.BUNDLED, screen.scheme.value)
    assert screen.player.end == shown.steps.size - 1 and "After 1 of 1,500 steps" in screen.said.text
    screen.player.value = screen.player.end
    assert "After 1,500 of 1,500 steps" in screen.said.text and f"{shown.bits[-1]:.3f}" in screen.said.text
    assert screen.line.here.data["y"][0] == shown.bits[-1]
    drawn, hidden = screen.rasters[1].image.data["value"][0], shown.hidden
    assert (drawn[~hidden] == 0).all(), "of what the model saw it has nothing to say"
    np.testing.assert_array_equal(drawn[hidden], shown.rates[-1][hidden])
    screen.scheme.value = "causal"
    assert screen.line.line.data["y"][-1] == films.shown(films.BUNDLED, "causal").bits[-1]


def test_where_nothing_was_filmed_the_page_says_so(monkeypatch, tmp_path, screen):
    monkeypatch.setattr(films, "_bundled", lambda: tmp_path)
    screen.draw()
    assert not screen.body.visible and "No training has been filmed" in screen.said.text
    with pytest.raises(ValueError, match="has not been filmed"):
        films.shown("../etc", "neuron")


def test_the_page_masking_builds_the_film_when_it_is_asked_for():
    state = State(Work(lambda spec: spec, lambda spec: iter([spec])), pages=("masking",), spec=Spec(page="masking"))
    state.close()
    place = masking._film(state)
    (asked,) = place.objects
    asked.clicks += 1
    assert place.objects[0] is not asked and not state.message
