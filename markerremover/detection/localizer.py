"""The localizer: one inference session, with pure functions before and after it.

One ONNX file runs through OpenVINO (CPU, several times faster where it exists) or ONNX Runtime (portable, CUDA,
TensorRT); the files that `markerremover export` writes, OpenVINO's `.xml` and TensorRT's `.engine`, open the same way.
Everything that belongs to the weights is read from the JSON card beside them: `classes`, `image_size` (side of the
square network input), `threshold`, `calibration`, `rescorer` and `text_detector` (see the modules of these names), `tiling`, `sha256`, and of an
exported model `precision` and the `inference_precision` it was checked at.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from .. import boxes
from ..errors import HeldError, UsageError, WeightsError
from ..inference.card_files import identity
from ..inference.client import remote_network
from ..inference.network import CLOSE_SIZE, open_network
from ..inference.session import answers
from ..inference.shipped_weights import weights_folder
from ..records import Detections
from . import rescorer as rescoring
from . import text_detector
from .box_choice import NMS_IOU, covered_by_better, sure_or_beside, with_regions
from .operating_point import Calibration
from .rescorer import Rescorer
from .text_detector import TextDetector, TextMap
from .views import Tiling, View, fast, scales, show, views, windows_around

Session = Callable[[np.ndarray], np.ndarray]
"""(H, W) uint8 picture -> (4 + classes, anchors), as of `session.Session`."""


class Detector:
    """Finds burned-in annotations in one displayed frame. Calls are independent; no state passes from one image to the next.

    Attributes:
        card: the weights' card.  class_names: of the boxes.  size: side of the network's square input, pixels.
        sha256: of the networks, see `card_files.identity`.  threshold: the card's operating point, 0–1.
        rescorer: the second network, which scores each box; None where the card names none.
        text: the text detector, a second source of candidates; None where the card names none.
        calibration: per class, from the scores of the network (or both networks) to the final ones; where the card was fitted, these are
            probabilities, so that one threshold is equally strict for every class.
        backend: the runtime, e.g. "OpenVINO CPU, bf16"; OpenVINO's inference precision as it reports it.
        batch: greatest number of pictures in one run of the network.  tiling: the further views of large and small images.
        folder: of the card, where the files of its further networks are searched first; that of the shipped weights by default.

    Raises:
        WeightsError: there is a rescorer or a text detector and the card names none, or the reverse; or a text detector that the
            rescorer has no weights for.
    """

    def __init__(
        self, session: Session, card: dict, backend: str, close_session: Session | None = None, rescorer: Rescorer | None = None,
        text: TextDetector | None = None, folder: Path | None = None,
    ) -> None:
        for network, name in ((rescorer, "rescorer"), (text, "text_detector")):
            if (network is None) != (card.get(name) is None):
                raise WeightsError(f"a localizer runs with the {name} that its card names, and without one if it names none")
        if text is not None and rescorer is not None and not rescorer.takes_text:
            raise WeightsError("the card names a text detector, but its rescorer has no weights for one (with_text)")
        self._session, self.card, self.backend, self.rescorer, self.text = session, card, backend, rescorer, text
        self._close_session, self.folder = close_session or session, folder or weights_folder()
        self.batch = getattr(session, "batch", 1)
        self.class_names = tuple(card["classes"])
        self.size = int(card["image_size"])
        self.threshold = float(card["threshold"])
        fitted = card.get("calibration") or {}
        self.calibration = tuple(Calibration(**fitted.get(name, {})) for name in self.class_names)
        self.sha256 = identity(card)
        self.tiling = Tiling.of_card(card)

    def __call__(self, display: np.ndarray, threshold: float | None = None) -> Detections:
        """Find the burned-in annotations of one frame.

        Args:
            display: (H, W) uint8, bright = dense; not changed.  threshold: least score of a box; the card's by default.

        Returns:
            Detections in source pixels, best first, after class-agnostic non-maximum suppression. Beside a laterality marker and in
            line with a word, where further print is likely, the least score is the card's `beside_marker` if that is lower.

        Raises:
            UsageError: `display` is not a non-empty (H, W) uint8 array.  HeldError: the network's output is invalid.
        """
        return self.with_faint(display, None, threshold)[0]

    def with_faint(self, display: np.ndarray, least: float | None, threshold: float | None = None) -> tuple[Detections, Detections]:
        """The detections of a call, and all others that score at least `least` (0–1; none for None), at the cost of one call, whose other
        arguments and errors it has."""
        if display.ndim != 2 or display.dtype != np.uint8 or 0 in display.shape:
            raise UsageError(f"display has shape {display.shape} {display.dtype}, needs a non-empty (H, W) uint8")
        threshold = self.threshold if threshold is None else threshold
        beside = min(threshold, float(self.card.get("beside_marker", threshold)))
        scored = self._detected(display, beside if least is None else min(least, beside))
        candidates = scored.chosen(scored.scores >= np.float32(beside))
        found = candidates if beside == threshold else sure_or_beside(candidates, threshold)
        taken = set(map(tuple, found.xyxy.tolist()))
        return found, scored.chosen(np.array([tuple(box) not in taken for box in scored.xyxy.tolist()], bool))

    def _detected(self, display: np.ndarray, least: float) -> Detections:
        """The detections in every view of a frame, merged and rescored, that score at least `least`, best first."""
        if self.rescorer is None:
            if self.text is not None:
                raise WeightsError("the card names a text detector and no rescorer to judge its candidates")
            return self._boxes(display, least)
        found, text = self.candidates(display)
        return self._rescored(display, found, least, text)

    def candidates(self, display: np.ndarray, floor: float | None = None) -> tuple[Detections, TextMap | None]:
        """The boxes of one frame before a rescorer judges them, best first, and where there is text.

        Args:
            display: as of a call.  floor: least raw score of the localizer's boxes; the rescorer's by default.

        Returns:
            The localizer's boxes with its raw scores and, with a text detector, further ones, see `with_regions`; None without one.

        Raises:
            HeldError: the output of a network is invalid.
        """
        if floor is None:
            floor = 0.0 if self.rescorer is None else self.rescorer.floor
        found = self._boxes(display, floor)
        if self.text is None:
            return found, None
        text = self.text(display)
        return with_regions(found, text.regions(), floor), text

    def _boxes(self, display: np.ndarray, least: float) -> Detections:
        """The localizer's boxes in every view of a frame that score at least `least`, merged, best first."""
        return merge(self._raw_rows(self._session, self.size, display, self.views(display.shape), least), self.class_names)

    def in_tiles(self) -> Detector:
        """A new detector with the same sessions that uses tiles for further views, as with networks that take squares only."""
        plain, close = ((lambda picture, session=session: session(picture)) for session in (self._session, self._close_session))
        return Detector(plain, self.card, self.backend, close, self.rescorer, self.text, self.folder)

    @property
    def wide(self) -> bool:
        """Whether the further views are wide pictures instead of tiles."""
        return getattr(self._session, "wide", False)

    def views(self, shape_hw: tuple[int, int]) -> list[View]:
        """The views of a frame of shape (H, W), see `views.views`."""
        return views(shape_hw, self.size, self.tiling, wide=self.wide)

    def _raw_rows(self, session: Session, size: int, display: np.ndarray, frame_views: Sequence[View], least: float) -> list[np.ndarray]:
        """Rows, see `_rows`, of each of some views of a frame; the network gets them in batches if it supports that."""
        inputs = [show(display, view, size) for view in frame_views]
        raws = answers(session, [picture for picture, _, _ in inputs])
        return [self._rows(raw, view, (left, top), least, display.shape) for raw, view, (_, left, top) in zip(raws, frame_views, inputs)]

    def _rescored(self, display: np.ndarray, found: Detections, threshold: float, text: TextMap | None = None) -> Detections:
        """With a rescorer, the boxes that all networks together score at least `threshold`, calibrated, best first, and marked where
        loose; without one, `found`."""
        if self.rescorer is None:
            return found
        scores = self.rescorer(display, found.xyxy, found.scores, None if text is None else text.at(found.xyxy))
        scores = np.array([self.calibration[c](s) for s, c in zip(scores, found.class_ids)], np.float64)
        rows = np.argsort(-scores, kind="stable")
        if text is not None:
            rows = rows[~text.explained(found.xyxy, scores)[rows]]
        rows = rows[scores[rows] >= threshold]
        loose = covered_by_better(found.xyxy[rows], found.class_ids[rows])
        return Detections(found.xyxy[rows], scores[rows].astype(np.float32), found.class_ids[rows], found.class_names, loose)

    def _rows(self, raw: np.ndarray, view: View, pad: tuple[int, int], threshold: float, shape_hw: tuple[int, int]) -> np.ndarray:
        """`from_network` with calibrated scores of at least `threshold`; with a rescorer, its candidates with raw scores.

        Raises:
            HeldError: the network's output has another shape or is not finite.
        """
        if raw.ndim != 2 or raw.shape[0] != 4 + len(self.class_names) or not np.isfinite(raw).all():
            raise HeldError(f"the localizer's answer, shape {raw.shape}, is not finite boxes and scores")
        if self.rescorer is not None:
            return from_network(raw, view, pad, self.rescorer.floor, shape_hw)
        least = np.array([calibration.raw(threshold) for calibration in self.calibration])
        raw = raw[:, (raw[4:] >= least[:, None]).any(axis=0)].astype(np.float64)
        for scores, calibration in zip(raw[4:], self.calibration):
            scores[:] = calibration(scores)
        return from_network(raw, view, pad, 0.0, shape_hw)

    def near(self, display: np.ndarray, xyxy: np.ndarray, threshold: float | None = None) -> Detections:
        """Search only around some boxes, at the scales of a call but in small windows, without the text detector: several times faster.

        Args:
            display: as of a call.
            xyxy: (N, 4) source pixels; only detections within half a box's shorter side, or 16 px if that is more, of one of them count.
            threshold: as of a call, as are the errors.
        """
        threshold = self.threshold if threshold is None else threshold
        near_boxes = boxes.grow(np.asarray(xyxy, np.float64).reshape(-1, 4), 0.5, 16, display.shape)
        close_views = [view for scale in scales(display.shape, self.size, self.tiling) for view in windows_around(near_boxes, display.shape, scale)]
        rows = self._raw_rows(self._close_session, CLOSE_SIZE, display, close_views, threshold)
        scored = self._rescored(display, merge(rows, self.class_names), threshold)
        is_near = np.any(boxes.intersection(scored.xyxy, near_boxes) > 0, axis=1) if len(near_boxes) else np.zeros(0, bool)
        return scored.chosen(is_near)


def from_network(raw: np.ndarray, view: View, pad: tuple[int, int], threshold: float, shape_hw: tuple[int, int]) -> np.ndarray:
    """Network output -> (N, 6) rows of x1, y1, x2, y2 in source pixels, score, class index.

    In a tile, boxes that touch an inner edge are cut pieces of annotations that a neighbouring tile may show whole. They are kept;
    `merge` suppresses those that a whole one covers.

    Args:
        raw: (4 + classes, anchors): centre x, centre y, width, height in network pixels, then one score per class.
        pad: (left, top) padding of the view in network pixels.  threshold: least score of a row.
        shape_hw: of the image, to which boxes are clipped; empty ones are dropped.
    """
    scores = raw[4:].max(axis=0)
    indices = np.flatnonzero(scores >= threshold)
    centre, half = raw[:2, indices].T, raw[2:4, indices].T / 2
    offset = np.array([view.window[0], view.window[1]] * 2, np.float64)
    xyxy = (np.concatenate([centre - half, centre + half], axis=1) - np.array([*pad, *pad])) / view.scale + offset
    xyxy = boxes.clip(xyxy, shape_hw)
    rows = np.concatenate([xyxy, scores[indices, None], raw[4:, indices].argmax(axis=0)[:, None]], axis=1)
    return rows[boxes.area(xyxy) > 0]


def merge(found: list[np.ndarray], class_names: tuple[str, ...]) -> Detections:
    """Detections from the (N, 6) rows of all views, after non-maximum suppression across classes and views; best first."""
    rows = np.concatenate(found) if found else np.zeros((0, 6))
    if not len(rows):
        return Detections.empty(class_names)
    rows = rows[boxes.nms(rows[:, :4], rows[:, 4], NMS_IOU)]
    return Detections(rows[:, :4].astype(np.float32), rows[:, 4].astype(np.float32), rows[:, 5].astype(np.int64), class_names)


def unite(found: Sequence[Detections]) -> list[Detections]:
    """The detections of several views of one frame after non-maximum suppression across them, per view; the first view wins a tie."""
    if len(found) == 1:
        return list(found)
    kept = boxes.nms(np.concatenate([d.xyxy for d in found]), np.concatenate([d.scores for d in found]), NMS_IOU)
    ends = np.cumsum([len(d) for d in found])
    result = []
    for d, end in zip(found, ends):
        rows = np.sort(kept[(kept >= end - len(d)) & (kept < end)]) - (end - len(d))
        result.append(d.chosen(rows))
    return result


def joined(found: Sequence[Detections]) -> Detections:
    """The detections in several views of one frame as one record, in order; `found[0]` itself if it is the only one."""
    if len(found) == 1:
        return found[0]
    xyxy, scores, class_ids, loose = (np.concatenate([getattr(d, name) for d in found]) for name in ("xyxy", "scores", "class_ids", "loose"))
    return Detections(xyxy, scores, class_ids, found[0].class_names, loose)


def load_detector(
    weights: Path | str | None = None, *, device: str = "auto", threads: int | None = None, runtime: str = "auto",
    inference_precision: str | None = None, engine_cache: Path | None = None, batch: int | None = None, server: str | None = None,
    effort: str = "default",
) -> Detector:
    """Open the localizer; arguments and errors as for `network.open_network`.

    Args:
        server: address of a `server.InferenceServer` that runs the network; the other arguments except `threads` and `effort` are then ignored.
        effort: one of `options.EFFORTS`: "fast" leaves out the text detector and the enlarged view of small images, "thorough" shows the text detector a
            larger picture (`text_detector.THOROUGH_SIDE`).

    Raises:
        InferenceError: no server answers at that address.
    """
    threads = threads or os.cpu_count() or 1
    if server is not None:
        network = remote_network(server)
    else:
        network = open_network(
            weights, device=device, threads=threads, runtime=runtime, inference_precision=inference_precision, engine_cache=engine_cache,
            batch=batch)
    folder = network.model.parent
    card = network.card if effort != "fast" else fast(network.card)
    side = text_detector.THOROUGH_SIDE if effort == "thorough" else None
    rescorer, text = rescoring.of_card(card, folder, threads), text_detector.of_card(card, folder, threads, runtime, side)
    return Detector(network.sessions[0], card, network.backend, network.sessions[1], rescorer, text, folder)
