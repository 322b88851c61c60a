"""The page in a real browser, with a real run going on."""

import time
from contextlib import suppress

import pytest

pytest.importorskip("tornado", reason="needs tornado (extra watch)")

from chromium import PROGRAM, Chromium
from live_run import Rig, until

if PROGRAM is None:
    pytest.skip("no Chromium on this computer", allow_module_level=True)

NEWEST = "Number(document.querySelector('[data-newest]').dataset.newest)"
STATE = "document.querySelector('#state strong').textContent"


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    return Rig(tmp_path_factory.mktemp("night"))


@pytest.fixture(scope="module")
def night(rig):
    """A run, and two that watch it: one may control it."""
    with (
        rig.run() as run,
        rig.watch("--no-maps") as looking,
        rig.watch("--allow-control") as acting,
    ):
        yield {"run": run, "look": looking[0], "act": acting[0]}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Chromium(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


@pytest.fixture
def page(browser, night):
    browser.open(night["act"])
    browser.until("document.querySelector('#link').textContent === 'live'")
    return browser


def test_the_newest_measurement_is_shown_within_two_seconds(page, rig):
    in_time = 0
    for _ in range(8):
        number = rig.count()
        with suppress(TimeoutError):  # a computer may be busy with something else
            page.until(f"{NEWEST} >= {number}", seconds=2.0)
            in_time += 1
        until(lambda have=number: rig.count() > have, "the run goes on")
    assert in_time >= 1  # on a busy computer most may be late
    assert page.look(STATE) == "running"


def test_pressing_pause_pauses_and_resume_resumes(page, rig):
    before = rig.asked().count("pause")
    page.press("#hold")
    until(lambda: rig.asked().count("pause") == before + 1, "the journal says: pause")
    page.until(f"{STATE} === 'paused' && document.querySelector('#hold').textContent === 'Resume'")
    stood = rig.count()
    time.sleep(1.5)  # three measurements, were it not paused
    assert rig.count() == stood
    # The site that waits is vetoed meanwhile, by a press on it in the map.
    waiting = rig.told(lambda journal: journal.proposals(waiting=True))[0]
    page.until("document.querySelector('#next button') !== null")
    row, column = waiting.site
    x, y = page.look(
        "(() => { const s = document.querySelector('#map-sites'); s.scrollIntoView({block: 'center'});"
        "const [l, t, w, h, rows, columns] = run.map;"
        f"const p = new DOMPoint(l + w * ({column} + .5) / columns, t + h * ({row} + .5) / rows)"
        ".matrixTransform(s.getScreenCTM()); return [p.x, p.y]; })()"
    )
    page.press_at(x, y)
    page.until(f"document.querySelector('#picked button')?.dataset.id === '{waiting.id}'")
    page.press("#picked button")
    until(lambda: "veto" in rig.asked(), "the journal says: veto")
    page.press("#hold")
    until(lambda: rig.count() > stood + 1, "the run goes on")
    page.until(f"{STATE} === 'running'")
    outcomes = rig.told(lambda journal: journal.outcomes())
    assert {o.proposal_id: o.status for o in outcomes}[waiting.id] == "aborted"


def test_the_keyboard_alone_is_enough(page, rig):
    page.look("document.querySelector('#hold').focus()")
    page.key("Enter", 13, "\r")
    page.until(f"{STATE} === 'paused'")
    assert page.look("document.activeElement.id") == "hold"  # the focus outlives the updates
    page.key("Enter", 13, "\r")
    page.until(f"{STATE} === 'running'")
    page.look("document.querySelector('#pick').focus()")
    page.key("2", 50, "2")
    page.key("Enter", 13, "\r")
    page.until("document.querySelector('#picked h3')?.textContent === 'Measurement 2'")
    second = rig.told(lambda journal: journal.outcomes(1, 1))[0]
    assert f"row {second.site[0]}, column {second.site[1]}" in page.look(
        "document.querySelector('#picked').textContent"
    )


def test_the_page_loads_nothing_from_elsewhere_and_logs_no_error(page, night):
    page.until(
        "document.querySelectorAll('#maps svg').length > 2", seconds=40
    )  # incl. the policy's maps
    time.sleep(0.5)
    home = night["act"].split("/")[2]
    assert page.requested
    assert {a.split("/")[2] for a in page.requested if a.startswith(("http", "ws"))} <= {
        home,
        night["look"].split("/")[2],
    }
    assert page.complaints == []
    assert page.look("[...document.images].every(i => i.complete)")
    # The token is neither in the address any more nor readable for a script.
    assert page.look("location.search + document.cookie") == ""


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1200])
def test_the_page_fits_the_window_and_every_figure_has_a_text(page, width, dark):
    page.size(width, dark=dark)
    time.sleep(0.2)
    assert page.look("document.documentElement.scrollWidth") <= width
    assert page.look("getComputedStyle(document.body).backgroundColor") == (
        "rgb(18, 22, 28)" if dark else "rgb(247, 248, 250)"
    )
    bare = (
        "[...document.querySelectorAll('figure > svg')].filter(s => !s.getAttribute('aria-label'))"
    )
    assert page.look(f"{bare}.length") == 0
    small = "[...document.querySelectorAll('button, input')].filter(b => b.checkVisibility() && b.offsetHeight < 44).length"
    assert page.look(small) == 0  # large enough for a thumb


def test_without_control_there_are_no_buttons(browser, night, rig):
    browser.open(night["look"])
    browser.until("document.querySelector('#link').textContent === 'live'")
    assert browser.look("document.querySelectorAll('button, dialog').length") == 0
    before = rig.asked(), rig.told(lambda journal: journal.requests())
    # A request forged on the page's own connection.
    browser.look("send({ ask: 'abort', id: '' })")
    browser.until("document.querySelector('#reply').textContent.includes('looking only')")
    time.sleep(0.6)
    assert (rig.asked(), rig.told(lambda journal: journal.requests())) == before
    assert night["run"].poll() is None


def test_abort_asks_first_and_then_ends_the_run(page, rig, night):
    page.press("#abort")
    page.until("document.querySelector('#sure').open")
    page.key("Escape", 27)
    page.until("!document.querySelector('#sure').open")
    assert "abort" not in rig.asked()
    page.press("#abort")
    page.press("#yes")
    assert night["run"].wait(90) == 0
    page.until(f"{STATE} === 'aborted' && document.querySelector('#hold').disabled")
    assert "aborted by hand" in page.look("document.querySelector('#events').textContent")
    # Being watched has left nothing beside the journal.
    until(lambda: sorted(p.name for p in rig.folder.glob("night.gsj*")) == ["night.gsj"], "folded")
