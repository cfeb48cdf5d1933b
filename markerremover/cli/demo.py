"""A dozen synthetic radiographs, cleaned: `markerremover demo`."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..errors import UsageError

COUNT, SEED = 12, 20_261
PRINTED_NAMES = ("in", "out", "out-audit")


def run_demo(folder: Path) -> int:
    """Create `folder`/in, clean it into `folder`/out, print the summary; returns an exit code.

    The three folders of an earlier demo are replaced; a folder that holds anything else is refused.

    Raises:
        UsageError: `folder` holds something that is not from a demo.
    """
    from ..run.batch import remove
    from ..run.progress import show_progress
    from ..synthesis import synthesize
    from .remove import print_summary

    strangers = sorted(p.name for p in folder.iterdir() if p.name not in PRINTED_NAMES) if folder.is_dir() else []
    if strangers:
        raise UsageError(f"{folder} holds {strangers[0]}, which no demo made: choose another folder")
    for name in PRINTED_NAMES:
        shutil.rmtree(folder / name, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    synthesize(folder / "in", COUNT, SEED, split="eval", formats=("png", "dcm"), bodies=("chest", "pelvis"))
    with show_progress() as progress:
        summary = remove([folder / "in" / "images"], folder / "out", progress=progress)
    code = print_summary(summary)
    print(f"radiographs before: {folder / 'in' / 'images'}, after: {folder / 'out'}")
    return code
