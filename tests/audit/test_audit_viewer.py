"""The viewer of the audit page in a real browser, from the file system: whether somebody can see what was missed."""

from __future__ import annotations

import json
from pathlib import Path

import audits
import cv2
import fakes
import numpy as np
import pytest
from test_audit_browser import Audit
from test_review_browser import browser, sync_api  # noqa: F401  browser is a fixture; skips without Chromium

from markerremover.audit import crops, full_pictures, manifest_files
from markerremover.options import RunOptions
from markerremover.records import Policy
from markerremover.run import batch

WIDE, HIGH = 1600, 1200
PLATE, NAME, MISSED = (20, 20, 220, 90), (60, 40), (1180, 900)  # what is removed, and where 28-px names stand: found and not


def drawn(missed: bool = True) -> np.ndarray:
    """A film with a white plate, and with a faint name that no localizer here finds."""
    rows, columns = np.mgrid[:HIGH, :WIDE]
    image = (60 + 60 * np.sin(columns / 300) + 40 * np.cos(rows / 260) + np.random.default_rng(1).normal(0, 1, (HIGH, WIDE))).clip(0, 200).astype(np.uint8)
    image[PLATE[1] : PLATE[3], PLATE[0] : PLATE[2]] = 255
    strokes = fakes.written(np.zeros_like(image), "MEIER, UTE", MISSED, 28, 255) > 128
    return np.where(strokes & missed, image + 8, image).astype(np.uint8)


def audit_of(folder: Path, *images: np.ndarray, detector=fakes.find_white, **options) -> Path:
    for number, image in enumerate(images):
        fakes.put(folder / "in" / f"film-{number}.png", fakes.png(image))
    batch.remove([folder / "in"], folder / "out", options=RunOptions(policy=Policy(keep=()), **options),
                 open_cleaner=lambda threads: fakes.cleaner(detector=detector))
    return folder / "out-audit"


class Viewer(Audit):
    """The audit page, and what its viewer shows."""

    def film(self, number: int = 0, which: int = 1) -> None:
        """Click a picture of a whole film: 0 before, 1 after."""
        self.page.locator("article").nth(number).locator(".whole img").nth(which).click()
        self.there()

    def there(self) -> None:
        self.page.locator("#stage[aria-busy=false]").wait_for()

    def looks(self, name: str) -> None:
        self.page.locator(f"#film[data-look={name}]").wait_for()
        self.there()

    def zoom(self) -> dict[str, float]:
        return self.page.evaluate("({ s: Z.s, x: Z.x, y: Z.y, wide: stage.clientWidth, high: stage.clientHeight })")

    def seen(self, x: int, y: int, wide: int, high: int) -> np.ndarray:
        """(high, wide) uint8: a part of the film as it is on the screen at 100 %, from its own pixel (x, y) on."""
        self.page.evaluate("([x, y]) => { centre(x, y, 1); pan(-Z.x % 1, -Z.y % 1); film.classList.add('bare'); }", [x + wide / 2, y + high / 2])
        box, z = self.page.locator("#stage").bounding_box(), self.zoom()
        shot = self.page.screenshot(clip={"x": box["x"] + z["x"] + x, "y": box["y"] + z["y"] + y, "width": wide, "height": high})
        return cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_GRAYSCALE)


@pytest.fixture(scope="module")
def audit(tmp_path_factory) -> Path:
    return audit_of(tmp_path_factory.mktemp("films"), drawn(), drawn(missed=False))


def test_a_missed_faint_name_can_be_seen_in_the_viewer_and_not_in_the_list(audit, browser):
    tab = Viewer(browser, audit)
    x, y = MISSED
    part = (x, y, 200, 30)
    strokes = fakes.written(np.zeros((HIGH, WIDE), np.uint8), "MEIER, UTE", MISSED, 28, 255)[y : y + 30, x : x + 200] > 128
    around = cv2.dilate(strokes.astype(np.uint8), np.ones((7, 7))).astype(bool) & ~strokes
    contrast = lambda image: image[strokes].mean() - image[around].mean()
    assert tab.page.locator("article img").first.evaluate("image => image.naturalWidth") == crops.THUMB_PX
    tab.film()
    assert tab.page.locator("#layers [data-picture=after]").evaluate("image => [image.naturalWidth, image.naturalHeight]") == [WIDE, HIGH]
    plain = contrast(tab.seen(*part))
    tab.page.keyboard.press("e")
    tab.looks("equalised")
    assert tab.page.locator("#v-note").inner_text() == ""
    equalised = contrast(tab.seen(*part))
    tab.shoot("viewer-equalised")
    assert 5 < plain < 11 and equalised > 3 * plain, (plain, equalised)
    tab.end()


def test_keys_and_buttons_switch_between_before_after_difference_and_equalised(audit, browser):
    tab = Viewer(browser, audit)
    plate, ground = (PLATE[0] + 40, PLATE[1] + 20, 60, 30), (700, 600, 60, 30)
    tab.film(which=0)
    tab.looks("before")
    assert tab.seen(*plate).min() > 240
    tab.page.keyboard.press("a")
    tab.looks("after")
    assert tab.seen(*plate).max() < 10 and tab.seen(*ground).min() > 20
    tab.page.locator("[data-look=difference]").click()
    tab.looks("difference")
    assert tab.seen(*plate).min() > 240 and tab.seen(*ground).max() < 10, "what was removed and nothing else"
    for key, look in {"b": "before", "e": "equalised", "d": "difference", "a": "after"}.items():
        tab.page.keyboard.press(key)
        tab.looks(look)
        assert tab.page.locator("button[aria-pressed=true][data-look]").get_attribute("data-look") == look
    tab.page.keyboard.press("n")
    tab.says("#v-name", "film-1.png")
    tab.page.keyboard.press("Escape")
    sync_api.expect(tab.page.locator("#viewer")).not_to_be_visible()
    tab.end()


def test_wheel_keys_and_drag_zoom_and_pan_where_the_pointer_is(audit, browser):
    tab = Viewer(browser, audit)
    tab.film()
    fitted = tab.zoom()
    assert fitted["s"] * WIDE <= fitted["wide"] + 1 and fitted["s"] * HIGH <= fitted["high"] + 1 and fitted["x"] >= -1 and fitted["y"] >= -1, "all of it"
    box = tab.page.locator("#stage").bounding_box()
    at = box["x"] + 300, box["y"] + 200
    tab.page.mouse.move(*at)
    tab.page.mouse.wheel(0, -400)
    tab.page.wait_for_function("s => Z.s > 1.3 * s", arg=fitted["s"])
    closer = tab.zoom()
    under = lambda z: ((300 - z["x"]) / z["s"], (200 - z["y"]) / z["s"])
    assert under(closer) == pytest.approx(under(fitted), abs=0.5)
    tab.page.mouse.down()
    tab.page.mouse.move(at[0] - 70, at[1] - 40, steps=4)
    tab.page.mouse.up()
    moved = tab.zoom()
    assert (moved["x"] - closer["x"], moved["y"] - closer["y"]) == pytest.approx((-70, -40), abs=1)
    tab.page.keyboard.press("ArrowRight")
    assert tab.zoom()["x"] < moved["x"]
    tab.page.keyboard.press("z")
    tab.says("#zoom", "100 %")
    tab.page.keyboard.press("+")
    tab.says("#zoom", "125 %")
    tab.page.keyboard.press("0")
    assert tab.zoom()["s"] == pytest.approx(fitted["s"])
    tab.end()


def test_two_fingers_zoom(audit, browser):
    tab = Viewer(browser, audit, viewport={"width": 390, "height": 844}, device_scale_factor=2, has_touch=True, is_mobile=True)
    tab.page.evaluate("document.getElementById('list').scrollIntoView()")
    tab.page.locator(".whole img").nth(1).tap()
    tab.there()
    fitted, box = tab.zoom(), tab.page.locator("#stage").bounding_box()
    client = tab.context.new_cdp_session(tab.page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for kind, apart in (("touchStart", 40), ("touchMove", 80), ("touchMove", 120)):
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x - apart / 2, "y": y, "id": 1}, {"x": x + apart / 2, "y": y, "id": 2}]})
    client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    tab.page.wait_for_function("s => Z.s > 2.5 * s", arg=fitted["s"])
    assert tab.zoom()["s"] == pytest.approx(3 * fitted["s"], rel=0.05)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390 and tab.page.locator("#v-close").is_visible()
    for button in tab.page.locator("#viewer button").all():
        place = button.bounding_box()
        assert place["x"] >= 0 and place["x"] + place["width"] <= 390 and place["y"] + place["height"] <= box["y"] + 1, "all controls are beside the film"
        assert button.evaluate("""button => { const box = button.getBoundingClientRect();
            return [2, box.width - 2].every(x => button.contains(document.elementFromPoint(box.x + x, box.y + box.height / 2))); }""")
    tab.shoot("viewer-phone")
    tab.end()


def test_a_box_opens_the_viewer_at_its_place_by_click_and_by_enter(audit, browser):
    tab = Viewer(browser, audit)
    row = manifest_files.read_manifest(audit / manifest_files.MANIFEST)[0]
    x1, y1, x2, y2 = row["boxes"][0]["xyxy"]
    for opened in (lambda: tab.page.locator(".crop img").first.click(), lambda: (tab.page.locator(".crop .look").first.focus(), tab.page.keyboard.press("Enter"))):
        opened()
        tab.there()
        z = tab.zoom()
        left, top, right, bottom = (edge * z["s"] + start for edge, start in ((x1, z["x"]), (y1, z["y"]), (x2, z["x"]), (y2, z["y"])))
        assert 0 <= left < right <= z["wide"] and 0 <= top < bottom <= z["high"] and right - left > z["wide"] / 4
        tab.says("#v-box", "1 of 1, removed")
        assert tab.page.locator("#outlines rect.here").count() == 1
        tab.page.keyboard.press("Escape")
    tab.end()


CORNERS = """image => { image.scrollIntoView({ block: 'center' }); const box = image.getBoundingClientRect();
  return [[1, 1], [box.width - 2, 1], [1, box.height - 2], [box.width - 2, box.height - 2]].every(([x, y]) =>
    document.elementFromPoint(box.x + x, box.y + y) === image) && getComputedStyle(image).borderRadius === '0px'; }"""


def test_nothing_covers_the_corners_of_a_picture(audit, browser):
    tab = Viewer(browser, audit)
    for view in ("Files", "Thumbnails", "Boxes"):
        tab.page.locator(".views label", has_text=view).click()
        tab.page.locator("main .cell img" if view != "Files" else "article img").first.wait_for()
        assert tab.page.evaluate(f"[...document.querySelectorAll('main img')].map({CORNERS})").count(True) == {"Files": 8, "Thumbnails": 2, "Boxes": 4}[view]
    tab.page.locator(".views label", has_text="Files").click()
    tab.film()
    tab.page.keyboard.press("o")
    free = tab.page.evaluate("""() => { const box = stage.getBoundingClientRect(); return [[1, 1], [box.width - 2, 1], [1, box.height - 2], [box.width - 2, box.height - 2]]
        .every(([x, y]) => stage.contains(document.elementFromPoint(box.x + x, box.y + y))); }""")
    assert free and not tab.page.locator("#outlines").is_visible()
    tab.end()


def test_a_held_file_marks_what_still_shows(tmp_path, browser):
    audit = audit_of(tmp_path, drawn(), detector=fakes.restless())
    [row] = manifest_files.read_manifest(audit / manifest_files.MANIFEST)
    tab = Viewer(browser, audit)
    tab.says(".tiles ~ p code", f"markerremover review {audit}")
    tab.page.locator(".box.held img").first.click()
    tab.there()
    tab.says("#v-box", "held for this: still found after removal")
    marked = tab.page.locator("#outlines rect.held.here").evaluate("rect => [rect.x, rect.y].map(v => v.baseVal.value)")
    assert marked == [row["held_for"][0]["xyxy"][0] - 2, row["held_for"][0]["xyxy"][1] - 2]
    tab.shoot("viewer-held")
    tab.page.keyboard.press("Escape")
    tab.page.locator("article h2 button").click()
    tab.says("#detail", f"To correct or release it: markerremover review {audit}")
    tab.end()


@pytest.mark.parametrize(("options", "limit", "note"), [
    ({"full_pictures_gb": 0.0}, None, "Only a small picture: full pictures are switched off"),
    ({"full_pictures_gb": 1e-7}, None, "Only a small picture: the 1e-07 GB for full pictures are used up"),
    ({"dry_run": True}, None, ""),
    ({}, 960, "Shown at 60 % of its size."),
    ({}, -800, ""),
], ids=["none wanted", "used up", "dry run", "larger than the limit", "equalised is smaller"])
def test_where_a_film_is_not_there_in_full_the_viewer_says_why_and_where_it_is(tmp_path, browser, monkeypatch, options, limit, note):
    if limit:
        monkeypatch.setattr(full_pictures, "LONGEST_PX" if limit > 0 else "EQUALISED_PX", abs(limit))
    audit = audit_of(tmp_path, drawn(), **options)
    tab = Viewer(browser, audit)
    tab.film()
    if note:
        tab.says("#v-note", note)
        tab.says("#v-note code", f"markerremover review {audit}")
    else:
        assert tab.page.locator("#v-note").inner_text() == ""
    whole = not note.startswith("Only")
    assert tab.page.locator("[data-look=equalised]").is_enabled() == whole
    wide = (WIDE if (limit or 0) <= 0 else limit) if whole else crops.THUMB_PX
    assert tab.page.locator("#layers [data-picture=after]").evaluate("image => image.naturalWidth") == wide
    if limit == -800:
        tab.page.keyboard.press("e")
        tab.says("#v-note", "Shown at 50 % of its size. All pixels: markerremover review")
    tab.shoot(f"viewer-{'whole' if whole else 'small'}")
    tab.end()


def test_pictures_that_were_deleted_are_said_to_be_missing(tmp_path, browser):
    audit = audit_of(tmp_path, drawn())
    for path in (audit / full_pictures.FOLDER).iterdir():
        path.unlink()
    audits.page(audit)
    tab = Viewer(browser, audit)
    tab.film()
    tab.says("#v-note", "Only a small picture: the full one is not in the audit folder")
    tab.end()


def row_with(**fields) -> dict:
    return next(audits.rows(1)) | fields


def paged(folder: Path, rows: list[dict]) -> Path:
    manifest_files.write_page(folder, rows, audits.summary(rows, folder))
    return folder


def test_boxes_of_one_place_are_one_entry_with_the_others_in_it(tmp_path, browser):
    one = next(audits.rows(1))["boxes"][0] | {"action": "remove", "reason": "no reading"}
    places = [(100, 100, 400, 160), (104, 98, 402, 158), (110, 110, 180, 150), (900, 900, 960, 940)]
    row = row_with(boxes=[one | {"xyxy": list(xyxy), "score": score} for xyxy, score in zip(places, (0.8, 0.9, 0.7, 0.95))] +
                   [one | {"xyxy": [120, 110, 150, 150], "action": "keep", "reason": "isolated laterality marker"}], crops=[])
    tab = Audit(browser, paged(tmp_path, [row]))
    assert tab.page.locator("article .boxes > .box").count() == 3, "the plate, the other annotation, and the marker that is retained"
    assert tab.page.locator("article .box details summary").all_inner_texts() == ["2 more boxes of this place"]
    tab.page.locator("article .box summary").click()
    sync_api.expect(tab.page.locator("article .box .box")).to_have_count(2)
    tab.page.locator(".views label", has_text="Boxes").click()
    tab.shown("5 boxes in 1 of 1 file, at 3 places")
    assert tab.page.locator(".cell").count() == 3
    tab.page.evaluate("location.hash = 'view=boxes&score-to=0.75&action=remove'")
    tab.shown("1 box in 1 of 1 file")
    tab.end()


def test_notes_and_flags_show_and_can_be_searched(tmp_path, browser):
    names = ["upside down", "<b>low contrast</b>"]
    rows = [row_with(relative="a.dcm", notes=["PatientComments (0010,4000): removed <i>"], quality=names),
            row_with(relative="b.dcm", notes=[f"element {i}: removed" for i in range(5)]), row_with(relative="c.dcm", quality=names[:1]), row_with(relative="d.dcm")]
    tab = Audit(browser, paged(tmp_path, json.loads(json.dumps(rows))))
    card = tab.page.locator("article").first
    assert card.locator(".chip").all_inner_texts() == names and card.locator(".notes li").all_inner_texts() == rows[0]["notes"]
    assert tab.page.locator("article").nth(1).locator("summary", has_text="5 notes").count() == 1
    assert tab.page.locator("article").nth(3).locator(".chip, .notes").count() == 0
    tab.page.locator("[name=text]").fill("patientcomments")
    tab.shown("1 of 4 files")
    tab.page.locator("[name=text]").fill("upside")
    tab.shown("2 of 4 files")
    tab.page.locator("#clear").click()
    tab.page.locator(".chip", has_text="low contrast").click()
    tab.shown("1 of 4 files")
    tab.addressed(flag=names[1])
    tab.page.evaluate("location.hash = 'noted=notes'")
    tab.shown("2 of 4 files")
    tab.end()


def test_a_frame_that_is_not_among_the_full_pictures_shows_small_with_the_reason(tmp_path, browser):
    box = next(audits.rows(1))["boxes"][0]
    rows = [row_with(shape=[9, HIGH, WIDE], boxes=[box, box | {"frame": 7}], full_pictures={"frame": 0, "scale": 1.0, "missing": ""})]
    rows[0]["boxes"][1]["xyxy"] = [900, 900, 960, 940]
    audits.pictures(tmp_path, rows)
    rows[0]["crops"] = rows[0]["crops"][:2]
    tab = Viewer(browser, paged(tmp_path, rows))
    tab.page.locator(".crop img").nth(3).click()
    tab.says("#v-note", "This box is in frame 7; the full picture is of frame 0. All pixels: markerremover review")
    assert tab.page.locator("[data-look=equalised]").is_disabled()
    tab.page.keyboard.press("0")
    tab.says("#v-note", "Frame 0 of 0 to 8.")
    tab.end()


def test_the_pixels_of_a_picture_beside_the_page_cannot_be_read_by_its_script(audit, browser):
    """The reason for the equalised picture in the audit."""
    tab = Viewer(browser, audit)
    tab.film()
    told = tab.page.evaluate("""() => { const canvas = document.createElement('canvas').getContext('2d'); canvas.drawImage(layer.after, 0, 0);
        try { canvas.getImageData(0, 0, 1, 1); return 'read'; } catch (error) { return error.name; } }""")
    assert told == "SecurityError"
    tab.end()
