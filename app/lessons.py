"""The lessons: Markdown files in app/lessons/, one each, read into parts that a page can show one at a time.

A file begins with lines `name: value` between two lines of three dashes. `claim` may occur any number of times:

    claim: 0.55 bits per spike | neuron_bits 32 | = 0.55 | ?scheme=hand&neurons=32

which are words of the text, what is computed at the link, how it compares (=, to the digits given, < or >), and the
link. tests/test_lessons.py computes them all. Then follow the goals, the steps (`## Step: title`), what to take away
and the words of the glossary. A step has the parts named in STEP; the bullets of the question are the answers offered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .teaching import LESSONS, Place, place_text

FOLDER = Path(__file__).parent / "text" / "lessons"
STEP = ("Before you look", "Look", "What you see", "For the teacher")
LINK = re.compile(r"\]\((\?[^)\s]*)\)")
PRINTED = (
    "Addresses that begin with a question mark belong behind the address of your MtM Explorer, for example "
    "`http://localhost:5006/app`."
)


@dataclass(frozen=True)
class Claim:
    """A number in the text: its words, and how it is computed."""

    words: str
    quantity: str  # a name and, behind a space, what it is asked about
    relation: str  # "=", "<" or ">"
    value: str  # with the digits that count
    link: str


@dataclass(frozen=True)
class Step:
    """All parts are Markdown; `answers` are those offered before looking."""

    title: str
    text: str
    question: str
    answers: tuple[str, ...]
    look: str
    seen: str
    teacher: str


@dataclass(frozen=True)
class Lesson:
    name: str
    title: str
    audience: str
    minutes: int
    goal: str  # in one sentence
    goals: str  # Markdown
    steps: tuple[Step, ...]
    takeaway: str  # Markdown
    words: str  # Markdown
    claims: tuple[Claim, ...]
    source: str  # the file

    def step(self, number: int) -> int:
        """A step that exists, counted from 1."""
        return min(max(number, 1), len(self.steps))


def lessons() -> tuple[Lesson, ...]:
    return tuple(lesson(name) for name in LESSONS)


@cache
def lesson(name: str) -> Lesson:
    """The lesson of that name; raises ValueError if its file is not as it should be."""
    return parse(name, (FOLDER / f"{name}.md").read_text("utf-8"))


def parse(name: str, source: str) -> Lesson:
    _, head, body = source.split("---\n", 2)
    pairs = [line.split(": ", 1) for line in head.splitlines()]
    about = {key: value for key, value in pairs if key != "claim"}
    opening, *sections = re.split(r"^## ", body, flags=re.MULTILINE)
    parts = dict(section.split("\n", 1) for section in sections)
    if opening.strip() or not {"Goals", "Take away", "Words"} <= set(parts):
        raise ValueError(f"lesson {name}: it needs the sections Goals, Take away and Words, and nothing before them")
    return Lesson(
        name=name,
        title=about["title"],
        audience=about["audience"],
        minutes=int(about["minutes"]),
        goal=about["goal"],
        goals=parts["Goals"].strip(),
        steps=tuple(_step(name, key[6:], text) for key, text in parts.items() if key.startswith("Step: ")),
        takeaway=parts["Take away"].strip(),
        words=parts["Words"].strip(),
        claims=tuple(_claim(name, value) for key, value in pairs if key == "claim"),
        source=source,
    )


def _claim(name: str, text: str) -> Claim:
    words, quantity, comparison, link = (part.strip() for part in text.split(" | "))
    relation, value = comparison.split(" ")
    if relation not in ("=", "<", ">"):
        raise ValueError(f"lesson {name}: {relation!r} is no comparison")
    return Claim(words, quantity, relation, value, link)


def _step(name: str, title: str, text: str) -> Step:
    opening, *sections = re.split(r"^### ", text, flags=re.MULTILINE)
    parts = dict(section.split("\n", 1) for section in sections)
    if tuple(parts) != STEP:
        raise ValueError(f"lesson {name}, step {title!r}: its parts are {', '.join(STEP)}, in this order")
    asked, look, seen, teacher = (parts[part].strip() for part in STEP)
    lines = asked.splitlines()
    answers = tuple(line[2:] for line in lines if line.startswith("- "))
    question = "\n".join(line for line in lines if not line.startswith("- ")).strip()
    return Step(title, opening.strip(), question, answers, look, seen, teacher)


def links(text: str) -> list[str]:
    """The addresses of the app that a text leads to."""
    return LINK.findall(text)


def placed(text: str, place: Place) -> str:
    """The same text, whose links keep the lesson open at this place."""
    return LINK.sub(lambda match: f"]({_join(match[1], place)})", text)


def _join(link: str, place: Place) -> str:
    return f"{link}{'' if link == '?' else '&'}lesson={place_text(place)}"


def handout(one: Lesson, teacher: bool) -> str:
    """A lesson to print, as Markdown: for the class without the answers, for the teacher with them."""
    head = [f"# {one.title}", f"For {one.audience}. About {one.minutes} minutes. {one.goal}", PRINTED]
    pieces = [*head, "## Goals", one.goals]
    for number, step in enumerate(one.steps, 1):
        pieces += [f"## Step {number}: {step.title}", step.text, "### Before you look", step.question]
        pieces += ["\n".join(f"- [ ] {answer}" for answer in step.answers), "### Look", step.look]
        written = ["### What you see", step.seen, "### For the teacher", step.teacher]
        pieces += written if teacher else ["### What I saw", "\n\n".join(["." * 90] * 3)]
    pieces += ["## Take away", one.takeaway, "## Words", one.words]
    return "\n\n".join(filter(None, pieces)) + "\n"
