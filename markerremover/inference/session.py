"""An open network behind one small interface, `Session`: pictures in, answers out, as many a call as its backend does best."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..system.forks import Own

Run = Callable[[np.ndarray], Sequence[np.ndarray]]
"""(N, H, W) uint8 pictures -> N answers, each (4 + classes, anchors) float32."""
USUAL = 640 * 640  # pixels: of larger pictures fewer go through the network together, for as much memory


class Session:
    """One network opened for square pictures of one side, or for any; called with one picture, or through `many` with several.

    An answer is (4 + classes, anchors) float32: centre, width and height in network pixels, then a score a class. A session that was
    opened with a floor may leave out anchors of which no score reaches it. Threads take turns: a network has one set of buffers.

    Attributes:
        batch: most pictures that one call of the network takes.
        wide: whether it takes pictures of any height and width that are multiples of the network's stride.
    """

    def __init__(self, run: Run, batch: int = 1, *, pads: bool = False, wide: bool = False) -> None:
        """
        Args:
            run: the network.
            pads: whether `run` takes any number of pictures up to `batch`; else it gets 1, 2, 4 ... of them, so that few shapes are
                ever compiled and no picture is computed for nothing.
        """
        self._run, self.batch, self._pads, self.wide, self._turn = run, batch, pads, wide, Own(threading.Lock)

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """The answer to one (H, W) uint8 picture."""
        return self.many(picture[None])[0]

    def many(self, pictures: np.ndarray) -> list[np.ndarray]:
        """One answer a picture, in order; (N, H, W) uint8, N may be 0."""
        found: list[np.ndarray] = []
        for start, stop in portions(len(pictures), room(self.batch, *pictures.shape[1:]), whole=self._pads):
            with self._turn():
                found += self._run(pictures[start:stop])
        return found


def room(batch: int, height: int, width: int) -> int:
    """How many pictures go through the network together where `batch` of the usual size do."""
    return max(1, batch * USUAL // max(USUAL, height * width))


def portions(count: int, batch: int, *, whole: bool = False) -> Iterator[tuple[int, int]]:
    """Where to cut a row of pictures: `batch` at a time, and of the rest the largest power of two, again and again; all of it at
    once if `whole`.

    >>> list(portions(7, 4)), list(portions(7, 4, whole=True))
    ([(0, 4), (4, 6), (6, 7)], [(0, 4), (4, 7)])
    """
    start = 0
    while start < count:
        left = count - start
        size = batch if left >= batch else left if whole else 1 << (left.bit_length() - 1)
        yield start, start + size
        start += size


def answers(session: Callable[[np.ndarray], np.ndarray], pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What a session says to some (H, W) pictures: those of one shape in batches where it takes them, else one by one, as a plain
    callable does."""
    many = getattr(session, "many", None)
    if many is None or len(pictures) < 2:
        return [session(picture) for picture in pictures]
    found: list[np.ndarray] = [None] * len(pictures)
    for shape in dict.fromkeys(picture.shape for picture in pictures):
        alike = [k for k, picture in enumerate(pictures) if picture.shape == shape]
        for k, answer in zip(alike, many(np.stack([pictures[k] for k in alike])), strict=True):
            found[k] = answer
    return found
