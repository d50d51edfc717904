"""The lessons: every link leads somewhere, every number is what the bundled demo gives, and no part is missing."""

from __future__ import annotations

import re

import pytest
from lesson_claims import decimals, holds, value_of

from app.contents import PAGES
from app.lessons import FOLDER, Claim, handout, lessons, links, parse, placed
from app.recordings import catalogue, models, recording
from app.spec import Spec, decode
from app.teaching import LESSONS, MOST_STEPS, Place

ALL = lessons()
BY_NAME = pytest.mark.parametrize("lesson", ALL, ids=[one.name for one in ALL])
CLAIMS = [(one, claim) for one in ALL for claim in one.claims]
A_TIME = re.compile(r"[-−]?\d+(\.\d+)? (to [-−]?\d+(\.\d+)? )?(s|seconds)\b")  # a place in the trial is no result
WORDS_A_MINUTE = 130  # of a text one studies
LOOKING = 4.0  # minutes per step: to decide, to look, to talk about it


def plain(text: str) -> str:
    """One line, without links and emphasis."""
    return " ".join(re.sub(r"\]\(\?[^)]*\)|[*\[]", "", text).split())


def prose(source: str) -> str:
    """A file without its claims."""
    return source.split("---\n", 2)[2]


def test_every_file_is_a_lesson_and_every_lesson_a_file():
    assert sorted(path.stem for path in FOLDER.glob("*.md")) == sorted(LESSONS) and len(LESSONS) >= 7
    assert len({one.title for one in ALL}) == len(ALL)


@BY_NAME
def test_a_lesson_has_all_parts(lesson):
    assert lesson.audience and lesson.goal.endswith(".") and 20 <= lesson.minutes <= 40
    assert lesson.goals.count("\n- ") >= 1 and lesson.takeaway.count("- ") >= 3 and lesson.words.count("**") >= 6
    assert 4 <= len(lesson.steps) <= MOST_STEPS and len({step.title for step in lesson.steps}) == len(lesson.steps)
    for step in lesson.steps:
        assert step.text and "?" in step.question
        assert len(step.answers) >= 2 and len(set(step.answers)) == len(step.answers)
        assert links(step.look) and step.seen and step.teacher.startswith("Answer: ")


@BY_NAME
def test_the_time_a_lesson_says_it_takes_is_plausible(lesson):
    read = prose(lesson.source)
    for step in lesson.steps:
        read = read.replace(step.teacher, "")  # not read by the class
    minutes = len(plain(read).split()) / WORDS_A_MINUTE + LOOKING * len(lesson.steps)
    assert 0.75 * lesson.minutes <= minutes <= 1.15 * lesson.minutes


@BY_NAME
def test_every_link_is_understood_and_leads_to_what_exists(lesson):
    pages = {page.name for page in PAGES}
    found = links(prose(lesson.source)) + [claim.link for claim in lesson.claims]
    for link in found:
        spec, understood = decode(link)
        assert understood, link
        assert spec.session in catalogue() and spec.model in models() and spec.page in pages, link
        opened = recording(spec.session, spec.model)
        assert opened.trial(spec.trial) == spec.trial or spec.trial < 0, link
        assert max((*spec.hide.neurons, spec.neuron)) < opened.trials.n_neurons, link
        assert set(spec.hide.regions) <= set(opened.regions) and spec.hide.window[1] <= opened.trials.n_bins, link


@BY_NAME
def test_no_link_of_the_text_escapes_the_reading(lesson):
    assert re.findall(r"\]\((?!\?)", lesson.source) == [], "a link that is no address of the app"
    assert "http" not in lesson.source and "<" not in prose(lesson.source), "markup or an outside address"


@BY_NAME
def test_every_decimal_number_of_the_text_belongs_to_a_claim(lesson):
    claimed = {number for claim in lesson.claims for number in decimals(claim.words)}
    assert set(decimals(A_TIME.sub("", prose(lesson.source)))) <= claimed


@BY_NAME
def test_the_words_of_every_claim_are_in_the_text_with_its_number(lesson):
    text = plain(prose(lesson.source))
    for claim in lesson.claims:
        assert claim.words in text, claim.words
        assert claim.relation != "=" or claim.value.lstrip("-") in claim.words, claim


@pytest.mark.parametrize(("lesson", "claim"), CLAIMS, ids=[f"{one.name}: {claim.words}" for one, claim in CLAIMS])
def test_every_claim_holds_in_the_bundled_demo(lesson, claim: Claim):
    value = value_of(claim.quantity, claim.link)
    assert holds(value, claim.relation, claim.value), f"{claim.words!r}: it is {value:.4f}"


@BY_NAME
def test_a_claim_is_computed_where_the_reader_is_sent(lesson):
    """Every link of a claim is one of the lesson's links, or leads to the same numbers."""
    there = {_numbers(decode(link)[0]) for link in links(prose(lesson.source))}
    assert {_numbers(decode(claim.link)[0]) for claim in lesson.claims if claim.quantity.split()[0] != "leaks"} <= there


def _numbers(spec: Spec) -> tuple:
    """What of a spec the scores of its page depend on."""
    if spec.page == "translate":
        return spec.page, spec.translation
    if spec.page in ("neuron", "guess"):
        return spec.page, spec.neuron, spec.guess
    return spec.page, spec.hide


# --- each check can fail ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "relation", "stated", "right"),
    [
        *((0.554, "=", "0.55", True), (0.556, "=", "0.55", False), (-0.084, "=", "-0.08", True)),
        *((0.084, "=", "-0.08", False), (3.4, "=", "3", True), (0.3, ">", "0.3", False), (0.2, "<", "0.3", True)),
        (float("nan"), "=", "0.00", False),
    ],
)
def test_a_claim_holds_to_the_digits_that_are_stated(value, relation, stated, right):
    assert holds(value, relation, stated) is right


def test_decimals_are_found_outside_links_only():
    assert decimals("0.55 bits, [x](?trial=1.5), v1.2.3 and 12.0") == ["0.55", "12.0"]


MINIMAL = """---
title: T
audience: a
minutes: 20
goal: G.
claim: 1 spike | spikes 1 | = 1 | ?
---
## Goals
- g
## Step: One
Text.
### Before you look
What?
- a
- b
### Look
[here](?trial=3) and [default](?)
### What you see
s
### For the teacher
t
## Take away
- x
## Words
- **w**: m
"""


def test_a_file_is_read_into_its_parts():
    one = parse("t", MINIMAL)
    assert (one.title, one.minutes, one.goals, one.takeaway) == ("T", 20, "- g", "- x")
    step = one.steps[0]
    assert (step.title, step.text, step.question, step.answers) == ("One", "Text.", "What?", ("a", "b"))
    assert (step.seen, step.teacher, links(step.look)) == ("s", "t", ["?trial=3", "?"])
    assert one.claims == (Claim("1 spike", "spikes 1", "=", "1", "?"),)
    assert [one.step(n) for n in (-3, 1, 2, 99)] == [1, 1, 1, 1]


@pytest.mark.parametrize("cut", ["### Look", "### For the teacher", "## Take away", "## Goals", "### What you see"])
def test_a_file_without_a_part_is_refused(cut):
    with pytest.raises(ValueError, match="lesson t"):
        parse("t", MINIMAL.replace(cut + "\n", ""))


def test_links_keep_the_lesson_open_and_are_understood():
    text = placed("[a](?trial=3) [b](?) [c](https://example.org)", Place("neuron", 2))
    assert text == "[a](?trial=3&lesson=neuron.2) [b](?lesson=neuron.2) [c](https://example.org)"
    assert decode("?trial=3&lesson=neuron.2") == (Spec(trial=3, lesson=Place("neuron", 2)), True)


@BY_NAME
def test_only_the_teachers_handout_has_the_answers(lesson):
    for_class, for_teacher = handout(lesson, False), handout(lesson, True)
    for step in lesson.steps:
        assert step.seen not in for_class and step.teacher not in for_class
        assert step.seen in for_teacher and step.teacher in for_teacher
        assert step.question in for_class and step.look in for_class
    assert "claim:" not in for_class + for_teacher
