"""Training windows: small crops of labelled radiographs at the network's scale, around annotations and elsewhere.

A radiograph is mostly anatomy; an annotation covers about a thousandth of it. Training on whole images spends nearly all work on background,
so the localizer is trained on windows instead (SNIPER, Singh et al. 2018): most are placed around an annotation, the rest anywhere. The
network is fully convolutional and later sees whole images at the same scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from .. import boxes
from ..detection.views import NETWORK_GREY
from ..errors import UsageError
from ..labels.labelled_folder import Sample, read_grey
from ..records import LATERALITY, MARKER, UNCERTAIN, Annotation

MIN_VISIBLE = 0.4  # lowest share of an annotation's box inside a window with which it is a training target


def mask_uncertain(grey: np.ndarray, annotation: Annotation) -> np.ndarray:
    """The (H, W) image with every `uncertain` region inpainted except where it overlaps another element, since such regions are neither
    annotations nor background. A new array, or `grey` itself without such regions."""
    uncertain = [e.xyxy for e in annotation.elements if e.kind == UNCERTAIN]
    if not uncertain:
        return grey
    taught = np.array([e.xyxy for e in annotation.elements if e.kind != UNCERTAIN]).reshape(-1, 4)
    out = grey.copy()
    for x1, y1, x2, y2 in boxes.grow(np.array(uncertain, dtype=float), 0.1, 3, grey.shape):
        m = 12
        X1, Y1, X2, Y2 = max(0, x1 - m), max(0, y1 - m), min(grey.shape[1], x2 + m), min(grey.shape[0], y2 + m)
        mask = np.zeros((Y2 - Y1, X2 - X1), np.uint8)
        mask[y1 - Y1 : y2 - Y1, x1 - X1 : x2 - X1] = 255
        for a1, b1, a2, b2 in np.round(taught).astype(int):
            mask[max(0, b1 - 2 - Y1) : max(0, b2 + 2 - Y1), max(0, a1 - 2 - X1) : max(0, a2 + 2 - X1)] = 0
        out[Y1:Y2, X1:X2] = cv2.inpaint(np.ascontiguousarray(out[Y1:Y2, X1:X2]), mask, 3, cv2.INPAINT_TELEA)
    return out


def letterbox(grey: np.ndarray, size: int) -> tuple[np.ndarray, float, tuple[int, int]]:
    """Scale the longer side to `size` and pad to a square.

    Returns:
        (size, size) uint8, the scale (network px per source px), and the (left, top) padding in network pixels.
    """
    h, w = grey.shape
    scale = size / max(h, w)
    nh, nw = max(1, round(h * scale)), max(1, round(w * scale))
    resized = cv2.resize(grey, (nw, nh), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    out = np.full((size, size), NETWORK_GREY, np.uint8)
    left, top = (size - nw) // 2, (size - nh) // 2
    out[top : top + nh, left : left + nw] = resized
    return out, scale, (left, top)


class WindowDataset:
    """Map-style dataset of random windows; item i of epoch e depends on the worker's random state only.

    Args:
        groups: lists of samples; each window first draws a group by `shares`, then an image in it.
        class_names: the classes; with ("marker",) alone laterality elements are of class marker too.
        window: side of a window in network pixels.
        scale_to: longer side that a whole image is scaled to before cutting (the inference size), in pixels.
        length: windows per epoch.
        positive_share: share of windows placed around an annotation, 0–1.
        scale_range: smallest and largest factor on the scale, log-uniform.
        scales: instead of `scale_to`: source (rows, columns) -> the scales (network px per source px) of inference for such an
            image; each window draws one of them.
        keep_decoded: keep every decoded image in memory (one byte per pixel, in each loader worker).
        hard: image path -> (N, 4) xyxy source pixels of an earlier localizer's errors (see `train_localizer.mine`).
        hard_share: share of windows placed around one of those, 0–1.
    """

    def __init__(self, groups: list[list[Sample]], class_names: tuple[str, ...], *, shares: list[float] | None = None,
                 window: int = 320, scale_to: int = 768, length: int = 4000, positive_share: float = 0.8,
                 scale_range: tuple[float, float] = (0.6, 1.6),
                 scales: Callable[[tuple[int, int]], Sequence[float]] | None = None, keep_decoded: bool = False,
                 hard: dict[str, list] | None = None, hard_share: float = 0.25) -> None:
        if not groups or not all(groups):
            raise UsageError("every data folder needs at least one training image")
        self.groups, self.class_names = groups, class_names
        shares = shares or [len(g) for g in groups]
        self.shares = np.array(shares, float) / np.sum(shares)
        self.window, self.scale_to, self.length = window, scale_to, length
        self.positive_share, self.scale_range = positive_share, scale_range
        self.scales = scales
        self._decoded: dict[Path, np.ndarray] | None = {} if keep_decoded else None
        by_path = {str(s.path): s for group in groups for s in group}
        self.hard = [(by_path[path], tuple(box)) for path, errors in sorted((hard or {}).items()) if path in by_path for box in errors]
        self.hard_share = hard_share if self.hard else 0.0
        self.rng: np.random.Generator | None = None

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        import torch

        if self.rng is None:  # one stream per loader worker, seeded from torch's per-worker seed
            self.rng = np.random.default_rng(torch.initial_seed() % 2**63)
        picture, xyxy, classes = self.draw(self.rng)
        return as_item(picture, xyxy, classes, f"window-{index}")

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One window: (window, window) uint8, (N, 4) boxes in window pixels, (N,) class indices."""
        around = None
        if rng.random() < self.hard_share:
            sample, around = self.hard[rng.integers(len(self.hard))]
        else:
            group = self.groups[rng.choice(len(self.groups), p=self.shares)]
            sample = group[rng.integers(len(group))]
        grey = self._picture(sample)
        xyxy, classes = targets(sample.annotation, self.class_names)
        scale = self.scale_to / max(grey.shape) if self.scales is None else float(rng.choice(self.scales(grey.shape)))
        scale *= np.exp(rng.uniform(*np.log(self.scale_range)))
        picture, xyxy, classes = self._cut(rng, grey, xyxy, classes, scale, around)
        picture, xyxy = turn(picture, xyxy, int(rng.choice(4, p=[0.7, 0.1, 0.1, 0.1])))
        return vary_tone(rng, picture), xyxy, classes

    def _picture(self, sample: Sample) -> np.ndarray:
        if self._decoded is None:
            return mask_uncertain(read_grey(sample.path), sample.annotation)
        if sample.path not in self._decoded:
            self._decoded[sample.path] = mask_uncertain(read_grey(sample.path), sample.annotation)
        return self._decoded[sample.path]

    def _cut(self, rng, grey, xyxy, classes, scale, around=None):
        h, w = grey.shape
        side = self.window / scale  # source pixels
        if around is not None or (len(xyxy) and rng.random() < self.positive_share):
            b = around if around is not None else xyxy[rng.integers(len(xyxy))]
            cx = (b[0] + b[2]) / 2 + rng.uniform(-0.42, 0.42) * side
            cy = (b[1] + b[3]) / 2 + rng.uniform(-0.42, 0.42) * side
        else:
            cx, cy = rng.uniform(0, w), rng.uniform(0, h)
        over = 0.1 * side  # a window may extend beyond the image by a tenth, as letter-boxing does
        x0 = float(np.clip(cx - side / 2, -over, max(-over, w - side + over)))
        y0 = float(np.clip(cy - side / 2, -over, max(-over, h - side + over)))
        X1, Y1, X2, Y2 = (int(v) for v in (max(0, x0), max(0, y0), min(w, x0 + side), min(h, y0 + side)))
        out = np.full((self.window, self.window), NETWORK_GREY, np.uint8)
        left, top = max(0, round((X1 - x0) * scale)), max(0, round((Y1 - y0) * scale))
        nw, nh = min(self.window - left, max(1, round((X2 - X1) * scale))), min(self.window - top, max(1, round((Y2 - Y1) * scale)))
        crop = cv2.resize(grey[Y1:Y2, X1:X2], (nw, nh), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        out[top : top + nh, left : left + nw] = crop
        shifted = (xyxy - np.array([X1, Y1, X1, Y1])) * scale + np.array([left, top, left, top])
        return (*drop_cut_boxes(out, shifted, classes),)


def targets(annotation: Annotation, class_names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(N, 4) xyxy source pixels and (N,) class indices of the training targets."""
    rows = []
    for e in annotation.elements:
        kind = MARKER if class_names == (MARKER,) and e.kind == LATERALITY else e.kind
        if kind in class_names:
            rows.append((*e.xyxy, class_names.index(kind)))
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    return table[:, :4], table[:, 4].astype(np.int64)


def drop_cut_boxes(picture: np.ndarray, xyxy: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes clipped to the window; those mostly outside are dropped and, in place, painted over in the picture."""
    inside = boxes.clip(xyxy, picture.shape)
    visible = boxes.area(inside) / np.maximum(boxes.area(xyxy), 1e-9)
    keep = visible >= MIN_VISIBLE
    for x1, y1, x2, y2 in np.round(inside[(visible > 0) & ~keep]).astype(int):
        patch = picture[max(0, y1 - 1) : y2 + 1, max(0, x1 - 1) : x2 + 1]
        if patch.size:
            patch[:] = int(np.median(patch))
    return picture, inside[keep], classes[keep]


def turn(picture: np.ndarray, xyxy: np.ndarray, quarter_turns: int) -> tuple[np.ndarray, np.ndarray]:
    """Window and boxes rotated counter-clockwise by quarter turns (never flipped, since a mirrored L is no L)."""
    side = picture.shape[0]
    for _ in range(quarter_turns):
        xyxy = np.stack([xyxy[:, 1], side - xyxy[:, 2], xyxy[:, 3], side - xyxy[:, 0]], axis=1)
    return np.ascontiguousarray(np.rot90(picture, quarter_turns)), xyxy


def vary_tone(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Window/level, gamma, inversion, blur and noise as scanners and exports vary them; new (H, W) uint8."""
    x = np.arange(256, dtype=np.float32) / 255
    if rng.random() < 0.7:
        x = np.clip((x - rng.uniform(-0.1, 0.12)) * rng.uniform(0.75, 1.3), 0, 1) ** np.exp(rng.uniform(-0.5, 0.5))
    if rng.random() < 0.08:
        x = 1 - x
    out = (x * 255).astype(np.uint8)[picture]
    kind = rng.random()
    if kind < 0.12:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.4, 1.1))
    elif kind < 0.3:
        out = np.clip(out + rng.normal(0, rng.uniform(1, 8), out.shape).astype(np.float32), 0, 255).astype(np.uint8)
    return out


def as_item(picture: np.ndarray, xyxy: np.ndarray, classes: np.ndarray, name: str, **extra) -> dict:
    """A dataset item in the format of ultralytics' trainer and validator."""
    import torch

    h, w = picture.shape
    xywh = np.stack([(xyxy[:, 0] + xyxy[:, 2]) / 2 / w, (xyxy[:, 1] + xyxy[:, 3]) / 2 / h,
                     (xyxy[:, 2] - xyxy[:, 0]) / w, (xyxy[:, 3] - xyxy[:, 1]) / h], axis=1)
    return {
        "img": torch.from_numpy(np.repeat(picture[None], 3, axis=0)),
        "cls": torch.from_numpy(classes.astype(np.float32)).reshape(-1, 1),
        "bboxes": torch.from_numpy(xywh.astype(np.float32)).reshape(-1, 4),
        "batch_idx": torch.zeros(len(classes)),
        "im_file": name, "ori_shape": (h, w), "resized_shape": (h, w), **extra,
    }


class WholeDataset:
    """Whole letter-boxed images; items as `as_item`.

    Args:
        samples: the images.  class_names: the classes.  size: side of the square, network pixels.
        repeat: number of times that each image is in an epoch.
        varied: whether the tone is varied, for training; False for validation.
    """

    def __init__(self, samples: list[Sample], class_names: tuple[str, ...], *, size: int, repeat: int = 1, varied: bool = False) -> None:
        self.samples, self.class_names, self.size = samples, class_names, size
        self.repeat, self.varied = repeat, varied
        self.rng: np.random.Generator | None = None

    def __len__(self) -> int:
        return len(self.samples) * self.repeat

    def __getitem__(self, index: int) -> dict:
        import torch

        sample = self.samples[index % len(self.samples)]
        grey = mask_uncertain(read_grey(sample.path), sample.annotation)
        xyxy, classes = targets(sample.annotation, self.class_names)
        picture, scale, (left, top) = letterbox(grey, self.size)
        if self.varied:
            if self.rng is None:
                self.rng = np.random.default_rng(torch.initial_seed() % 2**63)
            picture = vary_tone(self.rng, picture)
        item = as_item(picture, xyxy * scale + np.array([left, top, left, top]), classes, str(sample.path))
        return {**item, "ori_shape": grey.shape, "ratio_pad": ((scale, scale), (left, top))}
