"""Pages built before anybody asks: each is for one visitor, who finds on it what the link says; sent as Bokeh would."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import panel as pn
import pytest
from bokeh.core.has_props import HasProps
from bokeh.document import Document
from class_server import Served, leave, open_student, served
from visitors import arrive, fetch, token_of

from app.contents import PAGES, work
from app.serving import serialising
from app.state import State
from mtm_core.serve import a_class

PLACES, PATIENCE_S = 3, 120


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("class"), a_class(PLACES)) as running:
        yield running


async def filled(site: Served) -> None:
    """Wait until nobody holds a place and a page is built for everybody who may come."""
    for _ in range(PATIENCE_S):
        health = site.health()
        if health["pages_ahead"] == PLACES and not health["visitors"]:
            await asyncio.sleep(8)  # ripe, on a slow machine as well
            return
        await asyncio.sleep(1)
    raise AssertionError(site.health())


@pytest.mark.slow
def test_visitors_get_pages_of_their_own_that_show_what_their_links_say(site):
    async def open_two() -> None:
        await filled(site)
        students = [await open_student(site.app, trial) for trial in (3, 5)]
        assert site.health()["pages_ahead"] == PLACES - 2, "the pages were built when they were asked for"
        assert [student.sees_the_truth() for student in students] == [True, True]
        await students[0].click(7)
        assert [student.sees_the_truth() for student in students] == [True, True]
        await leave(students)

    asyncio.run(open_two())


@pytest.mark.slow
def test_a_link_to_another_page_and_one_that_cannot_be_read_open_on_pages_built_ahead(site):
    async def look() -> None:
        await filled(site)
        links = {"page=about": "The two models", "trial=nonsense": "Part of the link could not be read"}
        for n, (link, said) in enumerate(links.items(), start=1):
            visitor = await arrive(f"{site.app}?{link}")
            assert site.health()["pages_ahead"] == PLACES - n
            await asyncio.sleep(2)
            assert said in str([model.get("attributes") for model in visitor.models.values()]) + str(visitor.text)
            await visitor.close()

    asyncio.run(look())


@pytest.mark.slow
def test_a_page_handed_out_is_the_one_that_panel_renders_and_never_handed_out_again(site):
    async def both() -> None:
        await filled(site)
        given = [(await fetch(site.app)).body.decode() for _ in range(2)]
        assert token_of(given[0]) != token_of(given[1])
        # Asked for a theme, Panel renders when it is asked; for the default theme, the same page.
        given.append((await fetch(f"{site.app}?theme=default")).body.decode())
        pages = [without_names(page) for page in given]
        assert "panel.min.js" in pages[0] and pages[0] == pages[1] == pages[2]

    asyncio.run(both())


def without_names(page: str) -> str:
    """The HTML of a page without what is another one for every visitor."""
    page = re.sub(r'nonce="[^"]+"', "", page.replace(token_of(page), ""))
    return re.sub(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\b|\bp\d+\b", "", page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_sent_as_bokeh_sends_it(page, monkeypatch):
    document = Document()
    document.add_root(pn.panel(page.build(State(work(), pages=tuple(p.name for p in PAGES)))).get_root(document))
    # Ours first: Bokeh's walk through the defaults makes some of them, which count as set from then on.
    monkeypatch.setattr(HasProps, "query_properties_with_values", serialising.values_that_were_set)
    found = document.to_json(deferred=False)  # buffers in place: their names differ
    monkeypatch.setattr(HasProps, "query_properties_with_values", serialising._with_defaults)
    expected = document.to_json(deferred=False)  # buffers in place: their names differ
    assert len(str(expected)) > 10_000 and found == expected
