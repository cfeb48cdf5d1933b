"""The further networks that a localizer's card names, each by file and SHA-256: the rescorer, the text detector and the stroke network."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import WeightsError
from ..system.files import sha256_file
from ..system.forks import Own, at_work
from ..system.telemetry import import_onnxruntime
from .shipped_weights import weights_folder

#: Keys of a card that name a network: {file, sha256, ...}.
NETWORKS = ("rescorer", "text_detector", "strokes")


def facts_of(card: Mapping[str, Any], name: str, keys: Sequence[str], folder: Path) -> dict[str, Any] | None:
    """What a card says of one of its further networks; None where it names none.

    Args:
        name: one of `NETWORKS`.  keys: that must be there.  folder: of the card, for the message.

    Raises:
        WeightsError: a key is missing.
    """
    facts = card.get(name)
    if facts is not None and (missing := [key for key in keys if key not in facts]):
        raise WeightsError(f"{folder}: the card's {name} lacks {', '.join(missing)}")
    return facts


def on_cpu(path: Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """A network of one input and one output in ONNX Runtime on the CPU.

    Raises:
        WeightsError: the file cannot be opened.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # threads that spin while waiting would take a core from the localizer: a third more time per frame
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise WeightsError(f"{path}: cannot be opened ({type(error).__name__}: {error})") from error
    name = session.get_inputs()[0].name
    return lambda batch: session.run(None, {name: batch})[0]


def opened(facts: dict[str, Any], folder: Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """`on_cpu` of one of a card's further networks, opened at once and anew in every process that forks from this one.

    Args:
        facts: of the card.  folder: of the card.

    Raises:
        WeightsError: the file is missing, damaged, or another one than the card states.
    """
    with at_work():
        sessions = Own(lambda: on_cpu(find(facts, folder), threads))
        sessions()

    def run(batch: np.ndarray) -> np.ndarray:
        with at_work():
            return sessions()(batch)

    return run


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
