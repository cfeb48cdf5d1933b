"""The whole films of an audit: what they show, how large they may become, and that the audit says where there are none."""

from __future__ import annotations

import os
import stat

import cv2
import fakes
import numpy as np
import pytest

from markerremover.audit import crops, full_pictures
from markerremover.errors import UsageError
from markerremover.options import RunOptions
from markerremover.records import Policy
from markerremover.redaction import verify


def film(shape=(300, 400)) -> np.ndarray:
    """A smooth film with little noise, dark at the left and bright at the right."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    noise = np.random.default_rng(4).normal(0, 1, shape)
    return np.clip(20 + 200 * columns / shape[1] + 10 * np.sin(rows / 40) + noise, 0, 255).astype(np.uint8)


def drawn(audit, before, after, gb=1.0, name="a/b.png"):
    return full_pictures.draw(audit, name, before, after, 0, gb)


def pictures(audit, name="a/b.png") -> list[np.ndarray]:
    return [cv2.imread(str(audit / full_pictures.FOLDER / each), cv2.IMREAD_UNCHANGED) for each in full_pictures.names(crops.file_id(name))]


def test_the_pictures_have_every_pixel_and_only_their_owner_may_read_them(tmp_path):
    before = film()
    after = before.copy()
    after[20:60, 30:120] = 0
    copies = before.copy(), after.copy()
    assert drawn(tmp_path, before, after) == {"frame": 0, "scale": 1.0, "missing": ""}
    assert np.array_equal(before, copies[0]) and np.array_equal(after, copies[1])
    shown = pictures(tmp_path)
    assert all(image.shape == before.shape for image in shown)
    assert all(np.abs(image.astype(int) - whole).mean() < 1.5 for image, whole in zip(shown, (before, after)))
    folder = tmp_path / full_pictures.FOLDER
    if os.name == "posix":
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())


def test_print_that_is_hard_to_see_is_plain_in_the_equalised_picture(tmp_path):
    before = film((600, 800))
    strokes = fakes.written(np.zeros_like(before), "SCHMIDT, ANNA", (420, 300), 28, 255) > 128
    faint = np.where(strokes, before + 6, before).astype(np.uint8)
    drawn(tmp_path, faint, faint)
    _, plain, equalised = (image.astype(float) for image in pictures(tmp_path))
    around = cv2.dilate(strokes.astype(np.uint8), np.ones((5, 5))).astype(bool) & ~strokes
    contrast = [image[strokes].mean() - image[around].mean() for image in (plain, equalised)]
    assert contrast[0] < 8 and contrast[1] > 3 * contrast[0], contrast


@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (57, 64)])
def test_films_of_any_shape_have_pictures(tmp_path, shape):
    drawn(tmp_path, film(shape), film(shape))
    assert {image.shape for image in pictures(tmp_path)} == {shape}


def test_a_film_larger_than_the_limit_is_shrunk_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(full_pictures, "LONGEST_PX", 200)
    monkeypatch.setattr(full_pictures, "EQUALISED_PX", 120)
    assert drawn(tmp_path, film(), film())["scale"] == 0.5
    assert [image.shape for image in pictures(tmp_path)] == [(150, 200), (150, 200), (90, 120)]


def test_when_the_space_is_used_up_later_films_have_none_and_the_reason(tmp_path):
    gb = 2.5 * full_pictures.UNIT_BYTES * -(-sum(p.nbytes for p in encoded()) // full_pictures.UNIT_BYTES) / 1e9
    told = [drawn(tmp_path, film(), film(), gb, name) for name in ("1", "2", "3")]
    assert [each["scale"] for each in told] == [1.0, 1.0, 0] and "used up (--full-pictures)" in told[2]["missing"]
    folder = tmp_path / full_pictures.FOLDER
    assert len(list(folder.iterdir())) == 7 and sum(path.stat().st_size for path in folder.iterdir()) <= gb * 1e9
    assert drawn(tmp_path, film(), film(), gb, "2")["scale"] == 0, "a film that is cleaned again after that has no outdated pictures"
    assert len(list(folder.iterdir())) == 4


def encoded() -> list[np.ndarray]:
    looks = [(film(), full_pictures.QUALITY)] * 2 + [(full_pictures.equalised(film()), full_pictures.EQUALISED_QUALITY)]
    return [cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1] for image, quality in looks]


def test_pictures_that_were_deleted_make_room_once_they_are_counted_anew(tmp_path):
    image = fakes.radiograph(0)
    full_pictures.draw(tmp_path, "a.png", image, image, 0, 1.0)
    full_pictures.draw(tmp_path, "b.png", image, image, 0, 1.0)
    used = tmp_path / full_pictures.FOLDER / full_pictures.USED
    both = used.stat().st_size
    for name in full_pictures.names(crops.file_id("a.png")):
        (tmp_path / full_pictures.FOLDER / name).unlink()
    assert used.stat().st_size == both
    full_pictures.recount(tmp_path)
    assert 0 < used.stat().st_size < 3 * both
    for name in full_pictures.names(crops.file_id("b.png")):
        (tmp_path / full_pictures.FOLDER / name).unlink()
    full_pictures.recount(tmp_path)
    assert used.stat().st_size == 0


def test_without_full_pictures_nothing_is_written_and_the_audit_says_why(tmp_path):
    assert drawn(tmp_path, film(), film(), 0.0)["missing"] == full_pictures.SWITCHED_OFF
    assert not (tmp_path / full_pictures.FOLDER).exists()
    with pytest.raises(UsageError, match="full_pictures_gb is -1"):
        RunOptions(full_pictures_gb=-1)


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_a_link_in_the_place_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / full_pictures.FOLDER).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError):
        drawn(tmp_path, film(), film())
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_run_writes_the_film_of_every_file_that_was_read_also_a_dry_one(clean, inputs, out):
    fakes.put(inputs / "broken.png", b"\x89PNG\r\n\x1a\nnothing")
    for dry in (True, False):
        summary, rows = clean(RunOptions(policy=Policy(keep=()), dry_run=dry))
        folder = out.with_name("out-audit") / full_pictures.FOLDER
        read = {name for name, row in rows.items() if row["shape"]}
        assert len(read) == len(rows) - 1 and rows["broken.png"]["full_pictures"] == {}
        assert all(rows[name]["full_pictures"] == {"frame": 0, "scale": 1.0, "missing": ""} for name in read)
        assert {p.name for p in folder.iterdir()} == {full_pictures.USED, *(n for name in read for n in full_pictures.names(crops.file_id(name)))}


def test_a_held_file_says_where_it_still_shows_something(clean, inputs):
    _, rows = clean(RunOptions(policy=Policy(keep=())), open_cleaner=lambda threads: fakes.cleaner(detector=fakes.restless()))
    held = [row for row in rows.values() if row["status"] == "held"]
    assert held
    for row in held:
        assert row["reason"] == f"residual findings remain after 2 rounds of removal: {len(row['held_for'])}"
        assert len(row["crops"]) == len(row["boxes"]) + len(row["held_for"]) and all(box["label"] == verify.LABEL for box in row["held_for"])
        [left] = row["held_for"]
        assert left["xyxy"][1] <= 40 and left["xyxy"][3] >= 60 and left["xyxy"] not in [box["xyxy"] for box in row["boxes"]]
        after = cv2.imread(str(inputs.parent / "out-audit" / "crops" / row["crops"][-1][1]), cv2.IMREAD_UNCHANGED)
        assert after.max() > 100, "it still shows there"
    quiet, rows = clean(RunOptions(policy=Policy(keep=()), overwrite=True))
    assert all(row["held_for"] == [] for row in rows.values())
