"""The page "Units": what is drawn and said is what was measured; a click leads to the neuron."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from small import small_model, small_trials

from app.analyses import embeddings
from app.analyses.kept import Kept
from app.pages import embeddings as units_page
from app.pages.embeddings import said
from app.pages.embeddings.shown import Shown
from app.spec import Spec, decode, encode
from app.state import State
from app.theme import DARK
from app.work import Job, View, Work
from mtm_core.checkpoint import Checkpoint
from mtm_core.evaluation.region_probe import Protocol, Settings
from mtm_core.evaluation.unit_map import map_2d
from mtm_core.session import identity

SHAPE = (6, 8, 26)
REGIONS = np.repeat(["CA1", "LP"], 13)
TRIALS = {name: small_trials(name, SHAPE, seed, regions=REGIONS) for seed, name in enumerate(("one", "two"))}
MODEL = small_model(*TRIALS.values())
SPEC = Spec(session="one", model="small", page="embeddings")
FIRING = {name: np.random.default_rng(5).normal(size=(26, 3)) for name in TRIALS}
VIEW = View(embeddings.kept, embeddings.READS)


def session_of(name: str) -> SimpleNamespace:
    if name not in TRIALS:
        raise ValueError(f"{name} <b>is</b> not here")
    units = pd.DataFrame({"uuid": TRIALS[name].unit_ids, "region": REGIONS})
    return SimpleNamespace(id=name, units=units, align=lambda *about: TRIALS[name])


@pytest.fixture(scope="module", autouse=True)
def small_recordings():
    """Two small recordings of one model, whose probe takes one shuffle."""
    data = [identity(trials) for trials in TRIALS.values()]
    lost = {**data[0], "session": "lost"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embeddings, "checkpoint", lambda name: Checkpoint(MODEL, {"data": [*data, lost]}, Path("some")))
        patch.setattr(embeddings, "open_session", session_of)
        patch.setattr(embeddings, "firing_features", lambda session, trials: FIRING[session.id])
        patch.setattr(embeddings, "Settings", lambda: Settings(n_shuffles=1))
        patch.setattr(embeddings, "_kept", Kept(8))
        yield


@pytest.fixture(scope="module")
def all_steps(small_recordings):
    return list(embeddings.steps(SPEC))


@pytest.fixture(scope="module")
def result(all_steps):
    return all_steps[-1][1]


def visitor(monkeypatch, **jobs) -> State:
    """A visitor whose choices start nothing."""
    monkeypatch.setattr(State, "start", lambda self: None)
    work = Work(lambda spec: None, lambda spec: iter(()), views={"embeddings": VIEW})
    state = State(work, spec=SPEC, pages=("explore", "neuron", "embeddings"))
    state.jobs = jobs
    return state


@pytest.fixture
def part(monkeypatch, result):
    made = Shown(visitor(monkeypatch, embeddings=Job("embeddings", SPEC, result, 1.0, None, "done")))
    made.draw()
    return made


# --- the job ----------------------------------------------------------------------------------------------------------


def test_the_job_goes_from_opening_to_the_whole_result(all_steps, result):
    shares = [share for share, _ in all_steps]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
    assert result.complete and not any(shown.complete for _, shown in all_steps[:-1])
    assert set(result.probed) == set(Protocol) and all(each.null for each in result.probed.values())
    placed = [bool(shown.axes[0]) for _, shown in all_steps]
    assert placed == sorted(placed) and placed.index(True) < len(placed) / 2  # the map comes before the probe


def test_the_table_holds_every_neuron_of_all_recordings_where_the_library_puts_it(result):
    weights = [table.detach().numpy() for table in (MODEL.units.input, MODEL.units.readout)]
    np.testing.assert_array_equal(result.table[["x", "y"]], map_2d(np.hstack(weights), 0).places)
    assert result.table.uuid.tolist() == list(MODEL.unit_ids) and result.table.neuron.tolist() == [*range(26)] * 2
    assert list(result.regions) == ["CA1", "LP"] and list(result.sessions) == ["one", "two"]
    assert result.n_numbers == 2 * MODEL.config.width


def test_a_recording_that_cannot_be_opened_is_named_harmlessly(result):
    assert result.problems == ("lost: lost ‹b›is‹/b› not here",)


def test_without_any_recording_the_visitor_is_told(monkeypatch):
    monkeypatch.setattr(embeddings, "_kept", Kept(8))
    monkeypatch.setattr(embeddings, "open_session", lambda name: session_of("lost"))
    with pytest.raises(ValueError, match="none of this model's recordings"):
        list(embeddings.steps(SPEC))


def test_a_complete_result_is_kept_for_all_recordings_of_the_model(result):
    assert embeddings.kept(SPEC) is result and embeddings.kept(replace(SPEC, session="two")) is result
    assert list(embeddings.steps(replace(SPEC, level="beryl"))) == [(1.0, result)]
    assert embeddings.kept(replace(SPEC, level="cosmos")) is None


def test_few_results_are_kept(monkeypatch, result):
    monkeypatch.setattr(embeddings, "_kept", Kept(1))
    embeddings._kept.keep(("other", "beryl"), result)
    list(embeddings.steps(SPEC))
    assert list(embeddings._kept) == [("small", "beryl")]


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_is_built_before_anything_is_measured(monkeypatch):
    state = visitor(monkeypatch)
    assert units_page.page(state) is not None
    made = Shown(state)
    made.draw()
    assert made.about.text.startswith("Not measured yet") and not made.figure.visible and not made.start.disabled
    assert made.grid.file.disabled


def test_the_page_has_an_address():
    assert decode(encode(SPEC)) == (SPEC, True)


def test_dots_have_the_colours_of_regions_or_of_recordings_and_ones_own_lie_on_top(part, result):
    drawn = part.units.dots.data
    assert list(drawn["session"]) == ["two"] * 26 + ["one"] * 26 and drawn["size"][0] < drawn["size"][-1]
    assert [result.regions[name] for name in drawn["region"]] == list(drawn["colour"])
    assert part.units.figure.xaxis.axis_label == "t-SNE 1" and "CA1" in part.keys.object
    part.colour.value = "session"
    drawn = part.units.dots.data
    assert [result.sessions[name] for name in drawn["session"]] == list(drawn["colour"])
    assert "two" in part.keys.object and "CA1" not in part.keys.object


def test_a_click_leads_to_a_neuron_of_this_recording_and_names_one_of_another(part):
    drawn = part.units.dots.data
    part.tapped("indices", [], [list(drawn["session"]).index("two")])
    assert part.state.spec.page == "embeddings" and "of recording two" in part.note.text
    place = len(drawn["session"]) - 3
    part.tapped("indices", [], [place])
    assert (part.state.spec.page, part.state.spec.neuron) == ("neuron", drawn["neuron"][place])


def test_the_table_of_the_probe_holds_its_numbers(result):
    text = said.probe_table(result)
    for probed in result.probed.values():
        for score in probed.scores.values():
            assert f"{score.balanced_accuracy:.3f}" in text and f"{score.macro_f1:.3f}" in text
        assert f"{probed.null.balanced_accuracy[0]:.3f}" in text
        assert f"{abs(probed.against['firing'].balanced_accuracy):.3f}" in text
        assert f"p = {probed.null.p(probed.scores['embedding'].balanced_accuracy):.3f}" in said.verdict(result)
    recall = said.recall_table(result)
    assert f"{result.probed[Protocol.FOLDS].scores['embedding'].recall['LP']:.2f}" in recall


def test_what_is_not_possible_is_said_instead_of_a_number(result):
    probed = {**result.probed, Protocol.SESSIONS: type(result.probed[Protocol.FOLDS])(problem="one <i> session")}
    shown = replace(result, probed=probed)
    assert "Recording left out: not possible, one ‹i› session." in said.verdict(shown)
    assert "Recording left out" not in said.probe_table(shown)


def test_an_unfinished_result_says_so(all_steps, part):
    unfinished = next(shown for _, shown in all_steps if shown.probed)
    job = Job("embeddings", SPEC, unfinished, 0.3)
    assert said.about(unfinished, job).startswith("Still running: 5 folds")
    assert said.about(unfinished, replace(job, state="cancelled")).startswith("Cancelled, partial")
    assert said.about(None, replace(job, result=None)).startswith("The recordings")
    for _, shown in all_steps:
        said.probe_table(shown), said.recall_table(shown), said.verdict(shown)


def test_results_of_another_model_are_not_shown(monkeypatch, result):
    state = visitor(monkeypatch, embeddings=Job("embeddings", replace(SPEC, model="other"), result, 1.0, None, "done"))
    part = Shown(state)
    part.draw()
    assert part.found is None and not part.figure.visible
    state.views = {"embeddings": result}  # another visitor has measured it
    part.draw()
    assert part.found is result and part.figure.visible and part.start.disabled
    assert not part.grid.file.disabled


def test_the_map_is_not_drawn_again_while_the_probe_goes_on(part, result):
    before = part.units.dots.data
    part.state.jobs = {"embeddings": Job("embeddings", SPEC, replace(result, doing="more"), 0.5)}
    part.draw()
    assert part.units.dots.data is before


def test_the_file_holds_every_neuron(part, result):
    rows = list(csv.DictReader(io.StringIO(part.grid.file.callback().getvalue())))
    assert [row["Unit"] for row in rows] == result.table.uuid.tolist() and {row["Region"] for row in rows} == {
        "CA1",
        "LP",
    }


def test_names_from_files_are_no_markup():
    assert "<b>" not in said.keys({"<b>x</b>": "#112233"})


def test_colours_follow_the_theme(part):
    part.state.dark = True
    part.recolour()
    assert part.units.figure.xgrid[0].grid_line_color == DARK.grid
