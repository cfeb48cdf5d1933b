"""Every record that passes between modules, on one page. All are frozen; the arrays in them are locked.

Coordinate frames: `xyxy` is in source pixels (x right, y down, maxima exclusive); a *crop* frame starts at the
top-left corner of the box it belongs to. Scores and confidences run from 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UsageError

if TYPE_CHECKING:  # `--help` reads this page for its defaults and needs no arrays
    import numpy as np

DEFAULT_KEEP = ("L", "R", "LT", "RT", "LEFT", "RIGHT")
STYLES = ("box", "mask", "fill")
STATUSES = ("cleaned", "unchanged", "held", "failed")
RELEASED = ("cleaned", "unchanged")  # the statuses that come with an output
IDENTIFIERS = ("name", "number", "birth", "day", "text", "uid")
"""Kinds of what tells: names of persons, numbers of patients and studies, days of birth and death, other days, addresses and the like, UIDs."""


FRAMED = 0.8  # of its box that a sign with its ring or plate fills
BEYOND = 1.25  # times the letter: the least size of a ring or plate around it
ROUND, FAR_BEYOND = 0.6, 1.8  # the same of a round or slanted one, which does not fill its box


def extent(mask: np.ndarray) -> tuple[int, int]:
    """Rows and columns between the first and the last set pixel of a (h, w) bool mask that has any."""
    rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    return int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1


def locked(array: np.ndarray) -> np.ndarray:
    """The same array, made read-only (a view is taken first, so the caller's own flags stay)."""
    view = array.view()
    view.setflags(write=False)
    return view


@dataclass(frozen=True)
class Radiograph:
    """One decoded file.

    stored: (F, H, W) or (F, H, W, C) array of the stored values, any integer dtype; F is 1 for single-frame files.
    fill: stored value(s) that a viewer shows as black, one per channel (length 1 for greyscale).
    path: where it was read from.  format: "PNG", "JPEG", "TIFF" or "DICOM".
    source: what the writer needs to write the same kind of file again (a pydicom Dataset, raster metadata, …);
        private to the module that read the file.
    display: (F, H, W) uint8, what the models look at: windowed, bright = dense.
    also: further views of the same shape, that show what `display` hides; usually none (see display.py).
    """

    stored: np.ndarray
    display: np.ndarray
    fill: tuple[int, ...]
    path: Path
    format: str
    source: Any = None
    also: tuple[np.ndarray, ...] = ()

    def __post_init__(self) -> None:
        if self.stored.ndim not in (3, 4) or 0 in self.stored.shape:
            raise UsageError(f"stored has shape {self.stored.shape}, allowed is (F, H, W) or (F, H, W, C), none zero")
        for view in self.views:
            if view.dtype != "uint8" or view.shape != self.stored.shape[:3]:
                raise UsageError(f"display has shape {view.shape} {view.dtype}, needs {self.stored.shape[:3]} uint8")
        object.__setattr__(self, "stored", locked(self.stored))
        object.__setattr__(self, "display", locked(self.display))
        object.__setattr__(self, "also", tuple(map(locked, self.also)))

    @property
    def views(self) -> tuple[np.ndarray, ...]:
        """Everything the models look at: `display` first, then `also`."""
        return (self.display, *self.also)

    @property
    def shape_hw(self) -> tuple[int, int]:
        """Rows and columns of one frame, in pixels."""
        return self.stored.shape[1], self.stored.shape[2]


@dataclass(frozen=True)
class Detections:
    """What the localizer found in one frame.

    xyxy: (N, 4) float32, source pixels.  scores: (N,) float32.  class_ids: (N,) int64 into class_names.
    loose: (N,) bool, boxes that lie mostly in better localized ones of their class: removed like any other, but not read,
        since a loose box around a letter and something else says nothing of the letter. None of them by default.
    """

    xyxy: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    class_names: tuple[str, ...] = ("marker",)
    loose: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.loose is None:
            import numpy as np

            object.__setattr__(self, "loose", np.zeros(n, bool))
        if self.xyxy.shape != (n, 4) or self.class_ids.shape != (n,) or self.loose.shape != (n,):
            raise UsageError(f"xyxy {self.xyxy.shape}, class_ids {self.class_ids.shape} and loose {self.loose.shape} do not fit {n} scores")
        for name in ("xyxy", "scores", "class_ids", "loose"):
            object.__setattr__(self, name, locked(getattr(self, name)))

    def chosen(self, rows: np.ndarray) -> Detections:
        """Some of them: rows is (M,) indices or (N,) bool."""
        return Detections(self.xyxy[rows], self.scores[rows], self.class_ids[rows], self.class_names, self.loose[rows])

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def empty(cls, class_names: tuple[str, ...] = ("marker",)) -> Detections:
        """No detections: arrays of shape (0, 4), (0,) and (0,)."""
        import numpy as np

        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), class_names)


@dataclass(frozen=True)
class Reading:
    """What the second pass made of one box.

    text: the sign that was read, upper case, "" if nothing.  confidence: of that reading.
    strokes: (h, w) bool in the crop frame of `xyxy`: the pixels that may stay if the sign is kept (its strokes,
        their soft edge, and its ring or plate); None when nothing was read.
    xyxy: the box that was looked at, integer source pixels.
    rotation_deg: counter-clockwise turn that made the sign upright.  mirrored: whether it also had to be flipped.
    letter: (h, w) bool, same frame: the strokes of a single letter alone, where they stand apart from all other strokes;
        None where they do not, and for words.
    ground: source xyxy of the ring around the sign, or of the pasted box or disc that it stands on, where there is one that ends on all sides.
    doubt: "" or why the reading must not be trusted (touches other strokes, part of a longer text, …).
    """

    xyxy: tuple[int, int, int, int]
    text: str = ""
    confidence: float = 0.0
    strokes: np.ndarray | None = None
    rotation_deg: float = 0.0
    mirrored: bool = False
    doubt: str = ""
    letter: np.ndarray | None = None
    ground: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        x1, y1, x2, y2 = self.xyxy
        for name in ("strokes", "letter"):
            mask = getattr(self, name)
            if mask is not None:
                if mask.dtype != bool or mask.shape != (y2 - y1, x2 - x1):
                    raise UsageError(f"{name} has shape {mask.shape} {mask.dtype}, needs ({y2 - y1}, {x2 - x1}) bool")
                object.__setattr__(self, name, locked(mask))

    @property
    def framed(self) -> bool:
        """Whether a ring or a plate stays with the sign: what may stay fills its box, and reaches beyond the letter."""
        if self.strokes is None or not self.strokes.any():
            return False
        h, w = extent(self.strokes)
        share = self.strokes.sum() / (h * w)
        if self.letter is None or not self.letter.any():
            return bool(share > FRAMED)
        larger = max(h, w) / max(extent(self.letter))
        return bool(share > FRAMED and larger > BEYOND or share > ROUND and larger > FAR_BEYOND)


@dataclass(frozen=True)
class Decision:
    """What happens to one box, and why.

    frame: 0-based frame index.  xyxy: the region that is blacked out, integer source pixels, margin included.
    action: "keep" (its `strokes` survive, the rest is blacked out) or "remove" (all of it is blacked out).
    label: the localizer's class name, or the name of whatever else asked for the box ("verify", "annotation").
    reason: one short phrase from a fixed list (see decide.py); never holds read text.
    reading: the second pass, None where it did not run.
    strokes: (h, w) bool in the crop frame of this decision's xyxy, set if and only if action is "keep".
    area: (h, w) bool, same frame, or None: of a removal, the part of the box that is blacked out; None is all of it.
    """

    frame: int
    xyxy: tuple[int, int, int, int]
    action: str
    reason: str
    score: float
    label: str = "marker"
    reading: Reading | None = None
    strokes: np.ndarray | None = None
    area: np.ndarray | None = None

    def __post_init__(self) -> None:
        x1, y1, x2, y2 = self.xyxy
        if self.action not in ("keep", "remove"):
            raise UsageError(f"action is {self.action!r}, allowed are 'keep' and 'remove'")
        if x2 <= x1 or y2 <= y1:
            raise UsageError(f"xyxy {self.xyxy} is empty")
        if (self.action == "keep") != (self.strokes is not None):
            raise UsageError("strokes go with action 'keep' and only with it")
        if self.area is not None and self.action != "remove":
            raise UsageError("an area goes with action 'remove' only")
        for name in ("strokes", "area"):
            mask = getattr(self, name)
            if mask is not None:
                if mask.dtype != bool or mask.shape != (y2 - y1, x2 - x1):
                    raise UsageError(f"{name} have shape {mask.shape} {mask.dtype}, need {(y2 - y1, x2 - x1)} bool")
                object.__setattr__(self, name, locked(mask))


@dataclass(frozen=True)
class Text:
    """What was read in one place.

    xyxy: float source pixels.  text: never logged, and left out of the record's own description.  confidence: 0–1.
    """

    xyxy: tuple[float, float, float, float]
    text: str = field(repr=False)
    confidence: float


@dataclass(frozen=True)
class Identifier:
    """One thing by which the patient of a file, somebody else of its header or the study can be told.

    kind: one of IDENTIFIERS.  text: as the header has it; it is confidential, and in no representation.
    """

    kind: str
    text: str = field(repr=False)

    def __post_init__(self) -> None:
        if self.kind not in IDENTIFIERS:
            raise UsageError(f"kind is {self.kind!r}, allowed are {', '.join(IDENTIFIERS)}")


Telling = frozenset[Identifier]
"""What of a file's own header must not be readable in its picture, its header or its path."""


@dataclass(frozen=True)
class Policy:
    """What to keep and how widely to remove.

    keep: signs that survive when isolated, upper case; empty removes everything and needs no OCR.
    threshold: localizer score from which a box counts; None takes the weights' own.
    margin: how far a removed box is grown on each side, as a share of its shorter side; at least `margin_px` pixels of the image as the
        localizer sees it, and some of its length, see `boxes.widen`.
    min_confidence: least OCR confidence at which a sign is kept.
    style: one of STYLES: removed boxes are blacked out as wholes; only their print does, a rectangle a word; or that is filled from around
        it, which makes pixels up. Where that is in doubt a box is blacked out.
    """

    keep: tuple[str, ...] = DEFAULT_KEEP
    threshold: float | None = None
    margin: float = 0.12
    margin_px: int = 3
    min_confidence: float = 0.5
    style: str = "box"

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise UsageError(f"threshold is {self.threshold}, allowed is between 0 and 1, both excluded")
        if not 0 <= self.margin <= 2:
            raise UsageError(f"margin is {self.margin}, allowed is 0 to 2")
        if self.style not in STYLES:
            raise UsageError(f"style is {self.style!r}, allowed are {', '.join(STYLES)}")
        object.__setattr__(self, "keep", tuple(dict.fromkeys(s.strip().upper() for s in self.keep if s.strip())))


@dataclass(frozen=True)
class Outcome:
    """What became of one input; one manifest row.

    relative: path below its input folder, which is also the path below OUT.  status: one of STATUSES.
    reason: why it was held or failed, "" otherwise.  timings_ms: stage name → milliseconds.
    crops: file names below the audit's crops/, one (before, after) pair a decision; () where none were drawn.
    path_tells: whether `relative` holds a name, number or UID of the file's own header.
    released_held: "" or the doubt for which it would have been held, had the run not been told to write it all the same.
    styles: for each decision its style, one of STYLES, and "" or why it is not the one asked for; () where all are black boxes by choice.
    made_up: how many pixels were filled from their surroundings.
    notes: what of the file was changed or left out for another reason than the profile of headers; element and why, never a value.
    """

    relative: str
    status: str
    reason: str = ""
    format: str = ""
    shape: tuple[int, ...] = ()
    sha256_in: str = ""
    sha256_out: str = ""
    decisions: tuple[Decision, ...] = ()
    crops: tuple[tuple[str, str], ...] = ()
    timings_ms: dict[str, float] = field(default_factory=dict)
    path_tells: bool = False
    released_held: str = ""
    styles: tuple[tuple[str, str], ...] = ()
    made_up: int = 0
    notes: tuple[str, ...] = ()
    orientation: int = 1

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise UsageError(f"status is {self.status!r}, allowed are {STATUSES}")


@dataclass(frozen=True)
class Mark:
    """What a person says of one place.

    frame: 0-based.  xyxy: integer source pixels, maxima exclusive; may reach out of the image, which cuts it.
    action: "remove" or "keep".  kind: "marker", "laterality", or "none" where nothing is burned in.
    who, when: the reviewer's name and the time, ISO 8601; "" where unknown.
    outline: corners (x, y) in source pixels of a polygon; () for the whole box.
    drawn: whether the person drew it, rather than changed what the program decided.
    """

    frame: int
    xyxy: tuple[int, int, int, int]
    action: str
    kind: str = "marker"
    who: str = ""
    when: str = ""
    outline: tuple[tuple[float, float], ...] = ()
    drawn: bool = False

    def __post_init__(self) -> None:
        if self.action not in ("keep", "remove") or self.kind not in ("marker", "laterality", "none"):
            given = f"a mark with action {self.action!r} and kind {self.kind!r}"
            raise UsageError(f"{given}: allowed are keep, remove; marker, laterality, none")
        if self.frame < 0 or self.xyxy[2] <= self.xyxy[0] or self.xyxy[3] <= self.xyxy[1]:
            raise UsageError(f"a mark in frame {self.frame} with box {self.xyxy}: it is empty, or there is no such frame")


@dataclass(frozen=True)
class Corrections:
    """What people say of one file, and what must go in any case.

    marks: what they kept and what they want gone.
    carried: removals of an earlier run that stay removals, unless a mark keeps their place.
    sha256_in: of the file that was looked at; another one is not touched. "" for any.
    release: a person looked at the result and wants it written though something still shows.
    alone: nothing else looks at the picture: only the marks count.
    canvas_hw: rows and columns of the image that the marks were drawn on; None for that of the file's stored pixels.
    coordinates: as of `Annotation`.  frames: those that were looked at, where `canvas_hw` is told.
    """

    marks: tuple[Mark, ...] = ()
    carried: tuple[Decision, ...] = ()
    sha256_in: str = ""
    release: bool = False
    alone: bool = False
    canvas_hw: tuple[int, int] | None = None
    coordinates: str = "stored"
    frames: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Element:
    """One annotated marking.

    xyxy: float source pixels, tight to the strokes.  kind: "laterality", "marker" or "uncertain".
    text: what it reads, with notes such as "L mirrored rot90"; "" if unknown.
    """

    xyxy: tuple[float, float, float, float]
    kind: str
    text: str = ""


@dataclass(frozen=True)
class Annotation:
    """The truth about one image: every element, and whether a person has looked (`reviewed`).

    coordinates: what they count in: "drawn", pixels of the image as a program showed it, which may have turned it upright; "stored", stored
        pixels; "fractions", shares of the image as shown, of which no size is named, so that `shape_hw` is that of the upright image.
        `placement.placed` makes them stored ones.
    """

    image: str
    shape_hw: tuple[int, int]
    elements: tuple[Element, ...]
    reviewed: bool = True
    coordinates: str = field(default="drawn", compare=False)

