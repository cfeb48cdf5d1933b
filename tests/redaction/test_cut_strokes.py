"""Strokes that a box's edge cuts are removed whole; what is no stroke of the box's kind is not followed."""

import cv2
import numpy as np
import pytest

from markerremover.records import Decision
from markerremover.redaction import decision_rules
from markerremover.redaction.cut_strokes import cut_strokes
from markerremover.second_pass import glyphs

GROUND, LEAD = 60, 210


def picture(seed=0):
    rng = np.random.default_rng(seed)
    return np.clip(GROUND + np.linspace(-15, 15, 260)[None] + rng.normal(0, 2, (220, 260)), 0, 255).astype(np.uint8)


def put(frame, char, height, x, y, value=LEAD):
    mask = glyphs.draw(char, thick=1.2)
    mask = cv2.resize(mask.astype(np.float32), (round(mask.shape[1] * height / mask.shape[0]), height), interpolation=cv2.INTER_AREA) > 0.5
    frame[y : y + height, x : x + mask.shape[1]][mask] = value
    whole = np.zeros(frame.shape, bool)
    whole[y : y + height, x : x + mask.shape[1]] = mask
    return whole


def soften(frame):
    return cv2.GaussianBlur(frame, (0, 0), 0.8)


def removed(xyxy):
    return Decision(0, xyxy, "remove", "no laterality marker to retain", 0.9, "marker")


def black(frame, decisions):
    mask = np.zeros(frame.shape, bool)
    for d in decisions:
        x1, y1, x2, y2 = d.xyxy
        mask[y1:y2, x1:x2] = True
    return mask


def test_a_letter_in_the_middle_of_which_a_box_ends_goes_whole():
    frame = picture()
    put(frame, "A", 30, 80, 80)
    last = put(frame, "B", 30, 112, 80)
    box = removed((74, 74, 122, 116))
    more = cut_strokes(soften(frame), [box], 0)
    assert {d.action for d in more} == {"remove"} and {d.reason for d in more} == {decision_rules.CUT}
    assert black(frame, [box, *more])[cv2.dilate(last.astype(np.uint8), np.ones((3, 3))) > 0].all()


def test_an_initial_that_the_box_of_a_kept_sign_cuts_goes_and_the_sign_stays():
    frame = picture()
    marker = put(frame, "R", 60, 90, 60)
    initial = put(frame, "V", 16, 100, 126, LEAD - 40)
    strokes = cv2.dilate(marker.astype(np.uint8), np.ones((3, 3))) > 0
    region = (84, 54, 140, 130)
    kept = Decision(0, region, "keep", decision_rules.KEPT, 0.9, "laterality", strokes=strokes[54:130, 84:140])
    more = cut_strokes(soften(frame), [kept], 0)
    gone = black(frame, more)
    assert (gone | black(frame, [kept]))[initial].all() and not gone[marker].any() and gone.sum() < 600


@pytest.mark.parametrize("what", ["catheter", "soft blob", "nothing", "bone"])
def test_what_is_not_print_is_not_followed(what):
    frame = picture()
    put(frame, "A", 30, 80, 80)
    put(frame, "B", 30, 112, 80)
    if what == "catheter":
        cv2.line(frame, (60, 112), (259, 104), LEAD, 3)
    if what == "bone":
        cv2.rectangle(frame, (134, 60), (200, 200), LEAD - 20, -1)
    frame = soften(frame)
    if what == "soft blob":
        blob = np.zeros(frame.shape, np.float32)
        cv2.circle(blob, (142, 96), 9, 120, -1)
        frame = np.clip(frame + cv2.GaussianBlur(blob, (0, 0), 6), 0, 255).astype(np.uint8)
    assert cut_strokes(frame, [removed((74, 74, 137, 116))], 0) == []


def test_other_frames_and_empty_boxes_do_not_matter():
    frame = picture()
    put(frame, "B", 30, 112, 80)
    other = Decision(1, (74, 74, 122, 116), "remove", "no laterality marker to retain", 0.9, "marker")
    assert cut_strokes(soften(frame), [other, removed((10, 10, 12, 11))], 0) == []


def test_a_box_around_all_of_the_picture_cuts_nothing():
    frame = picture()[80:110, 100:140].copy()
    put(frame, "B", 20, 5, 5)
    assert cut_strokes(soften(frame), [removed((0, 0, 40, 30))], 0) == []


def test_neighbouring_boxes_that_share_a_letter_explain_it():
    frame = picture()
    put(frame, "B", 30, 112, 80)
    both = [removed((100, 74, 122, 116)), removed((118, 74, 140, 116))]
    assert cut_strokes(soften(frame), both, 0) == []
