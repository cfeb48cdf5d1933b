"""Fine-tuning end to end on a handful of tiny images: what it writes, that it resumes, and what it refuses."""

import functools
import json
import tomllib
from dataclasses import asdict, replace

import fakes
import numpy as np
import pytest
from test_window_dataset import folder_of

from markerremover import site_profile
from markerremover.audit import report_pages
from markerremover.cli import finetune as finetune_cli
from markerremover.cli import main
from markerremover.detection import localizer
from markerremover.errors import AnnotationError, UsageError
from markerremover.evaluation import metrics
from markerremover.evaluation.metrics import Counts
from markerremover.inference.weights_card import read_card
from markerremover.labels import labelme
from markerremover.labels.labelled_folder import Sample
from markerremover.records import Annotation, Element, Policy
from markerremover.redaction.cleaning import Cleaner
from markerremover.system.files import sha256_file
from markerremover.training import (
    checkpoints,
    finetune,
    finetune_report,
    localizer_files,
    one_training,
    train_localizer,
)
from markerremover.training.finetune import RECIPES, Recipe
from markerremover.training.site import changes, drawing
from markerremover.training.site.changes import Errors

TINY = Recipe("tiny", epochs=1, repeat=2, batch=4, window=96, patience=1, drawn=0, blend=1.0)
ELEMENTS = (Element((100, 50, 130, 100), "laterality", "L"), Element((200, 150, 290, 180), "marker", "AB"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return folder_of(tmp_path_factory.mktemp("data") / "site", 6, elements=ELEMENTS)


@pytest.fixture(scope="module")
def base(tmp_path_factory, data):
    """A checkpoint that has learnt nothing, with its ONNX file and card; its threshold lets a few boxes through."""
    pytest.importorskip("ultralytics", reason="the extra 'train' is not installed")
    place = tmp_path_factory.mktemp("base")
    best = train_localizer.train([data], place / "run", epochs=1, window=96, image_size=128, windows_per_epoch=4, batch=4, loader_workers=0)
    checkpoints.save_checkpoint(best, place / "base.pt")
    onnx = localizer_files.export_onnx(place / "base.pt", place / "base.onnx")
    localizer_files.write_card(onnx, arch="yolov8n", class_names=train_localizer.CLASS_NAMES, image_size=128, threshold=0.3,
                        tiling={"above": 300, "scales": [256], "overlap": 32}, calibration={"slope": 1.1, "offset": 0.05})
    return place / "base.pt"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, data, base):
    """(card, path of OUT.pt, the trainings in order, who was seen in each, what was said) of one run that broke off in its second fold."""
    place = tmp_path_factory.mktemp("tuned")
    out, trained, said, fit = place / "site.pt", [], [], train_localizer.fit
    seen = {}  # name of a training -> patients that it learnt from, or chose the epoch by
    arguments = dict(weights=base, keep={}, recipe=TINY, folds=2, loader_workers=0)

    def breaks_off(train_set, stop_set, where, **options):
        trained.append(where.name)
        learnt = [s.patient for group in train_set.groups for s in group]
        seen[where.name] = set(learnt) | {s.patient for s in (stop_set.samples if stop_set else ())}
        if trained == ["fold-0", "fold-1"]:
            raise KeyboardInterrupt
        return fit(train_set, stop_set, where, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_localizer, "fit", breaks_off)
        with pytest.raises(KeyboardInterrupt):
            finetune.finetune(data, out, **arguments)
        assert not out.exists() and (place / "site-work" / "fold-0" / "done").is_file()
        with pytest.raises(UsageError, match="--resume"):
            finetune.finetune(data, out, **arguments)
        with pytest.raises(UsageError, match="other settings"):
            finetune.finetune(data, out, **{**arguments, "recipe": replace(TINY, epochs=2)}, resume=True)
        card = finetune.finetune(data, out, **arguments, resume=True, say=said.append)
    return card, out, trained, seen, said


@pytest.mark.train
def test_an_interrupted_run_goes_on_and_trains_no_finished_fold_again(tuned):
    _, _, trained, _, said = tuned
    assert trained == ["fold-0", "fold-1", "fold-1", "final"]
    assert any("2 folds of 6 held-out images, at most " in line for line in said)


@pytest.mark.train
def test_a_patient_that_is_measured_was_not_seen_by_the_training_that_is_measured(tuned, data):
    seen = tuned[3]
    parts = finetune.plan(data, 2, early_stop=True)
    measured = [{s.patient for s in part.held_out} for part in parts]
    assert [seen[f"fold-{part.number}"] & own for part, own in zip(parts, measured)] == [set(), set()]
    assert seen["fold-0"] == measured[1] and seen["fold-1"] == measured[0] and seen["final"] == measured[0] | measured[1]


@pytest.mark.train
def test_the_files_beside_out_are_all_there_and_the_work_folder_is_gone(tuned):
    _, out, *_ = tuned
    assert sorted(p.name for p in out.parent.iterdir()) == ["site-report", "site.json", "site.onnx", "site.pt", "site.toml"]


@pytest.mark.train
def test_the_card_says_where_the_weights_come_from_and_what_was_measured(tuned, base):
    card, out, *_ = tuned
    assert card == read_card(out.with_suffix(".onnx")) and card["sha256"] == sha256_file(out.with_suffix(".onnx"))
    assert card["threshold"] == 0.3 and card["image_size"] == 128 and card["tiling"] == {"above": 300, "scales": [256], "overlap": 32}
    assert card["calibration"] == {"slope": 1.1, "offset": 0.05}  # the threshold is one of calibrated scores
    assert card["base"]["sha256"] == sha256_file(base) and card["checkpoint_sha256"] == sha256_file(out)
    assert card["data"] == {"images": 6, "patients": 6} and card["seeds"] == [0, 1, 2] and card["recipe"]["trained_epochs"] == 1
    assert card["metrics"]["images"] == 6 and card["metrics"]["method"] == "2-fold cross-validation by patient"
    for stage in ("before", "after"):
        assert card["metrics"]["de-identification accuracy"][stage]["n"] == card["metrics"]["retention accuracy"][stage]["n"] == 6
    assert "p0_0" not in json.dumps(card)


@pytest.mark.train
@pytest.mark.parametrize("suffix", [".pt", ".onnx", ".json"])
def test_remove_takes_any_of_the_three_files(tuned, data, tmp_path, suffix):
    _, out, *_ = tuned
    args = ["remove", data / "images", "-o", tmp_path / "out", "--keep", "none", "--weights", out.with_suffix(suffix), "--time-limit", "0"]
    main.main([str(a) for a in args])
    summary = json.loads((tmp_path / "out-audit" / "summary.json").read_text())
    assert summary["weights"] == {"name": "site", "sha256": sha256_file(out.with_suffix(".onnx"))} and summary["counts"]["failed"] == 0


@pytest.mark.train
def test_the_site_profile_is_what_remove_reads(tuned, tmp_path):
    card, out, *_ = tuned
    profile = site_profile.read(out.with_suffix(".toml"))
    assert profile.weights == out.with_suffix(".onnx") and profile.threshold == card["threshold"] and profile.keep == {}
    assert str(out.parent) not in out.with_suffix(".toml").read_text() and set(tomllib.loads(out.with_suffix(".toml").read_text())) == {"weights", "threshold", "keep"}


@pytest.mark.train
def test_the_checkpoint_is_small_and_no_file_says_where_it_was_trained(tuned, base):
    import torch

    _, out, *_ = tuned
    content = torch.load(out, weights_only=False)
    assert next(content["model"].parameters()).dtype == torch.float16 and content["optimizer"] is None
    for path in (out, out.with_suffix(".onnx"), out.with_suffix(".json")):
        assert not any(str(place).encode() in path.read_bytes() for place in (out.parent, base.parent)), path.name
    assert content["train_args"]["fliplr"] == content["train_args"]["flipud"] == 0


@pytest.mark.train
def test_frozen_layers_stay_as_they_are_and_others_learn(tuned, base):
    import torch

    old, new = (torch.load(path, weights_only=False)["model"].state_dict() for path in (base, tuned[1]))
    frozen = [k for k in old if int(k.split(".")[1]) < TINY.freeze]
    assert frozen and all(torch.equal(old[k], new[k]) for k in frozen if "num_batches" not in k)
    assert not all(torch.equal(old[k], new[k]) for k in old if k not in frozen)


@pytest.mark.train
def test_the_report_warns_and_shows_every_held_out_image_before_and_after(tuned):
    _, out, *_ = tuned
    folder = out.with_name("site-report")
    text = (folder / "index.html").read_text()
    assert report_pages.WARNING in text and all(f"p{i}_0.png" in text for i in range(6))
    pictures = {f"pictures/{p.name}" for p in (folder / "pictures").iterdir()}
    assert len(pictures) == 12 and all(name in text for name in pictures) and "http" not in text.replace("http-equiv", "")
    assert (folder / "index.html").stat().st_mode & 0o077 == folder.stat().st_mode & 0o077 == 0
    assert all(fakes.read(folder / name).shape[2] == 3 for name in pictures)


@pytest.mark.train
def test_a_tuned_checkpoint_tuned_again_on_whole_images_with_the_val_rows_held_out(tuned, tmp_path):
    _, out, *_ = tuned
    rows = "".join(f"p{i}_0.png,p{i},{'val' if i > 3 else 'train'}\n" for i in range(6))
    folder = folder_of(tmp_path / "site", 6, elements=ELEMENTS)
    (folder / "split.csv").write_text("image,patient,split\n" + rows)
    recipe = replace(RECIPES["published"], epochs=1, repeat=1, batch=4, image_size=96)
    card = finetune.finetune(folder, tmp_path / "x.pt", weights=out, keep={}, recipe=recipe, folds=0, loader_workers=0)
    assert card["base"]["sha256"] == sha256_file(out) and card["base"]["name"] == "site"
    assert card["data"] == {"images": 4, "patients": 4} and card["metrics"]["images"] == 2 and card["seeds"] == [0]
    assert card["image_size"] == 96 and "tiling" not in card and card["metrics"]["method"] == "the val rows of split.csv"


def test_the_published_recipe_is_as_published():
    r = RECIPES["published"]
    assert (r.epochs, r.batch, r.lr0, r.lrf, r.freeze, r.repeat, r.image_size, r.window, r.blend) == (50, 8, 0.005, 0.005, 9, 50, 512, 0, 1)


def test_the_fast_recipe_takes_at_most_15000_passes_for_twenty_images(tmp_path):
    parts = finetune.plan(folder_of(tmp_path, 20, size=(60, 60), elements=()), 5, early_stop=True)
    assert RECIPES["fast"].freeze == 9 and 5_000 < finetune.passes(RECIPES["fast"], parts) <= 15_000
    assert finetune.passes(TINY, parts) == 2 * (sum(len(p.train) for p in parts) + 20)


@pytest.mark.parametrize("change", [{"epochs": 0}, {"repeat": 0}, {"freeze": -1}, {"lr0": 0.0}, {"patience": -1}, {"blend": 0.0}, {"blend": 1.1}, {"drawn": -1}, {"drawn_share": 0.95}], ids=str)
def test_a_recipe_out_of_range_is_refused(change):
    with pytest.raises(UsageError, match=f"{next(iter(change))} is .*allowed is"):
        Recipe(**change)


@pytest.fixture
def pretend_base(tmp_path):
    """A checkpoint and card that pass for one until they are opened."""
    place = tmp_path / "weights"
    place.mkdir()
    (place / "w.pt").write_bytes(b"pt"), (place / "w.onnx").write_bytes(b"onnx")
    localizer_files.write_card(place / "w.onnx", arch="yolov8n", class_names=train_localizer.CLASS_NAMES, image_size=128, threshold=0.3)
    return place / "w.pt"


def test_a_missing_checkpoint_is_wrong_use_and_says_where_to_get_one(data, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="no such checkpoint"):
        finetune.finetune(data, tmp_path / "x.pt", weights=tmp_path / "none.pt")
    monkeypatch.setattr(finetune, "default_weights", lambda: tmp_path / "detector.onnx")
    with pytest.raises(UsageError, match="installed packages carry no checkpoint"):
        finetune.finetune(data, tmp_path / "x.pt")


@pytest.mark.parametrize(
    "name, message",
    [("x.onnx", "must end in .pt"), ("taken.pt", "is there already"), ("out/x.pt", "output folder of `remove`"), ("weights/w.pt", "start from")],
)
def test_a_wrong_target_is_refused_before_any_work(data, pretend_base, tmp_path, name, message):
    fakes.put(tmp_path / "taken.toml", b""), fakes.put(tmp_path / "out-audit" / "manifest.jsonl", b"")
    before = fakes.files(tmp_path)
    with pytest.raises(UsageError, match=message):
        finetune.finetune(data, tmp_path / name, weights=pretend_base, keep={})
    assert fakes.files(tmp_path) == before


def test_there_must_be_something_to_resume(data, pretend_base, tmp_path):
    with pytest.raises(UsageError, match="nothing to resume"):
        finetune.finetune(data, tmp_path / "x.pt", weights=pretend_base, keep={}, resume=True)


def test_without_the_extra_nothing_is_left_behind(data, pretend_base, tmp_path, monkeypatch):
    def missing():
        raise UsageError("training needs the extra 'train'")

    monkeypatch.setattr(train_localizer, "require", missing)
    before = fakes.files(tmp_path)
    with pytest.raises(UsageError, match="extra"):
        finetune.finetune(data, tmp_path / "x.pt", weights=pretend_base, keep={})
    assert fakes.files(tmp_path) == before and not (tmp_path / "x-work").exists()


def test_labels_that_do_not_fit_their_image_are_refused(pretend_base, tmp_path):
    folder = folder_of(tmp_path / "site", 4)
    labelme.write(folder / "annotations" / "p1_0.json", Annotation("p1_0.png", (400, 300), ()))
    with pytest.raises(AnnotationError, match="p1_0.png"):
        finetune.finetune(folder, tmp_path / "x.pt", weights=pretend_base, keep={})


def test_measuring_runs_the_whole_pipeline_and_judges_its_pixels(tmp_path):
    path = fakes.put(tmp_path / "a.png", fakes.png(fakes.radiograph(1)))
    sample = Sample(path, Annotation("a.png", fakes.SHAPE, (Element(fakes.NAME_BOX, "marker"),)), "a")
    found = finetune.measure(sample, fakes.cleaner(), tmp_path / "found.png")
    blind = finetune.measure(sample, fakes.cleaner(detector=fakes.find_nothing), tmp_path / "blind.png")
    held = finetune.measure(sample, Cleaner(fakes.restless(), None, Policy(keep=())), tmp_path / "held.png")
    assert (found["counts"]["removed"], found["counts"]["boxes"], found["reason"]) == (1, 1, "")
    assert (blind["counts"]["removed"], blind["counts"]["markers"]) == (0, 1)
    assert held["counts"]["held"] == 1 and held["counts"]["removed"] == 0 and "remain" in held["reason"]
    assert finetune.total([found, blind]).deidentified == 1
    shown = fakes.read(tmp_path / "found.png")
    h, w = fakes.SHAPE
    assert shown.shape == (h, 2 * w + 6, 3) and (shown[16:28, 24:56] == 255).all() and not shown[18:26, w + 6 + 26 : w + 6 + 54].any()


def test_names_in_the_report_cannot_become_markup():
    row = {"image": "<b>&.png", "picture": "0.png", "reason": "", "counts": asdict(Counts())}
    measured = {"method": "m", "images": 1, "held": {"before": 0, "after": 0}, **metrics.compare(Counts(), Counts())}
    text = finetune_report.page({"name": "<i>", "metrics": measured}, [(row, row)])
    assert "&lt;b&gt;&amp;.png" in text and "<b>" not in text and "<i>" not in text


def test_the_command_line_passes_its_options_on(data, tmp_path, monkeypatch, capsys):
    seen = {}

    def takes_note(folder, out, **options):
        seen.update(options, folder=folder, out=out)
        options["say"]("at work")
        rows = metrics.compare(Counts(marked=4, deidentified=3), Counts(marked=4, deidentified=1))
        return {"metrics": {"method": "m", "images": 1, **rows}, "recipe": {"share": 0.5}}

    monkeypatch.setattr(finetune, "finetune", takes_note)
    assert main.main(["finetune", str(data), "-o", "a/x.pt", "--keep", "D,x=left", "--epochs", "3", "--freeze", "4", "--folds", "0", "--resume"]) == 0
    assert seen["keep"] == {"D": "right", "X": "left"} and seen["recipe"] == replace(RECIPES["fast"], epochs=3, freeze=4)
    assert seen["folds"] == 0 and seen["resume"] is True and seen["weights"] is None
    printed = capsys.readouterr().out
    assert "at work" in printed and "before 75.0 % (3/4; 19–99), after 25.0 % (1/4; 1–81), P = 0.4857" in printed and "x.toml" in printed
    main.main(["finetune", str(data), "-o", "x.pt", "--recipe", "published"])
    assert seen["recipe"] == RECIPES["published"] and seen["keep"] == site_profile.SiteProfile().keep


@pytest.mark.parametrize("args, message", [(["--keep", "X"], "X=left or X=right"), (["--epochs", "0"], "epochs is 0"), (["--folds", "1"], "folds is 1")])
def test_wrong_use_is_exit_2(data, tmp_path, capsys, args, message, pretend_base):
    assert main.main(["finetune", str(data), "-o", str(tmp_path / "x.pt"), "--weights", str(pretend_base), *args]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("after", "named"),
    [((8, 8, 1, 50), []), ((7, 8, 1, 50), ["marker recall"]), ((8, 8, 2, 50), ["false-positive rate"]), ((8, 8, 0, 0), [])],
)
def test_what_got_worse_is_said(after, named):
    def row(before, then):
        return {"before": metrics.rate(*before), "after": metrics.rate(*then), "p_fisher": None}

    same = row((4, 5), (4, 5))
    measured = {"method": "m", "images": 8, **dict.fromkeys(metrics.RATES, same)}
    measured |= {"marker recall": row((8, 8), after[:2]), "false-positive rate": row((1, 50), after[2:])}
    last = finetune_cli.lines({"metrics": measured, "recipe": {"share": 1.0}})[-1]
    assert last.startswith("NOT BETTER") == bool(named) and all(name in last for name in named)


@pytest.mark.train
def test_where_nothing_is_wrong_nothing_is_trained_and_the_weights_stay(data, base, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(one_training, "_errors", lambda *_: (0, 0))
    monkeypatch.setattr(train_localizer, "fit", lambda *_, **__: pytest.fail("trained"))
    said = []
    card = finetune.finetune(
        data, tmp_path / "x.pt", weights=base, keep={}, recipe=replace(TINY, blend=None), folds=2, loader_workers=0, say=said.append
    )
    assert (tmp_path / "x.onnx").read_bytes() == base.with_suffix(".onnx").read_bytes() and card["recipe"]["share"] == 0
    assert card["sha256"] == read_card(base.with_suffix(".onnx"))["sha256"] and sum("left out" in line for line in said) == 3
    for name in ("marker recall", "false-positive rate"):
        assert card["metrics"][name]["before"] == card["metrics"][name]["after"]
    assert any("were kept" in line for line in finetune_cli.lines(card))


@pytest.mark.train
@pytest.mark.parametrize(
    ("trials", "wanted"),
    [
        ({(0.25, False): (1, 0), (0.5, False): (0, 2), (1.0, False): (0, 2)}, (0.5, False)),
        ({(0.25, False): (2, 0), (0.5, False): (1, 1), (1.0, False): (1, 3)}, (0.0, False)),
        ({(0.25, False): (0, 3), (0.5, False): (0, 3), (1.0, False): (0, 1)}, (1.0, False)),
        ({(0.0, True): (0, 1), (0.5, False): (0, 1), (1.0, True): (0, 1)}, (0.0, True)),
        ({(0.5, True): (0, 0), (0.5, False): (0, 1)}, (0.5, True)),
    ],
)
def test_without_folds_the_change_has_the_fewest_misses_then_false_boxes_on_the_images(data, base, tmp_path, monkeypatch, trials, wanted):
    taught, tried = tmp_path / "taught.onnx", []

    def on_trial(run, place, best, rescorer, change, judge):
        tried.append((change.share, change.taught))
        missed, false = trials.get(tried[-1], (5, 5))
        return Errors(missed=missed, false=false)

    monkeypatch.setattr(one_training, "_on_trial", on_trial)
    monkeypatch.setattr(one_training, "_taught_rescorer", lambda *_: taught)
    run = one_training.Run(tmp_path / "x.pt", base, {}, TINY, Policy(keep=()), None, 0, "cpu", 0, lambda line: None)
    share, rescorer = one_training._best_change(run, tmp_path / "place", base, (), drawing.Films(), (1, 1))
    assert (share, rescorer is taught) == wanted
    assert (tried[-1] == wanted) == ((0, 0) in trials.values()), "what is without error ends the search"


@pytest.mark.train
@pytest.mark.long
def test_a_taught_second_network_goes_along_with_the_weights_and_is_the_one_they_run_with(tmp_path, monkeypatch):
    from markerremover import synthesis
    from markerremover.inference.shipped_weights import default_weights
    from markerremover.training import train_rescorer

    data = tmp_path / "site"
    synthesis.synthesize(data, 8, 5, formats=("png",))

    shipped = default_weights()
    trained = []

    def held_out(run, onnx, part):
        own = (read_card(onnx).get("rescorer") or {}).get("file", "").startswith("trial")
        return Errors() if own else Errors(missed=99)

    def fit(*args, **settings):
        trained.append(settings)
        for callback in settings["callbacks"]["on_train_end"]:
            callback(type("Trainer", (), {"stopper": type("S", (), {"best_epoch": 1})}))
        return shipped.with_suffix(".pt")

    monkeypatch.setattr(one_training, "_errors", lambda *_: (3, 3))
    monkeypatch.setattr(one_training, "_held_out_errors", held_out)
    monkeypatch.setattr(changes, "SHARES", (1.0,))
    monkeypatch.setattr(train_localizer, "fit", fit)
    monkeypatch.setattr(train_rescorer, "tune", functools.partial(train_rescorer.tune, steps=3))
    card = finetune.finetune(
        data, tmp_path / "x.pt", weights=shipped, keep={}, recipe=replace(TINY, blend=None), folds=2, loader_workers=0,
    )
    own = tmp_path / "x-rescorer.onnx"
    assert card["recipe"]["rescorer_taught"] and card["recipe"]["share"] == 0 and trained
    assert card["rescorer"]["file"] == own.name and card["rescorer"]["sha256"] == sha256_file(own)
    before = read_card(shipped)["rescorer"]
    assert card["rescorer"]["sha256"] != before["sha256"] and card["rescorer"]["offset"] == before["offset"]
    detector = localizer.load_detector(tmp_path / "x.onnx", device="cpu")
    assert card["rescorer"]["sha256"] in detector.sha256.split("+")
    assert any(own.name in line for line in finetune_cli.lines(card))


@pytest.mark.train
@pytest.mark.parametrize("freeze", [23, 999])
def test_freezing_every_layer_is_refused_before_anything_is_trained(tmp_path, data, base, freeze):
    with pytest.raises(UsageError, match=f"freeze is {freeze}, allowed is 0 to 22"):
        finetune.finetune(data, tmp_path / "x.pt", weights=base, keep={}, recipe=replace(TINY, freeze=freeze), folds=2)
    with pytest.raises(UsageError, match="the last one must learn"):
        train_localizer.train([data], tmp_path / "run", epochs=1, window=96, image_size=128, windows_per_epoch=4, batch=4, loader_workers=0, freeze=freeze)


def test_what_is_measured_is_counted_by_the_code_of_evaluate(tmp_path, data, monkeypatch):
    """A letter that is kept by mistake is no removal, whatever box it lies in."""
    from markerremover.formats import read_apart
    from markerremover.labels import labelled_folder
    from markerremover.records import Decision
    from markerremover.training import measure

    sample = labelled_folder.load_samples(data, None)[0]
    decisions = (Decision(0, (198, 148, 292, 182), "keep", "a sign", 0.9, strokes=np.ones((34, 94), bool)), Decision(0, (10, 200, 30, 220), "remove", "", 0.9))
    shown = read_apart.read(sample.path).display[0]
    monkeypatch.setattr(measure, "run_pipeline", lambda *_: measure.PipelineResult(shown, decisions, np.zeros(shown.shape, bool), ""))
    counts = measure.measure(sample, None, tmp_path / "p.png")["counts"]
    assert (counts["removed"], counts["markers"], counts["deidentified"], counts["boxes"], counts["false_boxes"], counts["retained"]) == (0, 1, 0, 2, 1, 1)


@pytest.mark.train
def test_films_are_drawn_from_the_images_of_a_training_alone_and_are_four_in_ten_of_its_windows(data, base, tmp_path, monkeypatch):
    drawn_from, mixes = [], []
    film = Sample(next((data / "images").iterdir()), Annotation("f.png", (1, 1), ()), "drawn")

    def draw(samples, place, count, seed, markers):
        drawn_from.append(({s.patient for s in samples}, count, seed, tuple(markers)))
        return drawing.Films((film,), (film,), ())

    def fit(train_set, stop_set, where, **options):
        mixes.append(([[s.patient for s in group] for group in train_set.groups], train_set.shares.tolist(), len(train_set)))
        raise KeyboardInterrupt

    monkeypatch.setattr(drawing, "draw", draw)
    monkeypatch.setattr(train_localizer, "fit", fit)
    with pytest.raises(KeyboardInterrupt):
        finetune.finetune(data, tmp_path / "x.pt", weights=base, keep={"D": "right"}, recipe=replace(TINY, drawn=3, repeat=6), folds=2, loader_workers=0, seed=5)
    other = folder_of(tmp_path / "other", 2, size=(90, 80), elements=())
    (other / "split.csv").write_text("image,patient,split\np0_0.png,q0,train\np1_0.png,q1,val\n")
    with pytest.raises(KeyboardInterrupt):
        finetune.finetune(data, tmp_path / "y.pt", weights=base, keep={}, recipe=TINY, folds=2, loader_workers=0, source=[other])
    with_source = mixes.pop()
    assert with_source[0][1:] == [["q0"]] and np.allclose(with_source[1], [0.6, 0.4]) and with_source[2] == round(2 * len(with_source[0][0]) / 0.6)
    with pytest.raises(UsageError, match="image of the site itself"):
        finetune.finetune(data, tmp_path / "z.pt", weights=base, keep={}, recipe=TINY, folds=2, source=[data])
    (part, *_), ((groups, shares, length),) = finetune.plan(data, 2, early_stop=True), mixes
    learnt = {s.patient for s in part.train}
    assert drawn_from == [(learnt, 3 * len(part.train), 5, ("D",))] and groups == [[s.patient for s in part.train], ["drawn"], ["drawn"]]
    assert np.allclose(shares, [0.6, 0.2, 0.2]) and length == round(6 * len(part.train) / 0.6)
