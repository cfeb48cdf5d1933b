import cv2
import numpy as np
import pytest

from markerremover.errors import AnnotationError, UsageError
from markerremover.labels import labelled_folder, labelme
from markerremover.records import Annotation, Element
from markerremover.training import window_dataset

NAMES = ("laterality", "marker")


def folder_of(tmp_path, count=6, size=(300, 400), elements=(Element((100, 50, 130, 100), "laterality", "L"),), split=None):
    for name in ("images", "annotations"):
        (tmp_path / name).mkdir(parents=True)
    for i in range(count):
        picture = np.full(size, 40, np.uint8)
        for e in elements:
            x1, y1, x2, y2 = map(int, e.xyxy)
            picture[y1:y2, x1:x2] = 250 if e.kind != "uncertain" else 200
        cv2.imwrite(str(tmp_path / "images" / f"p{i}_0.png"), picture)
        labelme.write(tmp_path / "annotations" / f"p{i}_0.json", Annotation(f"p{i}_0.png", size, elements))
    if split:
        (tmp_path / "split.csv").write_text("image,patient,split\n" + "".join(f"p{i}_0.png,{p},{s}\n" for i, (p, s) in enumerate(split)))
    return tmp_path


def test_the_split_file_decides_and_a_patient_on_both_sides_is_an_error(tmp_path):
    good = folder_of(tmp_path / "a", 3, split=[("1", "train"), ("2", "val"), ("3", "train")])
    assert [s.path.name for s in labelled_folder.load_samples(good, "val")] == ["p1_0.png"]
    bad = folder_of(tmp_path / "b", 2, split=[("1", "train"), ("1", "val")])
    with pytest.raises(UsageError, match="both"):
        labelled_folder.load_samples(bad, "train")


def test_without_a_split_file_patients_are_divided_and_never_shared(tmp_path):
    folder = folder_of(tmp_path, 40)
    parts = {p: {s.patient for s in labelled_folder.load_samples(folder, p, val_share=0.3)} for p in ("train", "val")}
    assert parts["train"] and parts["val"] and not parts["train"] & parts["val"]
    assert len(parts["train"] | parts["val"]) == 40


def test_a_missing_label_file_is_an_error_never_no_objects(tmp_path):
    folder = folder_of(tmp_path, 2)
    (folder / "annotations" / "p1_0.json").unlink()
    with pytest.raises(AnnotationError, match="p1_0.json"):
        labelled_folder.load_samples(folder, "train", val_share=0)


def test_boxes_of_a_window_still_frame_the_marking(tmp_path):
    samples = labelled_folder.load_samples(folder_of(tmp_path), "train", val_share=0)
    dataset = window_dataset.WindowDataset([samples], NAMES, window=160, scale_to=400, positive_share=1.0)
    rng, seen = np.random.default_rng(1), 0
    for _ in range(60):
        picture, xyxy, classes = dataset.draw(rng)
        assert picture.shape == (160, 160) and picture.dtype == np.uint8
        assert (xyxy >= 0).all() and (xyxy <= 160).all() and set(classes) <= {0}
        for x1, y1, x2, y2 in np.round(xyxy).astype(int):
            inner = picture[y1 + 3 : y2 - 3, x1 + 3 : x2 - 3].astype(float)
            ring = picture[max(0, y1 - 6) : y2 + 6, max(0, x1 - 6) : x2 + 6].astype(float)
            seen += inner.size > 0 and abs(inner.mean() - np.median(picture)) > 30 and ring.std() > 5
    assert seen > 40


def test_turning_moves_boxes_with_the_pixels_and_never_mirrors():
    picture = np.zeros((50, 50), np.uint8)
    picture[5:25, 10:14] = 255
    picture[21:25, 10:22] = 255  # an L
    for turns in range(4):
        turned, xyxy = window_dataset.turn(picture, np.array([[10.0, 5, 22, 25]]), turns)
        ys, xs = np.nonzero(turned)
        assert xyxy[0].tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        assert (np.rot90(turned, -turns) == picture).all()


def test_uncertain_regions_are_inpainted_but_taught_elements_inside_them_stay():
    grey = np.full((200, 200), 40, np.uint8)
    grey[50:90, 50:90] = 220
    grey[60:70, 60:70] = 255
    elements = (Element((50, 50, 90, 90), "uncertain"), Element((60, 60, 70, 70), "marker"))
    out = window_dataset.mask_uncertain(grey, Annotation("a", (200, 200), elements))
    assert (out[60:70, 60:70] == 255).all() and (grey[50:58, 50:90] == 220).all()
    alone = window_dataset.mask_uncertain(grey, Annotation("a", (200, 200), elements[:1]))
    assert alone.max() < 60


def test_a_marking_mostly_outside_the_window_is_greyed_out_not_taught():
    picture = np.full((100, 100), 30, np.uint8)
    picture[40:60, 95:] = 255
    out, xyxy, classes = window_dataset.drop_cut_boxes(picture, np.array([[95.0, 40, 125, 60], [10, 10, 30, 30]]), np.array([1, 0]))
    assert xyxy.tolist() == [[10, 10, 30, 30]] and classes.tolist() == [0] and out.max() < 256 and (out[40:60, 95:] == out[40, 95]).all()


def test_no_data_is_an_error(tmp_path):
    with pytest.raises(AnnotationError):
        labelled_folder.load_samples(tmp_path, "train")
    with pytest.raises(UsageError):
        window_dataset.WindowDataset([[]], NAMES)


def test_letterbox_keeps_the_aspect_and_says_how_to_map_back():
    out, scale, (left, top) = window_dataset.letterbox(np.full((100, 200), 9, np.uint8), 64)
    assert out.shape == (64, 64) and scale == 0.32 and (left, top) == (0, 16)
    assert (out[16:48] == 9).all() and (out[:16] == window_dataset.NETWORK_GREY).all()


def test_windows_go_where_an_earlier_localizer_was_wrong(tmp_path):
    """A square that is no marking is in every window drawn around it, and never taught as one."""
    folder = folder_of(tmp_path, size=(900, 900))
    samples = labelled_folder.load_samples(folder, "train", val_share=0)
    for sample in samples:
        picture = cv2.imread(str(sample.path), cv2.IMREAD_GRAYSCALE)
        picture[700:740, 700:740] = 120
        cv2.imwrite(str(sample.path), picture)
    hard = {str(s.path): [(700.0, 700.0, 740.0, 740.0)] for s in samples}
    data = dict(window=160, scale_to=900, scale_range=(1.0, 1.0), positive_share=0.0)
    rng = np.random.default_rng(1)
    with_hard = window_dataset.WindowDataset([samples], NAMES, hard=hard, hard_share=1.0, **data)
    without = window_dataset.WindowDataset([samples], NAMES, hard={"elsewhere.png": hard[str(samples[0].path)]}, **data)

    def shows_it(dataset):
        picture, xyxy, _ = dataset.draw(rng)
        values = np.unique(picture[20:140, 20:140], return_counts=True)[1]
        return len(values) > 1 and values[:-1].max() > 100 and not len(xyxy)

    assert sum(shows_it(with_hard) for _ in range(40)) > 25 > 12 > sum(shows_it(without) for _ in range(40))


def test_windows_are_cut_at_each_scale_of_the_inference(tmp_path):
    samples = labelled_folder.load_samples(folder_of(tmp_path), None)
    asked = []

    def scales(shape_hw):
        asked.append(shape_hw)
        return 0.5, 1.0

    dataset = window_dataset.WindowDataset([samples], NAMES, window=100, scales=scales, scale_range=(1.0, 1.0), positive_share=1.0, keep_decoded=True)
    rng, heights = np.random.default_rng(2), set()
    for _ in range(40):
        _, xyxy, _ = dataset.draw(rng)
        sides = [(x2 - x1, y2 - y1) for x1, y1, x2, y2 in xyxy if min(x1, y1) > 1 and max(x2, y2) < 99]
        heights |= {int(round(max(side), -1)) for side in sides}
    assert heights == {20, 50} or heights == {30, 50}  # the 50 px marking at half and at full scale
    assert set(asked) == {(300, 400)}


def test_decoded_images_are_kept_only_when_asked(tmp_path, monkeypatch):
    samples = labelled_folder.load_samples(folder_of(tmp_path, 2), None)
    read, paths = window_dataset.read_grey, []
    monkeypatch.setattr(window_dataset, "read_grey", lambda path: paths.append(path) or read(path))
    for keep, most in ((True, 2), (False, 10)):
        dataset = window_dataset.WindowDataset([samples], NAMES, window=100, keep_decoded=keep)
        before = [dataset.draw(np.random.default_rng(i))[0] for i in range(10)]
        assert len(paths) == most
        assert all(np.array_equal(a, dataset.draw(np.random.default_rng(i))[0]) for i, a in enumerate(before))
        paths.clear()


def test_whole_images_repeat_and_vary_in_tone_only_for_training(tmp_path):
    torch = pytest.importorskip("torch")
    samples = labelled_folder.load_samples(folder_of(tmp_path, 2), None)
    plain, varied = window_dataset.WholeDataset(samples, NAMES, size=64), window_dataset.WholeDataset(samples, NAMES, size=64, repeat=20, varied=True)
    assert (len(plain), len(varied)) == (2, 40)
    items = [varied[i] for i in range(0, 40, 2)]
    assert any(not torch.equal(i["img"], plain[0]["img"]) for i in items) and all(torch.equal(i["bboxes"], plain[0]["bboxes"]) for i in items)


SPLIT = "image,patient,split\np0_0.png,1,train\np1_0.png,2,val\np2_0.png,3,train\n"


@pytest.mark.parametrize("data", [
    SPLIT.encode("utf-8-sig"), SPLIT.replace(",", ";").encode(), SPLIT.replace(",", "\t").replace("\n", "\r\n").encode("utf-16"),
    SPLIT.replace("image,patient,split", "Image,PATIENT, Split ").replace("val", "Val").encode(), SPLIT.replace("\n", "\n\n").encode(),
    b"split,patient,image,comment\ntrain,1,p0_0.png,\nval,2,p1_0.png,good\ntrain,3,p2_0.png\n", SPLIT.replace(".png", "").encode(),
], ids=["byte order mark", "semicolons", "tabs, UTF-16, CRLF", "capitals", "blank lines", "other columns", "names without suffix"])
def test_a_split_file_of_a_spreadsheet_is_read(tmp_path, data):
    folder = folder_of(tmp_path, 3)
    (folder / "split.csv").write_bytes(data)
    assert [(s.path.name, s.patient) for s in labelled_folder.load_samples(folder, "val")] == [("p1_0.png", "2")]


@pytest.mark.parametrize(("data", "words"), [
    ("image,split\np0_0.png,val\n", "no column 'patient', its first line is image, split; needed are image, patient, split"),
    ("p0_0.png,1,train\n", "no column 'image'"), (SPLIT.replace("p1_0.png", "other.png"), "no row for p1_0.png"), (SPLIT.replace(",2,", ",,"), "has no patient for p1_0.png"),
    ("", "is empty"), (SPLIT + "p1_0.png,2,train\n", "p1_0.png is there twice"),
])
def test_an_unclear_split_file_is_an_error_that_says_what_to_do(tmp_path, data, words):
    folder = folder_of(tmp_path, 3)
    (folder / "split.csv").write_text(data)
    with pytest.raises(UsageError, match=words) as error:
        labelled_folder.load_samples(folder, "val")
    assert "split.csv" in str(error.value)


def test_where_no_part_is_asked_for_a_split_file_need_not_tell_any(tmp_path):
    folder = folder_of(tmp_path, 3)
    (folder / "split.csv").write_text("image;patient\n" + "".join(f"p{i}_0.png;{i // 2}\n" for i in range(3)))
    assert [s.patient for s in labelled_folder.load_samples(folder, None)] == ["0", "0", "1"]


def test_a_label_without_its_image_and_an_image_without_its_label_are_errors(tmp_path):
    folder = folder_of(tmp_path, 3)
    (folder / "images" / ".DS_Store").write_bytes(b"x")
    (folder / "images" / "._p0_0.png").write_bytes(b"x")
    (folder / "annotations" / "._p0_0.json").write_bytes(b"x")
    assert len(labelled_folder.load_samples(folder, None)) == 3
    (folder / "images" / "p1_0.png").rename(folder / "p1_0.png")
    with pytest.raises(AnnotationError, match="p1_0.json: its image is not in"):
        labelled_folder.load_samples(folder, None)
    (folder / "annotations" / "p1_0.json").unlink()
    (folder / "p1_0.png").rename(folder / "images" / "p1_0.png")
    with pytest.raises(AnnotationError, match="p1_0.png: has no label file .*p1_0.json"):
        labelled_folder.load_samples(folder, None)
    (folder / "images" / "p1_0.png").rename(folder / "images" / "p0_0.jpg")
    with pytest.raises(AnnotationError, match="shares its label file"):
        labelled_folder.load_samples(folder, None)


def test_sub_folders_of_images_and_annotations_go_together(tmp_path):
    folder = folder_of(tmp_path, 3)
    for i, name in enumerate(("a", "b")):
        for part, suffix in (("images", "png"), ("annotations", "json")):
            (folder / part / name).mkdir()
            (folder / part / f"p{i}_0.{suffix}").rename(folder / part / name / f"x.{suffix}")
    samples = labelled_folder.load_samples(folder, None)
    assert [(s.path.relative_to(folder / "images").as_posix(), s.patient) for s in samples] == [("a/x.png", "a"), ("b/x.png", "b"), ("p2_0.png", "p2")]
    (folder / "split.csv").write_text("image,patient\na/x.png,1\nb\\x.png,2\np2_0.png,2\n")
    assert [s.patient for s in labelled_folder.load_samples(folder, None)] == ["1", "2", "2"]
    (folder / "split.csv").write_text("image,patient\nx.png,1\np2_0.png,2\n")
    with pytest.raises(UsageError, match="could be a/x.png or b/x.png"):
        labelled_folder.load_samples(folder, None)


def test_the_patient_that_annotate_wrote_goes_before_the_name(tmp_path):
    folder = folder_of(tmp_path, 3)
    for i, patient in enumerate(("ann", "ann", "")):
        origin = {"sha256": f"{i // 2}" * 64, "frame": 0, "patient": patient}
        labelme.write(folder / "annotations" / f"p{i}_0.json", Annotation(f"p{i}_0.png", (300, 400), ()), None, origin)
    assert [s.patient for s in labelled_folder.load_samples(folder, None)] == ["ann", "ann", "p2"]
    assert [s.patient[:1] for s in labelled_folder.load_samples(folder, None, one_image_a_patient=True)] == ["0", "0", "1"]
