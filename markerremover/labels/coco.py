"""COCO JSON of many `Annotation`s; `truth` reads it back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..records import LATERALITY, MARKER, UNCERTAIN, Annotation

CATEGORIES = (LATERALITY, MARKER)
"""Names of the categories; their ids are 1 and 2."""


def text(annotations: Iterable[Annotation]) -> str:
    """Annotations as the text of one COCO file; ids of images and boxes count from 1, in the given order.

    `bbox` is x, y, width, height in pixels. An uncertain annotation has `iscrowd` 1, so that COCO's evaluation ignores it, and the category
    "marker". The text of an annotation is `attributes.text`.
    """
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for number, annotation in enumerate(annotations, 1):
        height, width = annotation.shape_hw
        images.append({"id": number, "file_name": annotation.image, "height": height, "width": width})
        for element in annotation.elements:
            x1, y1, x2, y2 = element.xyxy
            uncertain = element.kind == UNCERTAIN
            boxes.append({
                "id": len(boxes) + 1, "image_id": number, "category_id": CATEGORIES.index(MARKER if uncertain else element.kind) + 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": int(uncertain), "segmentation": [],
                "attributes": {"text": element.text},
            })
    categories = [{"id": number, "name": name, "supercategory": "burned-in annotation"} for number, name in enumerate(CATEGORIES, 1)]
    return json.dumps({"info": {"description": "burned-in annotations"}, "images": images, "annotations": boxes, "categories": categories}) + "\n"
