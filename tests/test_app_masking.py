"""The page "Masking": its pictures and numbers are those of the model, and no score knows what is hidden."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import small_model, small_trials
from small_released import small_released

from app import compute
from app.analyses import masking, masking_prompts, masking_ratios
from app.analyses.masking_prompts import TRUE_RATES, UNPROMPTED
from app.chain import STEPS, Chain, chain_text, parse_chain
from app.pages import masking as masking_page
from app.pages.masking import bar, gallery, pictures, prompts, ratios, said, story
from app.pages.masking.shown import trial
from app.plots.masking import attention_blocks, label_prefix, make_sheet, neuron_block, small_picture, token_blocks
from app.spec import SCHEMES, Hide, Spec, decode, encode
from app.state import State
from app.work import Job, View, Work
from mtm_core.checkpoint import Checkpoint
from mtm_core.evaluation.metrics import bits_per_spike
from mtm_core.evaluation.tasks import train_means
from mtm_core.masking import Scheme
from mtm_core.predict import predict, to_batch
from mtm_core.session import Trials, identity

TRIALS = small_trials(shape=(30, 12, 12))
MODELS = {"small": small_model(TRIALS), "patches": small_model(TRIALS, patch_neurons=5)}
MODELS["blind"] = small_model(TRIALS, prompted=False)
MODELS["released"] = small_released()
RELEASED = small_trials("aaaa-1", (30, 10, 6))
FACTS = {"data": [identity(TRIALS)], "schemes": ["neuron", "causal", "intra_region", "inter_region"]}
SPEC = Spec(session="a", model="small", page="masking", trial=2, hide=Hide(scheme="neuron"))
POISONS = (np.nan, 1e6)


def opened_as(trials: Trials, model: str, known: bool = True) -> SimpleNamespace:
    """A recording of small trials, as the analyses and the page use one."""
    names = trials.regions.astype(str)
    return SimpleNamespace(
        trials=trials,
        entry=SimpleNamespace(id=trials.session_id),
        model=model,
        known=known,
        test=np.flatnonzero(trials.split == "test"),
        region_names=names,
        regions=tuple(np.unique(names)),
        colours=np.full(names.size, "#336699"),
        times=trials.window[0] + trials.bin_size * np.arange(trials.n_bins + 1),
        high_hz=50.0,
        order=lambda sort: np.arange(names.size)[::-1],
        trial=lambda chosen: 2 if chosen < 0 else chosen,
    )


def use(monkeypatch, trials: Trials, known: bool = True) -> None:
    """The analyses find these trials and the small models; nothing is kept from another test."""
    for module in (compute, masking, masking_prompts, masking_ratios):
        monkeypatch.setattr(module, "recording", lambda session, model: opened_as(trials, model, known))
        monkeypatch.setattr(module, "checkpoint", lambda name: Checkpoint(MODELS[name], FACTS, Path("some") / name))
    for kept in (compute.mask, compute._inferred, compute._average, masking.scheme_masks, masking._inside):
        kept.cache_clear()
    masking_prompts._kept.clear()
    masking_ratios._kept.clear()


@pytest.fixture(autouse=True)
def small_recording(monkeypatch):
    use(monkeypatch, TRIALS)


def with_hide(spec: Spec = SPEC, **changes) -> Spec:
    return replace(spec, hide=replace(spec.hide, **changes))


def finished(steps):
    """Shares, and the last result."""
    found = list(steps)
    return [share for share, _ in found], found[-1][1]


def visitor(monkeypatch, spec: Spec = SPEC, computed: bool = True) -> State:
    """A visitor whose choices start nothing; with the results of the present choices."""
    monkeypatch.setattr(State, "start", lambda self: None)
    view = View(masking.shown, masking.READS)
    state = State(Work(compute.picture, lambda spec: iter(()), views={"masking": view}), spec=spec)
    if computed:
        bring(state)
    return state


def bring(state: State) -> None:
    """The results for what the visitor has chosen."""
    key = replace(state.spec, page="explore", chain=Chain())
    state.param.update(picture=compute.picture(key), views={"masking": masking.shown(state.spec)})


# --- the address ------------------------------------------------------------------------------------------------------

chains = st.builds(Chain, st.integers(1, 7), st.integers(1, 100), st.integers(0, 16_384), st.integers(0, 999))


@given(chains)
def test_every_place_in_the_chain_survives_its_address(chain):
    assert parse_chain(chain_text(chain)) == chain
    spec = replace(SPEC, chain=chain)
    assert decode(encode(spec)) == (spec, True)


@pytest.mark.parametrize(
    "text", ["", "1", "0.1.1.0", "8.1.1.0", "1.0.1.0", "1.101.1.0", "1.1.16385.0", "1.1.1.-1", "a"]
)
def test_any_other_text_is_no_place(text):
    with pytest.raises(ValueError):
        parse_chain(text)
    assert decode(f"chain={text}") == (Spec(), False)


# --- inside the model -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ("small", "patches", "blind"))
def test_the_two_parts_of_the_tokens_are_the_tokens(model):
    """What is said and the signals, plus the time and what patches add, are what enters the first layer."""
    inside, network = masking.shown(replace(SPEC, model=model)).inside, MODELS[model]
    one = TRIALS.select(np.array([2]))
    drawn = compute.mask("a", model, SPEC.hide)
    with torch.no_grad():
        tokens = network.tokens(to_batch(network, one), drawn.hidden)[0].flatten(0, 1).numpy()
        sequence = network._sequence(
            network.tokens(to_batch(network, one), drawn.hidden), to_batch(network, one), drawn.prompts
        )
    np.testing.assert_allclose(inside.read.said + inside.read.signal, tokens, atol=1e-4)
    np.testing.assert_allclose(inside.sequence, sequence[0], atol=1e-6)
    assert inside.weights.shape == (2, 2, 14, 14) and inside.n_patches == (3 if model == "patches" else 1)
    np.testing.assert_allclose(inside.weights.sum(-1), 1, atol=1e-5)


def test_a_hidden_entry_reads_as_nothing_unusual_and_a_visible_one_by_hand():
    inside = masking.shown(SPEC).inside
    hidden, means = inside.hidden, MODELS["small"].units.mean.numpy()
    assert hidden.any() and not hidden.all() and (inside.read.values[hidden] == 0).all()
    by_hand = (TRIALS.counts[2] - means) / np.sqrt(means + 0.05)
    np.testing.assert_allclose(inside.read.values[~hidden], by_hand[~hidden], rtol=1e-4, atol=1e-5)


def test_weights_of_the_authors_are_shown_as_they_read(monkeypatch):
    """Raw counts, 0 for hidden, no signal, and no blank prompt."""
    use(monkeypatch, RELEASED)
    spec = replace(SPEC, session="aaaa-1", model="released")
    state = visitor(monkeypatch, spec)
    shown = trial(state)
    inside, hidden = shown.inside, shown.picture.hidden
    assert inside.released and inside.read.signal is None and inside.weights.shape == (2, 2, 12, 12)
    np.testing.assert_array_equal(inside.read.values, np.where(hidden, 0, RELEASED.counts[2]))
    np.testing.assert_allclose(inside.sequence[2:], inside.read.said, atol=1e-6)
    assert "write 0 for hidden" in said.numbers("read", shown, Chain())
    assert UNPROMPTED not in masking_prompts.prompts_of(spec)
    made = pictures.Pictures(state)
    bar.go_to(state, STEPS.index("tokens") + 1)
    assert set(made.panes) - {"recorded"} == {"said", "tokens"}


@pytest.mark.parametrize("poison", POISONS)
def test_nothing_inside_depends_on_what_is_hidden(monkeypatch, poison):
    before, drawn = masking.shown(SPEC).inside, compute.mask("a", "small", SPEC.hide)
    answers = {p: masking_prompts.answer("small", TRIALS, drawn, p) for p in ("neuron", UNPROMPTED)}
    counts = np.where(drawn.hidden.numpy(), poison, TRIALS.counts.astype(np.float32))
    use(monkeypatch, replace(TRIALS, counts=counts))
    after = masking.shown(SPEC).inside
    for name in ("sequence", "weights"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    for name in ("values", "signal", "said"):
        np.testing.assert_array_equal(getattr(before.read, name), getattr(after.read, name))
    for prompt, rates in answers.items():
        poisoned = masking_prompts.answer("small", replace(TRIALS, counts=counts), drawn, prompt)
        np.testing.assert_array_equal(rates, poisoned)


def test_a_sample_keeps_what_was_seen_and_draws_the_rest_around_its_rate():
    picture = compute.picture(replace(SPEC, page="explore"))
    drawn = np.array([masking.sample(picture, draw) for draw in range(400)])
    np.testing.assert_array_equal(drawn[:, ~picture.hidden], np.repeat(picture.counts[~picture.hidden][None], 400, 0))
    rates = picture.rates[picture.hidden]
    error = (drawn[:, picture.hidden].mean(0) - rates) / np.sqrt(rates / 400)
    assert abs(error).max() < 5 and 0.7 < error.std() < 1.3
    np.testing.assert_array_equal(drawn[3], masking.sample(picture, 3))


def test_a_scheme_is_drawn_as_it_is_if_present_and_as_usual_otherwise():
    hide = Hide(scheme="neuron", ratio=70, seed=4, prompt="causal")
    assert masking.as_drawn(hide, "neuron") is hide and masking.as_drawn(hide, "causal") == Hide("causal", seed=4)
    found = {each.scheme: each for each in masking.scheme_masks("a", "small", hide)}
    assert tuple(found) == SCHEMES
    for name, each in found.items():
        own = compute.mask("a", "small", masking.as_drawn(hide, name))
        np.testing.assert_array_equal(each.hidden, own.hidden[0])
        np.testing.assert_array_equal(each.target, own.target[0])


def test_a_scheme_that_needs_regions_says_so_where_there_are_none(monkeypatch):
    use(monkeypatch, replace(TRIALS, regions=np.full(12, "root")))
    found = {each.scheme: each.problem for each in masking.shown(SPEC).schemes}
    assert "no neuron has a known region" in found["inter_region"] and not found["neuron"]


def test_a_model_that_does_not_know_the_recording_has_no_inside(monkeypatch):
    use(monkeypatch, TRIALS, known=False)
    shown = masking.shown(SPEC)
    assert shown.inside is None and "not been trained on this recording" in shown.problem and len(shown.schemes) == 6
    for steps in (masking_prompts.steps, masking_ratios.steps):
        with pytest.raises(ValueError, match="not been trained on this recording"):
            next(steps(SPEC))


# --- prompts ----------------------------------------------------------------------------------------------------------


def test_every_prompt_is_scored_on_the_same_hidden_entries_of_the_test_trials():
    """Against the metric applied to the library's predictions, prompt by prompt."""
    shares, found = finished(masking_prompts.steps(SPEC))
    assert shares == sorted(shares) and shares[-1] == 1 and found.complete
    assert [each.prompt for each in found.scores] == [
        *("neuron", "causal", "intra_region", "inter_region"),
        *(UNPROMPTED, TRUE_RATES),
    ]
    part = TRIALS.select("test")
    drawn = compute.mask("a", "small", SPEC.hide)
    target = np.broadcast_to(drawn.target.numpy(), part.counts.shape)
    assert found.n_entries == target.sum() and found.n_trials == part.n_trials
    for each in found.scores:
        if each.prompt == UNPROMPTED:
            continue
        scheme = Scheme[each.prompt.upper()] if each.prompt != TRUE_RATES else None
        whole = replace(drawn, hidden=drawn.hidden.expand(part.counts.shape), target=torch.as_tensor(target.copy()))
        rates = part.true_rates if scheme is None else predict(MODELS["small"], part, replace(whole, scheme=scheme))
        expected = np.nanmean(bits_per_spike(rates, part.counts, target=target))
        assert each.mean == pytest.approx(expected, abs=1e-5) and each.mean_ci[0] < each.mean < each.mean_ci[1]
        if each.prompt != "neuron":
            assert each.against == pytest.approx(expected - found.scores[0].mean, abs=1e-5)


def test_without_a_prompt_the_token_is_blank_and_the_model_stays_as_it_is():
    drawn = compute.mask("a", "small", SPEC.hide)
    blank = masking_prompts.answer("small", TRIALS, drawn, UNPROMPTED)
    zeroed = small_model(TRIALS)
    zeroed.prompt.weight.data.zero_()
    whole = replace(drawn, hidden=drawn.hidden.expand(TRIALS.counts.shape), target=drawn.target.expand(30, 12, 12))
    np.testing.assert_array_equal(blank, predict(zeroed, TRIALS, whole))
    assert MODELS["small"].config.prompted
    assert not np.allclose(blank, predict(MODELS["small"], TRIALS, whole))


def test_a_model_without_prompts_is_asked_with_and_without_its_future():
    assert masking_prompts.prompts_of(replace(SPEC, model="blind")) == ["neuron", "causal"]
    assert masking_prompts.prompts_of(with_hide(prompt="temporal"))[0] == "temporal"


def test_a_comparison_is_kept_for_its_mask_and_no_other():
    _, found = finished(masking_prompts.steps(SPEC))
    assert masking_prompts.kept(SPEC) is found and masking.shown(SPEC).prompts is found
    assert masking_prompts.kept(with_hide(seed=1)) is None and masking_prompts.kept(with_hide(prompt="causal")) is None


def test_nothing_to_score_is_said():
    with pytest.raises(ValueError, match="nothing that is scored is hidden"):
        next(masking_prompts.steps(replace(SPEC, hide=Hide(scheme="hand"))))


# --- ratios -----------------------------------------------------------------------------------------------------------


def test_the_curve_is_the_pooled_score_of_masks_with_fixed_seeds(monkeypatch):
    monkeypatch.setattr(masking_ratios, "RATIOS", (30, 100))
    shares, found = finished(masking_ratios.steps(SPEC))
    assert shares == sorted(shares) and found.complete and [each.ratio for each in found.scores] == [30, 100]
    opened, null, gain, spikes = opened_as(TRIALS, "small"), train_means(TRIALS), 0.0, 0.0
    for part, _, drawn in masking_ratios.parts(opened, SPEC, 30):
        rates, target = predict(MODELS["small"], part, drawn).astype(float), drawn.target.numpy()
        y = part.counts.astype(float)
        gain += ((y * np.log(rates / null) - rates + null) * target).sum()
        spikes += (y * target).sum()
    first, last = found.scores
    assert first.bits == pytest.approx(gain / spikes / np.log(2), abs=1e-5) and first.n_spikes == spikes
    assert first.ci[0] < first.bits < first.ci[1]
    assert last.share_hidden == pytest.approx(1)
    assert last.n_spikes == 2 * TRIALS.select("test").counts.sum()
    assert masking_ratios.kept(with_hide(ratio=80, seed=9)) is found  # the curve does not depend on the slider
    assert masking_ratios.kept(with_hide(scheme="temporal")) is None


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_hidden_at_one_ratio_is_hidden_at_all_larger_ones(scheme):
    spec, opened = with_hide(scheme=scheme), opened_as(TRIALS, "small")
    if scheme == "causal":
        return  # half of its trials hide a stretch whose length is drawn anew
    masks = [[m.target for *_, m in masking_ratios.parts(opened, spec, ratio)] for ratio in (20, 60, 100)]
    for less, more in ((0, 1), (1, 2)):
        assert all((a <= b).all() for a, b in zip(masks[less], masks[more], strict=True))


def test_only_test_trials_are_scored():
    opened = opened_as(TRIALS, "small")
    asked = np.concatenate([part.counts for part, *_ in masking_ratios.parts(opened, SPEC, 50)])
    np.testing.assert_array_equal(asked, np.tile(TRIALS.select("test").counts, (2, 1, 1)))


def test_what_is_hidden_by_hand_has_no_curve():
    by_hand = replace(SPEC, hide=Hide(scheme="hand", neurons=(1,)))
    assert masking_ratios.kept(by_hand) is None
    with pytest.raises(ValueError, match="by hand has no ratio"):
        next(masking_ratios.steps(by_hand))


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_attention_stands_where_its_tokens_are_and_a_forbidden_future_is_empty():
    weights = np.tril(np.arange(1.0, 26).reshape(5, 5))
    weights[0, 1] = 0.5  # the two in front read each other
    blocks = attention_blocks(weights, (0.0, 3.0), causal=True)
    corner, bins = blocks[0], blocks[3]
    assert corner.values[0, 1] == np.float32(0.5) and bins.x == bins.y == (0.0, 3.0) and corner.x[1] < 0
    assert np.isnan(bins.values[np.triu_indices(3, 1)]).all() and not np.isnan(bins.values[np.tril_indices(3)]).any()
    free = attention_blocks(weights, (0.0, 3.0), causal=False)
    assert not any(np.isnan(block.values).any() for block in free)


@pytest.mark.parametrize(
    ("window", "times"),
    [((-0.5, 1.5), (0, 0.5, 1, 1.5)), ((0.0, 0.4), (0.1, 0.2, 0.3, 0.4)), ((-1.0, 9.0), (0, 2, 4, 6, 8))],
)
def test_the_axis_of_tokens_names_the_two_in_front_and_the_times(window, times):
    sheet = make_sheet("Attention", ("read from (s)", "reader (s)"), "share", False)
    label_prefix(sheet, window, up=True)
    for axis in (*sheet.figure.xaxis, *sheet.figure.yaxis):
        ticks = axis.ticker.ticks
        assert ticks[2:] == pytest.approx(list(times)) and ticks[0] < ticks[1] < window[0]
        assert [axis.major_label_overrides[tick] for tick in ticks[:2]] == ["S", "P"]


def test_a_hidden_neuron_is_seen_however_many_share_a_pixel():
    values, hidden = np.zeros((1000, 3)), np.zeros((1000, 3), dtype=bool)
    hidden[517], values[10] = True, -4.0
    block = neuron_block(values, hidden, (0.0, 1.0))
    assert len(block.values) < 1000 and block.y == (0, 1000)
    assert np.isnan(block.values).any(1).sum() == 1 and np.nanmin(block.values) == -4
    assert [each.values.shape for each in token_blocks(np.zeros((5, 7)), (0.0, 1.0), prefix=True)] == [(7, 2), (7, 3)]


def test_a_small_picture_keeps_the_share_that_is_hidden():
    kinds = np.repeat([[0], [2], [0], [1]], 100, axis=0).astype(np.uint8) * np.ones((1, 5), np.uint8)
    counts = np.zeros((400, 5), np.uint8)
    counts[:, 3] = 1
    small = small_picture(counts, kinds, 40)
    assert small.shape == (40, 5)
    assert small[:, 0].tolist() == [2] * 10 + [0] * 10 + [4] * 10 + [0] * 10  # from the top down
    np.testing.assert_array_equal(small[:, 3], small[:, 0] + 1)


def test_every_step_shows_its_pictures_and_no_others(monkeypatch):
    state = visitor(monkeypatch)
    made = pictures.Pictures(state)
    for i, step in enumerate(STEPS, 1):
        bar.go_to(state, i)
        assert {name for name, pane in made.panes.items() if pane.visible} == set(pictures.SEEN[step]), step
    assert set(made.panes) == {*pictures.RASTERS, *pictures.SHEETS}
    shown = trial(state)
    blocks = made.sheets["attention"].blocks.data["image"]
    np.testing.assert_array_equal(blocks[3], shown.inside.weights[0, 0, 2:, 2:])
    state.go(chain=Chain(5, 2, 0))
    blocks = made.sheets["attention"].blocks.data["image"]
    np.testing.assert_allclose(blocks[3], shown.inside.weights[1].mean(0)[2:, 2:], rtol=1e-6)


def test_a_picture_of_the_last_mask_never_stands_beside_tokens_of_the_next(monkeypatch):
    state = visitor(monkeypatch)
    assert trial(state) is not None
    state.hide(seed=5)
    state.views = {"masking": masking.shown(state.spec)}
    assert trial(state) is None
    bring(state)
    assert trial(state).inside is masking.shown(state.spec).inside
    state.go(trial=7)
    assert trial(state) is None


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_is_built_before_anything_is_known(monkeypatch):
    assert masking_page.page(visitor(monkeypatch, computed=False)) is not None


def test_the_numbers_of_every_step_are_those_of_the_trial(monkeypatch):
    shown = trial(visitor(monkeypatch))
    picture, inside = shown.picture, shown.inside
    texts = {step: said.numbers(step, shown, Chain()) for step in STEPS}
    assert "12 bins of 20 ms × 12 neurons = 144 numbers" in texts["counts"]
    assert f"{int(picture.counts.sum()):,} spikes" in texts["counts"]
    assert f"{picture.hidden.sum()} hidden and scored, 0 hidden but not asked" in texts["mask"]
    assert f"{int(picture.counts[picture.hidden].sum())} are hidden" in texts["read"]
    assert "14 tokens of 16 numbers" in texts["tokens"] and "prompt “neuron”" in texts["tokens"]
    own = np.trace(inside.weights[0, 0, 2:, 2:]) / 12
    assert f"Layer 1, head 1: on average a bin gives {own:.0%} to itself" in texts["attention"]
    assert f"{int(picture.counts[picture.target].sum())} were recorded" in texts["rates"]
    assert "bits per spike" in texts["rates"]
    assert said.shapes(shown)[3:5] == ["14 tokens × 16", "2 layers × 2 heads"]


def test_a_trial_of_the_training_gets_no_score(monkeypatch):
    state = visitor(monkeypatch, replace(SPEC, trial=0))
    text = said.numbers("rates", trial(state), Chain())
    assert "has met this trial in training" in text and "bits per spike" not in text


def test_a_causal_trial_says_that_nothing_is_read_ahead(monkeypatch):
    shown = trial(visitor(monkeypatch, with_hide(scheme="causal")))
    assert "exactly 0% to later bins" in said.numbers("attention", shown, Chain(5, 2, 1))
    free = trial(visitor(monkeypatch, with_hide(scheme="temporal")))
    assert "exactly" not in said.numbers("attention", free, Chain(5, 2, 1))


def test_a_layer_and_head_beyond_the_model_are_its_last():
    inside = masking.shown(SPEC).inside
    assert said.place(inside, Chain(5, 9, 9)) == (2, 2) and said.place(inside, Chain(5, 1, 0)) == (1, 0)
    np.testing.assert_array_equal(said.chosen(inside, Chain(5, 9, 9)), inside.weights[1, 1])


def test_next_leads_through_all_steps_and_back_to_the_first(monkeypatch):
    state = visitor(monkeypatch)
    back, on = bar.back_and_next(state).objects
    for expected in (*range(2, 8), 1):
        on.param.trigger("clicks")
        assert state.spec.chain.step == expected
        assert on.label == ("Start again" if expected == 7 else "Next")
    back.param.trigger("clicks")
    assert state.spec.chain.step == 7


def test_a_button_of_the_bar_leads_to_its_step_and_nothing_else_does(monkeypatch):
    state = visitor(monkeypatch)
    made = bar.steps(state)
    (heard,) = made._msg__callbacks
    heard(SimpleNamespace(data=4))
    assert state.spec.chain.step == made.current == 4 and made.shapes[3] == "14 tokens × 16"
    for nonsense in (0, 8, "2", None):
        heard(SimpleNamespace(data=nonsense))
    assert state.spec.chain.step == 4 and state.message == ""


def test_the_story_follows_the_step(monkeypatch):
    state = visitor(monkeypatch)
    told, facts, attention, again, _ = story.view(state).objects
    bar.go_to(state, STEPS.index("sample") + 1)
    assert told.object.startswith("### A sample") and again.visible and not attention.visible
    first = facts.text
    assert first.startswith("Drawn ")
    again.objects[0].objects[0].param.trigger("clicks")
    assert state.spec.chain.draw == 1
    bar.go_to(state, STEPS.index("attention") + 1)
    layer, head = attention.objects
    head.value = 2
    assert state.spec.chain == Chain(5, 1, 2, 1) and "Layer 1, head 2" in facts.text


def test_a_click_on_a_scheme_chooses_it_and_its_picture_is_its_mask(monkeypatch):
    state = visitor(monkeypatch, with_hide(seed=3))
    shown = next(each for each in gallery.view(state).select(gallery.Gallery))
    assert shown.current == SCHEMES.index("neuron") and len(shown.items) == 6
    about = shown.items[SCHEMES.index("inter_region")]
    kinds = np.frombuffer(base64.b64decode(about["bytes"]), np.uint8).reshape(about["rows"], about["columns"]) // 2
    target = masking.shown(state.spec).schemes[SCHEMES.index("inter_region")].target
    np.testing.assert_array_equal(kinds == 2, target.T)  # small enough to be drawn whole, neuron 0 on top
    assert about["facts"] == f"Here: {target.any(0).sum()} of 12 neurons."
    (heard,) = shown._msg__callbacks
    heard(SimpleNamespace(data=SCHEMES.index("inter_region")))
    assert state.spec.hide == Hide(scheme="inter_region", seed=3)
    for nonsense in (99, -1, "neuron", None):
        heard(SimpleNamespace(data=nonsense))
    assert state.spec.hide.scheme == "inter_region" and state.message == ""


def test_the_comparison_says_which_prompts_differ():
    _, found = finished(masking_prompts.steps(SPEC))
    rows = prompts.rows(found)
    assert rows[0][0] == "neuron (in use)" and rows[0][3] == "–" and rows[-1][0] == "true rates (ceiling)"
    ends = [(-2, -1), (1, 2), (-1, 1)]
    altered = [replace(each, against_ci=each_ends) for each, each_ends in zip(found.scores[1:4], ends, strict=True)]
    text = prompts.verdict(replace(found, scores=(found.scores[0], *altered, found.scores[-1])))
    assert text == (
        "Compared with the prompt in use (neuron): causal: worse; intra-region: better; inter-region: no clear "
        "difference."
    )
    causal = replace(found, in_use="causal", scores=(found.scores[1], altered[1]))
    assert prompts.verdict(causal).endswith("intra-region: better. All but the causal prompt may read later bins.")
    lines = prompts.lines(found)
    assert [line.kind for line in lines] == ["in use", *["other"] * 4, "ceiling"]


def test_a_job_about_another_mask_is_not_shown(monkeypatch):
    state = visitor(monkeypatch)
    _, found = finished(masking_prompts.steps(with_hide(seed=7)))
    state.jobs = {"masking_prompts": Job("masking_prompts", with_hide(seed=7), found, 1.0, None, "done")}
    assert prompts.result(state) is None
    state.hide(seed=7)
    assert prompts.result(state) is found


def test_the_curve_says_where_the_slider_stands(monkeypatch):
    _, found = finished(masking_ratios.steps(SPEC))
    assert "At 30 %:" in ratios.about(found, None, SPEC.hide)
    assert "At " not in ratios.about(found, None, replace(SPEC.hide, ratio=35)).replace("At 30", "")
    partial = replace(found, complete=False)
    job = Job("masking_ratios", SPEC, partial, 0.5, None, "cancelled")
    assert ratios.about(partial, job, SPEC.hide).startswith("Cancelled, partial.")
    assert "choose a scheme" in ratios.about(None, None, Hide(scheme="hand"))
    assert ratios.points(found)["ratio"].tolist() == [each.ratio for each in found.scores if each.ci is not None]
