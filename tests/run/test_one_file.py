from __future__ import annotations

import os
from pathlib import Path

import dicom_files
import fakes
import numpy as np
import pytest

from markerremover.audit import crops
from markerremover.errors import UsageError
from markerremover.options import RunOptions
from markerremover.records import Detections, Policy, Radiograph
from markerremover.redaction.cleaning import Cleaner, clean_radiograph
from markerremover.run import one_file
from markerremover.run.one_file import process_file
from markerremover.system.files import sha256_file

x1, y1, x2, y2 = fakes.NAME_BOX


def as_radiograph(stored: np.ndarray, fill=(0,)) -> Radiograph:
    display = stored if stored.dtype == np.uint8 else (stored >> 8).astype(np.uint8)
    return Radiograph(stored, display, fill, Path("x"), "PNG")


@pytest.fixture
def place(tmp_path):
    (tmp_path / "out").mkdir()
    for name in ("tmp", "crops"):
        (tmp_path / "audit" / name).mkdir(parents=True)
    return tmp_path / "out", tmp_path / "audit"


def test_a_marking_goes_black_and_the_rest_stays():
    stored = fakes.radiograph(1)[None]
    before = stored.copy()
    cleaned = clean_radiograph(as_radiograph(stored), fakes.cleaner())
    (decision,) = cleaned.decisions
    left, top, right, bottom = decision.xyxy
    assert left < x1 and top < y1 and right > x2 and bottom > y2  # the margin
    assert not cleaned.stored[0, top:bottom, left:right].any()
    assert (cleaned.stored != stored).sum() <= (bottom - top) * (right - left)
    assert np.array_equal(stored, before) and len(cleaned.detections[0]) == 1 and cleaned.doubt == ""


def test_the_fill_is_the_radiographs_own():
    stored = fakes.radiograph(1, dtype=np.uint16)[None]
    cleaned = clean_radiograph(as_radiograph(stored, (4095,)), fakes.cleaner())
    left, top, right, bottom = cleaned.decisions[0].xyxy
    assert (cleaned.stored[0, top:bottom, left:right] == 4095).all()


def test_without_markings_nothing_changes_and_no_second_look_is_needed():
    calls = []

    def counts(frame, threshold=None):
        calls.append(1)
        return fakes.find_nothing(frame)

    stored = fakes.radiograph(1, ())[None]
    cleaned = clean_radiograph(as_radiograph(stored), fakes.cleaner(detector=counts))
    assert np.array_equal(cleaned.stored, stored) and cleaned.decisions == () and len(calls) == 1


def test_every_stage_is_timed(place, tmp_path):
    out, audit = place
    source = fakes.put(tmp_path / "x.png", fakes.png(fakes.radiograph(1)))
    outcome = process_file(source, "sub/x.png", out, audit, fakes.cleaner(), fakes.NO_KEEP)
    assert outcome.status == "cleaned" and outcome.format == "PNG" and outcome.shape == (1, *fakes.SHAPE)
    assert set(outcome.timings_ms) == {"read", "triage", "detect", "second_pass", "verify", "redact", "crops", "write"}
    assert outcome.sha256_in == sha256_file(source) and outcome.sha256_out == sha256_file(out / "sub/x.png")
    assert {name for pair in outcome.crops for name in pair} | set(crops.thumb_names("sub/x.png")) == {p.name for p in (audit / "crops").iterdir()}


def test_keeping_signs_needs_a_reader():
    with pytest.raises(UsageError, match="reader"):
        Cleaner(fakes.find_nothing, None, Policy())


def test_colour_is_cleaned_in_every_channel(place, tmp_path):
    out, audit = place
    source = fakes.put(tmp_path / "x.png", fakes.png(np.repeat(fakes.radiograph(3)[..., None], 3, 2)))
    outcome = process_file(source, "x.png", out, audit, fakes.cleaner(), fakes.NO_KEEP)
    assert outcome.status == "cleaned" and not fakes.read(out / "x.png")[y1:y2, x1:x2].any()


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
@pytest.mark.parametrize("form", ["png", "dcm"])
def test_outputs_get_the_mode_of_any_new_file(place, tmp_path, mask, mode, form):
    if form == "dcm":
        source = dicom_files.save(tmp_path, dicom_files.random_stored())
    else:
        source = fakes.put(tmp_path / "a.png", fakes.png(fakes.radiograph(1)))
    before = os.umask(mask)
    try:
        outcome = process_file(source, f"a.{form}", *place, fakes.cleaner(), RunOptions(policy=Policy(keep=()), headers="keep"))
    finally:
        os.umask(before)
    assert outcome.sha256_out and (place[0] / f"a.{form}").stat().st_mode & 0o777 == mode


def test_crops_of_a_long_cine_are_limited_but_paired_with_decisions(tmp_path):
    before = np.stack([fakes.radiograph(i) for i in range(60)])
    cleaned = clean_radiograph(as_radiograph(before), fakes.cleaner())
    names = crops.draw(tmp_path, "x", before, cleaned.shown, cleaned.decisions)
    assert len(names) == len(cleaned.decisions) >= 60
    assert sum(pair != ("", "") for pair in names) == crops.MAX_CROPS and len(list(tmp_path.iterdir())) == 2 * crops.MAX_CROPS + 2


def test_method_fits_its_dicom_element():
    class Detector:
        sha256 = "f" * 64

    assert len(one_file.method(Detector())) <= 64 and "ffffffffffff" in one_file.method(Detector())


@pytest.mark.parametrize("score", [0.01, 0.2, 0.99])
@pytest.mark.parametrize("label", ["laterality", "marker"])
def test_every_box_that_is_not_a_kept_sign_goes_however_weak(score, label):
    """Doubt removes: a finding of the detector never stays because of its class or score."""
    found = Detections(np.array([[4, 4, 30, 24]], np.float32), np.array([score], np.float32), np.zeros(1, np.int64), (label,))
    frame = np.full((64, 64), 90, np.uint8)
    frame[10:20, 8:26] = 220
    cleaner = Cleaner(lambda display, threshold=None: found if display[15, 15] == 220 else Detections.empty((label,)), fakes.SilentReader(), Policy())
    cleaned = clean_radiograph(as_radiograph(frame[None]), cleaner)
    assert [d.action for d in cleaned.decisions] == ["remove"] and not cleaned.stored[0, 4:24, 4:30].any()


def with_two_views(first: np.ndarray, second: np.ndarray) -> Radiograph:
    """The stored values are the second view's, which shows what the first hides."""
    return Radiograph(second, first, (0,), Path("x"), "PNG", also=(second,))


def test_what_only_a_further_view_shows_is_removed_in_every_frame_and_looked_at_again():
    second = np.stack([fakes.radiograph(i) for i in (1, 2)])
    first, looks = np.minimum(second, 200), []

    def find(frame, threshold=None):
        looks.append(frame)
        return fakes.find_white(frame)

    cleaned = clean_radiograph(with_two_views(first, second), fakes.cleaner(detector=find))
    assert not cleaned.stored[:, y1:y2, x1:x2].any() and cleaned.doubt == ""
    assert {d.frame for d in cleaned.decisions} == {0, 1} and [len(d) for d in cleaned.detections] == [1, 1]
    assert len(looks) == 8  # two frames, two views, two looks


def test_what_the_second_look_still_finds_on_a_further_view_holds_the_file():
    second = fakes.radiograph(1)[None]
    find = fakes.restless()

    def restless_on_the_second(frame, threshold=None):
        return find(frame) if frame.max() > 200 or (frame == 201).any() else fakes.find_nothing(frame)

    second[0, 90, 120] = 201
    first = np.minimum(second, 200)
    assert clean_radiograph(with_two_views(first, second), fakes.cleaner(detector=restless_on_the_second)).doubt


def test_a_marking_that_both_views_show_is_one_finding_read_where_it_scores_best():
    first = fakes.radiograph(1)[None]
    second = first // 2 + 128

    def find(frame, threshold=None):
        found = fakes.find_white(frame)
        score = 0.95 if frame.min() >= 128 else 0.9
        return Detections(found.xyxy, np.full(len(found), score, np.float32), found.class_ids)

    cleaned = clean_radiograph(Radiograph(first, first, (0,), Path("x"), "PNG", also=(second,)), fakes.cleaner(detector=find))
    assert [len(d) for d in cleaned.detections] == [1] and cleaned.decisions[0].score == pytest.approx(0.95)
