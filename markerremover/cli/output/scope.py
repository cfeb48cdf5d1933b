"""What `remove` prints about files that the weights were not validated on, recognisable persons, and burned-in sides."""

from __future__ import annotations

from typing import Any

from ...system.wording import counted, verb
from .outcomes import shown

MOST_NAMED = 10  # greatest number of files that a warning names


def scope_lines(summary: dict[str, Any]) -> list[str]:
    """Warnings of a run about its scope and about burned-in sides that their header contradicts; [] where there is nothing to tell.

    Args:
        summary: the content of summary.json.
    """
    lines, sides = [], summary["laterality"]
    if n := summary["outside_validation"]:
        lines.append(f"warning: {counted(n, 'file')} {verb(n, 'is', 'are')} not what the weights were validated on; other kinds than projection radiographs are held "
                     "unless --allow-modality names them (see modality and reason in manifest.jsonl)")
    if n := summary["recognizable"]:
        lines.append(f"warning: in {counted(n, 'file')} a person may be recognised by the picture itself (see recognizable in manifest.jsonl)")
    if n := sides["disagree"]:
        named = ", ".join(map(shown, sides["disagreeing"][:MOST_NAMED]))
        more = n - min(len(sides["disagreeing"]), MOST_NAMED)
        names = ", ".join(filter(None, (named, f"{more} more" if named and more else ""))) or "see laterality in manifest.jsonl"
        lines.append(f"warning: {counted(n, 'file')} whose burned-in side disagrees with {verb(n, 'its', 'their')} header: {names}")
    if n := sides["flipped"]:
        lines.append(f"warning: {counted(n, 'frontal film')} may be reversed left to right (see laterality in manifest.jsonl)")
    return lines
