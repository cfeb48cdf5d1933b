"""The text detector: what the network is shown, which regions come out, and what they are worth to the localizer."""

import hashlib

import numpy as np
import pytest

from markerremover.detection import box_choice, localizer, text_detector
from markerremover.detection import rescorer as rescoring
from markerremover.errors import HeldError, UsageError, WeightsError
from markerremover.inference.shipped_weights import weights_folder
from markerremover.options import EFFORTS, RunOptions
from markerremover.records import Detections
from markerremover.synthesis.marks import fonts

FACTS = {"file": "text_detector.onnx", "sha256": "3" * 64, "side": 160}
BORDER = text_detector.BORDER
FACE = next(f for f in fonts.font_files("train") if "DejaVuSans-Bold" in f)


def bright(pictures: list):
    """A network that takes what is bright for text, and remembers what it was shown."""

    def run(picture):
        pictures.append(picture)
        return (picture[:, :1] > 0.5).astype(np.float32)

    return run


@pytest.fixture(scope="module")
def shipped():
    return text_detector.of_card({"text_detector": text_detector.shipped_facts()}, weights_folder(), 2)


def test_the_network_is_shown_the_frame_with_a_border_in_sides_it_takes():
    pictures: list = []
    frame = np.full((256, 512), 51, np.uint8)
    made = text_detector.TextDetector(bright(pictures), FACTS)(frame)
    assert pictures[0].shape == (1, 3, 96, 160) and np.allclose(pictures[0], 51 / 127.5 - 1)
    assert made.probability.shape == (64, 128) and made.scale == (0.25, 0.25) and made.shape_hw == (256, 512)


def test_small_pictures_are_enlarged_twice_at_most():
    pictures: list = []
    made = text_detector.TextDetector(bright(pictures), FACTS)(np.zeros((20, 30), np.uint8))
    assert made.probability.shape == (40, 60) and pictures[0].shape == (1, 3, 96, 96)


@pytest.mark.parametrize("scale", [1, 4])
def test_regions_come_back_in_source_pixels_around_what_was_marked(scale):
    frame = np.zeros((100 * scale, 120 * scale), np.uint8)
    frame[40 * scale : 50 * scale, 20 * scale : 60 * scale] = 255
    frame[90 * scale :, 110 * scale :] = 255  # in the corner
    frame[10 * scale : 12 * scale, 10 * scale] = 255  # too small
    found = text_detector.TextDetector(bright([]), FACTS)(frame).regions() / scale
    middle, corner = sorted(found.tolist(), key=lambda box: box[0])
    reach = 1.2 * 400 / 96  # area / perimeter of the marked part
    assert middle == pytest.approx([20 - reach, 40 - reach, 60 + reach, 50 + reach], abs=1.2)
    assert corner[2:] == [120, 100] and len(found) == 2


def test_a_region_that_is_text_by_little_only_is_none():
    weak = text_detector.TextDetector(lambda picture: np.full((1, 1, *picture.shape[2:]), 0.35, np.float32), FACTS)(np.zeros((60, 60), np.uint8))
    assert not len(weak.regions())


def test_a_region_as_large_as_anatomy_is_none_and_a_long_line_is_one():
    frame = np.zeros((100, 120), np.uint8)
    frame[10:20, 2:118] = 255
    frame[40:90, 20:100] = 255
    found = text_detector.TextDetector(bright([]), FACTS)(frame).regions()
    assert len(found) == 1 and found[0][3] < 30


def test_boxes_have_the_greatest_probability_within_them():
    probability = np.zeros((50, 60), np.float32)
    probability[10, 20] = 0.8
    made = text_detector.TextMap(probability, (0.5, 0.5), (100, 120))
    xyxy = np.array([[36, 16, 48, 30], [0, 0, 30, 30], [40.2, 20.2, 40.4, 20.4], [-50, -50, -20, -20], [300, 300, 320, 320]], float)
    assert made.at(xyxy) == pytest.approx([0.8, 0, 0.8, 0, 0]) and made.at(np.zeros((0, 4))).shape == (0,)


def test_a_line_whose_parts_the_localizer_has_is_no_further_box():
    probability = np.zeros((40, 100), np.float32)
    probability[10:20, 10:30] = probability[10:20, 50:90] = 0.9
    probability[14, 30:50] = 0.9  # one line
    made = text_detector.TextMap(probability, (0.5, 0.5), (80, 200))
    (line,) = made.regions().tolist()
    letter, word, half = [16.0, 16, 72, 44], [96.0, 16, 184, 44], [96.0, 16, 140, 44]
    assert made.explained(np.array([letter, word, line]), np.array([0.9, 0.8, 0.8])).tolist() == [False, False, True]
    assert not made.explained(np.array([letter, half, line]), np.array([0.9, 0.9, 0.8])).any(), "a part is in no box"
    assert not made.explained(np.array([letter, word, line]), np.array([0.9, 0.7, 0.8])).any(), "a part is in a box that is less sure"
    assert made.explained(np.zeros((0, 4)), np.zeros(0)).shape == (0,)


def test_a_character_at_the_end_of_a_long_line_is_never_explained_away():
    probability = np.zeros((40, 300), np.float32)
    probability[10:20, 10:290] = 0.9
    made = text_detector.TextMap(probability, (1.0, 1.0), (40, 300))
    (line,) = made.regions().tolist()
    for end, is_explained in ((288, True), (282, False), (260, False)):  # of 280 px of text 2, 8 and 30 are left
        assert made.explained(np.array([[5.0, 5, end, 25], line]), np.array([0.9, 0.8])).tolist() == [False, is_explained]


@pytest.mark.parametrize("answer", [np.full((1, 1, 96, 96), np.nan, np.float32), np.zeros((1, 1, 95, 96), np.float32), np.zeros(3, np.float32)])
def test_an_answer_that_is_no_probability_for_each_pixel_holds_the_image(answer):
    with pytest.raises(HeldError):
        text_detector.TextDetector(lambda picture: answer, FACTS)(np.zeros((30, 30), np.uint8))


def test_the_shipped_one_finds_print_in_the_middle_and_at_the_edge_and_nothing_on_plain_ground(shipped):
    frame = np.random.default_rng(0).normal(70, 4, (600, 500))
    places = []
    for text, x, y, cap in (("MEYER ANNA", 100, 200, 18), ("12.03.1987", 2, 560, 14), ("R", 420, 60, 40)):
        alpha = fonts.render(text, FACE, cap)
        part = frame[y : y + alpha.shape[0], x : x + alpha.shape[1]]
        part += alpha * (220 - part)
        places.append((x, y, x + alpha.shape[1], y + alpha.shape[0]))
    made = shipped(np.clip(frame, 0, 255).astype(np.uint8))
    regions = made.regions()
    assert len(regions) == 3 and (made.at(np.array(places, float)) > 0.5).all()
    for place in places:
        assert min(np.abs(np.array(place) - region).max() for region in regions) < 12
    assert not len(shipped(np.clip(np.random.default_rng(1).normal(70, 4, (400, 400)), 0, 255).astype(np.uint8)).regions())


def test_both_libraries_give_the_same(shipped):
    other = text_detector.of_card({"text_detector": text_detector.shipped_facts()}, weights_folder(), 1, "onnxruntime")
    frame = np.random.default_rng(2).integers(0, 255, (300, 420), np.uint8)
    assert np.abs(shipped(frame).probability - other(frame).probability).max() < 1e-3


def test_effort_leaves_it_out_or_shows_it_a_larger_picture_and_a_row_tells_which(tmp_path):
    fast, default, thorough = (localizer.load_detector(device="cpu", threads=1, effort=effort) for effort in EFFORTS)
    assert fast.text is None and default.text.sha256 not in fast.sha256 and default.text.sha256 in default.sha256
    assert (default.text.side, thorough.text.side) == (default.card["text_detector"]["side"], text_detector.THOROUGH_SIDE)
    assert default.text.side == text_detector.SIDE < thorough.text.side
    frame = np.random.default_rng(3).integers(0, 90, (200, 200), np.uint8)
    assert all(detector(frame).xyxy.shape[1] == 4 for detector in (fast, default, thorough))
    hashes = {RunOptions(effort=effort).settings_sha256() for effort in EFFORTS}
    assert len(hashes) == 3 and RunOptions().settings_sha256() in hashes
    with pytest.raises(UsageError, match="effort is 'most', allowed are fast, default, thorough"):
        RunOptions(effort="most")


def test_a_card_without_one_a_lacking_card_and_a_damaged_file(tmp_path):
    assert text_detector.of_card({}, tmp_path) is None
    with pytest.raises(WeightsError, match="lacks side"):
        text_detector.of_card({"text_detector": {"file": "a.onnx", "sha256": "0"}}, tmp_path)
    (tmp_path / "a.onnx").write_bytes(b"no network")
    facts = {"file": "a.onnx", "sha256": hashlib.sha256(b"no network").hexdigest(), "side": 704}
    for runtime in ("openvino", "onnxruntime"):
        with pytest.raises(WeightsError, match="cannot be opened"):
            text_detector.of_card({"text_detector": facts}, tmp_path, runtime=runtime)


def test_regions_are_candidates_behind_the_localizers_unless_it_has_the_same():
    found = Detections(np.array([[10, 10, 50, 30]], np.float32), np.array([0.4], np.float32), np.array([1]), ("laterality", "marker"))
    regions = np.array([[9, 9, 51, 31], [100, 100, 180, 120], [200, 200, 220, 228]], float)  # the same, a word, a letter
    result = box_choice.with_regions(found, regions, 0.01)
    assert result.xyxy.tolist() == [[10, 10, 50, 30], [100, 100, 180, 120], [200, 200, 220, 228]]
    assert result.scores.tolist() == pytest.approx([0.4, 0.01, 0.01]) and result.class_ids.tolist() == [1, 1, 0]
    assert len(box_choice.with_regions(Detections.empty(("laterality", "marker")), np.zeros((0, 4)), 0.01)) == 0


def test_print_that_the_localizer_does_not_see_is_found_if_the_second_network_agrees():
    frame = np.zeros((64, 64), np.uint8)
    frame[22:27, 10:40] = frame[52:57, 10:40] = 255
    card = {"classes": ["laterality", "marker"], "image_size": 64, "threshold": 0.5, "sha256": "1" * 64, "text_detector": FACTS, "rescorer": {
        "file": "rescorer.onnx", "sha256": "0" * 64, "floor": 0.01, "localizer": 0.5, "rescorer": 1.0, "offset": 0.0,
        "with_text": {"localizer": 0.0, "rescorer": 1.0, "text": 1.0, "offset": -4.0}}}
    nothing = np.zeros((6, 0), np.float32)
    only_upper = rescoring.Rescorer(lambda batch: np.array([3.0, -9.0]), card["rescorer"])
    text = text_detector.TextDetector(bright([]), FACTS)
    found = localizer.Detector(lambda picture: nothing, card, "fake", rescorer=only_upper, text=text)(frame)
    assert len(found) == 1 and found.class_names[found.class_ids[0]] == "marker" and found.xyxy[0][1] < 22 < 27 < found.xyxy[0][3]
    without = {**card, "rescorer": {key: value for key, value in card["rescorer"].items() if key != "with_text"}}
    with pytest.raises(WeightsError, match="with_text"):
        localizer.Detector(lambda picture: nothing, without, "fake", rescorer=rescoring.Rescorer(lambda batch: np.zeros(len(batch)), without["rescorer"]), text=text)
    alone = localizer.Detector(lambda picture: nothing, {**card, "rescorer": None}, "fake", text=text)
    assert len(alone.candidates(frame, 0.01)[0]) == 2, "candidates to teach a rescorer on"
    with pytest.raises(WeightsError, match="no rescorer"):
        alone(frame)
    with pytest.raises(WeightsError, match="text_detector"):
        localizer.Detector(lambda picture: nothing, card, "fake", rescorer=only_upper)
