"""No page has a serious fault that axe-core finds, light or dark, wide or narrow; every page is reached by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import PATIENCE, problems, serve_bundled

from app.contents import PAGES

pytest.importorskip("playwright.sync_api", reason='pip install -e ".[test]" for playwright')
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason='pip install -e ".[test]" for axe')

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
SETTLED = 1500  # ms for what is drawn after the page has opened, and for a walk that names what has no name
LOOKS = 12  # until which a slow machine must have settled
NAMES = [page.name for page in PAGES]

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(chromium_path, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    yield from serve_bundled(tmp_path_factory.mktemp("server"), MTM_RUNS=str(tmp_path_factory.mktemp("runs")))


def opened(browser, server, name: str, size: dict[str, int]):
    tab = browser.new_context(viewport=size).new_page()
    tab.set_default_timeout(PATIENCE)
    tab.goto(f"{server[0]}?page={name}")
    tab.locator("nav a[aria-current=page]").wait_for()
    tab.wait_for_timeout(SETTLED)
    return tab


def faults(tab) -> list[str]:
    """What is wrong with the page once it has settled; [] as soon as nothing is."""
    for _ in range(LOOKS):
        if not (found := present_faults(tab)):
            break
        tab.wait_for_timeout(SETTLED)
    return found


def present_faults(tab) -> list[str]:
    found = axe.Axe().run(tab).response
    assert len(found["passes"]) > 10, "axe has seen no page"
    return [
        f"{fault['impact']} {fault['id']}: {node['html'][:200]}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_no_serious_fault_in_light_in_dark_and_on_a_phone_which_it_fits(browser, server, name):
    tab = opened(browser, server, name, WIDE)
    assert faults(tab) == []
    tab.get_by_role("button", name="Toggle theme").first.click()
    tab.set_viewport_size(NARROW)
    tab.wait_for_timeout(SETTLED)
    assert tab.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    assert faults(tab) == []
    tab.context.close()
    assert problems(server[1].read_text()) == []


def test_every_page_is_reached_by_keyboard_alone(browser, server):
    tab = opened(browser, server, "explore", WIDE)
    reached = []
    for _ in range(len(NAMES) + 12):
        tab.keyboard.press("Tab")
        text = tab.evaluate(
            "() => { let a = document.activeElement; while (a?.shadowRoot?.activeElement)"
            " a = a.shadowRoot.activeElement;"
            " return a?.closest('nav') ? a.textContent : '' }"
        )
        reached += [text] if text else []
    assert reached == [page.title for page in PAGES]
    tab.context.close()


def test_the_sidebar_leaves_a_window_that_became_narrow_and_has_a_name_when_it_is_asked_for(browser, server):
    tab = opened(browser, server, "explore", WIDE)
    sidebar = tab.get_by_role("dialog", name="Controls")
    tab.set_viewport_size(NARROW)
    sidebar.wait_for(state="hidden")
    tab.get_by_role("button", name="Open drawer").first.click()
    sidebar.wait_for()
    assert faults(tab) == []
    tab.set_viewport_size(WIDE)
    tab.get_by_text("Undo").first.wait_for()
    assert sidebar.count() == 0
    tab.context.close()
