"""A campaign's report in a real browser: whole, readable on a phone, usable by keyboard, alone."""

import pytest
import rogues

pytest.importorskip("tornado", reason="needs tornado (extra watch)")

from chromium import PROGRAM, Chromium

from grainscout.benchmarks import CampaignStore, PolicySpec, run_campaign, write_results

if PROGRAM is None:
    pytest.skip("no Chromium on this computer", allow_module_level=True)

#: What sticks out to the right of the window, but for parts that can be scrolled.
STICKS_OUT = """[...document.querySelectorAll('body *')].filter(e => {
    if (e.getBoundingClientRect().right <= document.documentElement.clientWidth + 1) return false;
    for (let p = e.parentElement; p; p = p.parentElement)
        if (getComputedStyle(p).overflowX === 'auto') return false;
    return !e.classList.contains('skip'); }).length"""
FOCUSED = "document.activeElement"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    plan = rogues.campaign(
        PolicySpec(name="random"),
        PolicySpec(name="dkl", label="dkl, a window that is too large", options={"window": 999}),
        films=1,
    )
    with CampaignStore(folder / "campaign.sqlite", plan.identity()) as store:
        run_campaign(plan, store)
        return write_results(plan, store, folder).files["report"].as_uri()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with Chromium(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


@pytest.mark.parametrize("width", [1200, 400])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_the_window_and_asks_for_nothing_else(page, report, width, dark):
    page.size(width, dark=dark)
    page.requested.clear()
    page.open(report)
    page.look("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    page.look("document.querySelectorAll('img').forEach(i => { i.loading = 'eager'; })")
    page.until("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert page.look("document.images.length") >= 4
    assert page.look("[...document.images].every(i => i.alt.length > 10)")
    assert page.look(STICKS_OUT) == 0
    assert page.look("document.documentElement.scrollWidth") == width
    assert [url for url in page.requested if not url.startswith("data:")] == [report]
    assert page.complaints == []


def test_the_keyboard_reaches_the_content_and_opens_a_failure(page, report):
    page.size(1200)
    page.open(report)
    page.key("Tab", 9)
    assert page.look(f"{FOCUSED}.textContent") == "Skip to the content"
    summary = "document.querySelector('#failures summary')"
    assert "window must be between 1" in page.look(f"{summary}.textContent")
    page.look(f"{summary}.focus()")
    page.key("Enter", 13, "\r")
    page.until("document.querySelector('#failures details').open")
    assert "Traceback" in page.look("document.querySelector('#failures pre').innerText")
