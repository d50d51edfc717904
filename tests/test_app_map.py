"""The page "Map": what is drawn and said is what was measured."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bokeh.events import Tap
from small import small_model, small_trials

from app.analyses import information, swanson
from app.analyses.kept import Kept
from app.pages import map as map_page
from app.pages.map import context, said
from app.pages.map.pairs import Pairs
from app.plots.information import (
    LossBars,
    MapCells,
    cell_at,
    choose_cell,
    colour_limit,
    draw_losses,
    draw_map,
    make_loss_figure,
    make_map_figure,
    recolour_losses,
    recolour_map,
)
from app.plots.swanson import draw_swanson, make_swanson_figure, recolour_swanson
from app.spec import HAND, Hide, Spec
from app.state import State
from app.theme import DARK, LIGHT
from app.work import Job, View, Work
from mtm_core.checkpoint import Checkpoint
from mtm_core.evaluation.information.map import Kind, Settings, information_map
from mtm_core.session import identity

REGIONS = np.array(["LP", "LP", "CA1", "CA1", "VISp", "VISp", "root"])
TRIALS = small_trials(shape=(30, 6, 7), regions=REGIONS)
SPEC = Spec(session="a", model="small", page="map")
N_CELLS = 9


@pytest.fixture(autouse=True)
def small_recording(monkeypatch):
    """The analyses find a small session and model under any name; nothing is kept from another test."""
    model = Checkpoint(small_model(TRIALS), {"hash": "0" * 64, "data": [identity(TRIALS)]}, Path("some/small"))
    opened = SimpleNamespace(trials=TRIALS, known=True, region_names=REGIONS, regions=("VISp", "CA1", "LP", "root"))
    monkeypatch.setattr(information, "recording", lambda session, name: opened)
    monkeypatch.setattr(information, "checkpoint", lambda name: model)
    monkeypatch.setattr(information, "_kept", Kept(8))
    information._at_level.cache_clear()
    return opened


def last(steps):
    return list(steps)[-1][1]


@pytest.fixture
def shown():
    return last(information.lost(SPEC))


def visitor(monkeypatch, **jobs) -> State:
    """A visitor whose choices start nothing."""
    monkeypatch.setattr(State, "start", lambda self: None)
    state = State(Work(lambda spec: None, lambda spec: iter(()), views={"map": View(information.kept)}), spec=SPEC)
    state.jobs = jobs
    return state


# --- analyses ---------------------------------------------------------------------------------------------------------


def test_the_map_on_the_page_is_the_map_of_the_library(shown):
    model = information.checkpoint("small")
    expected = last(information_map(model, TRIALS, Settings(kind=Kind.LOST)))
    assert shown.found.table.equals(expected.table) and shown.names == ("VISp", "CA1", "LP")


def test_a_complete_map_is_kept_for_other_visitors_and_a_cancelled_one_is_not():
    steps = information.alone(SPEC)
    next(steps)
    assert information.kept(SPEC) == {}
    steps.close()
    found = last(information.alone(SPEC))
    assert information.kept(SPEC) == {"alone": found} and list(information.alone(SPEC)) == [(1.0, found)]
    assert information.kept(replace(SPEC, session="b")) == {}


def test_few_maps_are_kept(monkeypatch):
    monkeypatch.setattr(information._kept, "most", 2)
    for session in "abc":
        last(information.alone(replace(SPEC, session=session)))
    assert len(information._kept) == 2 and information.kept(replace(SPEC, session="c"))


def test_the_context_is_what_is_hidden_by_hand():
    hide = Hide(scheme=HAND, regions=("LP",), neurons=(2, 6, 999))
    found = last(information.context(replace(SPEC, hide=hide))).loss
    assert found.n_hidden == 4 and list(found.regions["region"]) == ["VISp", "CA1", "LP"]


@pytest.mark.parametrize("hide", [Hide(), Hide(scheme=HAND), Hide(scheme="neuron", regions=("LP",))])
def test_without_a_context_the_visitor_is_told_to_choose_one(hide):
    with pytest.raises(ValueError, match="tick a region"):
        next(information.context(replace(SPEC, hide=hide)))


def test_a_model_that_does_not_know_the_recording_measures_nothing(small_recording):
    small_recording.known = False
    for steps in (information.lost(SPEC), information.context(replace(SPEC, hide=Hide(scheme=HAND, regions=("LP",))))):
        with pytest.raises(ValueError, match="not been trained on this recording"):
            next(steps)


# --- figures ----------------------------------------------------------------------------------------------------------


def cells(gain):
    n = len(gain)
    texts = {name: [f"{name} {i}" for i in range(n * n)] for name in ("interval", "pooled", "control", "p", "q")}
    return MapCells(("VISp", "CA1", "LP")[:n], ("#111111",) * n, gain, gain > 0.05, texts)


def test_every_cell_is_drawn_where_its_source_and_target_are():
    gain = np.array([[0.5, 0.1, -0.2], [0.01, 0.02, np.nan], [0.0, 0.07, 0.9]])
    made = make_map_figure()
    draw_map(made, cells(gain))
    drawn = made.cells.data
    for x, y, value, source, target in zip(*(drawn[c] for c in ("x", "y", "gain", "source", "target")), strict=True):
        assert (source, target) == (cells(gain).names[y], cells(gain).names[x])
        assert np.array_equal(value, gain[y, x], equal_nan=True)
    assert made.figure.y_range.start > made.figure.y_range.end  # the first source is on top
    assert (list(made.empty.data["x"]), list(made.empty.data["y"])) == ([2], [1])
    marks = set(zip(made.marks.data["y"].tolist(), made.marks.data["x"].tolist(), strict=True))
    assert marks == {(0, 0), (0, 1), (2, 1), (2, 2)}
    assert made.figure.xaxis[0].major_label_overrides == {0: "VISp", 1: "CA1", 2: "LP"}


def test_colours_are_symmetric_about_zero_and_end_at_the_largest_gain_between_regions():
    gain = np.array([[0.5, 0.1], [-0.2, np.nan]])
    made = make_map_figure()
    draw_map(made, cells(gain))
    assert colour_limit(gain) == 0.2 and (made.shades.low, made.shades.high) == (-0.2, 0.2)
    for dark, look in ((False, LIGHT), (True, DARK)):
        recolour_map(made, look, dark)
        palette = made.shades.palette
        assert len(palette) % 2 == 1 and palette[len(palette) // 2] == look.surface and palette[0] != palette[-1]
    assert colour_limit(np.full((2, 2), np.nan)) == colour_limit(np.zeros((1, 1))) > 0


def test_a_click_finds_the_cell_under_it():
    for source in range(3):
        for target in range(3):
            for x, y in ((0, 0), (0.49, -0.49), (-0.49, 0.3)):
                assert cell_at(target + x, source + y, 3) == (source, target)
    outside = [(-0.6, 1), (1, 2.6), (3, 1), (float("nan"), 0), (None, None)]
    assert [cell_at(x, y, 3) for x, y in outside] == [None] * 5
    made = make_map_figure()
    choose_cell(made, (1, 2))
    assert made.chosen.data == {"x": [2], "y": [1]}


def test_bars_of_losses_show_all_regions_with_their_intervals():
    made = make_loss_figure()
    bars = LossBars(
        ("VISp", "CA1"),
        ("#1", "#2"),
        np.array([0.1, np.nan]),
        np.array([0.05, np.nan]),
        np.array([0.2, np.nan]),
        np.array([3, 0]),
    )
    draw_losses(made, bars)
    recolour_losses(made, DARK)
    assert made.figure.y_range.factors == ["CA1", "VISp"]
    assert made.figure.x_range.start < 0 and made.figure.x_range.end > 0.2
    assert made.bars.data["interval"][0] == "0.050 to 0.200"


def test_axes_say_what_they_show():
    for made in (make_map_figure(), make_loss_figure()):
        assert "region" in made.figure.yaxis[0].axis_label and made.figure.xaxis[0].axis_label
    assert (
        make_map_figure().bar.title == "bits per spike"
        and "bits per spike" in make_loss_figure().figure.xaxis[0].axis_label
    )


# --- words ------------------------------------------------------------------------------------------------------------


def test_a_cell_in_words_holds_its_numbers(shown):
    row = shown.found.table.iloc[1]
    text = said.cell_sentence(shown, 0, 1)
    assert text.startswith("Hiding VISp as well costs the prediction of CA1")
    for value in (row["gain_mean"], row["ci_low"], row["ci_high"], row["gain_pooled"], row["control"]):
        assert f"{value:.3f}".replace("-", "−") in text
    assert said.chance(row["p"]) in text and "2 neurons" in text
    assert said.cell_sentence(shown, 1, 1).startswith("The rest of CA1")
    assert said.cell_sentence(last(information.alone(SPEC)), 0, 1).startswith("With nothing but VISp visible")


def test_an_unfinished_map_says_so():
    _, first = next(information.lost(SPEC))
    job = Job("map", SPEC, first, 0.1)
    assert said.about_map(first, job).startswith("Still running: 0 of 9 cells")
    assert said.about_map(first, replace(job, state="cancelled")).startswith("Cancelled, partial: 0 of 9")
    assert said.cell_sentence(first, 0, 1) == "VISp → CA1: not measured yet."
    assert "root (1 neuron" in said.about_map(first, job)
    assert said.about_map(None, None).startswith("Not measured yet")


def test_small_chances_are_not_rounded_to_zero():
    assert [said.chance(p) for p in (0.0001, 0.0234, 1.0, float("nan"))] == ["< 0.001", "0.023", "1.000", "–"]


def test_a_context_in_words():
    assert said.context_words((), ()) == "nothing"
    assert said.context_words(("CA1", "DG"), (1, 2, 3)) == "CA1, DG and 3 neurons"


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_is_built_before_anything_is_measured(monkeypatch):
    assert map_page.page(visitor(monkeypatch)) is not None


def test_a_click_on_a_cell_says_it_and_its_link_hides_both_regions(monkeypatch, shown):
    state = visitor(monkeypatch, map=Job("map", SPEC, shown, 1.0, None, "done"))
    part = Pairs(state)
    part.draw()
    part.tap(Tap(part.shown.figure, x=2, y=1))
    assert part.cell == (1, 2) and [end.value for end in part.ends] == ["CA1", "LP"]
    assert part.sentence.text == said.cell_sentence(shown, 1, 2)
    part.tap(Tap(part.shown.figure, x=-3, y=1))
    assert part.cell == (1, 2)
    part.hide_both()
    assert state.spec.page == "explore" and state.spec.hide == Hide(scheme=HAND, regions=("CA1", "LP"))


def test_the_lists_choose_a_cell_without_a_mouse(monkeypatch, shown):
    part = Pairs(visitor(monkeypatch, map=Job("map", SPEC, shown, 1.0, None, "done")))
    part.draw()
    part.ends[0].value, part.ends[1].value = "LP", "VISp"
    part.pick()
    assert part.cell == (2, 0) and part.sentence.text == said.cell_sentence(shown, 2, 0)


def test_a_map_of_another_recording_is_not_shown(monkeypatch, shown):
    state = visitor(monkeypatch, map=Job("map", replace(SPEC, session="b"), shown, 1.0, None, "done"))
    part = Pairs(state)
    part.draw()
    assert part.map is None and not part.figure.visible and not part.start.disabled
    assert all(file.disabled for file in part.files)
    state.views = {"map": {"lost": shown}}  # another visitor has measured it
    part.draw()
    assert part.map is shown and part.figure.visible and part.start.disabled
    assert not any(file.disabled for file in part.files)


def test_downloads_hold_the_map(monkeypatch, shown):
    part = Pairs(visitor(monkeypatch, map=Job("map", SPEC, shown, 1.0, None, "done")))
    table, everything = (file.callback().read() for file in part.files)
    assert len(list(csv.DictReader(io.StringIO(table)))) == N_CELLS and json.loads(everything)["complete"] is True
    assert [file.filename for file in part.files] == ["information-map.csv", "information-map.json"]


def test_ticking_a_region_hides_it_by_hand(monkeypatch, small_recording):
    state = visitor(monkeypatch)
    state.picture = SimpleNamespace(recording=small_recording)
    part = context.view(state)
    regions, start = part[1], part[3]
    assert regions.options == ["VISp", "CA1", "LP", "root"] and regions.value == [] and start.disabled
    regions.value = ["LP", "CA1"]
    assert state.spec.hide == Hide(scheme=HAND, regions=("CA1", "LP")) and not start.disabled
    loss = last(information.context(state.spec))
    state.jobs = {"context": Job("context", state.spec, loss, 1.0, None, "done")}
    assert part[4].text.startswith("3 target regions, each hidden, with and without CA1, LP (4 neurons)")
    state.undo()
    assert regions.value == [] and start.disabled


# --- flat map ---------------------------------------------------------------------------------------------------------

SQUARE = {"x": [0, 1, 1, 0], "y": [0, 0, 1, 1]}
INNER = {"x": [0.2, 0.4, 0.4], "y": [0.2, 0.2, 0.4]}


def outline_file(tmp_path, monkeypatch, entries) -> None:
    path = tmp_path / "outlines.json"
    path.write_text(entries if isinstance(entries, str) else json.dumps(entries), "utf-8")
    monkeypatch.setenv("MTM_SWANSON", str(path))


def row_of(acronym: str) -> int:
    from iblatlas.regions import BrainRegions

    return int(np.flatnonzero(BrainRegions().acronym == acronym)[0])


def test_outlines_belong_to_the_regions_of_the_level(tmp_path, monkeypatch):
    entries = [
        {"thisID": row_of("CA1"), "coordsReg": SQUARE, "hole": False},
        {"thisID": row_of("VISp6a"), "coordsReg": [SQUARE, INNER], "hole": True},
        {"thisID": row_of("LP"), "coordsReg": [SQUARE, INNER], "hole": False},
    ]
    outline_file(tmp_path, monkeypatch, entries)
    found = swanson.outlines("beryl")
    assert [each.region for each in found] == ["CA1", "VISp", "LP"]
    assert [len(each.polygons) for each in found] == [1, 1, 2] and len(found[1].polygons[0]) == 2
    made = make_swanson_figure(make_map_figure().shades)
    draw_swanson(made, "What LP adds", [(each.region, each.polygons) for each in found], {"CA1": 0.1})
    recolour_swanson(made, DARK)
    assert made.shapes.data["gain"][0] == 0.1 and np.isnan(made.shapes.data["gain"][1:]).all()
    assert made.shapes.data["said"] == ["0.100", "not measured", "not measured"]
    assert made.shapes.data["xs"][1] == [[[0, 1, 1, 0], [0.2, 0.4, 0.4]]]


def test_the_flat_map_follows_the_chosen_source(tmp_path, monkeypatch, shown):
    outline_file(tmp_path, monkeypatch, [{"thisID": row_of("CA1"), "coordsReg": SQUARE}])
    part = Pairs(visitor(monkeypatch, map=Job("map", SPEC, shown, 1.0, None, "done")))
    part.draw()
    part.choose((2, 0))
    assert part.flat_figure.visible and "LP" in part.flat.figure.title.text
    assert part.flat.shapes.data["gain"] == [shown.found.matrix("gain_mean")[2, 1]]


@pytest.mark.parametrize(
    "entries",
    [
        "not json",
        "[1, 2]",
        "{}x",
        [{"thisID": 1}],
        [{"thisID": 10**9, "coordsReg": SQUARE}],
        [{"thisID": 1, "coordsReg": {"x": [1, 2], "y": [1]}}],
        [{"thisID": 1, "coordsReg": {"x": [1e999], "y": [1]}}],
    ],
)
def test_a_damaged_outline_file_is_left_aside(tmp_path, monkeypatch, entries):
    outline_file(tmp_path, monkeypatch, entries)
    assert swanson.outlines("beryl") == ()


def test_without_outlines_there_is_no_flat_map(tmp_path, monkeypatch, shown):
    monkeypatch.setenv("MTM_SWANSON", str(tmp_path / "none.json"))
    part = Pairs(visitor(monkeypatch, map=Job("map", SPEC, shown, 1.0, None, "done")))
    part.draw()
    assert swanson.outlines("beryl") == () and not part.flat_figure.visible
