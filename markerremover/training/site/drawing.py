"""Films drawn for one training of a fine-tuning, from its own training images and no others.

One half shows annotations in the site's styles, those of its films among them, and nothing else. The other half shows every kind that the
drawing machine knows: it stands for the data that the base weights learnt from, so that what they can do is not unlearnt.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import WriteError
from ...labels import labelled_folder, labelme
from ...labels.labelled_folder import Sample
from ...records import Annotation
from ...synthesis import generate
from ...synthesis.generate import SyntheticRadiograph
from ...synthesis.layouts import faces
from ...synthesis.layouts import film as layout_film
from ...synthesis.layouts.records import Layout
from ...synthesis.marks import layers
from ...synthesis.marks.texts import choice
from ...synthesis.radiographs import patches, real
from . import styles

FEWEST, MOST = 16, 120  # number of films of each half
HELD_BACK = 5  # one in `HELD_BACK` films is not trained on
REAL_SHARE = 0.6  # share of films of the second half on the site's backgrounds, the others are drawn
OWN_SIZE = (0.85, 1.18)  # factors on the size of annotations lifted off the site's films, in the first half


@dataclass(frozen=True)
class Films:
    """Drawn films.

    own: with annotations in the styles of the site.  others: with every kind that the drawing machine knows.
    held_back: of both, for choosing among results of a training.
    """

    own: tuple[Sample, ...] = ()
    others: tuple[Sample, ...] = ()
    held_back: tuple[Sample, ...] = ()

    def some(self, count: int) -> tuple[Sample, ...]:
        """The first of both halves that are trained on, `count` of each at most."""
        return (*self.own[:count], *self.others[:count])


def draw(samples: Sequence[Sample], place: Path, count: int, seed: int, markers: Iterable[str]) -> Films:
    """Draw films on the backgrounds of some labelled radiographs; equal arguments give equal films.

    Args:
        samples: the training images; their annotations are painted over, and lifted off to be laid elsewhere.
        place: gets the films, and the pictures without annotations: as confidential as the originals.
        count: films of each half, see `FEWEST` and `MOST`.
        seed: of the random numbers.
        markers: the site's laterality markers.

    Returns:
        The films; `own` is empty if no annotation of the samples has a style.

    Raises:
        ReadError: a sample cannot be read.  WriteError: a film cannot be written.
    """
    number = min(MOST, max(FEWEST, count))
    sources = _sources(samples, place / "backgrounds")
    layout = styles.layout_of(samples, markers)
    fonts = faces.chosen(layout, "train") if layout is not None else {}
    halves: list[list[Sample]] = []
    jobs: list[tuple[str, Callable[..., SyntheticRadiograph]]] = [("other", _other)]
    if layout is not None:
        jobs.insert(0, ("own", lambda rng, listed, name: _own(rng, listed, name, layout, fonts)))
    for half, (word, job) in enumerate(jobs):
        films = []
        for i in range(number):
            name = f"{word}-{i:04d}.png"
            film = job(np.random.default_rng([seed, half, i]), sources, name)
            films.append(_written(place / name, film.image, film.annotation))
        halves.append(films)
    trained = [[film for i, film in enumerate(films) if i % HELD_BACK != HELD_BACK - 1] for films in halves]
    back = [film for films in halves for i, film in enumerate(films) if i % HELD_BACK == HELD_BACK - 1]
    return Films(tuple(trained[0]) if layout is not None else (), tuple(trained[-1]), tuple(back))


def _sources(samples: Sequence[Sample], place: Path) -> list[tuple[str, str]]:
    """(image, annotation) paths of the samples as grey PNG files in their stored pixels, so that no orientation has to be heeded again."""
    listed = []
    for number, sample in enumerate(samples):
        path = place / f"{number:04d}.png"
        note = path.with_suffix(".json")
        _written(path, labelled_folder.read_grey(sample.path), sample.annotation)
        labelme.write(note, Annotation(path.name, sample.annotation.shape_hw, sample.annotation.elements), image_path=path.name)
        listed.append((str(path), str(note)))
    return listed


def _own(rng: np.random.Generator, sources: list[tuple[str, str]], name: str, layout: Layout, fonts: dict[str, tuple[str, ...]]) -> SyntheticRadiograph:
    """A film of the site's own size with annotations in its styles, and some that were lifted off its films, at about their own size."""
    origin, donor = choice(rng, sources), choice(rng, sources)
    background = real.load_clean(*origin)
    lifted = []
    for group in (*real.lifted(*donor, True), *patches.patches(*donor)):
        scale = float(rng.uniform(*OWN_SIZE)) * max(background.shape) / max(real.read(*donor)[0].shape)
        lifted.append(layers.transformed(group, scale, rng.normal(0, 2), False, 1.0))
    return layout_film.radiograph(rng, layout, fonts, size=background.shape[:2], background=background, name=name, lifted=tuple(lifted))


def _other(rng: np.random.Generator, sources: list[tuple[str, str]], name: str) -> SyntheticRadiograph:
    """A film of the drawing machine, on a background of the site or a drawn one."""
    background = real.load_clean(*choice(rng, sources)) if rng.random() < REAL_SHARE else None
    return generate.radiograph(rng, split="train", background=background, name=name)


def _written(path: Path, image: np.ndarray, annotation: Annotation) -> Sample:
    """Write a (H, W) uint8 image for its owner only, and return it as a sample of a patient of its own."""
    import cv2

    encoded, data = cv2.imencode(".png", image)
    if not encoded:
        raise WriteError(f"{path}: the picture cannot be encoded")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as handle:
        handle.write(data.tobytes())
    return Sample(path, Annotation(path.name, annotation.shape_hw, annotation.elements), f"drawn {path.stem}")
