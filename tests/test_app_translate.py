"""The page "Translate": what is shown is what the model makes of what it may see, and of nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import param
import pytest
from bokeh.models import Range1d
from hypothesis import given
from hypothesis import strategies as st
from small import small_model
from small_neds import neds_trials, small_neds

from app import recordings
from app.analyses import models as model_list
from app.analyses import suppose, translate, translation_scores
from app.analyses.suppose import bend_to, bent, knot_times, knot_values
from app.analyses.translate import Newest
from app.analyses.translation_scores import TestScores as Scored  # pytest would collect the name
from app.analyses.translation_scores import hidden_bins
from app.pages import translate as translate_page
from app.pages.translate import behaviors, bend, scores, status, switches, trial, what_if
from app.plots.difference import draw_difference, end_of, make_difference
from app.plots.raster import Rows
from app.spec import Spec, decode, encode
from app.state import State
from app.theme import DARK, LIGHT
from app.translation import (
    MODALITIES,
    MOST_BEND,
    N_KNOTS,
    TABLE,
    Bend,
    Translation,
    in_order,
    parse_translation,
    translation_text,
    with_bend,
    with_class,
)
from app.work import View, Work
from mtm_core.checkpoint import Checkpoint, save_checkpoint
from mtm_core.evaluation.hidden_modalities import _only
from mtm_core.evaluation.translation.scores import decoding_score, encoding_score
from mtm_core.masking_modalities import hide
from mtm_core.session import Trials, identity
from mtm_core.translate import translate as core_translate

TRIALS = neds_trials(without=("paw_speed",))
MODEL = small_neds(TRIALS)
BEHAVIORS = tuple(name for name in MODALITIES if name not in ("spikes", "paw_speed"))
ENCODE, DECODE = Translation(), Translation(BEHAVIORS)
LEFT = with_class(Translation(), "choice", 1)
PUSHED = Bend(100, (0, 0, 0, 200, 200, 0, 0, 0, 0))


def opened_as(trials: Trials, known: bool = True) -> SimpleNamespace:
    """A recording of small trials, as the analyses and the page use one."""
    names = trials.regions.astype(str)
    return SimpleNamespace(
        trials=trials,
        entry=SimpleNamespace(id="a"),
        model="small",
        known=known,
        region_names=names,
        colours=np.full(names.size, "#336699"),
        times=trials.window[0] + trials.bin_size * np.arange(trials.n_bins + 1),
        high_hz=50.0,
        order=lambda sort: np.arange(names.size),
        trial=lambda chosen: 2 if chosen < 0 else chosen,
    )


def use(monkeypatch, trials: Trials, known: bool = True) -> None:
    """The analyses find these trials and the small model under any name; nothing is kept from another test."""
    opened, model = opened_as(trials, known), Checkpoint(MODEL, {"data": [identity(TRIALS)]}, Path("some/small"))
    for module in (translate, suppose, translation_scores):
        monkeypatch.setattr(module, "recording", lambda session, name: opened)
        monkeypatch.setattr(module, "checkpoint", lambda name: model)
    monkeypatch.setattr(translate, "translator_of", lambda session, chosen: "small")
    for kept in (translate._seen, suppose.range_of, translation_scores._predicted, translation_scores.null_rates):
        kept.cache_clear()
    translation_scores._kept.clear()


@pytest.fixture(autouse=True)
def small_recording(monkeypatch):
    use(monkeypatch, TRIALS)


def spec(told: Translation = ENCODE, chosen: int = 2) -> Spec:
    return Spec(session="a", translator="small", page="translate", trial=chosen, translation=told)


def show(told: Translation = ENCODE, chosen: int = 2):
    return translate.show(spec(told, chosen))


def last(told: Translation) -> Newest:
    return list(translate.newest(spec(told)))[-1]


# --- the address ------------------------------------------------------------------------------------------------------

bends = st.builds(
    Bend,
    st.integers(0, 300),
    st.lists(st.integers(-MOST_BEND, MOST_BEND), min_size=N_KNOTS, max_size=N_KNOTS).map(tuple),
)


@st.composite
def translations(draw):
    told = Translation(in_order(draw(st.sets(st.sampled_from(MODALITIES)))))
    first = draw(st.integers(0, 500))
    told = replace(told, span=draw(st.sampled_from([(0, 0), (first, first + 1 + draw(st.integers(0, 99)))])))
    for name in draw(st.sets(st.sampled_from(MODALITIES[1:]))):
        classes = TABLE[name].classes
        if classes:
            told = with_class(told, name, draw(st.integers(0, len(classes) - 1)))
        else:
            told = with_bend(told, name, draw(bends))
    return told


@given(translations())
def test_every_translation_survives_its_address(told):
    assert parse_translation(translation_text(told)) == told
    assert decode(encode(Spec(page="translate", translation=told))) == (Spec(page="translate", translation=told), True)


@pytest.mark.parametrize(
    "text",
    [
        *("nonsense", "spikes.nonsense", "spikes~9-3", "spikes~3-3", "spikes~3-99999", "spikes~3-9~3-9", "spikes~"),
        *("spikes~choice.2", "spikes~choice.-1", "spikes~choice.0.1", "spikes~choice", "spikes~spikes.1"),
        *("spikes~choice.1~choice.0", "spikes~wheel_speed.100", "spikes~wheel_speed.100" + ".0" * 8),
        *(
            "spikes~wheel_speed.301" + ".0" * 9,
            "spikes~wheel_speed.-10" + ".0" * 9,
            "spikes~wheel_speed.1" + ".501" * 9,
        ),
    ],
)
def test_another_text_is_refused_and_the_page_still_opens(text):
    with pytest.raises(ValueError):
        parse_translation(text)
    assert decode(f"page=translate&translation={text}") == (Spec(page="translate"), False)


@given(st.text(max_size=60))
def test_any_text_is_a_translation_or_a_value_error(text):
    try:
        assert isinstance(parse_translation(text), Translation)
    except ValueError:
        pass


# --- one trial --------------------------------------------------------------------------------------------------------


def test_a_trial_is_what_the_library_predicts_with_the_same_mask():
    shown, one = show(Translation(("spikes", "choice", "wheel_speed"), (3, 7))), TRIALS.select(np.array([2]))
    found = core_translate(MODEL, one, hide((1, 10), (3, 7), {"choice": (3, 7), "wheel_speed": (3, 7)}))
    assert np.array_equal(shown.rates, found.rates[0])
    traces = {trace.name: trace for trace in shown.traces}
    assert np.array_equal(traces["wheel_speed"].predicted, found.traces["wheel_speed"][0])
    assert np.flatnonzero(traces["wheel_speed"].hidden).tolist() == np.flatnonzero(shown.dark).tolist() == [3, 4, 5, 6]
    assert not traces["pupil"].hidden.any()
    choice = shown.statics[0]
    assert choice.hidden and np.array_equal(choice.probabilities, found.probabilities["choice"][0])


@pytest.mark.parametrize("poison", [np.nan, 1e6, -3.0])
def test_hidden_behavior_cannot_be_seen(monkeypatch, poison):
    before, after_all = show(DECODE), last(DECODE).scores
    changed = {name: values.copy() for name, values in TRIALS.behaviors.items()}
    for name in BEHAVIORS:
        changed[name][2] = poison
    use(monkeypatch, replace(TRIALS, behaviors=changed))
    after = show(DECODE)
    assert np.array_equal(before.rates, after.rates) and after_all is not None
    for one, other in zip(before.statics, after.statics, strict=True):
        assert np.array_equal(one.probabilities, other.probabilities)
    for one, other in zip(before.traces, after.traces, strict=True):
        assert np.array_equal(one.predicted, other.predicted)


def test_hidden_spikes_and_a_hidden_stretch_cannot_be_seen(monkeypatch):
    told = Translation(("spikes", "wheel_speed"), (3, 7))
    before, whole = show(told), show(ENCODE)
    counts, wheel = TRIALS.counts.copy(), TRIALS.behaviors["wheel_speed"].copy()
    counts[2, 3:7], wheel[2, 3:7] = 255, 1e6
    use(monkeypatch, replace(TRIALS, counts=counts, behaviors={**TRIALS.behaviors, "wheel_speed": wheel}))
    assert np.array_equal(before.rates, show(told).rates)
    counts[2] = 255
    use(monkeypatch, replace(TRIALS, counts=counts))
    assert np.array_equal(whole.rates, show(ENCODE).rates)


def test_what_is_shown_can_be_seen(monkeypatch):
    before, wheel = show(ENCODE), TRIALS.behaviors["wheel_speed"].copy()
    wheel[2] += 3
    use(monkeypatch, replace(TRIALS, behaviors={**TRIALS.behaviors, "wheel_speed": wheel}))
    assert not np.array_equal(before.rates, show(ENCODE).rates)


def test_a_behavior_that_is_not_there_says_why(monkeypatch):
    assert show().absent == {"paw_speed": "not recorded"} and show().present == BEHAVIORS
    use(monkeypatch, replace(TRIALS, behaviors={**TRIALS.behaviors, "paw_speed": TRIALS.behaviors["pupil"]}))
    assert "the model does not know it" in show().absent["paw_speed"]


def test_an_unknown_value_is_neither_right_nor_wrong(monkeypatch):
    assert {static.right for static in show(DECODE).statics} <= {True, False}
    assert {static.right for static in show(ENCODE).statics} == {None}
    choice = TRIALS.behaviors["choice"].copy()
    choice[2] = 0.0
    use(monkeypatch, replace(TRIALS, behaviors={**TRIALS.behaviors, "choice": choice}))
    assert show(DECODE).statics[0].right is None and behaviors.verdict(show(DECODE).statics[0]) == "not recorded"


def test_a_span_beyond_the_trial_hides_all_of_it():
    assert hidden_bins(Translation(span=(50, 60)), 10).all()
    assert hidden_bins(Translation(span=(8, 60)), 10).sum() == 2


# --- what if ----------------------------------------------------------------------------------------------------------


def test_what_was_recorded_makes_no_difference():
    recorded = show().statics[0].recorded
    for told in (with_class(Translation(), "choice", recorded), with_class(DECODE, "choice", recorded)):
        supposed = show(told).supposed
        assert supposed is not None and not supposed.difference.any()
    assert show(ENCODE).supposed is None
    assert "No predicted rate changes" in what_if.sentence(show(with_class(Translation(), "choice", recorded)))


def test_another_choice_is_the_model_s_answer_to_that_choice():
    recorded = show().statics[0].recorded
    supposed = show(with_class(Translation(), "choice", 1 - recorded)).supposed
    one = TRIALS.select(np.array([2]))
    mask = hide((1, 10), (0, 10))
    other = replace(one, behaviors={**one.behaviors, "choice": -one.behaviors["choice"]})
    expected = core_translate(MODEL, other, mask).rates[0] - core_translate(MODEL, one, mask).rates[0]
    assert expected.any() and np.array_equal(supposed.difference, expected)
    assert supposed.read == BEHAVIORS


def test_what_if_reads_what_is_shown_and_what_is_changed_and_no_spikes(monkeypatch):
    told = with_class(DECODE, "choice", 1 - show().statics[0].recorded)
    before = show(told).supposed
    assert before.read == ("choice",)
    counts, values = np.full_like(TRIALS.counts, 9), {**TRIALS.behaviors}
    values["wheel_speed"] = values["wheel_speed"] + 5
    use(monkeypatch, replace(TRIALS, counts=counts, behaviors=values))
    assert np.array_equal(before.difference, show(told).supposed.difference)


def test_what_the_model_does_not_know_makes_no_difference():
    supposed = show(with_bend(Translation(), "paw_speed", PUSHED)).supposed
    assert not supposed.difference.any() and "paw_speed" not in supposed.read


def test_a_bent_trace_goes_through_its_points_and_a_dragged_point_comes_back():
    opened = opened_as(TRIALS)
    recorded = bent(opened, 2, "wheel_speed", Bend())
    assert np.array_equal(recorded, TRIALS.behaviors["wheel_speed"][2].astype(np.float64))
    spread = np.std(TRIALS.behaviors["wheel_speed"][TRIALS.split == "train"], dtype=np.float64)
    moved = bent(opened, 2, "wheel_speed", PUSHED)
    middles = TRIALS.bin_starts + TRIALS.bin_size / 2
    assert np.allclose(moved - recorded, np.interp(middles, knot_times(opened), PUSHED.knots) / 100 * spread)
    assert np.allclose(bent(opened, 2, "wheel_speed", Bend(50)), recorded / 2)
    values = knot_values(opened, 2, "wheel_speed", PUSHED)
    assert bend_to(opened, 2, "wheel_speed", PUSHED, values) == PUSHED
    values[0] += 1.5 * spread
    assert bend_to(opened, 2, "wheel_speed", PUSHED, values).knots == (150, *PUSHED.knots[1:])
    values[0] = 1e9
    assert bend_to(opened, 2, "wheel_speed", PUSHED, values).knots[0] == MOST_BEND


def test_a_trace_that_is_never_negative_stays_so(monkeypatch):
    wheel = np.abs(TRIALS.behaviors["wheel_speed"])
    use(monkeypatch, replace(TRIALS, behaviors={**TRIALS.behaviors, "wheel_speed": wheel}))
    opened = suppose.recording("a", "small")
    assert bent(opened, 2, "wheel_speed", Bend(100, (-500,) * N_KNOTS)).min() == 0


# --- scores -----------------------------------------------------------------------------------------------------------


def test_scores_of_all_test_trials_are_those_of_the_library():
    part = TRIALS.select("test")
    whole = (0, TRIALS.n_bins)
    found = core_translate(MODEL, part, hide((part.n_trials, 10), whole))
    summary, shown = encoding_score(found.rates, TRIALS).summary, last(ENCODE).scores
    assert shown.measures["spikes", "pooled_test"].value == pytest.approx(summary.pooled, abs=1e-6)
    assert shown.measures["spikes", "mean_test"].value == pytest.approx(summary.mean, abs=1e-6)
    found, shown = (
        core_translate(MODEL, part, hide((part.n_trials, 10), None, dict.fromkeys(BEHAVIORS, whole))),
        last(DECODE).scores,
    )
    for name, predicted in {**found.probabilities, **found.traces}.items():
        for measure, value in decoding_score(predicted, TRIALS, name).measures.items():
            other = shown.measures[name, measure].value
            assert other == value.value or other == pytest.approx(value.value, abs=1e-6)


def test_only_the_hidden_stretch_is_scored(monkeypatch):
    told = Translation(("spikes", "wheel_speed"), (3, 7))
    before = last(told).scores
    test = TRIALS.split == "test"
    rng, counts, wheel = np.random.default_rng(3), TRIALS.counts.copy(), TRIALS.behaviors["wheel_speed"].copy()
    counts[np.ix_(test, np.arange(3, 7))] = rng.poisson(1.0, (int(test.sum()), 4, TRIALS.n_neurons))
    wheel[np.ix_(test, np.arange(3, 7))] += 1
    use(monkeypatch, replace(TRIALS, counts=counts, behaviors={**TRIALS.behaviors, "wheel_speed": wheel}))
    after = last(told).scores
    for key in (("spikes", "pooled_test"), ("wheel_speed", "r2")):
        assert before.measures[key].value != after.measures[key].value  # the truth there has changed
    values = np.array(TRIALS.behaviors["wheel_speed"], dtype=np.float64)
    only = _only(TRIALS, "wheel_speed", hidden_bins(told, 10), "test").behaviors["wheel_speed"]
    assert np.isnan(only[test][:, [0, 1, 2, 7, 8, 9]]).all() and np.array_equal(only[~test], values[~test])


def test_a_result_is_shown_before_it_is_scored_and_kept():
    steps = list(translate.newest(spec(DECODE)))
    assert steps[0].scores is None and steps[0].shown is steps[-1].shown and steps[-1].scores.measures
    assert len(list(translate.newest(spec(with_class(DECODE, "choice", 1))))) == 2  # nothing is scored again
    assert len(list(translate.newest(spec(Translation(()))))) == 1


# --- the page ---------------------------------------------------------------------------------------------------------


def visitor(monkeypatch, told: Translation = ENCODE) -> State:
    """A visitor whose results are there at once."""
    monkeypatch.setattr(State, "start", lambda self: None)
    view = View(translate.newest, translate.READS)
    state = State(Work(lambda spec: None, lambda spec: iter(()), views={"translate": view}), spec=spec(told))
    state.views = {"translate": last(told)}
    return state


def released(slider, value) -> None:
    """A visitor lets go of a slider."""
    with param.edit_constant(slider):
        slider.value_throttled = value


@pytest.mark.parametrize(
    "told", [Translation(), DECODE, Translation(("spikes", "choice"), (2, 5)), Translation(()), LEFT]
)
def test_the_page_builds(monkeypatch, told):
    state = visitor(monkeypatch, told)
    assert translate_page.page(state) is not None and state.message == ""
    state.dark = True
    assert state.message == ""


def test_a_recording_without_a_model_gets_the_command(monkeypatch):
    monkeypatch.setattr(translate, "translator_of", lambda session, chosen: "")
    found = list(translate.newest(spec()))
    assert len(found) == 1 and "no model that translates" in found[0].problem
    use(monkeypatch, TRIALS, known=False)
    assert "has not been trained on this recording" in next(iter(translate.newest(spec()))).problem
    state = visitor(monkeypatch)
    page = translate_page.page(state)
    assert state.message == "" and page[0].visible and not page[1].visible
    assert "mtm train --model neds --session a " in str(
        page[0].select(lambda each: "mtm train" in str(getattr(each, "object", "")))[0].object
    )


def test_presets_hide_what_they_say():
    for kind, hidden in {"encode": ("spikes",), "decode": BEHAVIORS, "one": ("spikes", *BEHAVIORS[:-1])}.items():
        assert switches.preset(kind, "pupil", BEHAVIORS) == hidden
        assert switches.preset_of(hidden, BEHAVIORS) == (kind, "pupil" if kind == "one" else None)
    assert switches.preset_of(("choice",), BEHAVIORS) == (switches.OWN, None)


def test_a_switch_hides_and_shows_and_the_presets_follow(monkeypatch):
    state = visitor(monkeypatch)
    made = switches.Switches(state)
    assert made.presets.value == "encode" and made.switches["paw_speed"].disabled
    made.switches["choice"].value = False
    assert state.spec.translation.hidden == ("spikes", "choice") and made.presets.value == switches.OWN
    assert made.switches["choice"].label == "Choice: hidden"
    made.presets.value = "decode"
    assert state.spec.translation.hidden == BEHAVIORS and made.switches["spikes"].value
    released(made.span, (float(made.span.start), float(made.span.start) + 0.1))
    assert state.spec.translation.span == (0, 5)


def test_flipping_the_choice_and_taking_it_back(monkeypatch):
    state = visitor(monkeypatch)
    classes, recorded = what_if.Classes(state), show().statics[0].recorded
    classes.flip_choice()
    assert state.spec.translation.classes == (("choice", 1 - recorded),)
    state.views = {"translate": last(state.spec.translation)}
    assert classes.selects["choice"].value == 1 - recorded and not classes.reset.disabled
    classes.selects["reward"].value = 0
    classes.flip_choice()
    assert dict(state.spec.translation.classes) == {"reward": 0}
    classes.forget()
    assert not state.spec.translation.supposes


def test_a_dragged_point_bends_the_trace_and_one_taken_away_does_not(monkeypatch):
    state = visitor(monkeypatch)
    made = bend.BendView(state)
    there = {name: np.array(values) for name, values in made.plot.knots.data.items()}
    made.plot.knots.data = {"x": there["x"] + 0.01, "y": there["y"] + np.eye(N_KNOTS)[4]}
    ((name, bent_by),) = state.spec.translation.bends
    assert name == "wheel_speed" and bent_by.percent == 100
    assert [knot != 0 for knot in bent_by.knots] == [i == 4 for i in range(N_KNOTS)]
    assert np.array_equal(made.plot.knots.data["x"], there["x"])
    made.plot.knots.data = {"x": there["x"][1:], "y": there["y"][1:]}
    assert len(made.plot.knots.data["x"]) == N_KNOTS and state.spec.translation.bends[0][1] == bent_by
    released(made.scale, 50)
    assert state.spec.translation.bends[0][1] == Bend(50, bent_by.knots)


def test_sentences_say_what_is_hidden_and_what_came_of_it():
    assert status.sentence(show(Translation(()))).startswith("Nothing is hidden")
    said = status.sentence(show(DECODE))
    assert said.startswith("The model sees spikes; hidden: choice, block,") and " of 4 right in this trial" in said
    assert "bits per spike" in status.sentence(show())
    flipped = what_if.sentence(show(with_bend(LEFT, "wheel_speed", Bend(50, PUSHED.knots))))
    assert "→ left" in flipped and "Wheel speed: 50 % and dragged" in flipped and "and no spikes" in flipped


def test_the_table_has_a_row_for_everything_hidden():
    shown = last(replace(DECODE, hidden=("spikes", *BEHAVIORS)))
    rows = scores.score_rows(shown.shown, shown.scores)
    assert [row[0] for row in rows[:4]] == ["Spikes"] * 4 and len(rows) == 4 + 4 + 2 * 3
    assert rows[4][4] == "0.50" and rows[4][2].split(" · ")[0] in ("right", "wrong")
    assert all("…" in row for row in scores.score_rows(shown.shown, Scored(1, 2, {}, {}))[:3])


def test_cards_of_classes_show_no_prediction_of_what_the_model_was_told():
    assert "%" in behaviors.cards_html(show(DECODE).statics, LIGHT)
    assert "class='p'" not in behaviors.cards_html(show().statics, DARK)


def test_next_test_trial_goes_round():
    test = np.flatnonzero(TRIALS.split == "test")
    at = SimpleNamespace(recording=SimpleNamespace(trials=TRIALS), trial=int(test[-1]))
    assert trial.next_test(at, 1) == test[0] and trial.next_test(at, -1) == test[-2]


def test_both_signs_of_a_change_survive_thin_rows():
    values = np.zeros((2000, 3))
    values[7, 1], values[900, 2] = -5.0, 4.0
    raster = make_difference("", (Range1d(0, 1), Range1d(0, 1)))
    layer = np.zeros(values.shape, np.uint8)
    labels = [str(i) for i in range(len(values))]
    draw_difference(raster, Rows(labels, ["#123456"] * len(values), [], np.arange(4.0), layer), values)
    image = raster.image.data["image"][0]
    assert image.min() == -5 and image.max() == 4 and image.shape[0] < 2000


def test_the_scale_of_changes_is_round():
    assert end_of(np.full((3, 3), 0.3)) == 0.5 and end_of(np.zeros((3, 3))) == 0.01


# --- which models -----------------------------------------------------------------------------------------------------


def test_every_page_offers_the_models_of_its_kind(monkeypatch, tmp_path):
    save_checkpoint(tmp_path / "between", MODEL, {"data": [identity(TRIALS)]})
    save_checkpoint(tmp_path / "within", small_model(TRIALS), {"data": [identity(TRIALS)]})
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "checkpoint.json").write_text("{")
    there = {name: tmp_path / name for name in ("between", "within", "broken")}
    monkeypatch.setattr(recordings, "models", lambda: there)
    monkeypatch.setattr(model_list, "models", lambda: there)
    assert list(recordings.predictors()) == ["within", "broken"] and list(recordings.translators()) == ["between"]
    assert list(model_list.translator_labels().values()) == ["between"]
    assert model_list.translator_of("a", "") == model_list.translator_of("a", "within") == "between"
    monkeypatch.setattr(recordings, "models", dict)
    assert model_list.translator_of("a", "between") == ""
