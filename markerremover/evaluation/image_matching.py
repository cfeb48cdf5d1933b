"""Matches each label of a truth to its image: by the SHA-256 that `annotate` writes, or by path; never by the file name alone."""

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

NAMED = re.compile(r"-([0-9a-f]{8})(?:-f\d+)?$")  # end of a label file's name as `annotate` writes it: hash of the image's path


class Images:
    """The images that labels may be about.

    where: words for error messages.  root: the folder they are in, None for rows of a manifest.
    hashes: SHA-256 -> paths below the folder, as far as known without reading files.
    """

    def __init__(self, paths: Iterable[str], where: str, *, root: Path | None = None, hashes: Mapping[str, Sequence[str]] | None = None) -> None:
        self.paths, self.where, self.root = tuple(paths), where, None if root is None else root.resolve()
        self.names = ImageNames(self.paths)
        self._hashes: dict[str, list[str]] = defaultdict(list, {k: list(v) for k, v in (hashes or {}).items()})
        self._hashed: set[str] = set()
        self._by_id: dict[str, list[str]] | None = None

    def at(self, claim: str) -> list[str]:
        """The images at a path: relative to the folder, relative to a parent of it if the path names the folders between, or absolute."""
        if PurePosixPath(claim).is_absolute() or re.match(r"[A-Za-z]:/", claim):
            if self.root is None or not PurePosixPath(claim).is_relative_to(self.root.as_posix()):
                return []
            return self.names.find(PurePosixPath(claim).relative_to(self.root.as_posix()).as_posix())
        parts, parents = cleaned(claim).split("/"), () if self.root is None else self.root.parts[1:]
        for skipped in range(len(parts)):
            if tuple(parts[:skipped]) == parents[len(parents) - skipped :] or not skipped:
                if matches := self.names.find("/".join(parts[skipped:])):
                    return matches
        return []

    def of_hash(self, label: Label) -> list[str]:
        """The images with a label's SHA-256; of several identical ones the one that the label's name or path identifies, if any."""
        digits = NAMED.search(label.source.stem)
        if digits:
            self._read_files(self._of_id(digits[1]))
            if by_id := [path for path in self._hashes.get(label.sha256, ()) if file_id(path).startswith(digits[1])]:
                return by_id
        self._read_files(self.paths)
        matches = self._hashes.get(label.sha256, [])
        identified = [path for path in matches if len(matches) > 1 and any(path in self.at(claim) for claim in label.claims)]
        return list(identified or matches)

    def _of_id(self, digits: str) -> Sequence[str]:
        if self._by_id is None:
            self._by_id = defaultdict(list)
            for path in self.paths:
                self._by_id[file_id(path)[:8]].append(path)
        return self._by_id.get(digits, ())

    def _read_files(self, paths: Iterable[str]) -> None:
        root = self.root
        if root is None:
            return
        for path in paths:
            if path not in self._hashed:
                self._hashed.add(path)
                self._hashes[sha256_file(root / path)].append(path)


def matched(labels: Sequence[Label], images: Images) -> list[str]:
    """The path of each label's image, in the labels' order.

    All labels without a SHA-256 use the same one of their claims: the one that gives the most different images.

    Raises:
        AnnotationError: a label has no image or could be about several, or an image has two.
    """
    hashed = [images.of_hash(label) if label.sha256 else None for label in labels]
    open_ = [label for label in labels if not label.sha256]
    readings = [[images.at(label.claims[k]) for label in open_] for k in range(max((len(label.claims) for label in open_), default=0))]
    best_reading = iter(max(readings, key=_hits) if readings else ())
    paths = [_only(label, next(best_reading) if by_hash is None else by_hash, images) for label, by_hash in zip(labels, hashed)]
    label_of: dict[str, Label] = {}
    for label, path in zip(labels, paths):
        if first_label := label_of.get(path):
            where = f", also in {first_label.source}" if first_label.source != label.source else ""
            raise AnnotationError(f"{label.source}: {path} is annotated twice{where}")
        label_of[path] = label
    return paths


def _hits(reading: Sequence[Sequence[str]]) -> tuple[int, int]:
    """Number of different images that a reading gives, and number of labels with any image."""
    return len({matches[0] for matches in reading if len(matches) == 1}), sum(map(bool, reading))


def _only(label: Label, matches: Sequence[str], images: Images) -> str:
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise AnnotationError(f"{label.source}: {label.image} could be {' or '.join(sorted(matches)[:2])} {images.where}")
    if label.sha256:
        raise AnnotationError(f"{label.source}: {label.image} is missing {images.where}: none has the annotation's SHA-256")
    namesakes = sorted(images.names.called(label.image))
    hint = f"; {namesakes[0]} has the same name in another folder: write that path into the annotation, or put it into the same sub-folder" if namesakes else ""
    raise AnnotationError(f"{label.source}: {label.image} is missing {images.where}{hint}")
