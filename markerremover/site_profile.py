"""A site profile: the weights, the threshold and the laterality markers of one place, in a small TOML file.

    weights = "site.onnx"     # relative to this file
    threshold = 0.15
    allow_modality = ["US"]   # see `scope.modality.ALLOWABLE`

    phrases = ["projection", "AT BED"]  # besides laterality markers, see `keep_lists`

    [keep]
    D = "right"
    I = "left"

    [groups]
    projection = ["SCHULTERBLATT Y"]  # added to the shipped group

The same file may hold the other tables of a configuration file, which `configuration` reads and checks.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import UsageError
from .keep_lists import groups
from .records import DEFAULT_KEEP, Policy
from .scope.modality import checked_modalities
from .system import regular_files, toml_lines, user_text
from .system.files import sync

FILE = "site.toml"
MOST_BYTES = 1_000_000  # largest size of a file, bytes
KEYS = ("weights", "threshold", "keep", "phrases", "groups", "allow_modality")
#: Tables of a configuration file that are no part of a site profile, see `configuration.reading`.
TABLES = ("removal", "output", "headers", "run", "review", "node", "destinations", "watch", "status", "loop")
MEANINGS = ("left", "right")
#: Laterality markers with a known meaning: English, then Spanish, Portuguese and French.
KNOWN_MARKERS = {
    "L": "left", "LT": "left", "LEFT": "left", "R": "right", "RT": "right", "RIGHT": "right",
    "I": "left", "E": "left", "G": "left", "D": "right",
}


@dataclass(frozen=True)
class SiteProfile:
    """The settings of one site.

    weights: an ONNX file with its card beside it; None takes the shipped one.
    threshold: lowest localizer score of a box that counts, 0–1, both excluded; None takes the weights' own.
    keep: laterality marker, upper case -> "left" or "right"; empty retains none.
    allow_modality: what is cleaned though the weights were not validated on it, names of `scope.modality.ALLOWABLE`, upper case.
    sha256: hex, of the file it was read from; "" if it was not read from a file.
    phrases: phrases and names of groups that are retained besides.
    groups: name -> phrases, added to the shipped groups.

    Raises:
        UsageError: threshold, marker, meaning, phrase or group is invalid, or a marker is named twice.
    """

    weights: Path | None = None
    threshold: float | None = None
    keep: Mapping[str, str] = field(default_factory=lambda: {s: KNOWN_MARKERS[s] for s in DEFAULT_KEEP}, hash=False)
    sha256: str = ""
    allow_modality: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.threshold is not None and not (_is_number(self.threshold) and 0 < self.threshold < 1):
            raise UsageError(f"threshold is {self.threshold!r}, allowed is between 0 and 1, both excluded")
        keep: dict[str, str] = {}
        for marker, meaning in self.keep.items():
            upper = marker.strip().upper()
            if not upper.isalnum():
                raise UsageError(f"keep has the laterality marker {marker!r}, allowed are letters and digits")
            meaning = meaning.strip().lower() if isinstance(meaning, str) else meaning
            if meaning not in MEANINGS:
                raise UsageError(f"keep.{marker} is {meaning!r}, allowed are {' and '.join(MEANINGS)}")
            if upper in keep:
                raise UsageError(f"keep has the laterality marker {upper!r} twice")
            keep[upper] = meaning
        object.__setattr__(self, "keep", keep)
        if not all(isinstance(name, str) for name in self.allow_modality):
            raise UsageError(f'allow_modality is {self.allow_modality!r}, allowed is a list such as ["US"]')
        object.__setattr__(self, "allow_modality", checked_modalities(self.allow_modality))
        if not isinstance(self.phrases, (list, tuple)) or not all(isinstance(phrase, str) for phrase in self.phrases):
            raise UsageError(f'phrases is {self.phrases!r}, allowed is a list such as ["projection", "SEMI-ERECT"]')
        object.__setattr__(self, "phrases", tuple(self.phrases))
        object.__setattr__(self, "groups", groups.table({name: list(words) if isinstance(words, tuple) else words for name, words in self.groups.items()}, "groups"))
        self.policy()

    def policy(self) -> Policy:
        """The default policy with this site's laterality markers, phrases and threshold."""
        phrases = groups.expanded(self.phrases, groups.joined(self.groups), strict=True) if self.phrases or self.groups else ()
        return Policy(keep=(*self.keep, *phrases), threshold=self.threshold)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def file_of(path: Path | str) -> Path:
    """The file of a site profile or configuration: the path, or the `site.toml` in it where it is a folder, as `improve` creates one."""
    return Path(path) / FILE if Path(path).is_dir() else Path(path)


def read(path: Path | str) -> SiteProfile:
    """Read a site profile, or the part of a configuration file that is one; a relative `weights` is resolved from the folder of the file.

    Args:
        path: see `file_of`.

    Raises:
        UsageError: the file is missing or no TOML, a key is unknown, or a value is invalid; the message names the line.
    """
    path = file_of(path)
    try:
        data = regular_files.read(path, MOST_BYTES, follow=True)
        text = user_text.decoded(data)
        content = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{path}: site profile cannot be read ({error.strerror})") from error
    except RecursionError:
        raise UsageError(f"{path}: not a TOML file (nested too deeply)") from None
    except ValueError as error:
        raise UsageError(f"{path}: not a TOML file ({error})") from error
    known = (*KEYS, *TABLES)
    if unknown := sorted(set(content) - set(known)):
        raise UsageError(f"{path}{toml_lines.place(text, unknown[:1])}: unknown key {unknown[0]!r}, allowed are {', '.join(known)}")
    options = {key: value for key, value in content.items() if key in KEYS}
    for keys, alone in _pieces(options):
        try:
            _built(alone, path.parent)
        except UsageError as error:
            raise UsageError(f"{path}{toml_lines.place(text, keys)}: {error}") from None
    try:
        return _built(options, path.parent, hashlib.sha256(data).hexdigest())
    except UsageError as error:  # of keys together: phrases that are no phrases and no groups, a marker twice
        last = "phrases" if "phrases" in options else "groups" if "groups" in options else "keep"
        raise UsageError(f"{path}{toml_lines.place(text, [last])}: {error}") from None


def _pieces(options: Mapping[str, Any]) -> Iterable[tuple[list[str], dict[str, Any]]]:
    """Each setting that can be judged alone: the keys that lead to it, and a profile with nothing else."""
    for key, value in options.items():
        if key in ("keep", "groups") and isinstance(value, dict):
            yield from (([key, name], {key: {name: inner}}) for name, inner in value.items())
        elif key != "phrases" or not isinstance(value, list):  # phrases may name groups
            yield [key], {key: value}


def _built(content: Mapping[str, Any], folder: Path, sha256: str = "") -> SiteProfile:
    """The profile of a file's content.

    Raises:
        UsageError: a value is invalid.
    """
    options = dict(content)
    weights = options.pop("weights", None)
    if weights is not None and (not isinstance(weights, str) or not weights):
        raise UsageError(f"weights is {weights!r}, allowed is the path of an ONNX file with its card beside it")
    if not isinstance(options.get("allow_modality", []), list):
        raise UsageError(f'allow_modality is {options["allow_modality"]!r}, allowed is a list such as ["US"]')
    if not isinstance(options.get("groups", {}), dict) or not all(isinstance(words, list) for words in options.get("groups", {}).values()):
        raise UsageError(f'groups is {options["groups"]!r}, allowed is a table such as [groups] with bed = ["AT BED"]')
    if not isinstance(options.get("keep", {}), dict):
        raise UsageError(f'keep is {options["keep"]!r}, allowed is a table such as [keep] with D = "right"')
    return SiteProfile(weights=folder / weights if weights is not None else None, sha256=sha256, **options)


def write(path: Path | str, profile: SiteProfile) -> None:
    """Write a profile that `read` reads back, atomically; weights in or below the same folder are written as a relative path."""
    path, lines = Path(path), []
    if profile.weights is not None:
        lines.append(f"weights = {_quoted(_written(profile.weights, path))}")
    if profile.threshold is not None:
        lines.append(f"threshold = {float(profile.threshold)!r}")
    if profile.allow_modality:
        lines.append(f"allow_modality = [{', '.join(map(_quoted, profile.allow_modality))}]")
    if profile.phrases:
        lines.append(f"phrases = {_list(profile.phrases)}")
    lines += ["", "[keep]", *(f"{_quoted(marker)} = {_quoted(meaning)}" for marker, meaning in profile.keep.items())]
    if profile.groups:
        lines += ["", "[groups]", *(f"{_quoted(name)} = {_list(words)}" for name, words in profile.groups.items())]
    _replaced(path, "\n".join(lines) + "\n")


def put_weights(path: Path | str, weights: Path) -> None:
    """Name other weights in a file, atomically; all else in it stays as it is, comments and the tables of a configuration included.

    Raises:
        UsageError: the file cannot be read, or did not come out as it was with the other weights.
    """
    import tomlkit

    path = Path(path)
    text = user_text.read(path)
    try:
        document = tomlkit.parse(text)
        document["weights"] = _written(weights, path)
        new_text = tomlkit.dumps(document)
        intended = {**tomllib.loads(text), "weights": _written(weights, path)}
        came_out = tomllib.loads(new_text) == intended
    except ValueError as error:
        raise UsageError(f"{path}: not a TOML file ({error})") from None
    if not came_out:
        raise UsageError(f"{path}: the weights cannot be replaced in this file; write weights = {_quoted(_written(weights, path))} into it by hand")
    _replaced(path, new_text)


def _written(weights: Path, path: Path) -> str:
    """The path of weights as it is written into a file: relative where they are in or below its folder."""
    weights, folder = weights.resolve(), path.resolve().parent
    return weights.relative_to(folder).as_posix() if weights.is_relative_to(folder) else str(weights)


def _replaced(path: Path, text: str) -> None:
    """Replace a file atomically."""
    temporary = path.with_name(path.name + ".new")
    with open(temporary, "w", encoding="utf-8", newline="\n") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(temporary, path)
    sync(path.parent)


def _list(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(_quoted, texts))}]"


def _quoted(text: str) -> str:
    """A TOML basic string; JSON's is the same except for DEL, which JSON does not escape."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def parse_markers(text: str) -> dict[str, str]:
    """Laterality markers with their meaning from a comma-separated list; `none` gives {}.

    >>> parse_markers("d, I, X=left"), parse_markers("none")
    ({'D': 'right', 'I': 'left', 'X': 'left'}, {})

    Raises:
        UsageError: a marker is invalid or named twice, or its meaning is neither known nor given.
    """
    if text.strip().lower() == "none":
        return {}
    keep: dict[str, str] = {}
    for part in text.split(","):
        marker, _, meaning = (piece.strip() for piece in part.partition("="))
        marker, meaning = marker.upper(), meaning.lower() or KNOWN_MARKERS.get(marker.upper(), "")
        if not meaning and marker.isalnum():
            raise UsageError(f"{marker} may mean left or right: say {marker}=left or {marker}=right")
        if marker in keep:
            raise UsageError(f"the laterality marker {marker!r} is named twice")
        keep[marker] = meaning
    return dict(SiteProfile(keep=keep).keep)
