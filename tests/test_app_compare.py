"""The page that compares two predictions: its numbers are those of the evaluation, and what is not fair is refused."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from urllib.parse import quote

import numpy as np
import pytest
import torch
from leaks import checkpoint_of, same, unseen_by, with_gaps
from small import small_trials

from app import comparison as chosen
from app import compute, recordings
from app.analyses import comparable, compare, compare_views
from app.analyses.compare_tables import contender_table
from app.analyses.compared import asked
from app.comparison import Comparison, Contender, comparison_text, parse_comparison
from app.pages.compare import by_region, pinned, shown, summary
from app.pages.compare.rasters import said
from app.plots.compare import draw_differences, draw_pair, make_difference_figure, make_pair_figure
from app.spec import Hide, Pin, Spec, decode, encode
from app.work import Job
from mtm_core.evaluation.baselines import FITS, score_baseline
from mtm_core.evaluation.compare import compare as library_compare
from mtm_core.evaluation.compare import over_neurons
from mtm_core.evaluation.metrics import bits_per_spike
from mtm_core.evaluation.questions import TASKS, Asking, questions
from mtm_core.evaluation.task_rates import task_rates
from mtm_core.evaluation.tasks import score_task
from mtm_core.masking import Scheme
from mtm_core.predict import predict

TASK = "forward_prediction"
PSTH, MODEL = Contender(baseline="psth"), Contender()
SPEC = Spec(page="compare", comparison=Comparison((PSTH, MODEL, Contender(baseline="true_rates")), TASK))
KEPT = (compare._scores, compare._pairs, compare._trials, compare_views._done)
MEMORIES = (compare._fitted, compare._scored, comparable._manifest, comparable._identity_of)


@pytest.fixture(scope="module", autouse=True)
def only_the_untrained_model(untrained_model):
    def clear():
        compute.mask.cache_clear()
        for cached in KEPT:
            cached.clear()
        for function in (recordings.checkpoint, recordings.recording, *MEMORIES):
            function.cache_clear()

    with pytest.MonkeyPatch.context() as patch:
        clear()
        for module in (recordings, comparable):
            patch.setattr(module, "models", lambda: {"simulated-mtm": untrained_model, "other": untrained_model})
        patch.setattr(comparable, "predictors", lambda: comparable.models())
        yield
        clear()


@pytest.fixture(scope="module")
def trials(only_the_untrained_model):
    return recordings.recording("simulated-1", "simulated-mtm").trials


@pytest.fixture(scope="module")
def all_steps(only_the_untrained_model):
    return list(compare.steps(SPEC))


@pytest.fixture(scope="module")
def found(all_steps):
    return all_steps[-1][1]


@pytest.fixture(scope="module")
def library_scores(trials):
    """A, the PSTH, and B, the model, as `mtm evaluate` scores them."""
    *_, last = score_task(recordings.checkpoint("simulated-mtm"), trials, TASK)
    return score_baseline("psth", trials, (TASK,))[TASK], last.score


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_the_numbers_are_those_of_the_evaluation(found, library_scores):
    a, b = library_scores
    pair = found.pair
    assert pair.comparison == library_compare(b, a)
    np.testing.assert_array_equal(pair.neurons.a, a.bits)
    np.testing.assert_array_equal(pair.neurons.b, b.bits)
    np.testing.assert_array_equal(pair.neurons.difference, b.bits - a.bits)
    table = contender_table(found.lines).set_index("who")
    assert (table.loc["A", "mean"], table.loc["B", "mean"]) == (a.summary.mean, b.summary.mean)
    assert table.loc["B", "difference"] == pair.comparison.mean_difference and np.isnan(table.loc["A", "difference"])
    assert table.loc["C", "difference"] > 0, "nothing predicts better than the rates that generated the spikes"


def test_every_neuron_is_counted_once(found, trials):
    pair = found.pair
    assert pair.n == trials.n_neurons == pair.n_scored + pair.n_silent + pair.n_excluded
    assert pair.regions.n.sum() == pair.n_scored == pair.comparison.n
    assert pair.regions.n_better.sum() == pair.comparison.n_better


def test_a_region_has_the_mean_of_its_neurons_and_two_intervals(found, library_scores):
    a, b = library_scores
    drawn = b.sums.resampled_bits(b.weights()) - a.sums.resampled_bits(a.weights())
    for row in found.pair.regions.itertuples():
        inside = np.flatnonzero((b.who.regions == row.region) & np.isfinite(b.bits - a.bits))
        difference = (b.bits - a.bits)[inside]
        assert row.difference == pytest.approx(difference.mean())
        np.testing.assert_allclose([row.low, row.high], np.quantile(drawn[:, inside].mean(1), [0.025, 0.975]))
        assert (row.neurons_low, row.neurons_high) == over_neurons(difference)


def test_the_interval_over_neurons_is_that_of_means_of_drawn_neurons():
    values = np.random.default_rng(1).normal(0.2, 1.0, 400)
    low, high = over_neurons(values)
    rng = np.random.default_rng(2)
    means = [rng.choice(values, len(values)).mean() for _ in range(2000)]
    np.testing.assert_allclose([low, high], np.quantile(means, [0.025, 0.975]), atol=0.02)
    assert over_neurons(np.array([0.5])) is None


def test_the_prompt_changes_the_hint_and_nothing_that_is_hidden(trials):
    model = recordings.checkpoint("simulated-mtm")
    part_trials = trials.select("test").select(np.arange(3))
    for task in TASKS:
        own, other = (
            list(questions(task, part_trials, Asking(grouped=True, prompt=p))) for p in (None, Scheme.TEMPORAL)
        )
        for one, two in zip(own, other, strict=True):
            assert torch.equal(one.mask.hidden, two.mask.hidden) and torch.equal(one.mask.target, two.mask.target)
            assert two.scheme is Scheme.TEMPORAL and one.scheme is not two.scheme
    *_, prompted = score_task(model, trials, TASK, Asking(prompt=Scheme.TEMPORAL))
    *_, named = score_task(model, trials, TASK, Asking(prompt=Scheme.CAUSAL))
    *_, usual = score_task(model, trials, TASK)
    np.testing.assert_array_equal(named.score.bits, usual.score.bits)
    assert prompted.score.protocol["prompt"] == "temporal" and usual.score.protocol["prompt"] == "causal"
    assert not np.array_equal(prompted.score.bits, usual.score.bits)


def test_two_prompts_of_one_model_are_compared_on_the_same_entries(trials):
    contenders = (Contender(), Contender(prompt="temporal"))
    spec = replace(SPEC, comparison=Comparison(contenders, TASK))
    *_, (_, result) = compare.steps(spec)
    a, b = (result.scores[one] for one in result.contenders)
    np.testing.assert_array_equal(a.sums.n_entries, b.sums.n_entries)
    np.testing.assert_array_equal(a.sums.spikes, b.sums.spikes)
    assert result.pair.comparison == library_compare(b, a)
    assert "never trained with the temporal prompt; expect little of it." in result.judged.cautions[0]


# --- one trial --------------------------------------------------------------------------------------------------------


def test_the_raster_holds_each_neuron_as_predicted_while_it_was_hidden():
    trials = with_gaps(small_trials(shape=(10, 20, 12)))
    model, position = checkpoint_of(trials), np.array([2])
    part_trials = trials.select(position)
    for task in TASKS:
        *_, (share, rates) = task_rates(model, trials, task, position, Asking(bf16=False))
        expected = np.full(part_trials.counts.shape, np.nan)
        for question in questions(task, part_trials):
            answer = predict(model, part_trials, question.mask)
            scored = question.mask.target.numpy() & part_trials.valid[:, :, None]
            expected = np.where(scored, answer, expected)
        assert share == 1.0
        np.testing.assert_allclose(rates, expected, rtol=1e-4, err_msg=task)


@pytest.mark.parametrize("poison", [1e6, np.nan], ids=str)
@pytest.mark.parametrize("task", TASKS)
def test_the_raster_of_a_neuron_reads_nothing_that_its_task_hides(task, poison):
    trials = small_trials(shape=(10, 20, 12))
    model, position, neuron = checkpoint_of(trials), np.array([2]), 4
    for prompt in (None, Scheme.TEMPORAL):
        *_, (_, expected) = task_rates(model, trials, task, position, Asking(prompt=prompt))
        counts = np.where(unseen_by(task, trials, neuron), poison, trials.counts).astype(np.float32)
        ask = Asking(prompt=prompt)
        given = (replace(trials, counts=each) for each in (trials.counts.astype(np.float32), counts))
        found = [_rates_of(model, each, task, ask)[:, neuron] for each in given]
        scored = np.isfinite(expected[0, :, neuron])
        assert scored.any() and same(found[1][scored], found[0][scored]), f"{task} reads what it hides"


def _rates_of(model, trials, task, asking):
    *_, (_, rates) = task_rates(model, trials, task, np.array([2]), asking)
    return rates[0]


def test_the_gain_of_a_trial_is_the_difference_of_log_likelihoods(found):
    one = found.one
    y, (a, b) = one.counts.astype(float), (np.where(one.target, rates, 1.0).astype(float) for rates in one.rates)
    by_hand = ((y * np.log(b) - b) - (y * np.log(a) - a))[one.target].sum() / (np.log(2) * y[one.target].sum())
    assert one.gain == pytest.approx(by_hand, rel=1e-6)
    n_future = found.recording.trials.n_bins // 10
    assert not one.target[:-n_future].any() and one.target[-n_future:].all()
    assert "bits per spike over A" in said(found) and f"Trial {one.trial}." in said(found)


def test_only_held_out_trials_are_shown(found):
    opened = found.recording
    test = np.flatnonzero(opened.trials.split == "test")
    train = int(np.flatnonzero(opened.trials.split == "train")[0])
    assert compare.trial_of(opened, -1) == compare.trial_of(opened, train) == test[0]
    assert compare.trial_of(opened, int(test[5])) == test[5]
    *_, other = compare.ready(replace(SPEC, trial=int(test[5])))
    assert other.one.trial == test[5] and other.pair is found.pair
    np.testing.assert_array_equal(other.one.counts, opened.trials.counts[test[5]])


# --- a job ------------------------------------------------------------------------------------------------------------


def test_progress_grows_to_one_and_says_who_is_scored(all_steps):
    shares = [share for share, _ in all_steps]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert any("PSTH" in result.now for _, result in all_steps) and all_steps[-1][1].now == ""


def test_a_second_visitor_gets_the_same_without_computing(found, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("computed again")

    for name in ("score_task", "score_fitted", "task_rates", "pair_of"):
        monkeypatch.setattr(compare, name, refuse)
    *_, again = compare.ready(SPEC)
    assert again.pair is found.pair and again.one.rates[0] is found.one.rates[0]
    *_, (share, result) = compare.steps(replace(SPEC, neuron=3, page="explore"))
    assert share == 1.0 and result.pair is found.pair


def test_what_is_scored_before_a_cancel_stays(found):
    spec = replace(SPEC, comparison=Comparison((Contender(baseline="train_mean"), Contender(prompt="neuron")), TASK))
    for _, result in compare.steps(spec):
        if result.scores:
            break
    kept = compare.opened(spec)
    assert list(kept.scores) == [kept.contenders[0]] and kept.pair is None


def test_a_result_of_another_question_is_not_shown(found):
    def state(spec, job=None, view=None):
        return SimpleNamespace(spec=spec, jobs={"compare": job} if job else {}, views={"compare": view}, working=False)

    other = replace(SPEC, comparison=replace(SPEC.comparison, task="co_smoothing"))
    done = Job("compare", SPEC, found, 1.0, state="done")
    assert shown.newest(state(SPEC, view=found)) is found and shown.newest(state(SPEC, done)) is found
    assert shown.newest(state(other, done, found)) is None
    assert "Complete" in shown.status(state(SPEC, done)) and "all 64 held-out trials" in shown.status(state(SPEC, done))
    running = Job("compare", SPEC, replace(found, now="PSTH is fitted"), 0.25, 30.0)
    assert shown.status(state(SPEC, running)) == "Comparing: 25% done, about 30 s left. Now: PSTH is fitted."


# --- refusals ---------------------------------------------------------------------------------------------------------


def judged(*contenders: Contender, **changes) -> comparable.Judged:
    spec = replace(SPEC, comparison=Comparison(contenders, **{"task": TASK, **changes}))
    return comparable.judge(spec, comparable.reference(spec))


def about(name: str, value: object, key: str = "data"):
    """The manifest of the model "other", of which one thing is different."""
    real = comparable._manifest.__wrapped__

    def manifest(model):
        found = real(model)
        if model == "other":
            (data,) = found["data"]
            changed = [{**data, name: value}]
            return {**found, "data": changed} if key == "data" else {**found, key: changed}
        return found

    return manifest


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        (about("bin_size", 0.05), "was trained with bins of 50 ms, the others with bins of 20 ms"),
        (about("window", [-1.0, 1.0]), "was trained with a window of -1 to 1 s, the others with a window of -0.5 to 1"),
        (about("event", "feedback_times"), "was trained with trials aligned to feedback_times"),
        (about("split_sha256", "0" * 64), "trials that are scored may have been its training trials"),
        (about("split_sha256", "0" * 64, "pretrained_on"), "trials that are scored may have been its training trials"),
        (about("counts_sha256", "0" * 64), "another version of this recording"),
        (about("session", "simulated-9"), "has not been trained on this recording"),
    ],
)
def test_a_model_of_another_question_is_refused_in_one_sentence(manifest, reason, monkeypatch):
    monkeypatch.setattr(comparable, "_manifest", manifest)
    said = judged(Contender(), Contender(model="other")).refused
    assert said.startswith("B (other) ") and reason in said and said.endswith(".") and said.count(". ") == 0
    assert not judged(Contender(), PSTH, Contender(model="other")).refused, "a third one does not stand in the way"
    with pytest.raises(ValueError, match="B \\(other\\)"):
        next(compare.steps(replace(SPEC, comparison=Comparison((Contender(), Contender(model="other")), TASK))))


@pytest.mark.parametrize(
    ("contenders", "changes", "reason"),
    [
        ((Contender(), Contender(model="nobody")), {}, "B (nobody) is not here; pick a model from the list."),
        ((Contender(), Contender(model="simulated-mtm")), {}, "A and B are the same"),
        ((Contender(baseline="autoregression"), MODEL), {"task": "co_smoothing"}, "does not exist for co-smoothing"),
        ((Contender(baseline="ridge"), MODEL), {"task": "co_smoothing", "fast": True}, "choose Exact."),
    ],
)
def test_what_cannot_be_compared_is_refused(contenders, changes, reason):
    assert reason in judged(*contenders, **changes).refused


def test_what_can_be_compared_is_not_refused():
    assert judged(PSTH, MODEL, task="co_smoothing", fast=True).refused == "", "a PSTH reads no neuron"
    assert judged(Contender(baseline="ridge"), MODEL, fast=True).refused == "", "nothing is grouped in this task"
    assert judged(Contender(), Contender(model="other")).refused == ""
    assert judged(*Comparison().contenders, task="co_smoothing") == comparable.Judged({}, "", ())


def test_a_recording_that_no_model_knows_can_still_compare_baselines():
    spec = replace(SPEC, session="simulated-2", comparison=Comparison((PSTH, Contender(baseline="train_mean")), TASK))
    *_, (_, result) = compare.steps(spec)
    assert result.pair.comparison.mean_difference < 0 and not result.recording.known
    refused = replace(spec, comparison=SPEC.comparison)
    assert "has not been trained on this recording" in compare.opened(refused).judged.refused


# --- the address ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "co_smoothing~baseline.psth~model..",
        "forward_prediction~fast~model.a-b.c_1.neuron~model..temporal",
        "inter_region~model.x.~baseline.ridge~baseline.true_rates~model.y.causal",
    ],
)
def test_an_address_leads_to_the_same_comparison(text):
    value = parse_comparison(text)
    assert comparison_text(value) == text
    spec = replace(SPEC, comparison=value)
    assert decode(encode(spec)) == (spec, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "co_smoothing",
        "co_smoothing~model..",
        "singing~model..~baseline.psth",
        "co_smoothing~model..~baseline.test_mean",
        "co_smoothing~model..~baseline.psth~fast",
        "co_smoothing~slow~model..~baseline.psth",
        "co_smoothing~model.a/b.~baseline.psth",
        "co_smoothing~model..purple~baseline.psth",
        "co_smoothing" + "~model.." * 9,
        "co_smoothing~model.<b>.~baseline.psth",
    ],
)
def test_any_other_text_is_refused(text):
    with pytest.raises(ValueError):
        parse_comparison(text)
    assert decode(f"page=compare&comparison={text}") == (Spec(page="compare"), False)


def test_the_default_needs_only_the_bundled_model_and_stays_out_of_the_address():
    assert encode(Spec(page="compare")) == "page=compare"
    assert Comparison().contenders == (Contender(baseline="ridge"), Contender())
    assert set(chosen.BASELINES) == set(FITS) - {"test_mean"} and chosen.TASKS == TASKS
    assert asked(SPEC).comparison == SPEC.comparison and asked(SPEC).page == Spec().page


def test_contenders_are_each_there_once():
    now = chosen.with_others(Comparison(), (PSTH, PSTH, Contender(), Contender(baseline="coupling")))
    assert now.others == (PSTH, Contender(baseline="coupling"))
    assert chosen.swapped(now).contenders[:2] == now.contenders[1::-1] and chosen.swapped(now).others == now.others
    assert len(chosen.with_others(now, tuple(Contender(model=f"m{i}") for i in range(20))).contenders) == chosen.MOST


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_the_verdict_says_who_is_better_and_how_sure_that_is(found):
    text = summary.verdict(found)
    assert "B (simulated-mtm) predicts worse than A (PSTH)" in text or "No clear difference" in text
    for part_of_it in ("over trials", "over neurons", "sign test", "silent", "excluded", "pooled"):
        assert part_of_it in text
    better = compare.opened(replace(SPEC, comparison=chosen.swapped(SPEC.comparison)))
    assert better.pair is None or better.pair.comparison.mean_difference == -found.pair.comparison.mean_difference
    none = replace(
        found, pairs={found.contenders[1]: replace(found.pair, comparison=None, reason="no neuron has both")}
    )
    assert "cannot be compared: no neuron has both" in summary.verdict(none)


def test_dots_far_below_are_drawn_at_the_edge_and_keep_their_value():
    bits = np.concatenate([np.linspace(0, 1, 99), [-40.0]])
    columns = {name: bits for name in ("a", "b", "difference", "neuron", "region", "rate", "colour")}
    figure = make_pair_figure()
    draw_pair(figure, columns, ("A: x", "B: y"))
    data = figure.dots.data
    assert data["a"][-1] == -40 and -5 < figure.figure.x_range.start < data["x"][-1] < 0
    assert data["marker"].count("triangle") == 1 and figure.figure.xaxis[0].axis_label == "A: x (bits per spike)"
    assert figure.figure.x_range.start == figure.figure.y_range.start, "the diagonal means equal"


def test_the_figures_show_every_scored_neuron_and_region(found):
    dots, rows = by_region.dots(found), by_region.differences(found)
    assert len(dots["neuron"]) == found.pair.n_scored and set(dots["region"]) == set(found.pair.colours)
    assert [row.name for row in rows] == [by_region.ALL, *found.pair.regions.region]
    figure = make_difference_figure()
    draw_differences(figure, rows)
    assert figure.figure.y_range.factors[-1] == by_region.ALL and len(figure.source.data["n"]) == len(rows)


# --- two views of Explore ---------------------------------------------------------------------------------------------

CA1 = Hide(scheme="hand", regions=("CA1",))
VIEWS = Spec(
    page="compare",
    comparison=Comparison(task=chosen.EXPLORE),
    pin=Pin("simulated-1", "simulated-mtm", CA1),
    hide=Hide(scheme="hand", regions=("CA1", "DG"), window=(90, 100), prompt="neuron"),
)


def views(spec: Spec):
    *_, last = compare.ready(spec)
    return last


@pytest.fixture(scope="module")
def two_views(only_the_untrained_model):
    return views(VIEWS)


def test_two_views_are_scored_on_the_entries_that_both_hide(two_views, trials):
    test, inside = trials.select("test"), trials.regions == "CA1"
    for one, hide in zip(two_views.contenders, (CA1, VIEWS.hide), strict=True):
        drawn = compute.mask("simulated-1", "simulated-mtm", hide)
        shape = test.counts.shape
        every = replace(drawn, hidden=drawn.hidden.expand(shape), target=drawn.target.expand(shape))
        by_hand = bits_per_spike(predict(recordings.checkpoint("simulated-mtm"), test, every), test.counts)
        np.testing.assert_allclose(two_views.scores[one].bits[inside], by_hand[inside], rtol=1e-5)
    pair = two_views.pair
    assert pair.n_scored + pair.n_silent == inside.sum() and pair.n_excluded == (~inside).sum()
    assert set(pair.regions[pair.regions.n > 0].region) == {"CA1"}
    assert two_views.one.target.any(0).sum() == inside.sum() and two_views.one.target.all(0).sum() == inside.sum()
    assert [name.split(",")[0] for name in two_views.names] == ["pinned view", "present view"]
    assert views(replace(VIEWS, trial=22)).pair is pair


def test_a_view_predicts_from_what_it_shows(trials):
    some = trials.select(np.arange(2))
    for hide in (CA1, VIEWS.hide):
        drawn = compute.mask("simulated-1", "simulated-mtm", hide)
        expected = compare_views._rates("simulated-mtm", drawn, replace(some, counts=some.counts.astype(np.float32)))
        for poison in (np.nan, 1e6):
            counts = np.where(drawn.hidden.numpy(), poison, some.counts).astype(np.float32)
            assert same(compare_views._rates("simulated-mtm", drawn, replace(some, counts=counts)), expected)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pin": None}, "Nothing is pinned yet"),
        ({"pin": replace(VIEWS.pin, session="simulated-2")}, "pinned view is of another recording"),
        ({"hide": CA1}, "are the same view"),
        ({"hide": Hide(scheme="hand", regions=("DG",))}, "hide nothing in common"),
        ({"model": "other", "session": "simulated-2", "pin": Pin("simulated-2", "other", CA1)}, "not been trained on"),
    ],
)
def test_views_that_cannot_be_compared_are_refused(changes, reason):
    refused = views(replace(VIEWS, **changes))
    assert reason in refused.judged.refused and refused.pair is None


def test_a_pinned_view_is_in_the_address():
    assert decode(encode(VIEWS)) == (VIEWS, True)
    plainest = replace(VIEWS, pin=Pin("simulated-1", "simulated-mtm", Hide()))
    assert decode(encode(plainest)) == (plainest, True)
    for text in ("", "session=a", "session=a&model=b&colour=red", "session=a&model=b&ratio=x", "session=<b>&model=b"):
        assert decode(f"pin={quote(text)}") == (Spec(), False)


def test_a_view_is_told_in_words():
    assert pinned.hidden(VIEWS.hide) == "2 regions, 1 time window by hand"
    assert pinned.hidden(Hide(scheme="neuron", ratio=40, seed=1)) == "Neurons (co-smoothing), 40 %, draw 2"
    assert pinned.hidden(Hide(scheme="hand")) == "nothing by hand"
    assert pinned.described(VIEWS.pin).endswith("with the inter-region prompt; hidden: 1 region by hand")
