"""`compare`: two runs on the same images, tested as pairs and as Khosravi et al. 2023 did."""

import json

import cv2
import pytest
from test_evaluation import before, evaluated, site  # noqa: F401
from test_judge import NAME, blacked

from markerremover.cli import main
from markerremover.errors import UsageError
from markerremover.evaluation import comparison, evaluate


@pytest.fixture
def other(site):  # noqa: F811
    """A second run: what the first missed is gone, but a sign went too, and something false in the third image."""
    (site / "b" / "sub").mkdir(parents=True)
    for name, boxes in (("p1_a", [NAME, (220, 40, 250, 80)]), ("p1_b", [NAME]), ("p2_c", [(10, 10, 40, 30)])):
        image = cv2.imread(str(site / "in" / "sub" / f"{name}.png"), 0)
        cv2.imwrite(str(site / "b" / "sub" / f"{name}.png"), blacked(image, *boxes))
    return site


def test_pairs_are_counted_and_images_named(other):
    a, b = (evaluate.evaluate(other / out, other / "truth", other / "in")[1] for out in ("out", "b"))
    document = comparison.compare(a, b)
    assert (document["recall"]["a"]["k"], document["recall"]["b"]["k"], document["recall"]["better"], document["recall"]["worse"]) == (1, 2, 1, 0)
    assert (document["retention"]["better"], document["retention"]["worse"]) == (0, 1)
    assert document["images"] == {"better": ["sub/p1_b.png"], "worse": ["sub/p1_a.png", "sub/p2_c.png"], "mixed": []}
    assert document["deid"]["p_fisher"] == 1 and document["deid"]["p_mcnemar"] == 1


@pytest.mark.parametrize(("better", "worse", "p"), [(0, 0, 1.0), (5, 5, 1.0), (8, 1, 0.0391), (1, 8, 0.0391), (10, 0, 0.00195)])
def test_mcnemars_test_is_exact_and_two_sided(better, worse, p):
    assert comparison.mcnemar(better, worse) == pytest.approx(p, abs=1e-4)


def test_runs_on_other_images_are_not_compared(other):
    a, b = evaluated(other)[1], evaluated(other)[1][1:]
    with pytest.raises(UsageError, match="same images"):
        comparison.compare(a, b)


def test_the_command_says_what_changed(other, capsys):
    command = ["compare", str(other / "out"), str(other / "b"), "--truth", str(other / "truth"), "--inputs", str(other / "in"),
               "--json", str(other / "c.json")]
    assert main.main(command) == 0
    printed = capsys.readouterr().out
    assert "A 50.0 % (1/2" in printed and "1 better, 0 worse" in printed and "worse: sub/p2_c.png" in printed
    assert json.loads((other / "c.json").read_text())["recall"]["better"] == 1


def test_missing_results_are_named_and_are_no_losses(other, capsys):
    (other / "b" / "sub" / "p1_b.png").unlink()
    (other / "out" / "sub" / "p2_c.png").unlink()
    command = ["compare", str(other / "out"), str(other / "b"), "--truth", str(other / "truth"), "--inputs", str(other / "in"), "--json", str(other / "c.json")]
    assert main.main(command) == 0
    printed, document = capsys.readouterr().out, json.loads((other / "c.json").read_text())
    assert "no result in A: sub/p2_c.png\n" in printed and "no result in B: sub/p1_b.png\n" in printed and "1 compared" in printed
    assert document["recall"]["worse"] == 0 and document["recall"]["a"]["n"] == 1 and document["missing"] == {"a": {"sub/p2_c.png": ""}, "b": {"sub/p1_b.png": ""}}
    a, b = (evaluate.evaluate(other / out, other / "truth", other / "in")[1] for out in ("out", "b"))
    assert comparison.compare(a, b, missing_count=True)["recall"]["a"]["n"] == 2, "new weights that hold a picture have not removed what is in it"
    (other / "b" / "sub" / "p1_a.png").write_bytes(b"broken")
    assert main.main(command) == 2 and "no image has a result in both" in capsys.readouterr().err


def test_what_the_runs_say_of_their_boxes_is_compared_as_published(other, capsys):
    for out, held in (("out", ()), ("b", ("p1_b",))):
        (other / f"{out}-audit").mkdir()
        rows = [{"relative": f"sub/{name}.png", "status": "held" if name in held else "cleaned", "reason": "why" * (name in held),
                 "boxes": [{"frame": 0, "xyxy": [38, 38, 142, 72], "action": "remove"}]} for name in ("p1_a", "p1_b", "p2_c")]
        (other / f"{out}-audit" / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (other / "b" / "sub" / "p1_b.png").unlink()
    command = ["compare", str(other / "out"), str(other / "b"), "--truth", str(other / "truth"), "--inputs", str(other / "in")]
    assert main.main(command) == 0
    printed = capsys.readouterr().out
    assert "no result in B: sub/p1_b.png (held: why)" in printed
    assert "as published, radiographs with every annotation but laterality markers removed: A 100.0 % (1/1" in printed and "1 radiograph without such annotations" in printed
