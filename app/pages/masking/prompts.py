"""The same hidden entries asked with every prompt, side by side."""

from __future__ import annotations

import panel as pn

from ...analyses.masking_prompts import TRUE_RATES, UNPROMPTED, Prompts, PromptScore
from ...plots.masking_scores import ScoreLine, draw_prompt_scores, make_prompt_scores, recolour_prompt_scores
from ...state import State
from ...theme import look
from ...words import PROMPT_NAMES, TIPS, count, interval, number
from ...work import Job
from ..parts import TABLE_STYLE, Announce, button, card, flexible, follow, heading, prose, table
from .shown import PAGE, PROMPTS, job_of, newest

HEAD = ("Prompt", "Mean over neurons", "Pooled", "Minus the prompt in use")
OTHERS = {UNPROMPTED: "no prompt (blank)", TRUE_RATES: "true rates (ceiling)"}
MORE_TIPS = {
    **TIPS,
    "Minus the prompt in use": "Paired difference of the means over the same neurons and trials; an interval that "
    "holds 0 is no evidence of a difference.",
}
PARTIAL = {"running": "Still running", "cancelled": "Cancelled, partial", "failed": "Stopped by an error, partial"}


def view(state: State) -> pn.viewable.Viewable:
    shown = make_prompt_scores()
    plot = flexible(shown.figure, 340, visible=False)
    said = Announce(label="status", css_classes=["masking-prompts"], margin=(4, 4))
    grid = pn.pane.HTML("", stylesheets=[TABLE_STYLE], styles={"flex": "1 1 340px", "min-width": "0"}, margin=(0, 4))
    start = button(state, "Compare the prompts", lambda: state.run(PROMPTS), variant="contained")

    def draw() -> None:
        found, job = result(state), job_of(state, PROMPTS, ("session", "model", "hide"))
        start.disabled = state.running is not None or (found is not None and found.complete)
        said.text = about(found, job)
        scores = () if found is None else found.scores
        shown.figure.visible = plot.visible = bool(scores)
        grid.object = table(HEAD, rows(found), caption(found), MORE_TIPS) if scores else ""
        if scores:
            draw_prompt_scores(shown, lines(found), look(state.dark))

    follow(state, ["views", "jobs", "spec"], draw, page=PAGE)
    follow(state, ["dark"], lambda: recolour_prompt_scores(shown, look(state.dark)), page=PAGE)
    both = pn.FlexBox(plot, grid, gap="12px", align_items="flex-start", sizing_mode="stretch_width")
    words = prose("masking_prompts", margin=(0, 4))
    return card(heading("Prompts on the same hidden entries"), words, start, said, both)


def result(state: State) -> Prompts | None:
    """Complete from any visitor, or so far from this visitor's job."""
    shown, job = newest(state), job_of(state, PROMPTS, ("session", "model", "hide"))
    if job is not None and job.result is not None:
        return job.result
    return shown.prompts if shown is not None else None


def about(found: Prompts | None, job: Job | None) -> str:
    if found is None or not found.scores:
        if job is not None and job.state == "running":
            return "The first prompt is being scored."
        return "Not compared yet for this mask. It takes a few seconds."
    state = "" if found.complete or job is None else f"{PARTIAL.get(job.state, 'Partial')}. "
    return f"{state}{verdict(found)}"


def verdict(found: Prompts) -> str:
    """Which prompts differ from the one in use."""
    others = [each for each in found.scores[1:] if each.prompt != TRUE_RATES and each.against_ci is not None]
    first = name(found.in_use)
    if not others:
        return f"In use: {first}."
    worse = [name(each.prompt) for each in others if each.against_ci[1] < 0]
    better = [name(each.prompt) for each in others if each.against_ci[0] > 0]
    same = [name(each.prompt) for each in others if each.against_ci[0] <= 0 <= each.against_ci[1]]
    parts = [
        f"{', '.join(names)}: {words}"
        for names, words in ((worse, "worse"), (better, "better"), (same, "no clear difference"))
        if names
    ]
    ahead = " All but the causal prompt may read later bins." if found.in_use == "causal" else ""
    return f"Compared with the prompt in use ({first}): {'; '.join(parts)}.{ahead}"


def name(prompt: str) -> str:
    return OTHERS.get(prompt) or PROMPT_NAMES[prompt]


def _named(score: PromptScore, found: Prompts) -> str:
    if score.prompt == found.in_use:
        return f"{name(score.prompt)} (in use{'' if score.trained else ', never trained'})"
    return name(score.prompt)


def rows(found: Prompts) -> list[tuple]:
    return [
        (
            _named(each, found),
            (number(each.mean, 3), interval(each.mean_ci)),
            (number(each.pooled, 3), interval(each.pooled_ci)),
            "–" if each.against is None else (number(each.against, 3), interval(each.against_ci)),
        )
        for each in found.scores
    ]


def caption(found: Prompts) -> str:
    return (
        f"Bits per spike; small: 95 % over resampled trials. {count(found.n_entries, 'hidden entry')} of "
        f"{count(found.n_trials, 'test trial')}, {count(found.n_neurons, 'neuron')} scored, {found.n_silent} silent. "
        "Null: each neuron's mean in these entries."
    )


def lines(found: Prompts) -> list[ScoreLine]:
    kinds = {found.in_use: "in use", TRUE_RATES: "ceiling"}
    return [
        ScoreLine(name(each.prompt), each.mean, *each.mean_ci, kinds.get(each.prompt, "other"))
        for each in found.scores
        if each.mean is not None
    ]
