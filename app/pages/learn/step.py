"""One step of a lesson: think first, commit to an answer, then look and compare."""

from __future__ import annotations

from functools import partial

import panel as pn
import panel_material_ui as pmui

from ...lessons import Lesson, handout, placed
from ...lessons import Step as LessonStep
from ...state import State
from ...teaching import Place
from ..parts import Announce, button, card, download, heading

ANSWER = {"textAlign": "left", "justifyContent": "flex-start", "maxWidth": "780px", "minWidth": "min(100%, 300px)"}
TEXT = """
:host { font-size: 15px; line-height: 1.55; max-width: 820px }
p { margin: 0 0 9px } ul, ol { margin: 0 0 9px; padding-left: 22px } li { margin: 4px 0 }
a { color: inherit; font-weight: 600; text-underline-offset: 3px }
a:focus-visible { outline: 2px solid currentColor; outline-offset: 2px }
table { border-collapse: collapse } th, td { text-align: left; padding: 3px 12px 3px 0 }
"""


def markdown(text: str) -> pn.pane.Markdown:
    """A text of the project; never text from elsewhere."""
    return pn.pane.Markdown(text, stylesheets=[TEXT], sizing_mode="stretch_width", margin=(0, 8))


class StepView:
    """A lesson, one step of which is shown. Answers are the visitor's own: they are not in the address."""

    def __init__(self, state: State, one: Lesson) -> None:
        self.state, self.lesson = state, one
        self.made: dict[int, pn.viewable.Viewable] = {}  # step -> what shows it

    def at(self, step: int) -> pn.viewable.Viewable:
        number = self.lesson.step(step)
        if number not in self.made:
            self.made[number] = self._build(number)
        return self.made[number]

    def _build(self, number: int) -> pn.viewable.Viewable:
        step, last = self.lesson.steps[number - 1], number == len(self.lesson.steps)
        top = card(self._head(number), *([markdown(self.lesson.goals)] if number == 1 else []))
        ending = [card(heading("Take away"), markdown(self.lesson.takeaway), *self._words())] if last else []
        parts = [top, *self._asking(step, number), self._teacher(step, number), *ending, self._moves(number)]
        return pn.Column(*parts, sizing_mode="stretch_width", margin=0)

    def _head(self, number: int) -> pn.viewable.Viewable:
        one = self.lesson
        step = pmui.Typography(
            f"Step {number} of {len(one.steps)}: {one.steps[number - 1].title}", variant="h3", margin=(0, 8)
        )
        about = f"{one.title} · {one.minutes} minutes · for {one.audience}"
        return pn.Column(heading(about), step, sizing_mode="stretch_width", margin=0)

    def _asking(self, step: LessonStep, number: int) -> list[pn.viewable.Viewable]:
        """The question; what there is to see and the answer appear once the visitor has an opinion."""
        said = Announce(margin=(2, 8))
        place = Place(self.lesson.name, number)
        look = card(heading("Look"), markdown(placed(step.look, place)))
        compare = pmui.Details(
            markdown(placed(step.seen, place)),
            title="Compare with what you saw",
            collapsed=True,
            fully_expanded=True,
            sizing_mode="stretch_width",
            margin=(4, 8),
        )
        shown = pn.Column(look, card(said, compare), sizing_mode="stretch_width", margin=0, visible=False)
        skip = button(self.state, "Look without answering", lambda: show("You did not answer before looking."))
        answers = pn.Column(sizing_mode="stretch_width", margin=0)

        def show(text: str) -> None:
            said.text, shown.visible, skip.visible = text, True, False

        def answer(number: int) -> None:
            """An answer stays: it was given before looking."""
            for each, one in enumerate(answers):
                one.param.update(disabled=each != number, variant="contained" if each == number else "outlined")
            show(f"Your answer before looking: {step.answers[number]}")

        answers.objects = [
            button(self.state, text, partial(answer, number), sx=ANSWER, margin=(3, 8))
            for number, text in enumerate(step.answers)
        ]
        question = card(markdown(step.text), heading("Before you look"), markdown(step.question), answers, skip)
        return [question, shown]

    def _teacher(self, step: LessonStep, number: int) -> pn.viewable.Viewable:
        text = placed(step.teacher, Place(self.lesson.name, number))
        return pmui.Details(
            markdown(text),
            title="For the teacher",
            collapsed=True,
            fully_expanded=True,
            sizing_mode="stretch_width",
            margin=(0, 0, 12, 0),
        )

    def _words(self) -> list[pn.viewable.Viewable]:
        return [heading("Words"), markdown(self.lesson.words)]

    def _moves(self, number: int) -> pn.viewable.Viewable:
        def go(step: int) -> None:
            self.state.go(lesson=Place(self.lesson.name, step))

        back = button(self.state, "Back", lambda: go(number - 1), disabled=number == 1)
        following = button(
            self.state, "Next", lambda: go(number + 1), disabled=number == len(self.lesson.steps), variant="contained"
        )
        end = button(self.state, "All lessons", lambda: self.state.go(lesson=Place()))
        name = f"lesson-{self.lesson.name}"
        files = [
            download("Handout", f"{name}.md", lambda: handout(self.lesson, False)),
            download("Teacher's handout", f"{name}-teacher.md", lambda: handout(self.lesson, True)),
        ]
        return pn.FlexBox(back, following, end, *files, align_items="center", sizing_mode="stretch_width")
