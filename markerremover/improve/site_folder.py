"""A site's folder: all its weights, their history, and the weights in use.

    site.toml          read by `remove --site`: the weights in use, threshold and laterality markers; replaced last, atomically
    history.jsonl      one row per start, round or adoption by hand; append-only
    weights/NNNN/      a generation: checkpoint, ONNX file, card, rescorer, and its row of the history; 0000 holds the weights that the site starts from
    training/, validation/   annotated pictures, see `picture_store` and `validation`
    work/              files of a round in progress
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__, site_profile
from ..errors import UsageError
from ..inference.card_files import carry, identity
from ..inference.weights_card import read_card
from ..run import shards
from ..site_profile import SiteProfile
from ..system import journal
from ..system.files import sha256_file, sync, write_private
from ..training.finetune import base_of, check_apart

HISTORY, ROW = "history.jsonl", "row.json"
OWN = {site_profile.FILE, f"{site_profile.FILE}.new", HISTORY, "weights", "training", "validation", "validation.new", "work", shards.LOCK}
EVENTS = ("start", "round", "adopt")
Say = Callable[[str], None]


@dataclass(frozen=True)
class SiteFolder:
    """The paths in a site's folder.  path: absolute."""

    path: Path

    @property
    def profile(self) -> Path:
        """The site profile in use."""
        return self.path / site_profile.FILE

    @property
    def history(self) -> Path:
        """The log of all rounds, one JSON object per line."""
        return self.path / HISTORY

    @property
    def training(self) -> Path:
        """Annotated pictures to learn from."""
        return self.path / "training"

    @property
    def validation(self) -> Path:
        """Annotated pictures that are never learnt from."""
        return self.path / "validation"

    @property
    def work(self) -> Path:
        """Files of a round in progress; may be deleted between rounds."""
        return self.path / "work"

    @property
    def begun(self) -> bool:
        """Whether there are weights to improve."""
        return self.profile.is_file()

    def generation(self, number: int) -> Path:
        """Folder of a generation's weights."""
        return self.path / "weights" / f"{number:04d}"

    def generations(self) -> Iterator[int]:
        """The numbers of the existing generations, in order."""
        for path in sorted((self.path / "weights").glob("*")):
            if re.fullmatch(r"\d{4,}", path.name):
                yield int(path.name)


def open_folder(path: Path | str) -> SiteFolder:
    """A site's folder, which need not exist yet.

    Raises:
        UsageError: the folder holds something else, or is inside results of `remove`.
    """
    folder = SiteFolder(Path(os.path.abspath(path)))
    check_apart(folder.path / site_profile.FILE)
    if folder.path.exists() and not folder.path.is_dir():
        raise UsageError(f"{path} is a file, a site needs a folder")
    strangers = sorted({p.name for p in folder.path.iterdir()} - OWN) if folder.path.is_dir() else []
    if strangers or (folder.begun and not folder.history.is_file()):
        entry = strangers[0] if strangers else f"a {site_profile.FILE} without a {HISTORY}"
        raise UsageError(f"{path} holds {entry}, so `improve` did not create it: name a folder that does not exist yet")
    return folder


def begin(folder: SiteFolder, weights: Path | None, keep: Mapping[str, str] | None) -> None:
    """Create a site's folder with copies of the weights that it starts from.

    Args:
        weights: checkpoint, its `.onnx` and card beside it; the shipped one by default.  keep: laterality markers to retain; L, R
            and their words by default.

    Raises:
        UsageError, WeightsError: there are no such weights.
    """
    base, card = base_of(weights)
    place = folder.generation(0)
    if not place.is_dir():
        building = place.with_name("0000.new")
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True, mode=0o700)
        os.chmod(folder.path, 0o700)
        for suffix in (".pt", ".onnx", ".json"):
            shutil.copyfile(base.with_suffix(suffix), building / base.with_suffix(suffix).name)
        carry(card, base.parent, building)
        put_in_place(folder, building, 0, {
            **row_of(folder, "start", 0, base.stem, card), "checkpoint_sha256": sha256_file(base), "adopted": True,
            "reason": "what the site starts from",
        })
    start = next(row for row in rows(folder, and_write=True) if row["generation"] == 0)
    weights_path = folder.path / start["weights"]["file"]
    profile = SiteProfile(weights_path) if keep is None else SiteProfile(weights_path, keep=keep)
    site_profile.write(folder.profile, profile)
    sync(folder.path)


def row_of(folder: SiteFolder, event: str, number: int, stem: str, card: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of every row of the history."""
    onnx = folder.generation(number) / f"{stem}.onnx"
    replaced_weights = weights_in_use(folder) if folder.begun else None
    return {
        "event": event, "generation": number, "when": journal.now(), "version": __version__,
        "weights": {"file": named(folder, onnx), "sha256": identity(card)},
        "instead_of": "" if replaced_weights is None else named(folder, replaced_weights),
    }


def named(folder: SiteFolder, path: Path) -> str:
    """A path as in the history: relative to the site's folder if it is inside, else absolute."""
    path = Path(os.path.abspath(path))
    return path.relative_to(folder.path).as_posix() if path.is_relative_to(folder.path) else str(path)


def put_in_place(folder: SiteFolder, building: Path, number: int, row: Mapping[str, Any]) -> None:
    """Turn a finished folder of weights into a generation, with its row; atomically."""
    write_private(building / ROW, json.dumps(row) + "\n")
    for path in building.iterdir():
        sync(path)
    sync(building)
    os.rename(building, folder.generation(number))
    sync(folder.generation(number).parent)


def rows(folder: SiteFolder, *, and_write: bool = False) -> list[dict[str, Any]]:
    """The history, in order, including rows of generations that a crash kept out of the file.

    Args:
        and_write: append these rows to the file too.

    Raises:
        UsageError: a line is damaged, or a generation has no row.
    """
    history = []
    for number, line in enumerate(journal.lines(folder.history), 1):
        try:
            history.append(_checked(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            raise UsageError(f"{folder.history}, line {number}: is no row of a history; mend or move the file, nothing is guessed") from None
    listed = {row["generation"] for row in history}
    for number in folder.generations():
        if number not in listed:
            place = folder.generation(number) / ROW
            try:
                history.append(_checked(json.loads(place.read_text(encoding="utf-8"))))
            except (OSError, ValueError, KeyError, TypeError):
                raise UsageError(f"{place}: is missing or damaged; move {place.parent} away, nothing is guessed") from None
            if and_write:
                journal.append(folder.history, history[-1])
    return history


def _checked(row: dict[str, Any]) -> dict[str, Any]:
    if row["event"] not in EVENTS or not isinstance(row["generation"], int) or not isinstance(row["adopted"], bool):
        raise ValueError
    if not all(isinstance(value, str) for value in (row["weights"]["file"], row["weights"]["sha256"], row["instead_of"], row["reason"])):
        raise ValueError
    return row


def weights_in_use(folder: SiteFolder) -> Path:
    """The ONNX file in the site's profile, checked against its card.

    Raises:
        UsageError: the profile has none, or the file does not match its card.
    """
    weights = site_profile.read(folder.profile).weights
    if weights is None:
        raise UsageError(f"{folder.profile}: names no weights; `--adopt N` puts those of a generation in use")
    read_card(weights)
    return weights


def adopt(folder: SiteFolder, row: Mapping[str, Any]) -> None:
    """Put the weights of a row in use, atomically. Nothing else in the file is changed.

    Raises:
        UsageError: its files have changed.
    """
    onnx = folder.path / row["weights"]["file"]
    if identity(read_card(onnx)) != row["weights"]["sha256"]:
        raise UsageError(f"{onnx}: is no longer what the history says it was")
    site_profile.put_weights(folder.profile, onnx)
    sync(folder.path)


def settle(folder: SiteFolder, say: Say) -> None:
    """Complete an adoption that a crash interrupted between a round's result and the change of the weights in use.

    Raises:
        UsageError: the profile names other weights than the history and no crash explains it: it was edited.
    """
    adopted = [row for row in rows(folder, and_write=True) if row["adopted"]][-1]
    used = named(folder, weights_in_use(folder))
    if used != adopted["weights"]["file"]:
        if used != adopted["instead_of"] or not folder.work.is_dir():
            raise UsageError(
                f"{folder.profile} names {used}, but generation {adopted['generation']} was adopted last: settle it with --adopt N"
            )
        say(f"generation {adopted['generation']} had been adopted before an interruption: now it is in use")
        adopt(folder, adopted)
        shutil.rmtree(folder.work)
    for unfinished in (folder.path / "weights").glob("*.new"):
        shutil.rmtree(unfinished)


def adopt_by_hand(folder: SiteFolder, number: int) -> dict[str, Any]:
    """Put an earlier generation in use again; returns the row.

    Raises:
        UsageError: it does not exist, was not adopted, or is in use.
    """
    by_generation = {row["generation"]: row for row in rows(folder, and_write=True) if row["event"] != "adopt"}
    if number not in by_generation:
        raise UsageError(f"generation {number}: there is none, there are {', '.join(map(str, sorted(by_generation)))}")
    if not by_generation[number]["adopted"]:
        raise UsageError(f"generation {number} was not adopted ({by_generation[number]['reason']}), so it is not put in use by hand either")
    replaced_weights = site_profile.read(folder.profile).weights
    row = {
        "event": "adopt", "generation": number, "when": journal.now(), "version": __version__, "weights": by_generation[number]["weights"],
        "instead_of": "" if replaced_weights is None else named(folder, replaced_weights), "adopted": True, "reason": "put in use by hand",
    }
    if row["instead_of"] == row["weights"]["file"]:
        raise UsageError(f"generation {number} is in use")
    if identity(read_card(folder.path / row["weights"]["file"])) != row["weights"]["sha256"]:
        raise UsageError(f"{row['weights']['file']}: is no longer what the history says it was")
    journal.append(folder.history, row)
    adopt(folder, row)
    return row


def checkpoint_of_start(folder: SiteFolder) -> Path:
    """The checkpoint that every round starts from, checked against the history.

    Raises:
        UsageError: it is missing or has changed.
    """
    start = next(row for row in rows(folder) if row["generation"] == 0)
    onnx = folder.path / start["weights"]["file"]
    card, checkpoint = read_card(onnx), onnx.with_suffix(".pt")
    if identity(card) != start["weights"]["sha256"] or not checkpoint.is_file():
        raise UsageError(f"{onnx.parent}: is no longer what the history says it was")
    if start.get("checkpoint_sha256") and sha256_file(checkpoint) != start["checkpoint_sha256"]:
        raise UsageError(f"{checkpoint}: is no longer what the history says it was")
    return checkpoint
