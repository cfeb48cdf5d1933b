"""Networks and an OCR engine that work out their answer to the same input once: for tests that clean the same radiographs again and again.

Only answers are kept, under the hash of all that was asked: what is looked at, cut out, decided and written is done anew every time. Not for
tests of the networks, of the engine, or of what happens when two ask at once.
"""

from __future__ import annotations

import functools
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from markerremover.detection import localizer
from markerremover.detection.localizer import Detector
from markerremover.second_pass import tesseract
from markerremover.second_pass.tesseract import Reader

MOST = 400  # answers of a function that are kept, the latest; one is up to 1.5 MB large


def answering_once(answer: Callable) -> Callable:
    """A function that calls `answer` for what it was not asked lately. Arrays of an answer are locked: a change would be kept too."""
    known: OrderedDict[Any, Any] = OrderedDict()

    @functools.wraps(answer)
    def asked(*args, **options):
        key = _key(args), _key(sorted(options.items()))
        if key not in known:
            known[key] = _locked(answer(*args, **options))
            if len(known) > MOST:
                known.popitem(last=False)
        found = known[key]
        return list(found) if isinstance(found, list) else found

    return asked


def _key(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, hashlib.sha256(np.ascontiguousarray(value)).digest()
    return tuple(map(_key, value)) if isinstance(value, (list, tuple)) else value


def _locked(answer: Any) -> Any:
    for array in answer if isinstance(answer, list) else [answer]:
        if isinstance(array, np.ndarray):
            array.setflags(write=False)
    return answer


def detector(opened: Detector) -> Detector:
    """The detector itself; its networks answer once."""
    for session in {id(s): s for s in (opened._session, opened._close_session)}.values():
        session.many = answering_once(session.many)  # a call with one picture goes through it
    for network in filter(None, (opened.rescorer, opened.text)):
        network._network = answering_once(network._network)
    return opened


def reader(opened: Reader) -> Reader:
    """The reader itself; it reads a picture once."""
    opened.read, opened.words = answering_once(opened.read), answering_once(opened.words)
    return opened


def loading_once(patch: pytest.MonkeyPatch) -> None:
    """For all that opens the localizer or the OCR engine: they are opened once, and answer once."""
    for module, name, kind in ((localizer, "load_detector", detector), (tesseract, "open_reader", reader)):
        load = getattr(module, name)
        patch.setattr(module, name, functools.cache(lambda *args, load=load, kind=kind, **options: kind(load(*args, **options))))
