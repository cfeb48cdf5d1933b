"""Trains the stroke network (see `second_pass.stroke_network`) on drawn films with ink masks. Needs the extra `train`.

`markerremover synthesize --masks` writes the films. The windows lie around their elements as the second pass sees them, with boxes a little off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ...errors import AnnotationError
from ...labels import labelled_folder
from ...records import LATERALITY, MARKER, UNCERTAIN, Element, locked
from ...second_pass import strokes
from ...second_pass.stroke_network import GROUND, LETTER, PRINT, RING, normalised, pictures
from ...second_pass.view import View, view_of_box
from ...synthesis.marks.texts import ALONE
from .. import train_localizer

WINDOW = 96  # side of a training window, network pixels
UNKNOWN = 255  # label of pixels that are not taught: strokes of "uncertain" elements, and half of a hidden outline
LEAST_SIDE = 5.0  # least shorter side of an element, source pixels
MOST_OTHERS = 3  # windows around other print for an image, at most
JITTER, UNION_SHARE = 0.12, 0.2  # displacement of a box's sides, in its size, and share of boxes that hold a neighbour too
COVERED = 0.35  # share of a pixel under a stroke from which it is one
DISC = 0.6  # share of its box that a marker's strokes fill if a disc under its ring is among them
OUTLINE = 0.25  # least size of what a ring holds, in the ring's size
HELD_OUT = 0.08  # share of images held out
BATCH, RATE = 32, 2e-3
WEIGHTS = (1.0, 2.5, 4.0, 1.5)  # of the classes in the cross-entropy
WIDTHS = (12, 24, 48, 64)  # channels of the four levels


@dataclass(frozen=True)
class Windows:
    """pictures: (N, 2, WINDOW, WINDOW) uint8, see `stroke_network.pictures`.  labels: (N, WINDOW, WINDOW) uint8, class or `UNKNOWN`.
    is_laterality, held_out: (N,) bool."""

    pictures: np.ndarray
    labels: np.ndarray
    is_laterality: np.ndarray
    held_out: np.ndarray

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            object.__setattr__(self, name, locked(getattr(self, name)))


def gather(folders: Sequence[Path | str], rng: np.random.Generator, *, repeats: int = 2) -> Windows:
    """The windows of drawn films.

    Args:
        folders: of `synthesize --masks`.  repeats: windows for each laterality marker, and at most `MOST_OTHERS` for an image's other print.

    Raises:
        AnnotationError: a folder has no masks.
    """
    columns: tuple[list, ...] = ([], [], [], [])
    for folder in map(Path, folders):
        for sample in labelled_folder.load_samples(folder, None):
            ink = cv2.imread(str(folder / "masks" / f"{sample.path.stem}.png"), cv2.IMREAD_UNCHANGED)
            grey = labelled_folder.read_grey(sample.path)
            if ink is None or ink.shape != grey.shape:
                raise AnnotationError(f"{sample.path}: has no ink mask of its size; synthesize with --masks")
            classes = classes_of(grey, ink, sample.annotation.elements)
            is_held_out = labelled_folder.share_of(sample.patient) < HELD_OUT
            for box, is_laterality in _boxes(sample.annotation.elements, repeats, rng):
                view = view_of_box(grey, box)
                if isinstance(view, View):
                    for column, value in zip(columns, (*_window(view, classes, rng), is_laterality, is_held_out)):
                        column.append(value)
    if not any(columns[2]):
        raise AnnotationError("the folders hold no laterality markers")
    return Windows(*(np.array(column) for column in columns))


def classes_of(grey: np.ndarray, ink: np.ndarray, elements: Sequence[Element]) -> np.ndarray:
    """(H, W) uint8: the class of each pixel, or `UNKNOWN`.

    Args:
        grey: (H, W) uint8, the film.  ink: (H, W), 0 or 1 + index of the element whose stroke a pixel belongs to.
    """
    result = np.full(ink.shape, GROUND, np.uint8)
    for k, element in enumerate(elements, 1):
        x1, y1, x2, y2 = (int(v) for v in (*np.floor(element.xyxy[:2]), *np.ceil(element.xyxy[2:])))
        part = result[y1:y2, x1:x2]
        mask = ink[y1:y2, x1:x2] == k
        if element.kind == LATERALITY or element.text.endswith(ALONE):  # what a letter is, the OCR engine says
            is_ringed = " ring" in element.text
            if is_ringed and mask.mean() > DISC:
                ring, letter = _on_disc(grey[y1:y2, x1:x2], mask)
            else:
                ring, letter = _ring_and_letter(mask, "outlined" in element.text)
            if is_ringed and not ring.any():
                part[mask] = UNKNOWN
                continue
            part[ring] = RING
            part[letter & ((ink[y1:y2, x1:x2] == 0) | mask)] = LETTER
        else:
            part[mask] = PRINT if element.kind == MARKER else UNKNOWN
    return result


def _on_disc(grey: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`_ring_and_letter` of a marker whose disc belongs to its strokes: Otsu's threshold parts the disc's tones, and of those in which a ring
    holds something the letter is the one that holds the smaller thing."""
    threshold, _ = cv2.threshold(np.ascontiguousarray(grey[mask]).reshape(1, -1), 0, 255, cv2.THRESH_OTSU)
    parted = [_ring_and_letter(mask & is_tone, False) for is_tone in (grey > threshold, grey <= threshold)]
    parted = [(ring, letter) for ring, letter in parted if ring.any()]
    if not parted:
        return np.zeros_like(mask), mask
    return min(parted, key=lambda each: int(np.flatnonzero(each[1].any(1)).size))


def _ring_and_letter(mask: np.ndarray, is_outlined: bool) -> tuple[np.ndarray, np.ndarray]:
    """The strokes of a ring around a letter, and the letter's, both (h, w) bool: an outlined letter's with what lies between its outlines, a
    dotted one's with the gaps closed.

    Args:
        mask: (h, w) bool, all strokes of the marker.
    """
    nothing = np.zeros_like(mask)
    if is_outlined:
        return nothing, strokes.between_outlines(mask)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if len(stats) < 3:
        return nothing, mask
    largest = 1 + int((stats[1:, 2] * stats[1:, 3]).argmax())
    x, y, w, h, area = stats[largest]
    rest = mask & (labels != largest)
    within = rest[y : y + h, x : x + w]
    solid = strokes.filled(labels == largest)
    if within.sum() == rest.sum() and solid.sum() > 2 * area and max(stats[i, 2:4].max() for i in range(1, len(stats)) if i != largest) > OUTLINE * max(w, h):
        return labels == largest, rest
    return nothing, strokes.closed_dots(mask)


def _boxes(elements: Sequence[Element], repeats: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, bool]]:
    """Boxes as a localizer gives them, (4,) source pixels, and whether each is of a laterality marker."""
    seen = [e for e in elements if e.kind != UNCERTAIN and min(e.xyxy[2] - e.xyxy[0], e.xyxy[3] - e.xyxy[1]) >= LEAST_SIDE]
    others = [e for e in seen if e.kind == MARKER]
    picked = [others[i] for i in rng.permutation(len(others))[:MOST_OTHERS]]
    for element in (*(e for e in seen if e.kind == LATERALITY for _ in range(repeats)), *picked):
        box = np.array(element.xyxy, np.float64)
        if rng.random() < UNION_SHARE:
            near = [np.array(e.xyxy) for e in seen if e is not element
                    and (np.maximum(box[:2], e.xyxy[:2]) - np.minimum(box[2:], e.xyxy[2:])).max() < 0.3 * (box[2:] - box[:2]).max()]
            box = np.concatenate([np.min([box, *near], axis=0)[:2], np.max([box, *near], axis=0)[2:]])
        size = np.tile(box[2:] - box[:2], 2)
        yield box + np.clip(rng.normal(0, JITTER, 4), -0.35, 0.35) * size, element.kind == LATERALITY


def _window(view: View, classes: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Picture (2, WINDOW, WINDOW) and labels (WINDOW, WINDOW) of a part of a view around its box, uint8 each; no pixel beyond the view is taught."""
    picture = pictures(view)
    h, w = picture.shape[1:]
    X1, Y1, X2, Y2 = view.window
    shares = [cv2.resize((classes[Y1:Y2, X1:X2] == c).astype(np.float32), (w, h), interpolation=cv2.INTER_AREA) for c in (LETTER, RING, PRINT, UNKNOWN)]
    best = np.argmax(shares, axis=0)
    labels = np.where(np.max(shares, axis=0) > COVERED, np.array((LETTER, RING, PRINT, UNKNOWN), np.uint8)[best], GROUND).astype(np.uint8)
    middle = (view.inner[:2] + view.inner[2:]) / 2 * (w, h) / view.grey.shape[::-1]
    left, top = (int(round(m + rng.uniform(-12, 12) - WINDOW / 2)) for m in middle)
    left, top = (int(np.clip(v, min(0, side - WINDOW), max(0, side - WINDOW))) for v, side in ((left, w), (top, h)))
    before, after = [max(0, -top), max(0, -left)], [max(0, top + WINDOW - h), max(0, left + WINDOW - w)]
    part = np.s_[max(0, top) : top + WINDOW, max(0, left) : left + WINDOW]
    around = ((before[0], after[0]), (before[1], after[1]))
    return np.pad(picture[:, part[0], part[1]], ((0, 0), *around), mode="edge"), np.pad(labels[part], around, constant_values=UNKNOWN)


def train(folders: Sequence[Path | str], out: Path | str, *, minutes: float, repeats: int = 2, seed: int = 0, say: Callable[[str], None] = print) -> Path:
    """Train a stroke network and write it as ONNX.

    Args:
        folders: drawn films with ink masks.  out: the file; the checkpoint lies beside it as .pt and is continued from.
        minutes: of training, for which the learning rate is scheduled.

    Returns:
        `out`.

    Raises:
        UsageError: the extra `train` is missing.
        AnnotationError: see `gather`.
    """
    train_localizer.require()
    import torch

    out, rng = Path(out), np.random.default_rng(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(train_localizer.THREADS)
    windows = gather(folders, rng, repeats=repeats)
    say(f"{len(windows.labels)} windows, {int(windows.is_laterality.sum())} around laterality markers, {int(windows.held_out.sum())} held out")
    network = _network().to(memory_format=torch.channels_last)
    checkpoint = out.with_suffix(".pt")
    if checkpoint.is_file():
        network.load_state_dict(torch.load(checkpoint, weights_only=True))
        say(f"goes on from {checkpoint}")
    _taught(network, windows, minutes, rng, checkpoint, say)
    write_onnx(network.eval(), out)
    say(f"held out: {overlap(network, windows)}")
    return out


def _taught(network, windows: Windows, minutes: float, rng: np.random.Generator, checkpoint: Path, say: Callable[[str], None]) -> None:
    import time

    import torch

    chances = np.where(windows.is_laterality, 0.6 / max(1, windows.is_laterality.sum()), 0.4 / max(1, (~windows.is_laterality).sum()))
    chances = np.where(windows.held_out, 0, chances)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.01)
    begun, step, mean = time.monotonic(), 0, 0.0
    network.train()
    while (spent := (time.monotonic() - begun) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 100) * max(0.01, 0.5 + 0.5 * np.cos(np.pi * spent))
        batch = rng.choice(len(chances), BATCH, p=chances / chances.sum())
        inputs, labels = varied(rng, windows.pictures[batch], windows.labels[batch])
        with torch.autocast("cpu", torch.bfloat16, enabled=train_localizer.computes_bf16()):
            answer = network(torch.from_numpy(inputs).contiguous(memory_format=torch.channels_last))
        loss = _loss(answer.float(), torch.from_numpy(labels.astype(np.int64)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mean += (float(loss.detach()) - mean) * max(0.01, 1 / (step + 1))
        if step % 200 == 0:
            say(f"  step {step}, {100 * spent:.0f} % of the time: loss {mean:.4f}")
            torch.save(network.state_dict(), checkpoint)
        step += 1
    torch.save(network.state_dict(), checkpoint)
    say(f"  {step} steps of {BATCH} windows")


def _loss(answer, labels):
    """Cross-entropy, and one minus the Dice coefficient of the letters; pixels that are `UNKNOWN` do not count."""
    import torch

    known = labels != UNKNOWN
    entropy = torch.nn.functional.cross_entropy(answer, labels, torch.tensor(WEIGHTS), ignore_index=UNKNOWN)
    probability, letter = answer.softmax(1)[:, LETTER] * known, ((labels == LETTER) & known).float()
    dice = (2 * (probability * letter).sum((1, 2)) + 1) / (probability.sum((1, 2)) + letter.sum((1, 2)) + 1)
    return entropy + 0.5 * (1 - dice).mean()


def overlap(network, windows: Windows) -> dict[str, float]:
    """IoU of the held-out windows' letters, rings and other print."""
    import torch

    held, counts = np.flatnonzero(windows.held_out), np.zeros((3, 2))
    for start in range(0, len(held), BATCH):
        batch = held[start : start + BATCH]
        with torch.inference_mode():
            answer = network(torch.from_numpy(np.stack([normalised(p) for p in windows.pictures[batch]]))).argmax(1).numpy()
        labels = windows.labels[batch]
        for row, kind in zip(counts, (LETTER, RING, PRINT)):
            a, b = (answer == kind) & (labels != UNKNOWN), labels == kind
            row += (a & b).sum(), (a | b).sum()
    return {name: round(float(both / max(1, either)), 3) for name, (both, either) in zip(("letters", "rings", "other print"), counts)}


def varied(rng: np.random.Generator, picture: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (N, 2, WINDOW, WINDOW) float32 and labels with tone, sharpness, noise and orientation varied; new arrays."""
    inputs, targets = [], []
    for (grey, box), label in zip(picture, labels):
        grey = grey.astype(np.float32)
        if rng.random() < 0.3:
            grey = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.4, 1.2))
        grey = np.clip((grey / 255 - rng.uniform(-0.1, 0.1)) * rng.uniform(0.8, 1.3), 0, 1) ** np.exp(rng.uniform(-0.4, 0.4))
        if rng.random() < 0.25:
            grey = 1 - grey
        if rng.random() < 0.4:
            grey = grey + rng.normal(0, rng.uniform(0.005, 0.06), grey.shape)
        whole = np.stack([np.clip(255 * grey, 0, 255).astype(np.uint8), box, label])
        whole = np.rot90(whole, int(rng.integers(4)), (1, 2))
        whole = whole[..., ::-1] if rng.random() < 0.5 else whole
        inputs.append(normalised(whole[:2]))
        targets.append(whole[2])
    return np.stack(inputs), np.stack(targets)


def _network():
    """A U-Net of four levels, about 200,000 weights: (N, 2, H, W) -> (N, 4, H, W) logits."""
    import torch

    def block(inputs: int, outputs: int, dilation: int = 1):
        layers = []
        for i in range(2):
            spread = dilation if i else 1
            layers += [torch.nn.Conv2d(outputs if i else inputs, outputs, 3, padding=spread, dilation=spread, bias=False), torch.nn.BatchNorm2d(outputs),
                       torch.nn.ReLU(inplace=True)]
        return torch.nn.Sequential(*layers)

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = torch.nn.ModuleList(block(a, b, 2 if b == WIDTHS[-1] else 1) for a, b in zip((2, *WIDTHS), WIDTHS))
            self.up = torch.nn.ModuleList(block(a + b, b) for a, b in zip(WIDTHS[:0:-1], WIDTHS[-2::-1]))
            self.head = torch.nn.Conv2d(WIDTHS[0], len(WEIGHTS), 1)

        def forward(self, pictures):
            features, x = [], pictures
            for k, level in enumerate(self.down):
                x = level(torch.nn.functional.max_pool2d(x, 2) if k else x)
                features.append(x)
            for level, finer in zip(self.up, features[-2::-1]):
                x = level(torch.cat([torch.nn.functional.interpolate(x, scale_factor=2.0, mode="nearest"), finer], 1))
            return self.head(x)

    return Network()


def write_onnx(network, target: Path) -> None:
    """The network as ONNX: input `window` (1, 2, H, W) float32, output `probability` (1, 4, H, W); H and W are multiples of `stroke_network.STRIDE`."""
    import torch

    class Probability(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, window):
            return self.network(window).softmax(1)

    torch.onnx.export(
        Probability().eval(), (torch.zeros(1, 2, WINDOW, WINDOW),), str(target), input_names=["window"], output_names=["probability"],
        dynamic_axes={"window": {2: "h", 3: "w"}, "probability": {2: "h", 3: "w"}}, opset_version=17, dynamo=False,
    )
