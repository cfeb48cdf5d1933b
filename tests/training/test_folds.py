import random
import shutil
from pathlib import Path

import pytest
from test_window_dataset import folder_of

from markerremover.errors import UsageError
from markerremover.labels.labelled_folder import Sample
from markerremover.records import Annotation, Element
from markerremover.training import folds
from markerremover.training.folds import Fold


def samples(patients, marked=()):
    """Two images a patient; those of `marked` patients have a marker."""
    def sample(patient, i):
        elements = (Element((1, 1, 5, 5), "marker"),) if patient in marked else ()
        return Sample(Path(f"{patient}_{i}.png"), Annotation(f"{patient}_{i}.png", (10, 10), elements), patient)

    return [sample(p, i) for p in patients for i in range(2)]


PATIENTS = [f"p{i}" for i in range(11)]


def test_every_image_is_dealt_once_and_no_patient_twice():
    parts = folds.deal(samples(PATIENTS), 4)
    assert sorted(len(part) for part in parts) == [4, 6, 6, 6] and sum(map(len, parts)) == 22
    assert sum(len({s.patient for s in part}) for part in parts) == 11


def test_the_deal_depends_on_the_patients_alone():
    mixed = samples(PATIENTS)
    random.Random(3).shuffle(mixed)
    assert folds.deal(mixed, 4) == folds.deal(samples(PATIENTS), 4)


def test_patients_with_markers_are_shared_out():
    parts = folds.deal(samples(PATIENTS, marked=PATIENTS[:4]), 4)
    assert [len({s.patient for s in part} & set(PATIENTS[:4])) for part in parts] == [1, 1, 1, 1]


@pytest.fixture
def site(tmp_path):
    """Nine images of five patients, two each but for the last."""
    return folder_of(tmp_path / "site", 9, split=[(f"p{i // 2}", "val" if i // 2 == 2 else "train") for i in range(9)])


@pytest.mark.parametrize("count, early_stop", [(5, True), (5, False), (3, True), (2, True), (99, True)])
def test_in_no_fold_is_a_patient_both_learnt_from_and_measured(site, count, early_stop):
    parts = folds.plan(site, count, early_stop=early_stop)
    assert len(parts) == min(count, 5)
    for part in parts:
        groups = [{s.patient for s in group} for group in (part.train, part.stop, part.held_out)]
        assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
        assert set().union(*groups) == {"p0", "p1", "p2", "p3", "p4"} and bool(part.stop) == early_stop
    held_out = [s.path.name for part in parts for s in part.held_out]
    assert sorted(held_out) == [f"p{i}_0.png" for i in range(9)]


def test_zero_folds_hold_out_the_val_rows(site):
    (part,) = folds.plan(site, 0, early_stop=True)
    assert {s.patient for s in part.held_out} == {"p2"} and {s.patient for s in (*part.train, *part.stop)} == {"p0", "p1", "p3", "p4"}


def test_a_fold_with_a_patient_on_two_sides_cannot_be_made():
    a, b = samples(["a"]), samples(["b"])
    for parts in ((a[:1], (), a[1:]), (a[:1], a[1:], b), (b, a[:1], a[1:])):
        with pytest.raises(UsageError, match="two of its parts"):
            Fold(0, *map(tuple, parts))
    with pytest.raises(UsageError, match="no training images"):
        Fold(0, (), (), tuple(a))


def test_what_cannot_be_divided_is_refused(site, tmp_path):
    for count in (1, -1):
        with pytest.raises(UsageError, match="allowed are 0"):
            folds.plan(site, count, early_stop=True)
    two = folder_of(tmp_path / "two", 2)
    with pytest.raises(UsageError, match="--patience 0"):
        folds.plan(two, 2, early_stop=True)
    assert len(folds.plan(two, 2, early_stop=False)) == 2
    with pytest.raises(UsageError, match="split.csv"):
        folds.plan(two, 0, early_stop=False)
    with pytest.raises(UsageError, match="1 patient"):
        folds.plan(folder_of(tmp_path / "one", 1), 5, early_stop=False)
    shutil.copy(site / "split.csv", site / "all.csv")
    (site / "split.csv").write_text((site / "all.csv").read_text().replace(",val", ",train"))
    with pytest.raises(UsageError, match="no row says val"):
        folds.plan(site, 0, early_stop=False)


def test_one_fold_of_everything_holds_nothing_out_and_divides_no_patient():
    every = samples([str(i) for i in range(10)])
    part = folds.whole(every, early_stop=True)
    assert not part.held_out and len(part.stop) == 4 and {s.path for s in (*part.train, *part.stop)} == {s.path for s in every}
    assert folds.whole(every, early_stop=False).stop == ()


def test_names_that_tell_no_patients_apart_are_refused_with_the_rule_and_what_to_do(tmp_path):
    """`annotate` makes cxr_p0 of cxr/p0: all are of the patient cxr, unless somebody says otherwise."""
    site = folder_of(tmp_path / "site", 3)
    for i in range(3):
        for part, suffix in (("images", "png"), ("annotations", "json")):
            (site / part / f"p{i}_0.{suffix}").rename(site / part / f"cxr_p{i}.{suffix}")
    with pytest.raises(UsageError, match="before the first _ .*3 images are of 1 patient .'cxr'.*split.csv.*--one-image-a-patient"):
        folds.plan(site, 5, early_stop=False)
    assert len(folds.plan(site, 5, early_stop=False, one_image_a_patient=True)) == 3
    (site / "split.csv").write_text("image;patient\n" + "".join(f"cxr_p{i}.png;{i}\n" for i in range(3)))
    assert len(folds.plan(site, 5, early_stop=False)) == 3
    (site / "split.csv").write_text("image;patient\n" + "".join(f"cxr_p{i}.png;7\n" for i in range(3)))
    with pytest.raises(UsageError, match="its split.csv names 1 patient .'7'."):
        folds.plan(site, 5, early_stop=False)
