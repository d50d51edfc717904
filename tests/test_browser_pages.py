"""Going from page to page, and the page of scores, in a real browser against a real server."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pandas as pd
import pytest
from browsing import PATIENCE, serve_bundled, watched

sync_api = pytest.importorskip("playwright.sync_api", reason='pip install -e ".[test]" for playwright')
expect = sync_api.expect

LONG = 300_000  # ms; what a whole run of one task takes on a shared machine
ONE_TASK = "?page=scores&tasks=forward_prediction&task=forward_prediction"

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(chromium_path, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    yield from serve_bundled(tmp_path_factory.mktemp("server"))


@pytest.fixture
def page(browser, server):
    with (
        closing(browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)) as context,
        watched(context, server) as tab,
    ):
        yield tab


def link(tab, title: str):
    return tab.get_by_role("navigation", name="Pages").get_by_role("link", name=title, exact=True)


def here(tab) -> str:
    """The page that the navigation marks as the present one."""
    return tab.locator("nav a[aria-current=page]").inner_text()


def explore(tab) -> None:
    expect(tab.get_by_text("Try it:")).to_be_visible(timeout=PATIENCE)


def scores(tab):
    """The button that starts scoring, once it can be pressed."""
    start = tab.get_by_role("button", name=re.compile("^Score( again)?$"))
    expect(start).to_be_visible(timeout=PATIENCE)
    return start


def scored(tab) -> None:
    """Score the task of the address, unless another visitor has."""
    start = scores(tab)
    time.sleep(1)
    if start.is_enabled():
        with suppress(
            sync_api.TimeoutError
        ):  # the result of the other visitor may come just before the click, and disable it
            start.click(timeout=5_000)
    expect(tab.get_by_text("Complete: simulated-mtm")).to_be_visible(timeout=LONG)


def cells(tab, table: int) -> list[list[str]]:
    """The rows of one of the sortable tables as they are on the screen."""
    rows = tab.locator(".tabulator").nth(table).locator(".tabulator-row")
    expect(rows.first).to_be_visible(timeout=PATIENCE)
    return [row.locator(".tabulator-cell:visible").all_inner_texts() for row in rows.all()]


def test_the_pages_are_links_and_the_browser_goes_back_and_forward(page, server):
    page.goto(server[0])
    explore(page)
    assert here(page) == "Explore"
    link(page, "Scores").click()
    scores(page)
    page.wait_for_url("**page=scores**")
    expect(page.get_by_text("Try it:")).to_be_hidden()
    page.go_back()
    explore(page)
    assert here(page) == "Explore" and "page=" not in page.url
    page.go_forward()
    scores(page)
    assert here(page) == "Scores"
    page.go_back()
    explore(page)
    page.go_forward()  # the same step twice is still a step
    scores(page)


def test_a_link_keeps_what_was_chosen(page, server):
    page.goto(server[0] + "?trial=40&scheme=hand&neurons=3")
    explore(page)
    link(page, "Scores").hover()
    assert link(page, "Scores").get_attribute("href").endswith("?trial=40&scheme=hand&neurons=3&page=scores")
    link(page, "Scores").click()
    scores(page)
    link(page, "Explore").click()
    explore(page)
    page.wait_for_url("**neurons=3**")
    expect(page.locator(".status p[role=status]")).to_contain_text("Hidden: 1 neuron", timeout=PATIENCE)


def test_every_page_opens_from_its_address(page, server):
    page.goto(server[0])
    explore(page)
    titles = page.locator("nav a").all_inner_texts()
    addresses = [anchor.get_attribute("href") for anchor in page.locator("nav a").all()]
    assert titles[:2] == ["Explore", "Scores"]
    for title, address in zip(titles, addresses, strict=True):
        page.goto(server[0][: -len("/app")] + address)
        expect(page.locator("nav a[aria-current=page]")).to_have_text(title, timeout=PATIENCE)


def test_the_old_address_of_the_scores_still_leads_there(page, server):
    page.goto(server[0] + "?tab=tasks")
    scores(page)
    assert page.url.endswith("?page=scores")


def test_the_navigation_is_reached_with_the_keyboard(page, server):
    page.goto(server[0])
    explore(page)
    link(page, "Scores").focus()
    page.keyboard.press("Enter")
    scores(page)
    assert here(page) == "Scores"


def test_on_a_phone_the_navigation_is_one_line_that_shows_where_one_is_and_scrolls_to_every_page(page, server):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(server[0] + ONE_TASK.replace("page=scores", "page=train"))
    page.locator("nav a[aria-current=page]").wait_for()
    time.sleep(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    present = page.locator("nav a[aria-current=page]").bounding_box()
    menu = page.get_by_role("navigation", name="Pages").bounding_box()
    assert menu["x"] <= present["x"] and present["x"] + present["width"] <= menu["x"] + menu["width"]
    for anchor in page.locator("nav a").all():
        anchor.scroll_into_view_if_needed()
        place = anchor.bounding_box()
        assert place["x"] >= 0 and place["x"] + place["width"] <= 390 and place["y"] == present["y"]


def test_a_run_shows_progress_on_every_page_and_what_it_has_when_it_is_cancelled(page, server):
    page.goto(server[0] + "?page=scores&tasks=co_smoothing&exact=1")
    scores(page).click()
    expect(page.get_by_text("Partial, still running. Bits per spike")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text(re.compile(r"Now: Co-smoothing, \d+ of 260 questions"))).to_be_visible(timeout=PATIENCE)
    link(page, "Explore").click()
    explore(page)
    strip = page.get_by_text(re.compile(r"Scoring the session: \d+% done"))
    expect(strip).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(strip).to_be_hidden()
    link(page, "Scores").click()
    expect(page.get_by_text("Partial, cancelled. Bits per spike")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("Co-smoothing (partial)")).to_be_visible()
    assert any(row[2] == "scored" for row in cells(page, 1))
    expect(scores(page)).to_have_text("Score again")


def test_the_file_equals_the_table_and_the_rows_lead_to_the_neuron(page, server):
    page.goto(server[0] + ONE_TASK)
    scored(page)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download CSV").first.click()
    file = pd.read_csv(io.StringIO(Path(waiting.value.path()).read_text()))
    assert waiting.value.suggested_filename == "simulated-1_simulated-mtm_forward_prediction_regions.csv"
    shown = cells(page, 0)
    assert file.Region.tolist() == [row[0] for row in shown]
    for values, row in zip(file.to_numpy()[:, 2:11].astype(float), shown, strict=True):
        assert [f"{value:.3f}" for value in values] == row[2:11]
    page.locator(".tabulator").nth(0).locator(".tabulator-row").nth(1).click()
    region = shown[1][0]
    page.wait_for_url(f"**region={region}**")
    expect(page.get_by_text(re.compile(rf"\d+ neurons of {region}\."))).to_be_visible(timeout=PATIENCE)
    rows = cells(page, 1)
    assert {row[1] for row in rows} == {region}
    page.locator(".tabulator").nth(1).locator(".tabulator-row").nth(2).click()
    page.wait_for_url(re.compile(rf"[?&]neuron={rows[2][0]}(&|$)"))
    assert here(page) != "Scores"
    page.go_back()
    expect(page.get_by_text("Complete: simulated-mtm")).to_be_visible(timeout=PATIENCE)


def test_the_file_is_sorted_as_the_table_is(page, server):
    page.goto(server[0] + ONE_TASK)
    scored(page)
    cells(page, 1)
    page.locator(".tabulator").nth(1).locator(".tabulator-col", has_text="Bits per spike").click()
    for _ in range(20):  # the server is told of the order after the browser has sorted
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Download CSV").nth(1).click()
        file = pd.read_csv(io.StringIO(Path(waiting.value.path()).read_text()))
        if file["Bits per spike"].is_monotonic_increasing:
            break
        time.sleep(0.5)
    assert file["Bits per spike"].is_monotonic_increasing and len(file) == 260
    assert [row[0] for row in cells(page, 1)] == [str(n) for n in file.Neuron[: len(cells(page, 1))]]


def test_a_complete_result_opens_from_its_address_for_another_visitor(page, server):
    page.goto(server[0] + ONE_TASK)
    scored(page)
    said = page.locator("table").first.inner_text()
    page.goto(server[0] + ONE_TASK)
    expect(page.get_by_text("Complete: simulated-mtm")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("table").first).to_have_text(re.compile("Forward prediction"), timeout=PATIENCE)
    assert page.locator("table").first.inner_text() == said


def test_a_page_that_lost_its_server_says_so_and_leads_back_to_the_same_choices(page, server):
    sockets = []
    page.route_web_socket(re.compile("/ws"), lambda socket: sockets.append((socket, socket.connect_to_server())))
    page.goto(server[0] + "?trial=7")
    explore(page)
    lost = page.get_by_role("alert").filter(has_text="connection to the server is lost")
    expect(lost).to_have_count(0)
    sockets[0][0].close(code=1011)
    expect(lost).to_be_visible()
    again = page.get_by_role("button", name="Open it again")
    again.click()
    expect(lost).to_have_count(0)
    explore(page)
    assert len(sockets) == 2 and "trial=7" in page.url
