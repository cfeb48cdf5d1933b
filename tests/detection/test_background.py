"""Where a radiograph shows background, and what lies around a box."""

import numpy as np
import pytest

from markerremover.detection import background


def chest() -> np.ndarray:
    """(600, 500) uint8: a grey, uneven body that reaches the lower edge, with a dark flat lung, in black air."""
    rng = np.random.default_rng(5)
    display = np.zeros((600, 500), np.uint8)
    display[100:, 100:400] = 120 + rng.integers(-20, 20, (500, 300))
    display[200:300, 150:250] = 4  # a lung as dark as the air, which does not reach the edge
    return display


@pytest.mark.parametrize("turned", [False, True])
def test_air_at_the_edge_is_background_in_an_inverted_film_too(turned):
    display = 255 - chest() if turned else chest()
    found = background.plain_background(display)
    assert found.shape == (256, 213)
    assert found[4:36, 4:-4].all() and found[60:, 4:36].all(), "the air"
    assert not found[50:, 48:165].any(), "body, lung and what lies below"


def test_a_clip_in_the_air_lies_on_background_and_one_in_the_body_does_not():
    display = chest()
    for x in (20, 300):
        display[400:420, x : x + 30] = 255
    shares = background.anatomy_around(display, np.array([[20, 400, 50, 420], [300, 400, 330, 420], [190, 240, 210, 260], [88, 400, 112, 420]]))
    assert shares[:3].tolist() == [0, 1, 1] and 0.2 < shares[3] < 0.8


def test_a_box_as_large_as_the_image_and_no_boxes():
    assert background.anatomy_around(chest(), np.array([[0, 0, 500, 600]])).tolist() == [1]
    assert background.anatomy_around(chest(), np.zeros((0, 4))).shape == (0,)


def test_a_small_image_keeps_its_size_and_a_uniform_one_is_all_background():
    assert background.plain_background(np.full((40, 60), 7, np.uint8)).tolist() == np.ones((40, 60), bool).tolist()
