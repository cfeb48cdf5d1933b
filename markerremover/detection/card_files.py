"""The further networks that a localizer's card names, each by file and SHA-256: the rescorer and the text detector."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import WeightsError
from ..inference.shipped_weights import weights_folder
from ..system.files import sha256_file

#: Keys of a card that name a network: {file, sha256, ...}.
NETWORKS = ("rescorer", "text_detector")


def find(facts: dict[str, Any], folder: Path) -> Path:
    """The file of one of a card's further networks, beside the card or among the shipped weights, checked against its SHA-256.

    Raises:
        WeightsError: it is in neither place.
    """
    name = Path(str(facts["file"])).name
    places = [Path(folder) / name, weights_folder() / name]
    for path in places:
        if path.is_file() and sha256_file(path) == facts["sha256"]:
            return path
    state = "has another SHA-256 than its card says" if any(path.is_file() for path in places) else "is not there"
    raise WeightsError(f"{places[0]}: {state}, the localizer needs it")


def carry(card: dict[str, Any], folder: Path, target: Path) -> None:
    """Copy the files of a card's further networks to another folder, unless the same are there; nothing if the card names none.

    Args:
        card: of the localizer.  folder: the folder of the card.  target: the folder to copy to.

    Raises:
        WeightsError: see `find`.
    """
    for facts in filter(None, map(card.get, NETWORKS)):
        source, copy = find(facts, folder), Path(target) / Path(str(facts["file"])).name
        if not copy.is_file() or copy.read_bytes() != source.read_bytes():
            shutil.copyfile(source, copy)


def identity(card: Mapping[str, Any]) -> str:
    """What tells weights from others: the SHA-256 of the localizer and of each further network that its card names, joined by "+"."""
    return "+".join([str(card["sha256"]), *(str(card[name]["sha256"]) for name in NETWORKS if card.get(name))])
