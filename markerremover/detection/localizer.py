"""The localizer: one inference session, with pure functions before and after it.

One ONNX file runs through OpenVINO (CPU, several times faster where it exists) or ONNX Runtime (portable, CUDA,
TensorRT); what `markerremover export` writes, OpenVINO's `.xml` and TensorRT's `.engine`, opens the same way.
Everything that belongs to the weights is read from the JSON card beside them: `classes`, `image_size` (side of the
square network input), `threshold`, `calibration`, `rescorer` (see module `rescorer`), `tiling`, `sha256`, and of an exported model `precision` and
the `inference_precision` it was checked at.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .. import boxes
from ..errors import HeldError, UsageError, WeightsError
from ..inference.client import remote_network
from ..inference.network import CLOSE_SIZE, open_network
from ..inference.session import answers
from ..records import Detections
from .operating_point import Calibration
from .rescorer import Rescorer, of_card

NETWORK_GREY = 114  # the grey that ultralytics pads with in training
NMS_IOU = 0.6  # higher than usual: a letter and the plate around it are two findings
SIGN = "laterality"  # the class of laterality markers
BESIDE, BESIDE_AREA = 0.3, 2.5  # how far from a sign, in its longer sides, and how large, in its area, its initials are
LONG = 1.5  # times as wide as high, or as high as wide: a box that may hold a word
LINE_GAP, LINE_SHARED, LINE_HIGHER = 1.5, 0.6, 1.6  # gap, share of the lower one and ratio of heights of boxes in one line
AGAIN, MOSTLY = 0.5, 0.7  # IoU with a sign, and share of a box in one, above which the box is that sign once more
STEP = 128  # sides of wide pictures are multiples of it, so that few shapes are ever compiled
COVERED = 0.7  # share of a box in better ones of its class from which it says nothing new


@dataclass(frozen=True)
class Tiling:
    """When and how large images are looked at a second time, closer.

    above: longer side in source pixels from which tiles are used.  scales: what the longer side is scaled to for each
    closer look, in pixels, never above the source's own size.  overlap: pixels that neighbouring tiles share, network scale.
    """

    above: int = 10**9
    scales: tuple[int, ...] = ()
    overlap: int = 96

    @classmethod
    def of_card(cls, card: dict) -> Tiling:
        """What a weights' card says; no closer look where it says nothing."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in (card.get("tiling") or {}).items()})


@dataclass(frozen=True)
class View:
    """One picture that the network sees: the source window (integers, maxima exclusive) and the scale it is shown at, in a square of the
    network's size or, if wide, in a picture as large as it takes."""

    window: tuple[int, int, int, int]
    scale: float
    wide: bool = False


Session = Callable[[np.ndarray], np.ndarray]
"""(H, W) uint8 picture -> (4 + classes, anchors), as of `session.Session`."""


class Detector:
    """Finds markings in one displayed frame. Calls are independent; no state passes from one image to the next.

    Attributes:
        card: the weights' card.  sha256: of the model, see `model_sha256`, and after a "+" of the rescorer.  threshold: the card's operating point, 0–1.
        rescorer: the second opinion on each box, None where the card names none.
        calibration: of each class, from the network's (or both networks') scores to those that count; where the card has been fitted they mean
            a probability, so that one threshold is as strict with every class.
        backend: what runs the network, e.g. "OpenVINO CPU, bf16"; OpenVINO's inference precision as it reports it.
        batch: pictures that go through the network together, at most.
    """

    def __init__(
        self, session: Session, card: dict, backend: str, close_session: Session | None = None, rescorer: Rescorer | None = None
    ) -> None:
        if (rescorer is None) != (card.get("rescorer") is None):
            raise WeightsError("a localizer runs with the rescorer that its card names, and without one if it names none")
        self._session, self.card, self.backend, self.rescorer = session, card, backend, rescorer
        self._close_session = close_session or session
        self.batch = getattr(session, "batch", 1)
        self.class_names = tuple(card["classes"])
        self.size = int(card["image_size"])
        self.threshold = float(card["threshold"])
        fitted = card.get("calibration") or {}
        self.calibration = tuple(Calibration(**fitted.get(name, {})) for name in self.class_names)
        self.sha256 = str(card["sha256"]) + ("" if rescorer is None else f"+{rescorer.sha256}")
        self.tiling = Tiling.of_card(card)

    def __call__(self, display: np.ndarray, threshold: float | None = None) -> Detections:
        """Find the markings of one frame.

        Args:
            display: (H, W) uint8, bright = dense; never written to.
            threshold: least score that counts; the card's by default.

        Returns:
            Detections in source pixels, best first, after class-agnostic non-maximum suppression. Beside a laterality marker and in
            line with a word a box counts from the card's `beside_marker` on, where that is less: more print is likely there.
        """
        return self.with_faint(display, None, threshold)[0]

    def with_faint(self, display: np.ndarray, least: float | None, threshold: float | None = None) -> tuple[Detections, Detections]:
        """What a call finds, and whatever else scores at least `least` (nothing for None): one look, no dearer than a call."""
        if display.ndim != 2 or display.dtype != np.uint8 or 0 in display.shape:
            raise UsageError(f"display has shape {display.shape} {display.dtype}, needs a non-empty (H, W) uint8")
        threshold = self.threshold if threshold is None else threshold
        beside = min(threshold, float(self.card.get("beside_marker", threshold)))
        everything = self._whole(display, beside if least is None else min(least, beside))
        candidates = everything.chosen(everything.scores >= np.float32(beside))
        found = candidates if beside == threshold else sure_or_beside(candidates, threshold)
        taken = set(map(tuple, found.xyxy.tolist()))
        return found, everything.chosen(np.array([tuple(box) not in taken for box in everything.xyxy.tolist()], bool))

    def _whole(self, display: np.ndarray, least: float) -> Detections:
        """Every view of a frame, merged and judged: what scores at least `least`, best first."""
        found = self._seen(self._session, self.size, display, self.views(display.shape), least)
        return self._judged(display, merge(found, self.class_names), least)

    def in_tiles(self) -> Detector:
        """The same one, but large images are seen closer in tiles, as by networks that take squares only."""
        plain, close = ((lambda picture, session=session: session(picture)) for session in (self._session, self._close_session))
        return Detector(plain, self.card, self.backend, close, self.rescorer)

    @property
    def wide(self) -> bool:
        """Whether large images are seen closer in wide pictures instead of tiles."""
        return getattr(self._session, "wide", False)

    def views(self, shape_hw: tuple[int, int]) -> list[View]:
        """How a frame of some rows and columns is looked at."""
        return views(shape_hw, self.size, self.tiling, wide=self.wide)

    def _seen(self, session: Session, size: int, display: np.ndarray, looks: Sequence[View], least: float) -> list[np.ndarray]:
        """What the network finds in some views of a frame, rows a view; the views go to it in batches where it takes them."""
        shown = [show(display, view, size) for view in looks]
        raws = answers(session, [picture for picture, _, _ in shown])
        return [self._rows(raw, view, pad, least, display.shape) for raw, view, (_, *pad) in zip(raws, looks, shown)]

    def _judged(self, display: np.ndarray, found: Detections, threshold: float) -> Detections:
        """With a rescorer, what both networks together score at least `threshold`, calibrated, best first, and which
        boxes are loose."""
        if self.rescorer is None:
            return found
        scores = self.rescorer(display, found.xyxy, found.scores)
        scores = np.array([self.calibration[c](s) for s, c in zip(scores, found.class_ids)], np.float64)
        rows = np.argsort(-scores, kind="stable")
        rows = rows[scores[rows] >= threshold]
        loose = covered_by_better(found.xyxy[rows], found.class_ids[rows])
        return Detections(found.xyxy[rows], scores[rows].astype(np.float32), found.class_ids[rows], found.class_names, loose)

    def _rows(self, raw: np.ndarray, view: View, pad: tuple[int, int], threshold: float, shape_hw: tuple[int, int]) -> np.ndarray:
        """`from_network` with calibrated scores, of which `threshold` is one; with a rescorer the candidates, raw.

        Raises:
            HeldError: the network's answer has another shape or is not finite: nothing can be said about the image.
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
        """Look only around some boxes, at the scales of a full look but through small windows: several times faster.

        Args:
            display: as in a call.
            xyxy: (N, 4) source pixels; what is found counts only if it comes within half a box's shorter side, at least
                16 px, of one of them.
            threshold: as in a call.
        """
        threshold = self.threshold if threshold is None else threshold
        close = boxes.grow(np.asarray(xyxy, np.float64).reshape(-1, 4), 0.5, 16, display.shape)
        looks = [view for scale in scales(display.shape, self.size, self.tiling) for view in windows_around(close, display.shape, scale)]
        found = self._seen(self._close_session, CLOSE_SIZE, display, looks, threshold)
        everything = self._judged(display, merge(found, self.class_names), threshold)
        chosen = (boxes.intersection(everything.xyxy, close) > 0).any(axis=1) if len(close) else np.zeros(0, bool)
        return everything.chosen(chosen)


def windows_around(xyxy: np.ndarray, shape_hw: tuple[int, int], scale: float) -> list[View]:
    """Windows of `CLOSE_SIZE` network pixels that together hold every box, shared by boxes that lie together; a box too
    large for one window gets several that overlap by a quarter."""
    side = max(1, int(CLOSE_SIZE / scale))
    h, w = shape_hw
    result, todo = [], [tuple(int(v) for v in box) for box in xyxy]
    while todo:
        x1, y1, x2, y2 = todo[0]
        for other in todo[1:]:
            joint = min(x1, other[0]), min(y1, other[1]), max(x2, other[2]), max(y2, other[3])
            if joint[2] - joint[0] <= side and joint[3] - joint[1] <= side:
                x1, y1, x2, y2 = joint
        todo = [b for b in todo[1:] if not (b[0] >= x1 and b[1] >= y1 and b[2] <= x2 and b[3] <= y2)]
        cx, cy = (x1 + x2) // 2, (y1 + y2) // 2
        wide, high = max(x2 - x1, min(side, w)), max(y2 - y1, min(side, h))
        left, top = min(max(0, cx - wide // 2), w - wide), min(max(0, cy - high // 2), h - high)
        for a, b, c, d in boxes.tiles((high, wide), side, side // 4):
            result.append(View((left + int(a), top + int(b), left + int(c), top + int(d)), scale))
    return result


def views(shape_hw: tuple[int, int], size: int, tiling: Tiling, wide: bool = False) -> list[View]:
    """The whole image, and for large ones all of it at each closer scale, in tiles or, where the network takes wide pictures, at once:
    nothing is cut by the edges of tiles then, and nothing is looked at twice.

    Args:
        shape_hw: source rows and columns.  size: side of the network's square input.
    """
    h, w = shape_hw
    longer = max(h, w)
    result = [View((0, 0, w, h), size / longer)]
    if longer < tiling.above:
        return result
    for target in tiling.scales:
        scale = min(1.0, target / longer)
        if scale <= result[0].scale * 1.05:
            continue
        if wide:
            result.append(View((0, 0, w, h), scale, True))
            continue
        windows = boxes.tiles(shape_hw, int(size / scale), int(round(tiling.overlap / scale)))
        result.extend(View(tuple(int(v) for v in win), scale) for win in windows)
    return result


def scales(shape_hw: tuple[int, int], size: int, tiling: Tiling) -> tuple[float, ...]:
    """The different scales (network px per source px) of an image's `views`, ascending."""
    return tuple(sorted({view.scale for view in views(shape_hw, size, tiling)}))


def show(display: np.ndarray, view: View, size: int) -> tuple[np.ndarray, int, int]:
    """The uint8 network input of a view, (size, size) unless it is wide, and the left and top padding in network pixels."""
    x1, y1, x2, y2 = view.window
    nh, nw = (max(1, round(length * view.scale)) for length in (y2 - y1, x2 - x1))
    if view.wide:
        high, wide = (STEP * -(-length // STEP) for length in (nh, nw))
    else:
        nh, nw, high, wide = min(size, nh), min(size, nw), size, size
    crop = display[y1:y2, x1:x2]
    if crop.shape != (nh, nw):
        crop = cv2.resize(crop, (nw, nh), interpolation=cv2.INTER_AREA if view.scale < 1 else cv2.INTER_LINEAR)
    out = np.full((high, wide), NETWORK_GREY, np.uint8)
    left, top = (wide - nw) // 2, (high - nh) // 2
    out[top : top + nh, left : left + nw] = crop
    return out, left, top


def from_network(raw: np.ndarray, view: View, pad: tuple[int, int], threshold: float, shape_hw: tuple[int, int]) -> np.ndarray:
    """Network output -> (N, 6) rows of x1, y1, x2, y2 in source pixels, score, class index.

    Args:
        raw: (4 + classes, anchors): centre x, centre y, width, height in network pixels, then a score a class.
        pad: (left, top) padding of the view in network pixels.

    In a tile, boxes that touch an inner edge are cut pieces of something the neighbouring tile sees whole; they stay
    (doubt removes), the merge drops those that are covered by a whole one.
    """
    scores = raw[4:].max(axis=0)
    chosen = np.flatnonzero(scores >= threshold)
    centre, half = raw[:2, chosen].T, raw[2:4, chosen].T / 2
    offset = np.array([view.window[0], view.window[1]] * 2, np.float64)
    xyxy = (np.concatenate([centre - half, centre + half], axis=1) - np.array([*pad, *pad])) / view.scale + offset
    xyxy = boxes.clip(xyxy, shape_hw)
    rows = np.concatenate([xyxy, scores[chosen, None], raw[4:, chosen].argmax(axis=0)[:, None]], axis=1)
    return rows[boxes.area(xyxy) > 0]


def merge(found: list[np.ndarray], class_names: tuple[str, ...]) -> Detections:
    """Rows of all views -> Detections, after non-maximum suppression across classes and views."""
    rows = np.concatenate(found) if found else np.zeros((0, 6))
    if not len(rows):
        return Detections.empty(class_names)
    rows = rows[boxes.nms(rows[:, :4], rows[:, 4], NMS_IOU)]
    return Detections(rows[:, :4].astype(np.float32), rows[:, 4].astype(np.float32), rows[:, 5].astype(np.int64), class_names)


def covered_by_better(xyxy: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
    """(N,) bool: whether a box lies for the most part (`COVERED`) in those before it that do not.

    Many boxes around one letter score alike, and non-maximum suppression leaves those that differ in size.

    Args:
        xyxy: (N, 4) source pixels, best first.  class_ids: (N,); a box is held only against those of its own class.
    """
    loose = np.zeros(len(xyxy), bool)
    for k, box in enumerate(xyxy):
        better = [j for j in range(k) if not loose[j] and class_ids[j] == class_ids[k]]
        loose[k] = boxes.covered_share(box, xyxy[better]) >= COVERED
    return loose


def sure_or_beside(found: Detections, threshold: float) -> Detections:
    """Those that score at least `threshold`, and those beside a laterality marker that does: at most `BESIDE` of the sign's longer
    side from it, not much larger (`BESIDE_AREA`), and not the sign itself once more; or in one line with a word that
    does, see `in_line`."""
    sure = found.scores >= threshold
    if sure.all():
        return found
    xyxy = found.xyxy.astype(np.float64)
    is_marker = np.array([found.class_names[c] == SIGN for c in found.class_ids], bool)
    chosen = sure | in_line(xyxy, xyxy[sure & ~is_marker]).any(axis=1)
    signs = xyxy[sure & is_marker]
    reach = BESIDE * (signs[:, 2:] - signs[:, :2]).max(axis=1, initial=0)
    gap = np.maximum(xyxy[:, None, :2] - signs[None, :, 2:], signs[None, :, :2] - xyxy[:, None, 2:]).max(axis=2)
    shared = boxes.intersection(xyxy, signs)
    again = (boxes.iou(xyxy, signs) > AGAIN) | (shared > MOSTLY * boxes.area(xyxy)[:, None])
    small = boxes.area(xyxy)[:, None] <= BESIDE_AREA * boxes.area(signs)
    return found.chosen(chosen | ((gap <= reach) & small & ~again).any(axis=1))


def in_line(xyxy: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """(N, M) bool: whether a box may hold the next word of a line of text: it stands beside a wide box, or above or below one
    that is higher than wide, at most `LINE_GAP` of the line's height away and of much the same height.

    Args:
        xyxy: (N, 4) source pixels.  sure: (M, 4).
    """
    result = np.zeros((len(xyxy), len(sure)), bool)
    for along in (0, 1):
        across = 1 - along
        height, other = (b[:, across + 2] - b[:, across] for b in (xyxy, sure))
        word = sure[:, along + 2] - sure[:, along] >= LONG * other
        shared = np.minimum(xyxy[:, None, across + 2], sure[None, :, across + 2]) - np.maximum(xyxy[:, None, across], sure[None, :, across])
        low, high = np.minimum(height[:, None], other), np.maximum(height[:, None], other)
        gap = np.maximum(xyxy[:, None, along] - sure[None, :, along + 2], sure[None, :, along] - xyxy[:, None, along + 2])
        result |= word & (shared >= LINE_SHARED * low) & (high <= LINE_HIGHER * low) & (gap <= LINE_GAP * low) & (gap > -0.5 * low)
    return result


def unite(found: Sequence[Detections]) -> list[Detections]:
    """What each of several looks at one frame keeps after non-maximum suppression across them; the first wins a tie."""
    if len(found) == 1:
        return list(found)
    kept = boxes.nms(np.concatenate([d.xyxy for d in found]), np.concatenate([d.scores for d in found]), NMS_IOU)
    ends = np.cumsum([len(d) for d in found])
    result = []
    for d, end in zip(found, ends):
        own = np.sort(kept[(kept >= end - len(d)) & (kept < end)]) - (end - len(d))
        result.append(d.chosen(own))
    return result


def joined(found: Sequence[Detections]) -> Detections:
    """Several looks at one frame as one record; `found` itself where there is but one."""
    if len(found) == 1:
        return found[0]
    xyxy, scores, class_ids, loose = (np.concatenate([getattr(d, name) for d in found]) for name in ("xyxy", "scores", "class_ids", "loose"))
    return Detections(xyxy, scores, class_ids, found[0].class_names, loose)


def load_detector(
    weights: Path | str | None = None, *, device: str = "auto", threads: int | None = None, runtime: str = "auto",
    inference_precision: str | None = None, engine_cache: Path | None = None, batch: int | None = None, server: str | None = None,
) -> Detector:
    """Open the localizer; arguments and errors as for `network.open_network`.

    Args:
        server: address of an `server.InferenceServer`, which then has the network; the others but `threads` say nothing then.

    Raises:
        InferenceError: nobody answers at that address.
    """
    threads = threads or os.cpu_count() or 1
    if server is not None:
        opened = remote_network(server)
    else:
        opened = open_network(
            weights, device=device, threads=threads, runtime=runtime, inference_precision=inference_precision, engine_cache=engine_cache,
            batch=batch)
    second = of_card(opened.card, opened.model.parent, threads)
    return Detector(opened.sessions[0], opened.card, opened.backend, opened.sessions[1], second)
