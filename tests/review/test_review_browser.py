"""The review page in a real browser: a whole session by keyboard, a phone, a server that dies, and where requests go.

Needs Chromium (Debian's `chromium`) and Playwright's Python package, which drives it; skipped where one of them is missing.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import dicom_files
import fakes
import numpy as np
import pytest
import reviewing
from pages import ROOT
from test_review_server import Review

from markerremover.audit import manifest_files
from markerremover.labels import labelled_folder, labelme
from markerremover.options import RunOptions
from markerremover.redaction import corrections
from markerremover.run import batch

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("no chromium (Debian: apt-get install chromium)", allow_module_level=True)

LIMIT_MS = 300_000  # for what the page does: so long takes only what hangs
SHOTS = os.environ.get("MARKERREMOVER_TEST_SCREENSHOTS")  # a folder for pictures of the page, to look at


@pytest.fixture(scope="module")
def browser():
    sync_api.expect.set_options(timeout=LIMIT_MS)
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield found
        found.close()


@pytest.fixture(autouse=True)
def ended():
    """No server outlives a test that failed."""
    Review.started.clear()
    yield
    for review in Review.started:
        if review.process.poll() is None:
            review.end(signal.SIGKILL)


class Page:
    """A page of a review, and every request that it made or tried to make."""

    def __init__(self, browser, review: Review, **screen) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1200, "height": 800}, **screen})
        self.context.set_default_timeout(LIMIT_MS)
        self.page = self.context.new_page()
        self.requests, self.problems = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda message: self.problems.append(message.text) if message.type == "error" else None)
        self.page.goto(review.address)
        self.shown()

    def shown(self, number: int | None = None) -> int:
        """Wait until a file is shown, that one if told; returns its number."""
        self.page.locator("body[data-shown]" if number is None else f"body[data-shown='{number}']").wait_for()
        return int(self.page.locator("body").get_attribute("data-shown"))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def count(self, selector: str, number: int) -> None:
        """Wait until so many elements are there."""
        sync_api.expect(self.page.locator(selector)).to_have_count(number)

    def says(self, selector: str, text: str) -> None:
        sync_api.expect(self.page.locator(selector)).to_contain_text(text)

    def shoot(self, name: str) -> None:
        if SHOTS:
            self.page.screenshot(path=Path(SHOTS) / f"{name}.png")

    def grey(self, x: int, y: int) -> int:
        """Grey on the screen of a source pixel of a file of 128 x 96."""
        box = self.page.locator("#scene").bounding_box()
        shot = cv2.imdecode(np.frombuffer(self.page.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
        return int(shot[round(box["y"] + (y + 0.5) * box["height"] / 96), round(box["x"] + (x + 0.5) * box["width"] / 128)])

    def end(self) -> None:
        """Close, after checking that nothing was asked for elsewhere and nothing went wrong."""
        hosts = {urlsplit(url).hostname for url in self.requests}
        assert hosts == {"127.0.0.1"}, hosts
        assert not self.problems, self.problems
        self.context.close()


def test_a_whole_session_by_keyboard(tmp_path, browser):
    audit = reviewing.run(tmp_path, count=5)
    review = Review(audit)
    page = Page(browser, review)
    order = [f["file"] for f in page.page.evaluate("() => fetch('/api/files').then(a => a.json())")["files"]]
    page.says("#count", "0 of 5")
    for number, name in enumerate(order):
        page.shown(number)
        page.says("#file", name)
        if name == "a/1.png":
            page.press("d")
            page.says("#hint", "press Enter")
            x1, y1, *_ = fakes.SHAPE
            page.press(*["ArrowRight"] * 6, *["Shift+ArrowDown"] * 3, "Alt+ArrowDown")
            page.shoot("drawing")
            page.press("Enter")
            page.count("#boxes li", 2)
            page.says("#boxes li:nth-child(2)", "an annotation that was missed")
        elif name == "b/0.png":
            page.press("1", "k")
            page.says("#boxes li", "a laterality marker, retained")
            page.press("k")
            page.press("c")
            page.says("#boxes li", "nothing burned in, retained")
            page.press("x")
            page.says("#boxes li", "removed")
            page.press("u")
            page.says("#boxes li", "nothing burned in, retained")
        elif name == "b/2.png":
            page.press("d", "Enter")
            page.count("#boxes li", 2)
            page.press("x")
            page.count("#boxes li", 1)
        bright = {"before": True, "wipe": True, "difference": True, "after": name == "b/0.png"}  # where the name is, in the left half
        for key, view in (("b", "before"), ("w", "wipe"), ("f", "difference"), ("a", "after")):
            page.press(key)
            page.count(f"[data-view={view}][aria-pressed=true]", 1)
            page.count("#over img[alt=difference]", int(view == "difference"))
            assert (page.grey(40, 22) > 150) == bright[view], (name, view)
        page.shoot(f"keyboard-{number}")
        page.press("Enter")
    page.says("#end-title", "Every file has been looked at")
    page.shoot("end")
    page.says("#count", "5 of 5, 2 to apply")
    page.end()
    assert "5 of 5 files looked at, 2 of them corrected" in review.end()
    said = corrections.reviews(reviewing.events(audit))
    assert {name: len(r.marks) for name, r in said.items()} == {"a/1.png": 1, "b/0.png": 1, "b/2.png": 0, "a/3.png": 0, "b/4.png": 0}
    assert all(r.verdict == "accept" and r.who == "Dr. R" for r in said.values())
    assert reviewing.redo(audit)["redone"] == 2
    assert np.array_equal(fakes.read(tmp_path / "out" / "b" / "0.png"), fakes.read(tmp_path / "in" / "b" / "0.png"))


TUTORIAL = ROOT / "docs" / "tutorial" / "3-reviewing.md"


def tutorial_keys(what: str) -> list[str]:
    """The keys of the row of the tutorial that begins so, as a reader presses them."""
    (row,) = [line for line in TUTORIAL.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {what}")]
    return [key if len(key) > 1 else key.lower() for key in re.findall(r"`([^`]+)`", row)]


def kept(audit: Path, *names: str) -> None:
    """Have the run say that it kept the box of some files as a sign."""
    found = reviewing.rows(audit)
    for name in names:
        found[name]["boxes"][0] |= {"action": "keep", "label": "laterality", "reason": "isolated laterality marker", "text": "L", "confidence": 0.9}
    manifest_files.write_rows(audit / manifest_files.MANIFEST, found.values())


def test_who_follows_the_tutorial_gets_the_labels_that_it_tells_of(tmp_path, browser):
    """On boxes that the run took for markers, and on boxes that it kept as signs; `finetune` reads them."""
    audit = reviewing.run(tmp_path, count=8, missed=())
    kept(audit, "b/0.png", "a/1.png", "b/2.png")
    sign, nothing, marking, right, again = (tutorial_keys(what) for what in (
        "a laterality marker was removed", "anatomy was blacked out", "something was left", "all right", "a mistake"))
    assert right == ["Enter"] and sign[-1] == nothing[-1] == marking[-1] == "Enter" and sign[0] == "j"
    nothing, marking = (["j", *keys] for keys in (nothing, marking))
    steps = {
        "b/0.png": nothing, "a/1.png": marking, "b/2.png": sign, "a/3.png": sign, "b/4.png": nothing,
        "a/5.png": [*sign[:-1], nothing[1], "Enter"], "b/6.png": [*nothing[:-1], sign[1 + sign[1:].index("k")], "Enter"],
        "a/7.png": [*sign[:-1], *again, "Enter"],
    }
    review = Review(audit)
    page = Page(browser, review)
    order = [f["file"] for f in page.page.evaluate("() => fetch('/api/files').then(a => a.json())")["files"]]
    page.press("?")
    for words in ("a laterality marker, it is retained", "nothing burned in there, it is retained", "an annotation, it is removed"):
        page.says("#keys", words)
    page.shoot("help")
    page.press("Escape")
    for number, name in enumerate(order):
        page.shown(number)
        for key in steps[name]:
            page.press(key)
            page.page.wait_for_function("() => !S.busy")  # a key before that says nothing
        if number == 3:
            page.shoot("labels")
    page.says("#end-title", "Every file has been looked at")
    page.end()
    review.end()
    done = reviewing.redo(audit)
    assert done["withdrawn"] == done["left"] == []
    found = {}
    for path in sorted((audit / "review" / "labels" / "annotations").glob("*.json")):
        annotation = labelme.read(path)
        assert annotation.reviewed
        found[path.stem.split("-")[0].replace("_", "/") + ".png"] = [(e.kind, e.xyxy) for e in annotation.elements]
    box = tuple(map(float, fakes.NAME_BOX))
    assert found == {
        "b/0.png": [], "a/1.png": [("marker", box)], "a/3.png": [("laterality", box)], "b/4.png": [], "a/5.png": [],
        "b/6.png": [("laterality", box)],
    }, "of b/2.png and a/7.png nothing was said but what the run says"
    stays = {name: bool(fakes.read(tmp_path / "out" / name)[16:28, 22:58].any()) for name in found}
    assert stays == {"b/0.png": False, "a/1.png": False, "a/3.png": True, "b/4.png": True, "a/5.png": True, "b/6.png": True}
    assert len(labelled_folder.load_samples(audit / "review" / "labels", None)) == len(found)


def test_a_right_image_takes_one_key_and_the_next_one_has_been_fetched_ahead(tmp_path, browser):
    stored = np.random.default_rng(0).normal(1500, 200, (2560, 2048)).clip(0, 4095).astype(np.uint16)
    (tmp_path / "in").mkdir()
    for i in range(6):  # 12 bits, DICOM and PNG
        stored[100:160, 100 + 9 * i : 400] = 4095
        if i % 2:
            dicom_files.save(tmp_path / "in", stored[None], name=f"{i}.dcm")
        else:
            fakes.put(tmp_path / "in" / f"{i}.png", fakes.png(stored << 4))
    batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(policy=reviewing.NOTHING, headers="keep"),
        open_cleaner=fakes.cleaner)
    review = Review(tmp_path / "out-audit")
    page = Page(browser, review)
    took = []
    for number in range(5):
        page.page.locator(f"body[data-prefetched~='{number + 1}']").wait_for()  # while a person looks
        page.press("Enter")
        page.shown(number + 1)
        page.page.locator(f"body[data-took^='{number + 1} ']").wait_for()
        took.append(float(page.page.locator("body").get_attribute("data-took").split()[1]))
    with page.page.expect_response(lambda answer: "width=1.32" in answer.url) as answer:
        page.press("]", "]")
    assert answer.value.ok
    page.shoot("five-megapixels")
    page.end()
    assert "5 of 6 files looked at" in review.end()
    print(f"next image of 5 megapixels after ms {took}")  # 150 is what is asked of a machine that does nothing else


def test_on_a_phone_everything_can_be_reached_with_a_thumb(tmp_path, browser):
    audit = reviewing.run(tmp_path)
    review = Review(audit)
    page = Page(browser, review, viewport={"width": 390, "height": 780}, device_scale_factor=2, has_touch=True, is_mobile=True)
    assert page.page.evaluate("() => document.documentElement.scrollWidth") <= 390
    for name in ("accept", "draw", "laterality", "none", "marker", "undo", "next", "previous", "open-list", "open-help", "stage"):
        box = page.page.locator(f"#{name}").bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= 390.5 and box["y"] + box["height"] <= 780.5, name
        assert min(box["width"], box["height"]) >= 30, name
    assert page.page.locator("#stage").bounding_box()["height"] > 350
    page.shoot("phone")
    page.page.locator("#boxes li").first.tap()
    page.page.locator("#none").tap()
    page.says("#boxes li", "nothing burned in, retained")
    page.page.locator("#undo").tap()
    page.says("#boxes li", "removed")
    page.page.locator("[data-view=wipe]").tap()
    page.shoot("phone-wipe")
    page.page.locator("#draw").tap()
    x, y = (page.page.locator("#stage").bounding_box()[k] for k in ("x", "y"))
    page.page.mouse.move(x + 150, y + 180), page.page.mouse.down(), page.page.mouse.move(x + 210, y + 215, steps=4), page.page.mouse.up()
    page.count("#boxes li", 2)
    page.shoot("phone-drawn")
    page.page.locator("#accept").tap()
    page.shown(1)
    page.says("#count", "1 of 4")
    page.end()
    review.end()
    assert [e["event"] for e in reviewing.events(audit)] == ["set", "undo", "draw", "accept"]


def test_a_server_that_is_killed_loses_nothing_and_the_page_says_so(tmp_path, browser):
    audit = reviewing.run(tmp_path)
    review = Review(audit)
    page = Page(browser, review)
    page.press("Enter")
    page.shown(1)
    page.press("Enter")
    page.shown(2)
    review.end(signal.SIGKILL)
    page.press("Enter")
    page.says("#message", "not saved")
    assert page.shown() == 2, "it stays with what was not saved"
    page.shoot("server-gone")
    page.context.close()
    assert len(reviewing.events(audit)) == 2
    again = Review(audit)
    page = Page(browser, again)
    page.shown(2)
    page.says("#count", "2 of 4")
    page.press("Enter")
    page.shown(3)
    page.press("Enter")
    page.says("#end-title", "Every file")
    page.end()
    assert "4 of 4 files looked at" in again.end() and len(reviewing.events(audit)) == 4


def test_a_sample_ends_with_its_bound_on_the_screen(tmp_path, browser):
    audit = reviewing.run(tmp_path, missed=())
    review = Review(audit, "--sample", "3", "--seed", "2")
    page = Page(browser, review)
    for number in range(3):
        page.shown(number)
        page.press("Enter")
    page.says("#end-text", "0 misses in 3: below 63.2 % with 95 % confidence")
    page.shoot("sample-end")
    page.end()
    assert "statement-3-2.md" in review.end() and (audit / "review" / "statement-3-2.md").exists()


def test_a_file_opens_the_page_and_is_gone_afterwards(tmp_path, browser, monkeypatch):
    from markerremover.cli import review as cli

    audit = reviewing.run(tmp_path, count=1)
    review, opened = Review(audit), []
    monkeypatch.setattr("webbrowser.open", opened.append)
    door = audit / "review" / "open.html"
    cli._ready(review.address, door)
    assert opened == [door.as_uri()] and review.token not in opened[0] and door.stat().st_mode & 0o077 == 0
    page = browser.new_page()
    page.goto(opened[0])
    page.locator("body[data-shown]").wait_for(timeout=LIMIT_MS)
    assert page.url.endswith("/#0") and review.token not in page.url
    page.close()
    review.end()
    assert not door.exists()


def test_a_held_file_is_released_by_a_key_of_its_own(tmp_path, browser):
    def restless(threads=1):
        return fakes.Cleaner(fakes.restless(), None, reviewing.NOTHING)

    audit = reviewing.run(tmp_path, count=2, open_cleaner=restless)
    review = Review(audit)
    page = Page(browser, review)
    page.says("#status", "held")
    page.says("#accept", "Keep held")
    page.says("#side", "not written")
    page.shoot("held")
    page.press("r")
    page.shown(1)
    page.press("Enter")
    page.says("#end-title", "Every file")
    page.end()
    review.end()
    assert [e["event"] for e in reviewing.events(audit)] == ["release", "accept"]


def test_another_page_in_the_same_browser_gets_nothing(tmp_path, browser):
    audit = reviewing.run(tmp_path, count=1)
    review = Review(audit)
    page = Page(browser, review)
    other = page.context.new_page()
    other.goto("data:text/html,<p>elsewhere</p>")
    base = f"http://127.0.0.1:{review.port}"
    tried = other.evaluate("""async base => {
      const image = await new Promise(done => {
        const i = new Image(); i.onload = () => done("shown"); i.onerror = () => done("refused");
        i.src = base + "/api/files/0/before.png"; });
      const read = await fetch(base + "/api/files", {credentials: "include"}).then(() => "read", () => "refused");
      const sent = await fetch(base + "/api/files/0/decisions", {method: "POST", mode: "no-cors", credentials: "include",
          body: "{}"}).then(() => "sent", () => "refused");
      return [image, read, sent];
    }""", base)
    assert tried[:2] == ["refused", "refused"] and reviewing.events(audit) == []
    other.set_content(f"<iframe src='{base}/'></iframe>")
    other.wait_for_timeout(300)
    assert "Review" not in (other.frames[-1].title() if len(other.frames) > 1 else "")
    page.end()
    review.end()
