"""Output paths without identifiers: parts of the inputs' paths are pseudonymised.

A folder or file name is identifying if it holds a name, an ID, a birth date or a UID of the header of any file of the run: a stray file in a
folder with another patient's name does not have that name in its own header. An identifying part is replaced as a whole, since the rest of
it may identify too; with one key equal parts get equal pseudonyms.
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
"""Suffixes that are retained in pseudonymised file names; others are dropped, since they may be a name."""
UNREADABLE = "its header cannot be read to the end, so it is unknown whether paths hold a name of it"


def assign(files: Sequence[Input], mode: str, profile: HeaderProfile, telling: Callable[[Path], Telling | None]) -> list[Input]:
    """The inputs with their paths below OUT.

    Args:
        mode: one of `options.PATHS`; with "auto" and kept headers, paths are kept too.
        telling: path -> identifiers of the file's header, see `header_identifiers.identifiers_of`; None where the header cannot be read
            completely. It may raise a ReadError, which becomes the file's problem.

    Returns:
        The same inputs in the same order. All those with equal new paths get a problem, and in mode "auto" also those whose header
        cannot be read.
    """
    if mode == "keep" or (mode == "auto" and profile.mode == "keep"):
        return list(files)
    if mode == "pseudonym":
        return inputs.fail_clashes([replace(i, relative=renamed(i.relative, profile, lambda part: True)) for i in files])
    parts: set[Identifier] = set()
    checked = []
    for item in files:
        try:
            of_file = frozenset() if item.problem else telling(item.source)
            checked.append(item if of_file is not None else replace(item, problem=UNREADABLE))
        except ReadError as error:
            of_file = None
            checked.append(replace(item, problem=str(error)))
        parts |= of_file or frozenset()
    if not parts:
        return inputs.fail_clashes(checked)
    holds = functools.cache(identifiers.in_path(frozenset(parts)))
    return inputs.fail_clashes([replace(i, relative=renamed(i.relative, profile, holds)) for i in checked])


def renamed(relative: str, profile: HeaderProfile, tells: Callable[[str], bool]) -> str:
    """A path with a pseudonym for every identifying part.

    Args:
        relative: POSIX path.  tells: whether a part identifies, or several that are joined by `/`, see `identifiers.telling_parts`.
    """
    *folders, name = parts = PurePosixPath(relative).parts
    identifying = identifiers.telling_parts(tells, parts)
    new = [profile.pseudonym("path", part) if i in identifying else part for i, part in enumerate(folders)]
    suffix = PurePosixPath(name).suffix
    known_suffix = suffix if suffix.lower() in SUFFIXES else ""
    return "/".join([*new, profile.pseudonym("path", name) + known_suffix.lower() if len(folders) in identifying else name])


def write_map(audit: Path, originals: Sequence[Input], renamed: Sequence[Input]) -> int:
    """Write the map of renamed paths into the audit, if there are any; returns their number."""
    changed: list[dict[str, Any]] = [
        {"input": old.relative, "relative": new.relative} for old, new in zip(originals, renamed) if old.relative != new.relative
    ]
    target = audit / MAP
    if changed:
        write_private(target, "".join(json.dumps(row) + "\n" for row in changed))
    else:
        target.unlink(missing_ok=True)
    return len(changed)
