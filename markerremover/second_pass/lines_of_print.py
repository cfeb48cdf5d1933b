"""Whether a single letter is in one line or block with other print: then it is an initial or part of a name, and is removed.

The strokes in a wide view around the letter are examined in the letter's orientation: print of its height on its line, with or
without a dot, comma or hyphen between, or a whole line of such print directly above or below. Smaller print is taken for the initials on a
marker's plate. Where a box of the frame is known to hold print (of any score, or read), its strokes need not resemble characters one by one.

In constants and components, lengths are fractions of the letter's height, unless stated otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..boxes import area, covered_share, intersection
from ..records import LATERALITY, Decision, Reading
from . import glyphs
from .doubts import PART_OF_TEXT
from .isolation import CHARACTER, looks_like
from .strokes import COARSE_KERNEL, Ink, coarse_ink, percentile
from .view import FLOOR, View, around

__all__ = ["alone", "stands_in_print"]

KERNELS = (COARSE_KERNEL, 0.7)  # sides of the flat-field's window, in letters: the small one suppresses bone edges, the large one retains wide strokes
REACH = 5.0  # margin of the view around the letter, in its longer sides
CAPITAL_HEIGHT = (0.75, 1.3)  # height of a capital on the letter's line
LOWER_CASE_HEIGHT = (0.55, 0.9)  # height of a lower-case letter on that line
DASH_HEIGHT, LEAST_SIZE = 0.35, 0.2  # greatest height of a hyphen or dot; least size of any component
LEVEL, LEVEL_SMALL = 0.25, 0.15  # greatest difference of tops and bottoms within one line; the latter for lower-case letters
FIRST_GAP, GAP = 2.6, 1.2  # greatest gap from the letter to the next print on its line, and between the characters after that
LEAST_GAP = 0.1  # least gap to print in a known box: initials may touch a plate's letter
JOINED_WIDTH = 1.3  # width-to-height ratio from which a component is several joined letters
JOINED_HEIGHT, JOINED_SHARED = 1.8, 0.7  # greatest height of joined letters in a known box, and the least part of it on the letter's line
CONTRAST, STROKE = 0.5, (0.5, 1.8)  # least contrast and range of stroke widths of print, as fractions of the letter's
LETTER_CONTRAST = 0.6  # threshold for strokes where Otsu's does not show the letter, as a fraction of its contrast
PLAIN_CONTRAST = 0.6  # the same against the view's tone
OFF_DEG = 16.0  # greatest difference between the letter's slant and its straight line, degrees
PITCH = (0.9, 2.3)  # distance between the lines of a block
ROW_HEIGHT, ROW_LETTERS, ROW_LENGTH = (0.88, 1.2), 3, 2.5  # a line above or below: its height, least number of letters and least length
LEAST_LETTERS, LEAST_IN_BOX = 2, 1  # least number of further letters that make a text of the line; the latter where one is in a known box
# A box that can only hold a line of print: least ratio of length to height; its height, its greatest gap to the letter and the greatest
# distance of its centre line from the letter's.
STRIP_LENGTH, STRIP_HEIGHT, STRIP_GAP, STRIP_OFFSET = 3.2, (0.8, 1.45), 1.2, 0.25
# A box of a longer text: least share of the letter in it, its greatest height and its least length beyond the letter.
LEAST_COVERED, LINE_HEIGHT, LINE_LENGTH = 0.6, 1.6, 1.8
LEAST_SHARED = 0.5  # least share of a component that lies in a box of print


@dataclass(frozen=True)
class _Component:
    """A component near the letter.

    xyxy: upright, in letter heights, the letter's top left corner is (0, 0).  label: in the ink.
    """

    xyxy: tuple[float, float, float, float]
    label: int

    @property
    def height(self) -> float:
        return self.xyxy[3] - self.xyxy[1]

    @property
    def letters(self) -> int:
        """Least number of letters it consists of."""
        wide = (self.xyxy[2] - self.xyxy[0]) / self.height
        return 1 if wide < JOINED_WIDTH else max(2, int(wide))


Looked = dict[tuple[int, int, bytes], tuple[Reading, bool]]
"""What `stands_in_print` said of a reading, by the reading's id, the view's index and the boxes near it; the reading is held, so that its id is not
used again."""


def alone(
    decisions: Sequence[Decision], views: Sequence[np.ndarray], others: Sequence[tuple[int, np.ndarray]] = (), looked: Looked | None = None
) -> tuple[Decision, ...]:
    """Decisions in which kept single letters that are in a line or block with print become removals.

    Args:
        decisions: resolved, of all frames.
        views: (F, H, W) uint8 each, before any removal.
        others: (frame, (4,) source xyxy) of further boxes that may hold print: those below the threshold, and text that was read.
        looked: answers of earlier calls on the same views, which are used and added to.

    Returns:
        As many decisions, in the same order.
    """
    result, looked = [], {} if looked is None else looked
    for d in decisions:
        if d.action == "keep" and d.reading is not None and len(d.reading.text) == 1:
            removed = [o for o in decisions if o.frame == d.frame and o.action == "remove" and o.label != LATERALITY]
            known_boxes = [*(o.xyxy for o in removed), *(box for frame, box in others if frame == d.frame)]
            boxes = np.array([np.asarray(box, np.float64) for box in known_boxes]).reshape(-1, 4)
            in_line = any(_is_letter_of(d, o) for o in removed) or _ends_a_line(d, removed)
            if in_line or any(_stands(view[d.frame], k, d.reading, boxes, looked) for k, view in enumerate(views)):
                d = replace(d, action="remove", reason=PART_OF_TEXT, strokes=None)
        result.append(d)
    return tuple(result)


def _stands(frame: np.ndarray, view_index: int, reading: Reading, boxes: np.ndarray, looked: Looked) -> bool:
    """`stands_in_print`, unless it was asked before with the same boxes near the letter."""
    x1, y1, x2, y2 = reading.xyxy
    reach = (REACH + 1) * max(x2 - x1, y2 - y1)
    near = boxes[intersection(np.array([[x1 - reach, y1 - reach, x2 + reach, y2 + reach]]), boxes)[0] > 0]
    key = id(reading), view_index, near.tobytes()
    if key not in looked:
        looked[key] = reading, stands_in_print(frame, reading, near)
    return looked[key][1]


def _is_letter_of(kept: Decision, other: Decision) -> bool:
    """Whether a kept letter belongs to the line of print in a removed box: the box is a strip that continues the letter's line, or it
    holds the letter, was read as part of a longer text and extends far beyond the letter."""
    if kept.reading is None or kept.strokes is None or other.reading is None:
        return False
    upright, letter = _held_up(kept.strokes, kept.xyxy, kept.reading.rotation_deg)
    box = upright(np.array(other.reading.xyxy, np.float64))
    height = letter[3] - letter[1]
    excess, box_height = max(letter[0] - box[0], box[2] - letter[2]), box[3] - box[1]
    offset, gap = abs(letter[1] + letter[3] - box[1] - box[3]) / 2, max(letter[0] - box[2], box[0] - letter[2])
    is_strip = STRIP_HEIGHT[0] * height <= box_height <= STRIP_HEIGHT[1] * height and box[2] - box[0] >= STRIP_LENGTH * box_height
    if is_strip and offset <= STRIP_OFFSET * height and gap <= STRIP_GAP * height:
        return True
    if other.reading.doubt != PART_OF_TEXT:
        return False
    return covered_share(letter, box[None]) >= LEAST_COVERED and box[3] - box[1] <= LINE_HEIGHT * height and excess >= LINE_LENGTH * height


def _ends_a_line(kept: Decision, removed: Sequence[Decision]) -> bool:
    """Whether removed boxes, end to end, make up a long line of print that continues a kept letter's line. Each has the height of print on that
    line; lower ones, such as a hyphen, may stand between."""
    if kept.reading is None or kept.strokes is None:
        return False
    upright, letter = _held_up(kept.strokes, kept.xyxy, kept.reading.rotation_deg)
    height = letter[3] - letter[1]
    line = []
    for other in removed:
        if other.reading is None:
            continue
        box = upright(np.array(other.reading.xyxy, np.float64))
        if box[3] - box[1] <= STRIP_HEIGHT[1] * height and abs(letter[1] + letter[3] - box[1] - box[3]) / 2 <= STRIP_OFFSET * height:
            line.append(box)
    for direction in (1, -1):
        spans = sorted((*sorted((direction * box[0], direction * box[2])), box[3] - box[1]) for box in line)
        end, length = max(direction * letter[0], direction * letter[2]), 0.0
        for start, stop, box_height in spans:
            if stop <= end:
                continue
            if start - end > STRIP_GAP * height:
                break
            length += (stop - max(start, end)) * (box_height >= STRIP_HEIGHT[0] * height)
            end = stop
        if length >= STRIP_LENGTH * height:
            return True
    return False


def _held_up(
    strokes: np.ndarray, xyxy: tuple[int, int, int, int], rotation_deg: float
) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
    """A function that turns boxes, (4,) source xyxy, so that a letter's line runs along x, and the box of the letter's strokes so turned.

    Args:
        strokes: (h, w) bool in the crop frame of `xyxy`, not empty.
    """
    rows, columns = np.nonzero(strokes)
    letter = np.array([xyxy[0] + columns.min(), xyxy[1] + rows.min(), xyxy[0] + columns.max() + 1, xyxy[1] + rows.max() + 1], np.float64)
    order = [1, 0, 3, 2] if round(rotation_deg / 90) % 2 else [0, 1, 2, 3]
    return lambda box: box[order], letter[order]


def stands_in_print(frame: np.ndarray, reading: Reading, boxes: np.ndarray | None = None) -> bool:
    """Whether a letter that was read is in a line or block of print.

    Args:
        frame: (H, W) uint8, before any removal.
        reading: of that frame; False where it has no strokes.
        boxes: (N, 4) source xyxy that are known to hold print.
    """
    mask = reading.letter if reading.letter is not None and reading.letter.any() else reading.strokes
    if mask is None or not mask.any():
        return False
    (x, y), (rows, columns) = reading.xyxy[:2], np.nonzero(mask)
    box = x + int(columns.min()), y + int(rows.min()), x + int(columns.max()) + 1, y + int(rows.max()) + 1
    view = around(frame, box, REACH)
    if view is None:
        return False
    boxes = np.zeros((0, 4)) if boxes is None else boxes
    points = (np.stack([columns + x + 0.5, rows + y + 0.5]) - np.array(view.window[:2])[:, None]) * view.scale
    right_angle = 90.0 * round(reading.rotation_deg / 90)
    angles = {reading.rotation_deg, right_angle if abs(reading.rotation_deg - right_angle) < OFF_DEG else reading.rotation_deg}
    return any(
        _is_part_of_text(view, ink, letter_mask, angle, reading.mirrored, boxes)
        for ink, letter_mask in _inks(view, points) for angle in angles
    )


def _is_part_of_text(
    view: View, ink: Ink, letter_mask: np.ndarray, rotation_deg: float, mirrored: bool, boxes: np.ndarray,
) -> bool:
    """`stands_in_print` for one orientation of the letter, (h, w) bool `letter_mask` in the view."""
    known = _in_boxes(view, ink, boxes)
    rows, columns = np.flatnonzero(letter_mask.any(1)), np.flatnonzero(letter_mask.any(0))
    letter = np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]]) / view.scale + np.tile(view.window[:2], 2)
    size, sides = float((letter[0, 2:] - letter[0, :2]).max()), boxes[:, 2:] - boxes[:, :2]
    is_line = (sides.min(axis=1) <= LINE_HEIGHT * size) & (sides.max(axis=1) >= (1 + LINE_LENGTH) * size)
    beside = intersection(letter, boxes)[0] < LEAST_COVERED * area(letter)[0]
    joined = _in_boxes(view, ink, boxes[beside | is_line])  # another box that holds the letter, too, may be its plate's
    components, width = _components(ink, letter_mask, rotation_deg, mirrored, joined)
    # 0 for a component that does not resemble print, 1 for one that resembles a character, 2 for one in a known box of print
    text = {t.label: 2 if t.label in known else int(t.letters == 1 and looks_like(ink, t.label, None) > CHARACTER) for t in components}
    line = [t for t in components if _on_line(t) or _is_dash(t) or t.label in joined and _is_joined_line(t)]
    rows_near = [t for t in components if ROW_HEIGHT[0] <= t.height <= ROW_HEIGHT[1] and PITCH[0] <= abs(t.xyxy[3] - 1) <= PITCH[1]]
    return _continues(line, text, width) or any(_is_row(rows_near, t, text) for t in rows_near)


def _inks(view: View, points: np.ndarray) -> Iterator[tuple[Ink, np.ndarray]]:
    """For each of `KERNELS`, and against the view's median tone, the strokes of the polarity in which a letter has more contrast, and the
    letter's (h, w) bool mask in them.

    The threshold is Otsu's, or derived from the letter's contrast where Otsu's does not show it.

    Args:
        points: (2, n) x, y of the letter's pixels in the view.
    """
    h, w = view.grey.shape
    indices = np.clip(points.astype(int), 0, np.array([[w - 1], [h - 1]]))
    letter_mask = np.zeros((h, w), bool)
    letter_mask[indices[1], indices[0]] = True
    if view.scale > 1:  # no gaps between the pixels of a small letter
        side = int(np.ceil(view.scale)) + 1
        letter_mask = cv2.morphologyEx(letter_mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((side, side), np.uint8)) > 0
    for kernel in KERNELS:
        ink = max((coarse_ink(view, dark, kernel) for dark in (False, True)), key=lambda ink: percentile(ink.hat[letter_mask], 50))
        if not (ink.labels[letter_mask] > 0).any():  # Otsu's threshold does not show the letter
            ink = Ink.of(ink.hat > max(FLOOR, LETTER_CONTRAST * percentile(ink.hat[letter_mask], 75)), ink.hat, ink.dark)
        if (ink.labels[letter_mask] > 0).any():
            yield ink, letter_mask
    grey, ground = view.grey.astype(np.float32), float(np.median(view.grey))
    contrast = percentile(grey[letter_mask], 50) - ground
    if abs(contrast) > FLOOR:  # against the whole view's tone: shadows, halos and cells of the characters are lost in the flat-fields
        hat = np.clip(np.sign(contrast) * (grey - ground), 0, None)
        yield Ink.of(hat > PLAIN_CONTRAST * abs(contrast), hat, contrast < 0), letter_mask


def _components(
    ink: Ink, letter_mask: np.ndarray, rotation_deg: float, mirrored: bool, joined: frozenset[int]
) -> tuple[list[_Component], float]:
    """The components around a letter with similar contrast and stroke width, upright, and the letter's width in its heights.

    Args:
        joined: labels of components in known boxes of print beside the letter or along its line: their strokes may be of any width, as where joined writing has
            closed up, and may touch the letter's.
    """
    angle = np.radians(rotation_deg)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    if mirrored:
        matrix[0] = -matrix[0]
    rows, columns = np.nonzero(letter_mask)
    letter_points = matrix @ np.stack([columns + 0.5, rows + 0.5])
    left, top, height = letter_points[0].min(), letter_points[1].min(), max(1.0, float(letter_points[1].max() - letter_points[1].min()))
    near_letter = cv2.dilate(letter_mask.astype(np.uint8), np.ones((2 * max(1, round(LEAST_GAP * height)) + 1,) * 2, np.uint8)) > 0
    letter_contrast, letter_stroke = percentile(ink.hat[letter_mask], 50), _stroke_width(letter_mask)
    result = []
    for i in range(1, len(ink.stats)):
        x, y, w, h, _ = ink.stats[i]
        component = ink.labels[y : y + h, x : x + w] == i
        if max(w, h) < LEAST_SIZE * height:
            continue
        if (component & letter_mask[y : y + h, x : x + w]).any():
            if i not in joined:
                continue
            component = component & ~near_letter[y : y + h, x : x + w]  # joined to the letter itself: what is beyond it
            if not component.any():
                continue
        stroke, least = _stroke_width(component) / letter_stroke, STROKE[0] if min(w, h) > DASH_HEIGHT * height else 0.0  # a hyphen may be of any thinness
        if percentile(ink.hat[y : y + h, x : x + w][component], 50) < CONTRAST * letter_contrast or not (least < stroke < STROKE[1] or i in joined):
            continue
        rows, columns = np.nonzero(component)
        upright = matrix @ np.stack([columns + x + 0.5, rows + y + 0.5])
        low, upper = (upright.min(axis=1) - (left, top) - 0.5) / height, (upright.max(axis=1) - (left, top) + 0.5) / height
        result.append(_Component((*low.tolist(), *upper.tolist()), i))
    return result, float(letter_points[0].max() - left) / height


def _stroke_width(mask: np.ndarray) -> float:
    """Width of the widest stroke of a (h, w) bool mask, pixels."""
    return max(1.0, 2 * float(cv2.distanceTransform(glyphs.padded(mask.astype(np.uint8), 1), cv2.DIST_L2, 5).max()) - 1)


def _in_boxes(view: View, ink: Ink, boxes: np.ndarray) -> frozenset[int]:
    """Labels of the components that lie mostly (`LEAST_SHARED`) in one of some known boxes of print, (N, 4) source xyxy."""
    x, y, w, h = ink.stats[:, :4].T.astype(np.float64)
    components = np.stack([x, y, x + w, y + h], 1) / view.scale + np.tile(view.window[:2], 2)
    shares = intersection(components, boxes) / area(components)[:, None]
    return frozenset((1 + np.flatnonzero((shares[1:] >= LEAST_SHARED).any(axis=1))).tolist())


def _on_line(t: _Component) -> bool:
    """Whether a component is on the letter's line, as a capital or a lower-case letter."""
    _, top, _, bottom = t.xyxy
    capital = CAPITAL_HEIGHT[0] <= t.height <= CAPITAL_HEIGHT[1] and abs(top) <= LEVEL and abs(bottom - 1) <= LEVEL
    return capital or (LOWER_CASE_HEIGHT[0] <= t.height < LOWER_CASE_HEIGHT[1] and abs(bottom - 1) <= LEVEL_SMALL)


def _is_joined_line(t: _Component) -> bool:
    """Whether a component is several joined letters on the letter's line; a comma among them may reach below it."""
    _, top, _, bottom = t.xyxy
    return t.letters > 1 and t.height <= JOINED_HEIGHT and min(bottom, 1.0) - max(top, 0.0) >= JOINED_SHARED


def _is_dash(t: _Component) -> bool:
    """Whether a component is a hyphen or a dot on the letter's line, which may separate letters."""
    return t.height <= DASH_HEIGHT and t.xyxy[1] > 0 and t.xyxy[3] < 1 + LEVEL_SMALL


def _continues(line: Sequence[_Component], text: dict[int, int], width: float) -> bool:
    """Whether the line of a letter, `width` letter heights wide, continues with enough print before or after it."""
    letters, in_box = 0, False
    for before in (False, True):
        side = [t for t in line if (t.xyxy[0] + t.xyxy[2] < width) == before]
        spans = sorted(((-t.xyxy[2], -t.xyxy[0], t) if before else (t.xyxy[0], t.xyxy[2], t) for t in side), key=lambda span: span[0])
        end, gap = (0.0 if before else width), FIRST_GAP
        for start, stop, t in spans:
            if start - end > gap:
                break
            if text[t.label] and not _is_dash(t):
                letters += t.letters
                in_box |= text[t.label] == 2 and t.height >= CAPITAL_HEIGHT[0] and start - end >= LEAST_GAP
            end, gap = max(end, stop), FIRST_GAP if _is_dash(t) else GAP
    return letters >= (LEAST_IN_BOX if in_box else LEAST_LETTERS)


def _is_row(row: Sequence[_Component], first: _Component, text: dict[int, int]) -> bool:
    """Whether the line that `first` belongs to, directly above or below the letter, is as long as a name."""
    line = sorted((t for t in row if abs(t.xyxy[3] - first.xyxy[3]) <= LEVEL and text[t.label]), key=lambda t: t.xyxy[0])
    run = [t for t in line if t is first]
    for step, neighbours in ((1, line[line.index(first) + 1 :]), (-1, line[: line.index(first)][::-1])) if first in line else ():
        last = first
        for t in neighbours:
            if (t.xyxy[0] - last.xyxy[2] if step > 0 else last.xyxy[0] - t.xyxy[2]) > GAP:
                break
            run.append(t)
            last = t
    if not run:
        return False
    left, right = min(t.xyxy[0] for t in run), max(t.xyxy[2] for t in run)
    return sum(t.letters for t in run) >= ROW_LETTERS and right - left >= ROW_LENGTH and left < 1.2 and right > -0.5
