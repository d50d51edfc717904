"""Scripts of the pages whose numbers take long, with an untrained model, and the report of the page of scores."""

from __future__ import annotations

import re
from functools import partial
from types import SimpleNamespace

import pytest
from test_take_home import NUMBER, on_screen, run_all

from app import recordings
from app.analyses import decoding, embeddings, information, score_report, scores
from app.analyses.scripts import scores as scores_script
from app.analyses.scripts import script_of
from app.pages import take_home
from app.pages.decoding.shown import COLUMNS, _table
from app.pages.embeddings import said
from app.pages.scores import baselines, by_region, summary
from app.pages.take_home import Asked
from app.spec import HAND, Hide, Scoring, Spec
from mtm_core.evaluation.questions import Asking
from mtm_core.evaluation.session_scores import Plan, result_of, score_session
from mtm_core.report import render

pytestmark = pytest.mark.long

MODEL, TASK = "untrained", "forward_prediction"
SCORES = Spec(model=MODEL, page="scores", scoring=Scoring(tasks=(TASK, "inter_region"), task=TASK, against="psth"))
CONTEXT = Hide(HAND, neurons=(3, 4), regions=("CA1",))


@pytest.fixture(scope="module", autouse=True)
def the_untrained_model(untrained_model):
    """The app and the scripts find it where MTM_CHECKPOINTS says; of the baselines only quick ones are compared."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTM_CHECKPOINTS", str(untrained_model.parent))
        for module in (scores, scores_script):
            patch.setattr(module, "baseline_names", lambda trials: ("test_mean", "psth", "true_rates"))
        recordings._installed.cache_clear()
        yield
    recordings._installed.cache_clear()


def last(steps):
    *_, (share, result) = steps
    assert share == 1.0
    return result


def printed_by(spec: Spec, folder) -> str:
    return run_all({"it": script_of(spec).numbers}, folder)["it"]


def numbers(text: object) -> list[float]:
    return [float(each) for each in on_screen(text)]


def columns(text: str) -> dict[str, list[str]]:
    """Rows of a printed table by their first word."""
    return {line.split()[0]: line.split()[1:] for line in text.strip().splitlines()[1:]}


# --- scores -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shown():
    return last(scores.steps(SCORES))


@pytest.fixture(scope="module")
def said_by_script(shown, tmp_path_factory) -> list[str]:
    return printed_by(SCORES, tmp_path_factory.mktemp("script")).split("\n\n")


def test_the_script_of_scores_prints_the_summary_to_the_last_digit(shown, said_by_script):
    table = columns(said_by_script[0].split("\n", 1)[1])
    for place, row in enumerate(summary.rows(shown)):
        cells = dict(zip(summary.HEAD, row, strict=True))
        expected = {
            "mean": [cells["Mean"][0]],
            "median": [cells["Median"][0]],
            "pooled": [cells["Pooled"][0]],
            "poisson_d2": [cells["D²"]],
            "ceiling": [cells["Ceiling"][0]],
            "mean_train": [cells["Mean, training null"][0]],
            "pooled_train": [cells["Pooled, training null"][0]],
        }
        for name, (value,) in expected.items():
            assert [table[name][place]] == on_screen(value)
        for name, head in (("mean", "Mean"), ("median", "Median"), ("pooled", "Pooled")):
            assert [table[f"{name}_low"][place], table[f"{name}_high"][place]] == on_screen(cells[head][1])
        for name, head in (("n", "Scored"), ("n_silent", "Silent"), ("n_excluded", "Excluded")):
            assert float(table[name][place]) == cells[head]


def test_the_script_of_scores_prints_every_region_to_the_last_digit(shown, said_by_script):
    for task, one in shown.tasks.items():
        (part,) = [part for part in said_by_script if part.startswith(f"{task}, by region")]
        table = columns(part.split("\n", 1)[1])
        regions = part.splitlines()[1].split()
        for row in by_region.region_table(one, "psth").itertuples():
            place = regions.index(row.region)
            given = {"mean": row.mean, "mean_low": row.low, "mean_high": row.high, "median": row.median}
            for name, value in {**given, "pooled": row.pooled, "poisson_d2": row.poisson_d2}.items():
                assert table[name][place] == f"{value:.3f}"


def test_the_script_of_scores_prints_the_comparison_with_the_baselines(shown, said_by_script):
    (part,) = [part for part in said_by_script if part.startswith(f"{TASK}, the model minus")]
    table = columns(part.split("\n", 1)[1])
    names = part.splitlines()[1].split()
    rows = {
        name: row for name, row in zip(shown.tasks[TASK].against, baselines.rows(shown.tasks[TASK])[1:], strict=True)
    }
    assert set(names) == set(rows)
    for name, row in rows.items():
        place = names.index(name)
        (mean, mean_ends), (pooled, pooled_ends) = row[3], row[4]
        for field, text in (("mean", f"{mean} {mean_ends}"), ("pooled", f"{pooled} {pooled_ends}")):
            assert [table[f"{field}{end}"][place] for end in ("", "_low", "_high")] == on_screen(text)
        assert [int(float(table[n][place])) for n in ("n_better", "n_worse")] == [int(n) for n in row[5].split(" / ")]


def test_the_report_is_that_of_the_evaluation_of_the_same_scores(shown):
    assert score_report.has_report(SCORES)
    model = recordings.checkpoint(MODEL)
    plan = Plan(SCORES.scoring.tasks, Asking(grouped=True), ("psth", "true_rates"))
    *_, done = score_session(model, recordings.recording(SCORES.session, MODEL).trials, plan)
    text = score_report.report_text(SCORES)
    assert text == render(result_of(model, done.scores))
    for row in summary.rows(shown):
        assert row[1][0].replace("−", "-") in text.replace("−", "-")
    file = take_home._made(SCORES, Asked("report", ""), "Scores")
    assert file["text"] == text and file["name"] == "mtm-report-simulated-1.html"


# --- map, units, decoding ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_script_of_the_map_prints_every_cell_and_the_context(tmp_path):
    spec = Spec(model=MODEL, page="map", hide=CONTEXT)
    found, loss = last(information.lost(spec)).found, last(information.context(spec)).loss
    text = printed_by(spec, tmp_path)
    cells, context = text.split("What each region loses")
    lines = {tuple(line.split()[:2]): line.split()[2:] for line in cells.splitlines()}
    for row in found.table.to_dict("records"):
        shown = [row[name] for name in ("gain_mean", "ci_low", "ci_high", "gain_pooled", "control", "p", "q")]
        assert lines[row["source"], row["target"]] == [f"{value:.3f}" for value in shown]
    for row in loss.regions.itertuples():
        (line,) = [line for line in context.splitlines() if line.split()[:1] == [row.region]]
        assert line.split()[1:5] == [f"{v:.3f}" for v in (row.loss_mean, row.loss_pooled, row.ci_low, row.ci_high)]


@pytest.mark.slow
def test_the_script_of_units_prints_the_probe(tmp_path):
    spec = Spec(model=MODEL, page="embeddings")
    shown = last(embeddings.steps(spec))
    text = re.sub(r"<[^>]*>", " ", said.probe_table(shown))
    printed = printed_by(spec, tmp_path)
    on_page = [n for n in numbers(text.split("neurons drawn again.")[1]) if n]
    assert len(on_page) >= 12
    assert set(on_page) <= {float(n) for n in NUMBER.findall(printed)}


@pytest.mark.slow
def test_the_script_of_decoding_prints_the_table(tmp_path, monkeypatch):
    """Of one behavior with few nulls, in the app and in the script alike."""
    spec = Spec(model=MODEL, page="decoding")
    monkeypatch.setattr(decoding, "Plan", partial(decoding.Plan, behaviors=("choice",), n_nulls=3))
    shown = last(decoding.usual(spec))
    script = script_of(spec).numbers
    assert script.count("Plan(sources=") == 1
    quick = script.replace("Plan(sources=", 'Plan(behaviors=("choice",), n_nulls=3, sources=')
    text = run_all({"it": quick}, tmp_path)["it"]
    lines = [NUMBER.findall(line) for line in text.splitlines()[1:]]
    digits = [name for name, column in COLUMNS.items() if column.digits == 3]
    table = _table(shown)
    assert len(lines) == len(table)
    for line, row in zip(lines, table[digits].to_dict("records"), strict=True):
        assert line == [f"{row[name]:.3f}" for name in digits if row[name] == row[name]]


def test_the_script_of_decoding_decodes_regions_once_they_were_asked_for(monkeypatch):
    spec = Spec(model=MODEL, page="decoding")
    assert "decodable_regions" not in script_of(spec).numbers
    monkeypatch.setitem(decoding._kept, (spec.session, MODEL, "decoding_regions"), SimpleNamespace())
    assert f"n_nulls={decoding.REGION_NULLS}" in script_of(spec).numbers
