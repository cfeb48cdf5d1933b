"""The input files of a run with their relative output paths, and checks of its folders."""

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
    """One entry of an input folder.

    source: its path.  relative: POSIX path below OUT.  problem: "" or the reason why it cannot be processed.
    """

    source: Path
    relative: str
    problem: str = ""


def gather(inputs: Sequence[Path], ignore: Iterable[str]) -> tuple[list[Input], list[str]]:
    """Every file below the inputs, sorted, and the relative paths of those that `ignore` matches by name or by the path
    below their input.

    With one folder the paths are relative to it; with several inputs they begin with the input's name. Links below an input are not
    followed: they, and anything else but regular files, get a problem, so that nothing is skipped silently. Inputs with the same output
    path all get a problem.

    Raises:
        UsageError: an input does not exist, or is named twice.
    """
    globs = tuple(ignore)
    inputs_by_path: dict[Path, Path] = {}
    files: list[Input] = []
    ignored: list[str] = []
    for path in inputs:
        if not path.exists():
            raise UsageError(f"{path}: there is no such file or folder")
        real = path.resolve()
        if real in inputs_by_path:
            raise UsageError(f"input {path} is given twice" + (f", before as {inputs_by_path[real]}" if inputs_by_path[real] != path else ""))
        inputs_by_path[real] = path
        if path.is_dir():
            prefix, entries = f"{real.name}/" if len(inputs) > 1 else "", _below(real)
        else:
            prefix, entries = "", [Input(real, path.name, _problem(real))]
        for item in entries:
            if matches(item.relative, globs):
                ignored.append(prefix + item.relative)
            else:
                files.append(replace(item, relative=prefix + item.relative) if prefix else item)
    files.sort(key=lambda i: (i.relative, str(i.source)))
    return fail_clashes(files), sorted(ignored)


def fail_clashes(files: Iterable[Input], key: Callable[[str], str] = str) -> list[Input]:
    """The inputs; all those whose relative paths are equal under `key` get a problem."""
    files = list(files)
    count = Counter(key(i.relative) for i in files)
    clash = "another input has the same output path"
    return [i if count[key(i.relative)] == 1 else replace(i, problem=i.problem or clash) for i in files]


def folded(relative: str) -> str:
    """A path with case and composition of accents normalised: some file systems treat paths with the same result as one.

    >>> folded("A/\u00c9.png") == folded("a/e\u0301.PNG")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", relative).casefold())


def folds_names(folder: Path) -> bool:
    """Whether the file system of a writable folder treats names as equal that have the same `folded` form."""
    for name, variant in (("probe", "PROBE"), ("\u00e9", "e\u0301")):
        probe, twin = (os.path.join(os.fsencode(folder), n.encode()) for n in (name, variant))  # bytes work in any locale
        open(probe, "xb").close()
        try:
            if os.path.lexists(twin):
                return True
        finally:
            os.unlink(probe)
    return False


def _below(folder: Path) -> list[Input]:
    """Everything below `folder` except folders, plus folders that cannot be listed or are links."""
    entries: list[Input] = []

    def unlisted(error: OSError) -> None:
        path = Path(error.filename)
        entries.append(Input(path, _relative(path, folder), f"folder cannot be listed: {error.strerror}"))

    for parent, folders, files in os.walk(folder, onerror=unlisted):
        prefix = "" if Path(parent) == folder else _relative(Path(parent), folder) + "/"
        for name in folders:
            path = Path(parent, name)
            if os.path.islink(path):
                entries.append(Input(path, prefix + name, "symbolic link to a folder; links are not followed"))
        for name in files:
            path = Path(parent, name)
            entries.append(Input(path, prefix + name, _problem(path)))
    return entries


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path != folder else folder.name


def _problem(path: Path) -> str:
    if os.path.islink(path):  # unlike Path's methods, these do not raise on a path that is too long
        return "symbolic link; links are not followed"
    return "" if os.path.isfile(path) else "not a regular file"


def matches(relative: str, globs: tuple[str, ...]) -> bool:
    """Whether a glob matches the name of a file or its path below the input."""
    name = relative.rsplit("/", 1)[-1]
    return any(fnmatchcase(text, glob) for glob in globs for text in {name, relative})


def check_folders(inputs: Sequence[Path], out: Path, audit: Path) -> None:
    """Refuse overlapping folders.

    Raises:
        UsageError: an input, OUT and the audit folder are the same or nested, OUT or the audit is no folder, or they
            are on different file systems.
    """
    for folder, kind in ((out, "the output"), (audit, "the audit")):
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder}: {kind} must be a folder")
    if _nested(out, audit):
        raise UsageError(f"audit folder {audit} and output folder {out} may not be the same or nested: the audit shows what was removed")
    for path in inputs:
        for folder, kind in ((out, "output"), (audit, "audit")):
            if _nested(path, folder):
                raise UsageError(f"input {path} and {kind} folder {folder} may not be the same or nested")
    if _device(out) != _device(audit):
        raise UsageError(f"the audit folder {audit} must lie on the file system of {out}: files are renamed from one into the other")


def _nested(a: Path, b: Path) -> bool:
    a, b = a.resolve(), b.resolve()
    return a.is_relative_to(b) or b.is_relative_to(a)


def _device(path: Path) -> int:
    """Number of the file system of `path`, or of its nearest existing parent."""
    path = path.resolve()
    while not path.exists():
        path = path.parent
    return path.stat().st_dev
