"""Which files a run takes, under which relative path each goes out, and which folders do not fit together."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from ..errors import UsageError


@dataclass(frozen=True)
class Input:
    """One thing found in an input folder.

    source: where it lies.  relative: POSIX path below OUT.  problem: "" or why it cannot even be tried.
    """

    source: Path
    relative: str
    problem: str = ""


def gather(inputs: Sequence[Path], ignore: Iterable[str]) -> tuple[list[Input], list[str]]:
    """Every file below the inputs, sorted, and the relative paths of those that `ignore` matches by name or by the path
    below their input.

    One folder gives paths below itself; several inputs keep apart under their own names. Links below an input are not
    followed: they, and whatever else is no regular file, come back with a problem, so that nothing is skipped silently.
    Two inputs that would get the same path both come back with a problem.

    Raises:
        UsageError: an input does not exist, or is given twice.
    """
    globs, given = tuple(ignore), {}
    wanted: list[Input] = []
    ignored: list[str] = []
    for path in inputs:
        if not path.exists():
            raise UsageError(f"{path}: there is no such file or folder")
        real = path.resolve()
        if real in given:
            raise UsageError(f"input {path} is given twice" + (f", before as {given[real]}" if given[real] != path else ""))
        given[real] = path
        if path.is_dir():
            prefix, found = f"{real.name}/" if len(inputs) > 1 else "", _below(real)
        else:
            prefix, found = "", [Input(real, path.name, _problem(real))]
        for item in found:
            if _matches(item.relative, globs):
                ignored.append(prefix + item.relative)
            else:
                wanted.append(replace(item, relative=prefix + item.relative) if prefix else item)
    wanted.sort(key=lambda i: (i.relative, str(i.source)))
    return fail_clashes(wanted), sorted(ignored)


def fail_clashes(found: Iterable[Input], key: Callable[[str], str] = str) -> list[Input]:
    """The inputs; those whose relative paths are the same under `key` come back with a problem, all of them."""
    found = list(found)
    count = Counter(key(i.relative) for i in found)
    clash = "another input has the same output path"
    return [i if count[key(i.relative)] == 1 else replace(i, problem=i.problem or clash) for i in found]


def folded(relative: str) -> str:
    """What paths have in common that some file systems take for the same: case and the spelling of accents.

    >>> folded("A/\u00c9.png") == folded("a/e\u0301.PNG")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", relative).casefold())


def folds_names(folder: Path) -> bool:
    """Whether the file system of a writable folder takes names for the same that differ only as `folded` levels out."""
    for name, other in (("probe", "PROBE"), ("\u00e9", "e\u0301")):
        probe, twin = (os.path.join(os.fsencode(folder), n.encode()) for n in (name, other))  # bytes: any locale will do
        open(probe, "xb").close()
        try:
            if os.path.lexists(twin):
                return True
        finally:
            os.unlink(probe)
    return False


def _below(folder: Path) -> list[Input]:
    """Everything that is no folder below `folder`, plus the folders that could not be listed or are links."""
    found: list[Input] = []

    def unlisted(error: OSError) -> None:
        path = Path(error.filename)
        found.append(Input(path, _relative(path, folder), f"folder cannot be listed: {error.strerror}"))

    for parent, folders, files in os.walk(folder, onerror=unlisted):
        above = "" if Path(parent) == folder else _relative(Path(parent), folder) + "/"
        for name in folders:
            path = Path(parent, name)
            if os.path.islink(path):
                found.append(Input(path, above + name, "symbolic link to a folder; links are not followed"))
        for name in files:
            path = Path(parent, name)
            found.append(Input(path, above + name, _problem(path)))
    return found


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path != folder else folder.name


def _problem(path: Path) -> str:
    if os.path.islink(path):  # unlike Path's, these do not raise on a path that is too long
        return "symbolic link; links are not followed"
    return "" if os.path.isfile(path) else "not a regular file"


def _matches(relative: str, globs: tuple[str, ...]) -> bool:
    name = relative.rsplit("/", 1)[-1]
    return any(fnmatchcase(text, glob) for glob in globs for text in {name, relative})


def check_folders(inputs: Sequence[Path], out: Path, audit: Path) -> None:
    """Refuse folders that would feed on each other.

    Raises:
        UsageError: an input, OUT and the audit folder are the same or nested in each other, OUT or the audit is no
            folder, or they lie on different file systems.
    """
    for folder, what in ((out, "the output"), (audit, "the audit")):
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder}: {what} must be a folder")
    if _nested(out, audit):
        raise UsageError(f"audit folder {audit} and output folder {out} may not be the same or nested: the audit shows what was removed")
    for path in inputs:
        for folder, what in ((out, "output"), (audit, "audit")):
            if _nested(path, folder):
                raise UsageError(f"input {path} and {what} folder {folder} may not be the same or nested")
    if _device(out) != _device(audit):
        raise UsageError(f"the audit folder {audit} must lie on the file system of {out}: files are renamed from one into the other")


def _nested(a: Path, b: Path) -> bool:
    a, b = a.resolve(), b.resolve()
    return a.is_relative_to(b) or b.is_relative_to(a)


def _device(path: Path) -> int:
    """Number of the file system on which `path` lies, or would lie once made."""
    path = path.resolve()
    while not path.exists():
        path = path.parent
    return path.stat().st_dev
