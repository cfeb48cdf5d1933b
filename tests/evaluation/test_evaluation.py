"""`evaluate`: a folder of results against truth; every rate, what is broken down, what is an error, and what is said in words."""

import datetime
import hashlib
import json
import shutil

import cv2
import numpy as np
import pytest
from test_judge import ANNOTATION, NAME, before, blacked  # noqa: F401

from markerremover.cli import evaluate as evaluate_command
from markerremover.cli import main
from markerremover.errors import AnnotationError, UsageError
from markerremover.evaluation import evaluate
from markerremover.labels import labelme
from markerremover.records import Annotation


class Reads:
    """An OCR engine that reads the name wherever anything stands in the middle."""

    def read(self, images, *, whitelist=None, psm=10):
        middles = (image[len(image) // 3 : -len(image) // 3, image.shape[1] // 3 : -image.shape[1] // 3] for image in images)
        return [("xAnna9" if np.ptp(middle) else "", 0.9) for middle in middles]


@pytest.fixture
def site(tmp_path, before):  # noqa: F811
    """Inputs, truth and results of three images of two patients: cleaned, left as it was, and one without markings."""
    for name in ("in", "truth", "out"):
        (tmp_path / name / "sub").mkdir(parents=True)
    plain = np.full((300, 300), 80, np.uint8)
    for name, image, out, elements in (
        ("p1_a", before, blacked(before, NAME), ANNOTATION.elements), ("p1_b", before, before, ANNOTATION.elements), ("p2_c", plain, plain, ()),
    ):
        cv2.imwrite(str(tmp_path / "in" / "sub" / f"{name}.png"), image)
        cv2.imwrite(str(tmp_path / "out" / "sub" / f"{name}.png"), out)
        labelme.write(tmp_path / "truth" / "sub" / f"{name}.json", Annotation(f"{name}.png", (300, 300), elements))
    return tmp_path


def evaluated(site, **options):
    return evaluate.evaluate(site / "out", site / "truth", site / "in", **options)


def test_every_rate_has_its_counts_and_interval(site):
    document, rows = evaluated(site, reader=Reads)
    assert [document[name]["k"] for name in ("recall", "deid", "retention", "untouched", "patients", "readable", "leaks")] == [1, 1, 2, 1, 0, 1, 1]
    assert [document[name]["n"] for name in ("recall", "deid", "retention", "untouched", "patients", "readable", "leaks")] == [2, 2, 2, 1, 0, 2, 2]
    assert document["recall"]["low95"] == pytest.approx(0.0126, abs=1e-4) and document["images"] == len(rows) == 3
    assert document["false_regions"]["k"] == 0 and document["false_regions"]["n"] == 3 and document["anatomy_removed"]["value"] == 0
    assert document["by"]["height"] == {"24 to 40 px": {"recall": document["recall"], "retention": document["retention"]}}
    assert document["by"]["kind"] == {"laterality marker, upright": {"retention": document["retention"]}, "words": {"recall": document["recall"]}}
    assert document["by"]["site"]["sub"]["deid"] == document["deid"] and document["run"] is None
    assert evaluate.by_patient(rows) == {}, "a file name does not say whose an image is"
    assert [f["image"] for f in document["failures"]] == ["sub/p1_b.png"] and document["failures"][0]["missed"] == [list(NAME)]


def test_a_missing_result_counts_as_nothing_removed_or_kept(site):
    (site / "out" / "sub" / "p1_a.png").unlink()
    (site / "out" / "sub" / "p2_c.png").write_bytes(b"broken")
    document, _ = evaluated(site)
    assert document["missing"] == 2 and document["recall"]["k"] == 0 and document["retention"]["k"] == 1 and document["untouched"]["n"] == 0
    assert any("no result" in line for line in evaluate.table(document))


def test_a_result_is_found_under_another_suffix_and_under_its_pseudonym(site):
    (site / "out" / "sub" / "p1_a.png").rename(site / "out" / "sub" / "p1_a.tif")
    image = cv2.imread(str(site / "out" / "sub" / "p1_a.tif"), 0)
    cv2.imwrite(str(site / "out" / "sub" / "p1_a.tif"), image)
    (site / "out" / "X").mkdir()
    (site / "out" / "sub" / "p2_c.png").rename(site / "out" / "X" / "Y.png")
    (site / "out-audit").mkdir()
    (site / "out-audit" / "paths.jsonl").write_text(json.dumps({"input": "sub/p2_c.png", "relative": "X/Y.png"}) + "\n")
    document, _ = evaluated(site)
    assert document["missing"] == 0 and document["recall"]["k"] == 1 and document["untouched"]["k"] == 1


def test_black_areas_do_not_change_how_the_rest_of_16_bits_is_seen(tmp_path):
    rng = np.random.default_rng(2)
    image = rng.normal(9000, 200, (300, 300)).astype(np.uint16)
    image[cv2.putText(np.zeros((300, 300), np.uint8), "ANNA", (44, 66), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 1, 3) > 0] = 12000
    for name in ("in", "out", "truth"):
        (tmp_path / name).mkdir()
    cv2.imwrite(str(tmp_path / "in" / "a.png"), image)
    cv2.imwrite(str(tmp_path / "out" / "a.png"), blacked(image, NAME))
    labelme.write(tmp_path / "truth" / "a.json", Annotation("a.png", (300, 300), ANNOTATION.elements[:1]))
    document, _ = evaluated(tmp_path)
    assert document["recall"]["k"] == 1 and document["anatomy_removed"]["value"] == 0 and document["false_regions"]["k"] == 0


def test_several_processes_give_what_one_gives(site):
    one, rows = evaluated(site, reader=Reads)
    assert (one, [r.name for r in rows]) == ((found := evaluated(site, reader=Reads, workers=2))[0], [r.name for r in found[1]])


def test_a_wrong_truth_is_told_from_another_process_too(site):
    labelme.write(site / "truth" / "sub" / "p1_a.json", Annotation("p1_a.png", (299, 300), ()))
    with pytest.raises(AnnotationError, match="p1_a.*its truth is of an image of 300x299 pixels, this one has 300x300"):
        evaluated(site, workers=2)


def test_sites_and_patients_are_taken_from_tables(site):
    (site / "sites.csv").write_text("image,site\np1_a.png,north\np1_b.png,south\np2_c.png,south\n")
    (site / "split.csv").write_text("image,patient,part\np1_a.png,anna,val\np1_b.png,anna,val\np2_c.png,berta,val\n")
    document, rows = evaluated(site, sites=site / "sites.csv", split=f"{site / 'split.csv'}=val")
    assert [row.patient for row in rows] == ["anna", "anna", "berta"]
    assert evaluate.by_patient(rows) == {
        "anna": {"images": 2, "annotations": 2, "removed": 1, "laterality_markers": 2, "retained": 2},
        "berta": {"images": 1, "annotations": 0, "removed": 0, "laterality_markers": 0, "retained": 0},
    } and (document["patients"]["k"], document["patients"]["n"]) == (0, 1)
    assert [document["by"]["site"][name]["recall"]["value"] for name in ("north", "south")] == [1, 0]
    (site / "sites.csv").write_text("image,site\np1_a.png,north\n")
    with pytest.raises(UsageError, match="no row of sub/p1_b.png"):
        evaluated(site, sites=site / "sites.csv")
    (site / "sites.csv").write_text("image,hospital\np1_a.png,north\n")
    with pytest.raises(UsageError, match="no column 'site'"):
        evaluated(site, sites=site / "sites.csv")


def manifest(site, *rows):
    """A manifest and summary beside the results, as a run of ours leaves them."""
    audit = site / "out-audit"
    audit.mkdir()
    (audit / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (audit / "summary.json").write_text(json.dumps({"version": "1", "weights": {"sha256": "ab"}, "backend": "a CPU"}))


def test_a_run_of_ours_is_also_judged_by_its_boxes(site, capsys):
    boxes = [{"frame": 0, "xyxy": [38, 38, 142, 72], "action": "remove"}, {"frame": 0, "xyxy": [218, 38, 252, 82], "action": "keep"},
             {"frame": 0, "xyxy": [10, 200, 40, 240], "action": "remove"}]
    manifest(site, {"relative": "sub/p1_a.png", "status": "cleaned", "boxes": boxes}, {"relative": "sub/p1_b.png", "status": "held", "boxes": boxes[:1]},
             {"relative": "sub/p2_c.png", "status": "unchanged", "boxes": []})
    document, _ = evaluated(site)
    alone = evaluate.evaluate_boxes(site / "out", site / "truth")
    assert document["published_measures"] == alone["published_measures"] and alone["run"] == document["run"]
    assert {name: (r["k"], r["n"]) for name, r in alone["published_measures"].items()} == {
        "deidentification_accuracy": (1, 2), "false_positive_rate": (1, 4), "retention_accuracy": (1, 2)}
    assert document["images_without_annotations"] == alone["images_without_annotations"] == 1
    assert document["run"] == {"version": "1", "weights_sha256": "ab", "backend": "a CPU"}
    command = ["evaluate", str(site / "out"), "--truth", str(site / "truth")]
    assert main.main([*command, "--json", str(site / "b.json")]) == 0
    printed = capsys.readouterr().out
    assert "as published, laterality markers retained: 50.0 % (1/2" in printed and "1 radiograph without such annotations left out" in printed and json.loads((site / "b.json").read_text()) == alone
    assert main.main([*command, "--report", str(site / "r")]) == 2
    assert "--report: needs the images" in capsys.readouterr().err


def test_what_stays_of_a_marking_in_a_kept_box_is_counted_apart(site):
    """p1_b keeps its name: as a laterality marker in the one run, because no box was there in the other."""
    counted = {}
    for name, action in (("kept", "keep"), ("missed", "remove")):
        manifest(site, {"relative": "sub/p1_a.png", "status": "cleaned", "boxes": []},
                 {"relative": "sub/p1_b.png", "status": "cleaned", "boxes": [{"frame": 0, "xyxy": [38, 38, 142, 72], "action": action}]},
                 {"relative": "sub/p2_c.png", "status": "unchanged", "boxes": []})
        document, _ = evaluated(site)
        counted[name] = document["letters_retained"]["k"], document["letters_retained"]["n"]
        assert any("other annotations retained as laterality markers" in line for line in evaluate.table(document))
        shutil.rmtree(site / "out-audit")
    assert counted == {"kept": (1, 2), "missed": (0, 2)} and "letters_retained" not in evaluated(site)[0]


def test_without_a_manifest_boxes_cannot_be_judged(site, capsys):
    assert main.main(["evaluate", str(site / "out"), "--truth", str(site / "truth")]) == 2
    assert "no manifest" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_an_error(site, capsys):
    command = ["evaluate", str(site / "out"), "--truth", str(site / "truth"), "--inputs", str(site / "in"), "--no-ocr", "--workers", "1"]
    assert main.main([*command, "--json", str(site / "none" / "r.json")]) == 1
    assert "cannot be written" in capsys.readouterr().err
    assert main.main([*command[:-1], "0"]) == 2


def test_only_the_images_of_the_split(site):
    (site / "split.csv").write_text("image,part\np1_a.png,val\n")
    document, _ = evaluated(site, split=f"{site / 'split.csv'}=val")
    assert document["images"] == 1 and document["deid"]["value"] == 1
    assert document["sentences"][0] == "0 images in which something was left of 1 images with annotations: the true rate is below 95.0 % with 95 % confidence."


@pytest.mark.parametrize("wrong", ["missing", "twice", "size", "frames"])
def test_truth_that_does_not_fit_its_image_is_an_error_that_names_it(site, wrong):
    path = site / "in" / "sub" / "p1_a.png"
    if wrong == "missing":
        path.unlink()
    elif wrong == "twice":
        labelme.write(site / "truth" / "again.json", Annotation("sub/p1_a.png", (300, 300), ()), "../in/sub/p1_a.png")
    elif wrong == "size":
        labelme.write(site / "truth" / "sub" / "p1_a.json", Annotation("p1_a.png", (299, 300), ()))
    else:
        from PIL import Image

        image = Image.fromarray(np.zeros((300, 300), np.uint8))
        path.unlink()
        image.save(path.with_suffix(".tif"), save_all=True, append_images=[image])
        labelme.write(site / "truth" / "sub" / "p1_a.json", Annotation("p1_a.tif", (300, 300), ()))
    with pytest.raises(AnnotationError, match="p1_a"):
        evaluated(site)


def test_wrong_folders_are_wrong_use(site, capsys):
    assert main.main(["evaluate", str(site / "none"), "--truth", str(site / "truth"), "--inputs", str(site / "in")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_the_command_prints_the_table_and_writes_figures_and_statement(site, capsys):
    command = ["evaluate", str(site / "out"), "--truth", str(site / "truth"), "--inputs", str(site / "in"), "--no-ocr",
               "--json", str(site / "r.json"), "--statement", str(site / "s.md")]
    assert main.main(command) == 0
    printed = capsys.readouterr().out
    assert "annotations removed" in printed and "50.0 % (1/2" in printed and "sub/p1_b.png: 1 missed" in printed
    document = json.loads((site / "r.json").read_text())
    assert all({"value", "k", "n"} <= set(document[name]) for name in ("recall", "deid", "retention", "false_regions", "anatomy_removed"))
    text = (site / "s.md").read_text()
    assert "In 1 of the 2 checked images" in text and "fewer than 97.5 %" in text and datetime.date.today().isoformat() in text


@pytest.mark.parametrize(("k", "n", "bound"), [(0, 50, 0.0582), (0, 300, 0.00994), (1, 2, 0.9747), (3, 3, 1.0), (0, 0, 1.0)])
def test_the_bound_from_above_is_one_sided_and_exact(k, n, bound):
    assert evaluate.upper_bound(k, n) == pytest.approx(bound, abs=1e-4)


def test_a_statement_with_missing_results_says_so(site):
    (site / "out" / "sub" / "p1_b.png").unlink()
    document, _ = evaluated(site)
    assert "1 of the images has no result" in evaluate_command.statement(document, datetime.date(2026, 1, 2))


def test_what_annotate_writes_can_be_evaluated(site, capsys):
    """Its pictures have names of their own; the SHA-256 of the original says which image each is about."""
    from markerremover.review import labels

    for name in ("p1_a", "p1_b", "p2_c"):
        original, patient = site / "in" / "sub" / f"{name}.png", {"patient": "x"} if name != "p2_c" else {}
        (site / "truth" / "sub" / f"{name}.json").unlink()
        origin = {"sha256": hashlib.sha256(original.read_bytes()).hexdigest(), "frame": 0, **patient}
        labels.write(site / "L", labels.name_of(f"sub/{name}.png"), cv2.imread(str(original), 0), ANNOTATION.elements if patient else (), reviewed=True, origin=origin)
    document, rows = evaluate.evaluate(site / "out", site / "L" / "annotations", site / "in")
    assert [row.name for row in rows] == ["sub/p1_a.png", "sub/p1_b.png", "sub/p2_c.png"] and [row.patient for row in rows] == ["x", "x", ""]
    assert document["recall"]["k"] == 1 and (document["patients"]["k"], document["patients"]["n"]) == (0, 1)
    boxes = [{"frame": 0, "xyxy": [38, 38, 142, 72], "action": "remove"}]
    manifest(site, *({"relative": f"sub/{name}.png", "status": "cleaned", "boxes": boxes, "sha256_in": hashlib.sha256((site / "in" / "sub" / f"{name}.png").read_bytes()).hexdigest()}
                     for name in ("p1_a", "p1_b")))
    command = ["evaluate", str(site / "out"), "--truth", str(site / "L" / "annotations")]
    assert main.main(command) == 1 and "is missing in the manifest of" in capsys.readouterr().err, "an image that the run never saw is no loss"
    (site / "L" / "annotations" / f"{labels.name_of('sub/p2_c.png')}.json").unlink()
    assert main.main(command) == 0 and "100.0 % (2/2" in capsys.readouterr().out


def test_equal_names_in_two_folders_are_judged_each_for_itself(tmp_path, before):  # noqa: F811
    for folder, after in (("a", blacked(before, NAME)), ("b", before)):
        for part, image in (("in", before), ("out", after)):
            (tmp_path / part / folder).mkdir(parents=True)
            cv2.imwrite(str(tmp_path / part / folder / "x.png"), image)
    images = [{"id": i, "file_name": f"{folder}/x.png", "height": 300, "width": 300} for i, folder in enumerate("ab")]
    entries = [{"image_id": i, "category_id": 0, "bbox": [NAME[0], NAME[1], NAME[2] - NAME[0], NAME[3] - NAME[1]]} for i in (0, 1)]
    (tmp_path / "c.json").write_text(json.dumps({"categories": [{"id": 0, "name": "marker"}], "images": images, "annotations": entries}))
    document, _ = evaluate.evaluate(tmp_path / "out", tmp_path / "c.json", tmp_path / "in")
    assert document["recall"]["k"] == 1 and [f["image"] for f in document["failures"]] == ["b/x.png"]
    (tmp_path / "split.csv").write_text("\ufeffimage;split\na/x.png;val\nb/x.png;train\n")
    assert evaluate.evaluate(tmp_path / "out", tmp_path / "c.json", tmp_path / "in", split=f"{tmp_path / 'split.csv'}=val")[0]["deid"]["value"] == 1
    for row, words in (("x.png", "could be several images: write its path"), ("c/x.png", "has no annotation")):
        (tmp_path / "split.csv").write_text(f"image;split\n{row};val\n")
        with pytest.raises(UsageError, match=words):
            evaluate.evaluate(tmp_path / "out", tmp_path / "c.json", tmp_path / "in", split=f"{tmp_path / 'split.csv'}=val")


def test_the_result_of_another_input_is_not_taken_and_two_results_are_an_error(site):
    """x.png is the result of x.png, not of x.jpg beside it."""
    image = cv2.imread(str(site / "in" / "sub" / "p1_a.png"), 0)
    cv2.imwrite(str(site / "in" / "sub" / "p1_a.jpg"), image)
    labelme.write(site / "truth" / "sub" / "p1_a-jpg.json", Annotation("p1_a.jpg", (300, 300), ANNOTATION.elements))
    document, rows = evaluated(site)
    assert document["missing"] == 1 and [row.result for row in rows if row.name == "sub/p1_a.jpg"] == [""]
    for suffix in ("tif", "bmp"):
        cv2.imwrite(str(site / "out" / "sub" / f"p1_b.{suffix}"), image)
    (site / "out" / "sub" / "p1_b.png").unlink()
    with pytest.raises(UsageError, match="p1_b.bmp and p1_b.tif in sub could both be the result"):
        evaluated(site)


def test_images_without_annotation_are_said(site, capsys):
    (site / "truth" / "sub" / "p1_b.json").unlink()
    command = ["evaluate", str(site / "out"), "--truth", str(site / "truth"), "--inputs", str(site / "in"), "--no-ocr", "--workers", "1"]
    assert main.main(command) == 0
    assert capsys.readouterr().out.startswith("note: 1 other image without an annotation: not judged\n")


def test_the_patient_of_a_dicom_file_is_told_by_its_header(tmp_path):
    from dicom_files import SHAPE, random_stored, save

    (tmp_path / "in").mkdir()
    (tmp_path / "truth").mkdir()
    for name, number in (("IMG_1", "7"), ("IMG_2", "7"), ("IMG_3", "8")):
        save(tmp_path / "in", random_stored(), name=f"{name}.dcm", PatientID=number)
        labelme.write(tmp_path / "truth" / f"{name}.json", Annotation(f"{name}.dcm", SHAPE, ()))
    _, found = evaluate.evaluate(tmp_path / "in", tmp_path / "truth", tmp_path / "in")
    assert found[0].patient == found[1].patient != found[2].patient and "" not in [row.patient for row in found]


def test_a_marker_that_stays_in_a_kept_box_is_no_removal(site):
    """A name taken for a laterality marker: its box is kept, its strokes are there."""
    boxes = [{"frame": 0, "xyxy": [38, 38, 142, 72], "action": "keep"}]
    manifest(site, *({"relative": f"sub/{name}.png", "status": "cleaned", "boxes": boxes} for name in ("p1_a", "p1_b", "p2_c")))
    document, _ = evaluated(site)
    alone = evaluate.evaluate_boxes(site / "out", site / "truth")
    found = [(d["published_measures"]["deidentification_accuracy"]["k"], d["published_measures"]["deidentification_accuracy"]["n"]) for d in (document, alone)]
    assert found == [(1, 2), (0, 2)], "by pixels the name is gone in one image, by boxes alone nobody can say so"
