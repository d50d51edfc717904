"""The page that judges one neuron: what is computed, said and drawn, without a browser."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import panel as pn
import pytest
from bokeh.models import Range1d

from app import recordings
from app.analyses import neuron_scores, single_neuron
from app.analyses.single_neuron import READS, one_neuron
from app.pages.single_neuron import header, honesty, page, responses, trials
from app.plots.calibration import draw_calibration, make_calibration_figure
from app.plots.psth import colours, top_of
from app.plots.quiet import root_ticks
from app.plots.trial_maps import value_colours
from app.spec import Scoring, Spec, part
from app.state import State
from app.theme import LIGHT
from app.work import Work
from mtm_core.evaluation.single_neuron.measured import Measured

SPEC = Spec(session="simulated-1", page="neuron", neuron=5)


@pytest.fixture(autouse=True, scope="module")
def only_the_untrained_model(untrained_model):
    cached = (recordings.checkpoint, recordings.recording, single_neuron._judged)
    patch = pytest.MonkeyPatch()
    patch.setattr(recordings, "models", lambda: {"simulated-mtm": untrained_model})
    for function in cached:
        function.cache_clear()
    yield
    patch.undo()
    for function in cached:
        function.cache_clear()


@pytest.fixture(scope="module")
def shown():
    return one_neuron(SPEC)


@pytest.fixture
def state(shown):
    made = State(Work(lambda spec: None, lambda spec: iter(())), spec=SPEC)
    made.start = lambda: None  # no loop runs here
    made.views = {"neuron": shown}
    return made


def with_counts(shown, counts):
    """The same neuron with other spikes."""
    neuron = replace(shown.judged.trials, counts=counts)
    rng = np.random.default_rng(0)
    judged = replace(
        shown.judged,
        trials=neuron,
        scores=single_neuron.judge(neuron, rng),
        psths=single_neuron.psths(neuron),
        calibration=single_neuron.calibration(neuron, rng),
        pit=single_neuron.poisson_pit(neuron, rng),
        variability=single_neuron.variability(neuron),
    )
    return replace(shown, judged=judged)


def html_of(view):
    return " ".join(pane.object for pane in view.select(pn.pane.HTML) if isinstance(pane.object, str))


# --- what is computed -------------------------------------------------------------------------------------------------


def test_the_page_needs_nothing_of_a_spec_but_what_it_says(shown):
    busy = replace(SPEC, trial=7, sort="rate", tab="help", hide=replace(SPEC.hide, seed=9))
    assert part(busy, READS) == part(SPEC, READS)
    assert one_neuron(part(SPEC, READS)).judged is shown.judged  # computed once for all visitors


def test_without_a_choice_the_busiest_neuron_is_looked_at():
    opened = recordings.recording("simulated-1", "simulated-mtm")
    rates = opened.trials.counts[opened.trials.split == "train"].mean((0, 1))
    assert one_neuron(replace(SPEC, neuron=-1)).neuron == int(np.argmax(rates))
    assert one_neuron(replace(SPEC, neuron=19_999)).neuron == int(np.argmax(rates))


def test_the_task_of_the_scores_is_the_one_looked_at(shown):
    future = one_neuron(replace(SPEC, scoring=Scoring(task="forward_prediction")))
    assert future.judged.trials.scored.mean() == pytest.approx(0.1)
    assert shown.judged.trials.scored.all()


def test_a_model_that_does_not_know_the_recording_is_no_error(state):
    unknown = one_neuron(replace(SPEC, session="simulated-2"))
    assert unknown.judged is None and "not been trained" in unknown.problem
    assert "not been trained" in header.score_table(unknown, LIGHT)
    state.views = {"neuron": unknown}
    assert page(state) is not None


def test_a_neuron_that_is_no_target_of_the_task_is_no_error(monkeypatch):
    trials_of = single_neuron.trials_at

    def alone(opened, level):
        regions = np.full(opened.trials.n_neurons, "root")
        return replace(trials_of(opened, level), regions=regions)

    monkeypatch.setattr(single_neuron, "trials_at", alone)
    found = one_neuron(replace(SPEC, neuron=6, scoring=Scoring(task="intra_region")))
    assert found.judged is None and "not scored in intra_region" in found.problem


# --- what is said -----------------------------------------------------------------------------------------------------


def test_every_score_has_an_interval_a_ceiling_and_an_explanation(shown):
    rows = neuron_scores.score_rows(shown.judged)
    assert [row.name for row in rows][:2] == ["Bits per spike", "Bits per spike (training null)"]
    for row in rows:
        assert row.meaning and row.value and row.ceiling
        assert " to " in row.value or row.value == "not measurable"
    table = header.score_table(shown, LIGHT)
    assert table.count("<abbr") == len(rows) + 2 and table.count("<tr>") == len(rows) + 1


def test_the_table_shows_the_numbers(shown):
    bits = shown.judged.scores.bits_per_spike
    table = header.score_table(shown, LIGHT).replace("−", "-")
    for measured in (bits.measured, bits.ceiling.measured):
        assert f"{measured.value:.2f}" in table and f"{measured.interval[0]:.2f} to" in table
    assert "64 held-out trials, 6,400 scored bins of 20 ms" in table


def test_a_silent_neuron_is_judged_not_measurable_and_the_reason_is_said_once(shown, state):
    silent = with_counts(shown, np.zeros_like(shown.judged.trials.counts))
    rows = neuron_scores.score_rows(silent.judged)
    assert {row.value for row in rows} == {"not measurable"}
    assert neuron_scores.notes(rows) == [
        "Bits per spike, Bits per spike (training null), Poisson D², PSTH R², Single-trial R², Residual correlation, "
        "Calibration slope and Observed / expected: no spike in the scored bins of these trials."
    ]
    state.views = {"neuron": silent}
    view = page(state)
    assert "nan" not in html_of(view).lower()


def test_missing_ceilings_are_said_with_their_reason(shown):
    real = replace(shown.judged.trials, true_rates=None)
    judged = replace(shown.judged, scores=single_neuron.judge(real, np.random.default_rng(0)))
    notes = neuron_scores.notes(neuron_scores.score_rows(judged))
    assert any(note.startswith("Ceiling of Bits per spike, ") and "no two trials are repeats" in note for note in notes)


@pytest.mark.parametrize(("p", "text"), [(0.0004, "p < 0.001"), (0.001, "p = 0.001"), (0.25, "p = 0.250")])
def test_a_small_p_is_not_rounded_to_nothing(p, text):
    assert neuron_scores.p_text(p) == text


def test_names_from_files_cannot_carry_markup(shown):
    units = shown.recording.units.copy()
    units["uuid"] = "<img src=x onerror=alert(1)>"
    units["probe"] = "<b>"
    names = np.full(len(units), "<script>")
    wicked = replace(shown, recording=replace(shown.recording, units=units, region_names=names))
    assert "<" not in header.identity(wicked)
    problem = replace(wicked, judged=None, problem="<script>alert(1)</script>")
    assert "<script" not in header.score_table(problem, LIGHT)


def test_an_order_made_from_the_prediction_says_so(shown):
    assert "flatters" in trials.said(shown.judged, "predicted rate")
    for key in shown.judged.orders:
        assert key in trials.said(shown.judged, key)
        assert ("flatters" in trials.said(shown.judged, key)) == (key == "predicted rate")


def test_conditions_left_out_are_named(shown):
    choice = np.asarray(shown.judged.trials.behaviors["choice"])
    n_none = int((choice == 0).sum())
    assert 0 < n_none < 3
    assert f"choice none ({n_none})" in responses.said(shown.judged)


# --- what is drawn ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["trial number", "response time", "wheel speed", "predicted rate"])
def test_all_maps_show_their_trials_in_the_same_order(shown, key):
    judged, rows = shown.judged, Range1d(0, 1)
    maps = {name: trials.make_trial_map(*about, rows) for name, about in trials.KINDS.items()}
    trials.draw_maps(maps, judged, key)
    at = judged.orders[key].positions
    np.testing.assert_array_equal(maps["recorded"].image.data["value"][0], judged.trials.counts[at])
    expected = (judged.trials.rates / judged.trials.bin_size)[at]
    np.testing.assert_allclose(maps["predicted"].image.data["value"][0], expected, rtol=1e-6)
    residuals = judged.scores.residuals
    for name in ("recorded", "predicted"):
        drawn = maps[f"{name}_residual"].image.data["value"][0]
        np.testing.assert_allclose(drawn, getattr(residuals, name)[at], rtol=1e-5)
    numbers = [shown_map.image.data["trial"][0] for shown_map in maps.values()]
    assert all(each == numbers[0] == judged.trials.table.index[at].tolist() for each in numbers)
    limits = {(m.mapper.low, m.mapper.high) for m in (maps["recorded_residual"], maps["predicted_residual"])}
    assert len(limits) == 1 and sum(limits.pop()) == 0  # one scale around 0


def test_times_from_the_stimulus_are_drawn_where_they_are(shown):
    judged = shown.judged
    maps = {name: trials.make_trial_map(*about, Range1d(0, 1)) for name, about in trials.KINDS.items()}
    trials.draw_maps(maps, judged, "response time")
    times = np.asarray(judged.trials.behaviors["response_time"])
    assert sorted(maps["recorded"].mark.data["x"]) == pytest.approx(sorted(times[times <= 1.5]))
    trials.draw_maps(maps, judged, "choice")
    assert len(maps["recorded"].mark.data["x"]) == 0


def test_psths_are_drawn_on_one_scale_with_their_numbers(shown, state):
    panel = responses.Panel()
    group = shown.judged.psths[0]
    responses.draw_panel(panel, shown.judged, group, dark=False)
    above, below = panel.figures["recorded"], panel.figures["predicted"]
    assert above.figure.y_range.end == below.figure.y_range.end > 0
    for i, condition in enumerate(group.conditions):
        np.testing.assert_array_equal(above.lines.data["ys"][i], condition.recorded)
        np.testing.assert_array_equal(below.lines.data["ys"][i], condition.predicted)
        assert f"({condition.n_trials})" in panel.words.object and condition.label in panel.words.object
        band = above.bands.data["ys"][i]
        assert band[0] == pytest.approx(condition.recorded[0] - condition.recorded_sem[0])
        assert band[-1] == pytest.approx(condition.recorded[0] + condition.recorded_sem[0])


def test_the_whole_page_is_drawn_in_light_and_dark_and_follows_the_newest_result(state, shown):
    view = page(state)
    before = html_of(view)
    state.dark = True
    state.views = {"neuron": one_neuron(replace(SPEC, neuron=6))}
    assert html_of(view) != before
    state.views = {"neuron": None}  # the next is being computed: the last one stays
    assert "Bits per spike" in html_of(view)


def test_the_way_to_other_neurons_and_to_explore(state, shown):
    header.step(state, 1)
    assert state.spec.neuron == 6
    n_neurons = shown.recording.trials.n_neurons
    state.views = {"neuron": replace(shown, neuron=n_neurons - 1)}
    header.step(state, 1)
    assert state.spec.neuron == 0
    state.views = {"neuron": shown}
    header.look_in(state, "intra_region")
    assert state.spec.scoring == Scoring(task="intra_region")
    header.hide_in_explore(state)
    assert state.spec.page == "explore" and state.spec.hide.neurons == (5,) and state.spec.hide.by_hand
    assert state.spec.neuron == 5


def test_every_axis_has_a_label(state):
    view = page(state)
    figures = [pane.object for pane in view.select(pn.pane.Bokeh)]
    assert len(figures) == 2 * responses.MOST + 4 + 4
    upper = [f for f in figures if f.title.text == "recorded"]  # the time axis is labelled below
    for each in figures:
        assert each.yaxis[0].axis_label and (each.xaxis[0].axis_label or each in upper)


def test_calibration_is_drawn_in_roots_with_its_values_as_labels(shown):
    drawn = make_calibration_figure()
    honesty.draw_rates(drawn, shown.judged)
    found = shown.judged.calibration
    np.testing.assert_allclose(drawn.groups.data["x"], np.sqrt(found.predicted))
    np.testing.assert_allclose(drawn.groups.data["high"], np.sqrt(found.high))
    nothing = {name: np.zeros(0) for name in ("predicted", "observed", "low", "high", "n")}
    draw_calibration(drawn, nothing, None)
    assert root_ticks(100.0)[0] == 0 and root_ticks(100.0)[-1] == 100
    assert all(b > a for a, b in zip(root_ticks(37.0), root_ticks(37.0)[1:], strict=False))


def test_conditions_have_different_colors_in_both_themes():
    for labels in (["left", "right", "none"], ["reward", "error"], ["0 %", "6.25 %", "12.5 %", "25 %", "100 %"]):
        for dark in (False, True):
            assert len(set(colours(labels, dark))) == len(labels)
    assert top_of([]) > 0
    assert value_colours(np.array([np.nan, np.nan])) == ["#00000000"] * 2
    assert len(set(value_colours(np.array([1.0, 1.0, np.nan])))) == 2


def test_numbers_without_interval_have_no_brackets():
    assert neuron_scores.measured_text(Measured(0.5, reason="one trial shows no spread")) == "0.50"
    assert neuron_scores.measured_text(Measured(-0.5, (-1.0, 0.25))) == "−0.50 (−1.00 to 0.25)"
