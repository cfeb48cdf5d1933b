"""Synthetic radiographs: exact truth, repeatable, and nothing shared between the splits."""

import json

import cv2
import numpy as np
import pytest

from markerremover.errors import AnnotationError, UsageError
from markerremover.labels import labelme
from markerremover.records import Element
from markerremover.synthesis import film, generate, radiograph, synthesize
from markerremover.synthesis.marks import (
    console_text,
    fonts,
    graphics,
    kit,
    layers,
    lead_markers,
    lettering,
    prints,
    signs,
)
from markerremover.synthesis.marks import texts as words
from markerremover.synthesis.radiographs import backgrounds, patches, real

SIZE = (320, 288)


def make(seed, **options):
    return radiograph(np.random.default_rng(seed), **{"size": SIZE, **options})


@pytest.fixture(scope="module")
def some():
    return [make(seed, split=("train", "eval")[seed % 2]) for seed in range(30)]


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_boxes_are_the_tight_boxes_of_the_ink(some):
    for made in some:
        for i, element in enumerate(made.annotation.elements):
            ys, xs = np.nonzero(made.ink == i + 1)
            assert element.xyxy == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        assert made.ink.max() == len(made.annotation.elements)


def test_a_training_film_has_other_characters_drawn_like_laterality_markers():
    made = [e for seed in range(60) for e in make(seed).annotation.elements]
    alone = [e for e in made if e.text.endswith(words.ALONE)]
    assert alone and {e.kind for e in alone} == {"marker"} and {e.text[0] for e in alone} <= set(words.OTHER_LETTERS)
    letters = {e.text.split()[0] for e in made if e.kind == "laterality"}
    assert {"L", "R"} <= letters and not letters & set(words.OTHER_LETTERS)
    assert not set(words.OTHER_LETTERS) & {letter for letter, _ in words.LATERALITY_LETTERS}


def test_ink_differs_from_what_surrounds_it(some):
    seen = []
    for made in some:
        for i, element in enumerate(made.annotation.elements):
            if element.kind == "uncertain":
                continue
            ink = made.ink == i + 1
            around = cv2.dilate(ink.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool) & (made.ink == 0)
            if around.sum() > 10:
                seen.append(abs(float(made.image[ink].mean()) - float(made.image[around].mean())))
    assert np.mean(np.array(seen) > 5) > 0.9


def test_image_is_uint8_of_the_asked_size_and_locked(some):
    assert some[0].image.shape == SIZE == some[0].ink.shape == some[0].annotation.shape_hw
    assert some[0].image.dtype == np.uint8 and not some[0].image.flags.writeable


def test_all_kinds_occur_and_so_do_images_without_annotations():
    made = [make([9, seed], size=(160, 160)) for seed in range(60)]
    kinds = {e.kind for m in made for e in m.annotation.elements}
    assert kinds == {"laterality", "marker", "uncertain"}
    assert any(not m.annotation.elements for m in made)


def test_unmarked_share_of_one_leaves_every_image_clean():
    assert all(not make(seed, unmarked_share=1.0).annotation.elements for seed in range(4))


@pytest.mark.parametrize("body", backgrounds.BODIES)
@pytest.mark.parametrize("split", words.SPLITS)
def test_every_body_of_every_split_can_be_drawn(body, split):
    made = make(3, body=body, split=split)
    assert made.body == body and made.image.std() > 5


def test_the_same_generator_state_gives_the_same_radiograph():
    first, second = make(7), make(7)
    assert np.array_equal(first.image, second.image) and first.annotation == second.annotation and first.header == second.header


@pytest.mark.parametrize("option", [{"split": "test"}, {"body": "skull"}])
def test_unknown_options_are_refused(option):
    with pytest.raises(UsageError, match="allowed are"):
        make(0, **option)


def test_splits_share_no_font_name_hospital_plate_or_body():
    for table in (words.FAMILY, words.GIVEN, words.HOSPITAL, layers.PLATES, fonts.STROKE_FACES):
        assert not set(table["train"]) & set(table["eval"])
    for body in backgrounds.BODIES:
        assert not set(backgrounds.VARIANTS["train"][body]) & set(backgrounds.VARIANTS["eval"][body])
    names = {split: {f.rsplit("/", 1)[-1] for f in fonts.font_files(split)} for split in words.SPLITS}
    assert not names["train"] & names["eval"] and len(names["train"]) >= 14 and len(names["eval"]) >= 6


def test_splits_share_no_font_family():
    from PIL import ImageFont

    families = {split: {ImageFont.truetype(f, 10).getname()[0] for f in fonts.font_files(split)} for split in words.SPLITS}
    assert not families["train"] & families["eval"]


def test_splits_share_no_initials():
    rng = np.random.default_rng(0)
    drawn = {split: {words.initials(rng, split) for _ in range(400)} for split in words.SPLITS}
    assert not drawn["train"] & drawn["eval"]


def test_planted_patient_is_of_the_split():
    for split in words.SPLITS:
        family, given = make(5, split=split).header["PatientName"].split("^")
        assert family in words.FAMILY[split] and given in words.GIVEN[split]


@pytest.mark.parametrize("face", [*fonts.STROKE_FACES["train"], *fonts.STROKE_FACES["eval"], fonts.font_files("train")[0]])
def test_rendered_capitals_have_the_asked_height(face):
    assert abs(fonts.render("H", face, 40).shape[0] - 40) <= 10


def test_folder_repeats_itself_whatever_count_and_workers(tmp_path):
    options = {"size": (128, 160), "masks": True, "formats": ("png", "dcm", "jpg")}
    synthesize(tmp_path / "a", 4, 11, **options)
    synthesize(tmp_path / "b", 4, 11, workers=2, **options)
    synthesize(tmp_path / "c", 2, 11, **options)
    a, b, c = (contents(tmp_path / x) for x in "abc")
    assert a == b
    for key in [k for k in c if str(k) in ("split.csv", "kinds.csv")]:
        assert a.pop(key).startswith(c.pop(key))
    assert c == {k: a[k] for k in c} and len(c) < len(a)


def test_every_format_is_readable_and_has_its_truth(tmp_path):
    import pydicom

    paths = synthesize(tmp_path, 5, 2, size=(200, 160), formats=("png", "jpg", "tiff", "dcm", "png16"), masks=True)
    assert [p.suffix for p in paths] == [".png", ".jpg", ".tiff", ".dcm", ".png"]
    for path in paths:
        pixels = pydicom.dcmread(path).pixel_array if path.suffix == ".dcm" else cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        note = labelme.read(tmp_path / "annotations" / f"{path.stem}.json")
        mask = cv2.imread(str(tmp_path / "masks" / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
        lines = (tmp_path / "labels" / f"{path.stem}.txt").read_text().splitlines()
        assert pixels.shape == mask.shape == note.shape_hw == (200, 160)
        assert mask.max() == len(note.elements)
        assert len(lines) == sum(e.kind != "uncertain" for e in note.elements)
    assert cv2.imread(str(paths[4]), cv2.IMREAD_UNCHANGED).dtype == np.uint16
    header = pydicom.dcmread(paths[3])
    assert header.BitsStored == 12 and header.PatientName.family_name in words.FAMILY["train"]


def test_unknown_format_is_refused(tmp_path):
    with pytest.raises(UsageError, match="bmp"):
        synthesize(tmp_path, 1, 0, formats=("bmp",))


def plant(folder, name="a", annotate=True, value=250, letter=False):
    """A grey picture with one bright square, or an L, annotated if wanted."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "annotations").mkdir(exist_ok=True)
    picture = np.full((200, 240), 90, np.uint8)
    picture[50:80, 100:130] = value
    picture[50:72, 108:130] = 90 if letter else value
    cv2.imwrite(str(folder / "images" / f"{name}.png"), picture)
    if annotate:
        shape = {"label": "marker", "points": [[100, 50], [130, 80]], "shape_type": "rectangle", "flags": {}}
        note = {"shapes": [shape], "imagePath": f"{name}.png", "imageHeight": 200, "imageWidth": 240, "flags": {"reviewed": True}}
        (folder / "annotations" / f"{name}.json").write_text(json.dumps(note))


def test_annotated_marks_of_real_backgrounds_vanish(tmp_path):
    plant(tmp_path)
    ((image, note),) = real.listing(tmp_path)
    clean = real.load_clean(image, note)
    assert clean.shape == (200, 240) and abs(clean.astype(int) - 90).max() <= 2


def test_marks_that_lie_together_do_not_leak_into_each_other():
    picture = np.full((100, 100), 60, np.uint8)
    picture[20:40, 20:40] = picture[42:60, 20:40] = 255
    assert real.erase(picture, [(20, 20, 40, 40), (20, 42, 40, 60)]).max() <= 62
    assert picture.max() == 255


def test_backgrounds_without_annotations_are_refused(tmp_path):
    plant(tmp_path, annotate=False)
    with pytest.raises(AnnotationError, match="no annotation"):
        synthesize(tmp_path / "out", 1, 0, backgrounds=tmp_path)
    assert len(real.listing(tmp_path, clean=True)) == 1


def test_only_the_wanted_rows_of_a_split_are_backgrounds(tmp_path):
    for name in "ab":
        plant(tmp_path, name)
    (tmp_path / "split.csv").write_text("image,patient,split\na.png,1,train\nb.png,2,val\n")
    assert [real.listing(tmp_path, rows=r)[0][0][-5:] for r in ("train", "val")] == ["a.png", "b.png"]


def test_real_backgrounds_are_used(tmp_path):
    plant(tmp_path)
    ((image, note),) = real.listing(tmp_path)
    given = real.load_clean(image, note)
    before = given.copy()
    assert make(1, background=given).body == "real" and np.array_equal(given, before)
    assert len(synthesize(tmp_path / "out", 2, 0, backgrounds=tmp_path, size=(96, 96))) == 2


def test_a_marking_that_would_not_be_seen_is_not_put():
    scene = generate.Scene(np.full((100, 100), 255, np.float32))
    style = console_text.TextStyle(fonts.font_files("train")[0], 12, 255.0, "plain")
    assert not scene.put(console_text.written(np.random.default_rng(0), "AP", "marker", style), 20, 20)
    assert scene.ink.max() == 0 and scene.picture.min() == 255


def test_every_line_of_a_label_is_an_element_and_its_panel_is_none():
    style = console_text.TextStyle(fonts.font_files("train")[0], 12, 255.0, "plain")
    group = console_text.label(np.random.default_rng(0), ["ONE", "TWO"], style)
    assert [text.split()[0] for _, text in group.elements] == ["ONE", "TWO"]
    scene = generate.Scene(np.full((300, 300), 128, np.float32))
    assert scene.put(group, 20, 20) and len(scene.elements) == 2
    assert 0 < (scene.ink > 0).sum() < 0.5 * (scene.picture != 128).sum()


def test_a_sign_cut_out_of_a_plate_is_boxed_without_its_plate():
    rng = np.random.default_rng(1)
    for _ in range(60):
        group = lead_markers.lead_marker(rng, "train", 30)
        if "dark in plate" in group.elements[0][1]:
            plate = next(layer.alpha for layer in group.layers if layer.element == -1)
            sign = next(layer.alpha for layer in group.layers if layer.element == 0)
            assert (sign > 0.35).sum() < 0.6 * (plate > 0.35).sum()
            return
    raise AssertionError("no cut-out plate among 60 lead markers")


def test_a_marking_mostly_outside_is_uncertain():
    scene = generate.Scene(np.zeros((100, 100), np.float32))
    style = console_text.TextStyle(fonts.font_files("train")[0], 20, 255.0, "plain")
    group = console_text.written(np.random.default_rng(0), "HH", "marker", style)
    assert scene.put(group, 100 - group.layers[0].alpha.shape[1] // 4, 20)
    assert scene.elements[0][0] == "uncertain"


def test_a_folder_divides_into_training_and_validation_by_itself(tmp_path):
    from markerremover.labels import labelled_folder

    synthesize(tmp_path, 10, 3, size=(200, 160))
    parts = {part: labelled_folder.load_samples(tmp_path, part) for part in ("train", "val")}
    assert (len(parts["train"]), len(parts["val"])) == (9, 1)


# Training films: every kind is drawn, is counted, and is annotated as such.


def shown(films):
    return {kind: sum(kind in made.kinds for made in films) for kind in film.KINDS}


@pytest.mark.parametrize(("count", "least"), [(250, 2), pytest.param(1000, 20, marks=pytest.mark.long)])
def test_every_kind_of_mark_and_thing_is_drawn_twenty_times_in_a_thousand_films(count, least):
    counts = shown([make([31, seed], size=(256, 224)) for seed in range(count)])
    rare = {kind: counts[kind] for kind in (*film.MARKS, *film.THINGS, "inverted film", "framed film", "side by side") if counts[kind] < least}
    assert not rare


def test_small_films_and_what_real_films_give_are_drawn_as_often(tmp_path):
    films = [radiograph(np.random.default_rng([5, seed]), unmarked_share=1.0) for seed in range(40)]
    assert sum("small film" in made.kinds for made in films) >= 2
    assert all(max(made.image.shape) <= 600 for made in films if "small film" in made.kinds)
    plant(tmp_path, letter=True)
    synthesize(tmp_path / "out", 100, 6, backgrounds=tmp_path, size=(200, 240), real_share=1.0)
    lines = (tmp_path / "out" / "kinds.csv").read_text().splitlines()
    counts = {kind: len({line.split(",")[0] for line in lines if line.endswith("," + kind)}) for kind in ("whole film", "lifted marks")}
    assert lines[0] == "image,kind" and min(counts.values()) >= 5


@pytest.mark.parametrize("kind", [*graphics.KINDS])
def test_a_drawing_says_what_it_is(kind):
    scene, rng = generate.Scene(np.full((400, 400), 60, np.float32), pieces=True), np.random.default_rng(1)
    for _ in range(30):
        if graphics.KINDS[kind](rng, scene, kit.Kit("train", {})):
            break
    wanted = "uncertain" if kind in ("scale", "blank patch") else "marker"
    word = {"asterisk": "*", "drawn circle": "drawn circle", "drawn line": "drawn line", "dotted line": "dotted", "logo": "logo"}.get(kind, "arrow")
    assert scene.elements and all(what == wanted and (wanted == "uncertain" or word in text) for what, text in scene.elements)


@pytest.mark.parametrize("kind", [*prints.KINDS, *lettering.KINDS])
def test_print_is_a_marker_and_is_not_taken_for_a_drawing(kind):
    import re

    rng, found = np.random.default_rng(2), []
    for _ in range(12):
        scene = generate.Scene(np.full((400, 400), 90, np.float32), pieces=True)
        film.MARKS[kind](rng, scene, kit.Kit("train", words.identity(rng, "train")))
        found += scene.elements
    drawn = re.compile(r"arrow|drawn|circle|dotted|pencil|pointer|\bline$|icon|\bdisc\b|logo", re.I)
    texts = [text for what, text in found if what == "marker"]
    assert texts and all(kind == "print at a line" or not drawn.search(text) for text in texts)
    assert kind in ("lead code", "plate print", "cut print") or all(what == "marker" for what, _ in found)


@pytest.mark.parametrize("kind", [*signs.KINDS])
def test_a_kind_of_sign_has_a_side_sign(kind):
    rng, kinds = np.random.default_rng(3), []
    for _ in range(12):
        scene = generate.Scene(np.full((400, 400), 70, np.float32), pieces=True)
        signs.KINDS[kind](rng, scene, kit.Kit("train", words.identity(rng, "train")))
        kinds += [what for what, _ in scene.elements]
    assert "laterality" in kinds


@pytest.mark.parametrize("kind", [*film.THINGS])
def test_what_is_no_marking_is_drawn_and_stays_in_range_once_clipped(kind):
    rng = np.random.default_rng(4)
    changed = 0
    for _ in range(10):
        picture = np.full((300, 260), 90, np.float32)
        film.THINGS[kind](rng, picture)
        assert np.isfinite(picture).all() and picture.shape == (300, 260)
        changed += bool((np.abs(picture - 90) > 0.5).any())
    assert changed >= 6


def test_no_thing_is_ever_annotated():
    made = [make([8, seed], unmarked_share=1.0) for seed in range(25)]
    assert any(m.kinds for m in made) and not any(m.annotation.elements for m in made)


@pytest.mark.parametrize(("left", "kind"), [(4, "marker"), (12, "marker")])
def test_what_is_left_of_cut_print_is_a_marker_on_training_films(left, kind):
    scene = generate.Scene(np.zeros((100, 100), np.float32), pieces=True)
    style = console_text.TextStyle(fonts.font_files("train")[0], 40, 255.0, "plain")
    group = console_text.written(np.random.default_rng(0), "HHHH", "marker", style)
    assert scene.put(group, 20, 100 - 3 - left)
    assert scene.elements == [(kind, "HHHH (cut)")]


def test_a_side_sign_of_which_little_is_left_is_a_piece_of_print():
    style = console_text.TextStyle(fonts.font_files("train")[0], 40, 255.0, "plain")
    for share, kind in ((0.4, "marker"), (0.9, "laterality")):
        scene = generate.Scene(np.zeros((100, 100), np.float32), pieces=True)
        group = console_text.written(np.random.default_rng(0), "L", "laterality", style)
        assert scene.put(group, 20, 97 - round((group.layers[0].alpha.shape[0] - 6) * share))
        assert scene.elements[0] == (kind, "L (cut)")


def test_a_smaller_film_has_the_boxes_of_the_smaller_strokes():
    picture = np.full((900, 800), 40, np.float32)
    scene = generate.Scene(picture, pieces=True)
    style = console_text.TextStyle(fonts.font_files("train")[0], 60, 255.0, "plain")
    assert scene.put(console_text.written(np.random.default_rng(0), "AP 12", "marker", style), 300, 400)
    small, out = film.smaller(np.random.default_rng(1), scene.picture, scene.ink, scene)
    assert max(small.shape) <= 600 and out.elements == scene.elements
    ys, xs = np.nonzero(small > 120)
    ink_ys, ink_xs = np.nonzero(out.ink)
    assert all(abs(a - b) <= 1 for a, b in ((ys.min(), ink_ys.min()), (ys.max(), ink_ys.max()), (xs.min(), ink_xs.min()), (xs.max(), ink_xs.max())))


def test_a_sign_cut_out_of_a_plate_is_lifted_with_its_plate(tmp_path):
    plate = np.tile(np.linspace(10, 150, 300).astype(np.uint8), (300, 1))
    cv2.rectangle(plate, (100, 100), (180, 200), 230, -1)
    cv2.rectangle(plate, (120, 120), (130, 180), 60, -1)  # an L
    cv2.rectangle(plate, (120, 170), (160, 180), 60, -1)
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), plate)
    shape = {"label": "laterality", "points": [[120, 120], [161, 181]], "shape_type": "rectangle", "flags": {}}
    note = {"shapes": [shape], "imagePath": "a.png", "imageHeight": 300, "imageWidth": 300, "flags": {"reviewed": True}}
    (tmp_path / "annotations" / "a.json").write_text(json.dumps(note))
    (origin,) = real.listing(tmp_path)
    (group,) = patches.patches(*origin)
    scene = generate.Scene(np.full((200, 200), 90, np.float32))
    assert scene.put(group, 20, 20) and scene.elements == [("laterality", " (lifted)")]
    (box,) = [e.xyxy for e in generate.truth(scene)[1]]
    assert (box[2] - box[0], box[3] - box[1]) == (41, 61)
    assert scene.picture.max() == 230 and (scene.picture == 90).sum() > 200 * 200 - 90 * 110


def test_a_real_mark_that_metal_covers_is_uncertain():
    picture = np.full((100, 100), 60, np.uint8)
    picture[40:50, 40:50] = 240
    ink = np.zeros((100, 100), np.uint16)
    ink[40:50, 40:50] = 1
    whole = real.Whole(picture, (Element((40, 40, 50, 50), "marker", "AP"),), ink)
    for covered, kind in ((60.0, "uncertain"), (240.0, "marker")):
        scene = generate.Scene(picture.astype(np.float32), pieces=True)
        scene.picture[40:50, 40:50] = covered
        film.existing_marks(scene, whole)
        assert scene.elements == [(kind, "AP (real)")] and not scene.free(42, 42, (20, 20))


def test_several_folders_of_backgrounds_share_as_told(tmp_path):
    for name, value in (("a", 250), ("b", 200)):
        plant(tmp_path / name, name, value=value)
    synthesize(tmp_path / "out", 3, 0, backgrounds={tmp_path / "a": 1, tmp_path / "b": 0}, size=(96, 96))
    synthesize(tmp_path / "again", 3, 0, backgrounds=[tmp_path / "a", tmp_path / "b"], size=(96, 96))
    with pytest.raises(UsageError, match="not all 0"):
        synthesize(tmp_path / "none", 1, 0, backgrounds={tmp_path / "a": 0})


def test_split_eval_is_drawn_as_it_always_was():
    """The benchmark's and the examples' pictures stay comparable: what they say and where, from before training films had kinds."""
    before = (
        (("R dark in plate", (190, 28, 196, 37)), ("S=2077 EXI=63.1", (15, 14, 103, 21)), ("CLARA THOMPSON", (10, 212, 95, 221)), ("16:31:30", (11, 239, 59, 248))),
        (("B", (164, 14, 171, 23)), ("ID: 37866224", (10, 32, 69, 41)), ("21h11", (9, 54, 32, 64)), ("104Kv", (97, 9, 126, 18)),
         ("Name: SUZUKI, G.", (10, 207, 89, 216)), ("Zoom: 98.6", (9, 230, 60, 239))),
    )
    for seed, elements in enumerate(before):
        made = radiograph(np.random.default_rng([3, seed]), split="eval", size=(256, 224))
        assert made.kinds == () and [e.text for e in made.annotation.elements] == [text for text, _ in elements]
        assert np.abs(np.array([e.xyxy for e in made.annotation.elements]) - [box for _, box in elements]).max() <= 1


def test_grey_metal_saturates_in_spots_on_itself_only(monkeypatch):
    from markerremover.synthesis.distractors import metal

    def drawn(share: float) -> np.ndarray:
        monkeypatch.setattr(metal, "GLARE_SHARE", share)
        picture = np.full((500, 400), 60, np.float32)
        metal.screws(np.random.default_rng(5), picture)
        return picture

    plain, glaring = drawn(0.0), drawn(1.0)
    spots = glaring == 255
    assert 3 < spots.sum() < 0.5 * (plain > 200).sum() and (plain[spots] > 100).all()
    assert (glaring[(plain > 200) & ~spots] < 245).all() and (glaring[plain == 60] == 60).all()


def test_fonts_of_a_folder_are_drawn_beside_the_shipped_ones(tmp_path):
    import shutil

    (tmp_path / "fonts").mkdir()
    shutil.copy(fonts.font_files("train")[3], tmp_path / "fonts" / "Own.ttf")
    plain, own = (contents(tmp_path / name) for name in ("a", "b") if synthesize(
        tmp_path / name, 6, 5, size=(200, 180), fonts_dir=tmp_path / "fonts" if name == "b" else None))
    assert set(plain) == set(own) and plain != own
