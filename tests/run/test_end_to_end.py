"""The shipped weights on synthetic radiographs whose fonts, names, plates and backgrounds training never saw.

The truth is known pixel by pixel: the generator's ink map says which pixels belong to which marking. Rates are demanded
as numbers below; they are floors for this seed, a little under what the shipped weights reached when they were added,
so a regression fails here. They are no claim about real radiographs; eval/results holds those.
"""

import json
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest

from markerremover.audit import manifest_files
from markerremover.detection.localizer import load_detector
from markerremover.evaluation import results
from markerremover.formats import images
from markerremover.labels import labelme
from markerremover.options import RunOptions
from markerremover.records import DEFAULT_KEEP, Policy
from markerremover.redaction.cleaning import open_cleaner
from markerremover.run import batch
from markerremover.second_pass import tesseract
from markerremover.synthesis import synthesize

COUNT, SEED, SIZE = 32, 20261, (896, 768)
LEAST_RECALL = 0.90  # of planted names, initials, dates and other text, faint and tiny ones included: 95 % of the ink gone
LEAST_RETENTION = 0.75  # of planted isolated L or R, whole, any angle, mirrored or not: 90 % of the ink as it was
MOST_HARM = 0.008  # of all pixels outside markings, blackened; mostly loose boxes around marks as large as a hand

pytestmark = pytest.mark.skipif(tesseract.available() is None, reason="no Tesseract: keeping signs needs one")


@dataclass(frozen=True)
class Planted:
    """One marking of the truth and what became of it. gone: share of its ink now black. same: share unchanged."""

    kind: str
    text: str
    gone: float
    same: float


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("e2e")
    paths = synthesize(folder / "in", COUNT, SEED, split="eval", size=SIZE, formats=("png", "dcm", "png16", "tiff"), masks=True)
    out = folder / "out"
    summary = batch.remove([folder / "in" / "images"], out, options=RunOptions())
    planted, anatomy = [], []
    for path in paths:
        target = out / path.name
        if not target.exists():
            continue
        original = images.read(path)
        before, after = original.display[0], results.shown_after(original, images.read(target))
        truth = labelme.read(folder / "in" / "annotations" / f"{path.stem}.json")
        ink = cv2.imread(str(folder / "in" / "masks" / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
        near = np.zeros(before.shape, np.uint8)
        for index, e in enumerate(truth.elements):
            x1, y1, x2, y2 = (int(v) for v in e.xyxy)
            near[max(0, y1 - 7) : y2 + 7, max(0, x1 - 7) : x2 + 7] = 1
            own = ink == index + 1
            if own.any():
                planted.append(Planted(e.kind, e.text, float((after[own] <= 8).mean()), float((np.abs(after[own].astype(int) - before[own]) <= 2).mean())))
        anatomy.append(float(((after == 0) & (before > 8) & (near == 0)).mean()))
    rows = manifest_files.read_manifest(folder / "out-audit" / manifest_files.MANIFEST)
    return summary, planted, anatomy, rows, out


def test_every_input_is_accounted_for_and_none_failed(run):
    summary, _, _, rows, out = run
    assert summary["counts"]["inputs"] == COUNT == len(rows) and summary["counts"]["failed"] == 0
    written = [p for p in out.rglob("*") if p.is_file()]
    assert len(written) == summary["counts"]["cleaned"] + summary["counts"]["unchanged"]
    assert summary["weights"]["sha256"] == load_detector(device="cpu").sha256 if "weights" in summary else True


@pytest.mark.long
def test_files_cleaned_two_at_a_time_come_out_as_one_by_one(run, tmp_path):
    """`run` took as many at once as the cleaner allows, two where there are two cores."""
    out, inputs = run[-1], sorted((run[-1].parent / "in" / "images").iterdir())[::5]
    options = RunOptions(key=out.with_name("out-audit") / "key")
    summaries = []
    for count in (1, 2):
        def make(threads, count=count):
            return replace(open_cleaner(Policy(), threads=threads), at_once=count)

        summaries.append(batch.remove(inputs, tmp_path / str(count), options=options, open_cleaner=make))
    assert summaries[0]["counts"] == summaries[1]["counts"] and summaries[0]["counts"]["cleaned"] > 3
    for target in sorted((tmp_path / "1").iterdir()):
        assert target.read_bytes() == (tmp_path / "2" / target.name).read_bytes() == (out / target.name).read_bytes(), target.name
    assert {p.name for p in (tmp_path / "1").iterdir()} == {p.name for p in (tmp_path / "2").iterdir()}


def test_planted_names_initials_and_dates_are_gone(run):
    markers = [p for p in run[1] if p.kind == "marker"]
    gone = sum(p.gone >= 0.95 for p in markers)
    assert len(markers) > 60
    assert gone / len(markers) >= LEAST_RECALL, f"{gone}/{len(markers)} gone; left: {[p.text for p in markers if p.gone < 0.95][:20]}"


def test_planted_isolated_signs_are_still_there(run):
    signs = [p for p in run[1] if p.kind == "laterality" and p.text.split()[0] in DEFAULT_KEEP]
    kept = sum(p.same >= 0.9 for p in signs)
    assert len(signs) > 20
    assert kept / len(signs) >= LEAST_RETENTION, f"{kept}/{len(signs)} kept"


def test_little_else_is_blackened(run):
    assert np.mean(run[2]) <= MOST_HARM, f"{1000 * np.mean(run[2]):.2f} per mille"


def test_the_manifest_explains_every_box(run):
    for row in run[3]:
        assert row["status"] in ("cleaned", "unchanged", "held")
        for box in row["boxes"]:
            assert box["action"] in ("keep", "remove") and box["reason"]
        json.dumps(row)


@pytest.fixture(scope="module")
def cleaner():
    """It keeps nothing of a file (test_safety.py)."""
    return open_cleaner(Policy())


@pytest.mark.parametrize(("text", "cap", "turns", "flip"), [
    ("L. SCHMIDT", 27, 0, False), ("R. WU", 27, 0, False), ("R SCHMIDT", 44, 1, False), ("SCHMIDT, L", 44, 2, False), ("R-MUELLER", 36, 3, True), ("L - MEYER", 30, 0, True),
])
def test_no_initial_of_a_name_is_kept_in_a_whole_radiograph(cleaner, text, cap, turns, flip):
    from markerremover.records import Radiograph
    from markerremover.redaction.cleaning import clean_radiograph
    from markerremover.synthesis.marks import fonts
    from markerremover.synthesis.radiographs import backgrounds

    picture = backgrounds.procedural(np.random.default_rng(3), (900, 900), "eval", "chest")
    name = fonts.render(text, next(f for f in fonts.font_files("train") if "DejaVuSans-Bold" in f), cap)
    name = np.rot90(name[:, ::-1] if flip else name, turns)
    part = np.s_[40 : 40 + name.shape[0], 60 : 60 + name.shape[1]]
    picture[part] = picture[part] * (1 - name) + 250 * name
    shown = np.clip(picture, 0, 255).astype(np.uint8)
    done = clean_radiograph(Radiograph((shown.astype(np.uint16) * 16)[None], shown[None], (0,), "drawn", "PNG"), cleaner)
    assert "keep" not in {d.action for d in done.decisions}
    assert (done.shown[0][part][name > 0.6] <= 24).mean() > 0.95
