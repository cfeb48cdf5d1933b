"""Which image each label of a truth is about: by the SHA-256 that `annotate` writes, or by path; never by the name of a file alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from ..audit.crops import file_id
from ..errors import AnnotationError
from ..labels.image_names import ImageNames, cleaned
from ..labels.truth import Label
from ..system.files import sha256_file

NAMED = re.compile(r"-([0-9a-f]{8})(?:-f\d+)?$")  # the end of names that `annotate` gives: of the hash of the image's path


class Images:
    """The images that labels may be about.

    where: said in errors.  root: the folder they lie in, None for rows of a manifest.
    hashes: SHA-256 -> paths below the folder, as far as they are known without reading files.
    """

    def __init__(self, paths: Iterable[str], where: str, *, root: Path | None = None, hashes: Mapping[str, Sequence[str]] | None = None) -> None:
        self.paths, self.where, self.root = tuple(paths), where, None if root is None else root.resolve()
        self.names = ImageNames(self.paths)
        self._hashes: dict[str, list[str]] = defaultdict(list, {k: list(v) for k, v in (hashes or {}).items()})
        self._read: set[str] = set()
        self._by_id: dict[str, list[str]] | None = None

    def at(self, claim: str) -> list[str]:
        """The images at a path: below the folder, below one of those above it of which the path names the way down, or absolute."""
        if PurePosixPath(claim).is_absolute() or re.match(r"[A-Za-z]:/", claim):
            if self.root is None or not PurePosixPath(claim).is_relative_to(self.root.as_posix()):
                return []
            return self.names.find(PurePosixPath(claim).relative_to(self.root.as_posix()).as_posix())
        parts, above = cleaned(claim).split("/"), () if self.root is None else self.root.parts[1:]
        for skipped in range(len(parts)):
            if tuple(parts[:skipped]) == above[len(above) - skipped :] or not skipped:
                if found := self.names.find("/".join(parts[skipped:])):
                    return found
        return []

    def of_hash(self, label: Label) -> list[str]:
        """The images with the SHA-256 that a label says; of several alike the one that its name or its path tells, if it does."""
        digits = NAMED.search(label.source.stem)
        if digits:
            self._read_files(self._of_id(digits[1]))
            if named := [path for path in self._hashes.get(label.sha256, ()) if file_id(path).startswith(digits[1])]:
                return named
        self._read_files(self.paths)
        found = self._hashes.get(label.sha256, [])
        told = [path for path in found if len(found) > 1 and any(path in self.at(claim) for claim in label.claims)]
        return list(told or found)

    def _of_id(self, digits: str) -> Sequence[str]:
        if self._by_id is None:
            self._by_id = defaultdict(list)
            for path in self.paths:
                self._by_id[file_id(path)[:8]].append(path)
        return self._by_id.get(digits, ())

    def _read_files(self, paths: Iterable[str]) -> None:
        for path in paths if self.root is not None else ():
            if path not in self._read:
                self._read.add(path)
                self._hashes[sha256_file(self.root / path)].append(path)


def matched(labels: Sequence[Label], images: Images) -> list[str]:
    """The path of each label's image, in their order.

    Labels without a SHA-256 are all read the same way: the first of their claims under which each has an image counts.

    Raises:
        AnnotationError: a label has no image or could be about several, or an image has two.
    """
    hashed = [images.of_hash(label) if label.sha256 else None for label in labels]
    open_ = [label for label in labels if not label.sha256]
    readings = [[images.at(label.claims[k]) for label in open_] for k in range(max((len(label.claims) for label in open_), default=0))]
    chosen = iter(max(readings, key=_hits) if readings else ())
    paths = [_only(label, next(chosen) if found is None else found, images) for label, found in zip(labels, hashed)]
    seen: dict[str, Label] = {}
    for label, path in zip(labels, paths):
        if other := seen.get(path):
            raise AnnotationError(f"{label.source}: {path} is annotated twice" + (f", also in {other.source}" if other.source != label.source else ""))
        seen[path] = label
    return paths


def _hits(reading: Sequence[Sequence[str]]) -> tuple[int, int]:
    """How many different images a reading gives, and to how many labels any."""
    return len({found[0] for found in reading if len(found) == 1}), sum(map(bool, reading))


def _only(label: Label, found: Sequence[str], images: Images) -> str:
    if len(found) == 1:
        return found[0]
    if found:
        raise AnnotationError(f"{label.source}: {label.image} could be {' or '.join(sorted(found)[:2])} {images.where}")
    if label.sha256:
        raise AnnotationError(f"{label.source}: {label.image} is missing {images.where}: none has the SHA-256 that the annotation says")
    alike = sorted(images.names.called(label.image))
    hint = f"; {alike[0]} has the same name in another folder: write that path into the annotation, or put it into the same sub-folder" if alike else ""
    raise AnnotationError(f"{label.source}: {label.image} is missing {images.where}{hint}")
