"""What a data set says of an image beside its pixels: view, side, body part, spacing, flags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..formats.dicom import windows
from ..records import Radiograph

SIDES = {"L": "left", "LT": "left", "LEFT": "left", "R": "right", "RT": "right", "RIGHT": "right"}
BOTH = "both"
_CODE = re.compile(r"[A-Z0-9_ ]{1,16}")  # a DICOM code string: no free text


def of_header(radiograph: Radiograph) -> dict[str, str]:
    """View, body part and modality of a DICOM file, "" where it does not say or says something other than a code."""
    header = radiograph.source.dataset if radiograph.format == "DICOM" else {}
    named = {"view": "ViewPosition", "body_part": "BodyPartExamined", "modality": "Modality"}
    values = {name: str(header.get(keyword, "") or "").strip() for name, keyword in named.items()}
    return {name: value if _CODE.fullmatch(value) else "" for name, value in values.items()}


def side(row: Mapping[str, Any], frame: int, meanings: Mapping[str, str]) -> str:
    """"left", "right", "both" or "" for a frame: what the row says, else what its retained laterality markers say.

    Args:
        row: of the manifest.
        meanings: text of a laterality marker -> "left" or "right", of the site profile; those of English are known.

    >>> side({"boxes": [{"action": "keep", "frame": 0, "text": "LT"}]}, 0, {}), side({"laterality": {"side": "R"}, "boxes": []}, 0, {})
    ('left', 'right')
    """
    known = SIDES | {text.upper(): meaning for text, meaning in meanings.items()}
    told = row.get("laterality")
    if isinstance(told, Mapping) and "side" in told:
        text = str(told["side"] or "")
        return known.get(text.upper(), text.lower() if text.lower() in ("left", "right", BOTH) else "")
    read = {known.get(str(box.get("text", "")).upper(), "") for box in row.get("boxes", ()) if box["action"] == "keep" and box["frame"] == frame} - {""}
    return BOTH if len(read) > 1 else next(iter(read), "")


def flags(row: Mapping[str, Any]) -> list[str]:
    """The quality flags of a row, as text."""
    told = row.get("quality") or ()
    named = (item.get("flag", "") if isinstance(item, Mapping) else item for item in (told if isinstance(told, (list, tuple)) else (told,)))
    return [str(flag) for flag in named if flag]


def plain(value: Any) -> str:
    """A field that another version may write as text, list or object, as text."""
    if isinstance(value, Mapping):
        return ""
    if isinstance(value, (list, tuple)):
        return "; ".join(plain(part) for part in value)
    return "" if value is None else str(value)


def spacing_mm(radiograph: Radiograph) -> tuple[float, float] | None:
    """Distance of rows and of columns in millimetres: of Pixel Spacing, else of Imager Pixel Spacing, at the detector; None where unknown."""
    if radiograph.format != "DICOM":
        return None
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        values = windows.numbers(radiograph.source.dataset, keyword)
        if len(values) == 2 and min(values) > 0:
            return values[0], values[1]
    return None


def resized_mm(spacing: tuple[float, float] | None, scale_yx: tuple[float, float], turned: bool) -> tuple[float | str, float | str]:
    """Spacing of rows and of columns in a picture, "" where unknown.

    Args:
        spacing: of the stored pixels.  scale_yx: see `rendering.Picture`.  turned: whether rows and columns are exchanged.

    >>> resized_mm((0.1, 0.2), (0.5, 0.25), False)
    (0.2, 0.8)
    """
    if spacing is None:
        return "", ""
    rows, columns = reversed(spacing) if turned else spacing
    return round(rows / scale_yx[0], 6), round(columns / scale_yx[1], 6)


def share_of(values: Iterable[str]) -> dict[str, int]:
    """Value -> number of times, most frequent first; "" is named "unknown"."""
    counts: dict[str, int] = {}
    for value in values:
        counts[value or "unknown"] = counts.get(value or "unknown", 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
