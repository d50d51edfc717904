"""A lesson and a round of guessing in a real browser against a real server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from browsing import PATIENCE, serve_bundled, watched

sync_api = pytest.importorskip("playwright.sync_api", reason='pip install -e ".[test]" for playwright')
expect = sync_api.expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(chromium_path, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    yield from serve_bundled(tmp_path_factory.mktemp("server"))


@pytest.fixture
def page(browser, server):
    with (
        closing(browser.new_context(viewport={"width": 1440, "height": 1000}, accept_downloads=True)) as context,
        watched(context, server) as tab,
    ):
        yield tab


def press(tab, name: str) -> None:
    tab.get_by_role("button", name=name, exact=True).click()


def reveal(tab):
    button = tab.get_by_role("button", name="Reveal", exact=True)
    expect(button).to_be_enabled(timeout=4 * PATIENCE)  # the ridge regression is fitted by the first visitor
    return button


def test_a_lesson_leads_to_explore_and_back_without_loading_the_page_again(page, server):
    page.goto(server[0] + "?page=learn")
    page.get_by_role("link", name="2. Hide a neuron").click()
    page.wait_for_url("**lesson=neuron.1**")
    page.evaluate("window.stillHere = true")
    expect(page.get_by_text("Compare with what you saw")).to_be_hidden()
    press(page, "Predict nearly every spike")
    page.get_by_role("link", name="neuron 32 hidden").click()
    expect(page.locator(".status p[role=status]")).to_contain_text("Hidden: 1 neuron", timeout=2 * PATIENCE)
    assert "neurons=32" in page.url and "lesson=neuron.1" in page.url and "page=" not in page.url
    expect(page.locator(".lesson")).to_contain_text("step 1 of")
    press(page, "Back to the lesson")
    expect(page.get_by_text("Your answer before looking: Predict nearly every spike")).to_be_visible()
    page.get_by_text("Compare with what you saw").click()
    expect(page.get_by_text("The score is 0.55 bits per spike")).to_be_visible()
    press(page, "Next")
    page.wait_for_url("**lesson=neuron.2**")
    assert page.evaluate("window.stillHere")


def test_a_link_of_a_lesson_opens_in_a_new_tab_with_the_lesson(page, server):
    page.goto(server[0] + "?page=learn&lesson=region.2")
    press(page, "Look without answering")
    address = page.get_by_role("link", name="LP", exact=True).get_attribute("href")
    page.goto(server[0] + address)
    expect(page.locator(".status p[role=status]")).to_contain_text("55 neurons of LP", timeout=2 * PATIENCE)
    press(page, "Close the lesson")
    expect(page.get_by_role("button", name="Close the lesson")).to_be_hidden()
    page.wait_for_function("!location.search.includes('lesson')")


def test_a_handout_is_a_file(page, server):
    page.goto(server[0] + "?page=learn&lesson=raster.1")
    with page.expect_download() as download:
        page.get_by_text("Handout", exact=True).click()
    text = Path(download.value.path()).read_text("utf-8")
    assert text.startswith("# What is a raster?") and "For the teacher" not in text


def test_a_guess_is_drawn_revealed_and_cannot_be_changed_after(page, server):
    page.goto(server[0] + "?page=guess&guess=activity.3")
    button = reveal(page)
    expect(page.get_by_text("It was neuron")).to_have_count(0)
    box = page.locator(".bk-Figure:visible").nth(1).bounding_box()
    low, high = box["x"] + 90, box["x"] + box["width"] - 40
    page.mouse.move(low, box["y"] + 150)
    page.mouse.down()
    for part in range(1, 15):
        page.mouse.move(low + (high - low) * part / 14, box["y"] + 150 + 5 * part)
    page.mouse.up()
    undo = page.get_by_role("button", name="Undo", exact=True)
    expect(undo).to_be_enabled()
    undo.click()
    expect(undo).to_be_disabled()
    button.click()
    expect(page.get_by_text("It was neuron 255 in trial 81")).to_be_visible(timeout=PATIENCE)
    expect(button).to_be_disabled()
    rows = page.get_by_role("row").all_inner_texts()
    assert re.match(r"You\s+0\.00\s+0\.00", rows[1]) and any(row.startswith("MtM\t0.48") for row in rows)
    press(page, "New round")
    page.wait_for_url("**guess=activity.4**")
    expect(page.get_by_text("It was neuron")).to_have_count(0)


def test_a_guess_can_be_made_with_the_keyboard(page, server):
    page.goto(server[0] + "?page=guess&guess=activity.3")
    button = reveal(page)
    rate = page.get_by_role("slider").nth(1)
    rate.focus()
    for _ in range(3):
        page.keyboard.press("ArrowUp")
    expect(page.get_by_role("button", name="Undo", exact=True)).to_be_enabled()
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("It was neuron 255 in trial 81")).to_be_visible(timeout=PATIENCE)


def test_a_region_is_guessed(page, server):
    page.goto(server[0] + "?page=guess&guess=region.1")
    press(page, "LP")
    button = page.get_by_role("button", name="This is my guess: reveal")
    expect(button).to_be_enabled(timeout=4 * PATIENCE)
    button.click()
    expect(page.get_by_text("It was neuron 69 of LP. You were right.")).to_be_visible(timeout=PATIENCE)
    expect(button).to_be_disabled()
