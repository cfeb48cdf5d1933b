"""How well a localizer finds and ranks boxes: mAP at IoU 0.5 and the area under its precision-recall curve, by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import UsageError
from ..records import LATERALITY, MARKER, UNCERTAIN, Annotation, Detections

IOU = 0.5
MOST = 1000  # highest number of detections per image that are scored
ANY = "any annotation"  # key of the JSON document: both classes as one


def precision_recall(pairs: Sequence[tuple[Annotation, Detections]]) -> dict[str, dict[str, Any]]:
    """Average precision of each kind of element, and of all as one kind as in Khosravi et al. 2023.

    Args:
        pairs: the truth of each image and the localizer's detections in it, both in the same pixels, down to its lowest score.

    Returns:
        "any annotation", "laterality" and "marker" -> {"ap50": COCO's average precision at IoU 0.5 (mean precision at 101 recalls),
        "auprc": area under the curve itself, step by step, "n": elements, "recall", "precision", "score": the curve, score descending};
        and "map50": the mean of the two kinds' `ap50`. None where there are no elements. `uncertain` elements count neither way.

    Raises:
        UsageError: pycocotools is not installed (extra `evaluate`).
    """
    kinds: dict[str, tuple[str, ...]] = {ANY: (LATERALITY, MARKER), LATERALITY: (LATERALITY,), MARKER: (MARKER,)}
    result: dict[str, Any] = {name: _one_kind(pairs, members) for name, members in kinds.items()}
    averages = [result[name]["ap50"] for name in (LATERALITY, MARKER) if result[name]["ap50"] is not None]
    return {"map50": round(float(np.mean(averages)), 4) if averages else None, **result}


def _one_kind(pairs: Sequence[tuple[Annotation, Detections]], kinds: Sequence[str]) -> dict[str, Any]:
    """The entry of `precision_recall` for some classes taken as one."""
    coco, evaluator = _pycocotools()
    truth: dict[str, Any] = {"info": {}, "images": [], "annotations": [], "categories": [{"id": 1, "name": "annotation"}]}
    boxes: list[dict[str, Any]] = []
    for number, (annotation, detections) in enumerate(pairs, 1):
        h, w = annotation.shape_hw
        truth["images"].append({"id": number, "height": h, "width": w})
        for element in annotation.elements:
            if element.kind in kinds or element.kind == UNCERTAIN:
                box = _xywh(element.xyxy)
                truth["annotations"].append({
                    "id": len(truth["annotations"]) + 1, "image_id": number, "category_id": 1, "bbox": box, "area": box[2] * box[3],
                    "iscrowd": int(element.kind == UNCERTAIN),
                })
        for xyxy, score, index in zip(detections.xyxy, detections.scores, detections.class_ids):
            if len(kinds) > 1 or detections.class_names[index] in kinds:
                boxes.append({"image_id": number, "category_id": 1, "bbox": _xywh(xyxy), "score": float(score)})
    count = sum(not a["iscrowd"] for a in truth["annotations"])
    empty: dict[str, Any] = {"ap50": None if not count else 0.0, "auprc": None if not count else 0.0, "n": count, "recall": [], "precision": [], "score": []}
    if not count or not boxes:
        return empty
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        reference = coco()
        reference.dataset = truth
        reference.createIndex()
        run = evaluator(reference, reference.loadRes(boxes), "bbox")
        run.params.iouThrs, run.params.maxDets, run.params.areaRng, run.params.areaRngLbl = np.array([IOU]), [MOST], [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][0, :, 0, 0, 0]
    recall, exact, scores = _curve(run.evalImgs, count)
    return {
        "ap50": round(float(precision[precision > -1].mean()), 4),
        "auprc": round(float((np.diff(recall, prepend=0.0) * exact).sum()), 4), "n": count,
        "recall": [round(float(v), 4) for v in recall], "precision": [round(float(v), 4) for v in exact],
        "score": [round(float(v), 4) for v in scores],
    }


def _curve(images: Sequence[dict[str, Any] | None], count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recall, precision and score after each detection, the best scored first."""
    rows = [
        (score, bool(match)) for image in images if image is not None
        for score, match, ignored in zip(image["dtScores"], image["dtMatches"][0], image["dtIgnore"][0]) if not ignored
    ]
    rows.sort(key=lambda row: -row[0])
    hits = np.cumsum([match for _, match in rows], dtype=float)
    return hits / count, hits / np.arange(1, len(rows) + 1), np.array([score for score, _ in rows])


def _xywh(xyxy: Sequence[float]) -> list[float]:
    x1, y1, x2, y2 = map(float, xyxy)
    return [x1, y1, x2 - x1, y2 - y1]


def _pycocotools() -> tuple[Any, Any]:
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise UsageError("mAP needs the extra 'evaluate': pip install 'markerremover[evaluate]' (pycocotools is not installed)") from error
    return COCO, COCOeval
