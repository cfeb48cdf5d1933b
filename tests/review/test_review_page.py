"""The review page in a real browser: window by the right mouse button, undo after the page has turned, numbers past 9, what holds a file, and
laterality markers that were missed."""

from __future__ import annotations

import cv2
import dicom_files
import fakes
import numpy as np
import pytest
import reviewing
from test_review_browser import LIMIT_MS, Page, browser, ended  # noqa: F401
from test_review_server import Review

from markerremover.audit import manifest_files
from markerremover.options import RunOptions
from markerremover.records import Policy
from markerremover.redaction.cleaning import Cleaner
from markerremover.run import batch
from markerremover.second_pass import tesseract

PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}


def files_of(page) -> list[dict]:
    return page.page.evaluate("() => fetch('/api/files').then(a => a.json())")["files"]


def settled(page) -> None:
    """Wait until no picture is on its way and nothing is being saved."""
    page.page.wait_for_function("() => !loading && !stale && !S.busy && !S.going", timeout=LIMIT_MS)


def with_many_boxes(tmp_path, count=12):
    image = np.full((192, 256), 60, np.uint8)
    for i in range(count):
        x, y = 10 + 40 * (i % 6), 20 + 60 * (i // 6)
        image[y : y + 14, x : x + 20] = 255
    fakes.put(tmp_path / "in" / "0.png", fakes.png(image))
    batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(policy=reviewing.NOTHING), open_cleaner=fakes.cleaner)
    return tmp_path / "out-audit"


def test_a_box_past_nine_is_selected_by_two_digits(tmp_path, browser):  # noqa: F811
    review = Review(with_many_boxes(tmp_path))
    page = Page(browser, review)
    chosen = "() => S.chosen + 1"
    for typed, number in (("12", 12), ("3", 3), ("10", 10), ("7", 7), ("13", 3), ("0", 3), ("99", 9)):
        page.page.keyboard.type(typed)
        assert page.page.evaluate(chosen) == number, typed
        page.says("#boxes li.selected .what b", str(number))
        page.page.evaluate("() => { typed = -1e9; }")  # as after a second and a half
    page.page.keyboard.type("1")
    page.page.evaluate("() => { typed = -1e9; }")
    page.page.keyboard.type("2")
    assert page.page.evaluate(chosen) == 2, "slowly typed digits are two numbers"
    page.page.keyboard.type("1j2")
    assert page.page.evaluate(chosen) == 2, "another key ends the number"
    page.page.keyboard.press("+")
    zoomed = page.page.evaluate("() => S.zoom")
    page.page.keyboard.press("0")
    assert page.page.evaluate("() => S.zoom") < zoomed, "0 that continues no number shows the whole image"
    page.page.keyboard.type("11")
    page.press("x", "c")
    page.says("#boxes li:nth-child(11)", "nothing burned in")
    page.shoot("many-boxes")
    page.end()
    review.end()


def with_twelve_bits(tmp_path):
    (tmp_path / "in").mkdir()
    stored = np.tile(np.linspace(500, 3500, 256).astype(np.uint16), (192, 1))
    stored[10:26, 20:60] = 4095
    dicom_files.save(tmp_path / "in", stored[None], name="0.dcm")
    dicom_files.save(tmp_path / "in", stored[None, ::-1], name="1.dcm")
    batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(policy=reviewing.NOTHING, headers="keep"), open_cleaner=fakes.cleaner)
    return tmp_path / "out-audit"


def test_dragging_with_the_right_button_changes_width_and_centre(tmp_path, browser):  # noqa: F811
    review = Review(with_twelve_bits(tmp_path))
    page = Page(browser, review)
    page.says("#window-text", "as the program sees it")
    page.count("#level:visible", 0)
    low, high = page.page.evaluate("() => [S.range.low, S.range.high]")
    assert page.page.evaluate("() => S.range.stored") and 400 < low < 700 and 3300 < high <= 4095
    box = page.page.locator("#stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    place = page.page.evaluate("() => [S.x, S.y, S.zoom, S.chosen]")

    def drag(dx, dy):
        page.page.mouse.move(x, y)
        page.page.mouse.down(button="right")
        page.page.mouse.move(x + dx / 2, y + dy / 2)
        page.page.mouse.move(x + dx, y + dy, steps=4)
        page.page.mouse.up(button="right")
        settled(page)
        return page.page.evaluate("() => [S.width, S.centre]")

    middle = lambda: int(np.median(cv2.imdecode(np.frombuffer(  # noqa: E731
        page.page.locator("#stage").screenshot(), np.uint8), 0)[int(box["height"] / 2) - 20 : int(box["height"] / 2) + 20, int(box["width"] / 2) - 3 : int(box["width"] / 2) + 3]))
    width, centre = drag(-box["width"] / 4, 0)
    assert 0.4 < width < 0.55 and centre == 0.5, "to the left: narrower"
    page.says("#level", f"W {round((high - low) * width)} L {round(low + (high - low) * centre)}")
    page.says("#window-text", "stored values")
    before = middle()
    darker = drag(0, box["height"] / 8)
    assert darker[0] == width and darker[1] > centre and middle() < before, "down: darker"
    page.shoot("window")
    assert drag(0, -box["height"] / 4)[1] < centre and middle() > before, "up: brighter"
    assert drag(box["width"] / 3, 0)[0] > width
    assert page.page.evaluate("() => [S.x, S.y, S.zoom, S.chosen]") == place, "neither moved nor selected"
    page.press("\\")
    page.count("#level:visible", 0)
    assert page.page.evaluate("() => [S.width, S.centre]") == [1, 0.5]
    drag(-60, 30)
    page.page.locator("#level").click()
    page.count("#level:visible", 0)
    drag(-60, 30)
    page.press("n")
    page.shown(1)
    page.says("#window-text", "as the program sees it")
    page.press("d")
    drag(-60, 0)
    assert page.page.evaluate("() => S.drawing && S.width < 1"), "also while a box is drawn"
    assert page.page.evaluate("() => !document.getElementById('stage').dispatchEvent(new MouseEvent('contextmenu', { cancelable: true }))")
    page.end()
    review.end()


def test_on_a_phone_the_window_is_changed_by_sliders_with_the_numbers_beside(tmp_path, browser):  # noqa: F811
    review = Review(with_twelve_bits(tmp_path))
    page = Page(browser, review, **PHONE)
    assert page.page.evaluate("() => document.documentElement.scrollWidth") <= 390
    slider = page.page.locator("#width")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    page.page.touchscreen.tap(box["x"] + box["width"] * 0.15, box["y"] + box["height"] / 2)
    page.says("#level", "W ")
    settled(page)
    assert page.page.evaluate("() => S.width") < 0.8
    level = page.page.locator("#level").bounding_box()
    assert level["height"] >= 40 and level["x"] + level["width"] <= 390
    page.shoot("phone-window")
    page.page.locator("#level").tap()
    page.count("#level:visible", 0)
    page.end()
    review.end()


def test_undo_returns_to_the_file_before_after_the_page_has_turned(tmp_path, browser):  # noqa: F811
    audit = reviewing.run(tmp_path)
    review = Review(audit)
    page = Page(browser, review)
    names = [f["file"] for f in files_of(page)]
    assert page.page.locator("#undo").is_disabled()
    page.press("Enter")
    page.shown(1)
    page.says("#undo", "Undo in 1")
    page.press("Enter")
    page.shown(2)
    page.says("#count", "2 of 4")
    page.says("#undo", "Undo in 2")
    page.shoot("undo")
    page.press("u")
    page.shown(1)
    page.says("#file", names[1])
    page.says("#hint", "Taken back: right")
    page.says("#count", "1 of 4")
    page.shoot("undone")
    page.press("u")
    page.shown(0)
    page.says("#count", "0 of 4")
    page.press("1", "c")
    page.says("#boxes li", "nothing burned in, retained")
    page.press("u")
    page.says("#boxes li", "removed")
    assert page.shown() == 0 and page.page.locator("#undo").is_disabled()
    page.press("Enter")
    page.shown(1)
    page.press("n")
    page.shown(2)
    page.press("d", "Enter")
    page.count("#boxes li", 2)
    page.press("p")
    page.shown(1)
    page.page.locator("#undo").click()
    page.shown(2)
    page.count("#boxes li", 1)
    page.page.locator("#undo").click()
    page.shown(0)
    page.end()
    review.end()
    assert [(e["event"], e["file"]) for e in reviewing.events(audit)] == [
        ("accept", names[0]), ("accept", names[1]), ("undo", names[1]), ("undo", names[0]), ("set", names[0]), ("undo", names[0]),
        ("accept", names[0]), ("draw", names[2]), ("undo", names[2]), ("undo", names[0])]


def test_undo_stops_a_page_that_is_about_to_turn(tmp_path, browser):  # noqa: F811
    audit = reviewing.run(tmp_path)
    review = Review(audit)
    page = Page(browser, review)
    page.page.locator("body[data-prefetched~='1']").wait_for()
    page.page.evaluate("() => { ready.clear(); }")
    page.page.route("**/api/files/1", lambda route: (page.page.wait_for_timeout(800), route.continue_()))
    page.press("Enter")
    page.page.wait_for_function("() => S.going && S.all.progress.done === 1")
    page.press("u")
    page.says("#count", "0 of 4")
    page.page.wait_for_timeout(1500)
    assert page.shown() == 0 and page.page.evaluate("() => S.number") == 0
    page.press("Enter")
    page.shown(1)
    page.end()
    review.end()
    assert [e["event"] for e in reviewing.events(audit)] == ["accept", "undo", "accept"]


def held(audit, places):
    """Have the run say that something still shows in the first file."""
    found = reviewing.rows(audit)
    name = "b/0.png"
    row = found[name]
    held_for = [row["boxes"][0] | {"xyxy": xyxy, "label": label, "score": 0.71, "reason": "still found after removal"} for xyxy, label in places]
    found[name] |= {"status": "held", "sha256_out": "", "reason": "2 findings remain after 2 rounds of removal", "held_for": held_for}
    manifest_files.write_rows(audit / manifest_files.MANIFEST, found.values())


@pytest.mark.parametrize("screen", [{}, PHONE], ids=["desk", "phone"])
def test_the_places_that_hold_a_file_are_outlined_and_listed(tmp_path, browser, screen):  # noqa: F811
    audit = reviewing.run(tmp_path)
    held(audit, [([80, 20, 110, 34], "verify"), ([70, 60, 100, 76], "header")])
    review = Review(audit)
    page = Page(browser, review, **screen)
    page.says("#status", "held")
    page.says("#why", "shown early because it was held")
    page.count("#marks rect.holds", 2)
    page.count("#places li", 2)
    page.says("#places li:nth-child(1)", "found again, score 0.71")
    page.says("#places li:nth-child(2)", "text that matches the header")
    assert page.page.evaluate("() => document.documentElement.scrollWidth") <= (screen.get("viewport") or {"width": 1200})["width"]
    page.shoot(f"holds-{'phone' if screen else 'desk'}")
    for _ in range(3):
        page.press("h")
    assert page.page.evaluate("() => [S.place, Math.round((80 + 110) / 2 * S.zoom + S.x) === Math.round(document.getElementById('stage').clientWidth / 2)]") == [0, True]
    page.page.locator("#places button").nth(1).click()
    assert page.page.evaluate("() => S.place") == 1
    page.press("o")
    page.count("#marks rect.holds", 0)
    page.press("n")
    page.shown(1)
    page.count("#places li", 0)
    page.count("#holds:visible", 0)
    page.end()
    review.end()


def test_the_order_says_its_reason_on_the_file_and_in_the_list(tmp_path, browser):  # noqa: F811
    audit = reviewing.run(tmp_path)
    held(audit, [])
    found = reviewing.rows(audit)
    found["a/1.png"]["boxes"][0]["score"] = 0.52
    manifest_files.write_rows(audit / manifest_files.MANIFEST, found.values())
    review = Review(audit)
    page = Page(browser, review)
    page.says("#why", "shown early because it was held")
    page.press("n")
    page.shown(1)
    page.says("#why", "shown early because a score is near the threshold")
    page.press("n")
    page.shown(2)
    page.says("#why", "shown late because nothing in its row is in doubt")
    page.press("l")
    page.says("#files li:nth-child(2)", "shown early because a score is near the threshold")
    page.page.locator("#search").fill("early because it was held")
    page.count("#files li", 1)
    page.shoot("list")
    page.end()
    review.end()
    review = Review(audit, "--sample", "2")
    page = Page(browser, review)
    page.says("#why", "shown because it was drawn at random, 2 of 3 results")
    page.end()
    review.end()


def test_a_missed_laterality_marker_is_drawn_and_retained(tmp_path, browser):  # noqa: F811
    keep = Policy(keep=("L", "R"))
    reader = tesseract.open_reader()
    open_cleaner = lambda threads=1: Cleaner(reviewing.find_name, reader, keep)  # noqa: E731
    fakes.put(tmp_path / "in" / "0.png", fakes.png(reviewing.with_letter()))
    batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(policy=keep), open_cleaner=open_cleaner)
    audit = tmp_path / "out-audit"
    review = Review(audit)
    page = Page(browser, review)

    def drag(x1, y1, x2, y2):
        scene = page.page.locator("#scene").bounding_box()
        points = [(scene["x"] + x * scene["width"] / 256, scene["y"] + y * scene["height"] / 192) for x, y in ((x1, y1), (x2, y2))]
        page.page.mouse.move(*points[0]), page.page.mouse.down(), page.page.mouse.move(*points[1], steps=3), page.page.mouse.up()

    page.press("d")
    page.says("#hint", "it is removed (K: a laterality marker)")
    page.press("k")
    page.says("#hint", "retained if it is read as one, else removed")
    page.count("#laterality[aria-pressed=true]", 1)
    page.press("x")
    page.says("#hint", "it is removed")
    page.page.locator("#laterality").click()
    page.shoot("draw-marker")
    drag(*reviewing.MARKER)
    page.count("#boxes li", 2)
    page.says("#boxes li:nth-child(2)", "to be retained")
    page.says("#boxes li:nth-child(2)", "a laterality marker that was missed")
    page.shoot("drawn-marker")
    page.press("x")
    page.count("#boxes li", 1)
    page.press("d")
    page.says("#hint", "it is removed")
    drag(*reviewing.MARKER)
    page.says("#boxes li:nth-child(2)", "an annotation that was missed")
    settled(page)
    page.press("k")
    page.says("#boxes li:nth-child(2)", "to be retained")
    page.count("#boxes li", 2)
    settled(page)
    page.press("u")
    page.count("#boxes li", 3)
    page.press("U")
    page.says("#boxes li:nth-child(2)", "an annotation that was missed")
    page.count("#boxes li", 2)
    page.press("2", "k")
    page.says("#boxes li:nth-child(2)", "to be retained")
    settled(page)
    page.press("Enter")
    page.says("#end-title", "Every file")
    page.end()
    review.end()
    assert [e["event"] for e in reviewing.events(audit)] == [
        "retain", "erase", "draw", "retain", "erase", "undo", "undo", "retain", "erase", "accept"]
    assert reviewing.redo(audit, open_cleaner)["redone"] == 1
    assert (fakes.read(tmp_path / "out" / "0.png")[120:156, 176:206] > 200).any()
    review = Review(audit)
    page = Page(browser, review)
    page.says("#boxes li:nth-child(2)", "reviewer: laterality marker added")
    page.end()
    review.end()
