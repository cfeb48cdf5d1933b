"""Why a reading must not be trusted: what `Reading.doubt` says, and the reason of the decision that follows from it."""

from __future__ import annotations

PART_OF_TEXT = "part of a longer text"
BESIDE = "beside a larger laterality marker"
TOUCHES = "touches other strokes"
"""In manifests of earlier versions only."""
NOTHING = "nothing to read"
DOUBTS = (PART_OF_TEXT, BESIDE, TOUCHES, NOTHING)
"""Every doubt there is; read text never appears in one."""
