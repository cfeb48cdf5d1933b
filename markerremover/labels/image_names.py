"""Finds the image that a text names: by path below the images' folder, or by a bare name that only one of them has."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from ..errors import UsageError
from ..system import user_text
from ..system.user_text import Table

HEADINGS = ("image", "images", "file", "filename", "file_name", "name", "path")  # headings of the column of images; without any of them it is the first column
SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom", ".dic", ".bmp"))
PART_HEADINGS = ("split", "part")  # headings of the column that says train or val; without any of them it is the last column


def cleaned(path: str) -> str:
    """A path as users write it, in POSIX form, without `.` and without leading `..`.

    >>> cleaned("..\\\\images\\\\a.png"), cleaned("./p1//a.png")
    ('images/a.png', 'p1/a.png')
    """
    parts = [part for part in path.strip().replace("\\", "/").split("/") if part not in ("", ".")]
    while parts and parts[0] == "..":
        parts = parts[1:]
    return "/".join(parts)


def folded(path: str) -> str:
    """A path with case and composition of accents normalised, for comparisons."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def without_suffix(path: str) -> str:
    """A path without the suffixes of image files. The last number of a UID, which often names a DICOM file, is no suffix.

    >>> without_suffix("p.1/a.dcm"), without_suffix("a.DCM.png"), without_suffix("1.2.840.3")
    ('p.1/a', 'a', '1.2.840.3')
    """
    while (end := PurePosixPath(path).suffix).lower() in SUFFIXES:
        path = path[: -len(end)]
    return path


class ImageNames:
    """Index of images by path and name. The paths are POSIX and relative to the images' folder."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._levels: tuple[dict[str, list[str]], ...] = tuple(defaultdict(list) for _ in range(3))
        self._bases: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            for level, key in zip(self._levels, (path, folded(path), folded(without_suffix(path)))):
                level[key].append(path)
            self._bases[folded(PurePosixPath(path).name)].append(path)

    def find(self, spelling: str) -> list[str]:
        """The images at a path: spelt exactly so, else in another case, else with another suffix; [] for none."""
        path = cleaned(spelling)
        for level, key in zip(self._levels, (path, folded(path), folded(without_suffix(path)))):
            if key in level:
                return list(level[key])
        return []

    def called(self, path: str) -> list[str]:
        """The images in any folder that have the file name of this path, suffix included."""
        return list(self._bases.get(folded(PurePosixPath(cleaned(path)).name), []))

    def meant(self, path: str) -> list[str]:
        """`find`, or for a bare name the images in any folder that have it."""
        return self.find(path) or ([] if "/" in cleaned(path) else self.called(path))


def rows_of(table: Table, images: Iterable[str], headings: Iterable[str] = ()) -> dict[str, dict[str, str]]:
    """Image -> heading -> cell, for all images with a row in a table.

    Args:
        images: paths below their folder.  headings: those in which two rows of an image must agree; all by default.

    Raises:
        UsageError: a row could mean several images, or two rows of an image differ.
    """
    names = ImageNames(images)
    result: dict[str, dict[str, str]] = {}
    place = next((table.header.index(h) for h in HEADINGS if h in table.header), 0)
    for line, row in zip(table.lines, table.rows):
        matches = names.meant(row[place])
        if len(matches) > 1:
            raise UsageError(f"{table.path}, line {line}: {row[place]} could be {' or '.join(sorted(matches)[:2])}: write the path")
        cells = dict(zip(table.header, row))
        for image in matches:
            first_cells = result.setdefault(image, cells)
            for heading in headings or table.header:
                if heading in cells and heading != table.header[place] and first_cells[heading] != cells[heading]:
                    raise UsageError(f"{table.path}, line {line}: {row[place]} is there twice, with different {heading}")
    return result


def part_heading(table: Table) -> str:
    """The heading of the column that names the part of an image."""
    return next((h for h in PART_HEADINGS if h in table.header), table.header[-1])


def same_part(a: str, b: str) -> bool:
    """Whether two cells name the same part; case does not matter."""
    return a.strip().casefold() == b.strip().casefold()


def column(source: str, heading: str, images: Iterable[str], *, needed: bool = True) -> Mapping[str, str]:
    """Image -> its cell in a column of a CSV file; empty where there is no such heading and it is not `needed`.

    Raises:
        UsageError: see `user_text.read_table` and `rows_of`; or the heading is needed and missing.
    """
    table = user_text.read_table(source)
    if heading not in table.header and not needed:
        return {}
    table.column(heading)
    return {image: cells[heading] for image, cells in rows_of(table, images, (heading,)).items()}
