"""The library: load once, clean paths and arrays."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import HeldError, ReadError, UsageError
from .formats import images
from .laterality import burned_in
from .records import Decision, Detections, Policy, Radiograph, locked
from .redaction.cleaning import Cleaner, clean_radiograph, open_cleaner
from .scope import modality
from .site_profile import SiteProfile
from .site_profile import read as read_site


@dataclass(frozen=True)
class Result:
    """One cleaned radiograph.

    array: new, read-only pixels with the input's shape and dtype. From a path: the stored values, (H, W) or (H, W, C), or with several
        frames (F, H, W) or (F, H, W, C).
    decisions: every box with its action and reason, xyxy in source pixels, maxima exclusive.
    detections: of the localizer, one record per frame.
    status: "cleaned" if pixels were removed, else "unchanged".
    styles: for each decision its style, "box", "mask" or "fill", and "" or the reason why it differs from the policy's; () where
        that is "box".
    made_up: number of synthetic pixels, filled from their surroundings.
    laterality: the burned-in side, and whether the header agrees; None where no laterality marker was read, since the policy has none.
    modality: of the header, where it is one of DICOM's terms, else "".
    outside_validation: whether it is something that the weights were not validated on.
    recognizable: "" or the reason why a person may be recognised in the picture.
    """

    array: np.ndarray
    decisions: tuple[Decision, ...]
    detections: tuple[Detections, ...]
    status: str
    styles: tuple[tuple[str, str], ...] = ()
    made_up: int = 0
    laterality: burned_in.Laterality | None = None
    modality: str = ""
    outside_validation: bool = False
    recognizable: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "array", locked(self.array))


class MarkerRemover:
    """Removes burned-in annotations from radiographs. Calls are independent of each other; use one object per thread.

    A process started by "spawn" or "forkserver", or forked, loads networks and OCR engine itself when it receives or first uses the object;
    on a GPU a forked process is refused with a `UsageError`.
    """

    def __init__(
        self, weights: Path | str | None = None, policy: Policy | None = None, device: str = "auto", *,
        site: SiteProfile | Path | str | None = None, cleaner: Cleaner | None = None,
    ) -> None:
        """Load the localizer and the OCR engine.

        Args:
            weights: an ONNX, OpenVINO or TensorRT model with its card beside it, or the `.pt` or `.json` beside an ONNX one;
                the site's by default, or else the shipped one.
            policy: what to retain, and margins of removed boxes; the site's by default.
            device: "auto", "cpu", "openvino", "onnxruntime", "cuda" or "tensorrt".
            site: a site profile, or the path of its TOML file; `weights` and `policy` override it.
            cleaner: used instead of loading anything; weights, policy and device are then ignored.

        Raises:
            WeightsError: weights or card missing or damaged.  UsageError: no OCR engine (unless `policy.keep` is empty), or
            an invalid site profile.
        """
        self._opened_with: tuple[Path | None, Policy, str] | None = None
        profile = read_site(site) if isinstance(site, (str, Path)) else site or SiteProfile()
        self._meanings, self._allowed = burned_in.all_meanings(profile.keep), profile.allow_modality
        if cleaner is None:
            model = Path(weights) if weights else profile.weights
            rules = profile.policy() if policy is None else policy
            self._opened_with = model, rules, device
            cleaner = open_cleaner(rules, weights=model, device=device)
        self.cleaner = cleaner

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickling: another process loads the same networks itself.

        Raises:
            UsageError: the object was made with `cleaner`.
        """
        if self._opened_with is None:
            raise UsageError("a MarkerRemover that was made with `cleaner` cannot be sent to another process: make one there")
        return MarkerRemover, self._opened_with, {"_meanings": self._meanings, "_allowed": self._allowed}

    def clean(self, source: Path | str | np.ndarray, *, allow_modality: Collection[str] = ()) -> Result:
        """Clean one radiograph. Nothing is written, and the argument is not changed.

        Args:
            source: path of a DICOM, PNG, JPEG or TIFF file; or an array, (H, W) grey or (H, W, 3) RGB, uint8 or uint16,
                in which 0 is black and bright is dense.
            allow_modality: what is cleaned though the weights were not validated on it, beside what the site allows: DICOM's terms such as "CT",
                "photo" for colour photographs, "all".

        Raises:
            ReadError: the file cannot be read.  UsageError: an array of another shape or dtype, or an unknown modality.
            HeldError: the result cannot be trusted, or the weights were not validated on such a file; the message gives the reason.
        """
        radiograph = _of_array(source) if isinstance(source, np.ndarray) else _of_path(Path(source))
        scope = images.scope(radiograph)
        try:
            modality.check(scope, (*modality.checked_modalities(allow_modality), *self._allowed))
        except HeldError as error:
            raise HeldError(f"{radiograph.path}: {error}") from None
        cleaned = clean_radiograph(radiograph, self.cleaner)
        if cleaned.doubt:
            raise HeldError(f"{radiograph.path}: {cleaned.doubt}")
        changed = not np.array_equal(cleaned.stored, radiograph.stored)
        status = "cleaned" if changed or any(d.action == "remove" for d in cleaned.decisions) else "unchanged"
        array = cleaned.stored[0] if len(cleaned.stored) == 1 else cleaned.stored
        side = burned_in.side(cleaned.decisions, radiograph.shape_hw, self._meanings, images.header_sides(radiograph))
        return Result(
            array, cleaned.decisions, cleaned.detections, status, cleaned.styles, cleaned.made_up,
            side if self.cleaner.policy.readable else None, scope.modality, bool(scope.outside), scope.recognizable)


def _of_path(path: Path) -> Radiograph:
    if not path.is_file():
        raise ReadError(f"{path}: there is no such file")
    if images.recognise(path) is None:
        raise ReadError(f"{path}: not a DICOM, PNG, JPEG or TIFF file")
    return images.read(path)


def _of_array(array: np.ndarray) -> Radiograph:
    """An array as a single-frame `Radiograph`, which holds read-only views of it."""
    grey, colour = array.ndim == 2, array.ndim == 3 and array.shape[2] == 3
    if not (grey or colour) or array.dtype not in (np.uint8, np.uint16) or 0 in array.shape:
        raise UsageError(f"array has shape {array.shape} {array.dtype}, allowed are (H, W) and (H, W, 3), uint8 or uint16")
    frame = array[None]
    views, fill = images.array_views(frame), (0,) if grey else (0, 0, 0)
    return Radiograph(frame, views[0], fill, Path("array"), "ARRAY", also=views[1:])
