"""The places for which a file was held, or would have been: what the run still found, from the manifest alone. Pure."""

from __future__ import annotations

from typing import Any

SENT = ("frame", "xyxy", "score", "label", "reason")  # never what was read


def places(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The boxes for which a file is held, without readings; [] for other files.

    Args:
        row: of the manifest. Rows of earlier versions lack `held_for`: then the boxes of the verification and of the comparison with the header,
            around which the file was searched in vain.
    """
    if row["status"] != "held" and not row.get("released_held"):
        return []
    found = row["held_for"] if "held_for" in row else _searched_in_vain(row["boxes"])
    return [{key: box[key] for key in SENT} for box in found]


def _searched_in_vain(boxes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from ..redaction import readable_text, verify  # loads OpenCV

    return [box for box in boxes if box["label"] in (verify.LABEL, readable_text.HEADER_LABEL)]
