"""The path of a watched file's result: that of the file, with pseudonyms for what identifies, as in a run of `remove`.

A run reads all headers before it names anything. A watched folder never has all of them: a part of a path that a header names gets its pseudonym
from then on, in all paths; `paths = "pseudonym"` gives one to every part from the start.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...errors import ReadError
from ...formats import images, read_apart
from ...headers import identifiers
from ...headers.profile import HeaderProfile
from ...records import Telling
from ...run.output_paths import renamed
from ..spool import is_safe

HEADER_S = 60.0  # time limit for parsing a header, seconds


def read_header(path: Path) -> Telling | None:
    """Identifiers of a file's header, read in another process; None where it cannot be read to the end."""
    if not images.may_be_dicom(path):
        return frozenset()
    try:
        return read_apart.call(images.path_parts, path, HEADER_S)
    except ReadError:
        return None


class ResultNames:
    """Names results.

    Args:
        mode: one of `options.PATHS`.  profile: of the node; its key makes the pseudonyms.
        known: parts of paths that a header was found to name.  remember: called with further ones.
        telling: as `read_header`.
    """

    def __init__(
        self, mode: str, profile: HeaderProfile, known: set[str], remember: Callable[[set[str]], None],
        telling: Callable[[Path], Telling | None] = read_header,
    ) -> None:
        self._mode = "keep" if mode == "auto" and profile.mode == "keep" else mode
        self._profile, self._known, self._remember, self._telling = profile, set(known), remember, telling

    def of(self, path: Path, relative: str) -> str:
        """The path of a result below the output folder.

        Args:
            path: a copy of the file.  relative: path of the file below the watched folder.
        """
        if self._mode == "pseudonym" or (self._mode == "auto" and (telling := self._telling(path)) is None):
            return renamed(relative, self._profile, lambda part: True)  # of a header that cannot be read nobody knows what it names
        if self._mode == "keep":
            return relative if _is_plain(relative) else renamed(relative, self._profile, lambda part: not _is_plain(part))
        holds = identifiers.in_path(telling) if telling else lambda part: False
        new = {part for part in relative.split("/") if holds(part)} - self._known
        if new:
            self._remember(new)
            self._known |= new
        return renamed(relative, self._profile, lambda part: part in self._known or not _is_plain(part) or holds(part))


def _is_plain(part: str) -> bool:
    """Whether a path can be recorded, and be created on every system."""
    try:
        part.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return is_safe(part) and part.isprintable()
