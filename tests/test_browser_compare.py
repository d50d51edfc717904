"""The page "Compare" in a real browser: compare, look at a neuron, be refused, pin a view; on a phone as well."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from browsing import PATIENCE, PATIENT, serve_bundled, watched

sync_api = pytest.importorskip("playwright.sync_api", reason='pip install -e ".[test]" for playwright')
expect = sync_api.expect
pytestmark = [pytest.mark.browser, pytest.mark.slow]

QUICK = "forward_prediction~baseline.psth~model.."  # one question, and a baseline that is fitted at once
ASKED = f"?page=compare&comparison={QUICK}"


@pytest.fixture(scope="module")
def server(chromium_path, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """Address and log file of `panel serve app/` with the bundled models only."""
    yield from serve_bundled(tmp_path_factory.mktemp("server"), *PATIENT)


@pytest.fixture
def page(browser, server):
    with (
        closing(browser.new_context(viewport={"width": 1440, "height": 900})) as context,
        watched(context, server, 2 * PATIENCE, console=True) as tab,
    ):
        yield tab


def says(line, text: str) -> None:
    expect(line).to_contain_text(re.compile(text), timeout=2 * PATIENCE)


def opened(tab, address: str) -> None:
    tab.goto(address)
    says(tab.locator(".comparing p"), "Fair to compare|Complete|Not comparable")


def compared(tab, server) -> None:
    """The quick comparison, computed by whichever test comes first."""
    opened(tab, f"{server[0]}{ASKED}")
    start = tab.get_by_role("button", name="Compare", exact=True)
    if start.is_enabled():
        start.click()
    says(tab.locator(".compared p"), r"B \(simulated-mtm\) predicts better than A \(PSTH\)")


def test_a_newcomer_compares_and_looks_at_a_neuron(page, server):
    compared(page, server)
    said = page.locator(".compared p")
    says(said, r"over trials, .* over neurons.*Of 260 neurons, \d+ scored, \d+ silent .* and 0 excluded")
    says(page.locator(".compared-trial p"), r"Trial \d+\. .*held out from training\. In this trial B gains .* over A")
    expect(page.get_by_role("button", name="Download CSV")).to_have_count(3)
    page.locator(".tabulator-row", has_text="scored").first.click()
    page.wait_for_url(re.compile(r"page=neuron.*neuron=0|neuron=0.*page=neuron"))


def test_what_is_not_fair_is_refused_with_its_reason(page, server):
    opened(page, f"{server[0]}?page=compare&comparison=co_smoothing~baseline.autoregression~model..")
    line, start = page.locator(".comparing p"), page.get_by_role("button", name="Compare", exact=True)
    says(line, r"Not comparable\. A \(Autoregression\) does not exist for co-smoothing; choose another one\.")
    expect(start).to_be_disabled()
    page.get_by_role("combobox", name="Task", exact=True).click()
    page.get_by_role("menuitem", name="Forward prediction").click()
    says(line, "Fair to compare")
    expect(start).to_be_enabled()
    page.wait_for_url(re.compile("comparison=forward_prediction~baseline.autoregression~model.."))
    page.get_by_role("button", name="Swap A and B").click()
    page.wait_for_url(re.compile("comparison=forward_prediction~model..~baseline.autoregression"))


def test_a_view_of_explore_is_pinned_changed_and_compared(page, server):
    page.goto(f"{server[0]}?scheme=hand&regions=CA1")
    keep, against = (page.get_by_role("button", name=name, exact=True) for name in ("Pin as A", "Compare with A"))
    says(page.locator(".status p"), "Reconstructed at")
    expect(against).to_be_disabled()
    keep.click()
    expect(keep).to_be_disabled()
    page.get_by_role("combobox", name=re.compile("^Prompt")).click()
    page.get_by_role("menuitem", name="neuron", exact=True).click()
    against.click()
    says(
        page.locator(".compared p"), r"Views of Explore: .*pinned view.*Of 260 neurons, 60 scored, 0 silent .*200 excl"
    )
    says(page.locator(".views p"), "A, pinned: simulated-mtm with the inter-region prompt; hidden: 1 region by hand")
    page.reload()
    says(page.locator(".compared p"), "Views of Explore: .*present view, simulated-mtm, neuron prompt")


def test_the_page_fits_a_phone(page, server):
    page.set_viewport_size({"width": 390, "height": 844})
    compared(page, server)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    expect(page.get_by_role("button", name="Compare", exact=True)).to_be_visible()
