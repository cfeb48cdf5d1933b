"""A film with the marks of a layout and no others."""

from __future__ import annotations

import numpy as np

from ...records import Annotation
from .. import film as films
from ..distractors import leads_and_tubes
from ..generate import SyntheticRadiograph, random_size
from ..marks import layers, texts
from ..marks.scene import Scene, free_spot, truth
from ..radiographs import backgrounds, degrade, real
from ..radiographs.pair import both
from . import drawing
from .records import Layout

BODY_SHARES = (0.3, 0.2, 0.5)  # of chest, pelvis and limb


def radiograph(
    rng: np.random.Generator, layout: Layout, faces: dict[str, tuple[str, ...]], *, split: str = "train", body: str | None = None,
    size: tuple[int, int] | None = None, background: np.ndarray | None = None, name: str = "synthetic.png", pair: bool = False,
    lifted: tuple[layers.Group, ...] = (),
) -> SyntheticRadiograph:
    """One radiograph with the marks of a layout; equal arguments and generator states give equal results.

    Args:
        rng: source of all random numbers.
        faces: font files by name of the mark, see `faces.chosen`.
        split: "train" or "eval", for bodies and for the invented patient.
        body, size: those of the layout go first; random by default.
        background: (h, w) uint8 real radiograph without annotations.
        name: image name in the annotation.
        pair: whether the same image without marks is made, too.
        lifted: annotations of real films, of the size they have here; each is laid somewhere, if there is room.

    Raises:
        UsageError: a mark does not fit its place, or that is not inside the image.
    """
    asked, notes = layout.film, drawing.Drawn()
    shape = asked.size or size or random_size(rng)
    if background is not None:
        body, picture = "real", real.from_real(rng, background, shape)
    else:
        body = body or str(rng.choice(asked.bodies or backgrounds.BODIES, p=None if asked.bodies else BODY_SHARES))
        picture = backgrounds.procedural(rng, shape, split, body)
    if asked.distractors:
        picture = films.things(rng, picture, []) if split == "train" else leads_and_tubes.scatter(rng, picture)
    if rng.random() < asked.collimated:
        picture = degrade.collimate(rng, picture)
    picture = np.clip(degrade.window(rng, picture), 0, 255)
    patient = texts.identity(rng, split)
    scene, clean = Scene(picture, pieces=True), picture.copy() if pair else None
    drawing.draw(rng, scene, layout, "lead", split, patient, faces, notes)
    for group in lifted:
        spot = free_spot(rng, scene, group.layers[0].alpha.shape)
        laid = spot is not None and scene.put(group, *spot)
        (notes.kinds if laid else notes.omitted).append("lifted")
    if asked.degraded:
        scene.picture, clean = both(rng, lambda r, p: degrade.grain(r, p, r.uniform(0.3, 4.0)), scene.picture, clean)
        if rng.random() < 0.3:
            scene.picture, clean = both(rng, degrade.soften, scene.picture, clean)
        scene.picture, clean = both(rng, lambda r, p: np.clip(p, 0, 255), scene.picture, clean)
    drawing.draw(rng, scene, layout, "console", split, patient, faces, notes)
    result = scene.picture
    if asked.degraded and rng.random() < 0.25:
        result, clean = both(rng, lambda r, p: degrade.grain(r, p, r.uniform(0.3, 2.5)), result, clean)
    inverted = rng.random() < asked.inverted
    if inverted:
        result, clean = both(rng, lambda r, p: 255 - p, result, clean)
    image, clean = both(rng, lambda r, p: np.clip(np.round(p), 0, 255).astype(np.uint8), result, clean)
    if asked.degraded and rng.random() < 0.6:
        image, clean = both(rng, degrade.jpeg, image, clean)
    ink, elements = truth(scene, as_told=True)
    return SyntheticRadiograph(
        image, Annotation(name, image.shape, elements), ink, body, patient, tuple(notes.kinds), clean, tuple(notes.omitted),
        drawing.tinted(image, notes.tints, inverted))
