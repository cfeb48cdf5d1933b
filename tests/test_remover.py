from __future__ import annotations

import pickle
from dataclasses import replace

import dicom_files
import fakes
import numpy as np
import pydicom
import pytest
import tifffile

from markerremover import HeldError, MarkerRemover, Policy, ReadError, SiteProfile, UsageError, Window, WriteError
from markerremover.formats import images
from markerremover.library import saving
from markerremover.run import batch

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


def test_detect_gives_what_clean_found_and_changes_nothing(remover):
    array = fakes.radiograph(1)
    before = array.copy()
    (found,) = remover.detect(array)
    assert found.xyxy.tolist() == [[x1, y1, x2, y2]] and found.scores.tolist() == [pytest.approx(0.9)] and found.class_names == ("marker",)
    (same,) = remover.clean(array).detections
    assert np.array_equal(found.xyxy, same.xyxy) and np.array_equal(array, before)
    assert [len(d) for d in remover.detect(np.stack([array, fakes.radiograph(2, ())]))] == [1, 0]


def test_the_mask_is_what_changed(remover):
    array = fakes.radiograph(1)
    result = remover.clean(array)
    assert result.mask.dtype == bool and result.mask.shape == array.shape and not result.mask.flags.writeable
    assert result.mask[y1:y2, x1:x2].all() and not result.array[result.mask].any() and np.array_equal(result.array[~result.mask], array[~result.mask])
    assert not remover.clean(fakes.radiograph(1, ())).mask.any()


def test_the_mask_of_a_smaller_hole_is_the_hole_and_not_the_box():
    array = fakes.written(fakes.radiograph(1, (), (200, 300)) // 4, "KOWALSKI", (40, 60), grey=255)
    results = [MarkerRemover(cleaner=fakes.Cleaner(fakes.find_white, fakes.SilentReader(), Policy(keep=(), style=style))).clean(array)
               for style in ("box", "mask", "fill")]
    for result in results:
        assert np.array_equal(result.array[~result.mask], array[~result.mask]) and result.mask[array == 255].all()
    assert results[2].made_up == results[2].mask.sum() or results[2].made_up == 0


def test_a_stack_is_radiographs_of_their_own(remover):
    pictures = [fakes.radiograph(1), fakes.radiograph(2, ()), fakes.radiograph(3) // 4 * 4]
    stack = np.stack(pictures)
    result = remover.clean(stack)
    assert result.array.shape == stack.shape == result.mask.shape and result.status == "cleaned" and len(result.detections) == 3
    assert {d.frame for d in result.decisions} == {0, 2} and not result.mask[1].any()
    for i, picture in enumerate(pictures):
        assert np.array_equal(result.array[i], remover.clean(picture).array)
    colour = np.repeat(stack[..., None], 3, 3)
    assert np.array_equal(remover.clean(colour).array[..., 1], result.array) and remover.clean(stack[:1]).array.shape == (1, *fakes.SHAPE)


@pytest.mark.parametrize("shape", [(96, 128, 4), (96, 128, 1), (96, 128, 2), (2, 96, 128, 4), (3, 96, 0)])
def test_what_may_be_colour_of_another_kind_is_no_stack(remover, shape):
    with pytest.raises(UsageError, match="allowed are"):
        remover.clean(np.zeros(shape, np.uint8))


WINDOW = (-1000.0, 400.0)


def as_values(picture: np.ndarray, dtype) -> np.ndarray:
    """A picture of 8 bits as values that show in WINDOW."""
    return (picture.astype(np.float64) / 255 * (WINDOW[1] - WINDOW[0]) + WINDOW[0]).astype(dtype)


@pytest.mark.parametrize("dtype", [np.int16, np.float16, np.float32, np.float64, ">i2", ">f4"])
def test_values_with_a_window_keep_their_dtype_and_removed_ones_are_its_low_end(remover, dtype):
    array = as_values(fakes.radiograph(1), dtype)
    before = array.copy()
    for window in (WINDOW, Window(*WINDOW), Window.of_center(-300, 1400)):
        result = remover.clean(array, window=window)
        assert result.array.dtype == array.dtype.newbyteorder("=") and result.status == "cleaned" and result.mask[y1:y2, x1:x2].all()
        assert (result.array[result.mask] == -1000).all() and np.array_equal(result.array[~result.mask], array[~result.mask])
    assert np.array_equal(array, before)


def test_values_far_outside_the_window_are_told_apart_and_neither_hide_nor_flatten_the_rest(remover):
    array = as_values(fakes.radiograph(1), np.float32)
    array[-1, -1], array[0, 1] = 1e30, -1e30
    result = remover.clean(array, window=WINDOW)
    assert result.mask[y1:y2, x1:x2].all() and result.mask.sum() < 1200 and result.array[0, 1] == np.float32(-1e30)
    hidden = as_values(fakes.radiograph(1, ()), np.float32)
    hidden[40:80, 30:110] = 900
    hidden[y1 + 40 : y2 + 40, x1 + 20 : x2 + 20] = 3000  # white on white in the window
    assert remover.clean(hidden, window=WINDOW).mask[y1 + 40 : y2 + 40, x1 + 20 : x2 + 20].all()


@pytest.mark.parametrize("window", [None, (400, -1000), (0, 0), (0, np.nan), (0, np.inf), 5, (1, 2, 3), ("a", "b")], ids=str)
def test_a_window_that_is_missing_or_none_is_named(remover, window):
    for dtype in (np.int16, np.float32):
        with pytest.raises(UsageError, match="window"):
            remover.clean(np.zeros((30, 40), dtype), window=window)


def test_a_window_belongs_to_grey_arrays(remover, tmp_path):
    path = fakes.put(tmp_path / "x.png", fakes.png(fakes.radiograph(1)))
    for source in (path, np.zeros((30, 40, 3), np.uint8)):
        with pytest.raises(UsageError, match="window"):
            remover.clean(source, window=(0, 100))
    with pytest.raises(UsageError, match="finite"):
        remover.clean(np.full((30, 40), np.nan, np.float32), window=(0, 100))


def test_a_window_of_unsigned_values_says_what_is_black(remover):
    array = np.where(fakes.radiograph(1) == 255, np.uint16(3000), fakes.radiograph(1).astype(np.uint16) + 1000)
    result = remover.clean(array, window=(1000.7, 3000))
    assert result.mask[y1:y2, x1:x2].all() and (result.array[result.mask] == 1000).all()


def test_filled_values_lie_between_those_around_them():
    array = as_values(fakes.written(np.full((200, 300), 60, np.uint8), "KOWALSKI", (40, 60), grey=255), np.float32)
    cleaner = fakes.Cleaner(fakes.find_white, fakes.SilentReader(), Policy(keep=(), style="fill"))
    result = MarkerRemover(cleaner=cleaner).clean(array, window=WINDOW)
    assert result.made_up and result.array.dtype == np.float32
    assert np.abs(result.array[result.mask] - array[0, 0]).max() < 60 and np.array_equal(result.array[~result.mask], array[~result.mask])


def test_tensors_paths_and_images_of_other_libraries_are_taken(remover, tmp_path):
    from PIL import Image

    array = fakes.radiograph(1)
    expected = remover.clean(array).array

    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return array

    class Capsule:
        def __dlpack__(self, **options):
            return array.__dlpack__(**options)

        def __dlpack_device__(self):
            return array.__dlpack_device__()

    class Place:
        def __fspath__(self):
            return str(tmp_path / "x.png")

    fakes.put(tmp_path / "x.png", fakes.png(array))
    assert np.array_equal(remover.clean(Place()).array, expected)
    for source in (Tensor(), Capsule(), Image.fromarray(array), array[:, ::-1][:, ::-1]):
        result = remover.clean(source)
        assert isinstance(result.array, np.ndarray) and np.array_equal(result.array, expected)
    with pytest.raises(UsageError, match="mode 'P'"):
        remover.clean(Image.fromarray(array).convert("P"))


def test_a_torch_tensor_is_cleaned_and_one_that_is_no_array_says_what_to_do(remover):
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(fakes.radiograph(1))
    before = tensor.clone()
    assert np.array_equal(remover.clean(tensor).array, remover.clean(tensor.numpy()).array) and torch.equal(tensor, before)
    values = torch.from_numpy(as_values(fakes.radiograph(1), np.float32))
    assert (remover.clean(values, window=WINDOW).array[y1:y2, x1:x2] == -1000).all()
    assert len(remover.clean_many(torch.stack([tensor, tensor]))) == 2
    for odd in (values.requires_grad_(), values.detach().to(torch.bfloat16), torch.zeros((30, 40), device="meta")):
        with pytest.raises(UsageError, match="numpy array"):
            remover.clean(odd, window=WINDOW)


@pytest.mark.parametrize("source", [None, 7, [1, 2], [np.zeros((20, 30), np.uint8)], object(), b"x"], ids=lambda s: type(s).__name__)
def test_other_objects_are_refused(remover, source):
    with pytest.raises(UsageError, match="allowed are"):
        remover.clean(source)


def test_many_sources_give_a_result_each_and_tell_how_far_they_are(remover, tmp_path):
    path = fakes.put(tmp_path / "x.png", fakes.png(fakes.radiograph(2)))
    seen = []
    results = remover.clean_many([path, fakes.radiograph(1), str(path)], progress=lambda done, total: seen.append((done, total)))
    assert [r.status for r in results] == ["cleaned"] * 3 and seen == [(1, 3), (2, 3), (3, 3)]
    assert np.array_equal(results[0].array, remover.clean(path).array)
    stack = np.stack([fakes.radiograph(1), fakes.radiograph(2, ())])
    assert [r.status for r in remover.clean_many(stack)] == ["cleaned", "unchanged"]
    assert [r.status for r in remover.clean_many(as_values(stack, np.int16), window=WINDOW)] == ["cleaned", "unchanged"]
    assert remover.clean_many(iter([])) == []


def test_an_error_among_many_is_raised_or_stands_in_its_place(remover, tmp_path):
    sources = [tmp_path / "nowhere.png", fakes.radiograph(1)]
    with pytest.raises(ReadError):
        remover.clean_many(sources)
    seen = []
    error, result = remover.clean_many(sources, errors="return", progress=lambda *at: seen.append(at))
    assert isinstance(error, ReadError) and result.status == "cleaned" and seen == [(1, 2), (2, 2)]
    with pytest.raises(UsageError, match="'raise' and 'return'"):
        remover.clean_many(sources, errors="ignore")


@pytest.mark.parametrize("sources", ["folder", np.zeros((30, 40), np.uint8), np.zeros((30, 40, 3), np.uint8), 5], ids=["path", "grey", "colour", "number"])
def test_one_source_is_not_many(remover, sources):
    with pytest.raises(UsageError, match="sever|stack"):
        remover.clean_many(sources)


@pytest.mark.parametrize(("name", "dtype", "colour"), [("x.png", np.uint8, False), ("x.png", np.uint16, True), ("x.tif", np.uint16, False), ("x.tiff", np.uint8, True)])
def test_an_array_is_saved_without_loss(remover, tmp_path, name, dtype, colour):
    array = fakes.radiograph(1, dtype=dtype)
    array = np.stack([array, array // 2, array // 3], 2) if colour else array
    result = remover.clean(array)
    path = result.save(tmp_path / "new" / name)
    assert path == tmp_path / "new" / name and np.array_equal(images.read(path).stored[0], result.array) and len(list(path.parent.iterdir())) == 1


def test_values_and_stacks_are_saved_as_tiff(remover, tmp_path):
    values = remover.clean(as_values(fakes.radiograph(1), np.float32), window=WINDOW)
    again = tifffile.imread(values.save(tmp_path / "x.tif"))
    assert again.dtype == np.float32 and np.array_equal(again, values.array)
    stack = remover.clean(np.stack([fakes.radiograph(1), fakes.radiograph(2)]))
    with tifffile.TiffFile(stack.save(tmp_path / "stack.tif")) as file:
        assert len(file.pages) == 2 and np.array_equal(file.asarray(), stack.array) and "Software" not in file.pages.first.tags
    for result in (values, stack):
        with pytest.raises(UsageError, match=r"\.tif"):
            result.save(tmp_path / "x.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["stack.tif", "x.tif"]


@pytest.mark.parametrize("name", ["x.jpg", "x", "x.dcm", "x.npy"])
def test_an_array_is_not_saved_with_loss_or_as_something_else(remover, tmp_path, name):
    with pytest.raises(UsageError, match="without loss"):
        remover.clean(fakes.radiograph(1)).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_replaced_only_on_request_and_the_source_never(remover, tmp_path):
    source = fakes.put(tmp_path / "in.png", fakes.png(fakes.radiograph(1)))
    result, data = remover.clean(source), source.read_bytes()
    target = fakes.put(tmp_path / "out.png", b"old")
    with pytest.raises(UsageError, match="overwrite"):
        result.save(target)
    assert target.read_bytes() == b"old"
    assert np.array_equal(fakes.read(result.save(target, overwrite=True)), result.array)
    link = tmp_path / "link.png"
    link.symlink_to(source)
    for place in (source, link):
        with pytest.raises(UsageError, match="never written"):
            result.save(place, overwrite=True)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError, match="exists"):
        result.save(link.parent / "folder.png", overwrite=True)
    assert source.read_bytes() == data


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_a_raster_is_saved_as_remove_writes_it(remover, tmp_path, kind):
    picture = fakes.radiograph(1)
    source = fakes.put(tmp_path / "in" / f"a.{kind}", fakes.png(picture) if kind == "png" else fakes.jpeg(picture))
    batch.remove([source], tmp_path / "out", options=fakes.NO_KEEP, open_cleaner=fakes.cleaner)
    saved = remover.clean(source).save(tmp_path / f"saved.{kind}")
    assert saved.read_bytes() == (tmp_path / "out" / f"a.{kind}").read_bytes()
    with pytest.raises(UsageError, match="allowed are"):
        remover.clean(source).save(tmp_path / "saved.tif")
    with pytest.raises(UsageError, match="DICOM headers|key"):
        remover.clean(source).save(tmp_path / f"other.{kind}", key=b"k" * 32)


def test_what_cannot_be_written_leaves_nothing(remover, tmp_path, monkeypatch):
    result = remover.clean(fakes.radiograph(1))
    source = fakes.put(tmp_path / "in.png", fakes.png(fakes.radiograph(1)))
    from_file = remover.clean(source)
    monkeypatch.setattr(images, "verify_written", fakes_fail)
    with pytest.raises(WriteError, match="differs"):
        from_file.save(tmp_path / "out.png")
    monkeypatch.setattr(saving, "_read_png", lambda data: np.zeros(fakes.SHAPE, np.uint8))
    with pytest.raises(WriteError, match="read back"):
        result.save(tmp_path / "out.png")
    with pytest.raises(WriteError, match="cannot be written"):
        result.save(source / "out.tif")
    assert [p.name for p in tmp_path.iterdir()] == ["in.png"]


def fakes_fail(*arguments, **options):
    raise WriteError("it differs")


def dicom(folder, seed=1, **elements):
    stored = fakes.radiograph(seed).astype(np.uint16)[None] * 16
    return dicom_files.save(folder, stored, bits=12, WindowCenter=2048, WindowWidth=4096, PatientID="123456", PatientBirthDate="19500102", **elements)


@pytest.mark.parametrize("syntax", [None, *dicom_files.NATIVE, *dicom_files.ENCODED], ids=str)
def test_a_dataset_is_cleaned_like_its_file_and_not_changed(remover, tmp_path, syntax):
    path = dicom(tmp_path, **({"syntax": syntax} if syntax else {}))
    dataset, before = pydicom.dcmread(path), pydicom.dcmread(path)
    dataset.pixel_array  # noqa: B018  pydicom keeps an array, which is not what is read
    result, expected = remover.clean(dataset), remover.clean(path)
    assert np.array_equal(result.array, expected.array) and result.status == "cleaned" and result.mask[y1:y2, x1:x2].all()
    assert dataset == before and dataset.file_meta == before.file_meta and dataset.PixelData == before.PixelData
    assert np.array_equal(remover.detect(dataset)[0].xyxy, remover.detect(path)[0].xyxy)
    for one in (result, expected):
        new = one.dataset
        assert np.array_equal(new.pixel_array.reshape(result.array.shape), result.array) and new.PatientName == "SMITH^JOHN"
        assert new.SOPInstanceUID != before.SOPInstanceUID and new.get("PatientIdentityRemoved", "NO") == "NO" and new.BurnedInAnnotation == "NO"


def test_a_dataset_made_in_memory_needs_a_transfer_syntax(remover, tmp_path):
    dataset = pydicom.dcmread(dicom(tmp_path))
    made = pydicom.Dataset(dataset)
    with pytest.raises(ReadError, match="Transfer Syntax"):
        remover.clean(made)
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    assert remover.clean(made).status == "cleaned" and list(made.file_meta) == [made.file_meta["TransferSyntaxUID"]]
    del made.PixelData
    with pytest.raises(ReadError, match="no pixel data"):
        remover.clean(made)
    with pytest.raises(UsageError, match="several"):
        remover.clean_many(dataset)
    assert remover.clean(fakes.radiograph(1)).dataset is None


def test_a_dicom_header_is_saved_clean_or_not_at_all(remover, tmp_path):
    path = dicom(tmp_path / "in") if (tmp_path / "in").mkdir() is None else None
    for source in (path, pydicom.dcmread(path)):
        result = remover.clean(source)
        with pytest.raises(UsageError, match="markerremover remove"):
            result.save(tmp_path / "out.dcm")
        with pytest.raises(UsageError, match="32"):
            result.save(tmp_path / "out.dcm", key=b"short")
        with pytest.raises(UsageError, match="name, number or UID"):
            result.save(tmp_path / "smith_john.dcm", key=b"k" * 32)
        with pytest.raises(UsageError, match="DICOM"):
            result.save(tmp_path / "out.png", key=b"k" * 32)
        assert [p.name for p in tmp_path.iterdir()] == ["in"]
        saved = pydicom.dcmread(result.save(tmp_path / "out.dcm", key=b"k" * 32))
        assert "SMITH" not in str(saved) and "123456" not in str(saved) and np.array_equal(saved.pixel_array, result.array)
        (tmp_path / "out.dcm").unlink()
    key = tmp_path / "in" / "key"
    key.write_text((b"k" * 32).hex())
    key.chmod(0o600)
    batch.remove([path], tmp_path / "out", options=replace(fakes.NO_KEEP, headers="basic", key=key), open_cleaner=fakes.cleaner)
    (written,) = (p for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert remover.clean(path).save(tmp_path / "saved.dcm", key=key).read_bytes() == written.read_bytes()


def test_a_result_can_be_pickled_and_saved_elsewhere(remover, tmp_path):
    for source in (fakes.radiograph(1), fakes.put(tmp_path / "x.png", fakes.png(fakes.radiograph(1))), pydicom.dcmread(dicom(tmp_path))):
        result = remover.clean(source)
        again = pickle.loads(pickle.dumps(result))
        assert np.array_equal(again.array, result.array) and np.array_equal(again.mask, result.mask) and "_origin" not in repr(result)
    assert again.dataset.PatientName == "SMITH^JOHN"
