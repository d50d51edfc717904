"""The pages of the app, in the order of the navigation.

To add a page: write `page(state)` in app/pages/<name>.py and what it shows in app/analyses/<name>.py, and add a row
below. `name` is what the address says (spec.PAGES knows it). A result that simply follows the choices is the page's
`view` and arrives in state.views[name]; a long computation on request is one of its `jobs`, is started with
state.run(kind) and arrives in state.jobs[kind].result. The shared strip above the pages shows progress and Cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from panel.viewable import Viewable

from . import compute
from .analyses import compare as comparison_analysis
from .analyses import decoding as decoding_analysis
from .analyses import embeddings as embeddings_analysis
from .analyses import guess as guess_analysis
from .analyses import information, masking_prompts, masking_ratios
from .analyses import masking as masking_analysis
from .analyses import scores as score_analysis
from .analyses import single_neuron as neuron_analysis
from .analyses import translate as translation_analysis
from .limits import CLASS
from .pages import (
    about,
    compare,
    decoding,
    embeddings,
    explore,
    guess,
    learn,
    masking,
    recordings,
    scores,
    single_neuron,
    train,
    translate,
)
from .pages import map as map_page
from .spec import Spec
from .state import State
from .work import View, Work

Steps = Callable[[Spec], Iterator[tuple[float, Any]]]  # share done, 0..1, and the result so far


@dataclass(frozen=True)
class Page:
    name: str  # in the address
    title: str  # in the navigation
    build: Callable[[State], Viewable]  # called once per visitor, when the page is first opened
    view: View | None = None
    jobs: dict[str, tuple[str, Steps]] = field(default_factory=dict)  # kind -> what the progress strip calls it, steps
    writes: bool = False  # all it is for is to train or to write files: not offered to a class


PAGES = (
    Page("explore", "Explore", explore.page, None, {"leak": ("Leak check", compute.leak)}),
    Page(
        "scores",
        "Scores",
        scores.page,
        View(score_analysis.ready, ("session", "model", "level", "scoring")),
        {"scores": ("Scoring the session", score_analysis.steps)},
    ),
    Page("neuron", "Neuron", single_neuron.page, View(neuron_analysis.one_neuron, neuron_analysis.READS)),
    Page(
        "decoding",
        "Decoding",
        decoding.page,
        View(decoding_analysis.kept),
        {
            "decoding": ("Decoding behavior", decoding_analysis.usual),
            "decoding_regions": ("Decoding behavior from single regions", decoding_analysis.by_region),
        },
    ),
    Page(
        "map",
        "Map",
        map_page.page,
        View(information.kept, ("session", "model", "level")),
        {
            "map": ("Information map", information.lost),
            "map_alone": ("Information map, each region alone", information.alone),
            "context": ("What the regions lose", information.context),
        },
    ),
    Page(
        "embeddings",
        "Units",
        embeddings.page,
        View(embeddings_analysis.kept, embeddings_analysis.READS),
        {"embeddings": ("Mapping the neurons", embeddings_analysis.steps)},
    ),
    Page("translate", "Translate", translate.page, View(translation_analysis.newest, translation_analysis.READS)),
    Page(
        "compare",
        "Compare",
        compare.page,
        View(comparison_analysis.ready, comparison_analysis.READS),
        {"compare": ("Comparing", comparison_analysis.steps)},
    ),
    Page(
        "masking",
        "Masking",
        masking.page,
        View(masking_analysis.shown, masking_analysis.READS),
        {
            "masking_prompts": ("Comparing prompts", masking_prompts.steps),
            "masking_ratios": ("Scoring mask ratios", masking_ratios.steps),
        },
    ),
    Page("guess", "Guess", guess.page, View(guess_analysis.play, guess_analysis.READS)),
    Page("learn", "Learn", learn.page),
    Page("recordings", "Recordings", recordings.page),
    Page("train", "Train", train.page, writes=True),
    Page("about", "About", about.page),
)
PAGES = tuple(page for page in PAGES if not (CLASS and page.writes))


def work() -> Work:
    """What the state of a visitor may compute; Explore's own view is the scores of what is hidden."""
    jobs = {kind: steps for page in PAGES for kind, (_, steps) in page.jobs.items()}
    views = {page.name: page.view for page in PAGES if page.view is not None}
    return Work(compute.picture, compute.scores, jobs, views)


def job_names() -> dict[str, str]:
    return {kind: name for page in PAGES for kind, (name, _) in page.jobs.items()}
