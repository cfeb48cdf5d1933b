"""Hashes of pictures, and the duplicates among the files of a run.

A picture has two hashes. `pixel_hash` is of all stored values: equal hashes mean equal pixels, whatever the file format. The
perceptual hash is the signs of low frequencies of a reduced picture (DCT, after Zauner 2010, "Implementation and benchmarking of
perceptual image hash functions"), with 256 instead of the usual 64 bits, since radiographs of one kind look alike. Neither can be
turned back into the picture, and neither depends on the header.

Near duplicates are searched by the pigeonhole principle (Norouzi et al. 2012, "Fast search in Hamming space with multi-index
hashing"): of two hashes that differ in at most 28 bits, one of 16 chunks differs in at most one bit, so that only pictures that share
a chunk but for a bit are compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np

from .content import reduced

SIDE_PX, BITS_SIDE = 64, 16  # side of the reduced picture, and of the square of frequencies whose signs are taken
NEAR_BITS = 28  # greatest number of different bits of near duplicates; different films differ in 40 and more
CHUNKS, CHUNK_BITS = 16, 16  # with up to 2 * CHUNKS - 1 different bits one chunk has at most one
BLOCK_PAIRS = 1 << 20  # pairs that are compared at a time, for memory
EXACT, NEAR = "exact duplicate", "near duplicate"


def pixel_hash(stored: np.ndarray) -> str:
    """BLAKE2b (128 bits, hexadecimal) of shape, bytes per value and values of an integer array, in little-endian order."""
    little = np.ascontiguousarray(stored).astype(stored.dtype.newbyteorder("<"), copy=False)
    digest = hashlib.blake2b(f"{stored.shape} {stored.dtype.itemsize}".encode(), digest_size=16)
    digest.update(little.data.cast("B") if little.size else b"")
    return digest.hexdigest()


def perceptual_hash(view: np.ndarray) -> str:
    """64 hexadecimal digits for a (H, W) uint8 view; few bits change with size, compression, window, or a burned-in annotation."""
    small = cv2.resize(reduced(view, 256), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[: BITS_SIDE + 1, : BITS_SIDE + 1].ravel()[1 : BITS_SIDE**2 + 1]
    return np.packbits(low > np.median(low)).tobytes().hex()


def marked(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a manifest with the flags and `duplicate_of` of all duplicates among them; new rows in the same order.

    The first of several equal files, by path, is no duplicate. Rows without hashes (files that could not be read, rows of earlier
    versions) stay as they are.
    """
    order = sorted((i for i, row in enumerate(rows) if row.get("pixel_hash")), key=lambda i: rows[i]["relative"])
    exact = _first_equal([rows[i]["pixel_hash"] for i in order])
    near = first_near([rows[i].get("perceptual_hash", "") for i in order])
    result = list(rows)
    for place, i in enumerate(order):
        row = rows[i]
        flags = [flag for flag in row.get("quality", []) if flag not in (EXACT, NEAR)]
        first = exact[place] if exact[place] < place else near[place]
        kind = [EXACT] if exact[place] < place else [NEAR] if near[place] < place else []
        result[i] = row | {"quality": flags + kind, "duplicate_of": rows[order[first]]["relative"] if kind else ""}
    return result


def _first_equal(values: Sequence[str]) -> list[int]:
    """For each value the index of the first equal one."""
    first: dict[str, int] = {}
    return [first.setdefault(value, i) for i, value in enumerate(values)]


def first_near(hashes: Sequence[str]) -> list[int]:
    """For each perceptual hash the index of the first one that differs in at most `NEAR_BITS` bits, which may be its own; "" has no other.

    >>> first_near(["00" * 32, "ff" * 32, "01" + "00" * 31, ""])
    [0, 1, 0, 3]
    """
    own = list(range(len(hashes)))
    known = [i for i in own if len(hashes[i]) == 64]
    first = dict(zip(reversed([hashes[i] for i in known]), reversed(known)))  # of equal hashes only the first is searched
    places = np.array(sorted(first.values()), np.int64)
    if not len(places):
        return own
    words = np.frombuffer(bytes.fromhex("".join(hashes[i] for i in places)), ">u2").reshape(-1, CHUNKS).astype(np.uint16)
    nearest = np.arange(len(places))
    for earlier, later in _candidates(words):
        near = _ones()[words[earlier] ^ words[later]].sum(axis=1, dtype=np.uint16) <= NEAR_BITS
        np.minimum.at(nearest, later[near], earlier[near])
    by_hash = {hashes[i]: int(places[nearest[k]]) for k, i in enumerate(places)}
    return [by_hash.get(value, i) for i, value in enumerate(hashes)]


def _candidates(words: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs (earlier, later) of indices of (N, CHUNKS) uint16 hashes that have a chunk with at most one different bit, in blocks."""
    count = len(words)
    for chunk in range(CHUNKS):
        keys = words[:, chunk]
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        for flip in (0, *(1 << bit for bit in range(CHUNK_BITS))):
            start = np.searchsorted(ordered, keys ^ np.uint16(flip), "left")
            sizes = np.searchsorted(ordered, keys ^ np.uint16(flip), "right") - start
            ends = np.cumsum(sizes)
            done = 0
            while done < count:
                stop = max(done + 1, int(np.searchsorted(ends, (ends[done - 1] if done else 0) + BLOCK_PAIRS, "right")))
                part = slice(done, stop)
                later = np.repeat(np.arange(done, min(stop, count)), sizes[part])
                within = np.arange(len(later)) - np.repeat(ends[part] - sizes[part] - (ends[done - 1] if done else 0), sizes[part])
                earlier = order[np.repeat(start[part], sizes[part]) + within]
                is_earlier = earlier < later
                yield earlier[is_earlier], later[is_earlier]
                done = stop


@cache
def _ones() -> np.ndarray:
    """(65536,) uint8: number of set bits of each 16-bit value."""
    return np.unpackbits(np.arange(1 << 16, dtype=">u2").view(np.uint8)).reshape(-1, 16).sum(axis=1, dtype=np.uint8)
