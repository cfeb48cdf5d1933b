"""The same change, with the same random numbers, on a film with annotations and on the same film without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

Made = TypeVar("Made")


def both(
    rng: np.random.Generator, change: Callable[[np.random.Generator, np.ndarray], Made], picture: np.ndarray, clean: np.ndarray | None
) -> tuple[Made, Made | None]:
    """A change of a picture, and the same one of its clean counterpart, if there is one.

    Args:
        rng: advanced as by the change of `picture` alone.
        change: called with a generator and a picture; must not change the picture in place.
        clean: None where no pair was requested.

    Returns:
        Both results; the second is None if `clean` is.
    """
    if clean is None:
        return change(rng, picture), None
    repeated = np.random.Generator(type(rng.bit_generator)())
    repeated.bit_generator.state = rng.bit_generator.state
    return change(rng, picture), change(repeated, clean)
