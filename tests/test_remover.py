from __future__ import annotations

import fakes
import numpy as np
import pytest

from markerremover import HeldError, MarkerRemover, Policy, ReadError, SiteProfile, UsageError

x1, y1, x2, y2 = fakes.NAME_BOX


@pytest.fixture
def remover():
    return MarkerRemover(cleaner=fakes.cleaner())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_grey_array_comes_back_with_its_shape_and_type(remover, dtype):
    array = fakes.radiograph(1, dtype=dtype)
    before = array.copy()
    result = remover.clean(array)
    assert result.array.shape == array.shape and result.array.dtype == dtype and result.status == "cleaned"
    assert not result.array[y1:y2, x1:x2].any() and np.array_equal(array, before) and array.flags.writeable
    assert len(result.detections) == 1 and result.decisions[0].action == "remove"
    with pytest.raises(ValueError):
        result.array[0, 0] = 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_colour_array_is_cleaned_in_every_channel(remover, dtype):
    array = np.repeat(fakes.radiograph(1, dtype=dtype)[..., None], 3, 2)
    result = remover.clean(array)
    assert result.array.shape == array.shape and not result.array[y1:y2, x1:x2].any()


def test_nothing_to_remove_is_unchanged(remover):
    array = fakes.radiograph(1, ())
    result = remover.clean(array)
    assert result.status == "unchanged" and np.array_equal(result.array, array) and result.decisions == ()


def test_a_path_is_read_and_nothing_is_written(remover, tmp_path):
    path = fakes.put(tmp_path / "x", fakes.png(fakes.radiograph(2, dtype=np.uint16)))
    result = remover.clean(path)
    assert result.array.dtype == np.uint16 and result.status == "cleaned" and len(list(tmp_path.iterdir())) == 1
    assert np.array_equal(result.array, remover.clean(str(path)).array)


@pytest.mark.parametrize(
    "array",
    [np.zeros((0, 5), np.uint8), np.zeros((4, 4), np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros(9, np.uint8), np.zeros((4, 4), np.int32)],
    ids=["empty", "float", "four channels", "one axis", "32 bit"],
)
def test_other_arrays_are_wrong_use(remover, array):
    with pytest.raises(UsageError, match="allowed are"):
        remover.clean(array)


def test_what_is_no_image_raises(remover, tmp_path):
    with pytest.raises(ReadError):
        remover.clean(fakes.put(tmp_path / "x.png", b"not an image"))
    with pytest.raises(ReadError, match="no such file"):
        remover.clean(tmp_path / "nowhere.png")


def test_a_result_that_cannot_be_trusted_raises():
    with pytest.raises(HeldError, match="remain"):
        MarkerRemover(cleaner=fakes.cleaner(detector=fakes.restless())).clean(fakes.radiograph(1))


def test_a_site_profile_gives_weights_and_policy_and_what_is_said_besides_it_wins(tmp_path, monkeypatch):
    (tmp_path / "site.toml").write_text('weights = "own.onnx"\nthreshold = 0.3\n[keep]\nD = "right"\n')
    asked = []

    def open_cleaner(policy, *, weights, device):
        asked.append((policy, weights))
        return fakes.cleaner()

    monkeypatch.setattr("markerremover.remover.open_cleaner", open_cleaner)
    MarkerRemover(site=tmp_path / "site.toml")
    MarkerRemover(tmp_path / "other.onnx", Policy(keep=()), site=SiteProfile(keep={"I": "left"}))
    MarkerRemover()
    assert asked == [(Policy(keep=("D",), threshold=0.3), tmp_path / "own.onnx"), (Policy(keep=()), tmp_path / "other.onnx"), (Policy(), None)]


@pytest.mark.parametrize("colour", [False, True])
def test_an_array_that_uses_few_of_its_16_bits_is_not_black_to_the_localizer(remover, colour):
    array = fakes.radiograph(1).astype(np.uint16) * 4
    array = np.repeat(array[..., None], 3, 2) if colour else array
    result = remover.clean(array)
    assert result.status == "cleaned" and not result.array[y1:y2, x1:x2].any()
