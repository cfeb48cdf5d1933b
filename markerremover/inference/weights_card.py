"""The JSON card beside a model: settings that belong to the weights, and the hash of the model they belong to."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ..errors import WeightsError
from ..system import user_text

CARD_KEYS = ("classes", "image_size", "threshold", "sha256")
#: Keys of cards up to 0.2.0 -> their present names.
FORMER_KEYS = {"beside_sign": "beside_marker"}


def model_sha256(model: Path) -> str:
    """Hex SHA-256 of a model; for OpenVINO's two files that of the `.xml` followed by the `.bin`.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256(model.read_bytes())
    if model.suffix == ".xml":
        digest.update(model.with_suffix(".bin").read_bytes())
    return digest.hexdigest()


def read_card(model: Path) -> dict:
    """The card of a model (`.onnx`, `.xml` or `.engine`), checked against the model.

    Raises:
        WeightsError: model or card missing, a key absent, or the SHA-256 differs.
    """
    files = [model, model.with_suffix(".bin")] if model.suffix == ".xml" else [model]
    if not all(path.is_file() for path in (*files, model.with_suffix(".json"))):
        names = " and ".join(path.name for path in files)
        raise WeightsError(f"{model}: weights need {names} and the card {model.stem}.json beside it")
    card = parse_card(model.with_suffix(".json"))
    actual = model_sha256(model)
    if actual != card["sha256"]:
        raise WeightsError(f"{model}: SHA-256 is {actual}, its card says {card['sha256']}")
    return card


def parse_card(path: Path) -> dict:
    """A card, not checked against its model, with former keys renamed.

    Raises:
        WeightsError: no such file, not JSON, or a key absent.
    """
    try:
        card = json.loads(user_text.decoded(path.read_bytes()))
    except OSError as error:
        raise WeightsError(f"{path}: the card cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise WeightsError(f"{path}: not JSON ({error})") from error
    missing = [key for key in CARD_KEYS if not isinstance(card, dict) or key not in card]
    if missing:
        raise WeightsError(f"{path}: lacks {', '.join(missing)}")
    return {FORMER_KEYS.get(key, key): value for key, value in card.items()}
