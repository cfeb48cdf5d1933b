"""Styles: what was removed cannot be read, neither in the result nor in the shape of its hole; in doubt a box is blacked out."""

from __future__ import annotations

from pathlib import Path

import cv2
import dicom_files
import fakes
import numpy as np
import pydicom
import pytest

from markerremover.audit import manifest_files
from markerremover.errors import HeldError, UsageError
from markerremover.formats import images
from markerremover.formats.dicom.files import read_dicom
from markerremover.options import RunOptions
from markerremover.records import Detections, Policy, Radiograph
from markerremover.redaction import cleaning, inpaint, styles, word_holes
from markerremover.run import batch
from markerremover.second_pass import tesseract

needs_tesseract = pytest.mark.skipif(tesseract.available() is None, reason="no Tesseract")
TOKENS = ("MUELLER", "K4711X", "19.03.1961", "SANCHEZ M", "TJQ", "RAMESH^P", "AB 12", "Vogel, Ida")
SHAPE = (220, 420)


@pytest.fixture(scope="module")
def reader():
    return tesseract.open_reader()


def planted(seed: int) -> tuple[np.ndarray, tuple[int, int, int, int], str]:
    """A soft picture with ribs in which a token stands level or slanted, bright or dark, with or without a rim: (H, W) uint8, its box,
    the token."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    frame = 105 + 25 * np.sin((x + 2 * y) / 90 + rng.uniform(0, 6)) + 12 * np.sin(y / 17 + x / 160) + rng.normal(0, 2, SHAPE)
    text, height, angle = TOKENS[seed % len(TOKENS)], int(rng.integers(14, 34)), float(rng.choice([0, 0, 90, 270, 12, -20]))
    ink = fakes.written(np.zeros((700, 700), np.uint8), text, (280, 340), height, 255)
    ink = cv2.warpAffine(ink, cv2.getRotationMatrix2D((350, 350), angle, 1), (700, 700))
    ys, xs = np.nonzero(ink)
    ink = ink[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    h, w = ink.shape
    if h > SHAPE[0] - 20 or w > SHAPE[1] - 20:
        return planted(seed + 1000)
    top, left = int(rng.integers(8, SHAPE[0] - h - 8)), int(rng.integers(8, SHAPE[1] - w - 8))
    bright = bool(rng.integers(0, 4))
    part = np.s_[top : top + h, left : left + w]
    if bright and rng.integers(0, 2):
        rim = cv2.dilate(ink, np.ones((5, 5), np.uint8)) / 255
        frame[part] *= 1 - rim
    share = ink / 255
    frame[part] = frame[part] * (1 - share) + (245 if bright else 8) * share
    return frame.clip(0, 255).astype(np.uint8), (left, top, left + w, top + h), text


def knows(box):
    """A localizer that finds a box on the first look and nothing on later ones."""
    looks_ = []

    def find(frame, threshold=None):
        looks_.append(1)
        if len(looks_) > 1:
            return Detections.empty()
        return Detections(np.array([box], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))

    return find


def clean(stored, box, style, reader, fill=(0,), detector=None, **more):
    cleaner = cleaning.Cleaner(detector or knows(box), reader, Policy(keep=(), style=style))
    display = stored[0] if stored.ndim == 3 and stored.dtype == np.uint8 else None
    shown = images.array_views(stored) if display is None else (stored,)
    return cleaning.clean_radiograph(Radiograph(stored, shown[0], fill, Path("x"), "ARRAY", also=shown[1:], **more), cleaner)


def read_everywhere(picture: np.ndarray, reader) -> list[str]:
    """Every word of two or more letters or digits that OCR reads with some confidence, in both contrasts and four turns, enlarged."""
    large = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    large = cv2.copyMakeBorder(large, 20, 20, 20, 20, cv2.BORDER_REPLICATE)
    found = []
    for contrast in (large, 255 - large):
        for turn in range(4):
            for word in reader.words(np.ascontiguousarray(np.rot90(contrast, turn))):
                letters = "".join(char for char in word.text if char.isalnum())
                if word.confidence >= 0.5 and len(letters) >= 2:
                    found.append(letters.upper())
    return found


@needs_tesseract
@pytest.mark.parametrize("style", ["mask", "fill"])
@pytest.mark.parametrize("seed", range(24))
def test_a_planted_token_is_read_neither_in_the_result_nor_in_its_hole(reader, style, seed):
    frame, box, token = planted(seed)
    cleaned = clean(frame[None], box, style, reader)
    changed = cleaned.stored[0] != frame
    x1, y1, x2, y2 = cleaned.decisions[0].xyxy
    changed[y1:y2, x1:x2] = False
    assert cleaned.doubt == "" and not changed.any()
    around = np.s_[max(0, y1 - 20) : y2 + 20, max(0, x1 - 20) : x2 + 20]
    letters = "".join(char for char in token if char.isalnum()).upper()
    pieces = {letters[i : i + 2] for i in range(len(letters) - 1)}
    for word in read_everywhere(cleaned.stored[0][around], reader):
        assert not any(piece in word for piece in pieces), (word, token)
    hole = word_holes.hole_in([frame], cleaned.decisions[0]).mask
    assert read_everywhere(np.where(np.pad(hole, 20), np.uint8(0), np.uint8(255)), reader) == []
    assert read_everywhere(np.where(np.pad(hole, 20), np.uint8(30), np.uint8(120)), reader) == []


@needs_tesseract
def test_masks_lose_less_than_boxes_and_most_planted_tokens_need_no_whole_box(reader):
    kept, all_of_it = [], 0
    for seed in range(24):
        frame, box, _ = planted(seed)
        boxed, masked = (clean(frame[None], box, style, reader) for style in ("box", "mask"))
        assert not (masked.stored != frame)[(boxed.stored == frame)].any()
        kept.append((masked.stored != frame).sum() / (boxed.stored != frame).sum())
        all_of_it += masked.styles[0][0] == "box"
    assert np.mean(kept) < 0.9 and all_of_it <= 12


@needs_tesseract
def test_where_the_smaller_result_still_shows_something_the_box_goes_black(reader, monkeypatch):
    frame, box = fakes.written(np.full(SHAPE, 90, np.uint8), "MUELLER", (90, 80), 28), (88, 82, 230, 112)
    boxed = clean(frame[None], box, "box", reader)
    monkeypatch.setattr(word_holes, "hole_in", lambda views, decision: word_holes.Hole(np.zeros_like(styles._removed_part(decision))))
    for style in ("mask", "fill"):
        cleaned = clean(frame[None], box, style, reader)
        assert np.array_equal(cleaned.stored, boxed.stored) and cleaned.styles[0] == ("box", styles.SHOWS) and cleaned.made_up == 0


def test_a_fill_that_the_localizer_still_finds_goes_black(monkeypatch):
    """A fill that brings the print back is seen on the filled picture itself."""
    frame = fakes.radiograph(1)
    monkeypatch.setattr(inpaint, "filled", lambda blacked, fill, removed, markers: np.where(fill, np.uint8(255), blacked))
    cleaned = clean(frame[None], None, "fill", fakes.SilentReader(), detector=fakes.find_white)
    boxed = clean(frame[None], None, "box", fakes.SilentReader(), detector=fakes.find_white)
    assert np.array_equal(cleaned.stored, boxed.stored) and cleaned.styles[0] == ("box", styles.SHOWS)


def test_a_fill_that_touches_other_pixels_holds_the_file(monkeypatch):
    monkeypatch.setattr(inpaint, "filled", lambda blacked, fill, removed, markers: np.zeros_like(blacked))
    with pytest.raises(HeldError, match="outside"):
        clean(fakes.radiograph(1)[None], None, "fill", fakes.SilentReader(), detector=fakes.find_white)


def test_a_doubtful_result_and_what_a_later_look_found_are_boxes():
    find = fakes.restless()
    cleaned = clean(fakes.radiograph(1)[None], None, "fill", fakes.SilentReader(), detector=find)
    assert cleaned.doubt and set(cleaned.styles) == {("box", styles.DOUBTFUL)}


def test_styles_other_than_box_need_a_reader():
    with pytest.raises(UsageError, match="reader"):
        cleaning.Cleaner(fakes.find_white, None, Policy(keep=(), style="fill"))
    with pytest.raises(UsageError, match="style"):
        Policy(style="blur")


def silent_cleaner(threads=1, style="fill"):
    return cleaning.Cleaner(fakes.find_white, fakes.SilentReader(), Policy(keep=(), style=style))


KINDS = {
    "MONOCHROME2, 12 bits": dict(bits=12), "MONOCHROME1, 16 bits": dict(bits=16, photometric="MONOCHROME1"),
    "signed": dict(bits=16, signed=True), "RGB": dict(bits=8, photometric="RGB"),
}


def marked_dicom(folder, bits, photometric="MONOCHROME2", signed=False):
    """A slope with a bright patch on it, in any kind of stored pixels."""
    top = (1 << bits) - 1
    x = np.linspace(0.2, 0.6, 160)[None, None, :] * np.ones((1, 120, 1)) + np.random.default_rng(0).normal(0, 0.005, (1, 120, 160))
    x[:, 40:60, 50:110] = 1.0
    share = 1 - x if photometric == "MONOCHROME1" else x
    stored = np.rint(share.clip(0, 1) * top).astype(np.int64) - (1 << bits - 1 if signed else 0)
    stored = stored.astype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")
    if photometric == "RGB":
        stored = np.repeat(stored[..., None], 3, axis=3)
    folder.mkdir(exist_ok=True)
    low, high = int(stored.min()), int(stored.max())
    window = {} if photometric == "RGB" else {"WindowCenter": f"{(low + high + 1) / 2:.1f}", "WindowWidth": str(high - low)}
    return dicom_files.save(folder, stored, bits=bits, photometric=photometric, **window), stored


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_filled_dicom_file_goes_on_smoothly_and_says_that_it_is_synthetic(tmp_path, kind):
    path, stored = marked_dicom(tmp_path / "in", **kind)
    options = RunOptions(policy=Policy(keep=(), style="fill"))
    summary = batch.remove([path], tmp_path / "out", options=options, open_cleaner=silent_cleaner)
    assert summary["counts"]["cleaned"] == 1, manifest_files.read_manifest(tmp_path / "out-audit" / "manifest.jsonl")
    again, dataset = read_dicom(tmp_path / "out" / "in.dcm"), pydicom.dcmread(tmp_path / "out" / "in.dcm")
    changed = (again.stored != stored).reshape(1, 120, 160, -1).any(axis=3)
    rows, columns = np.flatnonzero(changed[0].any(1)), np.flatnonzero(changed[0].any(0))
    assert 30 < rows[0] and rows[-1] < 70 and 40 < columns[0] and columns[-1] < 120
    low, high = np.percentile(again.display[0][~changed[0]], [1, 99])
    assert low - 8 <= again.display[0][changed[0]].min() and again.display[0][changed[0]].max() <= high + 8
    assert dataset.SyntheticData == "YES" and dataset.ImageType[0] == "DERIVED" and "synthetic" in dataset.DerivationDescription
    assert dataset.DerivationCodeSequence[0].CodeValue == "INPAINTED" and dataset.BurnedInAnnotation == "NO"
    [row] = manifest_files.read_manifest(tmp_path / "out-audit" / "manifest.jsonl")
    assert row["boxes"][0]["style"] == "fill" and row["synthetic_pixels"] >= changed.sum() > 0 and summary["options"]["style"] == "fill"


@pytest.mark.parametrize("style", ["box", "mask"])
def test_without_a_fill_nothing_is_called_synthetic(tmp_path, style):
    path, _ = marked_dicom(tmp_path / "in", bits=12)
    options = RunOptions(policy=Policy(keep=(), style=style))
    batch.remove([path], tmp_path / "out", options=options, open_cleaner=lambda threads: silent_cleaner(style=style))
    dataset = pydicom.dcmread(tmp_path / "out" / "in.dcm")
    assert "SyntheticData" not in dataset and "DerivationDescription" not in dataset and "DerivationCodeSequence" not in dataset


def test_a_palette_is_never_filled(tmp_path):
    from PIL import Image

    picture = Image.fromarray(fakes.radiograph(1)).quantize(64)
    (tmp_path / "in").mkdir()
    picture.save(tmp_path / "in" / "x.png")
    find = lambda frame, threshold=None: fakes.find_white(np.where(frame > 235, np.uint8(255), frame))  # noqa: E731
    cleaner = cleaning.Cleaner(find, fakes.SilentReader(), Policy(keep=(), style="fill"))
    radiograph = images.read(tmp_path / "in" / "x.png")
    cleaned = cleaning.clean_radiograph(radiograph, cleaner)
    boxed = cleaning.clean_radiograph(radiograph, cleaning.Cleaner(find, None, Policy(keep=())))
    assert images.unfillable(radiograph) and cleaned.made_up == 0 and np.array_equal(cleaned.stored, boxed.stored) and cleaned.decisions
    assert all(how == ("box", images.unfillable(radiograph)) for how in cleaned.styles)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff"])
def test_rasters_are_filled_and_read_back(tmp_path, suffix):
    image = cv2.GaussianBlur(fakes.radiograph(1, ()), (0, 0), 3)
    image[14:30, 20:60] = 255
    fakes.put(tmp_path / "in" / f"x.{suffix}", b"")
    cv2.imwrite(str(tmp_path / "in" / f"x.{suffix}"), image)
    options = RunOptions(policy=Policy(keep=(), style="fill"))
    summary = batch.remove([tmp_path / "in"], tmp_path / "out", options=options, open_cleaner=silent_cleaner)
    new = fakes.read(tmp_path / "out" / f"x.{suffix}")
    [row] = manifest_files.read_manifest(tmp_path / "out-audit" / "manifest.jsonl")
    assert summary["counts"]["cleaned"] == 1 and row["boxes"][0]["style"] == "fill"
    assert 20 < np.asarray(new)[16:28, 22:58].mean() < 170


def test_the_default_style_leaves_no_trace_in_rows_and_settings():
    assert RunOptions().settings_sha256() == RunOptions(policy=Policy(style="box")).settings_sha256()
    assert RunOptions().settings_sha256() != RunOptions(policy=Policy(style="mask")).settings_sha256()
    cleaned = cleaning.clean_radiograph(
        Radiograph(fakes.radiograph(1)[None], fakes.radiograph(1)[None], (0,), Path("x"), "PNG"), fakes.cleaner())
    assert cleaned.styles == () and cleaned.made_up == 0
