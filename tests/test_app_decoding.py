"""The page "Decoding": what is drawn and said is what was decoded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from small import small_model, small_trials

from app.analyses import decoding
from app.analyses.kept import Kept
from app.pages import decoding as decoding_page
from app.pages.decoding import said
from app.pages.decoding.shown import COLUMNS, Shown, _table
from app.plots.decoding import (
    ScoreRows,
    draw_scores,
    draw_sides,
    draw_trace,
    make_score_figure,
    make_side_figure,
    make_trace_figure,
    recolour_scores,
    recolour_sides,
    recolour_trace,
)
from app.spec import Spec
from app.state import State
from app.theme import DARK, LIGHT
from app.work import Job, View, Work
from mtm_core.checkpoint import Checkpoint
from mtm_core.evaluation.decoding.decode import Plan, decode
from mtm_core.session import identity

SPEC = Spec(session="a", model="small", page="decoding")


def behaving_trials():
    trials, rng = small_trials(shape=(60, 8, 7)), np.random.default_rng(1)
    choice = rng.choice([-1.0, 1.0], 60)
    choice[7] = 0.0
    counts = trials.counts.copy()
    counts[:, :, 0] = rng.poisson(2.0 + 1.9 * choice[:, None], (60, 8))
    wheel = rng.random((60, 8)).cumsum(axis=1)
    return replace(trials, counts=counts, behaviors={"choice": choice, "wheel_speed": wheel})


TRIALS = behaving_trials()


@pytest.fixture(autouse=True)
def small_recording(monkeypatch):
    """The analyses find a small session and model under any name; nothing is kept from another test."""
    model = Checkpoint(small_model(TRIALS), {"hash": "0" * 64, "data": [identity(TRIALS)]}, Path("some/small"))
    opened = SimpleNamespace(trials=TRIALS, known=True)
    monkeypatch.setattr(decoding, "recording", lambda session, name: opened)
    monkeypatch.setattr(decoding, "checkpoint", lambda name: model)
    monkeypatch.setattr(decoding, "_kept", Kept(8))
    monkeypatch.setattr(decoding, "REGION_NULLS", 1)
    monkeypatch.setattr(decoding, "Plan", lambda sources, n_nulls=2: Plan(sources=sources, n_nulls=n_nulls))
    return opened


def last(steps):
    return list(steps)[-1][1]


@pytest.fixture
def found():
    return last(decoding.usual(SPEC))


def visitor(monkeypatch, **jobs) -> State:
    """A visitor whose choices start nothing."""
    monkeypatch.setattr(State, "start", lambda self: None)
    state = State(Work(lambda spec: None, lambda spec: iter(()), views={"decoding": View(decoding.kept)}), spec=SPEC)
    state.picture = SimpleNamespace(recording=SimpleNamespace(trials=TRIALS))
    state.jobs = jobs
    return state


def drawn_page(monkeypatch, **jobs) -> Shown:
    shown = Shown(visitor(monkeypatch, **jobs))
    shown.draw()
    return shown


# --- analyses ---------------------------------------------------------------------------------------------------------


def test_the_records_on_the_page_are_those_of_the_library(found):
    plan = Plan(sources=("counts", "rates", "latents"), n_nulls=2)
    expected = list(decode(decoding.checkpoint("small"), TRIALS, (), plan))[-1]
    assert found.records == expected.records and found.complete
    assert set(found.found) == {(b, s) for b in ("choice", "wheel_speed") for s in plan.sources}


def test_shares_rise_to_one_and_early_results_are_partial():
    steps = list(decoding.usual(SPEC))
    shares = [share for share, _ in steps]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert not any(result.complete for _, result in steps[:-1])


def test_a_complete_result_is_kept_for_other_visitors_and_a_cancelled_one_is_not():
    steps = decoding.usual(SPEC)
    next(steps)
    steps.close()
    assert decoding.kept(SPEC) == {}
    found = last(decoding.usual(SPEC))
    assert decoding.kept(SPEC) == {"decoding": found} and list(decoding.usual(SPEC)) == [(1.0, found)]
    assert decoding.kept(replace(SPEC, session="b")) == {}


def test_few_results_are_kept(monkeypatch):
    monkeypatch.setattr(decoding._kept, "most", 1)
    for session in "abc":
        last(decoding.usual(replace(SPEC, session=session)))
    assert len(decoding._kept) == 1 and decoding.kept(replace(SPEC, session="c"))


def test_every_region_is_decoded_alone_and_as_the_model_guesses_it(small_recording):
    sources = list(last(decoding.by_region(SPEC)).records["choice"])
    assert sources == [f"{kind}:{name}" for name in ("CA1", "LP", "VISp") for kind in ("region", "reconstruction")]
    small_recording.known = False
    decoding._kept.clear()
    assert list(last(decoding.by_region(SPEC)).records["choice"]) == ["region:CA1", "region:LP", "region:VISp"]
    small_recording.trials = replace(TRIALS, regions=np.full(7, "root"))
    decoding._kept.clear()
    with pytest.raises(ValueError, match="region of no neuron is known"):
        next(decoding.by_region(SPEC))


def test_a_model_that_does_not_know_the_recording_is_not_asked(small_recording):
    small_recording.known = False
    small_recording.trials = replace(TRIALS, session_id="b")
    assert list(last(decoding.usual(SPEC)).records["choice"]) == ["counts"]


def test_an_example_holds_held_out_trials_with_their_truth(found):
    choice = decoding.example(found, "choice", "counts")
    test = np.flatnonzero((TRIALS.split == "test") & (TRIALS.behaviors["choice"] != 0))
    np.testing.assert_array_equal(choice.trials, test)
    np.testing.assert_array_equal(choice.truth, TRIALS.behaviors["choice"][test] > 0)
    assert choice.classes == ("right", "left")
    wheel = decoding.example(found, "wheel_speed", "rates")
    np.testing.assert_allclose(wheel.truth, TRIALS.behaviors["wheel_speed"][wheel.trials])
    np.testing.assert_allclose(wheel.times, -0.1 + 0.02 * (np.arange(8) + 0.5))
    np.testing.assert_allclose(wheel.average, TRIALS.behaviors["wheel_speed"][TRIALS.split != "test"].mean(axis=0))
    assert decoding.example(found, "pupil", "counts") is None


# --- figures ----------------------------------------------------------------------------------------------------------


def score_rows(**changes):
    rows = ScoreRows(
        names=("all counts", "CA1, counts"),
        metric="R²",
        chance=0.0,
        score=np.array([0.5, 0.1]),
        low=np.array([0.4, -0.1]),
        high=np.array([0.6, 0.3]),
        above_null=np.array([True, False]),
        p=("p = 0.02", "p = 0.4"),
        nulls=(np.array([0.0, 0.1, -0.2]), np.array([0.1])),
    )
    return replace(rows, **changes)


def test_every_source_has_its_score_interval_and_nulls():
    made = make_score_figure()
    draw_scores(made, score_rows())
    assert made.figure.y_range.factors == ["CA1, counts", "all counts"]  # the first source is on top
    assert list(made.dots.data["fill"]) == [1.0, 0.0]
    np.testing.assert_array_equal(made.nulls.data["score"], [0.0, 0.1, -0.2, 0.1])
    assert [row for row, _ in made.nulls.data["row"]] == ["all counts"] * 3 + ["CA1, counts"]
    assert all(abs(offset) < 0.5 for _, offset in made.nulls.data["row"])
    start, end = made.figure.x_range.start, made.figure.x_range.end
    assert start < -0.2 and end > 0.6 and made.chance.location == 0.0


def test_a_failed_null_does_not_squeeze_the_scores():
    made = make_score_figure()
    draw_scores(made, score_rows(nulls=(np.array([-5000.0]), np.zeros(0))))
    assert made.figure.x_range.start > -1


def test_sides_are_drawn_with_their_truth():
    made, trials = make_side_figure(), np.array([3, 8, 9])
    draw_sides(made, trials, np.array([0.0, 1.0, 1.0]), np.array([0.2, 0.9, 0.4]), ("right", "left"))
    assert [list(each.data["trial"]) for each in made.dots] == [[3], [8, 9]]
    assert made.dots[1].data["truth"] == ["left", "left"]
    assert "1 of 3" in made.figure.title.text and "left" in made.figure.yaxis.axis_label
    assert [item.label["value"] for item in made.figure.legend.items] == ["recorded: right", "recorded: left"]


def test_every_axis_says_what_it_shows_and_both_themes_differ():
    made = (
        (make_score_figure(), recolour_scores),
        (make_trace_figure(), recolour_trace),
        (make_side_figure(), recolour_sides),
    )
    for shown, recolour in made:
        assert shown.figure.xaxis.axis_label and shown.figure.yaxis.axis_label
        recolour(shown, DARK)
        before = [str(glyph.glyph.properties_with_values()) for glyph in shown.glyphs]
        recolour(shown, LIGHT)
        assert [str(glyph.glyph.properties_with_values()) for glyph in shown.glyphs] != before


def test_a_trace_is_drawn_as_given():
    made, lines = make_trace_figure(), {name: np.arange(3.0) for name in ("time", "truth", "decoded", "average")}
    draw_trace(made, lines, "Held-out trial 4", "wheel speed (rad/s)")
    assert dict(made.lines.data) == lines and made.figure.yaxis.axis_label == "wheel speed (rad/s)"


# --- words ------------------------------------------------------------------------------------------------------------


def test_a_decoder_in_words_says_its_numbers(found):
    record = found.records["choice"]["rates"]
    words = said.sentence("choice", "rates", record)
    for part in ("Choice (left or right) from the model's rates", f"{record['score']:.2f}", f"p = {record['p']:.3f}"):
        assert part in words
    assert "1 left out: no-go" in words and "raw counts" in words and "2 nulls" in words
    assert "not told apart from the null" in words  # two nulls cannot show more
    assert "raw counts" not in said.sentence("choice", "counts", found.records["choice"]["counts"])


@pytest.mark.parametrize(
    ("ends", "words"), [((-0.2, -0.1), "worse than"), ((0.1, 0.2), "better than"), ((-0.1, 0.1), "not told apart from")]
)
def test_where_the_model_is_worse_than_counts_it_is_said(found, ends, words):
    record = found.records["choice"]["rates"] | {"against_counts": {"difference": np.mean(ends), "ci": list(ends)}}
    assert f"It is {words} decoding from raw counts" in said.sentence("choice", "rates", record)


def test_names_from_files_are_harmless():
    assert "<" not in said.source_name("region:<b>") and "<" not in said.behavior_name("<img>")
    assert said.source_name("region:CA1") == "CA1, counts"
    assert said.source_name("without:CA1") == "all counts but CA1"


# --- page -------------------------------------------------------------------------------------------------------------


def test_an_empty_page_says_how_to_begin(monkeypatch):
    shown = drawn_page(monkeypatch)
    assert "Nothing decoded yet" in shown.about.text and not shown.figure.visible
    assert list(shown.behavior.options.values()) == ["choice", "wheel_speed"]
    assert not any(start.disabled for start in shown.buttons)
    assert shown.file.disabled and shown.grid.file.disabled


def test_the_page_shows_the_chosen_behavior_from_every_source(monkeypatch, found):
    job = Job("decoding", SPEC, found, 1.0, None, "done")
    shown = drawn_page(monkeypatch, decoding=job)
    records = found.records["choice"]
    np.testing.assert_array_equal(shown.scores.dots.data["score"], [record["score"] for record in records.values()])
    assert shown.examples.sides.figure.visible and not shown.examples.trace.figure.visible
    shown.behavior.value = "wheel_speed"
    assert shown.examples.trace.figure.visible and not shown.examples.sides.figure.visible
    assert "Wheel speed" in shown.sentence.text and "R²" in shown.scores.figure.xaxis.axis_label
    shown.examples.pick.value = 3
    expected = found.found["wheel_speed", "counts"].decoded
    np.testing.assert_array_equal(shown.examples.trace.lines.data["truth"], expected.truth[3])
    np.testing.assert_array_equal(shown.examples.trace.lines.data["decoded"], expected.predicted[3])
    assert shown.buttons[0].disabled and not shown.buttons[1].disabled  # this one is complete
    assert not shown.file.disabled and not shown.grid.file.disabled


def test_all_records_are_in_the_table_and_in_the_files(monkeypatch, found):
    shown = drawn_page(monkeypatch, decoding=Job("decoding", SPEC, found, 1.0, None, "done"))
    table = shown.grid.widget.value
    assert len(table) == 6 and list(table.columns) == list(COLUMNS)
    rates = table[(table["source"] == "the model's rates") & (table["metric"] == "R²")].iloc[0]
    record = found.records["wheel_speed"]["rates"]
    assert (rates["score"], rates["p"], rates["second"]) == (record["score"], record["p"], record["r2_residual"])
    assert rates["versus"] == record["against_counts"]["difference"]
    assert json.loads(shown.file.callback().read()) == found.records


def test_a_click_on_a_row_looks_at_it(monkeypatch, found):
    shown = drawn_page(monkeypatch, decoding=Job("decoding", SPEC, found, 1.0, None, "done"))
    shown.look_at(pd.Series({"behavior": "Wheel speed", "source": "the model's latents"}))
    assert (shown.behavior.value, shown.source.value) == ("wheel_speed", "latents")


def test_regions_join_what_was_decoded_before(monkeypatch, found):
    jobs = {
        "decoding": Job("decoding", SPEC, found, 1.0, None, "done"),
        "decoding_regions": Job("decoding_regions", SPEC, last(decoding.by_region(SPEC)), 0.5, None, "cancelled"),
    }
    shown = drawn_page(monkeypatch, **jobs)
    assert shown.about.text.startswith("Cancelled, partial.")
    assert len(shown.scores.dots.data["row"]) == 3 + 6
    assert list(_table(shown.found)["source"][:4]) == [
        "all counts",
        "the model's rates",
        "the model's latents",
        "CA1, counts",
    ]


def test_results_of_another_recording_are_not_shown(monkeypatch, found):
    job = Job("decoding", replace(SPEC, session="b"), found, 1.0, None, "done")
    shown = drawn_page(monkeypatch, decoding=job)
    assert "Nothing decoded yet" in shown.about.text and len(shown.grid.widget.value) == 0


def test_the_page_can_be_built(monkeypatch, found):
    state = visitor(monkeypatch, decoding=Job("decoding", SPEC, found, 1.0, None, "done"))
    assert len(decoding_page.page(state)) == 2
    state.dark = True
    assert state.message == ""
