"""The HTML report: it says what the result says, the worst first, and a hostile result stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import shlex
from collections import Counter
from copy import deepcopy
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import small_trials

from mtm_core.evaluation.baselines import score_baseline
from mtm_core.evaluation.compare import compare
from mtm_core.evaluation.metrics import SpikeSums
from mtm_core.evaluation.tasks import train_means
from mtm_core.regions import sort_regions
from mtm_core.report import render, write_report
from mtm_core.report.svg import Scale, log_ticks, nice_ticks
from mtm_core.report.verdict import Outcome, duel, verdict
from mtm_core.report.words import interval, number, probability

TASKS = ("co_smoothing", "inter_region")
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}</style>&amp; $(id); `id`\n\u202e"


@pytest.fixture(scope="module")
def scored() -> dict:
    """A result as the command writes it; halfway between training mean and true rates stands for the model."""
    trials = small_trials()
    scores = {name: score_baseline(name, trials, TASKS) for name in ("psth", "train_mean", "true_rates")}
    part = trials.select("test")
    about = {"model": "0123abcd", "path": "ours", "prompt": "neuron"}
    model = {}
    for task, score in scores["psth"].items():
        sums = SpikeSums.empty(part.n_trials, part.n_neurons)
        sums.add(part.counts, (part.true_rates + train_means(trials)) / 2, score.who.eligible)
        model[task] = replace(score, sums=sums, protocol=score.protocol | about)
    return {
        "session": "a",
        "protocol": model[TASKS[0]].protocol,
        "checkpoint": {"hash": "0123abcd", "config": {"width": 16, "n_layers": 2}},
        "tasks": {task: score.to_json() for task, score in model.items()},
        "baselines": {n: {"tasks": {t: s.to_json() for t, s in each.items()}} for n, each in scores.items()},
        "comparisons": {n: {t: asdict(compare(model[t], s)) for t, s in each.items()} for n, each in scores.items()},
    }


@pytest.fixture
def result(scored) -> dict:
    return deepcopy(scored)


class Page(HTMLParser):
    """What a browser would find: elements, attributes, text."""

    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += [(tag, name, value) for name, value in attrs]
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        (self.scripts if self._inside == "script" else self.text).append(data)

    def values(self, name: str) -> list[str]:
        return [value for _, each, value in self.attributes if each == name]

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


def page(result: dict) -> Page:
    return Page(render(result))


# --- it says what the result says -------------------------------------------------------------------------------------


def test_every_summary_number_of_the_result_is_on_the_page(result):
    words = page(result).words
    for score in result["tasks"].values():
        for about in (score, score["against_train_mean"], *score["per_region"].values()):
            for name in ("mean", "median", "pooled"):
                assert number(about[name]) in words and interval(about[f"{name}_ci"]) in words
    for by_task in result["comparisons"].values():
        for compared in by_task.values():
            assert number(compared["mean_difference"], signed=True) in words
            assert f"{compared['n_better']} / {compared['n_worse']}" in words


def test_every_neuron_has_a_row_for_every_task(result):
    words = page(result).words
    for uuid in result["tasks"]["co_smoothing"]["per_neuron"]:
        assert len(re.findall(rf"{uuid}\b", words)) == len(TASKS)


def test_every_scored_neuron_is_a_dot_or_stands_beyond_the_axis(result):
    html = render(result)
    dots = sum(len(re.findall("M", path)) for path in re.findall(r'<path d="([^"]*)" class="dots"', html))
    beyond = sum(map(int, re.findall(r"(\d+) (?:below|above) \(", html)))
    n = sum(score["n"] for score in result["tasks"].values())
    assert dots + beyond == 2 * n  # figures 2 and 3


def test_a_triangle_stands_only_where_neurons_lie_beyond_the_axis():
    bits = {"VISp": [0.1 + 0.001 * i for i in range(150)], "CA1": [0.2, 9.0], "LP": [-9.0, 0.2, 0.24]}
    rows = [{"region": r, "bits_per_spike": b, "rate_hz": 3.0} for r, each in bits.items() for b in each]
    html = render({"tasks": {"co_smoothing": {"n": len(rows), "neurons": rows}}})
    shapes = Counter(re.findall(r'<path d="M[-\d. ]+l([-\d]+ [-\d]+)[^"]*" class="beyond"', html))
    assert shapes == {"6 -4": 1, "-6 -4": 1, "-4 6": 1, "-4 -6": 1}  # left and right in figure 2, up and down in 3
    assert html.count("1 below (lowest −9.00), 1 above (highest 9.00)") == 2


def test_regions_stand_in_allen_order(result):
    html = render(result)
    rows = re.findall(r'class="chip"[^>]*></span>([^<]+)<', html)[: len(result["tasks"]["co_smoothing"]["per_region"])]
    assert rows == list(sort_regions(rows)) == ["VISp", "CA1", "LP", "root"]


def test_a_result_read_back_from_json_gives_the_same_bytes(result):
    assert render(json.loads(json.dumps(result, sort_keys=True, allow_nan=False))) == render(result)


def test_rendering_leaves_the_result_alone(result):
    before = deepcopy(result)
    render(result)
    assert result == before


def test_the_command_names_session_and_tasks_and_survives_a_shell(result):
    result["session"] = result["protocol"]["session"] = "a b; rm -rf $HOME"
    words = shlex.split(re.search(r"<pre>(.*?)</pre>", render(result))[1].replace("&#39;", "'"))
    assert words[:2] == ["mtm", "evaluate"]
    assert words[words.index("--session") + 1] == "a b; rm -rf $HOME"
    assert words[words.index("--tasks") + 1 :][:2] == list(TASKS)


# --- verdict ----------------------------------------------------------------------------------------------------------


def compared(mean, pooled) -> dict:
    """A comparison with these intervals."""
    middle = [None if ends is None else sum(ends) / 2 for ends in (mean, pooled)]
    numbers = {"n": 9, "n_better": 5, "n_worse": 4, "p_sign": 1.0, "median_difference": 0.0}
    return {
        "mean_difference": middle[0],
        "mean_ci": mean,
        "pooled_difference": middle[1],
        "pooled_ci": pooled,
        **numbers,
    }


@pytest.mark.parametrize(
    ("mean", "pooled", "words"),
    [
        ([0.1, 0.2], [0.1, 0.2], "model better"),
        ([0.1, 0.2], [-0.1, 0.2], "model better (mean only)"),
        ([-0.1, 0.2], [0.1, 0.2], "model better (pooled only)"),
        ([-0.2, -0.1], [-0.2, -0.1], "baseline better"),
        ([-0.2, -0.1], [-0.1, 0.1], "baseline better (mean only)"),
        ([-0.2, -0.1], [0.1, 0.2], "mixed: mean and pooled disagree"),
        ([-0.2, 0.1], [-0.1, 0.2], "undecided"),
        ([0.0, 0.1], [-0.1, 0.0], "undecided"),
        (None, None, "no interval"),
        (None, [0.1, 0.2], "model better (pooled only)"),
    ],
)
def test_the_intervals_decide_who_is_better(mean, pooled, words):
    assert duel("co_smoothing", "psth", compared(mean, pooled)).words == words


def test_the_true_rates_are_no_competitor(result):
    won = compared([-0.2, -0.1], [-0.2, -0.1])
    assert duel("co_smoothing", "true_rates", won).outcome is Outcome.ORACLE
    result["comparisons"] = {"psth": {"co_smoothing": compared([0.1, 0.2], [0.1, 0.2])}, "true_rates": {TASKS[0]: won}}
    said = " ".join(verdict(result))
    assert "loses to none" in said and "better in every comparison" in said and "true rates" not in said


def test_the_verdict_opens_with_what_is_lost(result):
    result["comparisons"]["psth"]["inter_region"] = compared([-0.2, -0.1], [-0.4, -0.3])
    result["comparisons"]["train_mean"]["co_smoothing"] = compared([-0.2, 0.1], [-0.1, 0.2])
    first, *rest = verdict(result)
    assert first.startswith("The model loses to PSTH in inter-region (mean over neurons −0.150 [−0.200, −0.100])")
    assert any("No clear difference from training mean in co-smoothing" in sentence for sentence in rest)
    opening = page(result).words
    assert opening.index("loses to PSTH") < opening.index("Protocol")


def test_a_model_worse_than_a_flat_guess_is_called_so(result):
    result["tasks"]["co_smoothing"] |= {"mean": -0.2, "mean_ci": [-0.3, -0.1]}
    result["tasks"]["inter_region"] |= {"mean": 0.1, "mean_ci": [-0.1, 0.3]}
    said = " ".join(verdict(result))
    assert "worse than a flat guess at each neuron's test mean (mean over neurons) in co-smoothing (−0.200" in said
    assert "not clearly better than a flat guess at each neuron's test mean (mean over neurons) in inter-region" in said


def test_mean_and_pooled_that_disagree_are_not_a_win(result):
    result["comparisons"] = {"psth": {"co_smoothing": compared([-0.2, -0.1], [0.1, 0.2])}}
    said = " ".join(verdict(result))
    assert "By the mean score it loses to PSTH" in said and "clearly better than no baseline" in said


# --- results with parts missing ---------------------------------------------------------------------------------------


def without(*names: str):
    def change(result):
        for name in names:
            del result[name]

    return change


def only_scores(result):
    """As older versions wrote it."""
    kept = ("mean", "median", "pooled", "n", "n_silent", "n_excluded", "per_region", "per_neuron")
    result["tasks"] = {task: {name: score[name] for name in kept} for task, score in result["tasks"].items()}


def one_task(result):
    del result["tasks"]["inter_region"]


def all_silent(result):
    for score in result["tasks"].values():
        nothing = dict.fromkeys(("mean", "median", "pooled", "poisson_d2", "mean_ci", "median_ci", "pooled_ci"))
        empty = {**nothing, "n": 0, "n_silent": 12}
        score |= {**empty, "against_train_mean": empty, "per_region": {r: empty for r in score["per_region"]}}
        score["per_neuron"] = dict.fromkeys(score["per_neuron"])
        score["neurons"] = [{**row, "status": "silent", "bits_per_spike": None} for row in score["neurons"]]
    result["comparisons"] = {}


def no_known_region(result):
    for score in result["tasks"].values():
        score["per_region"] = {"root": score["per_region"]["VISp"]}
        score["neurons"] = [{**row, "region": "root"} for row in score["neurons"]]


def one_neuron(result):
    for score in result["tasks"].values():
        score["neurons"] = score["neurons"][:1]
        score["per_neuron"] = dict([*score["per_neuron"].items()][:1])


def no_rates(result):
    for score in result["tasks"].values():
        score["neurons"] = [{**row, "rate_hz": 0.0} for row in score["neurons"]]


CHANGES = {
    "no baselines": without("baselines", "comparisons"),
    "no comparisons": without("comparisons"),
    "no checkpoint": without("checkpoint"),
    "no protocol": without("protocol"),
    "scores alone": only_scores,
    "one task": one_task,
    "all silent": all_silent,
    "no known region": no_known_region,
    "one neuron": one_neuron,
    "no firing rate": no_rates,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_result_with_parts_missing_is_drawn(result, change):
    change(result)
    found = page(result)
    assert found.tags["main"] == 1 and "NaN" not in found.words and "None" not in found.words
    assert not [value for _, name, value in found.attributes if name in ("d", "x", "cx") and "nan" in value]


def test_what_is_missing_is_said(result):
    no_baselines, silent = deepcopy(result), deepcopy(result)
    without("baselines", "comparisons")(no_baselines)
    assert "No baseline was compared" in verdict(no_baselines)[0]
    assert "No baseline was scored" in page(no_baselines).words
    all_silent(silent)
    assert "nothing could be scored: 12 silent neurons" in " ".join(verdict(silent))
    result["tasks"]["co_smoothing"]["ceiling"] = {"kind": "not measurable", "mean": None, "reason": "no repeats"}
    assert "Ceiling not measurable: no repeats." in page(result).words


def test_an_incomplete_task_is_labelled_wherever_it_stands(result):
    assert "incomplete" not in page(result).words
    result["tasks"]["inter_region"]["complete"] = False
    words = page(result).words
    assert "Inter-region: stopped before all questions were asked" in words
    assert words.count("incomplete") == 5  # the banner, both tables, regions, neurons


def test_further_parts_appear_where_the_result_has_them(result):
    result["grouped_difference"] = {"n": 24, "mean": 0.001, "rms": 0.004, "largest": -0.0125}
    point = {"predictor": "latents", "k": 16, "n_repeats": 5, "pooled": 0.111, "low": 0.09, "high": 0.13}
    result["few_shot"] = {"n_neurons": 10, "points": [point]}
    result["held_out"] = result["tasks"]["co_smoothing"]
    words = page(result).words
    assert "On 24 neurons asked about one by one as well" in words
    assert "[0.090, 0.130]" in words and "Held-out set" in words and "--held-out SET" in words


def test_a_result_without_scores_is_refused_and_the_old_file_stays(tmp_path, result):
    path = tmp_path / "report.html"
    write_report(path, result)
    old = path.read_bytes()
    assert old == render(result).encode()
    with pytest.raises(ValueError, match="holds no scores"):
        write_report(path, {"tasks": {}})
    assert path.read_bytes() == old and [*tmp_path.iterdir()] == [path]


# --- nothing outside, nothing executed --------------------------------------------------------------------------------


def hostile(result: dict) -> dict:
    """The same result with markup in every name and text, and numbers replaced by text here and there."""

    def turn(value):
        if isinstance(value, dict):
            return {key if key in known else HOSTILE + key: turn(each) for key, each in value.items()}
        if isinstance(value, list):
            return [turn(each) for each in value]
        return HOSTILE if isinstance(value, str) else value

    score = result["tasks"]["co_smoothing"]
    known = {
        *result,
        *score,
        *score["neurons"][0],
        *result["comparisons"]["psth"]["co_smoothing"],
        "tasks",
        "co_smoothing",
    }
    known |= {*score["ceiling"], "config", "hash", "n_trials"}
    turned = turn(result)
    turned["tasks"]["co_smoothing"] |= {"median": HOSTILE, "pooled_ci": [HOSTILE, 1e308], "poisson_d2": 1e308}
    turned["few_shot"] = {HOSTILE: HOSTILE}
    return turned


def test_a_hostile_result_stays_text(result):
    clean, found = page(result), page(hostile(result))
    assert found.tags["script"] == found.tags["style"] == 1 and found.scripts == clean.scripts
    assert found.tags.keys() <= clean.tags.keys()  # no img, no element that we did not write
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in found.words and "{{ 7*7 }}" in found.words
    assert "\u202e" not in found.words


@pytest.mark.parametrize("change", [lambda result: result, hostile], ids=["plain", "hostile"])
def test_the_page_asks_for_nothing_outside(result, change):
    found = page(change(result))
    assert {link[0] for link in found.values("href") if link != "data:,"} == {"#"}
    assert not found.values("src") and not found.values("action")
    assert not [value for _, name, value in found.attributes if name == "style" and "url" in value]
    assert "@import" not in render(result) and "url(" not in render(result)


def test_only_the_script_of_the_page_may_run(result):
    found = page(result)
    policy = next(value for value in found.values("content") if value.startswith("default-src"))
    digest = base64.b64encode(hashlib.sha256("".join(found.scripts).encode()).digest()).decode()
    assert policy.split("; ")[:2] == ["default-src 'none'", f"script-src 'sha256-{digest}'"]


def test_every_question_mark_leads_to_an_explanation(result):
    found = page(result)
    ids = found.values("id")
    assert len(set(ids)) == len(ids)
    links = [link[1:] for link in found.values("href") if link.startswith("#")]
    assert len(links) > 10 and set(links) <= set(ids)


# --- drawing and words ------------------------------------------------------------------------------------------------


@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e6), st.integers(2, 9))
def test_ticks_are_few_round_numbers_within_the_axis(low, span, most):
    high = low + span
    ticks = nice_ticks(low, high, most)
    assert len(ticks) <= most
    assert all(low - 1e-6 * span <= tick <= high + 1e-6 * span for tick in ticks)
    steps = np.diff(ticks)
    assert np.allclose(steps, steps[:1], rtol=1e-3, atol=1e-9)


def test_ticks_by_hand():
    assert nice_ticks(-0.23, 0.41, 4) == [-0.2, 0.0, 0.2, 0.4]
    assert nice_ticks(0, 1, 2) == [0.0, 1.0]
    assert log_ticks(0.7, 40) == [1, 2, 5, 10, 20]
    assert log_ticks(0.05, 300) == [0.1, 1, 10, 100]


def test_a_scale_maps_its_ends_and_keeps_what_lies_beyond_at_the_edge():
    down = Scale(-1, 1, 200, 0)
    assert [down(v) for v in (-1, 0, 1, -9, 9)] == [200, 100, 0, 200, 0]
    log = Scale(0.1, 1000, 0, 400, log=True)
    assert [log(v) for v in (0.1, 1, 10, 1000)] == [0, 100, 200, 400]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.25, "−0.250"),
        (-0.0001, "0.000"),
        (0, "0.000"),
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "–"),
        ("1", "–"),
        (True, "–"),
    ],
)
def test_numbers_have_a_real_minus_and_no_negative_zero(value, text):
    assert number(value) == text


def test_small_probabilities_keep_their_power_of_ten():
    assert [probability(p) for p in (0.25, 0.001, 0.0004, 0.0, None)] == ["0.250", "0.001", "4e−04", "< 1e−300", "–"]


# --- in a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium(chromium_path):
    sync_api = pytest.importorskip("playwright.sync_api", reason='pip install -e ".[test]" for playwright')
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def tab(chromium, tmp_path):
    """Opens a result as a file; fails afterwards if the page asked for anything, logged anything or showed a dialog."""
    unwanted, opened = [], []

    def open_result(result: dict, width: int, scheme: str = "light"):
        path: Path = tmp_path / "report.html"
        write_report(path, result)
        page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        opened.append(page)
        page.on("console", lambda message: unwanted.append(message.text))
        page.on("dialog", lambda dialog: (unwanted.append("dialog"), dialog.dismiss()))
        page.on("request", lambda request: unwanted.append(request.url))
        page.goto(path.as_uri())
        unwanted.remove(path.as_uri())
        return page

    yield open_result
    for each in opened:
        each.close()
    assert [each for each in unwanted if each != "data:,"] == []


@pytest.mark.browser
@pytest.mark.parametrize("change", [lambda result: result, hostile], ids=["plain", "hostile"])
@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_fits_its_window(tab, result, change, width):
    for scheme in ("light", "dark"):
        opened = tab(change(deepcopy(result)), width, scheme)
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        look = "(({color, backgroundColor}) => [color, backgroundColor])(getComputedStyle(document.documentElement))"
        color, background = opened.evaluate(look)
        brightness = [sum(map(int, re.findall(r"\d+", each)[:3])) for each in (color, background)]
        assert (brightness[0] < brightness[1]) == (scheme == "light")


@pytest.mark.browser
def test_a_click_on_a_column_sorts_by_its_numbers(tab, result):
    result["tasks"]["co_smoothing"]["neurons"][0]["bits_per_spike"] = None
    opened = tab(result, 1440)
    opened.locator("#neurons summary").first.click()
    table = opened.locator("#neurons table").first
    column = "rows => rows.map(row => row.cells[3].dataset.v)"
    for descending in (False, True):
        table.locator("th button", has_text="test mean").click()
        shown = table.locator("tbody tr").evaluate_all(column)
        numbers = [float(value) for value in shown[:-1]]
        assert shown[-1] == "" and numbers == sorted(numbers, reverse=descending) and len(set(numbers)) > 5
