"""The learning loop of a site: what is gathered, what is never learnt from, what adopts new weights, and what a crash leaves behind."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import fakes
import numpy as np
import pytest
import reviewing

from markerremover import improve, site_profile
from markerremover.cli import improve as improve_cli
from markerremover.cli import main
from markerremover.errors import AnnotationError, UsageError
from markerremover.evaluation import judge
from markerremover.evaluation.judge import Judged, JudgedElement
from markerremover.evaluation.metrics import rate
from markerremover.evaluation.results import Row
from markerremover.improve import adoption_rule, gathering, picture_store, rounds, score_weights, validation
from markerremover.improve import site_folder as folders
from markerremover.improve.rounds import ImproveOptions
from markerremover.inference.weights_card import read_card
from markerremover.labels import labelme
from markerremover.records import Annotation, Element, Policy
from markerremover.training import checkpoints, finetune, localizer_files, train_localizer
from markerremover.training.recipes import Recipe

BOXES = ((20, 14, 60, 30), (70, 60, 100, 76))
MARKERS = tuple(Element(tuple(map(float, box)), "marker") for box in BOXES)
SIGN = Element((6.0, 70.0, 16.0, 86.0), "laterality", "L")
TINY = Recipe("tiny", epochs=1, repeat=2, batch=4, window=96, patience=1, drawn=0, blend=1.0)


def labelled(folder: Path, count: int, first: int = 0, elements=(*MARKERS, SIGN), patient="p{}") -> Path:
    """A LabelMe folder of pictures of one patient each."""
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        name = f"{patient.format(i)}_{i}"
        fakes.put(folder / "images" / f"{name}.png", fakes.png(fakes.radiograph(i, BOXES)))
        labelme.write(folder / "annotations" / f"{name}.json", Annotation(f"{name}.png", fakes.SHAPE, tuple(elements)))
    return folder


def weights_in(place: Path, stem: str, content: bytes) -> Path:
    """A checkpoint, an ONNX file and a card that pass for weights until they are opened."""
    fakes.put(place / f"{stem}.pt", b"pt" + content), fakes.put(place / f"{stem}.onnx", content)
    localizer_files.write_card(place / f"{stem}.onnx", arch="yolov8n", class_names=train_localizer.CLASS_NAMES, image_size=128, threshold=0.3)
    return place / f"{stem}.pt"


class Trainer:
    """Stands for `finetune.tune`: writes weights whose content says how good they are; keeps what it was given."""

    def __init__(self, *results: bytes) -> None:
        self.results, self.seen = list(results), []

    def __call__(self, samples, out, **options):
        self.seen.append((samples, options))
        return read_card(weights_in(out.parent, out.stem, self.results[len(self.seen) - 1]).with_suffix(".onnx"))


def look(found, onnx, policy, device) -> list[Row]:
    """Stands for `looking.rows`: weights of the content "missed,laterality markers lost,false-positive regions" are wrong so often, one picture after the other."""
    missed, lost, false = map(int, onnx.read_bytes().decode().split()[0].split(","))
    rows = []
    for picture in found:
        elements = []
        for e in picture.annotation.elements:
            wrong = missed > 0 if e.kind == "marker" else lost > 0
            missed, lost = missed - (wrong and e.kind == "marker"), lost - (wrong and e.kind == "laterality")
            elements.append(JudgedElement(e, True, not wrong, 1.0))
        extra = ((1, 1, 5, 5),) if false > 0 else ()
        false -= 1
        rows.append(Row(picture.name, picture.patient, Judged(picture.annotation, tuple(elements), False, 2, extra, 0.0)))
    return rows


def dies(*_, **__):
    raise KeyboardInterrupt


@pytest.fixture
def start(tmp_path):
    """Weights that miss 3 markings, lose 1 sign and blacken something in 2 pictures."""
    return weights_in(tmp_path / "shipped", "detector", b"3,1,2")


@pytest.fixture
def options(tmp_path, start):
    """With a validation set of its own: 6 patients, 12 markings, 6 signs."""
    return ImproveOptions(validation=labelled(tmp_path / "held", 6, 100), weights=start, recipe=TINY)


@pytest.fixture
def source(tmp_path):
    return labelled(tmp_path / "labels", 4)


@pytest.fixture
def round_of(tmp_path, options, source):
    """One round into tmp_path/site with weights of a content; returns the row."""

    def run(content=b"2,1,2", sources=(source,), **changes):
        said = []
        row = rounds.improve(tmp_path / "site", sources, options=replace(options, **changes), train=Trainer(content), score=look, say=said.append)
        run.said = said
        return row

    return run


def in_use(tmp_path) -> str:
    return site_profile.read(tmp_path / "site").weights.relative_to(tmp_path / "site").as_posix()


def history(tmp_path) -> list[dict]:
    return [json.loads(line) for line in (tmp_path / "site" / "history.jsonl").read_text().splitlines()]


def test_better_weights_are_adopted_and_remove_takes_the_folder_as_its_site(round_of, tmp_path, options):
    row = round_of(b"1,1,2", keep={"D": "right"})
    assert row["adopted"] and row["generation"] == 1 and in_use(tmp_path) == "weights/0001/site-0001.onnx"
    recall = row["results"]["recall"]
    assert (recall["before"]["k"], recall["after"]["k"], recall["after"]["n"], recall["better"], recall["worse"]) == (9, 11, 12, 2, 0)
    assert recall["before"]["low95"] < 0.75 < recall["before"]["high95"] and recall["p_mcnemar"] == 0.5
    assert site_profile.read(tmp_path / "site").policy() == Policy(keep=("D",))
    card = read_card(site_profile.read(tmp_path / "site").weights)
    assert card["metrics"]["annotations"] == 12 and card["metrics"]["recall"]["after"]["k"] == 11
    assert row["reason"] == "more annotations removed: 11, before 9; more images with every annotation removed: 5, before 4"
    assert [r["event"] for r in history(tmp_path)] == ["start", "round"] and history(tmp_path)[1] == row


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"4,0,0", "fewer annotations removed: 8, before 9"),
        (b"3,2,2", "fewer laterality markers retained: 4, before 5, and no more annotations"),
        (b"3,1,3", "more false-positive regions: 3, before 2, and no more annotations"),
    ],
    ids=["a marking fewer", "as safe, a sign fewer", "as safe, a false region more"],
)
def test_worse_weights_are_kept_but_not_used_and_the_reason_is_told(round_of, tmp_path, content, words):
    row = round_of(content)
    assert not row["adopted"] and words in row["reason"]
    assert in_use(tmp_path) == "weights/0000/detector.onnx" and (tmp_path / "site" / "weights" / "0001" / "site-0001.pt").is_file()
    assert history(tmp_path)[-1]["reason"] == row["reason"] and not (tmp_path / "site" / "work").exists()


def test_a_tie_is_adopted_and_a_gain_in_safety_may_cost_a_little_use(round_of, tmp_path):
    assert round_of(b"3,1,2 tie")["reason"] == "nothing is worse" and in_use(tmp_path) == "weights/0001/site-0001.onnx"
    labelled(tmp_path / "labels", 1, 50)
    row = round_of(b"2,2,3")
    assert "fewer laterality markers retained: 4, before 5, no significant loss" in row["reason"]
    assert row["adopted"] and row["generation"] == 2 and row["instead_of"] == "weights/0001/site-0001.onnx"


def test_weights_that_are_those_in_use_are_not_adopted(round_of, tmp_path):
    row = round_of(b"3,1,2")
    assert not row["adopted"] and row["results"] is None and "nothing was learnt" in row["reason"]


def results(recall=(9, 10), deid=(5, 6), retention=(9, 9, 0, 0), false=(2, 2, 0, 0)):
    def entry(before, after, n, better=0, worse=0):
        from markerremover.evaluation.comparison import mcnemar

        return {"before": rate(before, n), "after": rate(after, n), "better": better, "worse": worse, "p_mcnemar": mcnemar(better, worse)}

    return {"recall": entry(*recall, 12), "deid": entry(*deid, 6), "retention": entry(*retention[:2], 20, *retention[2:]),
            "false_regions": entry(*false[:2], 40, *false[2:])}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (results(), []),
        (results((9, 9), (5, 5)), []),
        (results((9, 10), (5, 4)), ["images with every annotation removed"]),
        (results(retention=(18, 10, 0, 8)), ["laterality markers retained"]),
        (results(retention=(18, 15, 0, 3)), []),
        (results(false=(2, 9, 0, 7)), ["false-positive regions"]),
        (results((9, 9), (5, 5), retention=(9, 10, 1, 0)), []),
        (results((9, 8), (5, 5), retention=(18, 10, 0, 8), false=(2, 9, 0, 7)), ["annotations removed", "laterality markers retained", "false-positive regions"]),
    ],
)
def test_the_rule(found, words):
    told = adoption_rule.objections(found)
    assert len(told) == len(words) and all(word in line for word, line in zip(words, told))


def test_every_round_starts_from_the_first_weights_with_all_that_was_gathered(tmp_path, options, source):
    trainer = Trainer(b"2,1,2", b"1,1,2")
    for count in (4, 7):
        rounds.improve(tmp_path / "site", [labelled(source, count)], options=options, train=trainer, score=look)
    (first, told), (second, told_again) = trainer.seen
    assert (len(first), len(second)) == (4, 7) and told["weights"] == told_again["weights"] == tmp_path / "site" / "weights" / "0000" / "detector.pt"
    assert told["recipe"] == TINY and {s.patient for s in first} == {"p0", "p1", "p2", "p3"}


def test_gathering_again_adds_nothing_and_nothing_new_is_not_trained(round_of, tmp_path):
    round_of()
    before = fakes.files(tmp_path / "site")
    assert round_of(b"never") is None
    assert "nothing new: generation 1" in round_of.said[-1] and "0 pictures added, 0 annotations replaced by later ones, 4 there" in round_of.said[0]
    assert fakes.files(tmp_path / "site") == before
    assert round_of(b"1,1,2", seed=1)["generation"] == 2, "another seed is another training"


def corrected(folder: Path, count: int = 8) -> Path:
    """The audit of a run whose missed markings a person drew, applied, with a label of every file."""
    audit = reviewing.run(folder, count, missed=range(count))
    for relative in reviewing.rows(audit):
        reviewing.say(audit, (relative, reviewing.draw()), (relative, reviewing.ACCEPT))
    reviewing.redo(audit)
    return audit


def test_a_later_review_replaces_an_earlier_one_of_the_same_picture(tmp_path):
    audit = corrected(tmp_path, 2)
    gathering.carry_out(gathering.plan([audit], [], []), tmp_path / "t")
    first = picture_store.read_stored(tmp_path / "t")
    assert [p.count("marker") for p in first] == [2, 2] and all(p.when for p in first)
    reviewing.say(audit, ("a/1.png", reviewing.draw((4, 40, 14, 50))), ("a/1.png", reviewing.ACCEPT))
    stale = gathering.plan([audit], first, [])
    assert (stale.stale, stale.unwritten, stale.same, stale.replaced) == (1, 1, 1, ())
    reviewing.redo(audit)
    log = audit / "review" / "decisions.jsonl"
    again = gathering.plan([audit], first, [])
    assert (again.same, len(again.replaced), again.stale) == (1, 1, 0)
    gathering.carry_out(again, tmp_path / "t")
    assert sorted(p.count("marker") for p in picture_store.read_stored(tmp_path / "t")) == [2, 3]
    older = [replace(p, when="2999-01-01T00:00:00+00:00") for p in first]
    assert gathering.plan([audit], older, []).same == 2 and log.is_file(), "an earlier review does not replace a later one"


def test_pictures_of_two_audits_with_the_same_path_stay_apart(tmp_path):
    plan = gathering.plan([corrected(tmp_path / "x", 1), labelled(tmp_path / "y", 1, 9)], [], [])
    assert len(plan.new) == 2 and len({p.name for p in plan.new}) == 2


def test_the_patient_of_a_dicom_file_is_told_by_its_header_not_by_its_path(tmp_path):
    from test_header_run import dicom_file

    for name, patient in (("a/1.dcm", "P1"), ("b/2.dcm", "P1"), ("c/3.dcm", "P2")):
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        dicom_file(tmp_path / "in" / name, PatientID=patient)
    from markerremover.options import RunOptions
    from markerremover.run import batch

    summary = batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(policy=Policy(keep=())), open_cleaner=fakes.cleaner)
    audit = Path(summary["audit"])
    for relative in reviewing.rows(audit):
        reviewing.say(audit, (relative, reviewing.ACCEPT))
    reviewing.redo(audit, every_label=True)
    found = picture_store.read(audit / "review" / "labels")
    assert len(found) == 3 and len({p.patient for p in found}) == 2 and not any("P1" in p.patient for p in found)


def test_nothing_of_the_validation_set_is_gathered(round_of, tmp_path, options, source):
    labelled(source, 1, 100)  # the very picture
    labelled(source, 1, 60, patient="p101x".removesuffix("x"))  # another picture of a patient
    row = round_of()
    assert row["training"]["pictures"] == 4 and any("2 left out" in line for line in round_of.said)


@pytest.mark.parametrize("how", ["picture", "patient", "file"])
def test_what_is_in_both_sets_stops_everything_before_training(round_of, tmp_path, how):
    round_of()
    folder = folders.SiteFolder(tmp_path / "site")
    held, own = validation.read(folder)[0], picture_store.read_stored(folder.training)[0]
    other = labelled(tmp_path / "other", 1, 77)
    extra = picture_store.read(other)[0]
    leaked = {"picture": held, "patient": replace(extra, patient=held.patient), "file": replace(extra, source=(held.source[0], 3))}[how]
    picture_store.store(leaked, folder.training)
    before = fakes.files(tmp_path / "site")
    with pytest.raises(UsageError, match=f"is (the same picture as|of the same {how} as) .*validation set"):
        round_of(b"0,0,0", sources=())
    assert fakes.files(tmp_path / "site") == before and own.name != held.name


@pytest.mark.parametrize("change", ["annotation", "gone", "more"])
def test_a_validation_set_that_was_changed_stops_everything(round_of, tmp_path, change):
    round_of()
    place = tmp_path / "site" / "validation"
    label = sorted((place / "annotations").iterdir())[0]
    if change == "annotation":
        label.write_text(label.read_text().replace("laterality", "marker"))
    elif change == "gone":
        label.unlink(), (place / "images" / f"{label.stem}.png").unlink()
    else:
        picture_store.store(picture_store.read(labelled(tmp_path / "more", 1, 90))[0], place)
    with pytest.raises(UsageError, match="not as it was fixed"):
        round_of(b"0,0,0", seed=3)


def test_the_validation_set_is_dealt_by_patient_once(round_of, tmp_path):
    source = labelled(tmp_path / "many", 18)
    row = round_of(sources=[source], validation=None)
    folder = folders.SiteFolder(tmp_path / "site")
    held = validation.read(folder)
    assert (row["validation"]["patients"], row["training"]["patients"]) == (6, 12) and row["validation"]["annotations"] == 12
    labelled(source, 6, 18)
    again = round_of(b"1,1,2", sources=[source], validation=None)
    assert validation.read(folder) == held and again["training"]["patients"] == 18 and again["validation"] == row["validation"]


def test_too_small_a_validation_set_is_refused_and_what_was_gathered_is_kept(round_of, tmp_path):
    for _ in range(2):
        with pytest.raises(UsageError, match="would have 4 annotations in 2 pictures of 2 patients, needed are 10 annotations of 3 patients"):
            round_of(validation=None)
    assert len(picture_store.read_stored(tmp_path / "site" / "training")) == 4 and in_use(tmp_path) == "weights/0000/detector.onnx"
    assert round_of()["adopted"], "a folder that is given later makes up for it"


def test_a_dealing_that_was_cut_off_is_finished_or_undone(round_of, tmp_path, monkeypatch):
    source = labelled(tmp_path / "many", 18)
    monkeypatch.setattr(picture_store, "take_out", dies)
    with pytest.raises(KeyboardInterrupt):
        round_of(sources=[source], validation=None)
    monkeypatch.undo()
    folder = folders.SiteFolder(tmp_path / "site")
    assert not folder.validation.exists()
    (tmp_path / "site" / "validation.new" / validation.FIXED).rename(tmp_path / "fixed.json")
    shutil.copytree(tmp_path / "site", tmp_path / "torn")
    (tmp_path / "fixed.json").rename(tmp_path / "site" / "validation.new" / validation.FIXED)
    validation.settle(folder)
    assert len(validation.read(folder)) == 6 and len(picture_store.read_stored(folder.training)) == 12
    torn = folders.SiteFolder(tmp_path / "torn")
    validation.settle(torn)
    assert not (tmp_path / "torn" / "validation.new").exists() and len(picture_store.read_stored(torn.training)) == 18


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(round_of, tmp_path):
    before = fakes.files(tmp_path)
    assert round_of(dry_run=True) is None
    told = "\n".join(round_of.said)
    assert fakes.files(tmp_path) == before and not (tmp_path / "site").exists()
    assert "4 pictures would be added" in told and "validation set: 6 pictures of 6 patients, 12 annotations" in told and "image passes" in told
    assert "up to 22 % of a site's annotations may be" in told
    round_of()
    before = fakes.files(tmp_path)
    assert round_of(dry_run=True) is None and fakes.files(tmp_path) == before and "nothing new since generation 1" in round_of.said[-1]


STEPS = {
    "while training": (rounds, "_trained"), "while comparing": (rounds, "_compared"), "before the generation is there": (folders, "put_in_place"),
    "before the history": (folders.journal, "append"), "before the weights are in use": (folders, "adopt"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_leaves_the_weights_in_use_and_the_same_command_goes_on(round_of, tmp_path, monkeypatch, step, options, source):
    round_of(b"3,1,2 first")
    labelled(source, 2, 30)
    module, name = STEPS[step]

    with monkeypatch.context() as patch:
        patch.setattr(module, name, dies)
        with pytest.raises(KeyboardInterrupt):
            round_of(b"1,1,2")
    assert in_use(tmp_path) == "weights/0001/site-0001.onnx"
    row = round_of(b"1,1,2")
    assert in_use(tmp_path) == "weights/0002/site-0002.onnx" and [r["generation"] for r in history(tmp_path)] == [0, 1, 2]
    assert (row is None) == (step in ("before the history", "before the weights are in use")) and not (tmp_path / "site" / "work").exists()
    if step in ("while comparing", "before the generation is there"):
        assert any("is done: now it is compared" in line for line in round_of.said)


def test_a_torn_line_of_the_history_is_mended_and_a_damaged_one_stops(round_of, tmp_path):
    round_of()
    path = tmp_path / "site" / "history.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    assert round_of() is None and [r["generation"] for r in history(tmp_path)] == [0, 1]
    path.write_text("{}\n" + path.read_text())
    with pytest.raises(UsageError, match="line 1: is no row of a history"):
        round_of()


def test_an_earlier_generation_can_be_put_in_use_again_and_one_that_was_refused_cannot(round_of, tmp_path, capsys):
    round_of(b"2,1,2"), round_of(b"9,9,9", seed=1)
    place = str(tmp_path / "site")
    assert main.main(["improve", place, "--adopt", "0"]) == 0 and in_use(tmp_path) == "weights/0000/detector.onnx"
    assert main.main(["improve", place, "--adopt", "0"]) == 2 and "is in use" in capsys.readouterr().err
    assert main.main(["improve", place, "--adopt", "2"]) == 2 and "was not adopted (fewer annotations removed" in capsys.readouterr().err
    assert main.main(["improve", place, "--adopt", "7"]) == 2 and "there are 0, 1, 2" in capsys.readouterr().err
    assert main.main(["improve", place, "--history"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and lines[0].split()[0] == "generation" and lines[4].startswith("*") and "adopted by hand" in lines[4]
    assert "9/12 -> 10/12" in lines[2] and "not adopted" in lines[3]
    row = round_of(b"1,1,2", seed=2)
    assert row["instead_of"] == "weights/0000/detector.onnx" and row["results"]["recall"]["before"]["k"] == 9


def test_a_profile_that_was_turned_to_other_weights_by_hand_is_not_guessed_about(round_of, tmp_path):
    round_of()
    profile = tmp_path / "site" / "site.toml"
    profile.write_text(profile.read_text().replace("0001/site-0001", "0000/detector"))
    with pytest.raises(UsageError, match="settle it with --adopt"):
        round_of(seed=1)


def test_threshold_and_signs_that_a_person_set_stay(round_of, tmp_path):
    round_of()
    profile = tmp_path / "site" / "site.toml"
    weights = site_profile.read(profile).weights
    site_profile.write(profile, site_profile.SiteProfile(weights, 0.6, {"I": "left"}))
    assert round_of(b"1,1,2", seed=1)["adopted"]
    assert site_profile.read(profile).threshold == 0.6 and site_profile.read(profile).keep == {"I": "left"}


def test_weights_that_were_exchanged_are_refused(round_of, tmp_path):
    round_of()
    weights_in(tmp_path / "site" / "weights" / "0000", "detector", b"0,0,0")
    with pytest.raises(UsageError, match="no longer what the history says"):
        round_of(seed=1)


def test_broken_annotations_and_missing_pictures_are_errors(round_of, tmp_path, source):
    label = source / "annotations" / "p1_1.json"
    good = label.read_text()
    label.write_text("{")
    with pytest.raises(AnnotationError, match="p1_1.json: not a LabelMe file"):
        round_of()
    label.write_text(good)
    (source / "images" / "p1_1.png").rename(tmp_path / "kept.png")
    with pytest.raises(AnnotationError, match="p1_1.json: its image is not in"):
        round_of()
    (tmp_path / "kept.png").rename(source / "images" / "p1_1.png")
    round_of()
    stored = sorted((tmp_path / "site" / "training" / "images").iterdir())[0]
    stored.write_bytes(fakes.png(fakes.radiograph(55)))
    with pytest.raises(AnnotationError, match="its picture has changed"):
        round_of()


@pytest.mark.parametrize("kind", ["no audit", "no labels", "something else in the folder", "in results", "other signs", "other weights", "another set"])
def test_wrong_use(round_of, tmp_path, kind, options):
    if kind == "no audit":
        call, message = (lambda: round_of(sources=[tmp_path])), "neither the audit of a run"
    elif kind == "no labels":
        audit = reviewing.run(tmp_path / "r")
        call, message = (lambda: round_of(sources=[audit])), "holds no annotations"
    elif kind == "something else in the folder":
        fakes.put(tmp_path / "site" / "a.png", b"")
        call, message = round_of, "a.png, so `improve` did not create it"
    elif kind == "in results":
        audit = reviewing.run(tmp_path / "r")
        call, message = (lambda: rounds.improve(audit.with_name("out") / "site", options=options)), "output folder of `remove`"
    else:
        round_of()
        changes = {"other signs": {"keep": {}}, "other weights": {"weights": weights_in(tmp_path / "w", "w", b"1,1,1")},
            "another set": {"validation": labelled(tmp_path / "v", 6, 200)}}[kind]
        call, message = (lambda: round_of(seed=1, **changes)), {"another set": "is fixed"}.get(kind, "has begun with other")
    with pytest.raises(UsageError, match=message):
        call()


def test_a_site_folder_is_its_owners_only_and_names_no_place(round_of, tmp_path):
    round_of()
    for path in (tmp_path / "site").rglob("*"):
        if path.parent.name in ("images", "annotations", "site") and path.is_file() and path.name != "site.toml":
            assert path.stat().st_mode & 0o077 == 0, path
    assert (tmp_path / "site").stat().st_mode & 0o077 == 0
    for name in ("history.jsonl", "site.toml"):
        assert str(tmp_path) not in (tmp_path / "site" / name).read_text()


def test_two_rounds_at_once_are_refused(round_of, tmp_path):
    round_of()
    with folders.shards.exclusive(tmp_path / "site"), pytest.raises(UsageError, match="another run is at work"):
        round_of(seed=1)


def test_the_validation_set_is_judged_by_the_whole_pipeline_and_its_pixels(tmp_path):
    found = picture_store.read(labelled(tmp_path / "v", 2, elements=MARKERS))
    good, blind, held = (
        [score_weights.row(p, fakes.Cleaner(detector(), None, Policy(keep=()))) for p in found]
        for detector in (lambda: fakes.find_white, lambda: fakes.find_nothing, fakes.restless)
    )
    before = score_weights.compared(blind, good)
    assert (before["recall"]["before"]["k"], before["recall"]["after"]["k"], before["recall"]["better"]) == (0, 4, 4)
    assert score_weights.compared(good, held)["held"] == {"before": 0, "after": 2} and score_weights.compared(good, held)["recall"]["worse"] == 4
    assert isinstance(good[0].judged, judge.Judged) and np.array_equal(picture_store.display(found[0].path), fakes.radiograph(0, BOXES))


def test_the_command_line_says_adopted_or_not_by_its_exit_code(tmp_path, options, source, monkeypatch, capsys):
    trainer = Trainer(b"2,1,2", b"5,1,2")
    real = rounds.improve
    monkeypatch.setattr(rounds, "improve", lambda *a, **k: real(*a, **k, train=trainer, score=look))
    args = ["improve", str(tmp_path / "site"), str(source), "--validation", str(options.validation), "--weights", str(options.weights), "--keep", "D"]
    assert main.main([*args, "--dry-run"]) == 0 and not trainer.seen
    assert main.main(args) == 0
    printed = capsys.readouterr().out
    assert "adopted: generation 1" in printed and "annotations removed" in printed and "9/12" in printed and "for `remove --site`" in printed
    assert main.main([*args, "--epochs", "3"]) == improve_cli.NOT_ADOPTED and trainer.seen[1][1]["recipe"].epochs == 3
    assert "NOT adopted: generation 2" in capsys.readouterr().out
    assert main.main([*args, "--history"]) == 2 and main.main(["improve", str(tmp_path / "none"), "--history"]) == 2
    assert "take nothing else" in (told := capsys.readouterr().err) and "no such site folder yet" in told


@pytest.mark.train
@pytest.mark.long
def test_the_whole_loop_from_a_review_to_weights_that_remove_uses(tmp_path):
    """remove, review, apply, improve, remove --site; the weights start from scratch and what comes of them is what it is."""
    pytest.importorskip("ultralytics", reason="the extra 'train' is not installed")
    audit = corrected(tmp_path, 16)
    labels = audit / "review" / "labels"
    split = "".join(f"{p.name},{p.stem},{'train' if i else 'val'}\n" for i, p in enumerate(sorted((labels / "images").iterdir())))
    (labels / "split.csv").write_text("image,patient,split\n" + split)
    best = train_localizer.train([labels], tmp_path / "scratch", epochs=1, window=96, image_size=128, windows_per_epoch=4, batch=4, loader_workers=0)
    checkpoints.save_checkpoint(best, tmp_path / "base.pt")
    onnx = localizer_files.export_onnx(tmp_path / "base.pt", tmp_path / "base.onnx")
    localizer_files.write_card(onnx, arch="yolov8n", class_names=train_localizer.CLASS_NAMES, image_size=128, threshold=0.3)
    card = finetune.finetune(labels, tmp_path / "tuned.pt", weights=tmp_path / "base.pt", keep={}, recipe=TINY, folds=0, loader_workers=0)
    assert card["data"]["images"] < 18 and card["metrics"]["marker recall"]["after"]["n"] == 2, "`finetune` takes the labels as they are"
    args = ["improve", str(tmp_path / "site"), str(audit), "--weights", str(tmp_path / "base.pt"), "--keep", "none", "--epochs", "1", "--repeat", "2",
        "--batch", "4", "--blend", "1", "--loader-workers", "0"]
    code = main.main(args)
    row = json.loads((tmp_path / "site" / "history.jsonl").read_text().splitlines()[-1])
    assert row["training"]["pictures"] == 10 and row["validation"]["annotations"] == 12 and row["recipe"]["epochs"] == 1
    assert row["weights"]["sha256"] != row["compared_with"] and code == (0 if row["adopted"] else improve_cli.NOT_ADOPTED)
    assert row["adopted"] == (not adoption_rule.objections(row["results"]))
    main.main(["remove", str(tmp_path / "in"), "-o", str(tmp_path / "again"), "--site", str(tmp_path / "site"), "--time-limit", "0"])
    summary = json.loads((tmp_path / "again-audit" / "summary.json").read_text())
    used = read_card(site_profile.read(tmp_path / "site").weights)
    assert summary["weights"]["sha256"] == used["sha256"] and summary["counts"]["failed"] == 0
    assert used["sha256"] == (row["weights"]["sha256"] if row["adopted"] else row["compared_with"])


def test_every_module_of_the_package_says_what_it_holds():
    names = {p.stem for p in Path(improve.__file__).parent.glob("*.py")} - {"__init__"}
    assert all(name in improve.__doc__ for name in names)
