"""Font files of a user, and whether fonts have glyphs for texts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PIL import ImageFont

from ...errors import UsageError
from ..marks import fonts
from . import templates
from .records import Layout

SUFFIXES = (".ttf", ".otf")
MISSING = "\U0010fffe"  # a code point that is no character, so that every font shows its glyph for missing ones


def of_folder(folder: Path | str) -> tuple[str, ...]:
    """Paths of the TTF and OTF files of a folder, sorted, each opened once.

    Raises:
        UsageError: there is no such folder, it has no font, or fonts of it cannot be read: each is named.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"{folder}: is no folder, fonts are a folder of {' and '.join(SUFFIXES)} files")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    if not paths:
        raise UsageError(f"{folder}: holds no {' or '.join(SUFFIXES)} file")
    problems = [problem for path in paths if (problem := _problem(path))]
    stems = [path.stem for path in paths]
    problems += [f"two files are named {stem}" for stem in sorted({stem for stem in stems if stems.count(stem) > 1})]
    if problems:
        raise UsageError(f"{folder}: " + "; ".join(problems))
    return tuple(map(str, paths))


def check_plain(paths: Iterable[str]) -> None:
    """Check that fonts have the characters of drawn headers, positions and markers.

    Raises:
        UsageError: one lacks some.
    """
    problems = [f"{Path(path).name} has no glyphs for {_shown(lacking)}" for path in paths if (lacking := lacking_in(path, templates.ALL_CHARACTERS))]
    if problems:
        raise UsageError("; ".join(problems) + "; a layout can keep such a font for texts that it has")


def chosen(layout: Layout, split: str, user_paths: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """The font files of each mark of a layout, by its name: those it names, else all of the user, else all that are shipped for the split.

    Raises:
        UsageError: a font is unknown, or lacks glyphs for a text: every case is named.
    """
    shipped = fonts.font_files(split)
    by_name = {Path(path).stem: path for path in (*shipped, *user_paths)}
    result, problems = {}, []
    for index, mark in enumerate(layout.marks):
        unknown = [name for name in mark.fonts if name not in by_name]
        if unknown:
            problems.append(f"marks[{index}].fonts has {', '.join(map(repr, unknown))}, allowed are {', '.join(sorted(by_name))}")
        result[mark.name] = tuple(by_name[name] for name in mark.fonts if name in by_name) or user_paths or shipped
        needed = _characters(mark.texts, dict(layout.texts))
        for path in result[mark.name]:
            if lacking := lacking_in(path, needed):
                problems.append(f"marks[{index}].texts: font {Path(path).stem} has no glyphs for {_shown(lacking)}; name other fonts in marks[{index}].fonts")
    if problems:
        raise UsageError(f"{layout.source}: " + "\n  ".join(["", *problems] if len(problems) > 1 else problems))
    return result


def lacking_in(path: str, characters: Iterable[str]) -> list[str]:
    """Those of the characters for which a font has no glyph: they are drawn as nothing or as its sign for missing ones. Sorted."""
    font = ImageFont.truetype(path, 32)
    missing = _drawn(font, MISSING)
    return sorted(c for c in set(characters) if not c.isspace() and _drawn(font, c) in (missing, None))


def _drawn(font: ImageFont.FreeTypeFont, character: str) -> tuple[tuple[int, int], bytes] | None:
    """Size and pixels of a character; None if it has no ink."""
    mask = font.getmask(character)
    return (mask.size, bytes(mask)) if mask.getbbox() else None


def _characters(texts: Iterable[str], lists: dict[str, tuple[str, ...]]) -> frozenset[str]:
    """All characters that texts may have, names in braces replaced."""
    needed: set[str] = set()
    for text in texts:
        needed |= set(templates.plain_part(text))
        for name in templates.names_in(text):
            needed |= _characters(lists[name], {}) if name in lists else templates.CHARACTERS[name]
    return frozenset(needed)


def _problem(path: Path) -> str:
    try:
        font = ImageFont.truetype(str(path), 32)
        return "" if font.getmask("H").getbbox() else f"{path.name} draws nothing for the letter H, which sizes are measured by"
    except (OSError, ValueError) as error:
        return f"{path.name} cannot be read as a font ({type(error).__name__})"


def _shown(characters: list[str]) -> str:
    few = " ".join(characters[:12])
    return few + (f" and {len(characters) - 12} more" if len(characters) > 12 else "")
