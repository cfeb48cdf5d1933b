import hashlib
import json

import cv2
import numpy as np
import pytest

from markerremover.detection import localizer, views
from markerremover.errors import HeldError, UsageError, WeightsError
from markerremover.inference import session as batching
from markerremover.inference.weights_card import read_card

CARD = {"classes": ["laterality", "marker"], "image_size": 64, "threshold": 0.25, "sha256": "0" * 64}


def raw(*rows):
    """Network output (6, N) from rows of cx, cy, w, h, laterality, marker."""
    return np.array(rows, np.float32).reshape(-1, 6).T


def detector(answer, **card):
    seen = []

    def session(picture):
        seen.append(picture)
        return answer(picture) if callable(answer) else answer

    return localizer.Detector(session, {**CARD, **card}, "fake"), seen


def test_boxes_come_back_in_source_pixels_of_a_letterboxed_image():
    found, seen = detector(raw([32, 32, 16, 8, 0.1, 0.9]))
    result = found(np.zeros((100, 200), np.uint8))
    assert seen[0].shape == (64, 64) and seen[0].dtype == np.uint8
    assert np.allclose(result.xyxy, [[75, 37.5, 125, 62.5]]) and result.class_ids.tolist() == [1]
    assert np.allclose(result.scores, [0.9])


def test_the_threshold_of_the_card_counts_unless_another_is_given():
    found, _ = detector(raw([32, 32, 8, 8, 0, 0.2]))
    assert len(found(np.zeros((64, 64), np.uint8))) == 0
    assert len(found(np.zeros((64, 64), np.uint8), threshold=0.15)) == 1


def test_nothing_found_is_empty_arrays_not_an_error():
    found, _ = detector(raw())
    assert found(np.zeros((64, 64), np.uint8)).xyxy.shape == (0, 4)


def test_suppression_is_across_classes():
    found, _ = detector(raw([32, 32, 20, 20, 0.8, 0.1], [32, 33, 20, 20, 0.1, 0.7], [10, 10, 6, 6, 0.5, 0]))
    assert found(np.zeros((64, 64), np.uint8)).scores.tolist() == pytest.approx([0.8, 0.5])


def test_large_images_are_seen_whole_and_in_overlapping_tiles_that_map_back():
    def bright_spot(picture):
        ys, xs = np.nonzero(picture == 255)
        return raw([xs.mean() + 0.5, ys.mean() + 0.5, np.ptp(xs) + 1, np.ptp(ys) + 1, 0, 0.9]) if len(xs) else raw()

    image = np.zeros((200, 256), np.uint8)
    image[150:156, 200:212] = 255
    found, seen = detector(bright_spot, tiling={"above": 128, "scales": [256], "overlap": 16})
    result = found(image)
    assert len(seen) > 4
    assert (np.abs(result.xyxy - [200, 150, 212, 156]).max(axis=1) <= 4).any()


def test_tiles_cover_the_image_at_every_scale():
    tiling = views.Tiling(above=100, scales=(200, 400), overlap=16)
    for view in views.views((400, 300), 100, tiling)[1:]:
        x1, y1, x2, y2 = view.window
        assert (x2 - x1) * view.scale <= 100.5 and (y2 - y1) * view.scale <= 100.5
    assert len(views.views((90, 90), 100, tiling)) == 1


@pytest.mark.parametrize("shape_hw", [(200, 256), (256, 200), (256, 256), (300, 90), (2500, 300)])
def test_a_network_that_takes_wide_pictures_sees_large_images_closer_at_once(shape_hw):
    h, w = shape_hw
    scale = min(1.0, 256 / max(shape_hw))
    high, wide = round(6 / scale), round(12 / scale)
    image = np.zeros(shape_hw, np.uint8)
    image[h - 50 - high : h - 50, w - 5 - wide : w - 5] = 255

    def bright_spot(picture):
        ys, xs = np.nonzero(picture > 200)
        return raw([xs.mean() + 0.5, ys.mean() + 0.5, np.ptp(xs) + 1, np.ptp(ys) + 1, 0, 0.9]) if len(xs) else raw()

    found, seen = detector(bright_spot, tiling={"above": 128, "scales": [256], "overlap": 16})
    found._session = batching.Session(lambda pictures: [found_in(picture) for picture in pictures], wide=True)
    found_in = lambda picture: seen.append(picture) or bright_spot(picture)  # noqa: E731
    result = found(image)
    assert len(seen) == 2 and seen[0].shape == (64, 64)
    assert all(side % views.STEP == 0 for side in seen[1].shape) and max(seen[1].shape) == 256
    assert min(seen[1].shape) - min(shape_hw) * scale < views.STEP
    assert (np.abs(result.xyxy - [w - 5 - wide, h - 50 - high, w - 5, h - 50]).max(axis=1) <= 2 / scale).any()
    assert [view.window for view in found.views(shape_hw)] == [(0, 0, w, h)] * 2


def test_a_detector_can_be_made_to_see_as_those_that_take_squares_only():
    def run(pictures):
        return [raw([32, 32, 16, 8, 0.1, 0.9])] * len(pictures)

    wide = localizer.Detector(batching.Session(run, wide=True), {**CARD, "tiling": {"above": 128, "scales": [256], "overlap": 16}}, "fake")
    tiled = wide.in_tiles()
    assert wide.wide and not tiled.wide and not tiled.in_tiles().wide
    assert len(wide.views((200, 256))) == 2 and len(tiled.views((200, 256))) > 4 and len(tiled(np.zeros((200, 256), np.uint8))) > 4
    small = np.zeros((100, 64), np.uint8)
    assert (wide(small).xyxy == tiled(small).xyxy).all() and (tiled.near(small, np.array([[20, 20, 40, 40]])).xyxy == wide.near(small, np.array([[20, 20, 40, 40]])).xyxy).all()


def test_images_are_never_enlarged_for_a_closer_look():
    assert all(v.scale <= 1 for v in views.views((300, 200), 100, views.Tiling(above=0, scales=(800,))))


def test_small_images_are_seen_enlarged_too_if_the_card_says_so():
    tiling = views.Tiling(above=500, scales=(400,), below=200, enlarged=256)
    assert [view.scale for view in views.views((150, 100), 128, tiling, wide=True)] == [128 / 150, 256 / 150]
    assert [len(views.views(shape_hw, 128, tiling, wide=True)) for shape_hw in ((200, 100), (499, 400), (500, 400))] == [1, 1, 2]
    assert all((view.window[2] - view.window[0]) * view.scale <= 128.5 for view in views.views((150, 100), 128, tiling)[1:]), "in tiles"
    plain = {"above": 500, "scales": [400], "overlap": 16}
    card = {**CARD, "tiling": {**plain, "below": 200, "enlarged": 256}, "text_detector": {"file": "text_detector.onnx"}}
    assert views.fast(card) == {**CARD, "tiling": plain} and views.fast(CARD) == CARD


@pytest.mark.parametrize("bad", [np.zeros((0, 5), np.uint8), np.zeros((5, 5), np.uint16), np.zeros((5, 5, 3), np.uint8)])
def test_a_display_of_wrong_shape_or_dtype_is_refused(bad):
    found, _ = detector(raw())
    with pytest.raises(UsageError):
        found(bad)


def test_the_input_is_never_written_to():
    image = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    before = image.copy()
    detector(raw([32, 32, 16, 8, 0.1, 0.9]))[0](image)
    assert (image == before).all()


def test_weights_without_card_with_a_lacking_card_or_with_another_hash_are_refused(tmp_path):
    onnx = tmp_path / "w.onnx"
    with pytest.raises(WeightsError):
        read_card(onnx)
    onnx.write_bytes(b"weights")
    with pytest.raises(WeightsError, match="card"):
        read_card(onnx)
    onnx.with_suffix(".json").write_text("{}")
    with pytest.raises(WeightsError, match="lacks"):
        read_card(onnx)
    onnx.with_suffix(".json").write_text(json.dumps(CARD))
    with pytest.raises(WeightsError, match="SHA-256"):
        read_card(onnx)
    good = {**CARD, "sha256": hashlib.sha256(b"weights").hexdigest()}
    onnx.with_suffix(".json").write_text(json.dumps(good))
    assert read_card(onnx)["image_size"] == 64


def test_an_unknown_device_is_wrong_use():
    with pytest.raises(UsageError, match="device"):
        localizer.load_detector(device="tpu")


def spot_finder(picture):
    """A session that reports every patch of pure white, in network pixels."""
    count, _, stats, _ = cv2.connectedComponentsWithStats((picture == 255).astype(np.uint8))
    return raw(*[[x + w / 2, y + h / 2, w, h, 0, 0.9] for x, y, w, h, _ in stats[1:]])


def test_a_look_near_some_boxes_sees_what_is_there_and_nothing_far_away():
    image = np.zeros((1000, 800), np.uint8)
    image[500:510, 400:430] = image[60:70, 60:90] = 255
    found = localizer.Detector(spot_finder, {**CARD, "image_size": 1000}, "fake")
    near = found.near(image, np.array([[405, 515, 425, 525]]))
    assert near.xyxy.tolist() == [[400, 500, 430, 510]]
    assert len(found.near(image, np.zeros((0, 4)))) == 0


@pytest.mark.parametrize("shape_hw", [(1000, 800), (200, 200), (3000, 500)])
def test_windows_around_boxes_hold_each_of_them_and_stay_in_the_image(shape_hw):
    h, w = shape_hw
    boxes_ = np.array([[0, 0, 50, 20], [60, 10, 90, 30], [w - 40, h - 60, w, h], [0, h // 2, w, h // 2 + 30]])
    seen = np.zeros(shape_hw, bool)
    for view in views.windows_around(boxes_, shape_hw, 0.7):
        x1, y1, x2, y2 = view.window
        assert 0 <= x1 < x2 <= w and 0 <= y1 < y2 <= h and max(x2 - x1, y2 - y1) * 0.7 <= localizer.CLOSE_SIZE + 1
        seen[y1:y2, x1:x2] = True
    for x1, y1, x2, y2 in boxes_:
        assert seen[y1:y2, x1:x2].all()


def test_calibrated_scores_count_and_the_threshold_is_one_of_them():
    rows = raw([10, 10, 8, 8, 0.5, 0.1], [40, 40, 8, 8, 0.01, 0.2])
    found, _ = detector(rows, calibration={"laterality": {"slope": 1.0, "offset": -1.0}, "marker": {"slope": 1.0, "offset": -2.0}})
    result = found(np.zeros((64, 64), np.uint8), threshold=0.05)
    assert result.scores.tolist() == pytest.approx([1 / (1 + np.e)], abs=1e-5)
    assert found(np.zeros((64, 64), np.uint8), threshold=0.02).scores.tolist() == pytest.approx([1 / (1 + np.e), 1 / (1 + 4 * np.e**2)], abs=1e-5)
    assert len(found(np.zeros((64, 64), np.uint8), threshold=0.3)) == 0


@pytest.mark.parametrize("answer", ["all nan", "a box of nan", "infinite score", "other classes"])
def test_an_answer_that_is_no_finite_boxes_is_not_taken_for_nothing_found(answer):
    rows = raw([10, 10, 8, 8, 0.5, 0.1])
    if answer == "all nan":
        rows = np.full_like(rows, np.nan)
    elif answer == "a box of nan":
        rows[:4, 0] = np.nan
    elif answer == "infinite score":
        rows[4, 0] = np.inf
    else:
        rows = rows[:5]
    found, _ = detector(rows)
    with pytest.raises(HeldError, match="finite"):
        found(np.zeros((64, 64), np.uint8))


def found_at(*rows):
    """Detections from rows of x1, y1, x2, y2, score."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    return localizer.Detections(table[:, :4], table[:, 4], np.zeros(len(table), np.int64))


def test_several_looks_at_one_frame_keep_the_best_box_of_each_marking():
    first = found_at([0, 0, 10, 10, 0.9], [50, 50, 60, 60, 0.4])
    second = found_at([50, 50, 60, 60, 0.8], [0, 0, 10, 11, 0.9], [30, 0, 40, 10, 0.3])
    kept = localizer.unite([first, second, found_at()])
    assert [d.xyxy[:, 0].tolist() for d in kept] == [[0], [50, 30], []]
    assert localizer.joined(kept).scores.tolist() == pytest.approx([0.9, 0.8, 0.3])
    assert localizer.unite([first])[0] is first and localizer.joined([first]) is first
    assert [len(d) for d in localizer.unite([found_at(), found_at()])] == [0, 0]
