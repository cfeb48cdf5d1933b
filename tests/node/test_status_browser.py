"""The status page in a real browser, as wide as a desk's and as a phone's: what it shows, files dropped and fetched, the way to the review.

Needs Chromium (Debian's `chromium`) and Playwright's Python package; skipped where one of them is missing. Pictures go to the folder in the
environment variable STATUS_SHOTS, if there is one.
"""

import os
import shutil
from pathlib import Path

import fakes
import nodes
import pytest
from test_status_page import STATUS

from markerremover.configuration.node_tables import Loop
from markerremover.configuration.reading import Configuration
from markerremover.node.service import Service, with_page

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("no chromium (Debian: apt-get install chromium)", allow_module_level=True)


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield found
        found.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    loop = Loop(held_share=0.1, least=2, latest=8, check_s=0.2)
    configuration = Configuration(status=STATUS, loop=loop, given={"loop.held_share": 0.1})
    (folder / "inbox").mkdir()
    found = Service(with_page(nodes.settings(folder), configuration), configuration, folder=folder / "inbox", open_cleaner=fakes.cleaner)
    found.start()
    nodes.store(found.engine.dicom_port, *[nodes.object_file(folder / "in", n) for n in range(3)], *[nodes.held_file(folder / "in", n) for n in range(3, 6)])
    nodes.settled(found.engine)
    found.engine.index.note("sending folder", "its folder is not there <b>now</b>", 3)
    yield found
    found.stop()


def shoot(page, name):
    if folder := os.environ.get("STATUS_SHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.mark.parametrize("name, width, height", [("desk", 1280, 900), ("phone", 390, 844)])
def test_the_page_shows_all_and_a_file_is_dropped_and_fetched(service, browser, tmp_path, name, width, height):
    context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True)
    page = context.new_page()
    troubles = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.goto(service.page.entrances.address)
    sync_api.expect(page.locator("#state")).to_have_text("Ready", timeout=90000)
    sync_api.expect(page.locator("#held tbody tr").first).to_contain_text("CT")
    sync_api.expect(page.locator("#errors")).to_contain_text("<b>now</b>")  # text, no markup
    sync_api.expect(page.locator("#sum")).to_contain_text("every object is in one state")
    sync_api.expect(page.locator("#loop-text")).to_have_text("It is time to learn", timeout=90000)
    (tmp_path / "Miller Anna.png").write_bytes(fakes.png(fakes.radiograph(50 + width)))
    page.set_input_files("#files", tmp_path / "Miller Anna.png")
    link = page.locator("#dropped tr", has_text="Miller Anna.png").locator("a")
    sync_api.expect(link).to_have_text("fetch the result", timeout=90000)
    sync_api.expect(page.locator("#dropped")).to_contain_text("Miller Anna.png")
    shoot(page, name)
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == "Miller Anna-cleaned.png"
    assert Path(download.value.path()).read_bytes() != (tmp_path / "Miller Anna.png").read_bytes()
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "it has to be scrolled sideways"
    page.set_input_files("#files", {"name": "large.png", "mimeType": "image/png", "buffer": b"x" * 1_100_000})
    sync_api.expect(page.locator("#lost")).to_contain_text("large.png is larger than 1 MB")
    assert not troubles
    context.close()


def test_the_way_to_the_review_page_leads_there(service, browser):
    context = browser.new_context()
    page = context.new_page()
    page.goto(service.page.entrances.address)
    nodes.until(lambda: (service.engine.spool.audit / "summary.json").is_file())
    with context.expect_page(timeout=90000) as opened:
        page.locator("#review:enabled").click()
    sync_api.expect(opened.value.locator("#stage")).to_be_visible(timeout=90000)
    sync_api.expect(opened.value.locator("#status")).to_have_text("held", timeout=90000)
    context.close()


def test_a_node_that_ended_is_told(browser, tmp_path):
    configuration = Configuration(status=STATUS)
    found = Service(with_page(nodes.settings(tmp_path), configuration), configuration, open_cleaner=fakes.cleaner)
    found.start()
    page = browser.new_page()
    page.goto(found.page.entrances.address)
    sync_api.expect(page.locator("#state")).to_have_text("Ready", timeout=90000)
    found.stop()
    sync_api.expect(page.locator("#lost")).to_have_text("The node does not answer.", timeout=90000)
    page.close()
