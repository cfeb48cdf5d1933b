"""The records that pass between packages. All are frozen; the arrays in them are read-only.

Coordinate frames: `xyxy` is in source pixels (x right, y down, maxima exclusive); a *crop* frame starts at the
top-left corner of the box it belongs to. Scores and confidences run from 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UsageError
from .keep_lists import groups

if TYPE_CHECKING:  # `--help` imports this module for its defaults and needs no numpy
    import numpy as np

DEFAULT_KEEP = ("L", "R", "LT", "RT", "LEFT", "RIGHT")
LATERALITY, MARKER, UNCERTAIN = ELEMENT_KINDS = ("laterality", "marker", "uncertain")
"""Kinds of burned-in annotations; the localizer's classes are the first two. What is "uncertain" counts for nothing in training and evaluation."""
STYLES = ("box", "mask", "fill")
STATUSES = ("cleaned", "unchanged", "held", "failed")
RELEASED = ("cleaned", "unchanged")  # statuses with an output
IDENTIFIERS = ("name", "number", "birth", "day", "text", "uid")
"""Kinds of identifiers: names of persons, numbers of patients and studies, days of birth, other days, addresses and similar texts, UIDs."""

FRAMED = 0.8  # smallest share of its box that a laterality marker with its ring or plate fills
BEYOND = 1.25  # smallest size of a ring or plate, as a multiple of the letter's
ROUND, FAR_BEYOND = 0.6, 1.8  # the same two of a round or slanted one, which does not fill its box


def locked(array: np.ndarray) -> np.ndarray:
    """A read-only view of an array; the caller's array remains writable."""
    view = array.view()
    view.setflags(write=False)
    return view


@dataclass(frozen=True)
class Radiograph:
    """One decoded file.

    stored: (F, H, W) or (F, H, W, C) array of the stored values, any integer dtype; F is 1 for single-frame files.
    fill: stored value(s) that a viewer displays as black, one per channel (length 1 for greyscale).
    path: where it was read from.  format: "PNG", "JPEG", "TIFF" or "DICOM".
    source: what the writer needs to write the same kind of file (a pydicom Dataset, raster metadata, …); private to the module
        that read the file.
    display: (F, H, W) uint8, input of the models: windowed, bright = dense.
    also: further views of the same shape that show what `display` hides; usually none (see `formats.views`).
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
        """All inputs of the models: `display` first, then `also`."""
        return (self.display, *self.also)

    @property
    def shape_hw(self) -> tuple[int, int]:
        """(H, W) of one frame, pixels."""
        return self.stored.shape[1], self.stored.shape[2]


@dataclass(frozen=True)
class Detections:
    """What the localizer found in one frame.

    xyxy: (N, 4) float32, source pixels.  scores: (N,) float32.  class_ids: (N,) int64 into class_names.
    loose: (N,) bool, boxes mostly inside better localized ones of their class: removed like others, but not read, since a box around a letter and
        something else gives no evidence about the letter. By default all False.
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
        if self.xyxy.shape != (n, 4) or self.class_ids.shape != (n,) or self.is_loose.shape != (n,):
            raise UsageError(f"xyxy {self.xyxy.shape}, class_ids {self.class_ids.shape} and loose {self.is_loose.shape} do not fit {n} scores")
        for name in ("xyxy", "scores", "class_ids", "loose"):
            object.__setattr__(self, name, locked(getattr(self, name)))

    @property
    def is_loose(self) -> np.ndarray:
        """`loose`, which is never None once the record is built."""
        assert self.loose is not None
        return self.loose

    def chosen(self, rows: np.ndarray) -> Detections:
        """A selection: rows is (M,) indices or (N,) bool."""
        return Detections(self.xyxy[rows], self.scores[rows], self.class_ids[rows], self.class_names, self.is_loose[rows])

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

    text: the laterality marker that was read, upper case, "" if none.  confidence: of that reading, 0–1.
    strokes: (h, w) bool in the crop frame of `xyxy`: what is retained (strokes, their soft edge, ring or plate); None when nothing was read, or with a doubt.
    xyxy: the box that was read, integer source pixels.
    rotation_deg: counter-clockwise rotation that makes the text upright.  mirrored: whether the text is mirrored.
    letter: (h, w) bool, same frame: strokes of a word's letters, or of a single letter where they are separate from all others; None where they are not.
    doubt: "" or the reason not to trust the reading (part of a longer text, …).
    """

    xyxy: tuple[int, int, int, int]
    text: str = ""
    confidence: float = 0.0
    strokes: np.ndarray | None = None
    rotation_deg: float = 0.0
    mirrored: bool = False
    doubt: str = ""
    letter: np.ndarray | None = None

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
        """Whether a ring or a plate is retained with the laterality marker: `strokes` fill their box and extend beyond the letter."""
        from .boxes import extent

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
    """The action for one box, with its reason.

    frame: 0-based frame index.  xyxy: the region that is blacked out, integer source pixels, margin included.
    action: "keep" (its `strokes` are retained, the rest is blacked out) or "remove" (all of it is blacked out).
    label: the localizer's class name, or the name of the step that found the box ("verify", "annotation").
    reason: one short phrase from a fixed list (see `redaction.decision_rules`); never holds read text.
    reading: of the second pass, None where it did not run.
    strokes: (h, w) bool in the crop frame of this decision's xyxy, set if and only if action is "keep".
    area: (h, w) bool, same frame: the part of a removed box that is blacked out; None for all of it.
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
            raise UsageError("an area is for action 'remove' only")
        for name in ("strokes", "area"):
            mask = getattr(self, name)
            if mask is not None:
                if mask.dtype != bool or mask.shape != (y2 - y1, x2 - x1):
                    raise UsageError(f"{name} have shape {mask.shape} {mask.dtype}, need {(y2 - y1, x2 - x1)} bool")
                object.__setattr__(self, name, locked(mask))


@dataclass(frozen=True)
class Text:
    """One text that OCR read.

    xyxy: float source pixels.  text: never logged, and not in the record's representation.  confidence: 0–1.
    """

    xyxy: tuple[float, float, float, float]
    text: str = field(repr=False)
    confidence: float


@dataclass(frozen=True)
class Identifier:
    """An identifier of the patient, of another person or of the study in a file's header.

    kind: one of IDENTIFIERS.  text: as in the header; confidential, and not in the record's representation.
    """

    kind: str
    text: str = field(repr=False)

    def __post_init__(self) -> None:
        if self.kind not in IDENTIFIERS:
            raise UsageError(f"kind is {self.kind!r}, allowed are {', '.join(IDENTIFIERS)}")


Telling = frozenset[Identifier]
"""Identifiers in a file's own header, which must not be readable in its picture, its cleaned header or its path."""


@dataclass(frozen=True)
class Policy:
    """What to retain, and margins of removed boxes.

    keep: laterality markers, phrases and groups of them (see `keep_lists`) that are retained, upper case; empty removes everything and needs no OCR.
    threshold: lowest localizer score of a box that counts, 0–1; None takes the weights' own.
    read: further laterality markers that are read, but not retained; needs OCR.
    margin: margin of a removed box on each side, as a fraction of its shorter side; at least `margin_px` pixels of the image at the
        localizer's scale, and a fraction of its length, see `boxes.widen`.
    min_confidence: lowest OCR confidence of a retained laterality marker, 0–1.
    style: one of STYLES. "box": removed boxes are blacked out; "mask": only their text is; "fill": the text is filled with synthetic pixels.
        In case of doubt a box is blacked out.
    """

    keep: tuple[str, ...] = DEFAULT_KEEP
    threshold: float | None = None
    margin: float = 0.12
    margin_px: int = 3
    min_confidence: float = 0.5
    style: str = "box"
    read: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise UsageError(f"threshold is {self.threshold}, allowed is between 0 and 1, both excluded")
        if not 0 <= self.margin <= 2:
            raise UsageError(f"margin is {self.margin}, allowed is 0 to 2")
        if self.style not in STYLES:
            raise UsageError(f"style is {self.style!r}, allowed are {', '.join(STYLES)}")
        for name in ("keep", "read"):
            object.__setattr__(self, name, groups.expanded(getattr(self, name)))

    @property
    def readable(self) -> tuple[str, ...]:
        """All laterality markers that are read: those that are retained, and `read`."""
        return tuple(dict.fromkeys((*self.keep, *self.read)))


@dataclass(frozen=True)
class Outcome:
    """The result of one input; one manifest row.

    relative: path below its input folder, which is also the path below OUT.  status: one of STATUSES.
    reason: of a held or failed input, else "".  timings_ms: stage name → milliseconds.
    crops: file names below the audit's crops/, one (before, after) pair per decision, then per box of `held_for`; () without pictures.
    path_tells: whether `relative` holds a name, number or UID of the file's own header.
    released_held: the reason for which it would have been held without `release_held`, else "".
    styles: for each decision its style, one of STYLES, and "" or the reason why it differs from the policy's; () where that is "box".
    made_up: number of pixels filled from their surroundings.  areas: for each decision its removed pixels, see `manifest_files.packed_areas`.
    notes: changes and omissions that the header profile does not ask for; element and reason, never a value.
    orientation: of Exif, 1 to 8.  further: fields of its row that depend on its header: `modality`, `laterality` and others, see `audit.field_docs`.
    held_for: the boxes that led to `reason` or `released_held`.  full_pictures: see `full_pictures.Written`; {} where no picture was made.
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
    further: dict[str, Any] = field(default_factory=dict)
    held_for: tuple[Decision, ...] = ()
    full_pictures: dict[str, Any] = field(default_factory=dict)
    areas: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise UsageError(f"status is {self.status!r}, allowed are {STATUSES}")


@dataclass(frozen=True)
class Mark:
    """A person's correction of one place.

    frame: 0-based.  xyxy: integer source pixels, maxima exclusive; may extend beyond the image and is then clipped.
    action: "remove" or "keep".  kind: "marker", "laterality", or "none" where nothing is burned in.
    who, when: the reviewer's name and the time, ISO 8601; "" where unknown.  outline: corners (x, y) in source pixels of a polygon; () for the whole box.
    drawn: whether the person drew it; else it changes a decision of the program.
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
            description = f"a mark with action {self.action!r} and kind {self.kind!r}"
            raise UsageError(f"{description}: allowed are keep, remove; marker, laterality, none")
        if self.frame < 0 or self.xyxy[2] <= self.xyxy[0] or self.xyxy[3] <= self.xyxy[1]:
            raise UsageError(f"a mark in frame {self.frame} with box {self.xyxy}: it is empty, or there is no such frame")


@dataclass(frozen=True)
class Corrections:
    """People's corrections of one file, and removals that are carried over.

    marks: places that they retained or want removed.
    carried: removals of an earlier run that are repeated, unless a mark keeps their place.
    sha256_in: of the reviewed file; another one is not changed. "" for any.
    release: a person checked the result and wants it written although something still shows.  alone: only the marks count; the picture is not searched.
    canvas_hw: (H, W) of the image that the marks were drawn on; None for that of the file's stored pixels.
    coordinates: as in `Annotation`.  frames: those that were checked, if `canvas_hw` is given; None where the marks count in all.
    """

    marks: tuple[Mark, ...] = ()
    carried: tuple[Decision, ...] = ()
    sha256_in: str = ""
    release: bool = False
    alone: bool = False
    canvas_hw: tuple[int, int] | None = None
    coordinates: str = "stored"
    frames: tuple[int, ...] | None = (0,)


@dataclass(frozen=True)
class Element:
    """One burned-in annotation in the truth.

    xyxy: float source pixels, tight to the strokes.  kind: "laterality", "marker" or "uncertain".
    text: its text, with notes such as "L mirrored rot90"; "" if unknown.
    """

    xyxy: tuple[float, float, float, float]
    kind: str
    text: str = ""


@dataclass(frozen=True)
class Annotation:
    """The truth about one image: every element, and whether a person has checked it (`reviewed`).

    coordinates: frame of the elements. "drawn": pixels of the image as a program displayed it, perhaps rotated upright; "stored": stored pixels;
        "fractions": of the displayed image, with `shape_hw` that of the upright image. `placement.placed` converts them to "stored".
    """

    image: str
    shape_hw: tuple[int, int]
    elements: tuple[Element, ...]
    reviewed: bool = True
    coordinates: str = field(default="drawn", compare=False)

