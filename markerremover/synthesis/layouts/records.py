"""A layout: which marks are drawn, where, how large and in which style. Its file is read by `reading`."""

from __future__ import annotations

from dataclasses import dataclass

from ..marks.scene import CONTRAST_MIN

KINDS = ("laterality", "marker")
STYLES = ("plain", "outline", "shadow", "box", "frame", "ring", "plate", "cut-out")
LEAD_STYLES = ("plain", "frame", "ring", "plate", "cut-out")  # the others darken what lies under them, which lead does not
LAYERS = ("console", "lead")
CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")
EDGES = ("top", "bottom", "left", "right")
PLACES = (*CORNERS, *EDGES, "anywhere")

Range = tuple[float, float]
Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""


def brightness(colour: Colour) -> float:
    """Grey level of a colour, 0 to 255, as OpenCV and Pillow convert it (ITU-R BT.601)."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


@dataclass(frozen=True)
class Place:
    """Where a mark may stand.

    name: one of `PLACES`, or "" for a box.  box: x1, y1, x2, y2 in which the whole mark lies, maxima exclusive.
    in_pixels: whether `box` is in pixels; else in fractions of the image's width and height.
    """

    name: str = ""
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    in_pixels: bool = False


@dataclass(frozen=True)
class Mark:
    """One kind of mark. Ranges are (from, to), both inclusive, with equal probability between them.

    name: in kinds.csv.  kind: one of KINDS.
    texts: one is drawn; its lines are set below each other, each an annotation; `{...}` is replaced, see `templates`.
    places: one is drawn.
    frequency: probability that an image has it, 0 to 1.  count: how many an image then has.
    size: height of capitals, a fraction of the image's longer side; with `size_in_pixels` in pixels.
    fonts: names of font files without suffix, one is drawn; () for all that there are.
    grey: level of the strokes, 0 to 255.  colours: one is drawn in place of it; () for grey.  ground: of outline, shadow, box and frame.  opacity: 0 to 1.
    turns: degrees counter-clockwise, one is drawn; rotation: degrees added to it.  mirrored: probability.
    styles: of STYLES, one is drawn.
    layer: "lead" lies on the cassette, so it is soft, never darkens the film and gets its noise; "console" is written on the finished film.
    margin: distance from the edges at corners and edges, a fraction of the image's longer side.
    contrast: least mean change of the image by the strokes, in grey levels; a mark that would be fainter is tried elsewhere or omitted.
    """

    name: str
    kind: str
    texts: tuple[str, ...]
    places: tuple[Place, ...]
    frequency: float = 1.0
    count: tuple[int, int] = (1, 1)
    size: Range = (0.015, 0.03)
    size_in_pixels: bool = False
    fonts: tuple[str, ...] = ()
    grey: Range = (255.0, 255.0)
    colours: tuple[Colour, ...] = ()
    ground: Range = (0.0, 0.0)
    opacity: Range = (1.0, 1.0)
    turns: tuple[float, ...] = (0.0,)
    rotation: Range = (0.0, 0.0)
    mirrored: float = 0.0
    styles: tuple[str, ...] = ("plain",)
    layer: str = "console"
    margin: float = 0.02
    contrast: float = CONTRAST_MIN


@dataclass(frozen=True)
class Film:
    """What the marks are drawn on.

    size: rows and columns; None for random ones.  bodies: of drawn films, used in turn; () for any.
    distractors: whether leads, tubes, metal and the like are drawn, which are no annotations.
    collimated: probability that it is dark around a collimated field.
    degraded: whether noise, blur and JPEG compression follow.  inverted: probability of an inverted film.
    """

    size: tuple[int, int] | None = None
    bodies: tuple[str, ...] = ()
    distractors: bool = True
    collimated: float = 0.3
    degraded: bool = True
    inverted: float = 0.0


@dataclass(frozen=True)
class Layout:
    """The content of a layout file.

    source: its path, for messages.  marks: in the order in which they are drawn, "lead" first.  texts: lists by name, for templates.
    """

    source: str
    marks: tuple[Mark, ...]
    film: Film = Film()
    texts: tuple[tuple[str, tuple[str, ...]], ...] = ()
