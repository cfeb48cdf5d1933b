"""An open network behind one small interface, `Session`: images in, answers out, in batches of the size that suits its backend."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..system.forks import Own

Run = Callable[[np.ndarray], Sequence[np.ndarray]]
"""(N, H, W) uint8 images -> N answers, each (4 + classes, anchors) float32."""
USUAL = 640 * 640  # pixels of an image of usual size; larger images go in smaller batches, for the same memory


class Session:
    """One network opened for square images of one side, or for any shape; called with one image, or through `many` with several.

    An answer is (4 + classes, anchors) float32: centre x and y, width and height in network pixels, then a score 0–1 per class. A session
    opened with a floor may leave out anchors of which no score reaches it. Threads take turns: a network has one set of buffers.

    Attributes:
        batch: maximum number of images in one call of the network.
        wide: whether it takes images of any height and width that are multiples of the network's stride.
    """

    def __init__(self, run: Run, batch: int = 1, *, pads: bool = False, wide: bool = False) -> None:
        """
        Args:
            run: the network.
            batch, wide: see the attributes.
            pads: whether `run` takes any number of images up to `batch`; else it gets 1, 2, 4 ... of them, so that few shapes are
                compiled and no padding is computed.
        """
        self._run, self.batch, self._pads, self.wide, self._turn = run, batch, pads, wide, Own(threading.Lock)

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """The answer to one (H, W) uint8 image."""
        return self.many(picture[None])[0]

    def many(self, pictures: np.ndarray) -> list[np.ndarray]:
        """One answer per image, in order, for (N, H, W) uint8; N may be 0."""
        results: list[np.ndarray] = []
        for start, stop in portions(len(pictures), room(self.batch, *pictures.shape[1:]), whole=self._pads):
            with self._turn():
                results += self._run(pictures[start:stop])
        return results


def room(batch: int, height: int, width: int) -> int:
    """Maximum number of images of a size in one call, if `batch` of the usual size are allowed; at least 1."""
    return max(1, batch * USUAL // max(USUAL, height * width))


def portions(count: int, batch: int, *, whole: bool = False) -> Iterator[tuple[int, int]]:
    """Start and end (exclusive) of the batches of `count` images: `batch` at a time, and of the remainder repeatedly the largest power of two,
    or all of it at once if `whole`.

    >>> list(portions(7, 4)), list(portions(7, 4, whole=True))
    ([(0, 4), (4, 6), (6, 7)], [(0, 4), (4, 7)])
    """
    start = 0
    while start < count:
        remaining = count - start
        size = batch if remaining >= batch else remaining if whole else 1 << (remaining.bit_length() - 1)
        yield start, start + size
        start += size


def answers(session: Callable[[np.ndarray], np.ndarray], pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """A session's answers to some (H, W) images, in order: images of one shape in batches if it has `many`, else one by one."""
    run_batch = getattr(session, "many", None)
    if run_batch is None or len(pictures) < 2:
        return [session(picture) for picture in pictures]
    results: dict[int, np.ndarray] = {}
    for shape in dict.fromkeys(picture.shape for picture in pictures):
        indices = [k for k, picture in enumerate(pictures) if picture.shape == shape]
        for k, answer in zip(indices, run_batch(np.stack([pictures[k] for k in indices])), strict=True):
            results[k] = answer
    return [results[k] for k in range(len(pictures))]
