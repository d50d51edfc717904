"""The address holds everything, and no address can break the app."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.spec import (
    HAND,
    LEVELS,
    MAX_QUERY,
    PAGES,
    SCHEMES,
    SORTS,
    TABS,
    TASKS,
    Box,
    Hide,
    Scoring,
    Spec,
    decode,
    encode,
    part,
)
from mtm_core.evaluation import questions

indices = st.integers(0, 2000)
spans = st.tuples(indices, st.integers(1, 300)).map(lambda pair: (pair[0], sum(pair)))
boxes = st.builds(lambda sort, rows, bins: Box(sort, *rows, *bins), st.sampled_from(SORTS), spans, spans)
names = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=64)
hides = st.builds(
    Hide,
    scheme=st.sampled_from((HAND, *SCHEMES)),
    prompt=st.sampled_from(("", *SCHEMES)),
    ratio=st.integers(-1, 100),
    seed=st.integers(0, 999_999),
    neurons=st.sets(indices, max_size=30).map(lambda chosen: tuple(sorted(chosen))),
    regions=st.sets(names, max_size=3).map(lambda chosen: tuple(sorted(chosen))),
    window=st.just((0, 0)) | spans,
    boxes=st.lists(boxes, max_size=4).map(tuple),
)
scorings = st.builds(
    Scoring,
    tasks=st.sets(st.sampled_from(TASKS), min_size=1).map(lambda chosen: tuple(t for t in TASKS if t in chosen)),
    exact=st.booleans(),
    duplicates=st.booleans(),
    task=st.sampled_from(TASKS),
    against=st.sampled_from(("ridge", "psth")),
    region=st.just("") | names,
)
specs = st.builds(
    Spec,
    session=st.from_regex(r"[A-Za-z0-9_.\-]{1,64}", fullmatch=True),
    model=st.just("simulated-mtm"),
    trial=st.integers(-1, 2000),
    sort=st.sampled_from(SORTS),
    neuron=st.integers(-1, 2000),
    page=st.sampled_from(PAGES),
    level=st.sampled_from(("", *LEVELS)),
    tab=st.sampled_from(TABS),
    hide=hides,
    scoring=scorings,
)


@given(specs)
def test_every_spec_survives_its_address(spec):
    assert decode(encode(spec)) == (spec, True)


@given(st.text() | st.from_regex(r"(scheme|neurons|boxes|window|regions|trial|ratio)=[-.\w%,&=]*", fullmatch=True))
def test_any_text_gives_a_spec_and_its_address_is_stable(text):
    spec, _ = decode(text)
    assert decode(encode(spec)) == (spec, True)


def test_the_default_has_an_empty_address():
    assert encode(Spec()) == "" and decode("") == (Spec(), True)


def test_many_neurons_stay_short():
    assert encode(Spec(hide=Hide(scheme=HAND, neurons=tuple(range(5, 500))))) == "scheme=hand&neurons=5-499"


@pytest.mark.parametrize(
    "query",
    [
        "session=../../etc/passwd",
        "session=<script>",
        "neurons=5-99999999999",
        "neurons=-3",
        "window=9-3",
        "boxes=rate.1.2.3",
        "boxes=rate.5.2.3.9",
        "ratio=101",
        "tab=admin",
        "page=admin",
        "level=",
        "tasks=",
        "tasks=co_smoothing.everything",
        "exact=yes",
        "against=../x",
        "regions=" + "x" * 65,
        "colour=red",
        "trial=1e3",
        "a=1&" * 40,
        "x" * (MAX_QUERY + 1),
    ],
)
def test_what_is_not_understood_is_reported_and_left_at_its_default(query):
    spec, understood = decode(query)
    assert spec == Spec() and not understood


def test_the_good_part_of_a_broken_address_is_kept():
    assert decode("trial=7&scheme=nonsense") == (Spec(trial=7), False)


def test_an_address_from_before_the_pages_leads_to_where_its_tab_went():
    assert decode("tab=tasks&trial=7") == (Spec(page="scores", trial=7), True)


def test_a_part_keeps_what_it_names_and_nothing_else():
    spec = Spec(trial=5, neuron=3, page="map", hide=Hide(scheme=HAND, neurons=(1,)))
    assert part(spec, ("trial", "hide")) == Spec(trial=5, hide=spec.hide)


def test_the_tasks_are_those_of_the_evaluation():
    assert TASKS == questions.TASKS
