"""The page of scores: what it computes and what its tables say. One task of one question, two baselines."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from app import recordings
from app.analyses import score_tables, scores
from app.analyses.kept import Kept
from app.analyses.verdict import verdict
from app.pages.grid import csv_text
from app.pages.scores import by_neuron, by_region, summary
from app.pages.scores.baselines import predictors
from app.pages.scores.baselines import rows as baseline_rows
from app.pages.scores.found import found, question, shown_task, status
from app.plots.scores import draw_predictors, draw_rates, make_predictor_figure, make_rate_figure
from app.spec import Scoring, Spec
from app.theme import DARK
from app.work import Job
from mtm_core.evaluation.baselines import score_baseline
from mtm_core.evaluation.compare import compare
from mtm_core.evaluation.questions import Asking
from mtm_core.evaluation.tasks import score_task

TASK = "forward_prediction"
SPEC = Spec(session="simulated-1", scoring=Scoring(tasks=(TASK,), task=TASK, against="psth"))
CACHES = (scores._scores, scores._tables, scores._differences)


@pytest.fixture(scope="module", autouse=True)
def only_the_untrained_model(untrained_model):
    def clear():
        for cached in CACHES:
            cached.clear()
        for function in (recordings.checkpoint, recordings.recording, scores._fit, scores._find_duplicates):
            function.cache_clear()

    with pytest.MonkeyPatch.context() as patch:
        clear()
        patch.setattr(recordings, "models", lambda: {"simulated-mtm": untrained_model})
        patch.setattr(scores, "baseline_names", lambda trials: ("train_mean", "test_mean", "psth"))
        yield
        clear()


@pytest.fixture(scope="module")
def opened():
    return recordings.recording(SPEC.session, SPEC.model)


@pytest.fixture(scope="module")
def all_steps(only_the_untrained_model):
    return list(scores.steps(SPEC))


@pytest.fixture(scope="module")
def results(all_steps):
    return all_steps[-1][1]


@pytest.fixture(scope="module")
def one(results):
    return results.tasks[TASK]


@pytest.fixture(scope="module")
def model_score(opened):
    *_, last = score_task(recordings.checkpoint(SPEC.model), opened.trials, TASK, Asking(grouped=True))
    return last.score


def visitor(spec: Spec, job: Job | None = None, view=None) -> SimpleNamespace:
    """As much of a state as `found` looks at."""
    return SimpleNamespace(spec=spec, jobs={} if job is None else {"scores": job}, views={"scores": view})


# --- computing --------------------------------------------------------------------------------------------------------


def test_progress_grows_to_one_and_the_model_comes_before_the_baselines(all_steps):
    shares = [share for share, _ in all_steps]
    assert shares == sorted(shares) and shares[-1] == 1.0 and 0 <= shares[0] < 0.5
    scored = [len(result.tasks[TASK].against) for _, result in all_steps if TASK in result.tasks]
    assert scored[0] == 0 and scored[-1] == 2
    assert all(result.now for _, result in all_steps[:-1]) and all_steps[-1][1].complete


def test_the_page_shows_what_the_evaluation_computes(one, model_score):
    assert one.summary == model_score.summary and one.against_train_mean == model_score.against_train_mean
    np.testing.assert_array_equal(one.neurons.bits_per_spike, model_score.neuron_table.bits_per_spike)
    for row in one.regions.itertuples():
        assert row.mean == model_score.per_region[row.region].mean and row.n == model_score.per_region[row.region].n
    assert one.regions.n.sum() == one.summary.n
    assert one.protocol == model_score.protocol and one.complete


def test_differences_are_paired_with_the_baseline_of_the_same_task(one, opened, model_score):
    other = score_baseline("psth", opened.trials, (TASK,))[TASK]
    assert one.against["psth"].comparison == compare(model_score, other)
    np.testing.assert_array_equal(one.against["psth"].neurons, model_score.bits - other.bits)
    weights = model_score.weights()
    drawn = model_score.sums.resampled_bits(weights) - other.sums.resampled_bits(weights)
    for region, row in one.against["psth"].regions.iterrows():
        inside = np.flatnonzero(opened.trials.regions == region)
        by_hand = np.nanmean(model_score.bits[inside] - other.bits[inside])
        assert row.difference == pytest.approx(by_hand)
        ends = np.nanquantile(np.nanmean(drawn[:, inside], axis=1), [0.025, 0.975])
        np.testing.assert_allclose([row.low, row.high], ends)


def test_the_null_itself_is_no_opponent(one):
    assert set(one.against) == {"train_mean", "psth"}


def test_a_second_visitor_gets_the_same_result_without_computing(results, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("computed again")

    for name in ("score_task", "score_baseline", "grouped_difference"):
        monkeypatch.setattr(scores, name, refuse)
    assert scores.ready(SPEC).tasks[TASK] is results.tasks[TASK]
    looked = replace(SPEC, scoring=replace(SPEC.scoring, task="co_smoothing", against="ridge", region="CA1"))
    assert scores.ready(looked) is not None, "what is looked at changes nothing that is computed"
    *_, (share, again) = scores.steps(SPEC)
    assert share == 1.0 and again.tasks[TASK].summary == results.tasks[TASK].summary


@pytest.mark.parametrize("change", [{"exact": True}, {"duplicates": True}, {"tasks": (TASK, "inter_region")}])
def test_another_way_to_score_is_another_result(results, change):
    assert scores.ready(replace(SPEC, scoring=replace(SPEC.scoring, **change))) is None


def test_another_region_level_regroups_the_same_neurons(opened):
    coarse = recordings.trials_at(opened, "cosmos")
    assert coarse.counts is opened.trials.counts and coarse.region_level == "cosmos"
    assert len(set(coarse.regions)) < len(set(opened.trials.regions))
    assert recordings.trials_at(opened, "beryl") is opened.trials
    assert scores.ready(replace(SPEC, level="cosmos")) is None


def test_hiding_duplicates_says_so_and_is_not_compared_with_baselines_that_see_them():
    spec = replace(SPEC, scoring=replace(SPEC.scoring, duplicates=True, tasks=("inter_region",)))
    *_, (_, hidden) = scores.steps(spec)
    found_tables = hidden.tasks["inter_region"]
    assert hidden.duplicates is not None and found_tables.protocol["duplicates_hidden"]
    for other in found_tables.against.values():
        assert (other.comparison is None) == ("duplicates_hidden" in other.reason)


def test_a_recording_the_model_does_not_know_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match="not been trained on this recording"):
        next(scores.steps(replace(SPEC, session="simulated-2")))


def test_only_so_many_results_are_kept():
    kept = Kept(2)
    for key in "abc":
        kept.keep(key, key)
    assert list(kept) == ["b", "c"]


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_a_visitor_sees_his_own_partial_result_labelled_as_such(all_steps, results):
    partial = all_steps[len(all_steps) // 2][1]
    for state, label in (("running", "running"), ("cancelled", "cancelled"), ("failed", "error")):
        got = found(visitor(SPEC, Job("scores", SPEC, partial, 0.4, state=state)))
        assert got.results is partial and got.partial and label in got.label
    got = found(visitor(SPEC, Job("scores", SPEC, results, 1.0, state="done")))
    assert got.results is results and not got.partial
    assert found(visitor(SPEC, view=results)).results is results


def test_results_of_another_question_are_not_shown(results):
    other = replace(SPEC, scoring=replace(SPEC.scoring, exact=True))
    assert question(other) != question(SPEC)
    assert found(visitor(other, Job("scores", SPEC, results, 1.0, state="done"))).results is None
    assert found(visitor(replace(SPEC, session="simulated-3"), view=results)).results is None
    looked = replace(SPEC, scoring=replace(SPEC.scoring, region="CA1"), neuron=7, trial=3)
    assert question(looked) == question(SPEC)


def test_the_status_says_how_far_it_is(results):
    assert "Not scored yet" in status(visitor(SPEC))
    running = Job("scores", SPEC, replace(results, now="baseline: PSTH"), 0.25, 30.0)
    assert status(visitor(SPEC, running)) == "Scoring: 25% done, about 30 s left. Now: baseline: PSTH."
    assert "Cancelled at 25%" in status(visitor(SPEC, replace(running, state="cancelled")))
    assert "all 64 held-out trials" in status(visitor(SPEC, replace(running, result=results, state="done")))


def test_the_task_that_is_looked_at_is_one_that_was_scored(results):
    other = replace(SPEC, scoring=replace(SPEC.scoring, task="co_smoothing"))
    assert shown_task(visitor(other, view=results)).task == TASK
    assert shown_task(visitor(SPEC)) is None


def test_the_summary_names_both_nulls_interval_ceiling_and_who_was_counted(results, one):
    (row,) = summary.rows(results)
    assert len(row) == len(summary.HEAD)
    shown = dict(zip(summary.HEAD, row, strict=True))
    s = one.summary
    assert shown["Mean"] == (f"{s.mean:.3f}".replace("-", "−"), shown["Mean"][1]) and " to " in shown["Mean"][1]
    assert shown["Ceiling"][0] == f"{one.ceiling.mean:.3f}" and "reached" in shown["Ceiling"][1]
    assert (shown["Scored"], shown["Silent"], shown["Excluded"]) == (s.n, s.n_silent, s.n_excluded)
    said = summary.protocol(results)
    for fact in (
        "simulated-1",
        "20 ms",
        "64 test trials",
        "unit filter: none",
        "beryl",
        "prompt: causal",
        one.protocol["model"][:8],
    ):
        assert fact in said
    real = replace(one, ceiling=replace(one.ceiling, kind="not measurable", mean=None, reason="no repeats"))
    assert summary.rows(replace(results, tasks={TASK: real}))[0][5] == ("not measurable", "")
    assert "Ceiling not measurable: no repeats." in summary.notes(replace(results, tasks={TASK: real}))


def test_excluded_neurons_are_counted_with_their_reason(results, one):
    regions = np.array(["CA1"] * 3 + ["root"] * 2 + ["LP"])
    eligible = np.array([True] * 3 + [False] * 3)
    score = SimpleNamespace(task="intra_region", who=SimpleNamespace(regions=regions, eligible=eligible))
    counted = score_tables._excluded(score)
    assert sorted(counted.values()) == [1, 2] and any("only neuron" in reason for reason in counted)
    said = " ".join(summary.notes(replace(results, tasks={TASK: replace(one, excluded=counted)})))
    assert "2 neurons excluded, its region is not known." in said


def test_baselines_stand_beside_the_model_with_their_paired_difference(one):
    model, *others = baseline_rows(one)
    assert model[0] == "Model" and [row[0] for row in others] == ["Training mean", "PSTH"]
    compared = one.against["psth"].comparison
    assert others[1][5] == f"{compared.n_better} / {compared.n_worse}"
    untested = replace(one.against["psth"], comparison=None, reason="other trials")
    assert baseline_rows(replace(one, against={"psth": untested}))[1][3] == ("not compared", "")
    shown = make_predictor_figure()
    draw_predictors(shown, predictors(one), DARK)
    assert shown.figure.y_range.factors == ["PSTH", "Training mean", "Model"] and not shown.ceiling.visible
    assert verdict(scores.Results(None, {TASK: one}))


def test_every_neuron_of_the_regions_is_in_the_tables_once(one):
    lines = by_region.region_lines(one)
    assert sum(line.bits.size + line.n_silent for line in lines) == one.summary.n + one.summary.n_silent
    everyone = by_neuron.neuron_table(one, "psth", "")
    assert list(everyone.columns) == list(by_neuron.COLUMNS) and len(everyone) == len(one.neurons)
    parts = [by_neuron.neuron_table(one, "psth", region) for region in one.regions.region]
    assert sorted(pd.concat(parts).neuron) == list(everyone.neuron)
    assert by_region.region_table(one, "no such baseline").difference.isna().all()
    columns = by_region.rate_columns(one)
    shown = make_rate_figure()
    draw_rates(shown, columns)
    assert len(shown.source.data["rate"]) == one.summary.n and (shown.source.data["rate"] > 0).all()


def test_scores_below_the_axis_are_drawn_at_its_end_and_keep_their_value():
    bits = np.concatenate([np.linspace(0, 1, 99), [-40.0]])
    names = np.full(100, "CA1")
    shown = make_rate_figure()
    columns = {"rate": np.ones(100), "bits": bits, "neuron": np.arange(100), "region": names, "colour": names}
    draw_rates(shown, columns)
    data = shown.source.data
    assert data["bits"][-1] == -40 and -5 < shown.figure.y_range.start < data["shown"][-1] < 0
    assert data["marker"].count("triangle") == 1 and data["marker"][-1] == "triangle"


def test_a_file_holds_the_table_and_runs_nothing():
    table = pd.DataFrame(
        {"Region": ["CA1", '=HYPERLINK("x")', "+1", "-1", "@a"], "Mean": [0.123456789, np.nan, 1, -2, 3]}
    )
    text = csv_text(table)
    read = pd.read_csv(io.StringIO(text))
    assert list(read.columns) == ["Region", "Mean"]
    assert read.Region.tolist() == ["CA1", '\'=HYPERLINK("x")', "'+1", "'-1", "'@a"]
    np.testing.assert_allclose(read.Mean, table.Mean, rtol=1e-5)
    assert table.Region[1].startswith("="), "the table itself stays as it is"
