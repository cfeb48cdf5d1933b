"""Filled pixels against the real ones: known ratios, the order of good and bad fills, and what cannot be compared."""

import json
import math

import cv2
import numpy as np
import pytest

from markerremover.cli.main import main
from markerremover.evaluation.fill_quality import FillQuality, fill_quality
from markerremover.labels import labelme
from markerremover.records import Annotation, Element
from markerremover.redaction import inpaint

ROWS, COLUMNS = np.indices((64, 96))
CLEAN = (60 + ROWS + COLUMNS // 2).astype(np.uint8)  # a slope, as behind most annotations
MASK = (np.abs(ROWS - 30) < 6) & (np.abs(COLUMNS - 40) < 20)


def test_the_ratio_is_that_of_the_formula():
    off = CLEAN.copy()
    off[MASK] += 10
    found = fill_quality(CLEAN, off, MASK, 255)
    assert found.pixels == MASK.sum() and found.psnr_db == pytest.approx(20 * math.log10(255 / 10)) and found.ssim < 1 and found.seam_ssim < 1


def test_the_very_pixels_are_infinitely_like_and_one():
    assert fill_quality(CLEAN, CLEAN.copy(), MASK) == FillQuality(int(MASK.sum()), math.inf, 1.0, 1.0)


def test_a_fill_from_the_surroundings_is_nearer_than_black():
    black = np.where(MASK, 0, CLEAN).astype(np.uint8)
    made = inpaint.filled(black[None], MASK[None], MASK[None], np.zeros((1, 64, 96), bool))[0]
    before = CLEAN.copy(), made.copy()
    good, bad = fill_quality(CLEAN, made, MASK), fill_quality(CLEAN, black, MASK)
    assert good.psnr_db > bad.psnr_db + 20 and good.ssim > 0.9 > bad.ssim and good.seam_ssim > bad.seam_ssim
    assert np.array_equal(CLEAN, before[0]) and np.array_equal(made, before[1])


def test_what_is_far_from_the_fill_does_not_count():
    other = CLEAN.copy()
    other[MASK] += 10
    elsewhere = other.copy()
    elsewhere[58:, 80:] = 0
    assert fill_quality(CLEAN, other, MASK, 255) == fill_quality(CLEAN, elsewhere, MASK, 255)


def test_sixteen_bits_are_compared_over_the_range_of_the_picture():
    eight, wide = (fill_quality(clean, np.where(MASK, 0, clean).astype(clean.dtype), MASK) for clean in (CLEAN, CLEAN.astype(np.uint16) * 100))
    assert eight.psnr_db == pytest.approx(wide.psnr_db) and eight.ssim == pytest.approx(wide.ssim)


def test_where_nothing_or_everything_is_filled_there_is_nothing_to_compare_with():
    assert fill_quality(CLEAN, CLEAN, np.zeros_like(MASK)) == FillQuality(0)
    assert fill_quality(CLEAN, CLEAN, np.ones_like(MASK)).seam_ssim is None


@pytest.mark.parametrize("clean, filled, mask", [
    (CLEAN, CLEAN[:-1], MASK), (CLEAN[:10], CLEAN[:10], MASK[:10]), (np.full_like(CLEAN, 7), CLEAN, MASK),
], ids=["other shape", "smaller than the window", "of one value"])
def test_what_cannot_be_compared_is_refused(clean, filled, mask):
    with pytest.raises(ValueError):
        fill_quality(clean, filled, mask)


def films(folder, *, step=6):
    """IN, OUT, CLEAN and TRUTH of one film with print that was filled, `step` grey levels off, and of one without."""
    for name in ("in", "out", "clean", "truth"):
        (folder / name).mkdir()
    marked = CLEAN.copy()
    marked[26:34, 24:56:4] = 250
    made = CLEAN.copy()
    made[MASK] += step
    for name, before, after in (("a", marked, made), ("b", CLEAN, CLEAN)):
        for where, picture in (("in", before), ("out", after), ("clean", CLEAN)):
            cv2.imwrite(str(folder / where / f"{name}.png"), picture)
        elements = (Element((24.0, 26.0, 56.0, 34.0), "marker", "NAME"),) if name == "a" else ()
        labelme.write(folder / "truth" / f"{name}.json", Annotation(f"{name}.png", CLEAN.shape, elements))
    return ["evaluate", str(folder / "out"), "--truth", str(folder / "truth"), "--inputs", str(folder / "in"), "--no-ocr", "--workers", "1"]


def test_evaluate_compares_fills_with_the_clean_images(tmp_path, capsys):
    command = films(tmp_path)
    assert main([*command, "--fill", "--clean", str(tmp_path / "clean"), "--json", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())["fill_quality"]
    assert found["images"] == 1 and found["filled"]["pixels"] == found["black"]["pixels"] == MASK.sum()
    assert found["filled"]["psnr_db"] == pytest.approx(20 * math.log10(255 / 6), abs=0.01)
    assert found["filled"]["ssim"] > 0.8 > found["black"]["ssim"] and found["black"]["psnr_db"] < 15
    assert f"filled pixels: {MASK.sum()} in 1 images, PSNR 32.6 dB" in capsys.readouterr().out


def test_a_fill_that_equals_the_real_pixels_has_no_ratio(tmp_path, capsys):
    assert main([*films(tmp_path, step=0), "--fill", "--clean", str(tmp_path / "clean")]) == 0
    assert "filled pixels: 64 in 1 images, equal, SSIM 1.000" in capsys.readouterr().out


@pytest.mark.parametrize("wrong, said", [("fill", "give --fill too"), ("missing", "b.png: there is no such file"), ("size", "its original"), ("unfilled", "no fill to judge")])
def test_fills_that_cannot_be_compared_are_wrong_use(tmp_path, capsys, wrong, said):
    command = [*films(tmp_path), "--clean", str(tmp_path / "clean"), *(["--fill"] if wrong != "fill" else [])]
    if wrong == "missing":
        (tmp_path / "clean" / "b.png").unlink()
    elif wrong == "size":
        cv2.imwrite(str(tmp_path / "clean" / "a.png"), CLEAN[:40])
    elif wrong == "unfilled":
        cv2.imwrite(str(tmp_path / "out" / "a.png"), cv2.imread(str(tmp_path / "in" / "a.png"), 0))
    assert main(command) == 2 and said in capsys.readouterr().err
