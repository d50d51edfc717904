"""The page in a real browser against a real server: what a visitor does, and what is then said on the page."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import PATIENCE, problems, serve

sync_api = pytest.importorskip("playwright.sync_api", reason='pip install -e ".[test]" for playwright')
expect = sync_api.expect

DEFAULT_STATUS = re.compile(r"Hidden: \d+ neurons of \w+ \(all of it\)\. Reconstructed at .* 32 held-out trials;")

ONE_NEURON = re.compile(r"Hidden: 1 neuron of \w+\. .* 32 held-out trials;")

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(untrained_model, chromium_path, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """Address and log file of `panel serve app/`."""
    log = tmp_path_factory.mktemp("server") / "log"
    environment = {**os.environ, "MTM_CHECKPOINTS": str(untrained_model.parent)}
    environment.pop("MTM_CACHE_DIR", None)
    yield from serve([sys.executable, "-m", "panel", "serve", "app/"], environment, log)


@pytest.fixture
def page(browser, server):
    """The default page, settled; fails afterwards if the server or the browser reported an error."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    tab, errors, requests = context.new_page(), [], []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    tab.set_default_timeout(PATIENCE)
    tab.requests = requests
    open_page(tab, server[0])
    yield tab
    context.close()
    assert not errors
    assert problems(server[1].read_text()) == []


def open_page(tab, address: str) -> None:
    tab.goto(address)
    expect(status(tab)).to_contain_text(
        re.compile("Reconstructed at|Hide something|not been trained"), timeout=PATIENCE
    )


def status(tab):
    """The sentence that says what is hidden and how well it is reconstructed."""
    return tab.locator(".status p[role=status]")


def raster(tab, number: int) -> dict:
    """Place of one of the rasters on the page."""
    figure = tab.locator(".bk-Figure").nth(number)
    expect(figure).to_be_visible(timeout=PATIENCE)
    figure.scroll_into_view_if_needed()
    time.sleep(0.3)
    return figure.bounding_box()


def touch_action(tab) -> str:
    """What a finger does on the first raster."""
    find = "e => getComputedStyle(e.shadowRoot.querySelector('.bk-events')).touchAction"
    return tab.locator(".bk-Canvas").first.evaluate(find)


def click_neuron(tab) -> None:
    place = raster(tab, 1)
    tab.mouse.click(place["x"] + place["width"] * 0.6, place["y"] + 180)


def test_the_first_page_says_what_is_seen(page):
    expect(status(page)).to_contain_text(DEFAULT_STATUS)
    expect(page.get_by_text("Try it:")).to_be_visible()
    for title in ("the model sees", "hidden and scored", "sum 26,000"):
        expect(page.get_by_text(title).first).to_be_visible()


def test_nothing_is_asked_of_another_host(page, server):
    outside = [url for url in page.requests if not url.startswith((server[0][: -len("/app")], "data:", "blob:"))]
    assert page.requests and outside == []


def test_a_click_on_a_neuron_hides_it_and_undo_brings_the_scheme_back(page):
    click_neuron(page)
    expect(status(page)).to_contain_text("Hidden: 1 neuron of", timeout=PATIENCE)
    page.get_by_role("button", name="Undo").click()
    expect(status(page)).to_contain_text(DEFAULT_STATUS, timeout=PATIENCE)
    page.get_by_role("button", name="Redo").click()
    expect(status(page)).to_contain_text("Hidden: 1 neuron of", timeout=PATIENCE)


def test_a_click_on_the_strip_hides_a_region(page):
    page.get_by_role("button", name="Show everything").click()
    expect(status(page)).to_contain_text("Nothing is hidden", timeout=PATIENCE)
    place = raster(page, 1)
    page.mouse.click(place["x"] + 10, place["y"] + 330)
    expect(status(page)).to_contain_text("(all of it)", timeout=PATIENCE)


def test_a_dragged_box_hides_its_entries(page):
    place = raster(page, 0)
    page.mouse.move(place["x"] + place["width"] * 0.5, place["y"] + 120)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] * 0.8, place["y"] + 180, steps=8)
    page.mouse.up()
    expect(status(page)).to_contain_text(re.compile(r"Hidden: [\d,]+ single entries"), timeout=PATIENCE)


def test_a_scheme_is_chosen_from_the_list(page):
    page.get_by_role("combobox", name="Masking scheme").click()
    page.get_by_role("menuitem", name="Random time bins").click()
    expect(status(page)).to_contain_text(re.compile(r"Hidden: \d+ of 100 bins of all neurons"), timeout=PATIENCE)
    expect(page.get_by_role("alert")).to_contain_text("never trained with the temporal prompt")


def test_the_address_opens_the_same_view(page, server):
    click_neuron(page)
    expect(status(page)).to_contain_text(ONE_NEURON, timeout=PATIENCE)
    page.wait_for_url("**neurons=**")
    said, address = status(page).inner_text(), page.url
    open_page(page, address)
    expect(status(page)).to_have_text(said, timeout=PATIENCE)


def test_a_tampered_address_opens_the_default_with_a_notice(page, server):
    open_page(page, server[0] + "?session=<script>alert(1)</script>&neurons=1-99999999&boxes=%00")
    expect(page.get_by_role("alert")).to_contain_text("could not be read", timeout=PATIENCE)
    expect(status(page)).to_contain_text(DEFAULT_STATUS, timeout=PATIENCE)


def test_an_unknown_recording_says_which_command_trains_a_model(page, server):
    open_page(page, server[0] + "?session=simulated-2&model=untrained")
    expect(page.get_by_role("alert")).to_contain_text("mtm train --session simulated-2 --out", timeout=PATIENCE)
    assert page.locator(".bk-Figure").count() >= 4  # two rasters, one neuron in this trial and on average
    assert not page.get_by_text("Reconstructed rate").is_visible()


def test_the_leak_check_passes(page):
    page.get_by_role("tab", name="Leak check").click()
    page.get_by_role("button", name="Leak check").click()
    expect(page.get_by_text("No leak: 22 replacements")).to_be_visible(timeout=PATIENCE)


def test_a_click_on_the_session_raster_opens_the_trial(page):
    page.get_by_role("tab", name="Whole session").click()
    expect(page.get_by_text("Each column is a trial")).to_be_visible(timeout=PATIENCE)
    place = raster(page, 4)
    page.mouse.click(place["x"] + place["width"] * 0.5, place["y"] + 200)
    page.wait_for_url("**trial=**")


def test_a_phone_shows_the_page_without_scrolling_sideways(page):
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, page.url)
    time.sleep(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    place = raster(page, 0)
    assert place["width"] <= 390 and place["x"] >= 0
    for drag, touch in ((False, "pan-x pan-y"), (True, "none")):  # a finger scrolls the page, or draws a box
        switch = page.get_by_role("switch").or_(page.get_by_role("checkbox")).first
        expect(switch).to_be_checked(checked=drag)
        for _ in range(100):
            if touch_action(page) == touch:
                break
            time.sleep(0.1)
        assert touch_action(page) == touch
        page.get_by_text("A drag hides a box").click()


def test_dark_and_light_colour_the_plots_differently(page):
    def pixels() -> bytes:
        place = raster(page, 1)
        return page.screenshot(clip={**place, "height": 200})

    light = pixels()
    page.get_by_role("button", name="Toggle theme").click()
    time.sleep(1.5)
    dark = pixels()
    assert light != dark
    page.get_by_role("button", name="Toggle theme").click()


def test_controls_are_reached_with_the_keyboard(page):
    page.get_by_role("button", name="Undo")  # wait for the toolbar
    names = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        names.add(
            page.evaluate(
                "(() => { let e = document.activeElement; while (e && e.shadowRoot && "
                "e.shadowRoot.activeElement) e = e.shadowRoot.activeElement; return e ? "
                "(e.getAttribute('aria-label') || e.innerText || e.tagName) : '' })()"
            )
        )
    assert any("Show everything" in name for name in names) and any("Copy link" in name for name in names)


def test_mtm_app_serves_the_same_page(browser, tmp_path):
    command = [sys.executable, "-m", "mtm_core", "app", "--no-show"]
    serving = serve(command, dict(os.environ), tmp_path / "log")
    address, log = next(serving)
    with browser.new_context() as context:
        tab = context.new_page()
        tab.set_default_timeout(PATIENCE)
        open_page(tab, address)
    serving.close()
    assert "Traceback" not in log.read_text() and "ERROR" not in log.read_text()
