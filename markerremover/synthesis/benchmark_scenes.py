"""The settings of the benchmark: radiographs of a body part at a difficulty, and of a site with its own style of annotations.

Every font, name, initial, plate and body belongs to the split "eval" or to the benchmark alone; nothing here is used for training. An
image depends only on its setting, the seed and its number.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..errors import UsageError
from ..records import Annotation
from .distractors import leads_and_tubes
from .generate import CAP_MIN_PX, SyntheticRadiograph
from .marks import console_text, fonts, layers, lead_markers, texts
from .marks.console_text import TextStyle
from .marks.scene import CUT, Scene, free_spot, truth
from .marks.texts import choice
from .radiographs import backgrounds, degrade

SPLIT = "eval"
LATERALITY_TEXTS = ("L", "R", "L", "R", "L", "R", "L", "R", "LEFT", "RIGHT")  # texts of laterality markers that `remove` retains by default
UNMARKED_EVERY = 8  # every eighth image carries no annotation and must not be changed
TRIES = 12  # maximum number of places tried for an annotation before it is omitted, and of windows tried for an image
WASHED_OUT = 0.12  # maximum share of nearly white pixels; with more, another window is tried
SITE_LATERALITY = {"D": "right", "I": "left"}  # laterality markers of the new site, and the sides they stand for


@dataclass(frozen=True)
class Body:
    """A body part and the formats of its images.

    variants: drawings of it.  longer_px: longer side of the image in pixels, from and to.  ratio: shorter side / longer side, from and to.
    big: factor of the size of lead letters: the same letters are larger on a small cassette.
    """

    name: str
    variants: tuple[str, ...]
    longer_px: tuple[int, int]
    ratio: tuple[float, float]
    big: float = 1.0


@dataclass(frozen=True)
class Difficulty:
    """Difficulty of the annotations of an image. Sizes are fractions of the image's longer side, probabilities 0-1, pairs from and to.

    laterality, line: height of the laterality marker's and of a header line's capitals.  opacity: of lead markers.
    contrast: minimum mean change of the image by an annotation's strokes, in grey levels.
    turned: probability of a lead marker turned by 90, 180 or 270 degrees; askew_deg: standard deviation from that; any_angle:
    probability of a uniformly random angle.  mirrored: probability.
    initials: probability of initials with the laterality marker; gap: between them, in letter heights: at 0 and below they touch.
    plated, cut_out, ringed: probabilities of a faint plate, of letters cut out of a bright plate, and of a ring.
    lines: number of header lines.  decorations: of the console's text.  grey: level of its letters.
    loose: number of texts besides the header.  cut: probability that an annotation extends over the edge.
    clutter: number of leads, tubes, implants and the like.  grain: noise before and after the annotations, in grey levels.
    quality: of the JPEG compression.
    """

    name: str
    laterality: tuple[float, float]
    line: tuple[float, float]
    opacity: tuple[float, float]
    contrast: float
    turned: float
    askew_deg: float
    any_angle: float
    mirrored: float
    initials: float
    gap: tuple[float, float]
    plated: float
    cut_out: float
    ringed: float
    lines: tuple[int, int]
    decorations: tuple[str, ...]
    grey: tuple[float, float]
    loose: tuple[int, int]
    cut: float
    clutter: tuple[int, int]
    grain: tuple[float, float]
    quality: tuple[int, int]


BODIES = (
    Body("chest", backgrounds.VARIANTS[SPLIT]["chest"], (960, 1280), (0.82, 1.0)),
    Body("pelvis", backgrounds.BENCHMARK["pelvis"], (900, 1200), (0.78, 1.0)),
    # Small pictures, dark around the limb: a letter of the same lead set is twice as large on them.
    Body("limb", (*backgrounds.VARIANTS[SPLIT]["limb"], *backgrounds.BENCHMARK["limb"]), (512, 768), (0.62, 0.85), big=1.6),
)
DIFFICULTIES = (
    # A careful department: an upright laterality marker of lead, initials apart from it, a header set off from the image.
    Difficulty("easy", laterality=(0.035, 0.055), line=(0.016, 0.024), opacity=(0.95, 1.0), contrast=60, turned=0.0, askew_deg=2, any_angle=0.0,
               mirrored=0.0, initials=0.5, gap=(0.25, 0.5), plated=0.0, cut_out=0.0, ringed=0.0, lines=(2, 4),
               decorations=("outline", "box"), grey=(240, 255), loose=(0, 1), cut=0.0, clutter=(0, 0), grain=(0.5, 1.5), quality=(90, 98)),
    # Everyday: smaller, turned and mirrored markers with initials right beneath, plates, rings, a few devices.
    Difficulty("medium", laterality=(0.024, 0.045), line=(0.011, 0.018), opacity=(0.75, 1.0), contrast=35, turned=0.3, askew_deg=5, any_angle=0.0,
               mirrored=0.2, initials=0.7, gap=(0.08, 0.3), plated=0.25, cut_out=0.12, ringed=0.08, lines=(2, 7),
               decorations=("plain", "outline", "shadow"), grey=(215, 255), loose=(0, 2), cut=0.04, clutter=(0, 2), grain=(1.0, 3.0),
               quality=(75, 95)),
    # Likely misses: faint or tiny print, initials that touch the laterality marker, any angle, annotations over the edge, clutter, noise.
    Difficulty("hard", laterality=(0.016, 0.04), line=(0.0075, 0.013), opacity=(0.4, 0.85), contrast=20, turned=0.4, askew_deg=8, any_angle=0.3,
               mirrored=0.4, initials=0.85, gap=(-0.04, 0.1), plated=0.4, cut_out=0.2, ringed=0.1, lines=(4, 11),
               decorations=("plain",), grey=(165, 255), loose=(1, 3), cut=0.12, clutter=(2, 4), grain=(2.0, 5.0), quality=(55, 80)),
)


def body(name: str) -> Body:
    """The body part of a name.

    Raises:
        UsageError: there is none of that name.
    """
    return _named(BODIES, name)


def difficulty(name: str) -> Difficulty:
    """The difficulty of a name.

    Raises:
        UsageError: there is none of that name.
    """
    return _named(DIFFICULTIES, name)


def _named(choices, name: str):
    for one in choices:
        if one.name == name:
            return one
    raise UsageError(f"{name!r} is no setting, allowed are {', '.join(c.name for c in choices)}")


def picture(part: Body, hardness: Difficulty, seed: int, number: int, *, name: str = "synthetic.png") -> SyntheticRadiograph:
    """Image `number` of a setting, with its ground truth; every `UNMARKED_EVERY`th has no annotation, all others have a `marker`."""
    rng = np.random.default_rng([seed, BODIES.index(part), DIFFICULTIES.index(hardness), number])
    scene = Scene(_background(rng, part, hardness))
    patient = texts.identity(rng, SPLIT)
    marked = number % UNMARKED_EVERY != UNMARKED_EVERY - 1
    if marked:
        _lead(rng, scene, part, hardness)
    _exposed(rng, scene, hardness)
    if marked:
        _header(rng, scene, hardness, patient)
        _loose(rng, scene, hardness)
    return _finished(rng, scene, hardness, part.name, name, patient)


def _background(rng, part: Body, hardness: Difficulty) -> np.ndarray:
    longer, ratio = rng.uniform(*part.longer_px), rng.uniform(*part.ratio)
    shape = round(longer), round(longer * ratio)
    image = backgrounds.procedural(rng, shape if rng.random() < 0.8 else shape[::-1], SPLIT, part.name, part.variants)
    for _ in range(int(rng.integers(hardness.clutter[0], hardness.clutter[1] + 1))):
        image = choice(rng, leads_and_tubes.CHOICES)(rng, image)
    if rng.random() < 0.35:
        image = degrade.collimate(rng, image)
    for _ in range(TRIES):
        windowed = degrade.window(rng, image)
        if float((windowed > 240).mean()) < WASHED_OUT:
            return windowed
    return image


def _exposed(rng, scene: Scene, hardness: Difficulty) -> None:
    """Add the detector's noise to anatomy and lead alike, in place."""
    scene.picture = np.clip(degrade.grain(rng, scene.picture, rng.uniform(*hardness.grain)), 0, 255)


def _finished(rng, scene: Scene, hardness: Difficulty, part: str, name: str, patient) -> SyntheticRadiograph:
    image = np.clip(np.round(degrade.grain(rng, scene.picture, 0.3 * rng.uniform(*hardness.grain))), 0, 255).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(hardness.quality[0], hardness.quality[1] + 1))]
    decoded = cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_GRAYSCALE)
    assert decoded is not None, "OpenCV decodes what it encoded"
    ink, elements = truth(scene)
    # It is undecidable whether a letter cut by the edge had to be retained.
    elements = tuple(replace(e, kind="uncertain") if e.kind == "laterality" and e.text.endswith(CUT) else e for e in elements)
    return SyntheticRadiograph(decoded, Annotation(name, decoded.shape, elements), ink, part, patient)


def _cap(rng, scene: Scene, shares: tuple[float, float], times: float = 1.0) -> float:
    """A letter height in pixels, log-uniform between `shares` of the longer side, times `times`."""
    low, high = np.log(shares)
    return max(CAP_MIN_PX, times * max(scene.picture.shape) * float(np.exp(rng.uniform(low, high))))


def _lead(rng, scene: Scene, part: Body, hardness: Difficulty) -> None:
    """The laterality marker of the image, in a fifth of the images two, as for both sides of a pelvis."""
    laterality = choice(rng, LATERALITY_TEXTS)
    for _ in range(2 if rng.random() < 0.2 else 1):
        cap = _cap(rng, scene, hardness.laterality, part.big if len(laterality) == 1 else 0.6 * part.big)
        _put(rng, scene, hardness, lambda: _turned(rng, side_marker(rng, hardness, laterality, cap), hardness), hardness.cut)
        laterality = {"L": "R", "R": "L", "LEFT": "RIGHT", "RIGHT": "LEFT"}[laterality]


def _put(rng, scene: Scene, hardness: Difficulty, make_group, cut: float) -> bool:
    """Lay a group where there is room and it is visible; it is drawn again for every place tried."""
    for _ in range(TRIES):
        group = make_group()
        spot = free_spot(rng, scene, group.layers[0].alpha.shape, cut)
        if spot and scene.put(group, *spot, contrast=hardness.contrast):
            return True
    return False


def side_marker(rng: np.random.Generator, hardness: Difficulty, laterality: str, cap_px: float) -> layers.Group:
    """A lead laterality marker from a department's set, upright, with initials at the probability of the difficulty.

    Args:
        laterality: the text, such as "L" or "RIGHT".
        cap_px: height of its capitals, in pixels.
    """
    faces = fonts.font_files(SPLIT)
    bold = [f for f in faces if "Bold" in f or f.endswith("-B.ttf")]
    face = fonts.STROKE_FACES[SPLIT][0] if rng.random() < 0.2 else choice(rng, bold)
    weight, level, opacity = rng.uniform(0.13, 0.22), rng.uniform(235, 255), rng.uniform(*hardness.opacity)
    sheet = layers.Sheet(additive=True)
    kind = rng.random()
    if kind < hardness.cut_out and len(laterality) == 1:
        lead_markers.cut_out(rng, SPLIT, sheet, laterality, face, cap_px, weight, level, opacity)
    elif kind < hardness.cut_out + hardness.ringed:
        lead_markers.ringed(rng, sheet, laterality, face, cap_px, weight, level, opacity)
    else:
        letter = fonts.render(laterality, face, cap_px, weight=weight)
        sheet.put(letter, 0, 0, level, sheet.element("laterality", laterality), opacity)
        if rng.random() < hardness.initials:
            _initials(rng, hardness, sheet, letter, cap_px, face, weight, level, opacity)
        if rng.random() < hardness.plated:
            lead_markers.plate_under(rng, SPLIT, sheet, 0, cap_px, level)
    return sheet.group()


def _initials(rng, hardness: Difficulty, sheet: layers.Sheet, letter, cap, face, weight, level, opacity) -> None:
    """Initials below the laterality marker, or beside it on either side."""
    text = texts.initials(rng, SPLIT)
    initials_mask = fonts.render(text, face, max(CAP_MIN_PX, cap * rng.uniform(0.45, 0.75)), weight=weight, spacing=rng.uniform(0, 0.15))
    h, w = letter.shape
    gap, placement = cap * rng.uniform(*hardness.gap), rng.random()
    x, y = (w - initials_mask.shape[1]) / 2, h + gap
    if placement > 0.6:
        x, y = w + gap if placement > 0.8 else -gap - initials_mask.shape[1], h - initials_mask.shape[0]
    sheet.put(initials_mask, x, y, level, sheet.element("marker", text), opacity)


def _turned(rng, group: layers.Group, hardness: Difficulty) -> layers.Group:
    """The group turned and mirrored as on a cassette, its edges soft as those of lead; texts state the orientation, by quarter turns."""
    angle = 90.0 * int(rng.integers(1, 4)) if rng.random() < hardness.turned else 0.0
    angle = rng.uniform(0, 360) if rng.random() < hardness.any_angle else angle + rng.normal(0, hardness.askew_deg)
    mirrored = rng.random() < hardness.mirrored
    turned = layers.transformed(group, 1.0, angle, mirrored, 1.0)
    note = (" mirrored" if mirrored else "") + (f" rot{90 * (round(angle / 90) % 4)}" if round(angle / 90) % 4 else "")
    changed = [replace(layer, alpha=cv2.GaussianBlur(layer.alpha, (0, 0), 0.5)) for layer in turned.layers]
    return layers.Group([(kind, text + note) for kind, text in group.elements], changed, group.digital)


def _style(rng, scene: Scene, hardness: Difficulty) -> TextStyle:
    return TextStyle(choice(rng, fonts.font_files(SPLIT)), _cap(rng, scene, hardness.line), rng.uniform(*hardness.grey), choice(rng, hardness.decorations))


def _header(rng, scene: Scene, hardness: Difficulty, patient: dict[str, str]) -> None:
    """Blocks of lines in one or two corners, always with the name and the birth or study date."""
    h, w = scene.picture.shape
    style = _style(rng, scene, hardness)
    family, given = patient["PatientName"].split("^")
    lines = [choice(rng, (f"{family}, {given}", f"{given} {family}", f"{family}^{given}")),
             texts.printed_date(rng, patient[choice(rng, ("PatientBirthDate", "StudyDate"))])]
    count = int(rng.integers(hardness.lines[0], hardness.lines[1] + 1))
    lines += [texts.header_line(rng, SPLIT, patient) for _ in range(count - len(lines))]
    corners, margin = rng.permutation(4), rng.uniform(0.008, 0.025) * max(h, w)
    pitch = style.cap_px * rng.uniform(1.7, 2.2)
    for block, corner in zip((lines[: (count + 1) // 2 + 1], lines[(count + 1) // 2 + 1 :]), corners):
        y = margin if corner < 2 else h - margin - len(block) * pitch
        for text in block:
            _line(scene, rng, text, style, margin, y, right=bool(corner % 2), contrast=hardness.contrast)
            y += pitch


def _line(scene: Scene, rng, text: str, style: TextStyle, margin: float, y: float, *, right: bool, contrast: float) -> None:
    """One header line, if there is room."""
    for group in _ways(rng, text, style):
        gh, gw = group.layers[0].alpha.shape
        x = int(scene.picture.shape[1] - gw - margin if right else margin)
        if not scene.free(x, int(y), (gh, gw)) or scene.put(group, x, int(y), contrast=contrast):
            return


def _ways(rng, text: str, style: TextStyle) -> Iterator[layers.Group]:
    """A text in its style, then plain, since a dark outline adds nothing on black, then outlined, since plain white adds nothing on white."""
    for decoration in dict.fromkeys((style.decoration, "plain", "outline")):
        yield console_text.written(rng, text, "marker", replace(style, decoration=decoration))


def _loose(rng, scene: Scene, hardness: Difficulty) -> None:
    """Positions, initials, codes; at least one if the image has no `marker` yet."""
    count = int(rng.integers(hardness.loose[0], hardness.loose[1] + 1))
    if not any(kind == "marker" for kind, _ in scene.elements):
        count = max(1, count)
    for _ in range(count):
        style = _style(rng, scene, hardness)
        text = choice(rng, texts.POSITIONS) if hardness.name == "easy" else texts.loose_text(rng, SPLIT)
        ways = itertools.cycle(("plain", "outline") if style.decoration == "plain" else (style.decoration, "plain"))
        _put(rng, scene, hardness, lambda: console_text.written(rng, text, "marker", replace(style, decoration=next(ways))), hardness.cut)


# The new site: letters D and I of a set with a framed, slanted face and beads at its corners, the patient in one line along the left edge,
# bottom to top, and an aluminium step wedge on every image, which is not an annotation.
WEDGE_STEPS = (5, 9)


def site_picture(seed: int, number: int, *, name: str = "synthetic.png") -> SyntheticRadiograph:
    """Image `number` of the new site, chest, pelvis and limb in turn, with the sizes and noise of "medium"."""
    rng = np.random.default_rng([seed, 1000, number])
    part, hardness = BODIES[number % len(BODIES)], difficulty("medium")
    background = _background(rng, part, hardness)
    scene = Scene(_wedge(rng, background))
    patient = texts.identity(rng, SPLIT)
    cap = _cap(rng, scene, (0.022, 0.036), part.big)
    laterality = choice(rng, tuple(SITE_LATERALITY))
    _put(rng, scene, hardness, lambda: _turned(rng, _site_mark(rng, laterality, cap), hardness), 0.0)
    _exposed(rng, scene, hardness)
    _site_header(rng, scene, patient)
    return _finished(rng, scene, hardness, part.name, name, patient)


def _site_mark(rng, laterality: str, cap: float) -> layers.Group:
    """A slanted letter over two or three digits in a frame of double line with a bead at each corner."""
    face = next(f for f in fonts.font_files(SPLIT) if "PTM75F" in f)
    level, opacity = rng.uniform(225, 255), rng.uniform(0.7, 0.95)
    letter = fonts.render(laterality, face, cap)
    shear = np.array([[1, -0.25, 0.25 * letter.shape[0]], [0, 1, 0]], np.float32)
    letter = fonts.crop(cv2.warpAffine(letter, shear, (letter.shape[1] + letter.shape[0] // 4 + 1, letter.shape[0])))
    text = choice(rng, ("T", "U", "K")) + str(rng.integers(10, 100))
    number_mask = fonts.render(text, face, max(CAP_MIN_PX, 0.42 * cap))
    w, h = max(letter.shape[1], number_mask.shape[1]) + 1.1 * cap, letter.shape[0] + number_mask.shape[0] + 1.1 * cap
    sheet = layers.Sheet(additive=True)
    for inset in (0.0, 0.13 * cap):
        frame = layers.plate("square", w - 2 * inset, h - 2 * inset, frame=max(1.0, 0.05 * cap))
        sheet.put(frame, inset, inset, level, -1, 0.7 * opacity)
    d = 0.2 * cap
    for x, y in ((0, 0), (w, 0), (0, h), (w, h)):
        sheet.put(layers.disc(d), x - d / 2, y - d / 2, level, -1, opacity)
    sheet.put(letter, (w - letter.shape[1]) / 2, 0.42 * cap, level, sheet.element("laterality", laterality), opacity)
    sheet.put(number_mask, (w - number_mask.shape[1]) / 2, h - 0.42 * cap - number_mask.shape[0], level, sheet.element("marker", text), opacity)
    return sheet.group()


def _site_header(rng, scene: Scene, patient: dict[str, str]) -> None:
    h = scene.picture.shape[0]
    family, given = patient["PatientName"].split("^")
    style = TextStyle(next(f for f in fonts.font_files(SPLIT) if "AnonymousPro" in f), _cap(rng, scene, (0.011, 0.017)), 250.0, "outline")
    y = int(h * 0.985)
    for text in (f"{family} {given}", texts.printed_date(rng, patient["PatientBirthDate"]), patient["PatientID"]):
        for group in _ways(rng, text, style):
            group = console_text.quarter_turned(group, 1)
            gh, gw = group.layers[0].alpha.shape
            if y - gh <= 0 or not scene.free(4, y - gh, (gh, gw)) or scene.put(group, 4, y - gh, contrast=25):
                break
        y -= gh + int(1.2 * style.cap_px)


def _wedge(rng, image: np.ndarray) -> np.ndarray:
    """A copy of an image (H, W) with an aluminium step wedge near its side: rising grey levels with a small hole in each step."""
    h, w = image.shape
    steps, side = int(rng.integers(*WEDGE_STEPS)), int(max(h, w) * rng.uniform(0.022, 0.032))
    wedge, holes = np.zeros((side, side * steps), np.float32), np.zeros((side, side * steps), np.uint8)
    for k in range(steps):
        wedge[:, k * side : (k + 1) * side] = 0.15 + 0.75 * (k + 1) / steps
        cv2.circle(holes, (k * side + side // 2, side // 2), max(2, side // 6), 255, -1, cv2.LINE_AA)
    wedge *= 1 - 0.7 * holes.astype(np.float32) / 255
    wedge = np.rot90(wedge, int(rng.integers(4)))
    gh, gw = wedge.shape
    x = int(rng.uniform(0.01, 0.05) * w) if rng.random() < 0.5 else int(w * rng.uniform(0.95, 0.99)) - gw
    y = int(rng.uniform(0.08, 0.9) * (h - gh))
    x, y = max(0, min(x, w - gw)), max(0, min(y, h - gh))
    result = image.copy()
    part = result[y : y + gh, x : x + gw]
    part += (255 - part) * wedge
    return result
