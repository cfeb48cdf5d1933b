"""Which of some images a text means: by path below their folder, or where that is all there is and only one is so called, by name."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from ..errors import UsageError
from ..system import user_text
from ..system.user_text import Table

HEADINGS = ("image", "images", "file", "filename", "file_name", "name", "path")  # of the column of images, else it is the first
SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom", ".dic", ".bmp"))
PART_HEADINGS = ("split", "part")  # of the column that says train or val, else it is the last


def cleaned(said: str) -> str:
    """A path as people write it, as POSIX, without `.` and without what leads up.

    >>> cleaned("..\\\\images\\\\a.png"), cleaned("./p1//a.png")
    ('images/a.png', 'p1/a.png')
    """
    parts = [part for part in said.strip().replace("\\", "/").split("/") if part not in ("", ".")]
    while parts and parts[0] == "..":
        parts = parts[1:]
    return "/".join(parts)


def folded(path: str) -> str:
    """What spellings of a path have in common: case and how accents are composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def without_suffix(path: str) -> str:
    """A path less the suffixes of image files; DICOM files are often named by a UID, whose last number is none.

    >>> without_suffix("p.1/a.dcm"), without_suffix("a.DCM.png"), without_suffix("1.2.840.3")
    ('p.1/a', 'a', '1.2.840.3')
    """
    while (end := PurePosixPath(path).suffix).lower() in SUFFIXES:
        path = path[: -len(end)]
    return path


class ImageNames:
    """Paths of images, POSIX, below their folder."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._levels: tuple[dict[str, list[str]], ...] = tuple(defaultdict(list) for _ in range(3))
        self._bases: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            for level, key in zip(self._levels, (path, folded(path), folded(without_suffix(path)))):
                level[key].append(path)
            self._bases[folded(PurePosixPath(path).name)].append(path)

    def find(self, said: str) -> list[str]:
        """The images of this path: written just so, else with other capitals, else with another suffix; [] for none."""
        path = cleaned(said)
        for level, key in zip(self._levels, (path, folded(path), folded(without_suffix(path)))):
            if key in level:
                return list(level[key])
        return []

    def called(self, said: str) -> list[str]:
        """The images anywhere with the name of this path, suffix included."""
        return list(self._bases.get(folded(PurePosixPath(cleaned(said)).name), []))

    def meant(self, said: str) -> list[str]:
        """`find`, or the images of a bare name anywhere."""
        return self.find(said) or ([] if "/" in cleaned(said) else self.called(said))


def rows_of(table: Table, images: Iterable[str], wanted: Iterable[str] = ()) -> dict[str, dict[str, str]]:
    """Image -> heading -> cell, for all images that a table has a row of.

    Args:
        images: paths below their folder.  wanted: headings that two rows of an image must agree on; all by default.

    Raises:
        UsageError: a row could mean several images, or two rows of an image say different things.
    """
    names, found = ImageNames(images), {}
    place = next((table.header.index(h) for h in HEADINGS if h in table.header), 0)
    for line, row in zip(table.lines, table.rows):
        meant = names.meant(row[place])
        if len(meant) > 1:
            raise UsageError(f"{table.path}, line {line}: {row[place]} could be {' or '.join(sorted(meant)[:2])}: write the path")
        cells = dict(zip(table.header, row))
        for image in meant:
            before = found.setdefault(image, cells)
            for heading in wanted or table.header:
                if heading in cells and heading != table.header[place] and before[heading] != cells[heading]:
                    raise UsageError(f"{table.path}, line {line}: {row[place]} is there twice, with different {heading}")
    return found


def part_heading(table: Table) -> str:
    """The heading of the column that says which part an image belongs to."""
    return next((h for h in PART_HEADINGS if h in table.header), table.header[-1])


def same_part(one: str, other: str) -> bool:
    """Whether two cells name the same part, whatever their capitals."""
    return one.strip().casefold() == other.strip().casefold()


def column(source: str, heading: str, images: Iterable[str], *, needed: bool = True) -> Mapping[str, str]:
    """Image -> what a CSV file says of it below a heading; nothing where there is no such heading and it is not `needed`.

    Raises:
        UsageError: see `user_text.read_table` and `rows_of`; or the heading is needed and not there.
    """
    table = user_text.read_table(source)
    if heading not in table.header and not needed:
        return {}
    table.column(heading)
    return {image: cells[heading] for image, cells in rows_of(table, images, (heading,)).items()}
