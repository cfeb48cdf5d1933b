"""Does a letter that would stay stand in one line or one block with other print? Then it is an initial or a part of a name, and goes.

Looked for in a wide view around the letter, held up as the letter is, and told by the strokes: print of its height on its line, be there a
dot, a comma or a hyphen between, or a whole line of it right above or below. Smaller print is the initials on a letter's plate.
Where a box of the frame is known to hold print (of any score, kept or not, or read) its strokes need not look like letters one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..boxes import covered_share
from ..records import Decision, Reading
from . import glyphs
from .doubts import PART_OF_TEXT
from .isolation import CHARACTER, looks_like
from .strokes import COARSE_KERNEL, Ink, coarse_ink, percentile
from .view import FLOOR, View, around

__all__ = ["SIGN", "alone", "stands_in_print"]

SIGN = "laterality"  # the localizer's class of laterality markers
KERNELS = (COARSE_KERNEL, 0.7)  # sides of the flat-field's window, in letters: the small one takes bone's edges off, the large one leaves fat strokes
REACH = 5.0  # of the letter's longer side: how far around it is looked
HIGH = (0.75, 1.3)  # height of print in the letter's line, of the letter's
SMALL = (0.55, 0.9)  # the same of a lower-case letter, which stands on the same line
DASH, LEAST_THING = 0.35, 0.2  # and of a hyphen or dot at most; the least size of anything
LEVEL, LEVEL_SMALL = 0.25, 0.15  # of the letter's height: how far tops and bottoms of one line differ
FIRST_GAP, GAP = 2.6, 1.2  # of its height: how far off the line's next print begins, and the one after that
APART = 0.1  # how far off it stands at least: initials may touch a plate's letter
WIDE = 1.3  # times the height: a wider thing is several letters in one
CONTRAST, STROKE = 0.5, (0.5, 1.8)  # of the letter's: least contrast, and width of strokes
OWN = 0.6  # of the letter's contrast: a threshold for strokes beside it
OFF_DEG = 16.0  # how far a letter's own slant may be off the straight line that it stands on
PITCH = (0.9, 2.3)  # of its height: from line to line of a block
ROW_HIGH, ROW, ROW_LONG = (0.88, 1.2), 3, 2.5  # height of a line above or below, of the letter's; letters, and letter heights, that it has at least
LEAST, TOLD = 2, 1  # letters on the line that make a text of it, and where a box says that print is there
STRIP, STRIP_HIGH, STRIP_GAP, STRAIGHT = 3.2, (0.8, 1.45), 1.2, 0.25  # of a box that can hold nothing but a line of print: length of its height;
# its height, how far off it begins and how far its middle line is off the letter's, of the letter's height
HOLDS, ONE_LINE, BEYOND = 0.6, 1.6, 1.8  # share of a letter in the box of a text, the height of that and how far it goes on, of the letter's height
OF_BOX = 0.5  # of a thing that lies in a box of print


@dataclass(frozen=True)
class _Thing:
    """A component near the letter. xyxy: upright, in letter heights, the letter's top left corner is (0, 0). label: in the ink."""

    xyxy: tuple[float, float, float, float]
    label: int

    @property
    def high(self) -> float:
        return self.xyxy[3] - self.xyxy[1]

    @property
    def letters(self) -> int:
        """How many letters it is at least."""
        wide = (self.xyxy[2] - self.xyxy[0]) / self.high
        return 1 if wide < WIDE else max(2, int(wide))


def alone(decisions: Sequence[Decision], views: Sequence[np.ndarray], others: Sequence[tuple[int, np.ndarray]] = ()) -> tuple[Decision, ...]:
    """The same decisions, in order, but kept single letters that stand in a line or block with print are removals.

    Args:
        decisions: resolved, of all frames.
        views: (F, H, W) uint8 each, before any removal.
        others: (frame, (4,) source xyxy) of further boxes that may hold print: what scored too low, and what was read.
    """
    result = []
    for d in decisions:
        if d.action == "keep" and d.reading is not None and len(d.reading.text) == 1:
            removed = [o for o in decisions if o.frame == d.frame and o.action == "remove" and o.label != SIGN]
            told = [o.xyxy for o in removed]
            told += [box for frame, box in others if frame == d.frame]
            boxes = np.array([np.asarray(box, np.float64) for box in told]).reshape(-1, 4)
            if any(_is_of_the_text_in(d, o) for o in removed) or _ends_a_line(d, removed) or any(stands_in_print(view[d.frame], d.reading, boxes) for view in views):
                d = replace(d, action="remove", reason=PART_OF_TEXT, strokes=None)
        result.append(d)
    return tuple(result)


def _is_of_the_text_in(kept: Decision, other: Decision) -> bool:
    """Whether a removed box holds much more of a kept letter's line: it is long and goes on with the letter's line, or it holds the letter, too,
    and was read as a longer text itself."""
    if other.reading is None or not _on_ground(kept.reading, np.array(other.reading.xyxy, np.float64)):
        return False
    upright, letter = _held_up(kept)
    box = upright(np.array(other.reading.xyxy, np.float64))
    high = letter[3] - letter[1]
    beyond, tall = max(letter[0] - box[0], box[2] - letter[2]), box[3] - box[1]
    off, gap = abs(letter[1] + letter[3] - box[1] - box[3]) / 2, max(letter[0] - box[2], box[0] - letter[2])
    if STRIP_HIGH[0] * high <= tall <= STRIP_HIGH[1] * high and box[2] - box[0] >= STRIP * tall and off <= STRAIGHT * high and gap <= STRIP_GAP * high:
        return True
    if other.reading.doubt != PART_OF_TEXT:
        return False
    return covered_share(letter, box[None]) >= HOLDS and box[3] - box[1] <= ONE_LINE * high and beyond >= BEYOND * high


def _ends_a_line(kept: Decision, removed: Sequence[Decision]) -> bool:
    """Whether removed boxes, end to end, make up a long line of print that goes on with a kept letter's line. Each is as high as print of that
    line is; what is lower, as a hyphen, may stand between."""
    upright, letter = _held_up(kept)
    high = letter[3] - letter[1]
    line = []
    for other in removed:
        if other.reading is None or not _on_ground(kept.reading, np.array(other.reading.xyxy, np.float64)):
            continue
        box = upright(np.array(other.reading.xyxy, np.float64))
        if box[3] - box[1] <= STRIP_HIGH[1] * high and abs(letter[1] + letter[3] - box[1] - box[3]) / 2 <= STRAIGHT * high:
            line.append(box)
    for way in (1, -1):
        spans = sorted(tuple(sorted((way * box[0], way * box[2]))) + (box[3] - box[1],) for box in line)
        end, length = max(way * letter[0], way * letter[2]), 0.0
        for start, stop, tall in spans:
            if stop <= end:
                continue
            if start - end > STRIP_GAP * high:
                break
            length += (stop - max(start, end)) * (tall >= STRIP_HIGH[0] * high)
            end = stop
        if length >= STRIP * high:
            return True
    return False


def _held_up(kept: Decision) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
    """How to hold boxes, (4,) source xyxy, so that a kept letter's line runs along x, and the letter's own box so held."""
    (x, y), (rows, columns) = kept.xyxy[:2], np.nonzero(kept.strokes)
    letter = np.array([x + columns.min(), y + rows.min(), x + columns.max() + 1, y + rows.max() + 1], np.float64)
    order = [1, 0, 3, 2] if round(kept.reading.rotation_deg / 90) % 2 else [0, 1, 2, 3]
    return lambda box: box[order], letter[order]


def stands_in_print(frame: np.ndarray, reading: Reading, boxes: np.ndarray | None = None) -> bool:
    """Whether a letter that was read stands in a line or block of print.

    Args:
        frame: (H, W) uint8, before any removal.
        boxes: (N, 4) source xyxy that hold print as far as is known.
    """
    mask = reading.letter if reading.letter is not None and reading.letter.any() else reading.strokes
    if mask is None or not mask.any():
        return False
    (x, y), (rows, columns) = reading.xyxy[:2], np.nonzero(mask)
    box = x + int(columns.min()), y + int(rows.min()), x + int(columns.max()) + 1, y + int(rows.max()) + 1
    view = around(frame, box, REACH)
    if view is None:
        return False
    on_ground = [b for b in boxes if _on_ground(reading, b)] if boxes is not None else []
    points = (np.stack([columns + x + 0.5, rows + y + 0.5]) - np.array(view.window[:2])[:, None]) * view.scale
    straight = 90.0 * round(reading.rotation_deg / 90)
    angles = {reading.rotation_deg, straight if abs(reading.rotation_deg - straight) < OFF_DEG else reading.rotation_deg}
    return any(
        _is_part_of_text(view, ink, own, angle, reading.mirrored, np.array(on_ground).reshape(-1, 4), reading.ground) for ink, own in _inks(view, points) for angle in angles
    )


def _is_part_of_text(
    view: View, ink: Ink, own: np.ndarray, rotation_deg: float, mirrored: bool, boxes: np.ndarray,
    ground: tuple[int, int, int, int] | None,
) -> bool:
    """`stands_in_print` for one way to hold the letter, (h, w) bool `own` in the view, up."""
    things, width = _things(ink, own, rotation_deg, mirrored)
    things = [t for t in things if ground is None or _middle_in(_source_box(view, ink, t.label), ground)]
    text = _texts(view, ink, things, boxes)
    line = [t for t in things if _on_line(t) or _is_dash(t)]
    rows_near = [t for t in things if ROW_HIGH[0] <= t.high <= ROW_HIGH[1] and PITCH[0] <= abs(t.xyxy[3] - 1) <= PITCH[1]]
    return _continues(line, text, width) or any(_is_row(rows_near, t, text) for t in rows_near)


def _inks(view: View, points: np.ndarray) -> Iterator[tuple[Ink, np.ndarray]]:
    """The strokes of the polarity in which a letter, (2, n) points of the view, stands out more, and where in them the letter is: at
    Otsu's threshold, or where that does not show it at one that its own contrast gives."""
    h, w = view.grey.shape
    at = np.clip(points.astype(int), 0, np.array([[w - 1], [h - 1]]))
    own = np.zeros((h, w), bool)
    own[at[1], at[0]] = True
    if view.scale > 1:  # no gaps between the pixels of a small letter
        side = int(np.ceil(view.scale)) + 1
        own = cv2.morphologyEx(own.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((side, side), np.uint8)) > 0
    for kernel in KERNELS:
        ink = max((coarse_ink(view, dark, kernel) for dark in (False, True)), key=lambda ink: percentile(ink.hat[own], 50))
        if not (ink.labels[own] > 0).any():  # Otsu's threshold does not show the letter
            ink = Ink.of(ink.hat > max(FLOOR, OWN * percentile(ink.hat[own], 75)), ink.hat, ink.dark)
        if (ink.labels[own] > 0).any():
            yield ink, own


def _things(ink: Ink, own: np.ndarray, rotation_deg: float, mirrored: bool) -> tuple[list[_Thing], float]:
    """What stands near the letter and is as strong as it, in its upright frame; the letter's width in its heights."""
    angle = np.radians(rotation_deg)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    if mirrored:
        matrix[0] = -matrix[0]
    rows, columns = np.nonzero(own)
    me = matrix @ np.stack([columns + 0.5, rows + 0.5])
    left, top, high = me[0].min(), me[1].min(), max(1.0, float(me[1].max() - me[1].min()))
    bright, wide = percentile(ink.hat[own], 50), _stroke_width(own)
    found = []
    for i in range(1, len(ink.stats)):
        x, y, w, h, _ = ink.stats[i]
        here = ink.labels[y : y + h, x : x + w] == i
        if max(w, h) < LEAST_THING * high or (here & own[y : y + h, x : x + w]).any():
            continue
        stroke, least = _stroke_width(here) / wide, STROKE[0] if min(w, h) > DASH * high else 0.0  # a hyphen is as thin as can be
        if percentile(ink.hat[y : y + h, x : x + w][here], 50) < CONTRAST * bright or not least < stroke < STROKE[1]:
            continue
        rows, columns = np.nonzero(here)
        turned = matrix @ np.stack([columns + x + 0.5, rows + y + 0.5])
        low, upper = (turned.min(axis=1) - (left, top) - 0.5) / high, (turned.max(axis=1) - (left, top) + 0.5) / high
        found.append(_Thing((*low.tolist(), *upper.tolist()), i))
    return found, float(me[0].max() - left) / high


def _stroke_width(mask: np.ndarray) -> float:
    """Width of the widest stroke of a (h, w) bool mask, pixels."""
    return max(1.0, 2 * float(cv2.distanceTransform(glyphs.padded(mask.astype(np.uint8), 1), cv2.DIST_L2, 5).max()) - 1)


def _texts(view: View, ink: Ink, things: Sequence[_Thing], boxes: np.ndarray) -> dict[int, int]:
    """Label -> 0 for what does not look like print, 1 for what looks like a character, 2 for what a box says is print."""
    result = {}
    for t in things:
        told = False
        if len(boxes):
            x1, y1, x2, y2 = _source_box(view, ink, t.label)
            shared = np.clip(np.minimum(boxes[:, 2], x2) - np.maximum(boxes[:, 0], x1), 0, None) * np.clip(
                np.minimum(boxes[:, 3], y2) - np.maximum(boxes[:, 1], y1), 0, None)
            told = bool((shared >= OF_BOX * (x2 - x1) * (y2 - y1)).any())
        result[t.label] = 2 if told else int(t.letters == 1 and looks_like(ink, t.label, None) > CHARACTER)
    return result


def _source_box(view: View, ink: Ink, label: int) -> np.ndarray:
    """(4,) source xyxy of a component."""
    x, y, w, h, _ = ink.stats[label]
    return np.array([x, y, x + w, y + h]) / view.scale + np.tile(view.window[:2], 2)


def _on_ground(reading: Reading, box: np.ndarray) -> bool:
    """Whether the middle of a box, (4,) source xyxy, lies in the ring around a letter, or on the pasted box or disc that it stands on; True where there is
    none."""
    return reading.ground is None or _middle_in(box, reading.ground)


def _middle_in(box: np.ndarray, ground: tuple[int, int, int, int]) -> bool:
    """Whether the middle of one box lies in another, both source xyxy."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return bool(ground[0] <= x <= ground[2] and ground[1] <= y <= ground[3])


def _on_line(t: _Thing) -> bool:
    """Whether a thing stands on the letter's line, as a capital or a lower-case letter."""
    _, top, _, bottom = t.xyxy
    capital = HIGH[0] <= t.high <= HIGH[1] and abs(top) <= LEVEL and abs(bottom - 1) <= LEVEL
    return capital or (SMALL[0] <= t.high < SMALL[1] and abs(bottom - 1) <= LEVEL_SMALL)


def _is_dash(t: _Thing) -> bool:
    """Whether a thing is a hyphen or a dot on the letter's line, which is no letter but goes between."""
    return t.high <= DASH and t.xyxy[1] > 0 and t.xyxy[3] < 1 + LEVEL_SMALL


def _continues(line: Sequence[_Thing], text: dict[int, int], width: float) -> bool:
    """Whether the line of a letter of some width, in its heights, goes on with enough print, before or behind it."""
    letters, told = 0, False
    for before in (False, True):
        side = [t for t in line if (t.xyxy[0] + t.xyxy[2] < width) == before]
        spans = sorted(((-t.xyxy[2], -t.xyxy[0], t) if before else (t.xyxy[0], t.xyxy[2], t) for t in side), key=lambda span: span[0])
        end, gap = (0.0 if before else width), FIRST_GAP
        for start, stop, t in spans:
            if start - end > gap:
                break
            if text[t.label] and not _is_dash(t):
                letters += t.letters
                told |= text[t.label] == 2 and t.high >= HIGH[0] and start - end >= APART
            end, gap = max(end, stop), FIRST_GAP if _is_dash(t) else GAP
    return letters >= (TOLD if told else LEAST)


def _is_row(row: Sequence[_Thing], first: _Thing, text: dict[int, int]) -> bool:
    """Whether a line as long as a name stands right above or below the letter, of which `first` is a part."""
    line = sorted((t for t in row if abs(t.xyxy[3] - first.xyxy[3]) <= LEVEL and text[t.label]), key=lambda t: t.xyxy[0])
    run = [t for t in line if t is first]
    for step, rest in ((1, line[line.index(first) + 1 :]), (-1, line[: line.index(first)][::-1])) if first in line else ():
        last = first
        for t in rest:
            if (t.xyxy[0] - last.xyxy[2] if step > 0 else last.xyxy[0] - t.xyxy[2]) > GAP:
                break
            run.append(t)
            last = t
    if not run:
        return False
    left, right = min(t.xyxy[0] for t in run), max(t.xyxy[2] for t in run)
    return sum(t.letters for t in run) >= ROW and right - left >= ROW_LONG and left < 1.2 and right > -0.5
