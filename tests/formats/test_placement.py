"""placement: drawn coordinates find their stored pixels, or the image is refused with the reason; the same for every command."""

from __future__ import annotations

import doctest
import io
import json
import shutil
import struct

import dicom_files
import fakes
import numpy as np
import pytest
from PIL import Image, ImageOps

from markerremover.audit import manifest_files
from markerremover.cli import main
from markerremover.errors import AnnotationError
from markerremover.evaluation import evaluate
from markerremover.formats import exif, images, placement
from markerremover.formats.placement import Layout, placed, to_stored
from markerremover.labels import labelled_folder, labelme, truth
from markerremover.options import RunOptions
from markerremover.records import Annotation, Element, Policy
from markerremover.run import batch
from markerremover.synthesis.radiographs import real
from markerremover.system.files import sha256_file

BOX = (20, 14, 60, 30)  # on the upright image
UPRIGHT = fakes.radiograph(3, (BOX,), (96, 128))
SQUARE = fakes.radiograph(3, (BOX,), (96, 96))
TURNS = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270}
ORIENTATIONS = [1, *TURNS]


def stored_of(upright: np.ndarray, orientation: int) -> Image.Image:
    """The image to be stored so that a viewer that heeds the orientation shows `upright`."""
    image = Image.fromarray(upright)
    return image if orientation == 1 else image.transpose(TURNS[orientation])


def write(path, upright: np.ndarray, orientation: int):
    """An image file of the kind that the suffix says, with an orientation."""
    image, marked = stored_of(upright, orientation), Image.Exif()
    marked[0x0112] = orientation
    options = {".jpg": {"quality": 100, "exif": marked}, ".png": {"exif": marked}, ".tif": {"tiffinfo": {274: orientation}}}[path.suffix]
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def note(path, image: str, shape_hw, xyxy=BOX, **more):
    shape = {"label": "marker", "points": [list(xyxy[:2]), list(xyxy[2:])], "shape_type": "rectangle", "flags": {}, "group_id": None}
    document = {"version": "5.5.0", "flags": {"reviewed": True}, "shapes": [shape], "imagePath": image, "imageData": None,
        "imageHeight": shape_hw[0], "imageWidth": shape_hw[1], **more}
    return fakes.put(path, json.dumps(document).encode())


def by_hand(tmp_path):
    options = RunOptions(boxes=tmp_path / "notes", headers="keep")
    batch.remove([tmp_path / "in"], tmp_path / "out", options=options, open_cleaner=fakes.cleaner)
    return {row["relative"]: row for row in manifest_files.read_manifest(tmp_path / "out-audit" / manifest_files.MANIFEST)}


def as_shown(path) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(path)))


def test_doctests_hold():
    assert doctest.testmod(placement).failed == 0


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_orientation_maps_as_viewers_turn(orientation):
    stored = np.asarray(stored_of(UPRIGHT, orientation))
    (x1, y1), (x2, y2) = np.sort(to_stored(np.array([BOX[:2], BOX[2:]]), Layout(stored.shape, orientation)), axis=0)
    assert (stored[y1:y2, x1:x2] == 255).all() and (stored == 255).sum() == (y2 - y1) * (x2 - x1)
    assert Layout(stored.shape, orientation).upright_hw == UPRIGHT.shape


@pytest.mark.parametrize("kind", ["B", "H", "I"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_an_orientation_is_read_from_any_integer(order, kind):
    code = {"B": 1, "H": 3, "I": 4}[kind]
    entry = struct.pack(f"{order}HHI", 0x0112, code, 1) + struct.pack(f"{order}{kind}", 6).ljust(4, b"\0")
    block = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, 1) + entry
    assert exif.orientation_of(block) == 6


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_the_layout_is_told_with_and_without_decoding(tmp_path, suffix, orientation):
    path = write(tmp_path / f"a{suffix}", UPRIGHT, orientation)
    found = images.layout_of(path)
    assert found == images.layout(images.read(path)) and (found.orientation, found.upright_hw, found.settled) == (orientation, (96, 128), suffix == ".jpg")
    assert np.array_equal(images.read(path).shape_hw, stored_of(UPRIGHT, orientation).size[::-1])


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("upright", [UPRIGHT, SQUARE], ids=["wide", "square"])
def test_what_was_drawn_upright_on_a_jpeg_goes(tmp_path, upright, orientation):
    write(tmp_path / "in" / "a.jpg", upright, orientation)
    note(tmp_path / "notes" / "a.json", "a.jpg", upright.shape)
    row = by_hand(tmp_path)["a.jpg"]
    assert row["status"] == "cleaned", row["reason"]
    after, (x1, y1, x2, y2) = as_shown(tmp_path / "out" / "a.jpg"), BOX
    assert after[y1:y2, x1:x2].max() < 40 and np.abs(after[50:].astype(int) - upright[50:]).max() < 12
    assert (row.get("orientation", 1), len(row["boxes"])) == (orientation, 1)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_the_size_tells_in_which_frame_a_box_was_drawn(tmp_path, suffix, orientation):
    write(tmp_path / "in" / f"up{suffix}", UPRIGHT, orientation)
    note(tmp_path / "notes" / "up.json", f"up{suffix}", UPRIGHT.shape)
    write(tmp_path / "in" / f"plain{suffix}", UPRIGHT, orientation)
    (stored,) = np.asarray(stored_of(UPRIGHT, orientation))[None]
    y, x = (np.flatnonzero((stored == 255).any(axis=axis)) for axis in (1, 0))
    note(tmp_path / "notes" / "plain.json", f"plain{suffix}", stored.shape, (int(x[0]), int(y[0]), int(x[-1]) + 1, int(y[-1]) + 1))
    for row in by_hand(tmp_path).values():
        assert row["status"] == "cleaned", row["reason"]
        assert images.read(tmp_path / "out" / row["relative"]).stored[0][stored == 255].max() < 40


@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_where_programs_differ_and_the_size_does_not_tell_a_file_is_held(tmp_path, suffix, orientation):
    write(tmp_path / "in" / f"a{suffix}", SQUARE, orientation)
    note(tmp_path / "notes" / "a.json", f"a{suffix}", SQUARE.shape)
    row = by_hand(tmp_path)[f"a{suffix}"]
    assert row["status"] == "held" and f"orientation is {orientation}" in row["reason"] and not (tmp_path / "out" / f"a{suffix}").exists()


SIZES = {"half": (48, 64), "turned": (128, 96), "one more": (97, 128), "none": (None, None), "text": ("a", "b")}


@pytest.mark.parametrize("shape_hw", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".dcm"])
def test_another_size_than_that_of_the_image_has_no_output_and_says_so(tmp_path, suffix, shape_hw):
    (tmp_path / "in").mkdir()
    if suffix == ".dcm":
        dicom_files.save(tmp_path / "in", UPRIGHT[None], bits=8, name="a.dcm")
    else:
        write(tmp_path / "in" / f"a{suffix}", UPRIGHT, 1)
    note(tmp_path / "notes" / "a.json", f"a{suffix}", shape_hw)
    row = by_hand(tmp_path)[f"a{suffix}"]
    assert row["status"] in ("held", "failed") and not (tmp_path / "out" / f"a{suffix}").exists()
    assert "annotation" in row["reason"] and ("image size" in row["reason"] or "this one has 128x96" in row["reason"] or "LabelMe" in row["reason"])


@pytest.mark.parametrize(("upright", "status"), [(UPRIGHT, "cleaned"), (SQUARE, "held")], ids=["wide", "square"])
def test_an_orientation_that_only_xmp_tells_is_believed_where_the_size_tells_too(tmp_path, upright, status):
    (tmp_path / "in").mkdir()
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    stored_of(upright, 6).save(tmp_path / "in" / "a.jpg", quality=100, xmp=xmp)
    note(tmp_path / "notes" / "a.json", "a.jpg", upright.shape)
    assert by_hand(tmp_path)["a.jpg"]["status"] == status
    if status == "cleaned":
        stored = images.read(tmp_path / "out" / "a.jpg").stored[0]
        assert stored[np.asarray(stored_of(upright, 6)) == 255].max() < 40


def test_polygons_turn_too(tmp_path):
    write(tmp_path / "in" / "a.jpg", UPRIGHT, 6)
    triangle = {"label": "marker", "points": [[70, 50], [110, 50], [70, 90]], "shape_type": "polygon", "flags": {}}
    note(tmp_path / "notes" / "a.json", "a.jpg", UPRIGHT.shape, shapes=[triangle])
    assert by_hand(tmp_path)["a.jpg"]["status"] == "cleaned"
    after = as_shown(tmp_path / "out" / "a.jpg")
    assert after[55:60, 75:85].max() < 40 and np.abs(after[82:90, 100:110].astype(int) - UPRIGHT[82:90, 100:110]).max() < 20


def test_what_was_drawn_on_our_own_pictures_is_in_stored_pixels(tmp_path):
    path = write(tmp_path / "in" / "a.png", SQUARE, 3)
    origin = {"sha256": sha256_file(path), "frame": 0}
    note(tmp_path / "notes" / "x.json", "../images/x.png", SQUARE.shape, (36, 66, 76, 82), **{labelme.ORIGIN: origin})
    assert by_hand(tmp_path)["a.png"]["status"] == "cleaned"
    assert not images.read(tmp_path / "out" / "a.png").stored[0, 66:82, 36:76].any()


def test_a_cine_needs_an_annotation_of_every_frame(tmp_path):
    (tmp_path / "in").mkdir()
    path = dicom_files.save(tmp_path / "in", np.stack([UPRIGHT] * 2), bits=8, name="a.dcm")
    note(tmp_path / "notes" / "a.json", "a.dcm", UPRIGHT.shape)
    row = by_hand(tmp_path)["a.dcm"]
    assert row["status"] == "held" and "frame 1" in row["reason"]
    for frame in (0, 1):
        note(tmp_path / "notes" / f"{frame}.json", "x.png", UPRIGHT.shape, **{labelme.ORIGIN: {"sha256": sha256_file(path), "frame": frame}})
    for folder in ("out", "out-audit"):
        shutil.rmtree(tmp_path / folder)
    assert by_hand(tmp_path)["a.dcm"]["status"] == "cleaned"
    assert not images.read(tmp_path / "out" / "a.dcm").stored[:, BOX[1] : BOX[3], BOX[0] : BOX[2]].any()


def element(xyxy=BOX):
    return Element(tuple(map(float, xyxy)), "marker")


def test_an_annotation_is_placed_or_refused():
    layout = Layout((128, 96), 6)
    (turned,) = placed(Annotation("a", (96, 128), (element(),)), layout).elements
    assert turned.xyxy == (14.0, 68.0, 30.0, 108.0)
    same = placed(Annotation("a", (128, 96), (element(),)), layout)
    assert same.elements == (element(),) and same.coordinates == "stored" and placed(same, layout) == same
    with pytest.raises(AnnotationError, match="of 64x48 pixels, this one has 128x96 or 96x128"):
        placed(Annotation("a", (48, 64), ()), layout)
    with pytest.raises(AnnotationError, match="this one has 96x128$"):
        placed(Annotation("a", (96, 128), (), coordinates="stored"), layout)
    with pytest.raises(AnnotationError, match="orientation is 3"):
        placed(Annotation("a", (96, 128), (element(),)), Layout((96, 128), 3, settled=False))
    with pytest.raises(AnnotationError, match="orientation is 6"):
        placed(Annotation("a", (96, 128), (element(),), coordinates="fractions"), Layout((128, 96), 6, settled=False))


@pytest.fixture(params=[1, 3, 6, 8])
def site(request, tmp_path):
    """An image with an orientation and what `remove` makes of it."""
    write(tmp_path / "in" / "a.jpg", UPRIGHT, request.param)
    batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(policy=Policy(keep=())), open_cleaner=fakes.cleaner)
    assert as_shown(tmp_path / "out" / "a.jpg")[14:30, 20:60].max() < 40
    (tmp_path / "truth").mkdir()
    return tmp_path


TRUTHS = {
    "LabelMe": ("a.json", None),
    "Pascal VOC": ("a.xml", "<annotation><filename>a.jpg</filename><size><width>128</width><height>96</height></size><object><name>marker</name>"
        "<bndbox><xmin>19</xmin><ymin>13</ymin><xmax>62</xmax><ymax>32</ymax></bndbox></object></annotation>"),
    "YOLO": ("a.txt", f"0 {40 / 128} {22 / 96} {44 / 128} {20 / 96}\n"),
    "COCO": ("a.json", json.dumps({"categories": [{"id": 1, "name": "marker"}], "images": [{"id": 7, "width": 128, "height": 96,
        "file_name": "a.jpg"}], "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [18, 12, 44, 20]}]})),
}


@pytest.mark.parametrize("kind", TRUTHS)
def test_truth_of_every_format_is_judged_where_it_was_drawn(site, kind):
    name, text = TRUTHS[kind]
    if text is None:
        note(site / "truth" / name, "a.jpg", (96, 128), (18, 12, 62, 32))
    else:
        (site / "truth" / name).write_text(text)
    source = site / "truth" / name if kind == "COCO" else site / "truth"
    document, _ = evaluate.evaluate(site / "out", source, site / "in", classes=("marker",))
    assert (document["recall"]["k"], document["recall"]["n"], document["false_regions"]["k"]) == (1, 1, 0)
    if kind != "YOLO":
        assert evaluate.evaluate_boxes(site / "out", source)["published_measures"]["deidentification_accuracy"]["k"] == 1


def test_truth_of_another_size_is_an_error_with_and_without_images(site):
    note(site / "truth" / "a.json", "a.jpg", (48, 64), (9, 6, 31, 16))
    for judge in (lambda: evaluate.evaluate(site / "out", site / "truth", site / "in"), lambda: evaluate.evaluate_boxes(site / "out", site / "truth")):
        with pytest.raises(AnnotationError, match="a.jpg: its truth is of an image of 64x48 pixels"):
            judge()
    assert main.main(["evaluate", str(site / "out"), "--truth", str(site / "truth")]) == 1


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("upright", [UPRIGHT, SQUARE], ids=["wide", "square"])
def test_training_sees_pictures_and_boxes_in_the_same_frame(tmp_path, upright, orientation):
    path = write(tmp_path / "images" / "p_a.jpg", upright, orientation)
    note(tmp_path / "annotations" / "p_a.json", "p_a.jpg", upright.shape)
    (sample,) = labelled_folder.load_samples(tmp_path, None)
    grey = labelled_folder.read_grey(path)
    assert grey.shape == sample.annotation.shape_hw == np.asarray(stored_of(upright, orientation)).shape
    x1, y1, x2, y2 = map(int, sample.annotation.elements[0].xyxy)
    assert grey[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].min() > 240 and grey.size * 0.2 > (grey > 240).sum() > 0
    clean = real.load_clean(str(path), str(tmp_path / "annotations" / "p_a.json"))
    assert clean.shape == grey.shape and clean[y1:y2, x1:x2].max() < 230


def test_training_refuses_another_size(tmp_path):
    write(tmp_path / "images" / "p_a.png", UPRIGHT, 1)
    note(tmp_path / "annotations" / "p_a.json", "p_a.png", (48, 64), (10, 7, 30, 15))
    with pytest.raises(AnnotationError, match="p_a.png: its annotation is of an image of 64x48 pixels"):
        labelled_folder.load_samples(tmp_path, None)


def test_the_size_of_a_yolo_image_is_that_of_the_upright_one(tmp_path):
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    (found,), _ = truth.to_annotations(truth.read(tmp_path, classes=("marker",)).labels, lambda label: (96, 128))
    assert found.coordinates == "fractions"
    (turned,) = placed(found, Layout((128, 96), 8)).elements
    assert turned.xyxy == (24.0, 48.0, 72.0, 80.0)


@pytest.mark.parametrize("orientation", [3, 6])
def test_jpeg_in_a_tiff_is_read_as_stored_whatever_its_orientation(tmp_path, orientation):
    buffer, shown = io.BytesIO(), stored_of(UPRIGHT, orientation)
    shown.save(buffer, "TIFF", compression="jpeg", tiffinfo={274: orientation})
    radiograph = images.read(fakes.put(tmp_path / "a.tif", buffer.getvalue()))
    assert radiograph.stored[0].shape == np.asarray(shown).shape and np.abs(radiograph.stored[0].astype(int) - np.asarray(shown)).mean() < 8
    new = radiograph.stored.copy()
    new[0, :5] = 0
    images.write(radiograph, new, tmp_path / "b.tif", touched=True)
    again = images.read(tmp_path / "b.tif")
    assert np.array_equal(again.stored, new) and images.layout(again).orientation == orientation
