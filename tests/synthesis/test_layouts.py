"""Annotations that a user describes: what the file may say, what is drawn, with which fonts, and the picture without them."""

import json
import re
import shutil
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest

from markerremover.cli import main
from markerremover.errors import UsageError
from markerremover.labels import labelme
from markerremover.synthesis import radiograph, synthesize
from markerremover.synthesis.layouts import faces, reading, records, templates
from markerremover.synthesis.layouts import film as layout_film
from markerremover.synthesis.marks import fonts
from markerremover.synthesis.marks.scene import Scene

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "synthesize.md"
PLAIN = {"size": [320, 288], "bodies": ["chest"], "distractors": False, "degraded": False, "collimated": 0}
MARK = {"kind": "marker", "texts": ["WARD 3"], "places": "top-left", "size_px": 14}


def layout(*marks, film=None, **more):
    tables = [{key: value for key, value in {**MARK, **mark}.items() if value is not None} for mark in marks or [{}]]
    return reading.of({"film": {**PLAIN, **(film or {})}, "marks": tables, **more})


def make(seed, *marks, pair=False, split="train", **more):
    design = layout(*marks, **more)
    return layout_film.radiograph(np.random.default_rng(seed), design, faces.chosen(design, split), split=split, pair=pair)


def example() -> dict:
    return tomllib.loads(re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0])


def around(made, reach: int) -> np.ndarray:
    """(H, W) bool: the boxes of all annotations, `reach` pixels wider on each side."""
    mask = np.zeros(made.image.shape, bool)
    for element in made.annotation.elements:
        x1, y1, x2, y2 = map(int, element.xyxy)
        mask[max(0, y1 - reach) : y2 + reach, max(0, x1 - reach) : x2 + reach] = True
    return mask


def test_toml_and_json_say_the_same(tmp_path):
    text = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    (tmp_path / "x.toml").write_text(text, encoding="utf-8")
    (tmp_path / "x.json").write_text(json.dumps(tomllib.loads(text)), encoding="utf-8")
    first, second = reading.read(tmp_path / "x.toml"), reading.read(tmp_path / "x.json")
    assert (first.marks, first.film, first.texts) == (second.marks, second.film, second.texts) and len(first.marks) == 3


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ({"kind": "side"}, r"marks\[0\].kind is 'side', allowed is one of laterality, marker"),
        ({"kind": None}, r"marks\[0\].kind is missing"),
        ({"colour": "red"}, r"marks\[0\].colour is no key, allowed are name, kind, texts"),
        ({"texts": []}, r"marks\[0\].texts is \[\]"),
        ({"texts": ["{patient}"]}, r"marks\[0\].texts is '\{patient\}', allowed is .* family, given"),
        ({"texts": ["{name"]}, r"marks\[0\].texts is '\{name'"),
        ({"texts": ["{name:>9}"]}, "no plain name in braces"),
        ({"texts": ["A\n\nB"]}, "without empty lines"),
        ({"places": "middle"}, r"marks\[0\].places is 'middle', allowed is one or a list of top-left"),
        ({"places": None}, r"marks\[0\].places is missing"),
        ({"places": [{"box": [0.5, 0.5, 1.2, 1]}]}, r"marks\[0\].places\[0\].box .* inside the image, x up to 1"),
        ({"places": [{"box_px": [0, 0, 300, 100]}]}, "x up to 288 and y up to 320"),
        ({"places": [{"box": [0.5, 0.5, 0.5, 1]}]}, "x1 < x2"),
        ({"size": 0.1}, "size and .*size_px are both given"),
        ({"size_px": [20, 10]}, r"size_px is \[20, 10\], allowed is a number from 5 to 2000, or \[from, to\]"),
        ({"grey": 300}, r"grey is 300, allowed is a number from 0 to 255"),
        ({"grey": True}, "grey is True"),
        ({"opacity": "half"}, "opacity is 'half'"),
        ({"frequency": 2}, r"frequency is 2, allowed is a number from 0 to 1"),
        ({"count": [1, 2.5]}, "count is .*whole number"),
        ({"turns": ["up"]}, "turns is .*degrees"),
        ({"styles": ["glow"]}, "styles is .*plain, outline, shadow, box, frame, ring, plate, cut-out"),
        ({"styles": "box", "layer": "lead"}, "styles is 'box', allowed is one or a list of plain, frame, ring, plate, cut-out"),
        ({"layer": "sticker"}, "layer is 'sticker', allowed is one of console, lead"),
        ({"name": "a,b"}, "name is 'a,b'"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_wrong_key_is_named_with_what_is_allowed(mark, said):
    with pytest.raises(UsageError, match=said):
        layout(mark)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "a table of `marks`"),
        ({}, "marks is missing"),
        ({"marks": [MARK], "page": 1}, "page is no key, allowed are film, texts, marks"),
        ({"marks": [MARK], "film": {"size": [100]}}, "film.size is .*rows, columns"),
        ({"marks": [MARK], "film": {"bodies": ["skull"]}}, "film.bodies .* chest, pelvis, limb"),
        ({"marks": [MARK], "film": {"degraded": 1}}, "film.degraded is 1, allowed is true or false"),
        ({"marks": [MARK], "film": {"noise": 1}}, "film.noise is no key"),
        ({"marks": [MARK], "texts": {"name": ["X"]}}, "texts.name is no name for a list"),
        ({"marks": [MARK], "texts": {"ward": ["{ward}"]}}, r"texts.ward is '\{ward\}'"),
        ({"marks": [{**MARK, "name": "a"}, {**MARK, "name": "a"}]}, "two are named 'a'"),
    ],
    ids=range(10),
)
def test_a_wrong_file_is_refused(content, said):
    with pytest.raises(UsageError, match=said):
        reading.of(content)


def test_everything_that_is_wrong_is_named_at_once():
    with pytest.raises(UsageError) as error:
        layout({"kind": "x", "grey": -1}, {"places": "nowhere", "font": "Arial"})
    for key in ("marks[0].kind", "marks[0].grey", "marks[1].places", "marks[1].font "):
        assert key in str(error.value)


@pytest.mark.parametrize(("name", "text"), [("x.toml", "marks = "), ("x.json", "{"), ("x.toml", None)])
def test_a_file_that_is_none_is_refused(tmp_path, name, text):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=name):
        reading.read(tmp_path / name)


@pytest.mark.parametrize("place", records.PLACES)
def test_a_mark_stands_where_it_is_told_to(place):
    h, w = 320, 288
    seen = []
    for seed in range(4):
        (element,) = make(seed, {"places": place, "margin": 0.05, "styles": "box", "fonts": "LiberationSans-Bold"}).annotation.elements
        x1, y1, x2, y2 = element.xyxy
        seen.append(element.xyxy)
        assert element.text == "WARD 3" and element.kind == "marker" and 0 <= x1 and 0 <= y1 and x2 <= w and y2 <= h
        for side, distance in (("top", y1), ("left", x1), ("bottom", h - y2), ("right", w - x2)):
            assert side not in place.split("-") or 15 <= distance <= 26
    assert (len(set(seen)) == 1) == (place in records.CORNERS)


@pytest.mark.parametrize("key", ["box", "box_px"])
def test_a_mark_lies_in_its_box(key):
    box = (0.2, 0.4, 0.7, 0.6) if key == "box" else (57, 128, 201, 192)
    pixels = [v * s for v, s in zip(box, (288, 320, 288, 320))] if key == "box" else box
    seen = set()
    for seed in range(6):
        (element,) = make(seed, {"places": {key: list(box)}}).annotation.elements
        assert pixels[0] <= element.xyxy[0] and pixels[1] <= element.xyxy[1] and element.xyxy[2] <= pixels[2] and element.xyxy[3] <= pixels[3]
        seen.add(element.xyxy)
    assert len(seen) > 3


def test_a_mark_that_is_too_large_takes_its_least_size_or_is_an_error():
    box = {"places": {"box_px": [20, 20, 110, 60]}}
    heights = [make(seed, {**box, "size_px": [12, 200]}).annotation.elements[0].xyxy for seed in range(3)]
    assert all(y2 - y1 < 40 for _, y1, _, y2 in heights)
    with pytest.raises(UsageError, match=r"marks\[0\] \(mark 1\).* do not fit into its place of 90 x 40 in an image of 288 x 320"):
        make(0, {**box, "size_px": 60})
    free = layout({**box, "places": {"box_px": [200, 20, 400, 60]}}, film={"size": [400, 500]})
    small = records.Layout(free.source, free.marks, records.Film((320, 288)))
    with pytest.raises(UsageError, match="not inside an image of 288 x 320"):
        layout_film.radiograph(np.random.default_rng(0), small, faces.chosen(small, "train"))


def test_kinds_texts_lines_and_turns_are_those_of_the_file():
    made = make(1, {"kind": "laterality", "texts": "A", "places": "top-right"}, {"texts": "X 1\nY 22", "places": "bottom-left"},
                {"texts": "Z", "places": {"box": [0.3, 0.3, 0.7, 0.7]}, "turns": 90, "mirrored": 1})
    assert [(e.kind, e.text) for e in made.annotation.elements] == [
        ("laterality", "A"), ("marker", "X 1"), ("marker", "Y 22"), ("marker", "Z mirrored rot90")]
    first, second = made.annotation.elements[1:3]
    assert second.xyxy[1] > first.xyxy[3] and abs(second.xyxy[0] - first.xyxy[0]) <= 3
    assert made.kinds == ("mark 1", "mark 2", "mark 3") and made.omitted == ()


def test_sizes_and_grey_levels_are_kept():
    for seed in range(3):
        made = make(seed, {"texts": "H", "size_px": 40, "grey": 200, "places": {"box": [0, 0, 0.4, 0.4]}, "fonts": "LiberationSans-Regular", "contrast": 1})
        (element,) = made.annotation.elements
        assert abs(element.xyxy[3] - element.xyxy[1] - 40) <= 2 and np.median(made.image[made.ink == 1]) == 200
        made = make(seed, {"texts": "H", "size": 0.2, "size_px": None, "places": {"box": [0, 0, 0.5, 0.5]}, "fonts": "LiberationSans-Regular"})
        assert abs(made.annotation.elements[0].xyxy[3] - made.annotation.elements[0].xyxy[1] - 64) <= 3


@pytest.mark.parametrize("style", records.STYLES)
def test_every_style_draws_its_letters_and_has_its_box(style):
    plain, made = (make(2, {"texts": "R", "styles": s, "size_px": 30, "fonts": "LiberationSans-Bold", "places": {"box": [0.1, 0.1, 0.9, 0.9]}}, pair=True)
                   for s in ("plain", style))
    (element,), (letter,) = made.annotation.elements, plain.annotation.elements
    height, least = element.xyxy[3] - element.xyxy[1], letter.xyxy[3] - letter.xyxy[1]
    assert height > 1.5 * least if style in ("frame", "ring") else abs(height - least) <= 8
    changed = made.image != made.clean
    assert changed.any() and not (changed & ~around(made, 24)).any()


def test_frequency_and_count_are_kept():
    counts = [len(make(seed, {"frequency": 0.5, "count": [2, 3], "texts": "L", "places": "anywhere", "contrast": 1}).annotation.elements) for seed in range(24)]
    assert set(counts) == {0, 2, 3} and 4 < counts.count(0) < 20


def test_marks_in_one_corner_are_stacked_until_there_is_no_room():
    made = make(0, {"count": 40, "contrast": 1, "styles": "box"})
    tops = [e.xyxy[1] for e in made.annotation.elements]
    assert tops == sorted(tops) and 8 < len(tops) == len(made.kinds) < 40 and len(made.omitted) == 40 - len(tops)
    assert make(0, {"grey": 0, "opacity": 0.05, "places": "anywhere"}).omitted == ("mark 1",)


def test_values_in_braces_are_of_the_invented_patient_and_of_lists():
    made = make(3, {"texts": "{family}\n{{{sex}}}\n{id}\n{ward}", "size_px": 8}, texts={"ward": ["BED {number}"]}, split="eval")
    family, sex, number, ward = [e.text for e in made.annotation.elements]
    assert (family, sex, number) == (made.header["PatientName"].split("^")[0], "{" + made.header["PatientSex"] + "}", made.header["PatientID"])
    assert re.fullmatch(r"BED \d+", ward)


def test_every_value_has_the_characters_that_fonts_are_checked_for():
    rng = np.random.default_rng(0)
    from markerremover.synthesis.marks import texts

    for split in texts.SPLITS:
        for _ in range(300):
            patient = texts.identity(rng, split)
            for name, value in templates.FIELDS.items():
                assert set(value(rng, split, patient)) - {" "} <= templates.CHARACTERS[name], name


def test_the_same_seed_gives_the_same_files_whatever_the_workers(tmp_path):
    content = example()
    (tmp_path / "x.json").write_text(json.dumps(content))
    options = {"layout": tmp_path / "x.json", "pairs": True, "annotations": ("labelme", "voc", "coco"), "formats": ("png", "dcm", "jpg"), "masks": True}
    for name, workers in (("a", 1), ("b", 2)):
        synthesize(tmp_path / name, 3, 4, workers=workers, **options)
    a, b = ({p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*") if p.is_file()} for n in "ab")
    assert a == b and len(a) == 3 * 6 + 4
    assert (tmp_path / "a" / "kinds.csv").read_text().startswith("image,kind\ntrain_4_000000.png,side\n")


def test_layouts_are_drawn_on_real_radiographs_without_their_own_annotations(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations").mkdir()
    picture = np.full((200, 240), 90, np.uint8)
    picture[50:80, 100:130] = 250
    cv2.imwrite(str(tmp_path / "images" / "a.png"), picture)
    shape = {"label": "marker", "points": [[100, 50], [130, 80]], "shape_type": "rectangle", "flags": {}}
    (tmp_path / "annotations" / "a.json").write_text(
        json.dumps({"shapes": [shape], "imagePath": "a.png", "imageHeight": 200, "imageWidth": 240, "flags": {"reviewed": True}}))
    paths = synthesize(tmp_path / "out", 4, 0, backgrounds=tmp_path, real_share=1.0, layout=layout({"texts": "L"}), pairs=True)
    for path in paths:
        clean = cv2.imread(str(tmp_path / "out" / "clean" / path.name), 0)
        assert clean.max() - np.median(clean) < 6
        assert [e.text for e in labelme.read(tmp_path / "out" / "annotations" / f"{path.stem}.json").elements] in (["L"], [])
    paths = synthesize(tmp_path / "usual", 12, 1, backgrounds=tmp_path, real_share=1.0, pairs=True, size=(200, 240))
    assert not any("(real)" in e.text for p in paths for e in labelme.read(tmp_path / "usual" / "annotations" / f"{p.stem}.json").elements)


# Pairs


@pytest.mark.parametrize("layer", records.LAYERS)
def test_without_degradation_a_pair_differs_by_its_marks_alone(layer):
    for seed in range(4):
        made = make(seed, {"layer": layer, "places": "anywhere", "count": 2}, {"kind": "laterality", "texts": "R", "places": "top-right", "layer": layer}, pair=True)
        changed = made.image != made.clean
        assert changed[made.ink > 0].mean() > 0.95 and not (changed & ~around(made, 4)).any()


def test_with_degradation_a_pair_has_the_same_noise_blur_and_compression():
    marks = [{"places": "anywhere", "layer": layer, "styles": "ring", "texts": "R"} for layer in records.LAYERS]
    lossy = 0
    for seed in range(12):
        made = make([7, seed], *marks, film={"degraded": True, "inverted": 0.5}, pair=True)
        changed = made.image != made.clean
        lossy += (changed & ~around(made, 4)).any()
        assert changed.any() and not (changed & ~around(made, 16)).any()
        noise = make([7, seed], *({**mark, "frequency": 0} for mark in marks), film={"degraded": True}, pair=True)
        assert np.array_equal(noise.image, noise.clean)
    assert 2 < lossy < 12


@pytest.mark.parametrize("split", ["train", "eval"])
def test_a_pair_of_usual_films_differs_only_where_something_was_laid(monkeypatch, split):
    laid: list[tuple[slice, slice]] = []
    put = Scene.put

    def recorded(scene, group, x, y, contrast=17.0):
        done = put(scene, group, x, y, contrast)
        h, w = group.layers[0].alpha.shape
        if done:
            laid.append((slice(max(0, y), max(0, y + h)), slice(max(0, x), max(0, x + w))))
        return done

    monkeypatch.setattr(Scene, "put", recorded)
    changed_films = 0
    for seed in range(14):
        laid.clear()
        made = radiograph(np.random.default_rng([5, seed]), split=split, size=(300, 260), pair=True)
        where = np.zeros(made.image.shape, np.uint8)
        for place in laid:
            where[place] = 1
        reach = cv2.dilate(where, np.ones((33, 33), np.uint8)).astype(bool)
        changed = made.image != made.clean
        assert not (changed & ~reach).any() and (changed.any() or not made.annotation.elements)
        changed_films += changed.any()
    assert changed_films > 8


@pytest.mark.parametrize("split", ["train", "eval"])
def test_a_pair_changes_nothing_in_the_film_itself(split):
    for seed in range(10):
        one, two = (radiograph(np.random.default_rng([6, seed]), split=split, pair=pair, size=None if seed == 3 else (260, 240)) for pair in (False, True))
        assert np.array_equal(one.image, two.image) and one.annotation == two.annotation and one.clean is None and not two.clean.flags.writeable
        bare = radiograph(np.random.default_rng([6, seed]), split=split, pair=True, unmarked_share=1.0, size=(260, 240))
        assert np.array_equal(bare.image, bare.clean)


def test_a_small_film_has_a_small_pair():
    made = next(m for m in (radiograph(np.random.default_rng([8, seed]), pair=True) for seed in range(60)) if "small film" in m.kinds)
    assert made.clean.shape == made.image.shape and np.abs(made.clean.astype(int) - made.image)[~around(made, 30)].mean() < 1


def test_a_real_film_with_its_own_annotations_has_no_pair():
    from markerremover.records import Element
    from markerremover.synthesis.radiographs import real

    whole = real.Whole(np.full((200, 200), 80, np.uint8), (Element((1, 1, 9, 9), "marker"),), np.zeros((200, 200), np.uint16))
    with pytest.raises(UsageError, match="no pair"):
        radiograph(np.random.default_rng(0), whole=whole, pair=True)


def test_pairs_are_written_in_every_format_with_the_same_noise(tmp_path):
    import pydicom

    styles = ("png", "png16", "tiff", "dcm")
    plain = synthesize(tmp_path / "plain", 4, 3, formats=styles, layout=layout({"styles": "box"}))
    paths = synthesize(tmp_path / "out", 4, 3, formats=styles, layout=layout({"styles": "box"}), pairs=True)
    assert not (tmp_path / "plain" / "clean").exists() and [p.read_bytes() for p in plain] == [p.read_bytes() for p in paths]
    for path in paths:
        twin = tmp_path / "out" / "clean" / path.name
        if path.suffix == ".dcm":
            one, two = pydicom.dcmread(path), pydicom.dcmread(twin)
            assert one.SOPInstanceUID != two.SOPInstanceUID and one.StudyInstanceUID == two.StudyInstanceUID
            changed = one.pixel_array != two.pixel_array
        else:
            changed = cv2.imread(str(path), -1) != cv2.imread(str(twin), -1)
        (element,) = labelme.read(tmp_path / "out" / "annotations" / f"{path.stem}.json").elements
        x1, y1, x2, y2 = map(int, element.xyxy)
        inside = changed[max(0, y1 - 9) : y2 + 9, max(0, x1 - 9) : x2 + 9]
        assert changed.any() and inside.sum() == changed.sum()


# Fonts


@pytest.fixture
def own(tmp_path):
    folder = tmp_path / "fonts"
    folder.mkdir()
    shutil.copy(Path(fonts.FONT_ROOT) / "hand" / "Breip.ttf", folder / "Own.ttf")
    return folder


def test_own_fonts_are_used_by_name_or_for_all(own):
    design = layout({"name": "a"}, {"name": "b", "fonts": "LiberationSans-Bold"}, {"name": "c", "fonts": ["Own", "Play-Bold"]})
    names = {name: [Path(p).stem for p in paths] for name, paths in faces.chosen(design, "train", faces.of_folder(own)).items()}
    assert names == {"a": ["Own"], "b": ["LiberationSans-Bold"], "c": ["Own", "Play-Bold"]}
    assert [Path(p).stem for p in faces.chosen(layout(), "eval")["mark 1"]] == [Path(p).stem for p in fonts.font_files("eval")]


def test_an_unknown_font_is_named_with_those_that_there_are():
    with pytest.raises(UsageError, match=r"marks\[0\].fonts has 'Arial', allowed are B612Mono-Regular"):
        faces.chosen(layout({"fonts": ["Arial"]}), "train")


def test_a_font_that_cannot_be_read_is_an_error(own, tmp_path):
    (own / "Broken.otf").write_bytes(b"no font")
    with pytest.raises(UsageError, match="Broken.otf cannot be read as a font"):
        synthesize(tmp_path / "out", 1, 1, layout=layout(), fonts_dir=own)
    with pytest.raises(UsageError, match="Broken.otf"):
        synthesize(tmp_path / "out", 1, 1, fonts_dir=own)
    shutil.copy(own / "Own.ttf", own / "Own.otf")
    with pytest.raises(UsageError, match="two files are named Own"):
        faces.of_folder(own)
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="ttf"):
            faces.of_folder(folder)
    assert not (tmp_path / "out").exists()


def test_a_text_without_glyphs_is_an_error(tmp_path):
    with pytest.raises(UsageError, match=r"marks\[0\].texts: font LiberationSans-Bold has no glyphs for 左"):
        faces.chosen(layout({"texts": "左 R", "fonts": "LiberationSans-Bold"}), "train")
    with pytest.raises(UsageError, match="no glyphs for 右"):
        faces.chosen(layout({"texts": "{side}", "fonts": "LiberationSans-Bold"}, texts={"side": ["R", "右"]}), "train")
    assert faces.lacking_in(fonts.font_files("train")[0], "AB 19") == []


def test_the_shipped_fonts_have_what_values_need():
    for split in ("train", "eval"):
        for path in fonts.font_files(split):
            assert not faces.lacking_in(path, frozenset().union(*templates.CHARACTERS.values())), path


def test_fonts_beside_the_shipped_ones_are_for_training_and_have_every_character(own, tmp_path):
    with pytest.raises(UsageError, match="for split 'train' or a layout"):
        synthesize(tmp_path / "out", 1, 1, split="eval", fonts_dir=own)
    faces.check_plain(fonts.font_files("train")[3:5])


# Command line


def test_the_command_line_says_what_was_drawn_and_what_was_not(tmp_path, capsys):
    (tmp_path / "x.json").write_text(json.dumps({"film": PLAIN, "marks": [{**MARK, "name": "ward"}, {**MARK, "name": "hidden", "grey": 0, "opacity": 0.02}]}))
    command = ["synthesize", str(tmp_path / "out"), "--count", "2", "--seed", "1", "--layout", str(tmp_path / "x.json")]
    assert main.main([*command, "--annotations", "voc", "--pairs"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["  ward: drawn 2 times", "  hidden: drawn 0 times, without room or contrast 2 times"]
    assert not (tmp_path / "out" / "annotations").exists() and len(list((tmp_path / "out" / "clean").iterdir())) == 2
    assert main.main([*command, "--annotations", "yolo"]) == 2 and "labelme, voc, coco" in capsys.readouterr().err
    assert main.main([*command, "--fonts", str(tmp_path / "nowhere")]) == 2


def test_the_page_describes_every_key():
    text = PAGE.read_text(encoding="utf-8")
    for key in (*reading.MARK_KEYS, *reading.FILM_KEYS, *records.STYLES, *records.PLACES, *records.LAYERS, *templates.FIELDS):
        assert f"`{key}`" in text, key


def test_colours_are_drawn_and_the_rest_of_the_film_stays_grey():
    made = make(5, {"colours": ["#ffcc00"], "size_px": 40, "frequency": 1})
    assert made.colour is not None and made.colour.shape == (*made.image.shape, 3)
    letters, outside = made.ink > 0, ~around(made, 3)
    assert np.abs(made.colour[letters].astype(int) - (255, 204, 0)).max(axis=1).min() <= 1, "the middle of a stroke has the colour"
    assert (made.colour[outside].std(axis=1) == 0).all() and (made.colour[outside][:, 0] == made.image[outside]).all()
    assert np.abs(cv2.cvtColor(made.colour, cv2.COLOR_RGB2GRAY).astype(int) - made.image).max() <= 2, "its grey is the grey image"


def test_a_cut_out_letter_has_no_colour_and_its_plate_does():
    made = make(6, {"colours": "#00ff00", "styles": "cut-out", "size_px": 60, "texts": ["I"], "places": "anywhere"})
    saturation = made.colour.max(axis=2).astype(int) - made.colour.min(axis=2)
    assert np.median(saturation[made.ink > 0]) < 40 and saturation.max() == 255


def test_an_inverted_film_has_the_inverted_colour():
    plain, turned = (make(5, {"colours": "#ff0000", "size_px": 40}, film={"inverted": share}) for share in (0.0, 1.0))
    assert np.abs(255 - turned.colour.astype(int) - plain.colour).max() <= 1


def test_without_colours_an_image_is_as_before_and_colours_change_no_other_draw():
    grey, again = make(9, {"grey": [120, 250]}), make(9, {"grey": [120, 250]})
    assert grey.colour is None and np.array_equal(grey.image, again.image)


@pytest.mark.parametrize("mark, said", [
    ({"colours": "yellow"}, r'marks\[0\].colours is .yellow., allowed is one or a list of colours such as "#ffcc00"'),
    ({"colours": ["#ffcc00"], "grey": 9}, "both given"), ({"colours": ["#ffcc00"], "layer": "lead"}, "for the layer lead"), ({"colours": []}, "allowed is one or a list")])
def test_wrong_colours_are_named(mark, said):
    with pytest.raises(UsageError, match=said):
        layout(mark)


def test_coloured_files_and_their_pairs_are_rgb_and_formats_without_colour_are_refused(tmp_path):
    design = layout({"colours": ["#00ffff", "#ff8800"], "size_px": 30})
    paths = synthesize(tmp_path / "a", 3, 1, layout=design, formats=("png", "jpg", "tiff"), pairs=True)
    for path in paths:
        shown, clean = (cv2.imread(str(folder / path.name), cv2.IMREAD_UNCHANGED) for folder in (path.parent, tmp_path / "a" / "clean"))
        assert shown.shape[2] == 3 == clean.shape[2] and np.ptp(shown.astype(int), axis=2).max() > 100 > np.ptp(clean.astype(int), axis=2).max()
    for formats in (("png", "dcm"), ("png16",)):
        with pytest.raises(UsageError, match="with colours allowed are png, jpg, tiff"):
            synthesize(tmp_path / "b", 1, 1, layout=design, formats=formats)
    assert not (tmp_path / "b").exists()
