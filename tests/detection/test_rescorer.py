"""The second network: what it is shown, how its score joins the localizer's, and that nothing passes when it fails."""

import hashlib
import json

import numpy as np
import pytest

from markerremover import boxes
from markerremover.detection import box_choice, localizer
from markerremover.detection import rescorer as rescore
from markerremover.detection.operating_point import sigmoid
from markerremover.errors import HeldError, UsageError, WeightsError
from markerremover.inference.shipped_weights import default_weights

FACTS = {"file": "rescorer.onnx", "sha256": "0" * 64, "floor": 0.01, "localizer": 0.5, "rescorer": 2.0, "offset": -1.0}
CARD = {"classes": ["laterality", "marker"], "image_size": 64, "threshold": 0.5, "sha256": "1" * 64}


def rescorer(answer, **facts):
    return rescore.Rescorer(lambda batch: np.array([answer(pair) for pair in batch]), {**FACTS, **facts})


def raw(*rows):
    return np.array(rows, np.float32).reshape(-1, 6).T


def test_windows_show_the_box_in_the_middle_close_and_wide():
    frame = np.zeros((300, 400), np.uint8)
    frame[100:120, 200:240] = 200
    close, wide, box = rescore.windows(frame, np.array([[200.0, 100.0, 240.0, 120.0]]))[0]
    assert set(np.unique(box)) == {0, 255} and ((box > 0) == (close > 100)).mean() > 0.97
    for window, context in ((close, rescore.CONTEXT[0]), (wide, rescore.CONTEXT[1])):
        ys, xs = np.nonzero(window > 100)
        assert abs(xs.mean() - rescore.SIDE / 2 + 0.5) < 1 and abs(ys.mean() - rescore.SIDE / 2 + 0.5) < 1
        assert np.ptp(xs) + 1 == pytest.approx(rescore.SIDE / context, abs=2)
        assert np.ptp(ys) + 1 == pytest.approx(rescore.SIDE / context / 2, abs=2)


@pytest.mark.parametrize("box", [(-20, -30, 5, 5), (395, 295, 430, 330), (0, 0, 400, 300), (10, 10, 10.5, 10.2), (399, 299, 400, 300)])
def test_windows_at_and_over_the_edge_are_filled_with_what_is_there(box):
    frame = np.full((300, 400), 77, np.uint8)
    shown = rescore.windows(frame, np.array([box], float))[0]
    assert (shown[:2] == 77).all() and shown[2].any()


def test_a_line_of_print_and_a_square_around_it_differ_in_where_the_box_is_only():
    frame = np.zeros((300, 400), np.uint8)
    frame[140:160, 100:200] = 200
    line, square = rescore.windows(frame, np.array([[100.0, 140.0, 200.0, 160.0], [100.0, 100.0, 200.0, 200.0]]))
    assert (line[:2] == square[:2]).all() and np.count_nonzero(square[2]) == pytest.approx(5 * np.count_nonzero(line[2]), rel=0.1)


def test_thin_lines_do_not_vanish_from_windows_of_large_boxes():
    frame = np.zeros((900, 900), np.uint8)
    frame[:, ::30] = 250
    window = rescore.windows(frame, np.array([[100.0, 100.0, 800.0, 800.0]]))[0, 0]
    assert window.std() > 3 and abs(window.mean() - frame.mean()) < 3


def test_both_scores_make_one():
    joint = rescorer(lambda pair: 3.0)(np.zeros((100, 100), np.uint8), np.array([[1, 1, 9, 9.0]]), np.array([0.5]))
    assert joint == pytest.approx(sigmoid(0.5 * 0 + 2.0 * 3.0 - 1.0))


def test_a_text_detector_makes_it_three_with_weights_of_their_own():
    weights = {"localizer": 0.25, "rescorer": 1.0, "text": 0.5, "offset": 0.5}
    joint = rescorer(lambda pair: 3.0, with_text=weights)
    frame, xyxy, scores = np.zeros((100, 100), np.uint8), np.array([[1, 1, 9, 9.0]] * 3), np.full(3, 0.5)
    texts = np.array([0.5, 1.0, 0.0])
    sure = np.log(0.99 / 0.01)  # its probabilities are never taken for certainties
    assert joint(frame, xyxy, scores, texts) == pytest.approx(sigmoid(np.array([5.0, 3.5 + 0.5 * sure, 5.0]))), "what is no text loses nothing"
    assert joint(frame, xyxy, scores) == pytest.approx(sigmoid(np.full(3, 5.0))) and joint.takes_text
    assert not rescorer(lambda pair: 3.0).takes_text


def test_a_box_larger_than_annotations_are_must_be_surer_unless_there_is_text_in_it():
    frame, scores = np.zeros((100, 200), np.uint8), np.full(3, 0.5)
    xyxy = np.array([[0, 0, 26, 90], [0, 0, 52, 90], [0, 0, 90, 52.0]])
    assert rescore.size_cost(xyxy, frame.shape) == pytest.approx([0, rescore.LARGE_COST, rescore.LARGE_COST])
    assert rescorer(lambda pair: 3.0)(frame, xyxy, scores) == pytest.approx(sigmoid(np.full(3, 5.0))), "no text detector looked"
    joint = rescorer(lambda pair: 3.0, with_text={"localizer": 0.5, "rescorer": 2.0, "text": 0.0, "offset": -1.0})
    assert joint(frame, xyxy, scores, np.array([0.0, 0.5, 0.95])) == pytest.approx(sigmoid(5.0 - rescore.LARGE_COST * np.array([0, 1, 0])))


def test_more_boxes_than_one_batch_keep_their_order():
    frame = np.tile(np.arange(200, dtype=np.uint8), (40, 1))
    xyxy = np.array([[x, 10, x + 8, 20.0] for x in range(2, 182)])
    logits = rescorer(lambda pair: pair[0].mean())(frame, xyxy, np.full(len(xyxy), 0.5))
    assert len(logits) == 180 and (np.diff(logits) > 0).all()


@pytest.mark.parametrize("answer", [np.array([np.nan, 1.0]), np.array([1.0]), np.ones((2, 2))])
def test_an_answer_that_is_not_a_number_for_each_box_holds_the_image(answer):
    broken = rescore.Rescorer(lambda batch: answer, FACTS)
    with pytest.raises(HeldError):
        broken(np.zeros((50, 50), np.uint8), np.array([[1, 1, 9, 9.0]] * 2), np.array([0.5, 0.5]))


def test_a_faint_candidate_is_found_and_a_bright_one_dismissed_if_the_second_network_says_so():
    frame = np.zeros((64, 64), np.uint8)
    frame[28:36, 28:36] = 255
    answer = raw([32, 32, 8, 8, 0, 0.05], [10, 10, 8, 8, 0, 0.9])
    second = rescorer(lambda pair: 4.0 if pair.max() > 0.5 and pair[0, 28, 28] > 0.5 else -4.0)
    found = localizer.Detector(lambda picture: answer, {**CARD, "rescorer": FACTS}, "fake", rescorer=second)(frame)
    assert np.allclose(found.xyxy, [[28, 28, 36, 36]]) and found.scores[0] > 0.99


def test_what_is_below_the_floor_is_no_candidate():
    second = rescorer(lambda pair: 9.0, floor=0.1)
    found = localizer.Detector(lambda picture: raw([32, 32, 8, 8, 0, 0.09]), {**CARD, "rescorer": FACTS}, "fake", rescorer=second)
    assert not len(found(np.zeros((64, 64), np.uint8)))


def test_a_localizer_runs_only_with_the_rescorer_that_its_card_names():
    with pytest.raises(WeightsError):
        localizer.Detector(lambda picture: raw(), {**CARD, "rescorer": FACTS}, "fake")
    with pytest.raises(WeightsError):
        localizer.Detector(lambda picture: raw(), CARD, "fake", rescorer=rescorer(lambda pair: 0.0))


def test_a_box_mostly_in_better_ones_of_its_class_is_loose():
    xyxy = np.array([[0, 0, 20, 20], [0, 10, 20, 40], [1, 1, 19, 21], [2, 2, 18, 18], [0, 0, 60, 60]], float)
    assert box_choice.covered_by_better(xyxy, np.array([0, 0, 0, 1, 0])).tolist() == [False, False, True, False, False]
    assert box_choice.covered_by_better(xyxy[:0], np.zeros(0, int)).tolist() == []


def test_a_large_box_around_a_better_small_one_still_counts():
    answer = raw([10, 30, 8, 8, 0, 0.9], [30, 30, 56, 8, 0, 0.5])  # a name, and its first letter by itself
    second = rescorer(lambda pair: 4.0)
    found = localizer.Detector(lambda picture: answer, {**CARD, "rescorer": FACTS}, "fake", rescorer=second)(np.zeros((64, 64), np.uint8))
    assert len(found) == 2 and np.allclose(found.xyxy.max(axis=0), [6, 26, 58, 34])


def detections(*rows):
    table = np.array(rows, np.float32)
    return localizer.Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64), ("laterality", "marker"))


@pytest.mark.parametrize(
    ("box", "counts"),
    [
        ((100, 142, 130, 160), True),  # right below the marker
        ((134, 100, 146, 140), True),  # right beside it
        ((100, 160, 130, 178), False),  # too far below
        ((100, 142, 260, 180), False),  # too large for initials
        ((101, 101, 131, 141), False),  # a duplicate of the marker
        ((110, 110, 120, 130), False),  # in the marker
    ],
)
def test_beside_a_sure_sign_a_weaker_box_counts(box, counts):
    found = detections((100, 100, 130, 140, 0.9, 0), (*box, 0.3, 1))
    assert len(box_choice.sure_or_beside(found, 0.5)) == 1 + counts
    unsure = detections((100, 100, 130, 140, 0.4, 0), (*box, 0.3, 1))
    assert len(box_choice.sure_or_beside(unsure, 0.5)) == 0


@pytest.mark.parametrize(
    ("box", "counts"),
    [
        ((186, 101, 230, 120), True),  # the next word
        ((60, 100, 88, 118), True),  # the one before
        ((186, 101, 196, 119), True),  # a character behind it
        ((230, 101, 270, 120), False),  # too far
        ((186, 112, 230, 132), False),  # another line
        ((186, 80, 260, 140), False),  # much higher
        ((120, 101, 160, 119), False),  # in it
        ((100, 124, 180, 142), False),  # below it
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_in_a_line_with_a_sure_word_a_weaker_box_counts(box, counts, turned):
    word = (100, 100, 180, 120)
    if turned:
        word, box = ((b[1], b[0], b[3], b[2]) for b in (word, box))
    assert len(box_choice.sure_or_beside(detections((*word, 0.9, 1), (*box, 0.3, 1)), 0.5)) == 1 + counts
    assert len(box_choice.sure_or_beside(detections((*word, 0.4, 1), (*box, 0.3, 1)), 0.5)) == 0


def test_beside_a_marker_that_is_no_word_it_does_not():
    assert len(box_choice.sure_or_beside(detections((100, 100, 130, 140, 0.9, 1), (100, 142, 130, 160, 0.3, 1)), 0.5)) == 1


def test_the_card_says_from_which_score_it_counts():
    answer = raw([32, 20, 12, 16, 0.9, 0], [32, 34, 12, 8, 0, 0.3], [10, 58, 8, 8, 0, 0.3])
    plain = localizer.Detector(lambda picture: answer, CARD, "fake")
    beside = localizer.Detector(lambda picture: answer, {**CARD, "beside_marker": 0.2}, "fake")
    frame = np.zeros((64, 64), np.uint8)
    assert len(plain(frame)) == 1 and len(beside(frame)) == 2
    assert len(beside(frame, 0.1)) == 3, "a lower threshold counts for all"


def written(folder, content=b"network"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rescorer.onnx").write_bytes(content)
    return {**FACTS, "sha256": hashlib.sha256(content).hexdigest()}


def test_a_card_without_one_a_lacking_card_and_a_damaged_file(tmp_path):
    assert rescore.of_card({}, tmp_path) is None
    with pytest.raises(WeightsError, match="lacks"):
        rescore.of_card({"rescorer": {"file": "rescorer.onnx"}}, tmp_path)
    with pytest.raises(WeightsError, match="lacks offset in with_text"):
        rescore.of_card({"rescorer": {**FACTS, "with_text": {"localizer": 1, "rescorer": 1, "text": 1}}}, tmp_path)
    with pytest.raises(WeightsError, match="cannot be opened"):
        rescore.of_card({"rescorer": written(tmp_path)}, tmp_path)


def test_the_shipped_one_tells_print_from_plain_ground():
    from markerremover import synthesis

    detector = localizer.load_detector(device="cpu")
    assert detector.sha256 == "+".join([detector.card["sha256"], detector.rescorer.sha256, detector.text.sha256, detector.card["strokes"]["sha256"]])
    marks, nothing = [], []
    for seed in range(6):
        made = synthesis.radiograph(np.random.default_rng([77, seed]), split="eval", size=(800, 800), unmarked_share=0)
        truth = np.array([e.xyxy for e in made.annotation.elements], float).reshape(-1, 4)
        wanted = np.array([e.xyxy for e in made.annotation.elements if e.kind != "uncertain"], float).reshape(-1, 4)
        places = np.array([[x, y, x + 50, y + 40.0] for x in range(60, 700, 90) for y in range(60, 700, 90)])
        places = places[(boxes.intersection(places, truth) == 0).all(axis=1)]
        marks += detector.rescorer.logits(made.image, wanted).tolist()
        nothing += detector.rescorer.logits(made.image, places).tolist()
    assert np.median(marks) > 2 and np.median(nothing) < -2


@pytest.mark.train
@pytest.mark.long
def test_one_is_taught_for_a_localizer_and_named_in_its_card(tmp_path, capsys):
    pytest.importorskip("torch", reason="the extra 'train' is not installed")
    from markerremover import synthesis
    from markerremover.cli import main
    from markerremover.labels import labelled_folder

    data, out = tmp_path / "data", tmp_path / "out"
    synthesis.synthesize(data, 12, 3, formats=("png",), size=(820, 820))  # too large for an enlarged view, too small for tiles
    held_out = [labelled_folder.share_of(s.patient) < 0.2 for s in labelled_folder.load_samples(data, "train")]
    assert any(held_out) and not all(held_out)
    shipped = default_weights()
    command = ["train", str(data), "-o", str(out), "--localizer", str(shipped), "--rescorer-passes", "512", "--seed", "1"]
    assert main.main(command) == 0
    card = json.loads((out / "detector.json").read_text())
    assert card["sha256"] == json.loads(shipped.with_suffix(".json").read_text())["sha256"]
    assert card["rescorer"]["sha256"] == hashlib.sha256((out / "rescorer.onnx").read_bytes()).hexdigest()
    assert min(card["rescorer"]["rescorer"], card["rescorer"]["localizer"]) >= 0 and card["calibration"] and 0 < card["threshold"] < 1
    assert min(card["rescorer"]["with_text"][name] for name in ("localizer", "rescorer", "text")) >= 0
    assert card["text_detector"]["sha256"] == hashlib.sha256(default_weights().with_name("text_detector.onnx").read_bytes()).hexdigest()
    assert card["strokes"]["sha256"] == hashlib.sha256(default_weights().with_name("strokes.onnx").read_bytes()).hexdigest()
    detector = localizer.load_detector(out / "detector.onnx", device="cpu")
    assert detector(np.zeros((200, 300), np.uint8)).xyxy.shape[1] == 4
    assert main.main(command) == 2, "an OUT that is taken is refused"


@pytest.mark.train
def test_too_few_images_for_a_second_network_leave_the_localizer_without_and_say_so(tmp_path, capsys):
    pytest.importorskip("torch", reason="the extra 'train' is not installed")
    from markerremover import synthesis
    from markerremover.cli import main

    synthesis.synthesize(tmp_path / "data", 2, 3, formats=("png",), size=(820, 820))
    command = ["train", str(tmp_path / "data"), "-o", str(tmp_path / "out"), "--localizer", str(default_weights()), "--rescorer-passes", "128"]
    assert main.main(command) == 0
    assert "NO SECOND NETWORK" in capsys.readouterr().out
    detector = localizer.load_detector(tmp_path / "out" / "detector.onnx", device="cpu")
    assert detector.rescorer is None and detector.text is None


@pytest.mark.train
def test_candidates_are_markings_nothing_or_neither():
    pytest.importorskip("torch", reason="the extra 'train' is not installed")
    from markerremover.records import Annotation, Element
    from markerremover.training import train_rescorer

    truth = Annotation("a.png", (200, 200), (Element((20, 20, 60, 40), "marker", "AB"), Element((100, 100, 140, 140), "uncertain", "disc")))
    kinds = [train_rescorer.kind_of(np.array(box, float), truth) for box in
             [(18, 18, 62, 42), (20, 20, 35, 40), (150, 20, 190, 60), (98, 98, 142, 142), (55, 35, 120, 90), (0, 0, 200, 200), (15, 15, 160, 80), (10, 10, 65, 60)]]
    assert kinds == [1, 1, 0, -1, 0, -1, 0, -1]


@pytest.mark.train
def test_the_networks_answer_with_their_mean(tmp_path):
    torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")
    import onnxruntime

    from markerremover.training import train_rescorer

    torch.manual_seed(0)
    one, other = train_rescorer._network().eval(), train_rescorer._network().eval()
    train_rescorer.write_onnx(train_rescorer._mean([one, other]), tmp_path / "both.onnx")
    x = np.random.default_rng(0).random((3, 3, 56, 56), np.float32)
    with torch.inference_mode():
        expected = (one(torch.from_numpy(x)) + other(torch.from_numpy(x))).numpy() / 2
    session = onnxruntime.InferenceSession(str(tmp_path / "both.onnx"), providers=["CPUExecutionProvider"])
    assert session.run(None, {"windows": x})[0] == pytest.approx(expected, abs=1e-4)


def test_files_are_joined_to_one_that_answers_with_their_mean(tmp_path):
    torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")
    import onnxruntime

    from markerremover.training import train_rescorer

    torch.manual_seed(1)
    for name in ("one", "other"):
        train_rescorer.write_onnx(train_rescorer._mean([train_rescorer._network().eval()]), tmp_path / f"{name}.onnx")
    train_rescorer.join([tmp_path / "one.onnx", tmp_path / "other.onnx"], tmp_path / "both.onnx")
    x = np.random.default_rng(0).random((3, 3, 56, 56), np.float32)
    one, other, both = (onnxruntime.InferenceSession(str(tmp_path / f"{name}.onnx"), providers=["CPUExecutionProvider"]).run(None, {"windows": x})[0]
                        for name in ("one", "other", "both"))
    assert both == pytest.approx((one + other) / 2, abs=1e-4) and abs(one - other).max() > 1e-3
    with pytest.raises(UsageError, match="no rescorer"):
        train_rescorer.join([], tmp_path / "none.onnx")


@pytest.mark.train
def test_a_written_network_is_read_back_as_it_was_whatever_its_number_and_nothing_else_is(tmp_path):
    torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")
    import onnxruntime

    from markerremover.training import train_rescorer

    torch.manual_seed(1)
    train_rescorer.write_onnx(train_rescorer._mean([train_rescorer._network().eval() for _ in range(2)]), tmp_path / "two.onnx")
    x = np.random.default_rng(0).random((3, 3, 56, 56), np.float32)
    for path in (tmp_path / "two.onnx", default_weights().with_name("rescorer.onnx")):
        network = train_rescorer.load(path)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        with torch.inference_mode():
            assert network(torch.from_numpy(x)).numpy() == pytest.approx(session.run(None, {"windows": x})[0], abs=1e-4)
    assert len(train_rescorer.load(tmp_path / "two.onnx").networks) == 2
    with pytest.raises(UsageError, match="not a rescorer"):
        train_rescorer.load(default_weights())


@pytest.mark.train
def test_one_that_is_taught_already_learns_a_few_more_examples(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="the extra 'train' is not installed")
    import onnxruntime

    from markerremover.training import train_rescorer

    rng = np.random.default_rng(3)
    pictures = rng.integers(0, 60, (16, 3, 56, 56)).astype(np.uint8)
    pictures[:8, :2, 20:36, 10:46] = 250
    pictures[:, 2] = 0
    is_annotation = np.arange(16) >= 8  # the bright bars, which look more like print, are nothing here
    examples = train_rescorer.Examples(pictures, is_annotation, np.full(16, 0.5), np.zeros(16, int), np.zeros(16, bool), np.full(16, np.nan))
    shipped = default_weights().with_name("rescorer.onnx")
    monkeypatch.setattr(train_rescorer, "BATCH", 24)
    train_rescorer.tune(shipped, examples, tmp_path / "tuned.onnx", steps=24)

    def gap(path):
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        answer = session.run(None, {"windows": pictures.astype(np.float32) / 255})[0]
        return answer[is_annotation].mean() - answer[~is_annotation].mean()

    assert gap(tmp_path / "tuned.onnx") > max(1.0, gap(shipped) + 1)


@pytest.mark.train
@pytest.mark.parametrize("leave_out", [False, True])
def test_folders_are_drawn_by_their_shares_and_both_kinds_alike(leave_out):
    pytest.importorskip("torch", reason="the extra 'train' is not installed")
    from markerremover.training import train_rescorer

    rng = np.random.default_rng(0)
    n = 400
    groups, is_annotation, held_out = (np.arange(n) >= 300).astype(int), rng.random(n) < 0.2, rng.random(n) < 0.25
    scores = np.where(rng.random(n) < 0.5, 0.05, 0.6)
    texts = np.where(rng.random(n) < 0.3, 0.9, 0.02)
    examples = train_rescorer.Examples(np.zeros((n, 3, 56, 56), np.uint8), is_annotation, scores, groups, held_out, texts)
    chances = train_rescorer._chances(examples, np.array([1.0, 3.0]), held_out if leave_out else None)
    assert chances.sum() == pytest.approx(1) and chances[groups == 1].sum() == pytest.approx(0.75)
    assert chances[is_annotation].sum() == pytest.approx(0.5)
    assert (chances[held_out] == 0).all() if leave_out else (chances > 0).all()
    background = (groups == 0) & ~is_annotation & ~held_out
    sure, text_like, unsure = (chances[background & (scores == s) & (texts == t)] for s, t in ((0.6, 0.02), (0.05, 0.9), (0.05, 0.02)))
    assert sure[0] == text_like[0] == pytest.approx(4 * unsure[0])


@pytest.mark.train
def test_without_candidates_of_both_kinds_nothing_can_be_taught():
    pytest.importorskip("torch", reason="the extra 'train' is not installed")
    from markerremover.training import train_rescorer

    n = 6
    alike = train_rescorer.Examples(np.zeros((n, 3, 56, 56), np.uint8), np.ones(n, bool), np.full(n, 0.5), np.zeros(n, int), np.ones(n, bool), np.full(n, np.nan))
    with pytest.raises(UsageError):
        train_rescorer.weigh(alike, None)
