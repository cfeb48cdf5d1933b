"""The synthetic benchmark: the same every time, of sources never trained on, its truth fits, and one command runs it all."""

import json
from dataclasses import replace

import numpy as np
import pytest

from markerremover import benchmark
from markerremover.cli import benchmark as benchmark_cli
from markerremover.cli import main
from markerremover.errors import UsageError
from markerremover.evaluation import judge
from markerremover.second_pass import tesseract
from markerremover.synthesis import benchmark_scenes
from markerremover.synthesis.marks import console_text, fonts, layers, texts
from markerremover.synthesis.radiographs import backgrounds

CELLS = [(part, how) for part in benchmark_scenes.BODIES for how in benchmark_scenes.DIFFICULTIES]
needs_ocr = pytest.mark.skipif(tesseract.available() is None, reason="no Tesseract: keeping signs needs one")


@pytest.fixture(scope="module")
def some():
    """Two pictures of every setting and six of the site."""
    drawn = [benchmark_scenes.picture(part, how, 4, number) for part, how in CELLS for number in (0, 1)]
    return drawn + [benchmark_scenes.site_picture(4, number) for number in range(6)]


@pytest.fixture
def small(monkeypatch):
    """The benchmark with limbs only, easy and hard."""
    monkeypatch.setattr(benchmark_scenes, "BODIES", (benchmark_scenes.body("limb"),))
    monkeypatch.setattr(benchmark_scenes, "DIFFICULTIES", (benchmark_scenes.difficulty("easy"), benchmark_scenes.difficulty("hard")))


def test_the_same_seed_draws_the_same_and_another_does_not():
    part, how = benchmark_scenes.BODIES[2], benchmark_scenes.DIFFICULTIES[1]
    for draw in (lambda seed: benchmark_scenes.picture(part, how, seed, 3), lambda seed: benchmark_scenes.site_picture(seed, 3)):
        first, again, other = draw(1), draw(1), draw(2)
        assert np.array_equal(first.image, again.image) and first.annotation == again.annotation
        assert first.annotation != other.annotation


def test_nothing_of_the_training_split_is_touched(monkeypatch):
    tables = (texts.FAMILY, texts.GIVEN, texts.HOSPITAL, texts._FIRST_LETTERS, layers.PLATES, fonts.STROKE_FACES, backgrounds.VARIANTS)
    for table in tables:
        monkeypatch.delitem(table, "train")
    real = fonts.font_files

    def eval_only(split, fonts_dir=None):
        assert split == "eval" and fonts_dir is None
        return real(split)

    monkeypatch.setattr(fonts, "font_files", eval_only)
    for part, how in CELLS:
        benchmark_scenes.picture(part, how, 8, 0)
    benchmark_scenes.site_picture(8, 0)


def test_bodies_are_of_the_evaluation_split_or_of_the_benchmark_alone():
    for part in benchmark_scenes.BODIES:
        assert not set(part.variants) & set(backgrounds.VARIANTS["train"][part.name])
    own = {variant for variants in backgrounds.BENCHMARK.values() for variant in variants}
    assert not own & {v for split in backgrounds.VARIANTS.values() for variants in split.values() for v in variants}


def test_boxes_are_tight_to_the_ink_and_strokes_stand_out_in_them(some):
    scored = []
    for made in some:
        for index, element in enumerate(made.annotation.elements):
            ys, xs = np.nonzero(made.ink == index + 1)
            assert element.xyxy == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        scored += [e.scored for e in judge.judge(made.image, made.image, made.annotation).elements]
    assert len(scored) > 60 and np.mean(scored) > 0.97


def test_marked_pictures_carry_a_marker_and_every_eighth_carries_nothing(some):
    assert all(any(e.kind == "marker" for e in made.annotation.elements) for made in some)
    assert not benchmark_scenes.picture(*CELLS[0], 4, benchmark_scenes.UNMARKED_EVERY - 1).annotation.elements


def test_limbs_are_small_and_dark_and_no_picture_is_washed_out(some):
    limbs = [made.image for made in some[12:18]]
    assert all(512 <= max(image.shape) <= 768 and np.median(image) < 60 for image in limbs)
    assert all((made.image > 240).mean() < 0.25 for made in some)


def test_harder_marks_are_smaller_and_fainter():
    easy, medium, hard = benchmark_scenes.DIFFICULTIES
    for a, b in ((easy, medium), (medium, hard)):
        assert a.laterality > b.laterality and a.line > b.line and a.opacity > b.opacity and a.contrast > b.contrast


def test_a_sign_that_the_edge_cuts_is_uncertain(monkeypatch):
    how = replace(benchmark_scenes.difficulty("medium"), cut=1.0)
    monkeypatch.setattr(benchmark_scenes, "DIFFICULTIES", (how,))
    elements = [e for number in range(30) for e in benchmark_scenes.picture(benchmark_scenes.BODIES[2], how, 5, number).annotation.elements]
    cut = [e for e in elements if e.text.endswith("(cut)")]
    assert cut and not any(e.kind == "laterality" for e in cut)


def test_a_text_is_seen_on_black_and_on_white():
    rng = np.random.default_rng(0)
    for ground in (0, 255):
        scene = benchmark_scenes.Scene(np.full((120, 300), ground, np.float32))
        for decoration in ("outline", "box", "plain", "shadow"):
            scene.taken[:], scene.elements = False, []
            scene.picture[:] = ground
            style = console_text.TextStyle(fonts.font_files("eval")[0], 20, 250.0, decoration)
            benchmark_scenes._line(scene, rng, "VISSER", style, 10, 40, right=False, contrast=60)
            assert [text for _, text in scene.elements] == ["VISSER"]


@pytest.mark.parametrize("look", [benchmark_scenes.body, benchmark_scenes.difficulty])
def test_an_unknown_setting_is_refused(look):
    with pytest.raises(UsageError, match="allowed are"):
        look("skull")


@needs_ocr
def test_one_command_draws_cleans_judges_and_writes_figures(small, tmp_path, capsys, monkeypatch):
    target = tmp_path / "figures.json"
    assert main.main(["benchmark", str(tmp_path / "b"), "--images", "2", "--seed", "3", "--json", str(target)]) == 0
    document = json.loads(target.read_text())
    printed = capsys.readouterr().out
    assert "limb, hard" in printed and "all easy" in printed and "s an image" in printed
    for found in (document["all"], *document["cells"]["limb"].values()):
        assert all({"value", "k", "n", "low95", "high95"} <= set(found[name]) for name in benchmark.RATES)
    assert document["all"]["recall"]["n"] == sum(found["recall"]["n"] for found in document["cells"]["limb"].values())
    assert document["all"]["images"] == 4 and document["all"]["recall"]["value"] > 0.5 and document["seconds_per_image"]["cpu"] > 0
    assert str(tmp_path) not in target.read_text()
    again = benchmark.make(tmp_path / "again", 2, 3)
    assert document["pictures_sha256"] == again != benchmark.make(tmp_path / "other", 2, 4)


def test_anatomy_removed_has_limits_around_its_mean():
    low, high = benchmark.anatomy_limits([0.0] * 18 + [0.01, 0.03])
    assert 0 <= low < 2.0 < high < 6 and benchmark.anatomy_limits([]) == (None, None)


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").write_text("x")
    assert main.main(["benchmark", str(tmp_path / "b")]) == 2
    assert "mine.txt" in capsys.readouterr().err and (tmp_path / "b" / "mine.txt").exists()


@pytest.mark.parametrize("numbers", [{"images": 0}, {"images": 1, "site_images": (0, 1)}])
def test_no_images_are_wrong_use(tmp_path, numbers):
    with pytest.raises(UsageError, match="at least one"):
        benchmark.run(tmp_path / "b", seed=1, **numbers)


def test_the_command_fine_tunes_on_twenty_and_measures_on_others(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(benchmark, "run", lambda folder, **options: seen.update(options) or {})
    monkeypatch.setattr(benchmark, "lines", lambda document: [])
    assert main.main(["benchmark", str(tmp_path / "b"), "--finetune"]) == 0
    assert seen["site_images"] == (benchmark_cli.SITE_TRAIN, benchmark_cli.SITE_TEST) and benchmark_cli.SITE_TRAIN == 20


@needs_ocr
@pytest.mark.train
@pytest.mark.long
def test_the_new_site_is_learnt_from_some_images_and_measured_on_others(tmp_path):
    pytest.importorskip("ultralytics", reason="the extra 'train' is not installed")
    from markerremover.training.recipes import Recipe

    tiny = Recipe("tiny", epochs=1, repeat=1, batch=2, window=96, patience=0, drawn=0, blend=0.5)
    document = benchmark.new_site(tmp_path, 2, 2, 1, say=lambda line: None, recipe=tiny, loader_workers=0)
    rows = (tmp_path / "site" / "split.csv").read_text().split()[1:]
    assert [row.split(",")[2] for row in rows] == ["train", "train", "val"] and len({row.split(",")[1] for row in rows}) == 3
    assert document["before"]["images"] == document["after"]["images"] == document["by_boxes"]["images"] == 1
    assert document["keep"] == ["D", "I"] and document["learnt"]["share"] == 0.5
