"""Duplicates are found by pixels and by picture, in the order of paths, whatever order the rows come in."""

from __future__ import annotations

import numpy as np
import pytest

from markerremover.synthesis import faulty_pictures as faulty
from markerremover.synthesis import generate
from markerremover.triage import duplicates
from markerremover.triage.duplicates import first_near, marked, perceptual_hash, pixel_hash


def film(seed: int) -> np.ndarray:
    return generate.radiograph(np.random.default_rng(seed), split="eval", size=(500, 420), inverted_share=0.0).image


def row(relative: str, picture: np.ndarray, **more) -> dict:
    return {"relative": relative, "quality": [], "pixel_hash": pixel_hash(picture[None]), "perceptual_hash": perceptual_hash(picture), **more}


def bits(on: np.ndarray) -> str:
    return np.packbits(on).tobytes().hex()


def brute_force(hashes: list[str]) -> list[int]:
    values = [np.unpackbits(np.frombuffer(bytes.fromhex(h), np.uint8)) for h in hashes]
    return [next(j for j in range(i + 1) if (values[i] != values[j]).sum() <= duplicates.NEAR_BITS) for i in range(len(hashes))]


def test_the_search_finds_what_comparing_all_pairs_finds(monkeypatch):
    rng = np.random.default_rng(2)
    base = rng.random((40, 256)) < 0.5
    hashes = []
    for flips in (0, 5, 27, 28, 29, 60):
        for b in base:
            changed = b.copy()
            changed[rng.choice(256, flips, replace=False)] ^= True
            hashes.append(bits(changed))
    order = rng.permutation(len(hashes))
    shuffled = [hashes[i] for i in order]
    expected = brute_force(shuffled)
    assert first_near(shuffled) == expected and sum(i != j for i, j in enumerate(expected)) > 60
    monkeypatch.setattr(duplicates, "BLOCK_PAIRS", 7)
    assert first_near(shuffled) == expected


def test_nothing_to_compare_is_no_duplicate():
    assert first_near([]) == [] and first_near(["", ""]) == [0, 1] and marked([]) == []
    old = [{"relative": "a", "status": "cleaned"}, {"relative": "b", "status": "failed", "pixel_hash": "", "perceptual_hash": ""}]
    assert marked(old) == old


def test_the_first_path_is_the_original_whatever_the_order_of_rows():
    a, b = film(1), film(2)
    rows = [row("z.png", a), row("m.png", b), row("c/1.dcm", a), row("d.jpg", faulty.near_copy(np.random.default_rng(7), a))]
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)):
        found = {r["relative"]: (r["quality"], r["duplicate_of"]) for r in marked([rows[i] for i in order])}
        assert found == {"c/1.dcm": ([], ""), "m.png": ([], ""), "z.png": (["exact duplicate"], "c/1.dcm"), "d.jpg": (["near duplicate"], "c/1.dcm")}
    assert rows[0]["quality"] == [] and "duplicate_of" not in rows[0]


def test_a_duplicate_whose_original_is_gone_is_one_no_longer():
    a = film(3)
    before = marked([row("a.png", a, duplicate_of=""), row("b.png", a, duplicate_of="")])
    assert before[1]["duplicate_of"] == "a.png" and marked(before) == before
    after = marked(before[1:])
    assert after[0]["quality"] == [] and after[0]["duplicate_of"] == ""


def test_different_films_are_far_apart_and_copies_near():
    films = [film(seed) for seed in range(12)]
    assert first_near([perceptual_hash(f) for f in films]) == list(range(12))
    copies = [faulty.near_copy(np.random.default_rng(seed), f) for seed, f in enumerate(films)]
    first = first_near([perceptual_hash(f) for f in (*films, *copies)])
    assert sum(first[12 + i] == i for i in range(12)) >= 11


@pytest.mark.parametrize("other", [np.uint16, np.int16])
def test_equal_pixels_have_equal_hashes_in_either_byte_order(other):
    picture = np.arange(600, dtype=other).reshape(1, 20, 30)
    assert pixel_hash(picture) == pixel_hash(picture.astype(picture.dtype.newbyteorder(">")))
    changed = picture.copy()
    changed[0, 3, 3] += 1
    assert pixel_hash(changed) != pixel_hash(picture) != pixel_hash(picture.reshape(1, 30, 20))
