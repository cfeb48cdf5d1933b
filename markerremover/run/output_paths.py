"""Output paths that name nobody: which parts of the inputs' paths get a pseudonym instead.

A folder or file name counts as telling if it holds a name, an ID, a birth date or a UID of the header of any file of the run: a
stray file in a folder that carries another patient's name has no such name in its own header. A telling part gets a pseudonym as a
whole, since what stands beside the name may tell as much; the same part gets the same one everywhere, under one key.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import ReadError
from ..headers import identifiers
from ..headers.profile import HeaderProfile
from ..records import Identifier, Telling
from ..system.files import write_private
from . import inputs
from .inputs import Input

MAP = "paths.jsonl"
SUFFIXES = frozenset({".dcm", ".dicom", ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".tif", ".tiff"})
"""What stays of a file name; of any other suffix nothing does, it may be a name."""
UNREADABLE = "its header cannot be read to the end, so whether paths hold a name of it cannot be told"


def assign(found: Sequence[Input], mode: str, profile: HeaderProfile, telling: Callable[[Path], Telling | None]) -> list[Input]:
    """The inputs with the paths that they get below OUT.

    Args:
        mode: one of `options.PATHS`; with "auto" and headers that are kept, paths are too.
        telling: what of a file's header must not stand in a path, see `header_identifiers.identifiers_of`; None where its header cannot be
            read to the end. It may raise a ReadError, which is then the file's problem.

    Returns:
        The same inputs in the same order. Those whose new paths are the same come back with a problem, all of them, and so do,
        in mode "auto", those whose header cannot be read.
    """
    if mode == "keep" or (mode == "auto" and profile.mode == "keep"):
        return list(found)
    if mode == "pseudonym":
        return inputs.fail_clashes([replace(i, relative=_renamed(i.relative, profile, lambda part: True)) for i in found])
    parts: set[Identifier] = set()
    checked = []
    for item in found:
        try:
            own = frozenset() if item.problem else telling(item.source)
            checked.append(item if own is not None else replace(item, problem=UNREADABLE))
        except ReadError as error:
            own = None
            checked.append(replace(item, problem=str(error)))
        parts |= own or frozenset()
    if not parts:
        return inputs.fail_clashes(checked)
    holds = functools.cache(identifiers.in_path(frozenset(parts)))
    return inputs.fail_clashes([replace(i, relative=_renamed(i.relative, profile, holds)) for i in checked])


def _renamed(relative: str, profile: HeaderProfile, tells: Callable[[str], bool]) -> str:
    """A path with a pseudonym for every part that tells."""
    *folders, name = parts = PurePosixPath(relative).parts
    told = identifiers.telling_parts(tells, parts)
    new = [profile.pseudonym("path", part) if i in told else part for i, part in enumerate(folders)]
    suffix = PurePosixPath(name).suffix
    kept = suffix if suffix.lower() in SUFFIXES else ""
    return "/".join([*new, profile.pseudonym("path", name) + kept.lower() if len(folders) in told else name])


def write_map(audit: Path, before: Sequence[Input], after: Sequence[Input]) -> int:
    """Write which path became which into the audit, where any did; returns how many did."""
    changed: list[dict[str, Any]] = [
        {"input": old.relative, "relative": new.relative} for old, new in zip(before, after) if old.relative != new.relative
    ]
    target = audit / MAP
    if changed:
        write_private(target, "".join(json.dumps(row) + "\n" for row in changed))
    else:
        target.unlink(missing_ok=True)
    return len(changed)
