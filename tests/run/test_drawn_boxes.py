"""`annotate` and `remove --boxes`: LabelMe files out, drawn boxes and polygons in, and nothing is guessed."""

from __future__ import annotations

import json
import stat

import fakes
import numpy as np
import pydicom
import pytest
from test_header_run import dicom_file

from markerremover.audit import manifest_files
from markerremover.cli import main
from markerremover.cli.annotate import open_labelme
from markerremover.errors import AnnotationError, UsageError
from markerremover.labels import labelled_folder, labelme
from markerremover.options import RunOptions
from markerremover.records import Policy
from markerremover.review.proposals import annotate
from markerremover.run import batch, drawn_boxes
from markerremover.system.files import sha256_file

BOX = (70, 50, 100, 70)


def shape(points, kind="rectangle", label="marker", **more):
    return {"label": label, "points": points, "shape_type": kind, "flags": {}, "group_id": None, **more}


def note(path, image, shapes=(), reviewed=True, **more):
    document = {"version": "5.5.0", "flags": {"reviewed": reviewed}, "shapes": list(shapes), "imagePath": image, "imageData": None,
                "imageHeight": 96, "imageWidth": 128, **more}
    return fakes.put(path, json.dumps(document).encode())


def drawn(xyxy=BOX):
    return shape([[xyxy[0], xyxy[1]], [xyxy[2], xyxy[3]]])


def never(threads=1):
    raise AssertionError("nothing is to be looked for")


@pytest.fixture
def run(tmp_path, inputs, out, monkeypatch):
    """Notes for all but a few of the inputs, then the run; returns (summary, rows)."""
    monkeypatch.setattr(batch, "open_cleaner", never)

    def done(notes, **options):
        for relative, said in notes.items():
            note(tmp_path / "notes" / relative, **said)
        given = RunOptions(boxes=tmp_path / "notes", **options)
        summary = batch.remove([inputs], out, options=given)
        return summary, {row["relative"]: row for row in manifest_files.read_manifest(tmp_path / "out-audit" / manifest_files.MANIFEST)}

    return done


ALL = {f"{folder}/{n}.json": {"image": f"{n}.png"} for folder in "ab" for n in (0, 1)}


def test_what_was_drawn_goes_black_without_any_detector_and_nothing_else_changes(run, inputs, out):
    summary, rows = run(ALL | {"a/0.json": {"image": "0.png", "shapes": [drawn()]}})
    assert summary["by_hand"] and (summary["counts"]["cleaned"], summary["counts"]["unchanged"]) == (1, 3)
    wanted = fakes.read(inputs / "a" / "0.png").copy()
    wanted[50:70, 70:100] = 0
    assert np.array_equal(fakes.read(out / "a" / "0.png"),
        wanted), "also what a detector would have found stays: only what was drawn counts"
    (box,) = rows["a/0.png"]["boxes"]
    assert (box["xyxy"], box["label"], box["reason"]) == (list(BOX), "annotation", "drawn by hand")


def test_a_polygon_goes_and_not_the_box_around_it(run, inputs, out):
    triangle = shape([[70, 50], [110, 50], [70, 90]], "polygon")
    run(ALL | {"a/0.json": {"image": "0.png", "shapes": [triangle]}})
    new, old = fakes.read(out / "a" / "0.png"), fakes.read(inputs / "a" / "0.png")
    assert not new[50:89, 70].any() and not new[50, 70:109].any() and not new[60:65, 75:85].any()
    assert np.array_equal(new[80:90, 100:110], old[80:90, 100:110])


PROBLEMS = {
    "no file": None, "not reviewed": {"image": "0.png", "shapes": [drawn()],
        "reviewed": False}, "empty and not reviewed": {"image": "0.png", "reviewed": False},
    "of another image": {"image": "7.png"}, "a circle": {"image": "0.png", "shapes": [shape([[1, 1], [5, 5]], "circle")]},
    "one corner": {"image": "0.png", "shapes": [shape([[1, 1]])]}, "two corners of a polygon": {"image": "0.png",
        "shapes": [shape([[1, 1], [9, 9]], "polygon")]},
    "outside": {"image": "0.png", "shapes": [drawn((200, 200, 210, 210))]}, "no number": {"image": "0.png",
        "shapes": [shape([["a", 1], [5, 5]])]},
    "not finite": {"image": "0.png", "shapes": [shape([[float("inf"), 1], [5, 5]])]}, "of another file": {"image": "0.png",
        "markerremover": {"sha256": "00", "frame": 0}},
}


@pytest.mark.parametrize("said", PROBLEMS.values(), ids=PROBLEMS)
def test_a_doubtful_annotation_is_a_row_without_output_never_nothing_burnt_in(run, out, said):
    notes = {name: value for name, value in ALL.items() if name != "a/0.json"} | ({"a/0.json": said} if said else {})
    summary, rows = run(notes)
    assert rows["a/0.png"]["status"] in ("failed", "held") and not (out / "a" / "0.png").exists()
    assert rows["a/0.png"]["reason"] and summary["counts"]["unchanged"] == 3


@pytest.mark.parametrize("data", [b"{", b"[]", b"\xff", b"[" * 100_000, b'{"markerremover": 1}'])
def test_what_is_no_labelme_file_fails_its_image(tmp_path, run, out, data):
    fakes.put(tmp_path / "notes" / "a" / "0.json", data)
    _, rows = run({name: said for name, said in ALL.items() if name != "a/0.json"})
    assert rows["a/0.png"]["status"] == "failed" and "annotation" in rows["a/0.png"]["reason"] and not (out / "a" / "0.png").exists()


def test_a_laterality_shape_stays_only_where_it_says_that_it_reads_a_kept_sign(run, out, inputs):
    sign = {"image": "0.png", "shapes": [shape([[70, 50], [100, 70]], label="laterality", description="L mirrored")]}
    unread = {"image": "1.png", "shapes": [shape([[70, 50], [100, 70]], label="laterality")]}
    _, rows = run(ALL | {"a/0.json": sign, "a/1.json": unread})
    assert rows["a/0.png"]["status"] == "unchanged" and rows["a/1.png"]["status"] == "cleaned"


def test_another_annotation_is_another_run_for_resume(run, out):
    run(ALL)
    assert run(ALL, resume=True)[0]["resumed"] == 4
    summary, _ = run({"a/0.json": {"image": "0.png", "shapes": [drawn()]}}, resume=True)
    assert summary["resumed"] == 0 and not fakes.read(out / "a" / "0.png")[50:70, 70:100].any()


def test_a_dicom_file_claims_no_check(tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "open_cleaner", never)
    dicom_file(tmp_path / "in" / "1.dcm", BurnedInAnnotation="YES")
    note(tmp_path / "notes" / "1.json", "1.dcm", [drawn()])
    summary = batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(boxes=tmp_path / "notes"))
    assert summary["counts"]["cleaned"] == 1
    written = pydicom.dcmread(tmp_path / "out" / "1.dcm")
    assert written.BurnedInAnnotation == "YES" and not written.pixel_array[50:70, 70:100].any()


def test_paths_with_pseudonyms_and_workers(run, out):
    summary, rows = run(ALL | {"a/0.json": {"image": "0.png", "shapes": [drawn()]}}, paths="pseudonym", workers=2)
    assert summary["counts"]["cleaned"] == 1 and summary["counts"]["unchanged"] == 3 and not any("a/" in name for name in rows)


def test_wrong_use_is_refused(tmp_path, inputs, out):
    (tmp_path / "empty").mkdir()
    for boxes, match in ((tmp_path / "none", "no such folder"), (tmp_path / "empty", "no LabelMe"), ):
        with pytest.raises(UsageError, match=match):
            batch.remove([inputs], out, options=RunOptions(boxes=boxes))
    with pytest.raises(UsageError, match="second-look"):
        RunOptions(boxes=tmp_path, second_look=True)


def test_the_command_line(run, tmp_path, inputs, out, capsys):
    for name, said in ALL.items():
        note(tmp_path / "notes" / name, **said)
    assert main.main(["remove", str(inputs), "-o", str(out), "--boxes", str(tmp_path / "notes"), "--time-limit", "0"]) == 0
    assert "only drawn boxes were removed" in capsys.readouterr().out


# annotate


def annotated(inputs, folder, **options):
    return annotate([inputs], folder, policy=Policy(keep=()), open_cleaner=fakes.cleaner, **options)


def test_proposals_lie_where_labelme_and_finetune_look_and_count_only_once_reviewed(tmp_path, inputs):
    done = annotated(inputs, tmp_path / "labels")
    assert done == {"written": 4, "kept": 0, "failed": []}
    paths = sorted((tmp_path / "labels" / "annotations").iterdir())
    for path in paths:
        data = json.loads(path.read_text())
        assert data["flags"] == {"reviewed": False} and (path.parent / data["imagePath"]).is_file()
        with pytest.raises(AnnotationError, match="nobody has reviewed"):
            labelme.read(path)
        path.write_text(json.dumps(data | {"flags": {"reviewed": True}}))
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in (tmp_path / "labels").rglob("*") if p.is_file())
    samples = labelled_folder.load_samples(tmp_path / "labels", None)
    assert [[e.xyxy for e in s.annotation.elements] for s in samples] == [[fakes.NAME_BOX]] * 4
    assert {s.patient for s in samples} == {"a", "b"}


def test_a_second_call_keeps_what_was_corrected(tmp_path, inputs):
    annotated(inputs, tmp_path / "labels")
    (path, *_) = sorted((tmp_path / "labels" / "annotations").iterdir())
    path.write_text("corrected")
    fakes.put(inputs / "new.png", fakes.png(fakes.radiograph(8)))
    assert annotated(inputs, tmp_path / "labels") == {"written": 1, "kept": 4, "failed": []} and path.read_text() == "corrected"


def test_what_cannot_be_read_is_said_and_the_rest_goes_on(tmp_path, inputs):
    fakes.put(inputs / "notes.txt", b"hello")
    said = []
    assert annotated(inputs, tmp_path / "labels", say=said.append)["failed"] == ["notes.txt"] and "notes.txt" in said[0]
    with pytest.raises(UsageError, match="nested"):
        annotated(inputs, inputs / "labels")


def test_there_and_back_again(tmp_path, inputs, out, monkeypatch):
    dicom_file(inputs / "a" / "0.dcm", "4711-X")  # the same stem as a/0.png
    annotated(inputs, tmp_path / "labels")
    for path in (tmp_path / "labels" / "annotations").iterdir():
        data = json.loads(path.read_text())
        data["flags"]["reviewed"] = True
        path.write_text(json.dumps(data))
    monkeypatch.setattr(batch, "open_cleaner", never)
    summary = batch.remove([inputs], out, options=RunOptions(boxes=tmp_path / "labels" / "annotations"))
    assert summary["counts"]["cleaned"] == 5
    x1, y1, x2, y2 = fakes.NAME_BOX
    assert not any(fakes.read(path)[y1:y2, x1:x2].any() for path in out.rglob("*.png"))
    assert not pydicom.dcmread(out / "a" / "0.dcm").pixel_array[y1:y2, x1:x2].any()


def test_annotations_are_found_by_the_image_they_were_made_of_whatever_their_name(tmp_path, inputs):
    target = inputs / "a" / "0.png"
    origin = {"sha256": sha256_file(target), "frame": 0}
    note(tmp_path / "notes" / "else.json", "x.png", [drawn()], markerremover=origin)
    found = drawn_boxes.corrections(drawn_boxes.read(tmp_path / "notes"), "a/0.png", origin["sha256"], ())
    assert [m.xyxy for m in found.marks] == [BOX] and found.alone


def test_labelme_is_started_on_the_folder_or_its_absence_is_said(tmp_path, inputs, monkeypatch, capsys):
    from importlib import util

    monkeypatch.setattr("markerremover.redaction.cleaning.open_cleaner", lambda policy, **_: fakes.cleaner())
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    folder = tmp_path / "labels"
    assert main.main(["annotate", str(inputs), "-o", str(folder), "--keep", "none"]) == 2
    printed = capsys.readouterr()
    assert "extra `label`" in printed.err and "4 annotations written" in printed.out
    assert main.main(["annotate", str(inputs), "-o", str(folder), "--keep", "none", "--no-open"]) == 0
    started = []
    monkeypatch.setattr(util, "find_spec", lambda name: name)
    monkeypatch.setattr("subprocess.run", lambda command, **_: started.append(command))
    open_labelme(folder)
    assert str(folder / "images") in started[0] and str(folder / "annotations") in started[0] and "reviewed" in started[0]


@pytest.mark.parametrize("options", [{"shard": (1, 2)}, {"engine": "ray"}, {"policy": Policy(style="fill")}], ids=str)
def test_drawn_boxes_do_not_go_with_what_does_not_heed_them(tmp_path, options):
    with pytest.raises(UsageError, match="--boxes"):
        RunOptions(boxes=tmp_path, **options)


# masks and templates


def painted(path, removed, value=255, **more):
    """A mask on the disk; removed: (H, W) bool."""
    return fakes.put(path, fakes.png(removed.astype(np.uint8) * value, **more))


def blank(shape=fakes.SHAPE):
    return np.zeros(shape, bool)


def ring():
    removed = blank()
    removed[40:80, 60:110] = True
    removed[50:70, 75:95] = False
    removed[5:8, 120:125] = True
    return removed


@pytest.fixture
def by_mask(tmp_path, inputs, out, monkeypatch):
    """A run with LabelMe files for all inputs but a/0.png, which has the mask of these bytes; returns (summary, rows)."""
    monkeypatch.setattr(batch, "open_cleaner", never)

    def done(data, name="a/0.png.mask.png", **options):
        fakes.put(tmp_path / "notes" / name, data)
        for relative, said in ALL.items():
            if relative != "a/0.json":
                note(tmp_path / "notes" / relative, **said)
        summary = batch.remove([inputs], out, options=RunOptions(boxes=tmp_path / "notes", **options))
        return summary, {row["relative"]: row for row in manifest_files.read_manifest(tmp_path / "out-audit" / manifest_files.MANIFEST)}

    return done


def with_palette(removed, colours):
    from PIL import Image

    picture = Image.fromarray(removed.astype(np.uint8))
    picture.putpalette([value for colour in colours for value in colour])
    return saved(picture)


def saved(picture, **more):
    import io

    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **more)
    return buffer.getvalue()


def one_bit(removed):
    from PIL import Image

    return saved(Image.fromarray(removed))


KINDS_OF_MASK = {
    "white": lambda m: fakes.png(m.astype(np.uint8) * 255), "ones": lambda m: fakes.png(m.astype(np.uint8)),
    "16 bits": lambda m: fakes.png(m.astype(np.uint16)), "one bit": one_bit,
    "red": lambda m: fakes.png(np.stack([m * np.uint8(9), m * np.uint8(0), m * np.uint8(0)], axis=-1)),
    "palette": lambda m: with_palette(m, [(0, 0, 0), (128, 0, 0)]),
}


@pytest.mark.parametrize("encoded", KINDS_OF_MASK.values(), ids=KINDS_OF_MASK)
def test_exactly_the_pixels_of_a_mask_go_and_its_areas_are_the_boxes(by_mask, inputs, out, encoded):
    summary, rows = by_mask(encoded(ring()))
    wanted = fakes.read(inputs / "a" / "0.png").copy()
    wanted[ring()] = 0
    assert np.array_equal(fakes.read(out / "a" / "0.png"), wanted) and wanted[60, 85], "not the box around it"
    assert [(b["xyxy"], b["area_px"], b["reason"]) for b in rows["a/0.png"]["boxes"]] == [
        ([120, 5, 125, 8], 15, "drawn by hand"), ([60, 40, 110, 80], 1600, "drawn by hand")]
    assert summary["counts"]["cleaned"] == 1 and summary["counts"]["unchanged"] == 3 and summary["by_hand"]


@pytest.mark.parametrize("name", ["a/0.mask.png", "a/0.png.mask.png"])
def test_a_mask_is_found_by_the_path_of_its_image(by_mask, name):
    assert by_mask(one_bit(ring()), name)[1]["a/0.png"]["status"] == "cleaned"


def doubtful_masks():
    from PIL import Image

    half = np.dstack([ring().astype(np.uint8) * 255] * 3 + [np.full(fakes.SHAPE, 128, np.uint8)])
    frames = [Image.fromarray(ring().astype(np.uint8) * n) for n in (1, 2)]
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = one_bit(ring())
    return {
        "empty": one_bit(blank()), "of another size": one_bit(blank((128, 96)) | True), "larger": one_bit(blank((192, 256)) | True),
        "no picture": b"nothing", "nothing at all": b"", "truncated": whole[:-30], "damaged": whole[:60] + b"?" + whole[61:],
        "JPEG": fakes.jpeg(ring().astype(np.uint8) * 255), "transparent": saved(Image.fromarray(half)),
        "animated": saved(frames[0], save_all=True, append_images=frames[1:]), "turned": saved(Image.fromarray(ring().astype(np.uint8)), exif=exif),
        "white as zero": with_palette(ring(), [(255, 255, 255), (0, 0, 0)]), "two blacks": with_palette(ring(), [(0, 0, 0), (0, 0, 0)]),
        "a thousand specks": one_bit(np.indices(fakes.SHAPE).sum(axis=0) % 2 * (np.indices(fakes.SHAPE)[0] % 2) > 0),
    }


@pytest.mark.parametrize("name", doubtful_masks())
def test_a_doubtful_mask_is_a_row_without_output_and_says_why(by_mask, out, name):
    summary, rows = by_mask(doubtful_masks()[name])
    row = rows["a/0.png"]
    assert row["status"] in ("failed", "held") and "mask" in row["reason"] and not (out / "a" / "0.png").exists()
    assert summary["counts"]["unchanged"] == 3
    if name == "empty":
        assert "reviewed LabelMe file without shapes" in row["reason"]
    if name == "larger":
        assert "256x192" in row["reason"] and "128x96" in row["reason"]


def test_an_image_with_a_mask_and_a_labelme_file_fails(by_mask, tmp_path, out):
    note(tmp_path / "notes" / "a" / "0.json", "0.png", [drawn()])
    row = by_mask(one_bit(ring()))[1]["a/0.png"]
    assert row["status"] == "failed" and "both" in row["reason"] and not (out / "a" / "0.png").exists()


def test_a_mask_that_changes_during_the_run_is_not_used(tmp_path):
    from markerremover.formats.placement import Layout
    from markerremover.labels import masks

    path = painted(tmp_path / "notes" / "0.mask.png", ring())
    found = drawn_boxes.corrections(drawn_boxes.read(tmp_path / "notes"), "0.png", "00", ())
    assert len(masks.placed(found, Layout(fakes.SHAPE)).marks) == 2
    painted(path, blank() | True)
    with pytest.raises(AnnotationError, match="changed since the run began"):
        masks.placed(found, Layout(fakes.SHAPE))
    path.unlink()
    with pytest.raises(AnnotationError, match="cannot be read"):
        masks.placed(found, Layout(fakes.SHAPE))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_on_a_jpeg_file_that_is_turned_for_display_is_turned_back(tmp_path, out, monkeypatch, orientation):
    import io

    from PIL import Image, ImageOps

    monkeypatch.setattr(batch, "open_cleaner", never)
    exif = Image.Exif()
    exif[0x0112] = orientation
    grey = np.full((64, 96), 200, np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "JPEG", quality=95, exif=exif)
    fakes.put(tmp_path / "in" / "0.jpg", buffer.getvalue())
    upright = np.zeros_like(np.array(ImageOps.exif_transpose(Image.open(buffer))), bool)
    upright[8:16, 8:24] = upright[16:32, 8:16] = True  # an L, which differs in every orientation
    painted(tmp_path / "notes" / "0.mask.png", upright)
    summary = batch.remove([tmp_path / "in"], out, options=RunOptions(boxes=tmp_path / "notes"))
    assert summary["counts"]["cleaned"] == 1
    shown = np.array(ImageOps.exif_transpose(Image.open(out / "0.jpg")).convert("L"))
    assert (shown[upright] < 30).all() and (shown[~upright] > 170).all()


def test_one_mask_counts_in_all_frames(tmp_path, out, monkeypatch):
    from dicom_files import save

    monkeypatch.setattr(batch, "open_cleaner", never)
    frames = np.stack([fakes.radiograph(n, dtype=np.uint16) >> 4 for n in range(3)])
    (tmp_path / "in").mkdir()
    save(tmp_path / "in", frames, name="0.dcm", NumberOfFrames=3)
    painted(tmp_path / "notes" / "0.mask.png", ring())
    summary = batch.remove([tmp_path / "in"], out, options=RunOptions(boxes=tmp_path / "notes"))
    assert summary["counts"]["cleaned"] == 1
    new = pydicom.dcmread(out / "0.dcm").pixel_array
    assert np.array_equal(new[:, ~ring()], frames[:, ~ring()]) and len(np.unique(new[:, ring()])) == 1, "one black, in every frame"


def test_the_last_number_of_a_uid_is_no_suffix(tmp_path):
    painted(tmp_path / "notes" / "1.2.mask.png", ring())
    notes = drawn_boxes.read(tmp_path / "notes")
    assert drawn_boxes.corrections(notes, "1.2", "00", ()).mask and drawn_boxes.corrections(notes, "1.2.dcm", "00", ()).mask
    with pytest.raises(AnnotationError, match="no annotation"):
        drawn_boxes.corrections(notes, "1.2.3", "00", ())


def template(tmp_path, kind):
    if kind == "mask":
        return painted(tmp_path / "template.png", ring())
    return note(tmp_path / "template.json", "any.png", [shape([[60, 40], [110, 80]]), shape([[120, 5], [125, 8]])])


@pytest.mark.parametrize("kind", ["mask", "LabelMe"])
def test_a_template_counts_for_every_image_of_its_size(tmp_path, inputs, out, monkeypatch, kind):
    monkeypatch.setattr(batch, "open_cleaner", never)
    fakes.put(inputs / "small.png", fakes.png(fakes.radiograph(8, shape=(90, 128))))
    summary = batch.remove([inputs], out, options=RunOptions(boxes_template=template(tmp_path, kind), workers=2))
    assert (summary["counts"]["cleaned"], summary["counts"]["held"]) == (4, 1) and summary["by_hand"]
    for path in inputs.glob("*/*.png"):
        old, new = fakes.read(path), fakes.read(out / path.relative_to(inputs))
        removed = ring()
        if kind == "LabelMe":
            removed[40:80, 60:110] = True
        assert np.array_equal(new, np.where(removed, 0, old))
    rows = manifest_files.read_manifest(tmp_path / "out-audit" / manifest_files.MANIFEST)
    (reason,) = [row["reason"] for row in rows if row["status"] == "held"]
    assert "128x96" in reason and "128x90" in reason and not (out / "small.png").exists()


@pytest.mark.parametrize("kind", ["mask", "LabelMe"])
def test_a_template_counts_in_every_frame(tmp_path, out, monkeypatch, kind):
    from dicom_files import save

    monkeypatch.setattr(batch, "open_cleaner", never)
    frames = np.stack([fakes.radiograph(n, dtype=np.uint16) >> 4 for n in range(2)])
    (tmp_path / "in").mkdir()
    save(tmp_path / "in", frames, name="0.dcm", NumberOfFrames=2)
    assert batch.remove([tmp_path / "in"], out, options=RunOptions(boxes_template=template(tmp_path, kind)))["counts"]["cleaned"] == 1
    assert len(np.unique(pydicom.dcmread(out / "0.dcm").pixel_array[:, 41:49, 61:109])) == 1


def test_an_annotation_of_its_own_goes_before_the_template_also_where_it_cannot_be_used(tmp_path, inputs, out, monkeypatch):
    monkeypatch.setattr(batch, "open_cleaner", never)
    painted(tmp_path / "notes" / "a" / "0.mask.png", blank())
    note(tmp_path / "notes" / "a" / "1.json", "1.png")
    options = RunOptions(boxes=tmp_path / "notes", boxes_template=template(tmp_path, "mask"))
    counts = batch.remove([inputs], out, options=options)["counts"]
    assert (counts["cleaned"], counts["unchanged"], counts["failed"]) == (2, 1, 1)


def test_another_template_is_another_run_for_resume(tmp_path, inputs, out, monkeypatch):
    monkeypatch.setattr(batch, "open_cleaner", never)
    path = template(tmp_path, "mask")
    for removed, resumed in ((ring(), 0), (ring(), 4), (~ring(), 0)):
        painted(path, removed)
        assert batch.remove([inputs], out, options=RunOptions(boxes_template=path, resume=True))["resumed"] == resumed


def test_a_template_that_says_nothing_is_refused_before_anything_is_done(tmp_path, inputs, out):
    said = {
        "no.png": one_bit(blank()), "no.json": json.dumps({"flags": {"reviewed": True}, "shapes": [], "imagePath": "x", "imageHeight": 96, "imageWidth": 128}).encode(),
        "unreviewed.json": json.dumps({"shapes": [drawn()], "imagePath": "x", "imageHeight": 96, "imageWidth": 128}).encode(),
        "sizeless.json": json.dumps({"flags": {"reviewed": True}, "shapes": [drawn()], "imagePath": "x"}).encode(),
        "text.json": b"{}", "broken.json": b"{", "cut.png": one_bit(ring())[:-9],
    }
    for name, data in said.items():
        fakes.put(tmp_path / name, data)
        with pytest.raises(UsageError, match=name):
            batch.remove([inputs], out, options=RunOptions(boxes_template=tmp_path / name))
    with pytest.raises(UsageError, match="cannot be read"):
        batch.remove([inputs], out, options=RunOptions(boxes_template=tmp_path / "none.json"))
    assert not out.exists()


def test_a_template_of_markers_to_retain_only_passes_no_image_on(tmp_path, inputs, out, monkeypatch):
    monkeypatch.setattr(batch, "open_cleaner", never)
    path = note(tmp_path / "template.json", "any.png", [shape([[70, 50], [100, 70]], label="laterality", description="L")])
    assert batch.remove([inputs], out, options=RunOptions(boxes_template=path))["counts"]["failed"] == 4


@pytest.mark.parametrize("options", [{"shard": (1, 2)}, {"engine": "ray"}, {"policy": Policy(style="fill")}, {"second_look": True}, {"batch": 2}], ids=str)
def test_a_template_does_not_go_with_what_does_not_heed_it(tmp_path, options):
    with pytest.raises(UsageError, match="--boxes"):
        RunOptions(boxes_template=tmp_path / "t.png", **options)
