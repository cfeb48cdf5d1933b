"""The page of an evaluation: everything that went wrong is on it, nothing else can read it, nothing comes from elsewhere."""

import re
import stat
import sys

import cv2
import pytest
from test_evaluation import Reads, before, evaluated, manifest, site  # noqa: F401

from markerremover.cli import main
from markerremover.errors import UsageError
from markerremover.evaluation import report

pytest.importorskip("matplotlib")


def written(site, **options):  # noqa: F811
    document, rows = evaluated(site, **options)
    return report.write(site / "report", document, rows, site / "in", site / "out").read_text(), document


def test_every_failure_is_shown_before_beside_after(site):  # noqa: F811
    result = cv2.imread(str(site / "out" / "sub" / "p1_a.png"), 0)
    result[200:240, 100:160] = 0
    result[40:80, 220:250] = 0
    cv2.imwrite(str(site / "out" / "sub" / "p1_a.png"), result)
    (site / "out" / "sub" / "p2_c.png").unlink()
    text, _ = written(site)
    pictures = re.findall(r'src="(pictures/[^"]+)"', text)
    assert [p.split("-", 1)[1] for p in pictures] == ["laterality-markers-lost-00.png", "false-00.png", "missed-00.png", *(f"leaks-{i:02d}.png" for i in range(len(pictures) - 3))]
    assert "p2_c.png" in text and "no result" in text
    lost = cv2.imread(str(site / "report" / pictures[0]), 0)
    half = lost.shape[1] // 2
    assert lost[:, :half].max() > 200 and (lost[:, half + 6 :] < 20).mean() > 0.05 > (lost[:, :half] < 20).mean()


def test_only_its_owner_may_read_it_and_it_loads_nothing(site):  # noqa: F811
    text, _ = written(site)
    for path in [site / "report", *(site / "report").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert "default-src 'none'" in text and "http" not in text.replace("http-equiv", "") and "<script" not in text
    assert text.startswith("<!DOCTYPE html>") and "un-redacted" in text


def test_figures_breakdowns_and_patients_are_on_it(site):  # noqa: F811
    manifest(site, {"relative": "sub/p1_a.png", "status": "cleaned", "boxes": []})
    (site / "split.csv").write_text("image,patient,part\np1_a.png,anna,val\np1_b.png,anna,val\np2_c.png,berta,val\n")
    text, document = written(site, reader=Reads, split=f"{site / 'split.csv'}=val")
    for part in ("By kind of annotation", "laterality marker, upright", "By height", "By site", "published: home site", "Patients with errors: 1 of 2",
                 "50.0 % (1/2; 1–99)", document["sentences"][0]):
        assert part in text
    assert cv2.imread(str(site / "report" / "height.png")).shape[0] > 200


def test_the_curve_of_the_localizer_is_drawn(site):  # noqa: F811
    pytest.importorskip("pycocotools")
    from test_average_precision import found

    text, document = written(site, localizer=lambda: lambda display, threshold: found(((40, 40, 140, 70), 0.9, "marker")))
    assert document["localizer"]["any annotation"]["recall"] and 'src="precision-recall.png"' in text and "mAP-50" in text


def test_names_of_files_are_shown_as_text(site):  # noqa: F811
    document, rows = evaluated(site)
    document["failures"][0]["image"] = "<img onerror=x>.png"
    text = report.page(document, {"<b>": {"images": 1, "annotations": 1, "removed": 0, "laterality_markers": 0, "retained": 0}}, [], [("<img onerror=x>.png", [])])
    assert "<img onerror" not in text and "&lt;img onerror" in text and "<b>" not in text


def test_a_folder_that_is_there_is_not_overwritten(site, capsys):  # noqa: F811
    (site / "report").mkdir()
    (site / "report" / "kept.txt").write_text("x")
    command = ["evaluate", str(site / "out"), "--truth", str(site / "truth"), "--inputs", str(site / "in"), "--no-ocr", "--workers", "1"]
    assert main.main([*command, "--report", str(site / "report")]) == 2
    assert "is there already" in capsys.readouterr().err and [p.name for p in (site / "report").iterdir()] == ["kept.txt"]


def test_without_matplotlib_it_says_what_to_install(site, monkeypatch):  # noqa: F811
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    document, rows = evaluated(site)
    with pytest.raises(UsageError, match="evaluate"):
        report.write(site / "report", document, rows, site / "in", site / "out")
    assert not (site / "report").exists()
