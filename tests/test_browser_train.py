"""A run from the first click to its model in Explore, with the real training, in a real browser and a real server."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import problems, serve

sync_api = pytest.importorskip("playwright.sync_api", reason='pip install -e ".[test]" for playwright')
expect = sync_api.expect

LONG = 300_000  # ms; two minutes of training, opening and closing it, on a shared machine

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="runs are started on Linux and macOS"),
]


@pytest.fixture(scope="module")
def server(chromium_path, untrained_model, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """A server for this machine alone, with a model that knows one of the simulated recordings."""
    folder = tmp_path_factory.mktemp("server")
    names = ("MTM_CACHE_DIR", "MTM_ALLOW_TRAINING", "BOKEH_ALLOW_WS_ORIGIN")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment |= {"MTM_RUNS": str(folder / "runs"), "MTM_CHECKPOINTS": str(untrained_model.parent)}
    command = [sys.executable, "-m", "panel", "serve", "app/", "--address", "localhost"]
    yield from serve(command, environment, folder / "log")


@pytest.fixture
def page(browser, server):
    """An empty tab; fails afterwards if the server or the browser reported an error."""
    expect.set_options(timeout=LONG)
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    tab, errors = context.new_page(), []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.set_default_timeout(LONG)
    yield tab
    context.close()
    expect.set_options(timeout=5_000)  # as it was
    assert not errors and problems(server[1].read_text()) == []


def act(tab, label: str, run: str = "Fine-tuned: sim-B"):
    return tab.get_by_role("button", name=re.compile(f"^{label}: {run}"))


def choose(tab, label: str, option: str) -> None:
    tab.get_by_role("combobox", name=label, exact=True).click()
    tab.get_by_role("menuitem", name=option, exact=True).click()


def item(tab, text: str):
    return tab.get_by_role("listitem").filter(has_text=text)


def test_a_run_from_a_warning_in_explore_to_its_model_in_explore(page, server):
    page.goto(server[0] + "?session=simulated-2&model=untrained")
    page.get_by_role("button", name="Fine-tune this model on this recording").click()
    page.wait_for_url("**page=train**")
    expect(page.get_by_text("A model that exists learns a recording")).to_be_visible()
    choose(page, "Training time", "1 minute")
    page.get_by_role("button", name="Start training").click()
    expect(item(page, "running")).to_be_visible()
    expect(page.get_by_text(re.compile(r"Step [\d,]+, \d+%"))).to_be_visible()
    act(page, "Pause").click()
    expect(item(page, "paused")).to_be_visible()
    page.reload()  # the list is not the browser's
    act(page, "Resume").focus()
    page.keyboard.press("Enter")
    expect(item(page, "done")).to_be_visible()
    expect(page.get_by_text("Best weights so far")).to_be_visible()
    scores = page.locator("table").filter(has_text="Best weights so far").locator("tbody td").all_inner_texts()
    assert scores[0].startswith("Fine-tuned: sim-B") and all(re.fullmatch("[−\\d.,]+", cell) for cell in scores[1:])
    act(page, "Look at this model").click()
    page.wait_for_url(lambda url: "page=train" not in url and "session=simulated-2" in url)
    expect(page.get_by_text(re.compile("Reconstructed at [−.\\d]+ bits per spike"))).to_be_visible()
    expect(page.get_by_role("button", name="Fine-tune this model on this recording")).to_be_hidden()


def test_the_new_model_appears_for_a_visitor_who_was_there_before(page, browser, server):
    other = browser.new_context().new_page()
    other.goto(server[0])
    expect(other.get_by_text("Try it:")).to_be_visible()
    page.goto(server[0] + "?page=train")
    choose(page, "Training time", "5 minutes")
    page.get_by_label("Name (optional)").fill("Seen by <all>")
    page.get_by_role("button", name="Start training").click()
    expect(act(page, "Stop", "Seen by ‹all›")).to_be_visible()
    expect(item(page, "Seen by ‹all›").get_by_text(re.compile("Best validation"))).to_be_visible()
    act(page, "Stop", "Seen by ‹all›").click()
    expect(item(page, "Seen by ‹all›").get_by_text("stopped", exact=True)).to_be_visible()
    other.get_by_role("combobox", name="Model", exact=True).click()
    expect(other.get_by_role("menuitem", name="Seen by ‹all›")).to_be_visible()
    other.context.close()
    act(page, "Delete", "Seen by ‹all›").click()
    expect(item(page, "Seen by ‹all›")).to_be_hidden()
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(item(page, "Seen by ‹all›")).to_be_visible()


def test_the_page_fits_a_phone(page, server):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(server[0] + "?page=train&train=pretrain")
    expect(page.get_by_role("button", name="Start training")).to_be_visible()
    page.wait_for_timeout(1500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for label in ("From scratch", "Pre-train", "Fine-tune"):
        place = page.get_by_role("button", name=label, exact=True).bounding_box()
        assert place["x"] >= 0 and place["x"] + place["width"] <= 390
