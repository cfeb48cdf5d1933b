"""Flags on drawn faults: each fault has its flag, and ordinary films have none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from markerremover.formats import images
from markerremover.records import Decision, Radiograph, Reading
from markerremover.synthesis import faulty_pictures as faulty
from markerremover.synthesis import generate
from markerremover.triage import FLAGS, UNUSABLE, judge, orientation, unusable, with_markers
from markerremover.triage.quality import Quality


def film(seed: int, body: str = "chest") -> np.ndarray:
    return generate.radiograph(np.random.default_rng(seed), split="eval", body=body, size=(640, 600), inverted_share=0.0).image.copy()


def of_frames(frames: np.ndarray) -> Radiograph:
    views = images.array_views(frames)
    return Radiograph(frames, views[0], (0,) * (3 if frames.ndim == 4 else 1), Path("array"), "ARRAY", also=views[1:])


def flags(picture: np.ndarray) -> tuple[str, ...]:
    return judge(of_frames(picture[None])).flags


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("body", ["chest", "pelvis", "limb"])
def test_an_ordinary_film_is_never_called_unusable(seed, body):
    assert not set(flags(film(seed, body))) & set(UNUSABLE)


DRAWN = {
    "blank": lambda rng: faulty.blank(rng, (500, 400)), "noise": lambda rng: faulty.noise(rng, (500, 400)), "scanned text": faulty.page,
    "colour photograph": faulty.photograph, "tiny": lambda rng: faulty.tiny(rng, film(1)), "blurred": lambda rng: faulty.blurred(rng, film(1)),
    "half empty": lambda rng: np.concatenate([film(1)[:340], np.zeros((300, 600), np.uint8)]), "saturated": lambda rng: faulty.saturated(rng, film(1)),
}


@pytest.mark.parametrize("kind", DRAWN)
def test_a_drawn_fault_has_its_flag(kind):
    picture = DRAWN[kind](np.random.default_rng(3))
    before = picture.copy()
    assert kind in flags(picture) and np.array_equal(picture, before)


def test_a_photograph_of_a_screen_is_called_a_photograph():
    found = [flags(faulty.screen(np.random.default_rng(seed), film(seed))) for seed in range(4)]
    assert all(f in (("photo of a screen",), ("colour photograph",)) for f in found) and ("photo of a screen",) in found


def test_flat_sixteen_bit_pixels_with_grain_are_blank_and_a_faint_film_is_not():
    grain = np.random.default_rng(1).normal(0, 12, (400, 400))
    assert flags((2000 + grain).astype(np.uint16)) == ("blank",)
    faint = (film(2) // 16).astype(np.uint8)  # a film of which an export kept four bits
    assert "blank" not in flags(faint) and "noise" not in flags(faint)


def test_a_tinted_film_and_coloured_print_are_no_photographs():
    grey = film(4)
    tinted = np.stack([grey * 0.7, grey * 0.85, grey * 1.0], -1).astype(np.uint8)
    printed = np.repeat(grey[..., None], 3, 2).copy()
    printed[10:60, 10:200] = (255, 220, 0)
    assert not set(flags(tinted)) & set(UNUSABLE) and not set(flags(printed)) & set(UNUSABLE)


def test_a_collimated_film_and_a_hand_before_black_ground_are_not_half_empty():
    collimated = np.zeros((640, 600), np.uint8)
    collimated[180:460, 160:440] = film(5)[180:460, 160:440]
    strip = np.zeros((640, 600), np.uint8)
    strip[:, 210:390] = film(6)[:, 210:390]  # between two shutters
    narrow = np.zeros((640, 600), np.uint8)
    narrow[260:, 250:330] = np.random.default_rng(1).integers(120, 160, (380, 80))  # a limb that ends far from the edge
    for picture in (collimated, strip, narrow):
        assert "half empty" not in flags(picture)


def test_a_film_whose_last_line_is_repeated_is_half_empty():
    picture = film(7)
    picture[380:] = picture[379]
    assert "half empty" in flags(picture)


def chest() -> np.ndarray:
    """A picture made of the template itself."""
    import cv2

    return cv2.resize((orientation._template() * 180 + 40).clip(0, 255).astype(np.uint8), (600, 600), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("turn, flag", [(lambda p: p, None), (lambda p: p[::-1], "upside down"), (lambda p: p[::-1, ::-1], "upside down"),
    (lambda p: 255 - p, "inverted")], ids=["upright", "flipped", "half a turn", "inverted"])
def test_a_chest_tells_how_it_is_turned(turn, flag):
    found = {"upside down", "inverted"} & set(flags(np.ascontiguousarray(turn(chest()))))
    assert found == ({flag} if flag else set())


def test_a_hand_before_white_is_inverted_and_a_turned_limb_is_unknown():
    y, x = np.mgrid[0:600, 0:500]
    limb = (np.abs(x - 250) < 80) * 70 + (np.abs(x - 250) < 3) * 60 + 5 * np.sin(x / 9) + 10 + np.random.default_rng(1).normal(0, 2, x.shape)
    assert "inverted" in flags((255 - limb).astype(np.uint8)) and "inverted" not in flags(limb.astype(np.uint8))
    assert "upside down" not in flags(np.ascontiguousarray(limb[::-1]).astype(np.uint8))


def marker(text: str, x: int, mirrored: bool) -> Decision:
    box = (x, 10, x + 20, 40)
    return Decision(0, box, "keep", "laterality marker", 0.9, reading=Reading(box, text, 0.9, mirrored=mirrored), strokes=np.ones((30, 20), bool))


@pytest.mark.parametrize("decisions, heart, expected", [
    ([marker("R", 450, True)], -0.2, True),  # as a mirrored film shows it
    ([marker("R", 450, True)], 0.2, False),  # the heart says otherwise
    ([marker("R", 20, True)], -0.2, False),  # a letter that lies face down
    ([marker("R", 450, False)], -0.2, False), ([marker("R", 450, True), marker("L", 20, False)], -0.2, False), ([], -0.2, False),
])
def test_mirrored_needs_markers_and_anatomy_that_agree(decisions, heart, expected):
    quality = Quality((), ("", ""), orientation.Chest(0.8, 0.3, 0.1, 0.1, heart))
    assert ("mirrored" in with_markers(quality, decisions, 500)) is expected
    assert with_markers(Quality((), ("", "")), decisions, 500) == ()


def test_a_flag_of_a_file_with_frames_holds_for_all_of_them():
    good, empty = film(8), np.zeros((640, 600), np.uint8)
    assert "blank" not in judge(of_frames(np.stack([empty, good]))).flags
    both = judge(of_frames(np.stack([empty, empty])))
    assert both.flags == ("blank",) and both.hashes[0] and both.hashes[1] == ""


def test_only_named_flags_hold():
    assert unusable(["inverted", "exact duplicate", "tiny", "saturated"]) == "" and unusable(FLAGS).startswith("not usable: blank, noise, half empty")
    assert set(UNUSABLE) < set(FLAGS)
